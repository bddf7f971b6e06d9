//! The production shards and sockets on the simulated network, from seeds. A failing seed is printed; replay it with
//! `cargo xtask sim --seed N`.

mod admission;
mod chain;
mod closing;
mod confirmed;
mod drawn;
mod half_open;
mod last;
mod leaving;
mod stopping;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::drawn::Draw;
use crate::engine::Control;
use crate::socket::{Socket, kind};
use crate::stage::pairs::{PairWatch, Pairs};
use crate::stage::{Sim, events_of_all};
use crate::sync::lock;
use crate::{
    DemandEvent, DemandWatch, ErrorKind, Keep, Msg, OnFull, Options, Prefix, Room, Sub, SubscriptionEvent,
    Verbose, XPub, XPubEvent, XSub,
};

const PREFIXES: [&str; 9] = ["", "a", "ab", "abc", "b", "ba", "c", "ca", "d"];
const TOPICS: [&str; 10] = ["a", "ab", "abc", "abcd", "b", "ba", "c", "ca", "x", ""];
/// Long enough for every reconnect, handshake and retransmission to come to an end.
const CALM: Duration = Duration::from_secs(120);
/// After how many rounds in a row without a received message everything has arrived: a reader that discards messages of
/// which it has unsubscribed receives nothing, but makes room for the next message.
const QUIET_ROUNDS: u32 = 32;
const QUIET: Duration = Duration::from_secs(1);

/// A publisher, and the demand that was reported to it.
struct Publisher {
    socket: XPub,
    /// Demand according to its events, and according to its watch.
    told: BTreeSet<Prefix>,
    watch: DemandWatch,
    watched: BTreeSet<Prefix>,
    /// What its events and its watch tell of each peer.
    told_pairs: Pairs,
    pairs: PairWatch,
}

/// How verbose the publishers of a history are.
fn verbosity(seed: u64) -> Verbose {
    [Verbose::Off, Verbose::Subscribes, Verbose::All][(seed % 3) as usize]
}

impl Publisher {
    fn new(control: Arc<dyn Control>, options: Options) -> Publisher {
        let socket = XPub::on(control, None, options).unwrap();
        let (watch, pairs) = (socket.demand(), PairWatch::new(&socket));
        let (told, watched, told_pairs) = Default::default();
        Publisher { socket, told, watched, watch, told_pairs, pairs }
    }

    /// Takes what was reported. An event must not contradict the earlier ones.
    fn listen(&mut self) {
        while let Ok(Some(event)) = self.socket.try_event() {
            match event {
                XPubEvent::Wanted(p) => assert!(self.told.insert(p.clone()), "{p} was wanted already"),
                XPubEvent::Unwanted(p) => assert!(self.told.remove(&p), "{p} was not wanted"),
                XPubEvent::Message(m) => assert_eq!(m.topic(), b"up"),
                XPubEvent::Subscription(event) => self.hear(&event),
            }
        }
        self.pairs.listen();
        while let Ok(Some(event)) = self.watch.try_next() {
            match event {
                DemandEvent::Wanted(p) => assert!(self.watched.insert(p.clone()), "{p} was wanted already"),
                DemandEvent::Unwanted(p) => assert!(self.watched.remove(&p), "{p} was not wanted"),
            }
        }
    }

