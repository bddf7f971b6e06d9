//! The runner: the thread that carries demand to the state machine, and the machine's decisions to the producers. It waits
//! for three things at once: changes of demand, notes, and the next deadline. Values do not pass through it, but for those
//! that were held back, and for the first values of topics whose functions are quick: the runner's thread calls these
//! itself, and leaves the runner at the [`Helm`] meanwhile, where a second thread takes it if a call lasts.
//!
//! # What it holds
//! - Alone: the watch of the socket's demand; the [`Schedule`] (ticks, lists, values held back); the feeds that run, each
//!   with what is needed to stop its producer ([`Live`]); the states of topics.
//! - With the [`OnDemand`](crate::OnDemand) handle ([`Shared`]): the plan (the state machine and the routes), the feeds by
//!   generation, the workers, and the desk (letterbox, clock, counts), which every feed holds as well.
//!
//! # What other threads may do
//! - Leave a [`Note`] at the desk: any thread, at any time. Notes and counts are the only way from a feed to the runner.
//! - Read counts and replace the routes, which changes the plan and then leaves a note: any thread but an I/O thread that
//!   decides about a subscription. Decisions of the machine are carried out by the runner alone.
//! - Queue jobs: the runner alone. Workers are joined by the runner alone; its first thread joins the second one, and is joined
//!   by [`OnDemand::stop`](crate::OnDemand::stop), never on a thread of its own ([`Desk::on_own_thread`]).
//!
//! # The order of locks
//! A thread that holds a lock takes only locks further to the right:
//!
//! ```text
//! rules ── plan ── the socket's ledger               a change of routes; counting the subscribers of waiting topics
//! batch ── outlet ── kept values ── socket           a call for many feeds; publishing
//!    └── workers     └── letterbox                   queueing the call; the first value
//! feeds                                              nothing else is locked meanwhile
//! ```
//!
//! The helm's lock is taken alone. *rules* is the lock in `routes/rules.rs`, *plan* and *feeds* are in `shared.rs`, *batch* is the set of feeds of a batch
//! route, *outlet* is of one feed, *kept values* of one route, *letterbox* is in the desk. Several outlets are locked together
//! only by `Feed::publish_all`, in the order of generations.
//!
//! # What is never done under a lock
//! - Calling a user's function: producers, fills, catalogue functions, reports of failures, manual functions, the payload's
//!   `as_ref`. The one exception are rules about subscriptions ([`RouteBuilder::admit`](crate::demand::RouteBuilder::admit)):
//!   they run on an I/O thread with *rules* locked for reading, and therefore may neither reload nor wait.
//! - Dropping what a user's function owns, which may call back: routes, feeds and jobs are moved out and dropped afterwards.
//! - Joining a thread, and waking a task that waits for a feed.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use oncue_core::feeds::{Decision, End, FeedId, FeedState, Feeds, RouteId, Unserved};

pub(crate) use self::announce::States;
use self::announce::why_unserved;
use self::helm::Helm;
use self::live::{FINISHED, Live};
pub use self::plan::Reloaded;
pub(crate) use self::plan::{AdmitFn, Guard, Listed, Planned, Replaced, RouteRun, refused};
use self::schedule::{Key, Schedule};
pub(crate) use self::shared::{Reports, Shared};
pub(crate) use self::starts::{STARTS_PER_MINUTE_MAX, Starts};
use crate::demand::feed::{Activation, Failure, Feed, Note, add};
use crate::demand::producers::{Held, Job, Listing, next_tick};
use crate::error::Error;
use crate::events;
use crate::op::Op;
use crate::socket::{DemandEvent, DemandWatch, XPub};
use crate::sync::lock;

mod announce;
mod helm;
mod live;
mod plan;
mod schedule;
mod shared;
mod starts;

/// How many changes of demand are taken in one turn, so that deadlines and notes get their turn.
const EVENTS_PER_TURN_MAX: usize = 256;

/// How many waiting topics have their subscribers counted in one turn: 100,000 topics take 400 turns.
const COUNTED_PER_TURN_MAX: usize = 256;

pub(crate) struct Runner {
    watch: DemandWatch,
    socket: XPub,
    shared: Arc<Shared>,
    states: States,
    schedule: Schedule,
    /// The feeds started whose end has not been reported, by generation.
    live: HashMap<u64, Live>,
    /// Quick jobs that are due, for this thread.
    calls: VecDeque<Arc<dyn Job>>,
    helm: Arc<Helm<Box<Runner>>>,
}

