//! What is done at ticks, and when the next tick is.

use std::sync::Arc;
use std::time::Duration;

use super::workers::Jobs;
use crate::demand::feed::{Feed, Fresh, Stopped};

/// What is done at a time, once or periodically.
pub(crate) trait Tick: Send + Sync {
    /// The tick that was due at `at` has come: adds what is to be done to `jobs`. Returns when the next tick is, unless
    /// there is none.
    fn tick(self: Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration>;
}

/// The value of a feed that is held back until its time has come.
pub(crate) struct Held(pub(crate) Feed);

impl Tick for Held {
    fn tick(self: Arc<Self>, _at: Duration, _now: Duration, _jobs: &mut Jobs) -> Option<Duration> {
        self.0.release();
        None
    }
}

/// The clock of a feed that is produced on a thread of its own: it ticks every period from the moment it is made, without
/// drift.
///
/// ```
/// # use {oncue::OnDemand, oncue::demand::Ticks, std::time::Duration};
/// let od = OnDemand::bind("tcp://127.0.0.1:0")?
///     .route("sensor/{name}")
///     .thread(|feed| {
///         let mut ticks = Ticks::new(&feed, Duration::from_secs(1));
///         loop {
///             feed.publish(format!("the state of {}", feed.param("name")))?;
///             ticks.wait()?;
///         }
///     })
///     .start()?;
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Debug)]
pub struct Ticks<'f> {
    feed: &'f Feed,
    period: Duration,
    /// When the last tick was due.
    due: Duration,
}

impl Ticks<'_> {
    /// The first tick is now, and not waited for.
    pub fn new(feed: &Feed, period: Duration) -> Ticks<'_> {
        Ticks { feed, period, due: feed.desk().now() }
    }

    /// Blocks this thread until the next tick. Those that have passed since the last one are left out and counted
    /// ([`Done::ticks_skipped`](crate::demand::Done::ticks_skipped)). While the topic has a fresh value
    /// ([`Feed::skip_for_freshness`] at a tick), a tick comes at the moment at which it is too old, and with
    /// [`once`](crate::demand::RouteBuilder::once) none before.
    ///
    /// # Errors
    /// [`Stopped`] as soon as the feed is not active.
    pub fn wait(&mut self) -> Result<(), Stopped> {
        let now = self.feed.desk().now();
        let (next, passed) = next_tick(self.due, self.period, now);
        self.feed.skip_ticks(passed);
        let fresh = self.feed.fresh();
        self.due = tick_while_fresh(next, self.period, fresh, self.feed.is_once());
        match fresh {
            Some(Fresh { until: Duration::MAX, .. }) => self.feed.wait_while_fresh(),
            _ => self.feed.sleep(self.due.saturating_sub(now)),
        }
    }
}

/// The tick to come instead of `next`, where the value of a feed is fresh: `next`, which will be left out, or the moment at
/// which the value is too old if that is less than a period later; but not sooner than a period after the value was sent, as
/// if this feed had sent it. A feed that rests after one value has no tick before that moment.
pub(crate) fn tick_while_fresh(
    next: Duration,
    period: Duration,
    fresh: Option<Fresh>,
    rests: bool,
) -> Duration {
    match fresh {
        None => next,
        Some(Fresh { until, .. }) if rests => until,
        Some(Fresh { at, until }) => {
            let old = until.max(at.saturating_add(period));
            if old < next.saturating_add(period) { old } else { next }
        }
    }
}

/// The tick after the one that was due at `due`, and how many passed unseen between the two. Ticks are whole periods
/// after the runner's origin, so that those of many feeds meet and one waking serves them all. The first tick may be due at
/// any time; the second comes half a period later at the earliest.
pub(crate) fn aligned_tick(due: Duration, period: Duration, now: Duration) -> (Duration, u64) {
    let beyond = beyond_whole(due, period);
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

/// The time since the last whole period after the runner's origin.
fn beyond_whole(at: Duration, period: Duration) -> Duration {
    let beyond = match (u64::try_from(at.as_nanos()), u64::try_from(period.as_nanos())) {
        // 584 years: a division of 128 bits takes several times as long, and each tick makes one.
        (Ok(at), Ok(period)) => at % period.max(1),
        _ => u64::try_from(at.as_nanos() % period.as_nanos().max(1)).unwrap_or(u64::MAX),
    };
    Duration::from_nanos(beyond)
}

/// The first tick after `now`, and how many passed unseen between the one that is due and that.
pub(crate) fn next_tick(due: Duration, period: Duration, now: Duration) -> (Duration, u64) {
    let passed = now.saturating_sub(due).as_nanos() / period.as_nanos().max(1);
    let since = u32::try_from(passed).ok().and_then(|passed| period.checked_mul(passed));
    // More than 4 thousand million periods late, it makes no difference to count from now on.
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
        assert_eq!(next_tick(ms(105), ms(10), ms(100)), (ms(115), 0), "time that goes back");
        let (next, passed) = next_tick(ms(0), Duration::from_nanos(1), Duration::from_secs(100));
        assert!(next > Duration::from_secs(100) && passed == 100_000_000_000);
    }

    #[test]
    fn while_a_value_is_fresh_no_tick_comes_sooner_than_it_is_too_old() {
        let s = Duration::from_secs;
        let next = |next: u64, period: u64, sent: u64, time: u64| {
            let fresh = Fresh::new(s(sent), s(time), s(sent));
            tick_while_fresh(s(next), s(period), fresh, false)
        };
        assert_eq!(next(10, 5, 1, 30), s(10), "to be left out as well");
        assert_eq!(next(30, 5, 1, 30), s(31), "a little later");
        assert_eq!(next(60, 30, 1, 30), s(31), "and not a whole period later");
        assert_eq!(next(3600, 3600, 1, 30), s(3601), "a period after the value");
        assert_eq!(next(7200, 3600, 1, 30), s(3601), "as if the feed that has just begun had sent it");
        assert_eq!(tick_while_fresh(s(9), s(5), None, true), s(9));
        let fresh = Fresh::new(s(1), Duration::MAX, s(2));
        assert_eq!(tick_while_fresh(s(9), s(5), fresh, true), Duration::MAX, "it rests");
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
