//! What `oncue serve` prints: on standard output which topics are produced, on standard error the log, in the style of the
//! config. No producer waits for a reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lines::Line;
use crate::output::{self, counted};
use crate::record::{Level, Record, Style, Subject};
use crate::stdio;

/// The longest line of a program's standard error, in bytes.
pub(crate) const REMARK_BYTES_MAX: usize = 2000;
/// Token bucket: how many remarks a route may make at once.
const REMARKS_BURST: u32 = 100;
/// Token bucket: the time in which a route earns another remark.
const REMARK_PERIOD: Duration = Duration::from_millis(50);

/// Whether the log also has a line when a topic begins and ends to be produced.
static DEMAND: AtomicBool = AtomicBool::new(false);

/// The remarks of one route. Peers choose its topics, so their rate is bounded.
pub(crate) struct Log {
    /// Its pattern; None for remarks about all routes.
    route: Option<String>,
    limiter: Mutex<Limiter>,
}

struct Limiter {
    tokens: u32,
    since: Instant,
    dropped: u64,
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
        let limiter = Limiter { tokens: REMARKS_BURST, since: Instant::now(), dropped: 0 };
        Log { route, limiter: Mutex::new(limiter) }
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

impl Limiter {
    /// Takes a token. Returns how many remarks were dropped since the last one; None if there is no token.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.since).as_nanos() / REMARK_PERIOD.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.since += REMARK_PERIOD.saturating_mul(earned);
            self.tokens = self.tokens.saturating_add(earned).min(REMARKS_BURST);
        }
        match self.tokens.checked_sub(1) {
            Some(tokens) => {
                self.tokens = tokens;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_in_rate_and_those_dropped_are_counted() {
        let start = Instant::now();
        let mut limiter = Limiter { tokens: REMARKS_BURST, since: start, dropped: 0 };
        for _ in 0..REMARKS_BURST {
            assert_eq!(limiter.admit(start), Some(0));
        }
        assert_eq!((limiter.admit(start), limiter.admit(start + REMARK_PERIOD / 2)), (None, None));
        assert_eq!(limiter.admit(start + REMARK_PERIOD), Some(2));
        assert_eq!(limiter.admit(start + REMARK_PERIOD), None);
        let later = start + Duration::from_secs(3600);
        let admitted = (0..2 * REMARKS_BURST).filter(|_| limiter.admit(later).is_some()).count();
        assert_eq!(admitted, REMARKS_BURST as usize);
    }
}
