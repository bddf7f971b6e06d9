//! The producers that a config can ask for. Each runs on a thread that lives as long as its feed, or its route.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::program::journal::{Journal, Log};
use super::program::launch::Launcher;
use super::program::permits::Permits;
use super::program::process::{self, End, Work};
use crate::wait::wait;

pub(crate) mod file;
pub(crate) mod invocation;
pub(crate) mod listing;
pub(crate) mod open;
pub(crate) mod runs;
pub(crate) mod shared;
pub(crate) mod stream;

/// What all producers of a server share.
pub(crate) struct Tools {
    pub(crate) launcher: Launcher,
    pub(crate) permits: Permits,
    pub(crate) journal: Journal,
    pub(crate) counts: Counts,
    /// Has no permit until the server is about to end.
    pub(crate) end: Permits,
}

/// What one route's producers share.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) tools: Arc<Tools>,
    pub(crate) log: Arc<Log>,
}

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) programs: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Topics that were not produced because of what their names hold.
    pub(crate) refused: AtomicU64,
    /// Values that a shared program wrote for topics that nobody wanted.
    pub(crate) unwanted: AtomicU64,
    /// Lines left out: too long, or without a tab where there must be one.
    pub(crate) left_out: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Place {
    pub(crate) fn new(tools: &Arc<Tools>) -> Place {
        Place { tools: tools.clone(), log: Arc::new(Log::new(&tools.journal)) }
    }

    /// Waits for its turn, and runs a program to its end; also how long it took without the wait. What `stopped` makes is
    /// done when the program is not needed any more.
    pub(crate) fn run<S: Future<Output = ()> + Unpin>(
        &self,
        command: &mut Command,
        work: &mut dyn Work,
        name: &[u8],
        timeout: Option<Duration>,
        kill_after: Duration,
        stopped: impl Fn() -> S,
    ) -> (End, Duration) {
        let Some(_permit) = wait(self.tools.permits.take(stopped())) else {
            return (End::Stopped, Duration::ZERO);
        };
        count(&self.tools.counts.programs);
        let start = Instant::now();
        let deadline = timeout.and_then(|timeout| start.checked_add(timeout));
        let end = process::run(command, work, &mut stopped(), deadline, kill_after, (&self.log, name));
        (end, start.elapsed())
    }

    /// Refuses to produce a topic.
    pub(crate) fn refuse(&self, topic: &[u8], why: &str) {
        count(&self.tools.counts.refused);
        self.log.about(topic, &format!("refused: {why}"));
    }
}

/// A topic that is being produced: said at the beginning and at the end.
pub(crate) struct Producing<'p> {
    journal: &'p Journal,
    topic: &'p [u8],
}

impl<'p> Producing<'p> {
    pub(crate) fn new(place: &'p Place, topic: &'p [u8]) -> Producing<'p> {
        place.tools.journal.started(topic);
        Producing { journal: &place.tools.journal, topic }
    }
}

impl Drop for Producing<'_> {
    fn drop(&mut self) {
        self.journal.ended(self.topic);
    }
}
