//! When something is said about a wait for others: soon on a terminal, where somebody looks, and later elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use crate::args;

/// How long a wait lasts before it is said, on a terminal and elsewhere.
const FIRST_ON_TERMINAL: Duration = Duration::from_millis(500);
const FIRST: Duration = Duration::from_secs(3);
/// How long nothing has come before a terminal is told so.
const SILENCE: Duration = Duration::from_secs(5);
/// The time until it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// A wait for others.
pub(crate) struct Progress {
    since: Instant,
    due: Instant,
}

impl Progress {
    /// A wait that begins now.
    pub(crate) fn new() -> Progress {
        Progress::after(if stderr().is_terminal() { FIRST_ON_TERMINAL } else { FIRST })
    }

    /// A wait that is no trouble by itself: it is said on a terminal alone.
    pub(crate) fn on_terminal() -> Option<Progress> {
        stderr().is_terminal().then(|| Progress::after(SILENCE))
    }

    fn after(first: Duration) -> Progress {
        let since = Instant::now();
        Progress { since, due: since + first }
    }

    /// When it is to be said next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// How long it has lasted, in whole seconds as they are written. It is said now, and again later.
    pub(crate) fn waited(&mut self) -> String {
        let now = Instant::now();
        self.due = now + AGAIN;
        args::shown(Duration::from_secs(now.duration_since(self.since).as_secs()))
    }
}
