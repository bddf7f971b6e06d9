//! When messages came: the time of each, and the time since the one before.

use std::time::{Duration, Instant, SystemTime};

/// When a message came, and its place among the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When the command took the message, by the clock of the system.
    pub(super) at: SystemTime,
    /// The same by a clock that is never set.
    pub(super) instant: Instant,
    /// Since the message before; zero for the first.
    pub(super) since_last: Duration,
    /// Counted from 1.
    pub(super) number: u64,
}

/// Takes the times of messages.
#[derive(Default)]
pub(super) struct Arrivals {
    last: Option<Instant>,
}

impl Arrivals {
    /// The arrival of message `number` at this moment.
    pub(super) fn next(&mut self, instant: Instant, number: u64) -> Arrival {
        let last = self.last.replace(instant).unwrap_or(instant);
        Arrival { at: SystemTime::now(), instant, since_last: instant.duration_since(last), number }
    }
}

impl Arrival {
    /// RFC 3339, in UTC, with microseconds.
    pub(super) fn utc(&self) -> String {
        humantime::format_rfc3339_micros(self.at).to_string()
    }

    /// Seconds since the message before, with six digits.
    pub(super) fn delta(&self) -> String {
        format!("{:.6}", self.since_last.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_microseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_007);
        let arrival = Arrival {
            at,
            since_last: Duration::from_micros(1_500_020),
            ..Arrivals::default().next(Instant::now(), 1)
        };
        assert_eq!(arrival.utc(), "2023-11-14T22:13:20.000007Z");
        assert_eq!(arrival.delta(), "1.500020");
    }

    #[test]
    fn the_first_message_has_none_before_it() {
        let (start, mut arrivals) = (Instant::now(), Arrivals::default());
        let after = |millis| start + Duration::from_millis(millis);
        let times = [5, 7, 7].map(|millis| arrivals.next(after(millis), 1).since_last.as_millis());
        assert_eq!(times, [0, 2, 0]);
    }
}
