//! The producers of the five kinds of routes, and of catalogues. Each runs on a thread of its feed or of its route.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oncue::demand::Feed;

use self::counts::{Counts, Failures, count};
use super::program::journal::{Log, REMARK_BYTES_MAX};
use super::program::launch::{Launcher, Prepared};
use super::program::permits::{Line, Permit, Permits};
use super::program::process::{self, About, Limits, Work};
use super::program::verdict::{End, Failed};
use crate::config::Program;
use crate::output;
use crate::record::{Level, Record, Subject};
use crate::wait::wait;

mod burst;
pub(crate) mod counts;
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
    failures: Arc<Failures>,
    /// Where its programs wait for permits.
    line: Line,
}

/// The failure of a feed, which has been counted and logged already.
#[derive(Debug, Clone)]
pub(crate) struct Logged(String);

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Logged {}

/// A text of a program as it is logged: printable, and not too long.
fn remark(text: &str) -> String {
    let bytes = text.as_bytes();
    output::escaped(bytes.get(..REMARK_BYTES_MAX).unwrap_or(bytes))
}

impl Place {
    /// For the route with this pattern.
    pub(crate) fn new(tools: &Arc<Tools>, pattern: String) -> Place {
        let (failures, line) = (tools.counts.of_route(&pattern), tools.permits.line());
        Place { tools: tools.clone(), log: Arc::new(Log::of(Some(pattern))), failures, line }
    }

    /// Waits for a permit, and runs a program to its end. Returns also how long it ran. `stopped` makes futures that are done
    /// when the program is not needed any more.
    pub(crate) fn run<S: Future<Output = ()> + Unpin>(
        &self,
        program: &Program,
        prepared: &mut Prepared,
        work: &mut dyn Work,
        subject: Subject<'_>,
        timeout: Option<Duration>,
        stopped: impl Fn() -> S,
    ) -> (End, Duration) {
        match self.permit(stopped()) {
            Some(permit) => {
                self.run_now(&permit, Run { program, subject, timeout }, prepared, work, stopped())
            }
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
        let Program { stop_after, kill_after, .. } = run.program;
        let limits = Limits {
            deadline: run.timeout.and_then(|timeout| start.checked_add(timeout)),
            stop_after: *stop_after,
            kill_after: *kill_after,
            silence_max: SILENCE_MAX,
        };
        let about = About { log: &self.log, subject: run.subject, command: &run.program.shown() };
        let launcher = &self.tools.launcher;
        let end = process::run(launcher, prepared, work, &mut stopped, &limits, about);
        (end, start.elapsed())
    }

    /// Counts and logs the failure of a program, or of a file if there is none. Returns the error of its feeds.
    fn failed(&self, subject: Subject<'_>, program: Option<&Program>, failed: &Failed) -> Logged {
        count(&self.tools.counts.failures);
        self.failures.count(failed.reason);
        let what = if program.is_some() { "the program" } else { "the file" };
        let message = format!("{what} {}", failed.why);
        self.log.add(Record {
            event: Some(if program.is_some() { "program_failed" } else { "file_failed" }),
            subject: Some(subject),
            program: program.map(Program::shown).as_deref(),
            reason: Some(failed.reason.name()),
            ..Record::new(Level::Error, &message)
        });
        Logged(message)
    }

    /// Counts and logs what a program or a file has that is not a value.
    fn skipped(&self, subject: Subject<'_>, what: &str) {
        count(&self.tools.counts.skipped);
        let message = format!("skipped {what}");
        let event = Some("value_skipped");
        self.log.add(Record { event, subject: Some(subject), ..Record::new(Level::Warning, &message) });
    }

    /// Begins to produce the topic of a feed with what was made for it; None, which is logged, if nothing could be made.
    pub(crate) fn begin<'p, T>(
        &'p self,
        feed: &'p Feed,
        made: Result<T, String>,
    ) -> Option<(T, Producing<'p>)> {
        let made = made.map_err(|why| self.refuse(feed.topic(), &why)).ok()?;
        self.log.started(feed.topic());
        Some((made, Producing { topic: feed.topic(), log: &self.log }))
    }

    /// Logs that a topic is not produced.
    pub(crate) fn refuse(&self, topic: &[u8], why: &str) {
        count(&self.tools.counts.refused);
        let message = format!("refused: {why}");
        let (event, subject) = (Some("topic_refused"), Some(Subject::Topic(topic)));
        self.log.add(Record { event, subject, ..Record::new(Level::Warning, &message) });
    }
}

/// A run of a program.
struct Run<'r> {
    program: &'r Program,
    /// What remarks are about.
    subject: Subject<'r>,
    timeout: Option<Duration>,
}

/// A topic that is being produced: its beginning and its end are printed.
pub(crate) struct Producing<'p> {
    topic: &'p [u8],
    log: &'p Log,
}

impl Drop for Producing<'_> {
    fn drop(&mut self) {
        self.log.ended(self.topic);
    }
}
