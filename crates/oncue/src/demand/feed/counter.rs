//! One counter that only grows: relaxed atomics, which never wrap around.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    let before = counter.fetch_add(n, Ordering::Relaxed);
    if before.checked_add(n).is_none() {
        // A producer may say that it spent any time.
        counter.store(u64::MAX, Ordering::Relaxed);
    }
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
