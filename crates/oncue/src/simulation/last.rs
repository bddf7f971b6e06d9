//! Last values: a peer that newly wants a kept topic gets its newest value and then every later one, each once.

use std::io::IoSlice;

use oncue_core::command;
use oncue_core::frame::Version;

use super::*;
use crate::net::Stream;
use crate::stage::network::SimStream;

/// Values of these topics are kept. Some start with others, and several prefixes match some.
const KEPT: [&str; 7] = ["a", "ab", "abc", "abd", "b", "ba", "c"];
const WANTED: [&str; 8] = ["", "a", "ab", "abc", "abd", "b", "ba", "c"];

/// What a reader has got of one topic.
#[derive(Clone, Default)]
struct Got {
    /// The position of the last value in the topic's history.
    last: Option<usize>,
    /// How many gaps are allowed before the next value: the topic was newly wanted, or a connection broke.
    starts: u32,
    /// Nothing has arrived since the topic was newly wanted.
    awaited: bool,
}

struct Kept {
    sim: Sim,
    socket: XPub,
    options: Options,
    readers: Vec<(Reader, BTreeMap<&'static str, Got>)>,
    /// The numbers of the values of each topic, as sent.
    sent: BTreeMap<&'static str, Vec<u64>>,
    next_number: u64,
}

impl Kept {
    fn new(seed: u64) -> Kept {
        let mut sim = Sim::new(seed);
        let policy = [OnFull::DropNewest, OnFull::Refuse, OnFull::Latest][sim.below(3)];
        // Nothing may be missed, so that everything can be accounted for: low marks only where the sender waits.
        let hwm = if policy == OnFull::Refuse { [1, 5, 1000][sim.below(3)] } else { 100_000 };
        let options = Options::new().send_hwm(hwm).recv_hwm([1, 5, 1000][sim.below(3)]).on_full(policy);
        let shards = 1 + sim.below(3);
        let control = sim.node(shards);
        let socket = XPub::on(control, None, options.clone()).unwrap();
        socket.bind("inproc://p").unwrap();
        let mut kept = Kept { sim, socket, options, readers: vec![], sent: BTreeMap::new(), next_number: 0 };
        for _ in 0..1 + kept.sim.below(4) {
            kept.add_reader();
        }
        kept
    }

    fn add_reader(&mut self) {
        let control = self.sim.node(1);
        let socket = match self.sim.below(3) {
            0 => Subscriber::XSub(XSub::on(control, None, self.options.clone()).unwrap()),
            _ => Subscriber::Sub(Sub::on(control, None, self.options.clone()).unwrap()),
        };
        let reader = Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 };
        reader.handle().connect("inproc://p").unwrap();
        self.readers.push((reader, BTreeMap::new()));
    }

    fn publish(&mut self) {
        let topic = self.sim.pick(&KEPT);
        // Some are copied together, some passed by reference, some shared with the outbox.
        let padding = [0, 300, 5000, 17_000][self.sim.below(40).saturating_sub(36)];
        let number = self.next_number;
        match self.socket.send_last(message(0, number, topic, padding)) {
            Ok(()) => {
                self.next_number += 1;
                self.sent.entry(topic).or_default().push(number);
            }
            Err(e) => assert!(self.options.on_full == OnFull::Refuse && e.kind() == ErrorKind::Full, "{e}"),
        }
    }

    fn change(&mut self, r: usize, prefix: &'static str, subscribe: bool) {
        let (reader, got) = &mut self.readers[r];
        let before: Vec<_> = KEPT.iter().filter(|topic| reader.wants(topic.as_bytes())).collect();
        // What was on its way before it was wanted again may arrive first; a SUB has dropped a part of that.
        let starts = if matches!(reader.socket, Subscriber::Sub(_)) { 2 } else { 1 };
        match subscribe {
            true => reader.subscribe(prefix),
            false => reader.unsubscribe(prefix),
        }
        for topic in KEPT.iter().filter(|topic| reader.wants(topic.as_bytes()) && !before.contains(topic)) {
            let got = got.entry(topic).or_default();
            (got.starts, got.awaited) = (got.starts + starts, true);
        }
    }

    /// Takes what arrived, and checks it against what was sent.
    fn read(&mut self) -> usize {
        let mut all = 0;
        for (r, (reader, got)) in self.readers.iter_mut().enumerate() {
            while let Some(m) = reader.handle().0.hub.inbound.pop() {
                let (_, number, topic) = parse(&m);
                let topic = KEPT.iter().find(|kept| ***kept == topic).expect("a topic that is sent");
                let at = self.sent[topic].iter().position(|sent| *sent == number).expect("it was sent");
                let got = got.entry(topic).or_default();
                // With OnFull::Latest those in between may be missing.
                let skips = self.options.on_full == OnFull::Latest && got.last.is_some_and(|last| at > last);
                if !skips && got.last.is_none_or(|last| at != last + 1) {
                    assert!(got.starts > 0, "reader {r}, {topic}: value {at} after {:?}", got.last);
                    assert!(
                        got.last.is_none_or(|last| at >= last),
                        "{topic}: back from {:?} to {at}",
                        got.last
                    );
                    got.starts -= 1;
                }
                (got.last, got.awaited) = (Some(at), false);
                all += 1;
            }
        }
        all
    }

