//! The counts of a publisher whose linger ends before everything is sent, or whose peers leave: each message that a peer
//! wants is received, missed or undelivered.

use super::*;
use crate::stats::Closed;

/// A publisher and readers that want everything that is sent, and read only at the end.
struct Ending {
    sim: Sim,
    publisher: XPub,
    readers: Vec<Reader>,
    policy: OnFull,
    sent: Vec<&'static str>,
}

impl Ending {
    fn new(seed: u64, readers_max: usize) -> Ending {
        let mut sim = Sim::new(seed);
        let policy = [OnFull::DropNewest, OnFull::Refuse, OnFull::DropOldest, OnFull::Latest][sim.below(4)];
        let options = Options::new()
            .send_hwm([1, 5, 1000][sim.below(3)])
            .recv_hwm([1, 5][sim.below(2)])
            .on_full(policy)
            .linger([Duration::ZERO, Duration::from_millis(5), CALM, Duration::MAX][sim.below(4)]);
        let shards = 1 + sim.below(3);
        let publisher = XPub::on(sim.node(shards), None, options.clone()).unwrap();
        publisher.bind("inproc://p").unwrap();
        let mut ending = Ending { sim, publisher, readers: vec![], policy, sent: vec![] };
        for _ in 0..1 + ending.sim.below(readers_max) {
            let control = ending.sim.node(1);
            let socket = Subscriber::Sub(Sub::on(control, None, options.clone()).unwrap());
            let mut reader = Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 };
            reader.handle().connect("inproc://p").unwrap();
            for _ in 0..1 + ending.sim.below(3) {
                reader.subscribe(ending.sim.pick(&PREFIXES));
            }
            ending.readers.push(reader);
        }
        ending.sim.run(CALM);
        assert_eq!(ending.publisher.stats().peers, ending.readers.len() as u64);
        ending
    }

    fn publish(&mut self, messages: usize) {
        for _ in 0..messages {
            let topic = self.sim.pick(&TOPICS);
            let padding = [0, 300, 20_000][self.sim.below(3)];
            match self.publisher.send(message(0, self.sent.len() as u64, topic, padding)) {
                Ok(()) => self.sent.push(topic),
                Err(e) => assert!(self.policy == OnFull::Refuse && e.kind() == ErrorKind::Full, "{e}"),
            }
            if self.sim.below(10) == 0 {
                let pause = Duration::from_micros(self.sim.below(3000) as u64);
                self.sim.run(pause);
            }
        }
    }

    /// How many of the messages a reader wants.
    fn wanted(&self, reader: &Reader) -> u64 {
        self.sent.iter().filter(|topic| reader.wants(topic.as_bytes())).count() as u64
    }

    fn closed(&self) -> Option<Closed> {
        self.publisher.0.hub.closed()
    }
}

#[test]
fn a_linger_that_is_cut_short_tells_what_was_not_delivered() {
    for_each_seed(|seed| {
        let mut e = Ending::new(seed, 4);
        let messages = 1 + e.sim.below(100);
        e.publish(messages);
        drop(e.publisher.close());
        let pause = Duration::from_micros(e.sim.below(20_000) as u64);
        e.sim.run(pause);
        let cut = Duration::from_micros(e.sim.below(2) as u64 * e.sim.below(20_000) as u64);
        drop(e.publisher.close_within(cut));
        e.sim.run(cut);
        let closed = e.closed().expect("the linger is over");
        let wanted: u64 = e.readers.iter().map(|reader| e.wanted(reader)).sum();
        let (mut got, mut quiet) = (0, 0);
        while quiet < QUIET_ROUNDS {
            // A reader that does not read for a second sends a sign of life, which a closed connection answers with a
            // reset: what it has not read is lost then.
            e.sim.run(Duration::from_millis(10));
            let more = e.readers.iter_mut().map(|reader| reader.read().len() as u64).sum::<u64>();
            (got, quiet) = (got + more, if more == 0 { quiet + 1 } else { 0 });
        }
        let stats = e.publisher.stats();
        assert_eq!((stats.delivered, stats.undelivered), (got, closed.undelivered));
        assert_eq!(wanted, got + stats.missed + closed.undelivered, "{:?}", e.policy);
    });
}

#[test]
fn what_waits_for_the_last_peer_is_undelivered_when_it_leaves() {
    for_each_seed(|seed| {
        let mut e = Ending::new(seed, 1);
        let messages = 1 + e.sim.below(100);
        e.publish(messages);
        let wanted = e.wanted(&e.readers[0]);
        match e.sim.below(2) {
            0 => drop(e.readers.pop()),
            _ => lock(&e.sim.world).break_one(),
        }
        // Less than the time after which it may connect again.
        e.sim.run(Duration::from_millis(20));
        let stats = e.publisher.stats();
        assert_eq!(wanted, stats.delivered + stats.missed + stats.undelivered, "{:?}", e.policy);
        drop(e.publisher.close_within(Duration::ZERO));
        e.sim.run(CALM);
        assert_eq!(e.closed().expect("nobody is left").undelivered, 0);
    });
}

#[test]
fn a_peer_that_is_lost_in_the_linger_takes_nothing_from_the_others() {
    const MESSAGES: u64 = 60;
    for_each_seed(|seed| {
        let mut sim = Sim::new(seed);
        // With this policy nothing is missed: most of it waits for the reader that is slow.
        let options = Options::new().send_hwm(1).on_full(OnFull::Refuse).linger(Duration::MAX);
        let publisher = XPub::on(sim.node(1), None, options).unwrap();
        publisher.bind("inproc://p").unwrap();
        let mut readers = Vec::new();
        for slow in [false, false, true] {
            lock(&sim.world).generous = !slow;
            let reader = Sub::on(sim.node(1), None, Options::new().recv_hwm(0)).unwrap();
            reader.subscribe("").unwrap();
            reader.connect("inproc://p").unwrap();
            sim.run(CALM);
            readers.push(reader);
        }
        for number in 0..MESSAGES {
            publisher.send(message(0, number, "a", [0, 300, 3000][sim.below(3)])).unwrap();
        }
        drop(publisher.close());
        let pause = Duration::from_micros(sim.below(50_000) as u64);
        sim.run(pause);
        // While the publisher turns to one peer that takes more, another one is lost.
        lock(&sim.world).fuse = true;
        sim.run(2 * CALM);
        let got =
            readers.iter().map(|reader| std::iter::from_fn(|| reader.try_recv().unwrap()).count() as u64);
        let got: Vec<_> = got.collect();
        let short = got.iter().filter(|got| **got < MESSAGES).count();
        assert!(short <= 1, "only the one that was lost misses something: {got:?}");
    });
}
