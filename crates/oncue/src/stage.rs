//! The production shards on the simulated network, and peers that send them any bytes. Tests and the fuzz targets use it;
//! nothing here is in a published build.

pub mod coat;
#[cfg(fuzzing)]
pub mod files;
pub(crate) mod network;
pub(crate) mod pairs;
pub mod script;
pub mod stranger;
pub mod web;

#[cfg(test)]
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::network::{Place, SimNet, SimStream, World};
use crate::engine::shard::mailbox::Mailbox;
use crate::engine::{Control, Driver, Holding, PEER_WORK_MAX, TURN_WORK_MAX};
use crate::net::Ready;
use crate::sync::lock;

/// The most work of a turn: its bound, the share of the peer that reached it, and the small cost of each of many.
const WORK_MAX: u32 = TURN_WORK_MAX + 2 * PEER_WORK_MAX;
/// The most turns until all shards have nothing to do that nothing will report.
const TURNS_MAX: u32 = 1_000_000;

#[cfg(test)]
thread_local! {
    /// What has happened in all simulations of this thread that are over.
    static EVENTS: Cell<u64> = const { Cell::new(0) };
}

/// How many events there were in all simulations of this thread that are over: things on the network (an attempt to connect,
/// an arrival, room), reports to a shard, turns of a shard, timers that are due, and actions of the user.
#[cfg(test)]
pub(crate) fn events_of_all() -> u64 {
    EVENTS.get()
}

/// The nodes and their network.
pub(crate) struct Sim {
    pub(crate) world: Arc<Mutex<World>>,
    nodes: Vec<Node>,
    deadlines: BTreeMap<Place, Duration>,
    /// The most that any shard has held so far, and the most work of any turn.
    pub(crate) most: Holding,
}

#[cfg(test)]
impl Drop for Sim {
    fn drop(&mut self) {
        EVENTS.set(EVENTS.get() + lock(&self.world).events_seen);
    }
}

