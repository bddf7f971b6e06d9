//! What the handle, the runner and the producers share: the routes and the state machine, the runner's letterbox, the
//! workers and the counts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncue_core::feeds::{FeedId, RouteId};

use super::fill::Asked;
use super::listing::Listing;
use super::plan::{Plan, RouteRun};
use super::producer::{Failure, Produced};
use super::states::States;
use super::stats::{Counters, add};
use super::workers::Workers;
use super::{Feed, OnDemandStats, Pattern, RouteStats, Stopped, TopicStats};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::sync::lock;

/// What is called when a producer fails.
pub(super) type OnFailure = Arc<dyn Fn(&Feed, &Failure) + Send + Sync>;
/// What is called when a catalogue cannot be listed.
pub(super) type OnListFailure = Arc<dyn Fn(&Pattern, &Failure) + Send + Sync>;

/// Who is told of failures.
#[derive(Clone, Default)]
pub(super) struct Reports {
    pub(super) feed: Option<OnFailure>,
    pub(super) list: Option<OnListFailure>,
}

/// What the runner is told.
pub(super) enum Note {
    /// The producer of a feed has ended, or is done with stopping.
    Ended { id: FeedId, generation: u64, failed: bool },
    /// A feed has published its first value.
    Produced { id: FeedId, generation: u64 },
    /// A feed was ended by whoever holds it: its producer is to be told.
    Quit { generation: u64 },
    /// A feed has a value whose time comes then.
    Hold { feed: Feed, until: Instant },
    /// Somebody has subscribed to this topic, and may miss its last value.
    Asked(Box<[u8]>),
    /// A catalogue is to be listed from now on.
    List(Arc<Listing>),
    /// These routes have gone.
    Gone(Vec<RouteId>),
    /// The machine has decided something on another thread.
    Look,
    /// Stop every feed and return.
    Stop,
}

pub(super) struct Shared {
    /// Tells one runner's threads from those of another.
    id: u64,
    notes: Mutex<Vec<Note>>,
    asked: Arc<Asked>,
    ended: AtomicBool,
    reports: Reports,
    pub(super) states: States,
    /// Times of the machine are since then.
    pub(super) origin: Instant,
    /// Never locked while a producer's function is called.
    pub(super) plan: Mutex<Plan>,
    pub(super) workers: Workers,
    /// The feeds that have not ended, by generation.
    pub(super) feeds: Mutex<BTreeMap<u64, Feed>>,
    pub(super) counters: Counters,
}

thread_local! {
    /// The runner that this thread belongs to; 0 for none.
    static RUNNER: Cell<u64> = const { Cell::new(0) };
}

/// Makes this thread one of a runner's own.
pub(super) fn adopt_thread(runner: u64) {
    RUNNER.set(runner);
}

impl Shared {
    pub(super) fn new(
        plan: Plan,
        workers: usize,
        reports: Reports,
        states: States,
        asked: Arc<Asked>,
    ) -> Shared {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Shared {
            id,
            notes: Mutex::default(),
            asked,
            ended: AtomicBool::new(false),
            reports,
            states,
            origin: Instant::now(),
            plan: Mutex::new(plan),
            workers: Workers::new(workers, id),
            feeds: Mutex::default(),
            counters: Counters::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Begins to list the catalogues of these routes, which have just come, and has what they need.
    pub(super) fn serve(self: &Arc<Self>, ids: &[RouteId]) -> Result<()> {
        let plan = lock(&self.plan);
        let routes = ids.iter().filter_map(|id| plan.routes.get(id).map(|route| (*id, route.clone())));
        let routes: Vec<_> = routes.collect();
        drop(plan);
        if routes.iter().any(|(_, route)| route.needs_workers()) {
            self.start_workers()?;
        }
        for (id, route) in routes {
            if let Some(lister) = route.lister.clone() {
                self.tell(Note::List(Listing::new(id, route, lister, self)));
            }
        }
        Ok(())
    }

    pub(super) fn start_workers(&self) -> Result<()> {
        self.workers.start().map_err(|error| Error::io("no thread for producers", error))
    }

    pub(super) fn tell(&self, note: Note) {
        lock(&self.notes).push(note);
        self.asked.runner.wake();
    }

    /// What the runner was told since it last asked.
    pub(super) fn notes(&self) -> Op<impl Future<Output = Vec<Note>> + '_> {
        self.asked.runner.until(|| {
            let mut notes = std::mem::take(&mut *lock(&self.notes));
            notes.extend(self.asked.take().into_iter().map(Note::Asked));
            (!notes.is_empty()).then_some(notes)
        })
    }

    /// Whoever has asked for this topic is served.
    pub(super) fn forget_asked(&self, topic: &[u8]) {
        self.asked.forget(topic);
    }

    /// The runner is no more. What its feeds refer to would keep them for ever, and is let go of, outside of the locks.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let feeds = std::mem::take(&mut *lock(&self.feeds));
        let notes = std::mem::take(&mut *lock(&self.notes));
        drop((feeds, notes));
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The name of the runner, for its threads.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this thread is one of the runner's own: it cannot wait for the runner's threads to end.
    pub(super) fn on_own_thread(&self) -> bool {
        RUNNER.get() == self.id
    }

    /// Counts a producer's failure and reports it. That a feed was stopped is none.
    pub(super) fn judge(&self, feed: &Feed, outcome: std::thread::Result<Produced>) {
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) if error.is::<Stopped>() => return,
            Ok(Err(error)) => Failure::Error(error),
            Err(panic) => Failure::panic(panic),
        };
        self.fail(feed, &failure);
    }

    /// A feed fails once, whoever says so.
    pub(super) fn fail(&self, feed: &Feed, failure: &Failure) {
        if !feed.mark_failed() {
            return;
        }
        self.report(feed, failure);
    }

    /// Counts a failure that does not end the feed, and tells of it.
    pub(super) fn report(&self, feed: &Feed, failure: &Failure) {
        feed.count(|counters| &counters.failed, 1);
        if let Some(report) = &self.reports.feed {
            // A report that panics has nobody to report to; the count stands.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| report(feed, failure)));
        }
    }

    pub(super) fn fail_list(&self, route: &RouteRun, failure: &Failure) {
        add(&self.counters.lists_failed, 1);
        if let Some(report) = &self.reports.list {
            let told = || report(&route.pattern, failure);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(told));
        }
    }

    pub(super) fn stats(&self) -> OnDemandStats {
        let machine = lock(&self.plan).machine.stats();
        self.counters.stats(&machine)
    }

    pub(super) fn route_stats(&self) -> Vec<RouteStats> {
        let now = self.now();
        let plan = lock(&self.plan);
        plan.routes.iter().map(|(id, route)| route.stats(plan.machine.route_stats(*id), now)).collect()
    }

    pub(super) fn topic_stats(&self) -> Vec<TopicStats> {
        // Subscribers are counted one topic after the other: not while a feed may want to begin or to end.
        let feeds: Vec<Feed> = lock(&self.feeds).values().cloned().collect();
        let mut stats: Vec<_> = feeds.iter().map(Feed::stats).collect();
        stats.sort_by(|a, b| a.topic.cmp(&b.topic));
        stats
    }
}
