//! The thread that carries demand to the state machine and its decisions to the producers. It waits for three things
//! at once: changes of demand, notes of producers, and the next deadline. Of values only those pass through it that
//! were held back.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::{io, thread};

use oncue_core::feeds::{Decision, End, FeedState, Feeds};

use self::live::Live;
use self::plan::RouteRun;
use self::schedule::{Due, Schedule};
use self::shared::{Note, Shared, adopt_thread};
use crate::demand::feed::{Activation, Feed};
use crate::demand::producers::fill::Fill;
use crate::error::Error;
use crate::op::Op;
use crate::socket::{DemandEvent, DemandWatch, XPub};
use crate::sync::lock;

pub(crate) mod announce;
pub(crate) mod asked;
pub(crate) mod defaults;
pub(crate) mod live;
pub(crate) mod plan;
pub(crate) mod schedule;
pub(crate) mod shared;

/// Changes of demand taken in one turn, so that deadlines and notes get theirs.
const EVENTS_PER_TURN_MAX: usize = 256;

/// Waiting topics whose subscribers are counted in one turn: a hundred thousand take four hundred turns.
const COUNTED_PER_TURN_MAX: usize = 256;

pub(crate) fn start(socket: XPub, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let (watch, schedule, live) = (socket.demand(), Schedule::default(), HashMap::new());
    let runner = Runner { watch, socket, shared, schedule, live };
    thread::Builder::new().name("oncue-demand".to_owned()).spawn(move || runner.run())
}

struct Runner {
    watch: DemandWatch,
    socket: XPub,
    shared: Arc<Shared>,
    schedule: Schedule,
    /// The feeds started whose end has not been reported, by generation.
    live: HashMap<u64, Live>,
}

enum Turn {
    Demand(Result<DemandEvent, Error>),
    Notes(Vec<Note>),
    Time,
}

impl Runner {
    fn run(mut self) {
        adopt_thread(self.shared.id());
        let snapshot = self.watch.snapshot().to_vec();
        for prefix in snapshot {
            let now = self.shared.now();
            self.machine(|machine| machine.wanted(&prefix, now));
            self.obey();
        }
        loop {
            let goes_on = match self.wait() {
                Turn::Demand(event) => self.hear(event) && self.hear_more(),
                Turn::Notes(notes) => notes.into_iter().all(|note| self.heed(note)),
                Turn::Time => true,
            };
            if !goes_on {
                return;
            }
            let now = self.shared.now();
            self.count_waiting();
            self.machine(|machine| machine.tick(now));
            self.obey();
            self.schedule.run(now, &self.shared);
        }
    }

    fn wait(&self) -> Turn {
        let (mut notes, mut event) = (self.shared.notes(), self.watch.next());
        let turn = poll_fn(|context| {
            if let Poll::Ready(notes) = Pin::new(&mut notes).poll(context) {
                return Poll::Ready(Turn::Notes(notes));
            }
            Pin::new(&mut event).poll(context).map(Turn::Demand)
        });
        let machine = self.machine(|machine| machine.next_deadline());
        match machine.into_iter().chain(self.schedule.next()).min() {
            None => Op(turn).wait(),
            Some(deadline) => {
                let time = deadline.saturating_sub(self.shared.now());
                Op(turn).wait_timeout(time).unwrap_or(Turn::Time)
            }
        }
    }

    /// Whether there is more to come.
    fn hear(&mut self, event: Result<DemandEvent, Error>) -> bool {
        let now = self.shared.now();
        match event {
            Ok(DemandEvent::Wanted(prefix)) => self.machine(|machine| machine.wanted(&prefix, now)),
            Ok(DemandEvent::Unwanted(prefix)) => self.machine(|machine| machine.unwanted(&prefix, now)),
            // The socket was closed, or its engine has died: there is nobody to produce for.
            Err(_) => return false,
        }
        self.obey();
        true
    }

