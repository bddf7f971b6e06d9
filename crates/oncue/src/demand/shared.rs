//! What the handle, the runner and the producers share: the runner's letterbox and the counts.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use oncue_core::demand::{DemandStats, FeedId};

use super::producer::{Failure, Produced};
use super::{Feed, OnDemandStats, Stopped};
use crate::op::Waiters;
use crate::sync::lock;

/// What is called when a producer fails.
pub(super) type OnFailure = Arc<dyn Fn(&Feed, &Failure) + Send + Sync>;

/// What the runner is told.
pub(super) enum Note {
    /// The producer of a feed has ended, or is done with stopping.
    Ended { id: FeedId, generation: u64 },
    /// Stop every feed and return.
    Stop,
}

pub(super) struct Shared {
    /// Tells one runner's threads from those of another.
    id: u64,
    notes: Mutex<Vec<Note>>,
    runner: Waiters,
    on_failure: Option<OnFailure>,
    /// Of the state machine, as of the runner's last turn.
    pub(super) machine: Mutex<DemandStats>,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) produced: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) ticks_skipped: AtomicU64,
}

thread_local! {
    /// The runner that this thread belongs to; 0 for none.
    static RUNNER: Cell<u64> = const { Cell::new(0) };
}

impl Shared {
    pub(super) fn new(on_failure: Option<OnFailure>) -> Shared {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Shared {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            notes: Mutex::default(),
            runner: Waiters::default(),
            on_failure,
            machine: Mutex::default(),
            counters: Counters::default(),
        }
    }

    pub(super) fn tell(&self, note: Note) {
        lock(&self.notes).push(note);
        self.runner.wake();
    }

    /// What the runner was told since it last asked.
    pub(super) fn poll_notes(&self, context: &Context<'_>) -> Poll<Vec<Note>> {
        self.runner.poll(context, || {
            let notes = std::mem::take(&mut *lock(&self.notes));
            (!notes.is_empty()).then_some(notes)
        })
    }

    /// Makes this thread one of the runner's own.
    pub(super) fn adopt_thread(&self) {
        RUNNER.set(self.id);
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

    pub(super) fn fail(&self, feed: &Feed, failure: &Failure) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        if let Some(report) = &self.on_failure {
            // A report that panics has nobody to report to; the count stands.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| report(feed, failure)));
        }
    }

    pub(super) fn stats(&self) -> OnDemandStats {
        let machine = *lock(&self.machine);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OnDemandStats {
            running: machine.running,
            in_grace: machine.in_grace,
            stopping: machine.stopping,
            waiting: machine.waiting,
            started: machine.started,
            stopped: machine.stopped,
            ended: machine.ended,
            revived: machine.revived,
            unmatched: machine.unmatched,
            produced: count(&self.counters.produced),
            late: count(&self.counters.late),
            refused: count(&self.counters.refused),
            failed: count(&self.counters.failed),
            ticks_skipped: count(&self.counters.ticks_skipped),
        }
    }
}
