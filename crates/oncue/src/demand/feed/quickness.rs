//! Whether a function is quick: then it costs more to hand a call to another thread than to make it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counter::nanos;

/// Calls of a quick function take less than this on average. A wake-up takes less, but costs others their time too, and most of
/// this is for writing the value to a peer. More in tests, which are built without optimization.
const QUICK: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_micros(50) };
/// One call in this number decides the average; after a call that takes a second, some hundred quick ones have to follow.
const WEIGHT: u64 = 32;

/// The time that a function takes: a moving average in nanoseconds. 0 while there was no call.
#[derive(Default)]
pub(crate) struct Quickness(AtomicU64);

impl Quickness {
    /// A call took this time. Of two calls at once, one may not count.
    pub(crate) fn took(&self, time: Duration) {
        let (before, now) = (self.0.load(Ordering::Relaxed), nanos(time).max(1));
        let average = if before == 0 { now } else { before - before / WEIGHT + now / WEIGHT };
        self.0.store(average.max(1), Ordering::Relaxed);
    }

    /// Whether it is known to be quick.
    pub(crate) fn is_quick(&self) -> bool {
        let average = self.0.load(Ordering::Relaxed);
        average > 0 && Duration::from_nanos(average) < QUICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_quick_after_its_first_quick_call_until_it_blocks() {
        let function = Quickness::default();
        assert!(!function.is_quick(), "nothing is known");
        function.took(Duration::ZERO);
        assert!(function.is_quick());
        function.took(QUICK * 200);
        assert!(!function.is_quick(), "it has blocked");
        let mut calls = 0;
        while !function.is_quick() {
            function.took(QUICK / 50);
            calls += 1;
        }
        assert!((50..200).contains(&calls), "quick again after {calls} calls");
        function.took(Duration::MAX);
        function.took(Duration::MAX);
        assert!(!function.is_quick(), "the average stays in its range");
    }
}