/// Runs the runner, or looks out while another thread does, until its end.
fn steer(mut runner: Option<Box<Runner>>, helm: &Helm<Box<Runner>>) {
    // Also if the runner panics.
    struct End<'a>(&'a Helm<Box<Runner>>);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.finish();
        }
    }

    while let Some(runner) = runner.take().or_else(|| helm.look_out()) {
        let end = End(helm);
        if !runner.run() {
            std::mem::forget(end);
        }
    }
}

enum Turn {
    Demand(Result<DemandEvent, Error>),
    Notes(Vec<Note>),
    Time,
}

impl Runner {
    pub(crate) fn new(socket: XPub, shared: Arc<Shared>, states: States) -> Runner {
        let (watch, schedule, live) = (socket.demand(), Schedule::default(), HashMap::new());
        let (calls, helm) = (VecDeque::new(), Arc::new(Helm::new()));
        Runner { watch, socket, shared, states, schedule, live, calls, helm }
    }

    /// Runs on a thread of its own until the routes are stopped, or their socket is closed. When that thread ends, so has the
    /// lookout.
    pub(crate) fn start(mut self) -> io::Result<JoinHandle<()>> {
        let (helm, desk) = (self.helm.clone(), self.shared.desk.clone());
        let first = move || {
            desk.adopt_thread();
            self.begin_with_snapshot();
            steer(Some(Box::new(self)), &helm);
            if let Some(lookout) = helm.take_thread() {
                lookout.join().expect("the lookout does not panic");
            }
        };
        thread::Builder::new().name("oncue-demand".to_owned()).spawn(first)
    }

    fn begin_with_snapshot(&mut self) {
        let snapshot = self.watch.snapshot().iter().filter(|prefix| !self.states.covers(prefix));
        for prefix in snapshot.cloned().collect::<Vec<_>>() {
            let now = self.shared.desk.now();
            self.machine(|machine| machine.wanted(&prefix, now));
            self.carry_out();
        }
    }

    /// Runs until the routes are stopped, or their socket is closed, or until a function has been called for so long that
    /// another thread goes on. Returns whether they have ended.
    fn run(mut self: Box<Self>) -> bool {
        let helm = self.helm.clone();
        loop {
            while let Some(job) = self.calls.pop_front() {
                match helm.leave(self) {
                    Ok(call) => {
                        job.run();
                        // It may own what calls back.
                        drop(job);
                        match helm.come_back(call) {
                            Some(runner) => self = runner,
                            None => return false,
                        }
                    }
                    Err(runner) => {
                        self = runner;
                        let calls = std::iter::once(job).chain(self.calls.drain(..)).collect();
                        self.shared.workers.queue(calls);
                        self.call_lookout();
                    }
                }
            }
            let goes_on = match self.wait() {
                Turn::Demand(event) => self.take_demand(event),
                Turn::Notes(notes) => notes.into_iter().all(|note| self.handle(note)),
                Turn::Time => true,
            };
            if !goes_on {
                return true;
            }
            let now = self.shared.desk.now();
            self.count_waiting();
            self.admit_held(now);
            self.machine(|machine| machine.tick(now));
            self.carry_out();
            self.calls.extend(self.schedule.run(now, &self.shared.workers));
        }
    }

    fn call_lookout(&self) {
        self.helm.start(|| {
            let (helm, desk) = (self.helm.clone(), self.shared.desk.clone());
            let lookout = move || {
                desk.adopt_thread();
                steer(None, &helm);
            };
            thread::Builder::new().name("oncue-demand-2".to_owned()).spawn(lookout)
        });
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
        match machine.into_iter().chain(self.schedule.next()).chain(self.shared.starts.next()).min() {
            None => Op(turn).wait(),
            Some(deadline) => {
                let time = deadline.saturating_sub(self.shared.desk.now());
                Op(turn).wait_timeout(time).unwrap_or(Turn::Time)
            }
        }
    }

