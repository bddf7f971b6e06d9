//! How long things took, in a histogram of fixed buckets: a few atomic counters for each route, and the plain data that users
//! read.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::counter::{add, get, nanos};

/// The number of bounds.
const BOUNDS: usize = 15;

/// Times of one kind, counted in buckets of fixed bounds.
///
/// ```
/// use oncue::OnDemand;
///
/// let od = OnDemand::bind("tcp://127.0.0.1:0")?.route("a").manual(|_| ()).start()?;
/// let first_value = &od.route_stats()[0].first_value;
/// assert_eq!((first_value.count(), first_value.cumulative().last()), (0, Some((None, 0))));
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many times are in each bucket; the last one has no bound.
    counts: [u64; BOUNDS + 1],
    sum: Duration,
}

impl Histogram {
    /// The bounds of the buckets, from 1 ms to 60 s. A time that equals a bound is within it.
    pub const BOUNDS: [Duration; BOUNDS] = [
        Duration::from_micros(1000),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_millis(1000),
        Duration::from_millis(2500),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(30),
        Duration::from_secs(60),
    ];

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all times.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// For each bound, and at the end for no bound (`None`), how many times were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = Histogram::BOUNDS.into_iter().map(Some).chain([None]);
        bounds.zip(&self.counts).scan(0, |before, (bound, count)| {
            *before += count;
            Some((bound, *before))
        })
    }
}

/// The counters of a [`Histogram`].
#[derive(Default)]
pub(crate) struct Timings {
    counts: [AtomicU64; BOUNDS + 1],
    sum_nanos: AtomicU64,
}

impl Timings {
    pub(crate) fn took(&self, time: Duration) {
        let bucket = Histogram::BOUNDS.partition_point(|bound| *bound < time);
        add(&self.counts[bucket], 1);
        add(&self.sum_nanos, nanos(time));
    }

    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(get(&self.sum_nanos))
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram { counts: self.counts.each_ref().map(get), sum: self.sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_within_the_first_bound_that_is_not_shorter() {
        let timings = Timings::default();
        let times = [0, 1_000_000, 1_000_001, 60_000_000_000, 60_000_000_001];
        times.iter().for_each(|time| timings.took(Duration::from_nanos(*time)));
        let histogram = timings.histogram();
        let all: Vec<_> = histogram.cumulative().collect();
        assert_eq!(all.len(), Histogram::BOUNDS.len() + 1);
        assert_eq!(all[0], (Some(Duration::from_millis(1)), 2));
        assert_eq!(all[1], (Some(Duration::from_micros(2500)), 3));
        assert_eq!(all[14..], [(Some(Duration::from_secs(60)), 4), (None, 5)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_nanos(times.iter().sum())));
    }

    #[test]
    fn bounds_grow() {
        assert!(Histogram::BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
