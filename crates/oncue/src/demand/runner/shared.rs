//! What the handle, the runner and the producers share: the routes and the state machine, the runner's letterbox, the
//! workers and the counts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncue_core::feeds::{FeedId, RouteId};

use super::announce::States;
use super::asked::Asked;
use super::plan::{Plan, RouteRun};
use crate::demand::Pattern;
use crate::demand::feed::counts::{Counters, OnDemandStats, RouteStats, TopicStats, add};
use crate::demand::feed::failure::{Failure, Produced};
use crate::demand::feed::{Feed, Stopped};
use crate::demand::producers::catalogue::Listing;
use crate::demand::producers::workers::Workers;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::sync::lock;

/// What is called when a producer fails.
pub(crate) type OnFailure = Arc<dyn Fn(&Feed, &Failure) + Send + Sync>;
/// What is called when a catalogue cannot be listed.
pub(crate) type OnListFailure = Arc<dyn Fn(&Pattern, &Failure) + Send + Sync>;

/// Who is told of failures.
#[derive(Clone, Default)]
pub(crate) struct Reports {
    pub(crate) feed: Option<OnFailure>,
    pub(crate) list: Option<OnListFailure>,
}

/// What the runner is told.
pub(crate) enum Note {
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

pub(crate) struct Shared {
    /// Tells one runner's threads from those of another.
    id: u64,
    notes: Mutex<Vec<Note>>,
    asked: Arc<Asked>,
    ended: AtomicBool,
    reports: Reports,
    pub(crate) states: States,
    /// Times of the machine are since then.
    pub(crate) origin: Instant,
    /// Never locked while a producer's function is called.
    pub(crate) plan: Mutex<Plan>,
    pub(crate) workers: Workers,
    /// The feeds that have not ended, by generation.
    pub(crate) feeds: Mutex<BTreeMap<u64, Feed>>,
    pub(crate) counters: Counters,
}

thread_local! {
    /// The runner that this thread belongs to; 0 for none.
    static RUNNER: Cell<u64> = const { Cell::new(0) };
}

/// Makes this thread one of a runner's own.
pub(crate) fn adopt_thread(runner: u64) {
    RUNNER.set(runner);
}

impl Shared {
    pub(crate) fn new(
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

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Begins to list the catalogues of these routes, which have just come, and has what they need.
    pub(crate) fn serve(self: &Arc<Self>, ids: &[RouteId]) -> Result<()> {
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

    pub(crate) fn start_workers(&self) -> Result<()> {
        self.workers.start().map_err(|error| Error::io("no thread for producers", error))
    }

    pub(crate) fn tell(&self, note: Note) {
        lock(&self.notes).push(note);
        self.asked.runner.wake();
    }

    /// What the runner was told since it last asked.
    pub(crate) fn notes(&self) -> Op<impl Future<Output = Vec<Note>> + '_> {
        self.asked.runner.until(|| {
            let mut notes = std::mem::take(&mut *lock(&self.notes));
            notes.extend(self.asked.take().into_iter().map(Note::Asked));
            (!notes.is_empty()).then_some(notes)
        })
    }

    /// Whoever has asked for this topic is served.
    pub(crate) fn forget_asked(&self, topic: &[u8]) {
        self.asked.forget(topic);
    }

    /// The runner is no more. What its feeds refer to would keep them for ever, and is let go of, outside of the locks.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let feeds = std::mem::take(&mut *lock(&self.feeds));
        let notes = std::mem::take(&mut *lock(&self.notes));
        drop((feeds, notes));
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The name of the runner, for its threads.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this thread is one of the runner's own: it cannot wait for the runner's threads to end.
    pub(crate) fn on_own_thread(&self) -> bool {
        RUNNER.get() == self.id
    }

    /// Counts a producer's failure and reports it. That a feed was stopped is none.
    pub(crate) fn judge(&self, feed: &Feed, outcome: std::thread::Result<Produced>) {
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) if error.is::<Stopped>() => return,
            Ok(Err(error)) => Failure::Error(error),
            Err(panic) => Failure::panic(panic),
        };
        self.fail(feed, &failure);
    }

    /// A feed fails once, whoever says so.
    pub(crate) fn fail(&self, feed: &Feed, failure: &Failure) {
        if !feed.mark_failed() {
            return;
        }
        self.report(feed, failure);
    }

    /// Counts a failure that does not end the feed, and tells of it.
    pub(crate) fn report(&self, feed: &Feed, failure: &Failure) {
        feed.count(|counters| &counters.failed, 1);
        if let Some(report) = &self.reports.feed {
            // A report that panics has nobody to report to; the count stands.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| report(feed, failure)));
        }
    }

    pub(crate) fn fail_list(&self, route: &RouteRun, failure: &Failure) {
        add(&self.counters.lists_failed, 1);
        if let Some(report) = &self.reports.list {
            let told = || report(&route.pattern, failure);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(told));
        }
    }

    pub(crate) fn stats(&self) -> OnDemandStats {
        let machine = lock(&self.plan).machine.stats();
        self.counters.stats(&machine)
    }

    pub(crate) fn route_stats(&self) -> Vec<RouteStats> {
        let now = self.now();
        let plan = lock(&self.plan);
        plan.routes.iter().map(|(id, route)| route.stats(plan.machine.route_stats(*id), now)).collect()
    }

    pub(crate) fn topic_stats(&self) -> Vec<TopicStats> {
        // Subscribers are counted one topic after the other: not while a feed may want to begin or to end.
        let feeds: Vec<Feed> = lock(&self.feeds).values().cloned().collect();
        let mut stats: Vec<_> = feeds.iter().map(Feed::stats).collect();
        stats.sort_by(|a, b| a.topic.cmp(&b.topic));
        stats
    }
}