    /// Tells the machine about changes of demand, up to a bound. Returns whether the runner goes on.
    fn take_demand(&mut self, event: Result<DemandEvent, Error>) -> bool {
        let mut first = Some(event);
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(event) = first.take().or_else(|| self.watch.try_next().transpose()) else { break };
            let now = self.shared.desk.now();
            match event {
                Ok(DemandEvent::Wanted(prefix) | DemandEvent::Unwanted(prefix))
                    if self.states.covers(&prefix) => {}
                Ok(DemandEvent::Wanted(prefix)) => self.machine(|machine| machine.wanted(&prefix, now)),
                Ok(DemandEvent::Unwanted(prefix)) => self.machine(|machine| machine.unwanted(&prefix, now)),
                // The socket was closed, or its engine has died.
                Err(_) => return false,
            }
            self.carry_out();
        }
        true
    }

    /// Does what a note asks for. Returns whether the runner goes on.
    fn handle(&mut self, note: Note) -> bool {
        let now = self.shared.desk.now();
        match note {
            Note::Ended { id, generation, failed } => {
                // A periodic feed may report its end twice.
                let Some(live) = self.live.remove(&generation) else { return true };
                live.end(failed, &mut self.schedule, &self.shared);
                // Dropped when nothing is locked: the last feed of a route may own what calls back.
                let _feed = lock(&self.shared.feeds).remove(&generation);
                let end = if failed { End::Failed } else { End::Finished };
                // There is room for another feed now.
                self.count_waiting();
                self.ended(id, generation, end);
            }
            Note::Produced { id, generation } => {
                self.machine(|machine| machine.produced(id, generation, now));
            }
            Note::Quit { generation } => {
                if let Some(live) = self.live.get_mut(&generation) {
                    live.stop(FINISHED, &mut self.schedule);
                }
            }
            Note::Hold { generation, until } => {
                // A feed that has stopped since has dropped the value.
                let live = self.live.get(&generation).filter(|live| live.feed().is_active());
                if let Some(live) = live {
                    self.schedule.add(Key::Value(generation), until, Arc::new(Held(live.feed().clone())));
                }
            }
            Note::Asked(topic) => {
                let generation = self.machine(|machine| machine.running(&topic));
                // A feed that is about to begin is filled in when it does.
                if let Some(live) = generation.and_then(|generation| self.live.get_mut(&generation)) {
                    live.fill_in(live.feed().published(), &self.socket, &self.shared);
                }
            }
            Note::Listed { route, due, topics } => {
                self.relist(route, topics, now);
                self.list(route, Some(due), now);
            }
            Note::Routes { added, removed } => {
                removed.into_iter().for_each(|route| self.schedule.forget(Key::List(route)));
                added.into_iter().for_each(|route| self.list(route, None, now));
            }
            // The turn itself is what was wanted.
            Note::Held => {}
            // An error means that it is not waited for any more.
            Note::Probe(sender) => drop(sender.send(())),
            Note::Stop => return false,
        }
        self.carry_out();
        true
    }

    /// Schedules the next listing of a route's catalogue after the one that was due at `last`, if a function lists it and the
    /// route has not been removed.
    fn list(&mut self, route: RouteId, last: Option<Duration>, now: Duration) {
        let lister = lock(&self.shared.plan).routes.get(&route).and_then(|route| route.lister.clone());
        if let Some(lister) = lister {
            let due = last.map_or(now, |last| next_tick(last, lister.period, now).0);
            let desk = self.shared.desk.clone();
            self.schedule.add(Key::List(route), due, Arc::new(Listing { route, due, lister, desk }));
        }
    }

    fn relist(&self, id: RouteId, topics: Result<Vec<Vec<u8>>, Failure>, now: Duration) {
        let mut plan = lock(&self.shared.plan);
        let Some(route) = plan.routes.get(&id).cloned() else { return };
        let relisted = topics.and_then(|topics| {
            plan.machine.relist(id, topics, now).map_err(|error| Failure::Error(error.into()))
        });
        match relisted {
            Ok(()) => route.listed(plan.machine.route_counts(id).listed, now),
            Err(failure) => {
                drop(plan);
                events::list_failed(&route.pattern, &failure);
                add(&self.shared.desk.counters.lists_failed, 1);
                if let Some(report) = &self.shared.reports.list {
                    // A report that panics cannot be reported; the count stands.
                    let _ = Failure::catch(|| report(&route.pattern, &failure));
                }
            }
        }
    }

    /// Carries out what the machine has decided.
    fn carry_out(&mut self) {
        while let Some((decision, route)) = self.decision() {
            match (decision, route) {
                (Decision::Start { feed: id, route, topic, params, generation, since }, Some(run)) => {
                    let (desk, on_failure) = (self.shared.desk.clone(), self.shared.reports.feed.clone());
                    let feeds = run.feeds.clone();
                    let of =
                        Activation { id, generation, topic, params, since, route: feeds, desk, on_failure };
                    self.begin(of, (route, &run));
                }
                // The route was removed since: a stop has been decided too.
                (Decision::Start { feed, generation, .. }, None) => {
                    self.ended(feed, generation, End::Finished);
                }
                (Decision::Stop { generation, wanted, .. }, _) => {
                    if let Some(live) = self.live.get_mut(&generation) {
                        let reason = if wanted { "its route has changed" } else { "nobody wants it" };
                        live.stop(reason, &mut self.schedule);
                        if !wanted {
                            // Not when the state is told: a value may be kept although no state was ever told.
                            live.feed().leave_last(&self.socket);
                        }
                    }
                }
                (Decision::State { topic, state, .. }, route) => {
                    self.tell_state(&topic, state, route.as_deref())
                }
                (Decision::Unserved { prefix, why }, route) => {
                    self.tell_unserved(&prefix, why, route.as_deref());
                }
            }
        }
    }

    fn decision(&self) -> Option<(Decision, Option<Arc<RouteRun>>)> {
        let mut plan = lock(&self.shared.plan);
        let decision = plan.machine.poll()?;
        let route = match &decision {
            Decision::Start { route, .. }
            | Decision::State { route, .. }
            | Decision::Unserved { why: Some(Unserved::NoCatalogue(route)), .. } => {
                plan.routes.get(route).cloned()
            }
            _ => None,
        };
        Some((decision, route))
    }

    fn begin(&mut self, of: Activation, route: (RouteId, &RouteRun)) {
        let (id, generation) = (of.id, of.generation);
        let feed = Feed::new(of, self.socket.clone());
        events::feed_started(feed.topic(), generation);
        lock(&self.shared.feeds).insert(generation, feed.clone());
        match Live::begin(feed.clone(), route, &mut self.schedule, &self.shared) {
            Some(mut live) => {
                self.shared.desk.forget_asked(feed.topic());
                live.fill_in(0, &self.socket, &self.shared);
                self.live.insert(generation, live);
            }
            None => {
                let _feed = lock(&self.shared.feeds).remove(&generation);
                events::feed_ended(feed.topic(), generation, "failed");
                self.ended(id, generation, End::Failed);
            }
        }
    }

    fn ended(&self, id: FeedId, generation: u64, end: End) {
        let now = self.shared.desk.now();
        self.machine(|machine| machine.ended(id, generation, end, now));
    }

    /// Admits subscriptions that were held until their peers' users may start more.
    fn admit_held(&self, now: Duration) {
        for (peer, prefix) in self.shared.starts.due(now) {
            self.socket.admit(peer, &prefix);
        }
    }

    /// Of the topics that wait for room, those with the most subscribers start first.
    fn count_waiting(&self) {
        let socket = &self.socket;
        self.machine(|machine| {
            machine.count_waiting(COUNTED_PER_TURN_MAX, |topic| socket.subscribers(topic))
        });
    }

    /// The state of a topic has changed. `route` served it, unless it was removed.
    fn tell_state(&self, topic: &[u8], state: FeedState, route: Option<&RouteRun>) {
        self.states.tell(topic, state);
        match route {
            Some(route) if state == FeedState::Idle => {
                route.feeds.leave_last(&self.socket, topic, self.shared.desk.now());
            }
            Some(_) => {}
            // A feed may have published after its route was removed.
            None => drop(self.socket.forget_last(topic)),
        }
    }

    /// Whether a prefix is unserved has changed.
    fn tell_unserved(&self, prefix: &[u8], why: Option<Unserved>, route: Option<&RouteRun>) {
        let why = why.map(|_| why_unserved(route.map(|route| &route.pattern)));
        self.states.tell_unserved(prefix, why.as_deref());
        if let (Some(why), Some(report)) = (why, &self.shared.reports.unserved) {
            // A report that panics cannot be reported; the count stands.
            let _ = Failure::catch(|| report(prefix, &why));
        }
    }

    fn machine<T>(&self, change: impl FnOnce(&mut Feeds) -> T) -> T {
        change(&mut lock(&self.shared.plan).machine)
    }
}

/// Ends all feeds and waits for the threads that produce, also when the runner has panicked: nothing else could stop the
/// feeds.
impl Drop for Runner {
    fn drop(&mut self) {
        for live in self.live.values_mut() {
            live.stop("the routes have stopped", &mut self.schedule);
            live.feed().leave_last(&self.socket);
            self.states.tell(live.feed().topic(), FeedState::Closed);
        }
        self.shared.workers.close();
        for (_, live) in self.live.drain() {
            live.give_up();
        }
        // The feeds would be kept for ever by what they refer to. They are dropped outside of the lock.
        let feeds = std::mem::take(&mut *lock(&self.shared.feeds));
        drop(feeds);
    }
}
