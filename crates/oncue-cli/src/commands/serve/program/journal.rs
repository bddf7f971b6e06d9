//! What `oncue serve` prints: on standard output which topics are produced, on standard error the log, in the style of the
//! config. No producer waits for a reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lines::Line;
use crate::output::{self, counted};
use crate::pace::Limiter;
use crate::record::{Level, Record, Style, Subject};
use crate::stdio;

/// The longest line of a program's standard error, in bytes.
pub(crate) const REMARK_BYTES_MAX: usize = 2000;
/// How many remarks a route may make at once.
const REMARKS_BURST: u32 = 100;
/// The time in which a route earns another remark.
const REMARK_PERIOD: Duration = Duration::from_millis(50);

/// Whether the log also has a line when a topic begins and ends to be produced.
static DEMAND: AtomicBool = AtomicBool::new(false);

/// The remarks of one route. Peers choose its topics, so their rate is bounded.
pub(crate) struct Log {
    /// Its pattern; None for remarks about all routes.
    route: Option<String>,
    limiter: Mutex<Limiter>,
}

/// How the log is written from now on. `demand`: whether it tells which topics are produced.
pub(crate) fn set_style(style: Style, demand: bool) {
    stdio::set_style(style);
    DEMAND.store(demand, Ordering::Relaxed);
}

/// A line of the log.
pub(crate) fn remark(text: impl AsRef<str>) {
    record(&Record::new(Level::Info, text.as_ref()));
}

/// A line of the log about something that may not be as it was meant.
pub(crate) fn warn(text: impl AsRef<str>) {
    record(&Record::new(Level::Warning, text.as_ref()));
}

/// A line of the log about something that has failed.
pub(crate) fn complain(text: impl AsRef<str>) {
    record(&Record::new(Level::Error, text.as_ref()));
}

pub(crate) fn record(record: &Record<'_>) {
    stdio::record("serve", record);
}

impl Log {
    /// The log of the route with this pattern.
    pub(crate) fn of(route: Option<String>) -> Log {
        Log { route, limiter: Mutex::new(Limiter::new(REMARKS_BURST, REMARK_PERIOD)) }
    }

    /// A topic begins to be produced.
    pub(crate) fn started(&self, topic: &[u8]) {
        stdio::line(output::change("+ ", topic));
        self.produced(topic, "feed_started", "begins to be produced");
    }

    /// A topic is not produced any more.
    pub(crate) fn ended(&self, topic: &[u8]) {
        stdio::line(output::change("- ", topic));
        self.produced(topic, "feed_ended", "is not produced any more");
    }

    fn produced(&self, topic: &[u8], event: &'static str, message: &str) {
        if DEMAND.load(Ordering::Relaxed) {
            let subject = Some(Subject::Topic(topic));
            let told = Record { event: Some(event), subject, ..Record::new(Level::Info, message) };
            record(&Record { route: self.route.as_deref(), ..told });
        }
    }

    /// Logs a remark about this subject.
    pub(crate) fn about(&self, subject: Subject<'_>, text: &str) {
        self.add(Record { subject: Some(subject), ..Record::new(Level::Warning, text) });
    }

    /// Logs a record, which is one of the route.
    pub(crate) fn add(&self, told: Record<'_>) {
        let dropped = {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.admit(Instant::now())
        };
        let Some(dropped) = dropped else { return };
        let told = Record { route: self.route.as_deref(), ..told };
        if dropped > 0 {
            let message = format!("{} dropped before this one", counted(dropped, "remark"));
            record(&Record { message: &message, event: Some("remarks_dropped"), ..told });
        }
        record(&told);
    }

    /// Logs a line of the standard error of this program.
    pub(crate) fn said(&self, subject: Subject<'_>, program: &str, line: Line<'_>) {
        let text = match line {
            Line::Whole(line) => output::escaped(line),
            Line::Beginning(line) => format!("{}…", output::escaped(line)),
        };
        let event = Some("program_said");
        let told = Record { event, subject: Some(subject), ..Record::new(Level::Info, &text) };
        self.add(Record { program: Some(program), ..told });
    }
}