    /// An event of one peer, which stands for changes of demand where the socket is verbose.
    fn hear(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::Subscribed { prefix, .. } => _ = self.told.insert(prefix.clone()),
            SubscriptionEvent::Repeated { prefix, .. } => assert!(self.told.contains(prefix)),
            _ => {}
        }
        if self.socket.0.hub.options.verbose == Verbose::All {
            self.told_pairs.take(event);
            let prefix = event.prefix();
            if !self.told_pairs.held.iter().any(|(_, held)| held == prefix) {
                self.told.remove(prefix);
            }
        }
    }

    /// What it is told, in all ways, is what is wanted: so many pairs.
    fn check(&self, wanted: &BTreeSet<Prefix>, pairs: usize) {
        assert_eq!(self.told, *wanted, "what its events tell");
        assert_eq!(self.watched, *wanted, "what its watch tells");
        assert_eq!(self.socket.prefix_count(), wanted.len());
        let held = &self.pairs.pairs;
        assert!(held.peers().keys().eq(wanted), "what its watch tells of each peer: {:?}", held.held);
        assert_eq!(held.held.len(), pairs, "{:?}", held.held);
        if self.socket.0.hub.options.verbose == Verbose::All {
            assert_eq!(self.told_pairs.held, held.held, "what its events tell of each peer");
        }
    }

    /// Begins a new watch: its snapshot must be the state of the old one.
    fn watch_anew(&mut self) {
        self.listen();
        self.pairs.anew(&self.socket);
        self.watch = self.socket.demand();
        let snapshot: BTreeSet<_> = self.watch.snapshot().iter().cloned().collect();
        assert_eq!(snapshot, self.watched, "a new watch starts where an old one has got to");
    }
}

/// Publisher, number, topic.
type Received = (usize, u64, String);

/// SUB or XSUB.
enum Subscriber {
    Sub(Sub),
    XSub(XSub),
}

/// A subscriber, and its expected subscriptions.
struct Reader {
    socket: Subscriber,
    counts: BTreeMap<&'static str, u32>,
    /// The last number received from each publisher; where only the newest message of a topic waits, of each topic.
    last: BTreeMap<(usize, Option<String>), u64>,
    /// How many messages it was told it missed.
    missed: u64,
}

impl Reader {
    /// The socket, as one of either form.
    fn handle(&self) -> Socket<kind::Subscriber, ()> {
        Socket::from_inner(match &self.socket {
            Subscriber::Sub(socket) => socket.0.clone(),
            Subscriber::XSub(socket) => socket.0.clone(),
        })
    }

    /// Only the newest message of each topic waits for the user.
    fn keeps_latest(&self) -> bool {
        self.handle().0.hub.options.keep == Keep::Latest
    }

    /// How many messages have arrived and are not received: replaced by newer ones, or without room.
    fn dropped(&self) -> u64 {
        let stats = self.handle().stats();
        stats.received_replaced + stats.received_missed
    }

    fn wants(&self, topic: &[u8]) -> bool {
        self.counts.keys().any(|prefix| topic.starts_with(prefix.as_bytes()))
    }

    fn subscribe(&mut self, prefix: &'static str) {
        self.handle().subscribe(prefix).unwrap();
        *self.counts.entry(prefix).or_default() += 1;
    }

    fn unsubscribe(&mut self, prefix: &'static str) {
        let known = self.handle().unsubscribe(prefix).unwrap();
        assert_eq!(known, self.counts.contains_key(prefix));
        if let Some(count) = self.counts.get_mut(prefix) {
            *count -= 1;
            self.counts.retain(|_, count| *count > 0);
        }
    }

    /// Takes what arrived: (publisher, number, topic). The numbers of one publisher must increase.
    fn read(&mut self) -> Vec<Received> {
        let latest = self.keeps_latest();
        let mut got = Vec::new();
        let handle = self.handle();
        while let Some(m) = handle.0.hub.inbound.pop() {
            self.listen();
            if m.topic() == b"welcome" {
                continue;
            }
            let (publisher, number, topic) = parse(&m);
            let last = self.last.insert((publisher, latest.then(|| topic.clone())), number);
            assert!(last.is_none_or(|last| last < number), "{number} after {last:?}: out of order or twice");
            got.push((publisher, number, topic));
        }
        self.listen();
        got
    }

    /// Takes what was missed.
    fn listen(&mut self) {
        while let Some(missed) = self.handle().0.hub.inbound.pop_missed() {
            assert!(missed.messages > 0 || missed.reconnected, "{missed}");
            assert_eq!(missed.unseen, 0, "so little never fills the outbox");
            self.missed += missed.messages;
        }
    }
}

fn message(publisher: usize, number: u64, topic: &str, padding: usize) -> Msg {
    Msg::from_frames([topic, &format!("{publisher}"), &format!("{number}"), &"p".repeat(padding)])
}

