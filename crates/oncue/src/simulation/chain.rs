//! Chains of proxies: at every quiet point each publisher and proxy is told exactly what the subscribers behind it want,
//! whatever was killed, stopped, made again or cut before; and while nothing breaks, each message arrives once, in order.

use super::*;
use crate::proxy::{Proxy, ProxyOptions};
use crate::{Pub, XPub};

const PROXIES_MAX: usize = 5;
const READERS_MAX: usize = 4;
/// How long a chain may stay stopped, and a proxy dead.
const OUTAGE_MAX: Duration = Duration::from_secs(2);

/// How one proxy is made, each time.
#[derive(Clone)]
struct Plan {
    /// It connects to the side above it, which listens; or it listens, and the side above connects.
    frontend_connects: bool,
    plain_frontend: bool,
    plain_backend: bool,
    shards: usize,
    grace: Duration,
    options: Options,
}

/// A proxy at work.
struct Hop {
    node: usize,
    frontend: Subscriber,
    backend: Backend,
    proxy: Proxy,
}

enum Backend {
    Pub(Pub),
    XPub(XPub),
}

impl Backend {
    fn handle(&self) -> Socket<kind::Publisher, ()> {
        Socket::from_inner(match self {
            Backend::Pub(socket) => socket.0.clone(),
            Backend::XPub(socket) => socket.0.clone(),
        })
    }

    /// The prefixes that its subscribers want.
    fn wanted(&self) -> BTreeSet<Prefix> {
        let handle = self.handle();
        let ledger = handle.0.hub.demand.read();
        ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)).collect()
    }
}

struct Chain {
    sim: Sim,
    publisher: Publisher,
    plans: Vec<Plan>,
    /// By level, the first below the publisher; `None` while it is dead.
    hops: Vec<Option<Hop>>,
    /// With their nodes, and the level that they are connected to: 0 is the publisher.
    readers: Vec<(usize, usize, Reader)>,
    /// All sockets monitor their peers: one may vanish without a word.
    silent: bool,
    keeps: bool,
    options: Options,
    next_number: u64,
}

/// Where the socket below the publisher or proxy of this level connects.
fn below(level: usize) -> String {
    format!("inproc://below-{level}")
}

/// Where the frontend of the proxy of this level listens, if it does.
fn above(level: usize) -> String {
    format!("inproc://above-{level}")
}

fn frontend(subscriber: &Subscriber) -> Socket<kind::Subscriber, ()> {
    Socket::from_inner(match subscriber {
        Subscriber::Sub(socket) => socket.0.clone(),
        Subscriber::XSub(socket) => socket.0.clone(),
    })
}

impl Chain {
    fn new(seed: u64) -> Chain {
        let mut sim = Sim::new(seed);
        let silent = sim.below(2) == 0;
        let keeps = sim.below(4) == 0;
        let mut options = Options::new().send_hwm(100_000).handshake_timeout(Duration::from_secs(1));
        options = match silent {
            true => options.heartbeat(Duration::from_secs(30), Duration::from_secs(60)),
            false => options.heartbeat_off(),
        };
        let shards = 1 + sim.below(2);
        let publisher = Publisher::new(sim.node(shards), options.clone());
        publisher.socket.bind(&below(0)).unwrap();
        let proxies = 1 + sim.below(PROXIES_MAX);
        let plan = |sim: &Sim| Plan {
            frontend_connects: sim.below(2) == 0,
            plain_frontend: sim.below(3) == 0,
            plain_backend: sim.below(3) == 0,
            shards: 1 + sim.below(2),
            grace: [Duration::ZERO, Duration::from_millis(20), Duration::from_secs(5)][sim.below(3)],
            options: options.clone().recv_hwm([1, 5, 1000][sim.below(3)]),
        };
        let plans: Vec<_> = (0..proxies).map(|_| plan(&sim)).collect();
        let (hops, readers) = (plans.iter().map(|_| None).collect(), Vec::new());
        let mut chain =
            Chain { sim, publisher, plans, hops, readers, silent, keeps, options, next_number: 0 };
        if !chain.plans[0].frontend_connects {
            chain.publisher.socket.connect(&above(0)).unwrap();
        }
        // In any order: each side may have to wait for the other.
        let mut order: Vec<_> = (0..proxies).collect();
        while !order.is_empty() {
            let level = order.remove(chain.sim.below(order.len()));
            chain.make(level);
        }
        for _ in 0..1 + chain.sim.below(READERS_MAX) {
            chain.add_reader();
        }
        chain
    }