struct Node {
    driver: Arc<Driver<SimNet>>,
    mailboxes: Vec<Arc<Mailbox<SimStream>>>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Sim {
        Sim {
            world: World::new(seed),
            nodes: Vec::new(),
            deadlines: BTreeMap::new(),
            most: Holding::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn below(&self, n: usize) -> usize {
        lock(&self.world).below(n as u64) as usize
    }

    #[cfg(test)]
    pub(crate) fn pick<'a>(&self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A node with its own engine. Returns how its sockets reach it.
    pub(crate) fn node(&mut self, shards: usize) -> Arc<dyn Control> {
        let node = self.nodes.len();
        let mailbox = |shard| {
            let world = self.world.clone();
            let ring = move || {
                lock(&world).ring((node, shard));
            };
            Arc::new(Mailbox::new(ring))
        };
        let mailboxes: Vec<_> = (0..shards).map(mailbox).collect();
        let nets =
            (0..shards).map(|shard| SimNet { world: self.world.clone(), place: (node, shard) }).collect();
        let seed = lock(&self.world).below(u64::MAX);
        let world = self.world.clone();
        let clock = Arc::new(move || lock(&world).now);
        let pollers = vec![None; shards];
        let driver = Arc::new(Driver::new(nets, mailboxes.clone(), pollers, seed, clock));
        lock(&self.world).rung.extend((0..shards).map(|shard| (node, shard)));
        self.nodes.push(Node { driver: driver.clone(), mailboxes });
        driver
    }

    /// The node that was added last.
    #[cfg(test)]
    pub(crate) fn newest_node(&self) -> usize {
        self.nodes.len() - 1
    }

    /// A node loses its power: it does nothing any more, and no other node learns of it.
    #[cfg(test)]
    pub(crate) fn power_off(&mut self, node: usize) {
        lock(&self.world).power_off(node);
        self.deadlines.retain(|place, _| place.0 != node);
    }

    /// A shard gets no turn for `time`, whatever comes for it.
    #[cfg(test)]
    pub(crate) fn stall(&mut self, place: Place, time: Duration) {
        let mut world = lock(&self.world);
        let until = world.now + time;
        world.stalled.insert(place, until);
    }

    /// A random shard of a random node.
    #[cfg(test)]
    pub(crate) fn any_place(&self) -> Place {
        let node = self.below(self.nodes.len());
        (node, self.below(self.nodes[node].mailboxes.len()))
    }

    /// The clock jumps forward, and nothing has happened meanwhile that a shard could have seen, as when the machine slept.
    #[cfg(test)]
    pub(crate) fn jump(&mut self, time: Duration) {
        let mut world = lock(&self.world);
        let then = world.now + time;
        world.advance(then);
    }

    /// The user does something: counted as an event.
    #[cfg(test)]
    pub(crate) fn acts(&self) {
        lock(&self.world).events_seen += 1;
    }

    /// The process of a node is killed: the system resets its connections.
    #[cfg(test)]
    pub(crate) fn kill(&mut self, node: usize) {
        lock(&self.world).kill(node);
        self.deadlines.retain(|place, _| place.0 != node);
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until_quiet(time);
        #[cfg(test)]
        self.nodes.iter().for_each(|node| node.driver.check_counts());
    }

    fn run_until_quiet(&mut self, time: Duration) {
        let end = lock(&self.world).now + time;
        loop {
            self.turn_all();
            let next = self.next();
            let now = match next {
                Some(at) if at <= end => at.max(lock(&self.world).now),
                _ => end,
            };
            let mut world = lock(&self.world);
            world.advance(now);
            world.stalled.retain(|_, until| *until > now);
            let due: Vec<_> = self.deadlines.iter().filter(|(_, at)| **at <= now).map(|(p, _)| *p).collect();
            for place in due {
                // A timer that is due counts as an event, once.
                self.deadlines.remove(&place);
                world.rung.insert(place);
                world.events_seen += 1;
            }
            let idle = world.due().is_empty();
            drop(world);
            if now == end && idle && self.next().is_none_or(|at| at > end) {
                return;
            }
        }
    }

    /// When something happens next by itself: on the network, by a timer, or a stalled shard goes on.
    fn next(&self) -> Option<Duration> {
        let world = lock(&self.world);
        let stalled = world.stalled.values().copied().filter(|until| *until > world.now);
        world.next_event().into_iter().chain(self.deadlines.values().copied()).chain(stalled).min()
    }

    /// Turns every shard that has something to do, in random order.
    fn turn_all(&mut self) {
        for _ in 0..TURNS_MAX {
            let (place, ready, now) = {
                let mut world = lock(&self.world);
                let due = world.due();
                if due.is_empty() {
                    return;
                }
                let nth = world.below(due.len() as u64) as usize;
                let place = *due.iter().nth(nth).expect("below the length");
                world.rung.remove(&place);
                let ready = world.reports.remove(&place).unwrap_or_default();
                world.events_seen += 1 + ready.len() as u64;
                (place, ready, world.now)
            };
            self.turn(place, &ready, now);
        }
        panic!("a shard makes turns for ever, and there is nothing to do");
    }

    fn turn(&mut self, place: Place, ready: &[Ready], now: Duration) {
        let node = &self.nodes[place.0];
        node.mailboxes[place.1].wake_up();
        let deadline = node.driver.turn(place.1, now, ready);
        let holding = node.driver.holding(place.1);
        let again = !node.mailboxes[place.1].fall_asleep() || deadline.is_some_and(|at| at <= now);
        self.deadlines.remove(&place);
        if again {
            lock(&self.world).rung.insert(place);
        } else if let Some(at) = deadline {
            self.deadlines.insert(place, at);
        }
        assert!(holding.work <= WORK_MAX, "a turn does a bounded amount of work: {holding:?}");
        // A peer that has gone waits no longer than the turn that notices it.
        assert!(holding.waiting <= 2 * holding.peers + 32, "each peer waits once: {holding:?}");
        let most = &mut self.most;
        most.received_bytes = most.received_bytes.max(holding.received_bytes);
        most.control_bytes = most.control_bytes.max(holding.control_bytes);
        most.queued_messages = most.queued_messages.max(holding.queued_messages);
    }
}
