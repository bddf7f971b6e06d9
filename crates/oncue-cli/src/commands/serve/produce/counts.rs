//! Counts of what programs and files do: of the server since its start, and the failures of each route by their reasons.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::commands::serve::program::verdict::Reason;

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) programs: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Topics that are not produced because of the bytes in their names.
    pub(crate) refused: AtomicU64,
    /// Values of a shared program for topics that are not wanted.
    pub(crate) unwanted: AtomicU64,
    /// Lines and values that are too long, or not as `framing` says.
    pub(crate) skipped: AtomicU64,
    /// By the patterns of routes: those of the config in force.
    routes: Mutex<BTreeMap<String, Arc<Failures>>>,
}

/// The counts of all routes, as they are at one time. The fields are those of [`Counts`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) programs: u64,
    pub(crate) failures: u64,
    pub(crate) refused: u64,
    pub(crate) unwanted: u64,
    pub(crate) skipped: u64,
}

/// The failures of one route.
#[derive(Default)]
pub(crate) struct Failures([AtomicU64; Reason::ALL.len()]);

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    /// The counters of the route with this pattern. A route that has changed goes on with those it had.
    pub(crate) fn of_route(&self, pattern: &str) -> Arc<Failures> {
        self.routes().entry(pattern.to_owned()).or_default().clone()
    }

    pub(crate) fn totals(&self) -> Totals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            programs: get(&self.programs),
            failures: get(&self.failures),
            refused: get(&self.refused),
            unwanted: get(&self.unwanted),
            skipped: get(&self.skipped),
        }
    }

    /// Forgets the counters of other routes than these.
    pub(crate) fn retain(&self, stays: impl Fn(&str) -> bool) {
        self.routes().retain(|pattern, _| stays(pattern));
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Failures>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    pub(crate) fn count(&self, reason: Reason) {
        if let Some(counter) = self.0.get(reason as usize) {
            count(counter);
        }
    }

    /// In the order of [`Reason::ALL`].
    pub(crate) fn get(&self) -> [u64; Reason::ALL.len()] {
        self.0.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_goes_on_with_its_counters_until_it_is_removed() {
        let counts = Counts::default();
        counts.of_route("a").count(Reason::Exit);
        counts.of_route("a").count(Reason::Timeout);
        counts.of_route("b").count(Reason::Exit);
        let exits = |route: &str| counts.of_route(route).get()[Reason::Exit as usize];
        assert_eq!((exits("a"), exits("b")), (1, 1));
        counts.retain(|pattern| pattern == "b");
        assert_eq!((exits("a"), exits("b")), (0, 1));
    }
}