fn parse(m: &Msg) -> (usize, u64, String) {
    let text = |i| String::from_utf8(m.frame(i).unwrap().to_vec()).unwrap();
    assert!(m.frame(3).unwrap().iter().all(|b| *b == b'p'));
    (text(1).parse().unwrap(), text(2).parse().unwrap(), text(0))
}

/// One history.
struct History {
    sim: Sim,
    draw: Draw,
    publishers: Vec<Publisher>,
    readers: Vec<Reader>,
    policy: OnFull,
    /// The policies of messages by the first letter of their topics, where they have one of their own.
    mixed: Option<[OnFull; 3]>,
    marks: (usize, usize),
    next_number: u64,
    publishers_bind: bool,
}

impl History {
    fn new(seed: u64) -> History {
        let sim = Sim::new(seed);
        let publishers_bind = sim.below(2) == 0;
        let policies =
            [OnFull::DropNewest, OnFull::Refuse, OnFull::DropOldest, OnFull::Latest, OnFull::Disconnect];
        let policy = policies[sim.below(policies.len())];
        let draw = Draw::new(&sim, policy);
        let own = || [OnFull::DropNewest, OnFull::DropOldest, OnFull::Latest][sim.below(3)];
        let mixed = (policy != OnFull::Refuse && sim.below(2) == 0).then(|| [own(), own(), own()]);
        let marks = ([1, 5, 1000][sim.below(3)], [200, 5000, 64 << 20][sim.below(3)]);
        let options = Options::new()
            .send_hwm(marks.0 as u32)
            .recv_hwm([1, 5, 1000][sim.below(3)])
            .on_full(policy)
            .verbose(verbosity(seed))
            .queue_bytes_max(marks.1 as u64);
        let (publishers, readers, next_number) = (vec![], vec![], 0);
        let mut history =
            History { sim, draw, publishers, readers, policy, mixed, marks, next_number, publishers_bind };
        let (publishers, readers) = (1 + history.sim.below(2), 1 + history.sim.below(4));
        for p in 0..publishers {
            let shards = 1 + history.sim.below(2);
            let control = history.sim.node(shards);
            let publisher = Publisher::new(control, history.draw.publisher(&history.sim, &options));
            if publishers_bind {
                publisher.socket.bind(&format!("inproc://p{p}")).unwrap();
            }
            history.publishers.push(publisher);
        }
        for r in 0..readers {
            let shards = 1 + history.sim.below(2);
            let control = history.sim.node(shards);
            let options = history.draw.subscriber(&history.sim, &options);
            history.add_reader(r, control, options);
        }
        history
    }

