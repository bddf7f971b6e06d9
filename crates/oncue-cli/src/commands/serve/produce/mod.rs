//! The producers that a config can ask for. Each runs on a thread that lives as long as its feed, or its route.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::config::Backoff;
use super::program::journal::{Journal, Log};
use super::program::launch::Launcher;
use super::program::permits::Permits;

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

/// The waits of a program that fails again and again.
pub(crate) struct Waits {
    backoff: Backoff,
    started: Instant,
    last: Option<Duration>,
}

impl Waits {
    pub(crate) fn new(backoff: Backoff) -> Waits {
        Waits { backoff, started: Instant::now(), last: None }
    }

    /// The program is started now.
    pub(crate) fn starts(&mut self, now: Instant) {
        self.started = now;
    }

    /// The program has failed now: how long to wait before it is started again. One that ran as long as the longest
    /// wait has failed for the first time.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let Backoff { min, max } = self.backoff;
        let ran = now.saturating_duration_since(self.started);
        let wait = match self.last.filter(|_| ran < max) {
            Some(last) => last.saturating_mul(2).min(max),
            None => min,
        };
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_begins_anew_after_a_long_run() {
        let ms = Duration::from_millis;
        let mut waits = Waits::new(Backoff { min: ms(100), max: ms(350) });
        let now = Instant::now();
        let mut wait = |lasted| {
            waits.starts(now);
            waits.failed(now + ms(lasted)).as_millis()
        };
        assert_eq!(
            [wait(0), wait(0), wait(0), wait(349), wait(350), wait(0)],
            [100, 200, 350, 350, 100, 200]
        );
    }
}
