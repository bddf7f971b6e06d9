//! The producers of the five kinds of routes, and of catalogues. Each runs on a thread of its feed or of its route.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oncue::demand::Feed;

use super::config::Program;
use super::program::journal::{Log, REMARK_BYTES_MAX, ended, started};
use super::program::launch::{Launcher, Prepared};
use super::program::permits::{Line, Permit, Permits};
use super::program::process::{self, About, Limits, Work};
use super::program::verdict::End;
use crate::output;
use crate::wait::wait;

mod burst;
pub(crate) mod file;
mod frames;
pub(crate) mod invocation;
pub(crate) mod listing;
pub(crate) mod open;
pub(crate) mod runs;
pub(crate) mod shared;
pub(crate) mod stream;

/// After this time without any output there is a remark on a program that should have written something.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What all producers share.
pub(crate) struct Tools {
    pub(crate) launcher: Launcher,
    pub(crate) permits: Permits,
    pub(crate) counts: Counts,
    /// Has no permit until the server is about to end.
    pub(crate) end: Permits,
}

/// What the producers of one route share.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) tools: Arc<Tools>,
    pub(crate) log: Arc<Log>,
    /// Where its programs wait for permits.
    line: Line,
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
    /// Lines and values that are too long, or not as `framing` says.
    pub(crate) skipped: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A text of a program as it is logged: printable, and not too long.
fn remark(text: &str) -> String {
    let bytes = text.as_bytes();
    output::escaped(bytes.get(..REMARK_BYTES_MAX).unwrap_or(bytes))
}

impl Place {
    pub(crate) fn new(tools: &Arc<Tools>) -> Place {
        Place { tools: tools.clone(), log: Arc::new(Log::new()), line: tools.permits.line() }
    }

    /// Waits for a permit, and runs a program to its end. Returns also how long it ran. `stopped` makes futures that are done
    /// when the program is not needed any more.
    pub(crate) fn run<S: Future<Output = ()> + Unpin>(
        &self,
        program: &Program,
        prepared: &mut Prepared,
        work: &mut dyn Work,
        name: &[u8],
        timeout: Option<Duration>,
        stopped: impl Fn() -> S,
    ) -> (End, Duration) {
        match self.permit(stopped()) {
            Some(permit) => self.run_now(&permit, Run { program, name, timeout }, prepared, work, stopped()),
            None => (End::Stopped, Duration::ZERO),
        }
    }

    /// Waits for a permit to run a program; None if `stopped` is done first.
    fn permit(&self, stopped: impl Future<Output = ()> + Unpin) -> Option<Permit> {
        wait(self.tools.permits.take(self.line, stopped))
    }

    /// Runs a program to its end, as [`run`](Place::run) does once it has a permit.
    fn run_now(
        &self,
        _: &Permit,
        run: Run<'_>,
        prepared: &mut Prepared,
        work: &mut dyn Work,
        mut stopped: impl Future<Output = ()> + Unpin,
    ) -> (End, Duration) {
        count(&self.tools.counts.programs);
        let start = Instant::now();
        let Program { stop_after, kill_after, command: words, .. } = run.program;
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let limits = Limits {
            deadline: run.timeout.and_then(|timeout| start.checked_add(timeout)),
            stop_after: *stop_after,
            kill_after: *kill_after,
            silence_max: SILENCE_MAX,
        };
        let about = About { log: &self.log, name: run.name, command: &words.join(" ") };
        let launcher = &self.tools.launcher;
        let end = process::run(launcher, prepared, work, &mut stopped, &limits, about);
        (end, start.elapsed())
    }

    /// Counts and logs what a program or a file has that is not a value.
    fn skipped(&self, name: &[u8], what: &str) {
        count(&self.tools.counts.skipped);
        self.log.about(name, &format!("skipped {what}"));
    }

    /// Begins to produce the topic of a feed with what was made for it; None, which is logged, if nothing could be made.
    pub(crate) fn begin<'p, T>(
        &'p self,
        feed: &'p Feed,
        made: Result<T, String>,
    ) -> Option<(T, Producing<'p>)> {
        let made = made.map_err(|why| self.refuse(feed.topic(), &why)).ok()?;
        started(feed.topic());
        Some((made, Producing { topic: feed.topic() }))
    }

    /// Logs that a topic is not produced.
    pub(crate) fn refuse(&self, topic: &[u8], why: &str) {
        count(&self.tools.counts.refused);
        self.log.about(topic, &format!("refused: {why}"));
    }
}

/// A run of a program.
struct Run<'r> {
    program: &'r Program,
    /// How remarks name it.
    name: &'r [u8],
    timeout: Option<Duration>,
}

/// A topic that is being produced: its beginning and its end are printed.
pub(crate) struct Producing<'p> {
    topic: &'p [u8],
}

impl Drop for Producing<'_> {
    fn drop(&mut self) {
        ended(self.topic);
    }
}
