//! What `oncue serve` prints: on standard output which topics are produced, on standard error what goes wrong. No producer
//! waits for a reader.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lines::Line;
use crate::output::{self, counted};
use crate::stdio::{self, say};

/// The longest line of a program's standard error, in bytes.
pub(crate) const REMARK_BYTES_MAX: usize = 2000;
/// Token bucket: how many remarks a route may make at once.
const REMARKS_BURST: u32 = 100;
/// Token bucket: the time in which a route earns another remark.
const REMARK_PERIOD: Duration = Duration::from_millis(50);

/// The remarks of one route. Peers choose its topics, so their rate is bounded.
pub(crate) struct Log {
    limiter: Mutex<Limiter>,
}

struct Limiter {
    tokens: u32,
    since: Instant,
    dropped: u64,
}

/// A topic begins to be produced.
pub(crate) fn started(topic: &[u8]) {
    stdio::line(output::change("+ ", topic));
}

/// A topic is not produced any more.
pub(crate) fn ended(topic: &[u8]) {
    stdio::line(output::change("- ", topic));
}

/// A line of the log.
pub(crate) fn remark(text: impl AsRef<str>) {
    say("serve", text.as_ref());
}

impl Log {
    pub(crate) fn new() -> Log {
        let limiter = Limiter { tokens: REMARKS_BURST, since: Instant::now(), dropped: 0 };
        Log { limiter: Mutex::new(limiter) }
    }

    /// Logs a remark about a topic, or about a route or catalogue of this name.
    pub(crate) fn about(&self, name: &[u8], text: &str) {
        let dropped = {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.admit(Instant::now())
        };
        let Some(dropped) = dropped else { return };
        let name = output::escaped(name);
        if dropped > 0 {
            let remarks = counted(dropped, "remark");
            remark(format!("{name}: {remarks} dropped before this one"));
        }
        remark(format!("{name}: {text}"));
    }

    /// Logs a line of a program's standard error.
    pub(crate) fn said(&self, name: &[u8], line: Line<'_>) {
        match line {
            Line::Whole(line) => self.about(name, &output::escaped(line)),
            Line::Beginning(line) => self.about(name, &format!("{}…", output::escaped(line))),
        }
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
