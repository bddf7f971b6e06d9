//! Peers that vanish without closing: a cable is cut, a machine loses its power. Demand ends within the timeout, a
//! subscriber finds its publisher again, and no living peer is disconnected, whichever side pings and however slow a line
//! is.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// In addition to the timeout: for what was on its way when the line was cut.
const SLACK: Duration = Duration::from_millis(100);
/// How long a handshake may take, as in the options below.
const HANDSHAKE: Duration = SECOND;
/// How long it takes to connect again, although each tenth attempt is refused.
const REDIALED: Duration = SECOND;

/// Which side monitors the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Each side pings the other.
    Both,
    /// The publisher pings, with a TTL.
    Publisher,
    /// The readers ping.
    Readers,
}

/// A publisher, its readers, and the longest silence that either side accepts.
struct Watched {
    sim: Sim,
    way: Way,
    timeout: Duration,
    node: usize,
    publisher: Publisher,
    publisher_options: Options,
    /// With their nodes.
    readers: Vec<(usize, Reader)>,
    next_number: u64,
}

impl Watched {
    fn new(seed: u64) -> Watched {
        let mut sim = Sim::new(seed);
        let way = [Way::Both, Way::Publisher, Way::Readers][sim.below(3)];
        // A reader that neither pings nor reads sends a sign of life once a second.
        let shortest = if way == Way::Publisher { 1000 } else { 100 };
        let interval = Duration::from_millis(shortest * [1, 3, 10][sim.below(3)]);
        let timeout = interval * (2 + sim.below(3) as u32);
        let marks = [1, 5, 1000][sim.below(3)];
        let silent = Options::new()
            .recv_hwm(marks)
            .send_hwm(marks)
            .handshake_timeout(HANDSHAKE)
            .reconnect(Duration::from_millis(10), Duration::from_millis(100))
            .heartbeat_off();
        let pings = silent.clone().heartbeat(interval, timeout);
        let asks = pings.clone().heartbeat_ttl(timeout);
        let (publisher_options, reader_options) = match way {
            Way::Both => (pings.clone(), pings),
            Way::Publisher => (asks, silent),
            Way::Readers => (silent, asks),
        };
        let (node, publisher) = publisher(&mut sim, &publisher_options);
        let readers = (0..1 + sim.below(3)).map(|_| reader(&mut sim, &reader_options)).collect();
        Watched { sim, way, timeout, node, publisher, publisher_options, readers, next_number: 0 }
    }

    /// Anything may happen, at any time.
    fn chaos(&mut self) {
        for _ in 0..25 {
            let r = self.sim.below(self.readers.len());
            let prefix = self.sim.pick(&PREFIXES);
            match self.sim.below(10) {
                0..4 => self.readers[r].1.subscribe(prefix),
                4..6 => self.readers[r].1.unsubscribe(prefix),
                6 => lock(&self.sim.world).break_one(),
                // If only one side pings, the other one learns of it by the first PING.
                7 if self.way == Way::Both => lock(&self.sim.world).cut_one(),
                8 => drop(self.readers[r].1.read()),
                _ => self.publish(),
            }
            let most = [5_000, 300_000][self.sim.below(2)];
            let pause = Duration::from_micros(self.sim.below(most) as u64);
            self.sim.run(pause);
            self.publisher.listen();
        }
    }

    fn publish(&mut self) {
        let topic = self.sim.pick(&TOPICS);
        let padding = self.sim.below(3) * self.sim.below(400);
        self.publisher.socket.send(message(0, self.next_number, topic, padding)).unwrap();
        self.next_number += 1;
    }

    /// Demand is exactly what the remaining readers want, over one connection each.
    fn check(&mut self) {
        self.publisher.listen();
        let prefixes = self.readers.iter().flat_map(|(_, reader)| reader.counts.keys());
        let wanted: BTreeSet<_> = prefixes.map(|p| Prefix::from(p.as_bytes())).collect();
        self.publisher.check(&wanted, self.readers.iter().map(|(_, reader)| reader.counts.len()).sum());
        assert_eq!(self.publisher.socket.stats().peers, self.readers.len() as u64, "{:?}", self.way);
    }

    /// Everything is noticed and repaired, and nothing is on its way any more. Heartbeats never end: virtual time advances
    /// by as much as that takes.
    fn calm(&mut self) {
        self.sim.run(self.timeout + 2 * HANDSHAKE + REDIALED);
        // The slowest line needs half a second for the largest message.
        while self.readers.iter_mut().map(|(_, reader)| reader.read().len()).sum::<usize>() > 0 {
            self.sim.run(self.timeout + SECOND);
        }
        self.check();
    }

