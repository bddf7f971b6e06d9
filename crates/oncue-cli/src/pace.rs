//! The pace of lines that others can cause at any rate: of one that says all one a minute, of single ones a token bucket. What is held
//! back is counted, and the next line tells it.

use std::time::{Duration, Instant};

/// The time between two lines.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    /// How many were held back since.
    held_back: u64,
}

impl Pace {
    /// How many were held back before this one; None if this one is held back.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until(now).is_some() {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }

    /// Until when lines are held back, if they are.
    pub(crate) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.last.map(|last| last + PERIOD).filter(|until| *until > now)
    }
}

/// A token bucket.
pub(crate) struct Limiter {
    burst: u32,
    /// The time in which a token is earned.
    period: Duration,
    tokens: u32,
    since: Instant,
    dropped: u64,
}

impl Limiter {
    /// One that is full.
    pub(crate) fn new(burst: u32, period: Duration) -> Limiter {
        Limiter { burst, period, tokens: burst, since: Instant::now(), dropped: 0 }
    }

    /// Takes a token. Returns how many were refused since the last one; None if there is no token.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.since).as_nanos() / self.period.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.since += self.period.saturating_mul(earned);
            self.tokens = self.tokens.saturating_add(earned).min(self.burst);
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
    fn a_bucket_is_bounded_in_rate_and_counts_what_it_refuses() {
        const BURST: u32 = 100;
        const PERIOD: Duration = Duration::from_millis(50);
        let mut limiter = Limiter::new(BURST, PERIOD);
        let start = limiter.since;
        for _ in 0..BURST {
            assert_eq!(limiter.admit(start), Some(0));
        }
        assert_eq!((limiter.admit(start), limiter.admit(start + PERIOD / 2)), (None, None));
        assert_eq!(limiter.admit(start + PERIOD), Some(2));
        assert_eq!(limiter.admit(start + PERIOD), None);
        let later = start + Duration::from_secs(3600);
        let admitted = (0..2 * BURST).filter(|_| limiter.admit(later).is_some()).count();
        assert_eq!(admitted, BURST as usize);
    }

    #[test]
    fn there_is_one_line_a_minute_which_counts_the_others() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.admit(start), Some(0));
        assert_eq!([pace.admit(start), pace.admit(start + PERIOD / 2)], [None, None]);
        assert_eq!(pace.admit(start + PERIOD), Some(2));
        assert_eq!(pace.admit(start + PERIOD), None);
        assert_eq!(pace.admit(start + 3 * PERIOD), Some(1));
    }
}
