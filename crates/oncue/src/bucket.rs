//! A token bucket: how often something may happen. It has no clock: times count from any origin that its owner keeps to.

use std::time::Duration;

/// How fast a bucket fills, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time in which one token comes, in nanoseconds.
    period: u64,
    /// How long it takes to fill an empty bucket.
    full: u64,
}

/// The tokens of one bucket, as the time at which it is full (GCRA): a full bucket needs no state, and none is filled while
/// nobody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// In nanoseconds.
    full_at: u64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Rate {
    /// No bucket is ever overdrawn.
    pub(crate) const UNBOUNDED: Rate = Rate { period: 0, full: u64::MAX };

    /// `tokens` in each `time`, and a bucket of `burst`.
    pub(crate) fn new(tokens: u32, time: Duration, burst: u32) -> Rate {
        let period = nanos(time) / u64::from(tokens.max(1));
        Rate { period, full: period.saturating_mul(burst.max(1).into()) }
    }

    /// The time in which this many tokens come, but no longer than it takes to fill the bucket.
    fn time(self, tokens: u64) -> u64 {
        self.period.saturating_mul(tokens).min(self.full)
    }
}

impl Bucket {
    /// Takes a token, whether there is one or not: a bucket may be overdrawn.
    pub(crate) fn take(&mut self, rate: Rate, now: Duration) {
        self.full_at = self.full_at.max(nanos(now)).saturating_add(rate.period);
    }

    /// Whether more was taken than there was.
    pub(crate) fn is_overdrawn(self, rate: Rate, now: Duration) -> bool {
        self.full_at > nanos(now).saturating_add(rate.full)
    }

    /// When it has this many tokens, or is full.
    pub(crate) fn has(self, tokens: u64, rate: Rate) -> Duration {
        Duration::from_nanos(self.full_at.saturating_add(rate.time(tokens)).saturating_sub(rate.full))
    }

    /// Whether it is full: as good as a new one.
    pub(crate) fn is_full(self, now: Duration) -> bool {
        self.full_at <= nanos(now)
    }
}

#[cfg(test)]
mod tests {
    use oncue_testing::Rng;

    use super::*;

    #[test]
    fn a_bucket_is_what_one_that_counts_tokens_is() {
        let second = Duration::from_secs(1);
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let (rate, burst) = (1 + rng.below(20) as u32, 1 + rng.below(50) as u32);
            let bounds = Rate::new(rate, second, burst);
            let period = 1_000_000_000 / u64::from(rate);
            let (mut bucket, mut now) = (Bucket::default(), 0u64);
            // In nanoseconds of refilling, so that nothing is rounded.
            let full = (u64::from(burst) * period) as i64;
            let mut model = full;
            for _ in 0..500 {
                let passed = rng.below(3 * period);
                now += passed;
                model = full.min(model + passed as i64);
                let at = Duration::from_nanos(now);
                assert_eq!(bucket.is_overdrawn(bounds, at), model < 0, "seed {seed}");
                assert_eq!(bucket.is_full(at), model == full, "seed {seed}");
                for _ in 0..rng.below(4) {
                    bucket.take(bounds, at);
                    model -= period as i64;
                }
                let wanted = 1 + rng.below(60);
                let lacks = (full.min((wanted * period) as i64) - model).max(0) as u64;
                let has = bucket.has(wanted, bounds).max(at);
                assert_eq!(has, Duration::from_nanos(now + lacks), "seed {seed}");
            }
        }
    }

    #[test]
    fn any_numbers_are_rates() {
        let now = Duration::from_secs(3);
        for (tokens, burst) in [(0, 0), (1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
            let rate = Rate::new(tokens, Duration::MAX, burst);
            let mut bucket = Bucket::default();
            (0..3).for_each(|_| bucket.take(rate, now));
            bucket.has(u64::MAX, rate);
        }
        let unbounded = Rate::new(u32::MAX, Duration::from_secs(1), 1);
        let mut bucket = Bucket::default();
        (0..1000).for_each(|_| bucket.take(unbounded, now));
        assert!(!bucket.is_overdrawn(unbounded, now));
    }
}
