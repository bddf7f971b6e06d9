//! The producers of the five kinds of routes, and of catalogues. Each runs on a thread of its feed or of its route.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oncue::demand::Feed;

use super::config::Program;
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

/// What all producers share.
pub(crate) struct Tools {
    pub(crate) launcher: Launcher,
    pub(crate) permits: Permits,
    pub(crate) journal: Journal,
    pub(crate) counts: Counts,
    /// Has no permit until the server is about to end.
    pub(crate) end: Permits,
}

/// What the producers of one route share.
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
    /// Topics that are not produced because of the bytes in their names.
    pub(crate) refused: AtomicU64,
    /// Values of a shared program for topics that are not wanted.
    pub(crate) unwanted: AtomicU64,
    /// Lines that are too long, or have no tab where one is required.
    pub(crate) skipped: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Place {
    pub(crate) fn new(tools: &Arc<Tools>) -> Place {
        Place { tools: tools.clone(), log: Arc::new(Log::new(&tools.journal)) }
    }

    /// Waits for a permit, and runs a program to its end. Returns also how long it ran. `stopped` makes futures that are done
    /// when the program is not needed any more.
    pub(crate) fn run<S: Future<Output = ()> + Unpin>(
        &self,
        program: &Program,
        command: &mut Command,
        work: &mut dyn Work,
        name: &[u8],
        timeout: Option<Duration>,
        stopped: impl Fn() -> S,
    ) -> (End, Duration) {
        let Some(_permit) = wait(self.tools.permits.take(stopped())) else {
            return (End::Stopped, Duration::ZERO);
        };
        count(&self.tools.counts.programs);
        let start = Instant::now();
        let deadline = timeout.and_then(|timeout| start.checked_add(timeout));
        let log = (&*self.log, name);
        let launcher = &self.tools.launcher;
        let end = process::run(launcher, command, work, &mut stopped(), deadline, program.kill_after, log);
        (end, start.elapsed())
    }

    /// Begins to produce the topic of a feed with what was made for it; None, which is logged, if nothing could be made.
    pub(crate) fn begin<'p, T>(
        &'p self,
        feed: &'p Feed,
        made: Result<T, String>,
    ) -> Option<(T, Producing<'p>)> {
        let made = made.map_err(|why| self.refuse(feed.topic(), &why)).ok()?;
        self.tools.journal.started(feed.topic());
        Some((made, Producing { journal: &self.tools.journal, topic: feed.topic() }))
    }

    /// Logs that a topic is not produced.
    pub(crate) fn refuse(&self, topic: &[u8], why: &str) {
        count(&self.tools.counts.refused);
        self.log.about(topic, &format!("refused: {why}"));
    }
}

/// A topic that is being produced: its beginning and its end are printed.
pub(crate) struct Producing<'p> {
    journal: &'p Journal,
    topic: &'p [u8],
}

impl Drop for Producing<'_> {
    fn drop(&mut self) {
        self.journal.ended(self.topic);
    }
}
