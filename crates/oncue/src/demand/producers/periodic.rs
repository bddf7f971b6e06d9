//! Periodic production of one feed: at once, and then at whole periods after the runner's origin, without drift. A tick is
//! skipped and counted if the value before is still being produced or is fresh, or if it passed unseen. A feed is never
//! queued twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::TickFn;
use super::ticks::{Tick, aligned_tick, tick_while_fresh};
use super::workers::{Job, Jobs};
use crate::demand::feed::{Failure, Feed};

pub(crate) struct Periodic {
    feed: Feed,
    period: Duration,
    produce: TickFn,
    /// From the tick that queues it until a worker has finished.
    busy: AtomicBool,
}

impl Periodic {
    pub(crate) fn new(feed: Feed, period: Duration, produce: TickFn) -> Arc<Periodic> {
        Arc::new(Periodic { feed, period, produce, busy: AtomicBool::new(false) })
    }

    /// Stops the feed. Either this or the worker, whichever comes last, reports its end.
    pub(crate) fn stop(&self) {
        self.feed.stop();
        if !self.busy.load(Ordering::SeqCst) {
            self.feed.end();
        }
    }
}

impl Tick for Periodic {
    fn tick(self: Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        if !self.feed.is_active() {
            return None;
        }
        let (next, passed) = aligned_tick(at, self.period, now);
        let busy = self.busy.swap(true, Ordering::SeqCst);
        self.feed.skip_ticks(passed + u64::from(busy));
        if busy {
            return Some(next);
        }
        let fresh = self.feed.fresh();
        if fresh.is_none() && !self.feed.skip_for_congestion() {
            let again = self.feed.rests_for().map_or(next, |time| next.min(now.saturating_add(time)));
            jobs.push(self);
            return Some(again);
        }
        self.busy.store(false, Ordering::SeqCst);
        let again = tick_while_fresh(next, self.period, fresh, self.feed.is_once());
        if fresh.is_some() {
            // A tick that comes a little later is not left out.
            self.feed.skip_fresh(u64::from(again >= next));
        }
        Some(again)
    }
}

impl Job for Periodic {
    fn is_quick(&self) -> bool {
        self.feed.is_quick()
    }

    fn run(&self) {
        let start = Instant::now();
        let outcome =
            Failure::catch(|| if self.feed.is_active() { (self.produce)(&self.feed) } else { Ok(()) });
        let time = start.elapsed();
        self.feed.took(time, 1);
        self.feed.spent(time);
        let failed = !matches!(outcome, Ok(Ok(())));
        self.feed.judge(outcome);
        self.busy.store(false, Ordering::SeqCst);
        if failed || !self.feed.is_active() {
            self.feed.end();
        }
    }
}