    /// Nothing breaks, although readers read rarely: no peer is disconnected.
    fn live(&mut self) {
        let before = self.lost();
        for _ in 0..6 {
            for _ in 0..self.sim.below(20) {
                self.publish();
            }
            if self.sim.below(3) == 0 {
                self.readers.iter_mut().for_each(|(_, reader)| drop(reader.read()));
            }
            let pause = self.timeout.mul_f64(self.sim.below(30) as f64 / 10.0);
            self.sim.run(pause);
            assert_eq!(self.lost(), before, "{:?}: a living peer was given up", self.way);
            self.check();
        }
        self.calm();
        assert_eq!(self.lost(), before, "{:?}: a living peer was given up", self.way);
    }

    /// How many peers each side has disconnected.
    fn lost(&self) -> Vec<u64> {
        let readers = self.readers.iter().map(|(_, reader)| reader.handle().0.hub.stats().peers_lost);
        std::iter::once(self.publisher.socket.stats().peers_lost).chain(readers).collect()
    }

    /// Time passes, and readers take what still arrives: one that does not is not read by this side, and cannot notice anything.
    fn pass(&mut self, time: Duration) {
        for _ in 0..10 {
            self.readers.iter_mut().for_each(|(_, reader)| drop(reader.read()));
            self.sim.run(time / 10);
        }
    }

    /// The cable between two living peers is cut: both notice, and the reader connects again.
    fn cut_a_cable(&mut self) {
        lock(&self.sim.world).cut_one();
        self.pass(self.timeout + SLACK + REDIALED);
        self.check();
        self.calm();
    }

    /// The publisher's machine loses its power, and another one replaces it: the readers notice within the timeout, and
    /// send it their subscriptions.
    fn replace_the_publisher(&mut self) {
        self.sim.power_off(self.node);
        (self.node, self.publisher) = publisher(&mut self.sim, &self.publisher_options);
        self.pass(self.timeout + SLACK + REDIALED);
        self.check();
        self.calm();
    }

    /// A reader's machine loses its power: what it alone wanted becomes unwanted within the timeout.
    fn lose_a_reader(&mut self) {
        let r = self.sim.below(self.readers.len());
        let (node, _reader) = self.readers.swap_remove(r);
        self.sim.power_off(node);
        self.sim.run(self.timeout + SLACK);
        self.check();
    }
}

fn publisher(sim: &mut Sim, options: &Options) -> (usize, Publisher) {
    let shards = 1 + sim.below(2);
    let publisher = Publisher::new(sim.node(shards), options.clone());
    publisher.socket.bind("inproc://p").unwrap();
    (sim.newest_node(), publisher)
}

fn reader(sim: &mut Sim, options: &Options) -> (usize, Reader) {
    let socket = Sub::on(sim.node(1), None, options.clone()).unwrap();
    socket.connect("inproc://p").unwrap();
    let socket = Subscriber::Sub(socket);
    (sim.newest_node(), Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 })
}

fn run(seed: u64) {
    let mut watched = Watched::new(seed);
    watched.chaos();
    watched.calm();
    watched.live();
    watched.cut_a_cable();
    watched.replace_the_publisher();
    while !watched.readers.is_empty() {
        watched.lose_a_reader();
    }
}

#[test]
fn a_peer_that_vanishes_is_given_up_in_time_and_no_other() {
    for_each_seed(|seed| {
        if seed < 40 || seed % 10 == 0 {
            run(seed)
        }
    });
}

/// A reader of two publishers does not receive. One of them fills its socket just before the other, which has vanished, is
/// given up: that is not put off until the reader receives.
#[test]
fn a_publisher_that_vanishes_beside_a_flood_is_given_up_in_time() {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let mut sim = Sim::new(1);
    let options = Options::new().heartbeat(TIMEOUT / 2, TIMEOUT).received_bytes_max(1000);
    let publishers = ["inproc://gone", "inproc://flood"].map(|at| {
        let socket = XPub::on(sim.node(1), None, options.clone()).unwrap();
        socket.bind(at).unwrap();
        (sim.newest_node(), socket)
    });
    let reader = Sub::on(sim.node(1), None, options).unwrap();
    reader.subscribe("").unwrap();
    reader.connect("inproc://gone").unwrap();
    reader.connect("inproc://flood").unwrap();
    sim.run(SECOND);
    assert_eq!(reader.stats().peers, 2);
    let (gone, flood) = (publishers[0].0, &publishers[1].1);
    sim.power_off(gone);
    sim.run(TIMEOUT / 2);
    flood.send(vec![b'x'; 2000]).unwrap();
    sim.run(TIMEOUT / 2 + TIMEOUT / 2 + SLACK);
    assert_eq!(reader.stats().peers_lost, 1, "it is given up");
    assert_eq!(reader.stats().peers, 1, "and the one that lives is not");
    assert_eq!(reader.try_recv().unwrap().expect("what it sent is there").topic().len(), 2000);
}