    fn add_reader(&mut self, r: usize, control: Arc<dyn Control>, options: Options) {
        let raw = self.sim.below(3) == 0;
        let socket = if raw {
            Subscriber::XSub(XSub::on(control, None, options).unwrap())
        } else {
            Subscriber::Sub(Sub::on(control, None, options).unwrap())
        };
        let reader = Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 };
        if !self.publishers_bind {
            reader.handle().bind(&format!("inproc://r{r}")).unwrap();
        }
        for (p, publisher) in self.publishers.iter().enumerate() {
            match self.publishers_bind {
                true => drop(reader.handle().connect(&format!("inproc://p{p}")).unwrap()),
                false => drop(publisher.socket.connect(&format!("inproc://r{r}")).unwrap()),
            }
        }
        self.readers.push(reader);
    }

    /// Anything may happen, at any time.
    fn chaos(&mut self, steps: usize) {
        for _ in 0..steps {
            self.sim.acts();
            match self.sim.below(14) {
                0..4 => self.publish_one(),
                4..8 => self.change_one(),
                8 => lock(&self.sim.world).break_one(),
                12 if self.sim.below(2) == 0 => self.change_marks(),
                12 => fault(&mut self.sim),
                13 if self.draw.heartbeats => lock(&self.sim.world).cut_one(),
                9 => self.readers.iter_mut().for_each(|reader| drop(reader.read())),
                10 => self.publishers.iter_mut().for_each(Publisher::watch_anew),
                _ => self.talk_back(),
            }
            let pause = Duration::from_micros(self.sim.below(5000) as u64);
            self.sim.run(pause);
            self.publishers.iter_mut().for_each(Publisher::listen);
        }
    }

    fn change_one(&mut self) {
        let (r, prefix) = (self.sim.below(self.readers.len()), self.sim.pick(&PREFIXES));
        match self.sim.below(2) {
            0 => self.readers[r].subscribe(prefix),
            _ => self.readers[r].unsubscribe(prefix),
        }
    }

    /// The marks of a socket change while it runs.
    fn change_marks(&mut self) {
        let marks = [1, 5, 1000][self.sim.below(3)];
        let (p, r) = (self.sim.below(self.publishers.len()), self.sim.below(self.readers.len()));
        match self.sim.below(2) {
            0 => self.publishers[p].socket.set_send_hwm(marks),
            _ => self.readers[r].handle().set_recv_hwm(marks),
        }
    }

    fn talk_back(&mut self) {
        for reader in &self.readers {
            if let Subscriber::XSub(socket) = &reader.socket {
                // With Refuse there may be no room, and then nothing is sent.
                drop(socket.send("up"));
            }
        }
    }

    fn publish_one(&mut self) {
        let p = self.sim.below(self.publishers.len());
        self.publish(p);
    }

    /// Returns what was sent, unless the publisher refused.
    fn publish(&mut self, p: usize) -> Option<(u64, &'static str)> {
        let topic = self.sim.pick(&TOPICS);
        let padding = self.sim.below(3) * self.sim.below(400);
        let number = self.next_number;
        let (socket, message) = (&self.publishers[p].socket, message(p, number, topic, padding));
        let sent = match self.own_policy(topic) {
            Some(policy) => socket.send_on_full(message, policy),
            None => socket.send(message),
        };
        match sent {
            Ok(()) => self.next_number += 1,
            Err(e) => {
                assert!(self.policy == OnFull::Refuse && e.kind() == ErrorKind::Full, "{e}");
                return None;
            }
        }
        Some((number, topic))
    }

    /// The policy of messages of this topic, if they have one of their own: topics that begin with other letters than
    /// these have that of the socket.
    fn own_policy(&self, topic: &str) -> Option<OnFull> {
        let [a, b, c] = self.mixed?;
        match topic.bytes().next()? {
            b'a' => Some(a),
            b'b' => Some(b),
            b'c' => Some(c),
            _ => None,
        }
    }

    /// What a reader gets of messages of several policies: a message that does not give way is missed only if others of its
    /// kind fill the queue, and the newest message of a topic under `Latest` only if there are more than the marks allow.
    fn check_policies(&self, want: &[Received], got: &[Received]) {
        if self.mixed.is_none() || self.draw.disconnects {
            return;
        }
        let policy = |topic: &str| self.own_policy(topic).unwrap_or(self.policy);
        // Besides its payload a message has four headers, a topic and two numbers. One more may be partly written.
        let bytes_max = 2 * 400 + 100;
        let fits = |messages: usize| messages < self.marks.0 && messages * bytes_max < self.marks.1;
        let firm = want.iter().filter(|(.., topic)| policy(topic) == OnFull::DropNewest).count();
        for (at, message) in want.iter().enumerate() {
            let topic = &message.2;
            let due = match policy(topic) {
                OnFull::DropNewest => fits(firm),
                OnFull::Latest => fits(want.len()) && want[at + 1..].iter().all(|(.., later)| later != topic),
                _ => fits(want.len()),
            };
            assert!(!due || got.contains(message), "{message:?} gave way to others: {want:?}");
        }
    }

    /// Time passes, and everything that arrived is taken; afterwards demand must be exactly what the readers want.
    fn calm(&mut self) {
        for publisher in &self.publishers {
            publisher.socket.set_send_hwm(self.marks.0 as u32);
        }
        // A reader that does not read blocks its publishers: both must recover in the end. It does not hear that its line
        // is cut either, until it reads again: then it takes as long as for the others.
        for _ in 0..2 {
            self.sim.run(CALM);
            while self.settle().is_some() {}
        }
        let wanted: BTreeSet<_> =
            self.readers.iter().flat_map(|r| r.counts.keys()).map(|p| Prefix::from(p.as_bytes())).collect();
        for (p, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.listen();
            let stats = publisher.socket.stats();
            assert_eq!(stats.peers, self.readers.len() as u64, "publisher {p}: peers");
            publisher.check(&wanted, self.readers.iter().map(|r| r.counts.len()).sum());
            for topic in TOPICS {
                let any = self.readers.iter().any(|reader| reader.wants(topic.as_bytes()));
                assert_eq!(publisher.socket.wanted(topic), any, "publisher {p}: {topic:?}");
                let subscribers = self.readers.iter().filter(|reader| reader.wants(topic.as_bytes())).count();
                assert_eq!(publisher.socket.subscribers(topic), subscribers, "publisher {p}: {topic:?}");
                let room = if any { Room::Open } else { Room::Nobody };
                assert_eq!(publisher.socket.room(topic), room, "publisher {p}: {topic:?}");
            }
        }
    }

    /// While demand is settled and nothing breaks, every message arrives where it is wanted, in order, or is counted.
    fn measure(&mut self, messages: usize) {
        let before: Vec<_> = self.publishers.iter().map(|p| p.socket.stats()).collect();
        let dropped_before: u64 = self.readers.iter().map(Reader::dropped).sum();
        let mut sent = vec![Vec::new(); self.publishers.len()];
        let mut got = vec![Vec::new(); self.readers.len()];
        let told: Vec<_> = self.readers.iter().map(|reader| (reader.missed, reader.dropped())).collect();
        for _ in 0..messages {
            self.sim.acts();
            let p = self.sim.below(self.publishers.len());
            if let Some(message) = self.publish(p) {
                sent[p].push(message);
            }
            if self.sim.below(4) == 0 {
                let pause = Duration::from_micros(self.sim.below(2000) as u64);
                self.sim.run(pause);
            }
            if self.sim.below(8) == 0 {
                let more: Vec<_> = self.readers.iter_mut().map(Reader::read).collect();
                got.iter_mut().zip(more).for_each(|(got, more)| got.extend(more));
            }
        }
        while let Some(more) = self.settle() {
            got.iter_mut().zip(more).for_each(|(got, more)| got.extend(more));
        }
        for ((reader, got), (told, dropped)) in self.readers.iter().zip(&got).zip(told) {
            let wanted = sent.iter().flatten().filter(|(_, topic)| reader.wants(topic.as_bytes())).count();
            let (told, dropped) = (reader.missed - told, reader.dropped() - dropped);
            assert!(
                self.draw.disconnects || got.len() as u64 + told + dropped == wanted as u64,
                "{} came, {told} were said to be missed, and {dropped} were dropped here, of {wanted}",
                got.len()
            );
        }
        let (mut missed_in_all, mut counted_in_all) = (0, 0);
        for (p, sent) in sent.iter().enumerate() {
            let mut missed = 0;
            for (reader, got) in self.readers.iter().zip(&got) {
                let want: Vec<_> = sent
                    .iter()
                    .filter(|(_, t)| reader.wants(t.as_bytes()))
                    .map(|(n, t)| (p, *n, (*t).to_owned()))
                    .collect();
                let got: Vec<_> = got.iter().filter(|m| m.0 == p).cloned().collect();
                let known: BTreeSet<_> = want.iter().collect();
                assert!(
                    got.iter().all(|m| known.contains(m)),
                    "publisher {p}: something came that is not wanted"
                );
                if !reader.keeps_latest() {
                    self.check_policies(&want, &got);
                }
                if self.mixed.is_none()
                    && matches!(self.policy, OnFull::DropOldest | OnFull::Latest)
                    && !self.draw.disconnects
                    // Another publisher's message may have replaced it.
                    && (!reader.keeps_latest() || self.publishers.len() == 1)
                {
                    assert_eq!(
                        got.iter().max(),
                        want.last(),
                        "publisher {p}: the newest message always comes"
                    );
                }
                missed += want.len() - got.len();
            }
            let (old, new) = (&before[p], self.publishers[p].socket.stats());
            assert_eq!(new.outbox_full, old.outbox_full, "publisher {p}: so little never fills the inbox");
            missed_in_all += missed as u64;
            counted_in_all += new.missed - old.missed;
            let all_counted = !self.draw.disconnects && !self.readers.iter().any(Reader::keeps_latest);
            assert!(
                !all_counted || new.missed - old.missed == missed as u64,
                "publisher {p}: counted gaps: {missed}, {old:?}, {new:?}"
            );
            assert!(
                missed == 0 || !all_counted || self.policy != OnFull::Refuse,
                "publisher {p}: nothing is missed under Refuse"
            );
        }
        let dropped = self.readers.iter().map(Reader::dropped).sum::<u64>() - dropped_before;
        if !self.draw.disconnects {
            assert_eq!(missed_in_all, counted_in_all + dropped, "missed, or replaced at a reader");
        }
    }

    /// Lets everything happen that is on its way. Returns what each reader received, if any received something.
    fn settle(&mut self) -> Option<Vec<Vec<Received>>> {
        (0..QUIET_ROUNDS).find_map(|_| {
            self.sim.run(QUIET);
            let got: Vec<Vec<_>> = self.readers.iter_mut().map(Reader::read).collect();
            got.iter().any(|got| !got.is_empty()).then_some(got)
        })
    }

    /// Readers leave, and what they wanted becomes unwanted; then everything is closed and nothing is left.
    fn part(mut self) {
        while let Some(reader) = self.readers.pop() {
            drop(reader);
            if self.sim.below(2) == 0 {
                // The others may have to reconnect first: a failed attempt is repeated.
                self.calm_after_leaving();
            }
        }
        self.calm_after_leaving();
        let watches: Vec<_> = self.publishers.drain(..).map(|p| (p.watch, p.pairs)).collect();
        drop(watches);
        self.sim.run(CALM);
        assert_eq!(
            lock(&self.sim.world).open_lines(),
            0,
            "connections are left after all sockets are closed"
        );
    }

    fn calm_after_leaving(&mut self) {
        self.sim.run(CALM);
        let wanted: BTreeSet<_> =
            self.readers.iter().flat_map(|r| r.counts.keys()).map(|p| Prefix::from(p.as_bytes())).collect();
        for publisher in &mut self.publishers {
            publisher.listen();
            publisher.check(&wanted, self.readers.iter().map(|r| r.counts.len()).sum());
        }
    }
}

fn run(seed: u64) {
    let mut history = History::new(seed);
    for _ in 0..2 {
        history.chaos(60);
        history.calm();
        history.measure(60);
    }
    history.part();
}

/// Something that the system does to a process.
fn fault(sim: &mut Sim) {
    let time = Duration::from_micros(sim.below(2_000_000) as u64);
    match sim.below(4) {
        0 | 1 => {
            let place = sim.any_place();
            sim.stall(place, time);
        }
        2 => {
            let mut world = lock(&sim.world);
            world.scarce_until = world.now + time;
        }
        _ => sim.jump(10 * time),
    }
}

/// `ONCUE_SIM_SEED=N` replays one seed, `ONCUE_SIM_SEEDS=N` runs the first N; 200 otherwise.
fn for_each_seed(run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number"));
    let seeds = match number("ONCUE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ONCUE_SIM_SEEDS").unwrap_or(200),
    };
    let (all, before) = (seeds.clone(), events_of_all());
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed} failed; replay it with: cargo xtask sim --seed {seed}");
    }
    let events = events_of_all() - before;
    // Past the capture of the test's output.
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "{name}: seeds {all:?}, {events} events");
}

#[test]
fn seeds() {
    for_each_seed(run);
}
