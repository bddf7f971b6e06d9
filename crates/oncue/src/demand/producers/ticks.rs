//! What is done at ticks, and when the next tick is.

use std::sync::Arc;
use std::time::Duration;

use super::workers::Jobs;

/// What is done periodically.
pub(crate) trait Tick: Send + Sync {
    /// The tick that was due at `at` has come: adds what is to be done to `jobs`. Returns when the next tick is, unless
    /// there is none.
    fn tick(self: Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration>;
}

/// The tick after the one that was due at `due`, and how many passed unseen between the two. Ticks are whole periods
/// after the runner's origin, so that those of many feeds meet and one waking serves them all. A first one may be due at
/// any time; the next comes half a period later at the soonest.
pub(crate) fn aligned_tick(due: Duration, period: Duration, now: Duration) -> (Duration, u64) {
    let beyond = due.as_nanos() % period.as_nanos().max(1);
    let beyond = Duration::from_nanos(u64::try_from(beyond).unwrap_or(u64::MAX));
    if beyond.is_zero() {
        return next_tick(due, period, now);
    }
    let mut next = due.saturating_sub(beyond).saturating_add(period);
    if next.saturating_sub(due) < period / 2 {
        next = next.saturating_add(period);
    }
    if next > now {
        return (next, 0);
    }
    let (next, passed) = next_tick(next, period, now);
    (next, passed.saturating_add(1))
}

/// The first tick after `now`, and how many passed unseen between the one that is due and that.
pub(crate) fn next_tick(due: Duration, period: Duration, now: Duration) -> (Duration, u64) {
    let passed = now.saturating_sub(due).as_nanos() / period.as_nanos().max(1);
    let since = u32::try_from(passed).ok().and_then(|passed| period.checked_mul(passed));
    // More than four thousand million periods behind, counting on from now is as good.
    let last = since.map_or(now, |since| due.saturating_add(since));
    (last.saturating_add(period), u64::try_from(passed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_whole_periods_after_the_first() {
        let ms = Duration::from_millis;
        assert_eq!(next_tick(ms(100), ms(10), ms(100)), (ms(110), 0));
        assert_eq!(next_tick(ms(100), ms(10), ms(109)), (ms(110), 0));
        assert_eq!(next_tick(ms(100), ms(10), ms(110)), (ms(120), 1));
        assert_eq!(next_tick(ms(100), ms(10), ms(137)), (ms(140), 3));
        let (next, passed) = next_tick(ms(0), Duration::from_nanos(1), Duration::from_secs(100));
        assert!(next > Duration::from_secs(100) && passed == 100_000_000_000);
    }

    #[test]
    fn ticks_of_feeds_that_began_at_different_times_meet() {
        let ms = Duration::from_millis;
        assert_eq!(aligned_tick(ms(103), ms(10), ms(103)), (ms(110), 0));
        assert_eq!(aligned_tick(ms(105), ms(10), ms(105)), (ms(110), 0));
        assert_eq!(aligned_tick(ms(106), ms(10), ms(106)), (ms(120), 0), "not so soon after the first");
        assert_eq!(aligned_tick(ms(110), ms(10), ms(110)), (ms(120), 0));
        assert_eq!(aligned_tick(ms(110), ms(10), ms(131)), (ms(140), 2));
        assert_eq!(aligned_tick(ms(103), ms(10), ms(110)), (ms(120), 1));
        assert_eq!(aligned_tick(ms(103), ms(10), ms(131)), (ms(140), 3));
    }
}
