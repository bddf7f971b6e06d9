//! Endpoints that are given up ([`Options::reconnect_stop`]): each end is told once, nothing dials any more, and what the
//! peer wanted ends; a new `connect` begins anew.

use super::*;
use crate::{ConnectionEventKind, ConnectionEvents, ReconnectStop};

struct Stopping {
    sim: Sim,
    publisher: Publisher,
    readers: Vec<(Reader, ConnectionEvents)>,
    /// By reader: it has given up its endpoint.
    stopped: Vec<bool>,
}

impl Stopping {
    fn new(seed: u64) -> Stopping {
        let mut sim = Sim::new(seed);
        let shards = 1 + sim.below(2);
        let publisher = Publisher::new(sim.node(shards), Options::new());
        publisher.socket.bind("inproc://p").unwrap();
        let mut readers = Vec::new();
        for _ in 0..1 + sim.below(4) {
            let conditions = [
                ReconnectStop::NEVER,
                ReconnectStop::CONNECTION_REFUSED,
                ReconnectStop::HANDSHAKE_FAILED,
                ReconnectStop::DISCONNECTED,
                ReconnectStop::CONNECTION_REFUSED | ReconnectStop::DISCONNECTED,
                ReconnectStop::ALWAYS,
            ];
            let options = Options::new()
                .reconnect_stop(conditions[sim.below(conditions.len())])
                .connect_timeout(Duration::from_millis([1, 50, 5000][sim.below(3)]))
                .handshake_timeout(Duration::from_millis([10, 1000][sim.below(2)]));
            let socket = Sub::on(sim.node(1), None, options).unwrap();
            let events = socket.events();
            socket.connect("inproc://p").unwrap();
            let socket = Subscriber::Sub(socket);
            readers
                .push((Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 }, events));
        }
        let stopped = vec![false; readers.len()];
        Stopping { sim, publisher, readers, stopped }
    }

    fn chaos(&mut self, steps: usize) {
        for _ in 0..steps {
            self.sim.acts();
            let r = self.sim.below(self.readers.len());
            let prefix = self.sim.pick(&PREFIXES);
            match self.sim.below(8) {
                0..2 => self.readers[r].0.subscribe(prefix),
                2..4 => self.readers[r].0.unsubscribe(prefix),
                4 | 5 => lock(&self.sim.world).break_one(),
                6 => fault(&mut self.sim),
                _ => self.connect_again(),
            }
            let pause = Duration::from_micros(self.sim.below(5000) as u64);
            self.sim.run(pause);
            self.publisher.listen();
            self.watch();
        }
    }

    fn watch(&mut self) {
        for ((_, events), stopped) in self.readers.iter().zip(&mut self.stopped) {
            while let Ok(Some(event)) = events.try_next() {
                match event.kind {
                    ConnectionEventKind::Stopped => assert!(!std::mem::replace(stopped, true), "told twice"),
                    kind => assert!(!*stopped, "{kind:?} after the end"),
                }
            }
        }
    }

    fn connect_again(&mut self) {
        self.watch();
        for ((reader, _), stopped) in self.readers.iter().zip(&mut self.stopped) {
            if std::mem::take(stopped) {
                reader.handle().connect("inproc://p").unwrap();
            }
        }
    }

    /// A reader is connected or has given up, and what is wanted is what the connected ones want.
    fn calm(&mut self) {
        self.sim.run(CALM);
        self.publisher.listen();
        self.watch();
        let mut union = BTreeSet::new();
        for ((reader, _), stopped) in self.readers.iter().zip(&self.stopped) {
            let peers = reader.handle().stats().peers;
            assert_eq!(peers, u64::from(!stopped), "connected, or given up");
            if !stopped {
                union.extend(reader.counts.keys().map(|prefix| Prefix::from(prefix.as_bytes())));
            }
        }
        assert_eq!(self.publisher.told, union);
        assert_eq!(self.publisher.watched, union);
        let lines = lock(&self.sim.world).open_lines();
        assert_eq!(lines, self.stopped.iter().filter(|stopped| !**stopped).count());
    }
}

fn run(seed: u64) {
    let mut stopping = Stopping::new(seed);
    for _ in 0..3 {
        stopping.chaos(30);
        stopping.calm();
        stopping.connect_again();
    }
}

#[test]
fn an_endpoint_is_connected_or_given_up_for_good() {
    for_each_seed(run);
}