    /// Makes the proxy `at` this place, for the first time or again.
    fn make(&mut self, at: usize) {
        let plan = self.plans[at].clone();
        let control = self.sim.node(plan.shards);
        let node = self.sim.newest_node();
        let options = plan.options;
        let front = match plan.plain_frontend {
            true => Subscriber::Sub(Sub::on(control.clone(), None, options.clone()).unwrap()),
            false => Subscriber::XSub(XSub::on(control.clone(), None, options.clone()).unwrap()),
        };
        let backend = match plan.plain_backend {
            true => Backend::Pub(Pub::on(control, None, options).unwrap()),
            false => Backend::XPub(XPub::on(control, None, options).unwrap()),
        };
        backend.handle().bind(&below(at + 1)).unwrap();
        match plan.frontend_connects {
            true => drop(frontend(&front).connect(&below(at)).unwrap()),
            false => drop(frontend(&front).bind(&above(at)).unwrap()),
        }
        // Its dialer tries again whenever the proxy below dies.
        if self.plans.get(at + 1).is_some_and(|plan| !plan.frontend_connects) {
            backend.handle().connect(&above(at + 1)).unwrap();
        }
        let how = ProxyOptions::new().grace(plan.grace).keep_last(self.keeps);
        let proxy = match (&front, &backend) {
            (Subscriber::Sub(front), Backend::Pub(back)) => Proxy::with(front, back, how),
            (Subscriber::Sub(front), Backend::XPub(back)) => Proxy::with(front, back, how),
            (Subscriber::XSub(front), Backend::Pub(back)) => Proxy::with(front, back, how),
            (Subscriber::XSub(front), Backend::XPub(back)) => Proxy::with(front, back, how),
        };
        self.hops[at] = Some(Hop { node, frontend: front, backend, proxy: proxy.unwrap() });
    }

    fn add_reader(&mut self) {
        let control = self.sim.node(1);
        let socket = match self.sim.below(3) {
            0 => Subscriber::XSub(XSub::on(control, None, self.options.clone()).unwrap()),
            _ => Subscriber::Sub(Sub::on(control, None, self.options.clone()).unwrap()),
        };
        let mut reader = Reader { socket, counts: BTreeMap::new(), last: BTreeMap::new(), missed: 0 };
        // Mostly at the end of the chain.
        let ends = [self.plans.len(), self.plans.len(), self.sim.below(self.plans.len() + 1)];
        let level = ends[self.sim.below(3)];
        reader.handle().connect(&below(level)).unwrap();
        for _ in 0..self.sim.below(3) {
            reader.subscribe(self.sim.pick(&PREFIXES));
        }
        self.readers.push((self.sim.newest_node(), level, reader));
    }

    /// A process dies: its connections are reset, or it vanishes without a word.
    fn kill(&mut self, node: usize) {
        match self.silent && self.sim.below(2) == 0 {
            true => self.sim.power_off(node),
            false => self.sim.kill(node),
        }
    }

    fn chaos(&mut self, steps: usize) {
        for _ in 0..steps {
            self.sim.acts();
            match self.sim.below(16) {
                0..4 => drop(self.publish()),
                4..8 => self.change(),
                8 => lock(&self.sim.world).break_one(),
                9 if self.silent => lock(&self.sim.world).cut_one(),
                9 | 10 => fault(&mut self.sim),
                11 | 12 => self.strike(),
                13 => self.pause(),
                14 if self.readers.len() < READERS_MAX => self.add_reader(),
                14 => self.lose_reader(),
                _ => self.publisher.watch_anew(),
            }
            let pause = Duration::from_micros(self.sim.below(5000) as u64);
            self.sim.run(pause);
            self.publisher.listen();
            self.read();
        }
    }

    fn publish(&mut self) -> (usize, u64, String) {
        let topic = self.sim.pick(&TOPICS);
        let (number, padding) = (self.next_number, self.sim.below(3) * self.sim.below(400));
        self.publisher.socket.send(message(0, number, topic, padding)).unwrap();
        self.next_number += 1;
        (0, number, topic.to_owned())
    }

    fn change(&mut self) {
        let (r, prefix) = (self.sim.below(self.readers.len()), self.sim.pick(&PREFIXES));
        let Some((.., reader)) = self.readers.get_mut(r) else { return };
        match self.sim.below(2) {
            0 => reader.subscribe(prefix),
            _ => reader.unsubscribe(prefix),
        }
    }