    fn chaos(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.sim.below(14) {
                0..6 => (0..1 + self.sim.below(6)).for_each(|_| self.publish()),
                6..11 => {
                    // Several at once arrive in one read, or in two.
                    let r = self.sim.below(self.readers.len());
                    for _ in 0..1 + self.sim.below(3) {
                        let (prefix, subscribe) = (self.sim.pick(&WANTED), self.sim.below(2) == 0);
                        self.change(r, prefix, subscribe);
                    }
                }
                11 => {
                    lock(&self.sim.world).break_one();
                    for (_, got) in &mut self.readers {
                        KEPT.iter().for_each(|topic| got.entry(topic).or_default().starts += 1);
                    }
                }
                12 if self.readers.len() < 5 => self.add_reader(),
                _ => drop(self.read()),
            }
            if self.sim.below(3) > 0 {
                let pause = Duration::from_micros(self.sim.below(5000) as u64);
                self.sim.run(pause);
            }
        }
    }

    /// Reads until everything has arrived. Returns how many values came.
    fn settle(&mut self) -> usize {
        let (mut all, mut quiet) = (0, 0);
        while quiet < QUIET_ROUNDS {
            self.sim.run(CALM);
            match self.read() {
                0 => quiet += 1,
                n => (all, quiet) = (all + n, 0),
            }
        }
        all
    }

    /// In the end every reader has the newest value of everything that it wants.
    fn calm(&mut self) {
        self.settle();
        let stats = self.socket.stats();
        let missed = if self.options.on_full == OnFull::Latest { 0 } else { stats.missed };
        assert_eq!((missed, stats.outbox_full, stats.last_values_dropped), (0, 0, 0));
        assert_eq!(stats.last_values, self.sent.len() as u64);
        for (r, (reader, got)) in self.readers.iter_mut().enumerate() {
            for (topic, sent) in &self.sent {
                if reader.wants(topic.as_bytes()) {
                    let got = got.entry(topic).or_default();
                    assert_eq!(got.last, Some(sent.len() - 1), "reader {r}, {topic}: the newest value");
                    assert!(!got.awaited, "reader {r}, {topic}: newly wanted, and nothing came");
                    got.starts = 0;
                }
            }
        }
    }

    /// A reader subscribes while nothing else happens: it gets the newest value of each topic that is new to it, once, and
    /// no reader gets anything else.
    fn alone(&mut self) {
        let r = self.sim.below(self.readers.len());
        let prefix = self.sim.pick(&WANTED);
        let topics = KEPT.iter().filter(|t| t.starts_with(prefix) && self.sent.contains_key(**t));
        let new = topics.filter(|t| !self.readers[r].0.wants(t.as_bytes())).count();
        let offered = self.socket.stats().last_values_offered;
        self.change(r, prefix, true);
        let came = self.settle();
        assert_eq!(came, new, "{prefix:?}");
        assert_eq!(self.socket.stats().last_values_offered - offered, new as u64);
        self.calm();
    }
}

fn run(seed: u64) {
    let mut kept = Kept::new(seed);
    for _ in 0..3 {
        kept.chaos(50);
        kept.calm();
        kept.alone();
        kept.alone();
    }
}

#[test]
fn the_newest_value_and_then_every_later_one() {
    for_each_seed(run);
}

/// A queue replaces older messages by last values, which is no reason to keep the remaining values back.
#[test]
fn values_follow_those_that_have_replaced_others() {
    run(293);
}

/// Each turn does a bounded amount of work, which the simulation checks, however fast a reader takes its values.
#[test]
fn a_fast_reader_of_many_values_gets_them_a_share_at_a_time() {
    const VALUES: usize = 200_000;
    let mut sim = Sim::new(1);
    lock(&sim.world).generous = true;
    let socket = XPub::on(sim.node(1), None, Options::new().send_hwm(0)).unwrap();
    socket.bind("inproc://p").unwrap();
    for n in 0..VALUES {
        socket.keep_last((format!("kept/{n:06}"), "value")).unwrap();
    }
    let reader = |sim: &mut Sim| {
        let sub = Sub::on(sim.node(1), None, Options::new().recv_hwm(0)).unwrap();
        while sub.connect("inproc://p").is_err() {}
        sub
    };
    let (greedy, other) = (reader(&mut sim), reader(&mut sim));
    other.subscribe("live").unwrap();
    sim.run(CALM);
    greedy.subscribe("kept/").unwrap();
    sim.run(CALM);
    socket.send(("live", "now")).unwrap();
    sim.run(CALM);
    assert_eq!(other.try_recv().unwrap().unwrap().frame(1), Some(&b"now"[..]));
    for n in 0..VALUES {
        let message = greedy.try_recv().unwrap().expect("all values come");
        assert_eq!(message.topic(), format!("kept/{n:06}").as_bytes());
    }
    assert!(greedy.try_recv().unwrap().is_none());
}

/// Nothing is owed to a peer that is refused: its shard does not look for a chance to send it, turn after turn.
#[test]
fn a_peer_that_breaks_the_protocol_while_values_wait_for_it_costs_no_turns() {
    let mut sim = Sim::new(1);
    lock(&sim.world).generous = true;
    let socket = XPub::on(sim.node(1), None, Options::new()).unwrap();
    socket.bind("inproc://p").unwrap();
    for n in 0..50_000 {
        socket.keep_last((format!("kept/{n:06}"), "value")).unwrap();
    }
    let mut said = [&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1][..], b"NULL", &[0; 48]].concat();
    said.extend_from_slice(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
    command::put_subscribe(&mut said, Version::V3_1, b"kept/");
    // A frame with flags that do not exist.
    said.extend_from_slice(&[0xff; 9]);
    let mut stream = SimStream::call(&sim.world, "inproc://p");
    sim.run(Duration::from_millis(10));
    assert_eq!(stream.write(&[IoSlice::new(&said)]).unwrap(), said.len());
    sim.run(CALM);
    let stats = socket.stats();
    assert_eq!((stats.peers, stats.peers_refused), (0, 1));
    assert!(stats.last_values_offered > 0, "some were sent before");
}
