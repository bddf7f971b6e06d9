//! A histogram of durations in nanoseconds, with a relative error of less than 1%. Its buckets are linear within each power
//! of two.

/// Buckets in each power of two, as a power of two.
const BITS: u32 = 6;
const LINEAR: u64 = 1 << BITS;

/// Counts of durations.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Without any duration.
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }

    /// Counts one duration.
    #[inline]
    pub fn add(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// The duration that a share of all durations does not exceed, in nanoseconds; 0 if there is none.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut rest = (self.total as f64 * share).ceil().max(1.0) as u64;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count >= rest {
                let (from, width) = range(bucket);
                return from as f64 + (width - 1) as f64 / 2.0;
            }
            rest -= count;
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (63 - BITS).saturating_sub(nanos.leading_zeros());
    (u64::from(shift) * LINEAR + (nanos >> shift)) as usize
}

/// The least duration of a bucket, and how many there are.
fn range(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    let shift = (bucket / LINEAR).saturating_sub(1);
    ((bucket - shift * LINEAR) << shift, 1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::mix;

    #[test]
    fn each_duration_lies_in_the_range_of_its_bucket() {
        let random = (0..64).flat_map(|shift| (0..100).map(move |n| mix(n) >> shift));
        for nanos in random.chain([0, 1, 63, 64, 65, 127, 128, 129, u64::MAX]) {
            let (from, width) = range(bucket(nanos));
            assert!(from <= nanos && nanos - from < width, "{nanos}: {from} and {width}");
            assert!(width == 1 || width as f64 / from as f64 <= 1.0 / 64.0, "{nanos}: {from} and {width}");
        }
    }

    #[test]
    fn the_buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for bucket in 0..bucket(u64::MAX) {
            let (from, width) = range(bucket);
            assert_eq!(from, next);
            next = from + width;
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_durations() {
        let mut durations: Vec<u64> = (0..10_000).map(|n| mix(n) % 1_000_000).collect();
        let mut histogram = Histogram::new();
        durations.iter().for_each(|&nanos| histogram.add(nanos));
        durations.sort_unstable();
        for (share, at) in [(0.5, 4999), (0.99, 9899), (0.999, 9989), (1.0, 9999)] {
            let exact = durations[at] as f64;
            assert!((histogram.quantile(share) - exact).abs() <= exact / 100.0, "{share}");
        }
        assert_eq!(Histogram::new().quantile(0.5), 0.0);
    }
}
