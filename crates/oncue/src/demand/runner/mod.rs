//! The thread that carries demand to the state machine and its decisions to the producers. It waits for three things
//! at once: changes of demand, notes of producers, and the next deadline. Of values only those pass through it that
//! were held back.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use oncue_core::feeds::{Decision, Demand, End, FeedState, RouteId};

use self::announce::States;
use self::live::Live;
use self::plan::RouteRun;
use self::schedule::{Due, Key, Schedule};
use self::shared::Shared;
use crate::demand::feed::desk::Note;
use crate::demand::feed::failure::Failure;
use crate::demand::feed::{Activation, Feed};
use crate::demand::producers::catalogue::Catalogue;
use crate::error::Error;
use crate::op::Op;
use crate::socket::{DemandEvent, DemandWatch, XPub};
use crate::sync::lock;

pub(crate) mod announce;
pub(crate) mod defaults;
pub(crate) mod live;
pub(crate) mod plan;
pub(crate) mod schedule;
pub(crate) mod shared;

/// Changes of demand taken in one turn, so that deadlines and notes get theirs.
const EVENTS_PER_TURN_MAX: usize = 256;

/// Waiting topics whose subscribers are counted in one turn: a hundred thousand take four hundred turns.
const COUNTED_PER_TURN_MAX: usize = 256;

pub(crate) struct Runner {
    watch: DemandWatch,
    socket: XPub,
    shared: Arc<Shared>,
    states: States,
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
    pub(crate) fn new(socket: XPub, shared: Arc<Shared>, states: States) -> Runner {
        let (watch, schedule, live) = (socket.demand(), Schedule::default(), HashMap::new());
        Runner { watch, socket, shared, states, schedule, live }
    }

    /// Runs on a thread of its own until the routes are stopped, or their socket is closed.
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("oncue-demand".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        self.shared.desk.adopt_thread();
        let snapshot = self.watch.snapshot().to_vec();
        for prefix in snapshot {
            let now = self.shared.desk.now();
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
            let now = self.shared.desk.now();
            self.count_waiting();
            self.machine(|machine| machine.tick(now));
            self.obey();
            self.schedule.run(now, &self.shared.workers);
        }
    }

    fn wait(&self) -> Turn {
        let (mut notes, mut event) = (self.shared.desk.notes(), self.watch.next());
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
                let time = deadline.saturating_sub(self.shared.desk.now());
                Op(turn).wait_timeout(time).unwrap_or(Turn::Time)
            }
        }
    }

    /// Whether there is more to come.
    fn hear(&mut self, event: Result<DemandEvent, Error>) -> bool {
        let now = self.shared.desk.now();
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
        let now = self.shared.desk.now();
        match note {
            Note::Ended { id, generation, failed } => {
                // A periodic feed may report its end twice.
                let Some(live) = self.live.remove(&generation) else { return true };
                live.end(&mut self.schedule, &self.shared.workers);
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
            Note::Hold { generation, until } => {
                // Stopped since, the feed has dropped the value.
                let live = self.live.get(&generation).filter(|live| live.feed().is_active());
                if let Some(live) = live {
                    self.schedule.add(Key::Value(generation), until, Due::Value(live.feed().clone()));
                }
            }
            Note::Asked(topic) => {
                let generation = self.machine(|machine| machine.running(&topic));
                // One that is about to begin is filled in then.
                if let Some(live) = generation.and_then(|generation| self.live.get_mut(&generation)) {
                    live.fill(live.feed().published(), &self.socket, &self.shared.workers);
                }
            }
            Note::Listed { route, topics } => self.relist(route, topics, now),
            Note::Routes { added, removed } => {
                removed.into_iter().for_each(|route| self.schedule.forget(Key::List(route)));
                added.into_iter().for_each(|route| self.begin_to_list(route, now));
            }
            Note::Stop => return false,
        }
        self.obey();
        true
    }

    /// Begins to list the catalogue of a route that has just been added, if a function does that.
    fn begin_to_list(&mut self, route: RouteId, now: Duration) {
        let lister = lock(&self.shared.plan).routes.get(&route).and_then(|route| route.lister.clone());
        if let Some(lister) = lister {
            let catalogue = Catalogue::new(route, lister, self.shared.desk.clone());
            self.schedule.add(Key::List(route), now, Due::Tick(catalogue));
        }
    }

    fn relist(&self, id: RouteId, topics: Result<Vec<Vec<u8>>, Failure>, now: Duration) {
        let mut plan = lock(&self.shared.plan);
        let Some(route) = plan.routes.get(&id).cloned() else { return };
        let relisted = topics.and_then(|topics| {
            plan.machine.relist(id, topics, now).map_err(|error| Failure::Error(error.into()))
        });
        match relisted {
            Ok(()) => route.listed(plan.machine.route_stats(id).listed, now),
            Err(failure) => {
                drop(plan);
                self.shared.fail_list(&route, &failure);
            }
        }
    }

    /// Does what the machine has decided.
    fn obey(&mut self) {
        while let Some((decision, route)) = self.decision() {
            match decision {
                Decision::Start { feed: id, route: from, topic, params, generation, since } => {
                    let Some(route) = route else {
                        // The route has gone since: a stop has been decided too.
                        let now = self.shared.desk.now();
                        self.machine(|machine| machine.ended(id, generation, End::Finished, now));
                        continue;
                    };
                    let (desk, on_failure) = (self.shared.desk.clone(), self.shared.reports.feed.clone());
                    let (feeds, route) = (route.feeds.clone(), (from, &*route));
                    let of =
                        Activation { id, generation, topic, params, since, route: feeds, desk, on_failure };
                    self.begin(of, route);
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

    fn begin(&mut self, of: Activation, route: (RouteId, &RouteRun)) {
        let (id, generation, now) = (of.id, of.generation, self.shared.desk.now());
        let feed = Feed::new(of, self.socket.clone());
        lock(&self.shared.feeds).insert(generation, feed.clone());
        let workers = &self.shared.workers;
        match Live::begin(feed.clone(), route, &mut self.schedule, workers, now) {
            Some(mut live) => {
                self.shared.desk.forget_asked(feed.topic());
                live.fill(0, &self.socket, workers);
                self.live.insert(generation, live);
            }
            None => {
                let _feed = lock(&self.shared.feeds).remove(&generation);
                self.machine(|machine| machine.ended(id, generation, End::Failed, now));
            }
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
        self.states.tell(topic, state);
        match route {
            Some(route) if state == FeedState::Idle => {
                route.feeds.keep.iter().for_each(|keep| keep.leave(&self.socket, topic));
            }
            Some(_) => {}
            // A feed may have published when the route had gone already.
            None => drop(self.socket.forget_last(topic)),
        }
    }

    fn machine<T>(&self, change: impl FnOnce(&mut Demand) -> T) -> T {
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
            self.states.tell(live.feed().topic(), FeedState::Closed);
        }
        self.shared.workers.close();
        for (_, live) in self.live.drain() {
            live.give_up();
        }
        self.shared.end();
    }
}