    fn hear_more(&mut self) -> bool {
        for _ in 0..EVENTS_PER_TURN_MAX {
            let goes_on = match self.watch.try_next() {
                Ok(None) => break,
                Ok(Some(event)) => self.hear(Ok(event)),
                Err(error) => self.hear(Err(error)),
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn heed(&mut self, note: Note) -> bool {
        let now = self.shared.now();
        match note {
            Note::Ended { id, generation, failed } => {
                // A periodic feed may report its end twice.
                let Some(live) = self.live.remove(&generation) else { return true };
                self.schedule.forget_feed(generation);
                if live.feed().is_filling() {
                    // It would be for nobody, and wait there for as long as the workers are held up.
                    self.shared.workers.forget(generation);
                }
                live.join();
                // Dropped when nothing is locked: the last of a route may own what calls back.
                let _feed = lock(&self.shared.feeds).remove(&generation);
                let end = if failed { End::Failed } else { End::Finished };
                // There is room now.
                self.count_waiting();
                self.machine(|machine| machine.ended(id, generation, end, now));
            }
            Note::Produced { id, generation } => {
                self.machine(|machine| machine.produced(id, generation, now));
            }
            Note::Quit { generation } => {
                if let Some(live) = self.live.get_mut(&generation) {
                    live.stop(&mut self.schedule);
                }
            }
            // Stopped since: the value went with it.
            Note::Hold { feed, .. } if !feed.is_active() => {}
            Note::Hold { feed, until } => {
                let at = until.saturating_duration_since(self.shared.origin);
                self.schedule.add(at, Due::Value(feed));
            }
            Note::Asked(topic) => {
                let generation = self.machine(|machine| machine.running(&topic));
                // One that is about to begin is filled in then.
                if let Some(live) = generation.and_then(|generation| self.live.get(&generation)) {
                    self.fill(Fill::again(live.feed(), &self.socket));
                }
            }
            Note::List(listing) => self.schedule.add(now, Due::List(listing)),
            Note::Gone(routes) => routes.into_iter().for_each(|route| self.schedule.forget_list(route)),
            Note::Look => {}
            Note::Stop => return false,
        }
        self.obey();
        true
    }

    /// Does what the machine has decided.
    fn obey(&mut self) {
        while let Some((decision, route)) = self.decision() {
            match decision {
                Decision::Start { feed: id, topic, params, generation, since, .. } => {
                    self.begin(Activation { id, generation, topic, params, since }, route);
                }
                Decision::Stop { generation, wanted, .. } => {
                    if let Some(live) = self.live.get_mut(&generation) {
                        live.stop(&mut self.schedule);
                        if !wanted {
                            // Here and not when its state is told: a value may be kept that nobody has heard of.
                            live.feed().leave_last(&self.socket);
                        }
                    }
                }
                Decision::State { topic, state, .. } => self.say(&topic, state, route.as_deref()),
            }
        }
    }

    fn decision(&self) -> Option<(Decision, Option<Arc<RouteRun>>)> {
        let mut plan = lock(&self.shared.plan);
        let decision = plan.machine.poll()?;
        let route = match &decision {
            Decision::Start { route, .. } | Decision::State { route, .. } => plan.routes.get(route).cloned(),
            _ => None,
        };
        Some((decision, route))
    }

    fn begin(&mut self, of: Activation, route: Option<Arc<RouteRun>>) {
        let (id, generation) = (of.id, of.generation);
        let Some(route) = route else {
            // The route has gone since: a stop has been decided too.
            let now = self.shared.now();
            return self.machine(|machine| machine.ended(id, generation, End::Finished, now));
        };
        let feed = Feed::new(of, self.socket.clone(), route.clone(), self.shared.clone());
        lock(&self.shared.feeds).insert(generation, feed.clone());
        match Live::begin(feed.clone(), &route.producer, &mut self.schedule, &self.shared) {
            Some(live) => {
                self.live.insert(generation, live);
                self.shared.forget_asked(feed.topic());
                self.fill(Fill::at_start(&feed, &self.socket));
            }
            None => {
                let _feed = lock(&self.shared.feeds).remove(&generation);
                let now = self.shared.now();
                self.machine(|machine| machine.ended(id, generation, End::Failed, now));
            }
        }
    }

    fn fill(&self, fill: Option<Arc<Fill>>) {
        if let Some(fill) = fill {
            self.shared.workers.queue(vec![fill]);
        }
    }

    /// Who has the most subscribers is served first.
    fn count_waiting(&self) {
        let socket = &self.socket;
        self.machine(|machine| {
            machine.count_waiting(COUNTED_PER_TURN_MAX, |topic| socket.subscribers(topic))
        });
    }

    /// What is true of a topic has changed; of the routes that served it, this one is not gone.
    fn say(&self, topic: &[u8], state: FeedState, route: Option<&RouteRun>) {
        self.shared.states.tell(topic, state);
        match route {
            Some(route) if state == FeedState::Idle => {
                route.keep.iter().for_each(|keep| keep.leave(&self.socket, topic));
            }
            Some(_) => {}
            // A feed may have published when the route had gone already.
            None => drop(self.socket.forget_last(topic)),
        }
    }

    fn machine<T>(&self, change: impl FnOnce(&mut Feeds) -> T) -> T {
        change(&mut lock(&self.shared.plan).machine)
    }
}

/// Ends all feeds and waits for the threads that produce, also when the runner has panicked: no feed is left without
/// somebody to stop it.
impl Drop for Runner {
    fn drop(&mut self) {
        for live in self.live.values_mut() {
            live.stop(&mut self.schedule);
            live.feed().leave_last(&self.socket);
            self.shared.states.tell(live.feed().topic(), FeedState::Closed);
        }
        self.shared.workers.close();
        for (_, live) in self.live.drain() {
            live.give_up();
        }
        self.shared.end();
    }
}
