//! Admission: a subscription that is not admitted is not demand and gets nothing, whatever breaks and whenever it is decided.

use super::*;
use crate::{Admission, PeerKey};

/// Requests for these are accepted, rejected, deferred and then admitted, deferred and then rejected.
const ACCEPTED: [&str; 3] = ["a", "ab", ""];
const REJECTED: [&str; 2] = ["c", "abc"];
const ADMITTED: [&str; 2] = ["b", "ca"];
const REFUSED: [&str; 2] = ["ba", "d"];

/// Requests that were deferred and are not decided yet.
type Deferred = Arc<Mutex<Vec<(PeerKey, Vec<u8>)>>>;

struct Guarded {
    sim: Sim,
    publisher: Publisher,
    deferred: Deferred,
    readers: Vec<Reader>,
    next_number: u64,
}

fn may_have(prefix: &str) -> bool {
    ACCEPTED.contains(&prefix) || ADMITTED.contains(&prefix)
}

impl Guarded {
    fn new(seed: u64) -> Guarded {
        let mut sim = Sim::new(seed);
        let deferred = Deferred::default();
        let options = Options::new()
            .send_hwm(100_000)
            .manual(seed.is_multiple_of(2))
            .verbose(verbosity(seed))
            .admission({
                let deferred = deferred.clone();
                move |request| {
                    let prefix = std::str::from_utf8(request.prefix).unwrap();
                    if ACCEPTED.contains(&prefix) {
                        return Admission::Accept;
                    }
                    if REJECTED.contains(&prefix) {
                        return Admission::Reject("no".into());
                    }
                    lock(&deferred).push((request.peer, request.prefix.to_vec()));
                    Admission::Defer
                }
            });
        let shards = 1 + sim.below(3);
        let publisher = Publisher::new(sim.node(shards), options);
        publisher.socket.bind("inproc://p").unwrap();
        let mut readers = Vec::new();
        for _ in 0..1 + sim.below(4) {
            let control = sim.node(1);
            // It has no filter of its own, so that nothing unwanted is hidden.
            let socket = XSub::on(control, None, Options::new()).unwrap();
            socket.connect("inproc://p").unwrap();
            let socket = Subscriber::XSub(socket);
            readers.push(Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 });
        }
        Guarded { sim, publisher, deferred, readers, next_number: 0 }
    }

    fn decide(&mut self, most: usize) -> usize {
        let waiting: Vec<_> = {
            let mut deferred = lock(&self.deferred);
            let most = most.min(deferred.len());
            deferred.drain(..most).collect()
        };
        for (peer, prefix) in &waiting {
            match ADMITTED.iter().any(|admitted| admitted.as_bytes() == prefix) {
                true => self.publisher.socket.admit(*peer, prefix),
                false => self.publisher.socket.reject(*peer, prefix, "no"),
            }
        }
        waiting.len()
    }

    fn chaos(&mut self, steps: usize) {
        for _ in 0..steps {
            let r = self.sim.below(self.readers.len());
            let prefix = self.sim.pick(&PREFIXES);
            match self.sim.below(10) {
                0..4 => self.readers[r].subscribe(prefix),
                4..7 => self.readers[r].unsubscribe(prefix),
                7 => lock(&self.sim.world).break_one(),
                8 => drop(self.decide(2)),
                _ => self.publish(),
            }
            let pause = Duration::from_micros(self.sim.below(5000) as u64);
            self.sim.run(pause);
            self.publisher.listen();
        }
    }

    fn publish(&mut self) {
        let topic = self.sim.pick(&TOPICS);
        self.publisher.socket.send(message(0, self.next_number, topic, 0)).unwrap();
        self.next_number += 1;
    }

    fn calm(&mut self, revoked: Option<&str>) {
        loop {
            self.sim.run(CALM);
            if self.decide(usize::MAX) == 0 {
                break;
            }
        }
        self.publisher.listen();
        let held = |reader: &Reader, prefix: &str| {
            reader.counts.contains_key(prefix) && may_have(prefix) && revoked != Some(prefix)
        };
        let wanted: BTreeSet<_> = PREFIXES
            .into_iter()
            .filter(|prefix| self.readers.iter().any(|reader| held(reader, prefix)))
            .map(|prefix| Prefix::from(prefix.as_bytes()))
            .collect();
        let pairs = self.readers.iter().map(|r| r.counts.keys().filter(|p| held(r, p)).count()).sum();
        self.publisher.check(&wanted, pairs);
        self.readers.iter_mut().for_each(|reader| drop(reader.read()));
        for topic in TOPICS {
            self.publisher.socket.send(message(0, self.next_number, topic, 0)).unwrap();
            self.next_number += 1;
        }
        self.sim.run(CALM);
        for reader in &mut self.readers {
            let got: Vec<_> = reader.read().into_iter().map(|(.., topic)| topic).collect();
            let covers = |topic: &str| PREFIXES.iter().any(|p| topic.starts_with(p) && held(reader, p));
            let want: Vec<_> = TOPICS.into_iter().filter(|topic| covers(topic)).collect();
            assert_eq!(got, want);
        }
    }

    /// Every reader loses a prefix, and gets it back by asking again.
    fn revoke(&mut self) {
        let prefix = ["a", "ab", "b", "ca"][self.sim.below(4)];
        self.publisher.socket.revoke_all(prefix, "enough");
        self.calm(Some(prefix));
        for reader in &mut self.readers {
            let count = reader.counts.get(prefix).copied().unwrap_or(0);
            (0..count).for_each(|_| reader.unsubscribe(PREFIXES.into_iter().find(|p| *p == prefix).unwrap()));
            (0..count).for_each(|_| reader.subscribe(PREFIXES.into_iter().find(|p| *p == prefix).unwrap()));
        }
        self.calm(None);
    }
}

fn run(seed: u64) {
    assert!(PREFIXES.iter().all(|p| may_have(p) != (REJECTED.contains(p) || REFUSED.contains(p))));
    let mut guarded = Guarded::new(seed);
    for _ in 0..2 {
        guarded.chaos(60);
        guarded.calm(None);
        guarded.revoke();
    }
}

#[test]
fn only_what_is_admitted_is_demand() {
    for_each_seed(run);
}