    /// One proxy is killed, made again, or stopped for a while.
    fn strike(&mut self) {
        let at = self.sim.below(self.hops.len());
        let Some(hop) = &self.hops[at] else { return self.make(at) };
        let (node, shards) = (hop.node, self.plans[at].shards);
        if self.sim.below(3) == 0 {
            self.kill(node);
            // Nothing that its owner does reaches another process any more.
            self.hops[at] = None;
            if self.sim.below(2) == 0 {
                self.make(at);
            }
            return;
        }
        let outage = OUTAGE_MAX / (1 + self.sim.below(1000) as u32);
        (0..shards).for_each(|shard| self.sim.stall((node, shard), outage));
    }

    fn pause(&mut self) {
        let at = self.sim.below(self.hops.len());
        if let Some(hop) = &self.hops[at] {
            match self.sim.below(2) {
                0 => hop.proxy.pause(),
                _ => hop.proxy.resume(),
            }
        }
    }

    fn lose_reader(&mut self) {
        let (node, _, reader) = self.readers.swap_remove(self.sim.below(self.readers.len()));
        if self.sim.below(2) == 0 {
            self.kill(node);
        }
        drop(reader);
    }

    fn read(&mut self) -> Vec<Vec<Received>> {
        // A kept value may be older than what came before; so is what has arrived by a line that was cut, where the other
        // side has made a new one.
        let in_order = !self.keeps && !self.silent;
        let read = |reader: &mut Reader| {
            if in_order {
                return reader.read();
            }
            std::iter::from_fn(|| reader.handle().0.hub.inbound.pop()).map(|m| parse(&m)).collect()
        };
        self.readers.iter_mut().map(|(.., reader)| read(reader)).collect()
    }

    fn settle(&mut self) -> Option<Vec<Vec<Received>>> {
        (0..QUIET_ROUNDS).find_map(|_| {
            self.sim.run(QUIET);
            let got = self.read();
            got.iter().any(|got| !got.is_empty()).then_some(got)
        })
    }

    /// Everything lives, and time passes: then each part of the chain knows exactly what is wanted below it.
    fn calm(&mut self) {
        for at in 0..self.hops.len() {
            if self.hops[at].is_none() {
                self.make(at);
            }
        }
        self.hops.iter().flatten().for_each(|hop| hop.proxy.resume());
        for _ in 0..2 {
            self.sim.run(CALM);
            while self.settle().is_some() {}
        }
        self.publisher.listen();
        for level in 0..=self.hops.len() {
            let below = self.readers.iter().filter(|(_, at, _)| *at >= level);
            let prefixes = below.flat_map(|(.., reader)| reader.counts.keys());
            let union: BTreeSet<_> = prefixes.map(|prefix| Prefix::from(prefix.as_bytes())).collect();
            let Some(above) = level.checked_sub(1) else {
                assert_eq!(self.publisher.told, union, "the publisher's events");
                assert_eq!(self.publisher.watched, union, "the publisher's watch");
                continue;
            };
            let hop = self.hops[above].as_ref().expect("all are alive");
            assert_eq!(hop.backend.wanted(), union, "proxy {level}");
            assert_eq!(frontend(&hop.frontend).stats().peers, 1, "proxy {level}: publishers");
        }
    }

    /// While nothing breaks, each message arrives once where it is wanted, in order.
    fn measure(&mut self, messages: usize) {
        let mut got = vec![Vec::new(); self.readers.len()];
        let mut take = |more: Vec<Vec<Received>>| {
            got.iter_mut().zip(more).for_each(|(got, more)| got.extend(more));
        };
        let mut sent = Vec::new();
        for _ in 0..messages {
            self.sim.acts();
            sent.push(self.publish());
            if self.sim.below(4) == 0 {
                let pause = Duration::from_micros(self.sim.below(2000) as u64);
                self.sim.run(pause);
            }
            if self.sim.below(8) == 0 {
                take(self.read());
            }
        }
        while let Some(more) = self.settle() {
            take(more);
        }
        for ((.., level, reader), got) in self.readers.iter().zip(&got) {
            let want: Vec<_> = sent.iter().filter(|m| reader.wants(m.2.as_bytes())).cloned().collect();
            assert_eq!(got, &want, "at level {level}");
        }
    }
}

fn run(seed: u64) {
    let mut chain = Chain::new(seed);
    for _ in 0..3 {
        chain.chaos(60);
        chain.calm();
        chain.measure(40);
    }
    // All subscribers leave, in one way or another.
    while !chain.readers.is_empty() {
        chain.lose_reader();
    }
    chain.calm();
}

#[test]
fn a_chain_of_proxies_tells_exactly_what_is_wanted_below() {
    for_each_seed(run);
}
