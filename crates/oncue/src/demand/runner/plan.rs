//! The plan: the state machine and what runs for each of its routes; and how other routes take their place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue_core::feeds::{FeedCounts, Feeds, Limits, Route, RouteId, RoutesError};
use oncue_core::topic::Hidden;
use oncue_pattern::Pattern;

use crate::demand::feed::{FeedRoute, RouteStats};
use crate::demand::producers::{FillFn, Lister, Producer};
use crate::error::{Error, Result};
use crate::permission::{Admission, SubscribeRequest};
use crate::sync::lock;

/// A route's own rule about who may subscribe.
pub(crate) type AdmitFn = Arc<dyn Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync>;

pub(crate) struct Plan {
    pub(crate) machine: Feeds,
    pub(crate) routes: BTreeMap<RouteId, Arc<RouteRun>>,
}

/// A route that is to be added: for the machine, and for the runner.
pub(crate) struct Planned {
    pub(crate) route: Route,
    pub(crate) run: Arc<RouteRun>,
}

/// What runs for one route.
pub(crate) struct RouteRun {
    pub(crate) pattern: Pattern,
    /// Stands for all that the route is made of.
    pub(crate) key: Option<String>,
    pub(crate) producer: Producer,
    /// How often each topic would be produced without demand.
    pub(crate) pace: Option<Duration>,
    pub(crate) lister: Option<Lister>,
    pub(crate) fill: Option<FillFn>,
    pub(crate) admit: Option<AdmitFn>,
    /// The part that its feeds use.
    pub(crate) feeds: Arc<FeedRoute>,
    pub(crate) listed: Mutex<Listed>,
    /// The most values that were ever said to be avoided.
    pub(crate) avoided_most: AtomicU64,
}

/// What a socket asks of one route when a peer subscribes.
pub(crate) struct Guard {
    pub(crate) pattern: Pattern,
    pub(crate) admit: Option<AdmitFn>,
    /// Whether kept values are filled in where they are missing.
    pub(crate) fills: bool,
}

/// For what a publisher without demand would have produced: the topics listed, over time.
#[derive(Default)]
pub(crate) struct Listed {
    topics: usize,
    since: Duration,
    /// Before `since`: topics times nanoseconds.
    before: u128,
}

/// What [`OnDemand::reload`](crate::OnDemand::reload) has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Routes that stay as they were, with their feeds.
    pub kept: usize,
    /// Routes that were added.
    pub added: usize,
    /// Routes that were removed.
    pub removed: usize,
}

pub(crate) struct Replaced {
    pub(crate) done: Reloaded,
    pub(crate) added: Vec<RouteId>,
    pub(crate) removed: Vec<RouteId>,
    pub(crate) gone: Vec<Arc<RouteRun>>,
    pub(crate) guards: Vec<Guard>,
}

impl Plan {
    /// No routes. `seed` keys hashes of what peers choose.
    pub(crate) fn new(seed: u64, hidden: Hidden) -> Plan {
        Plan { machine: Feeds::empty(seed).hiding(hidden), routes: BTreeMap::new() }
    }

    /// Puts these routes in the place of those there are. A route of the same pattern and key stays as it is.
    pub(crate) fn replace(
        &mut self,
        planned: Vec<Planned>,
        limits: Limits,
        now: Duration,
    ) -> Result<Replaced> {
        let mut removed: Vec<_> = self.routes.keys().copied().collect();
        let before = removed.len();
        let (mut routes, mut runs) = (Vec::new(), Vec::new());
        for Planned { route, run } in planned {
            // The same route a second time is another route, which the machine refuses.
            match removed.iter().position(|id| self.routes[id].is_same(&run)) {
                Some(at) => drop(removed.swap_remove(at)),
                None => {
                    routes.push(route);
                    runs.push(run);
                }
            }
        }
        let added = self.machine.change_routes(&removed, routes, limits, now).map_err(refused)?;
        let gone = removed.iter().filter_map(|id| self.routes.remove(id)).collect();
        for (id, run) in added.iter().zip(runs) {
            run.listed(self.machine.route_counts(*id).listed, now);
            self.routes.insert(*id, run);
        }
        let done = Reloaded { kept: before - removed.len(), added: added.len(), removed: removed.len() };
        let guard = |route: &Arc<RouteRun>| Guard {
            pattern: route.pattern.clone(),
            admit: route.admit.clone(),
            fills: route.fill.is_some() && route.feeds.keep.is_some(),
        };
        let guards = self.routes.values().map(guard).filter(|guard| guard.admit.is_some() || guard.fills);
        Ok(Replaced { done, added, removed, gone, guards: guards.collect() })
    }
}

pub(crate) fn refused(error: RoutesError) -> Error {
    Error::misuse(error.to_string()).because(error)
}

impl RouteRun {
    fn is_same(&self, other: &RouteRun) -> bool {
        self.key.is_some() && self.key == other.key && self.pattern == other.pattern
    }

    /// Whether something of it runs on the workers.
    pub(crate) fn needs_workers(&self) -> bool {
        self.lister.is_some() || self.fill.is_some() || self.producer.period().is_some()
    }

    /// The number of topics listed from now on.
    pub(crate) fn listed(&self, topics: usize, now: Duration) {
        let mut listed = lock(&self.listed);
        listed.before = listed.sum(now);
        (listed.topics, listed.since) = (topics, now);
    }

    fn avoided(&self, now: Duration) -> u64 {
        let Some(period) = self.pace else { return 0 };
        let periods = lock(&self.listed).sum(now) / period.as_nanos().max(1);
        let done = self.feeds.counters.done();
        let had = [done.produced, done.ticks_skipped, done.ticks_congested, done.ticks_fresh];
        let had = had.into_iter().fold(0, u64::saturating_add);
        let avoided = u64::try_from(periods).unwrap_or(u64::MAX).saturating_sub(had);
        // A first value comes before its period is over. What was reported is not taken back: readers take rates of it.
        self.avoided_most.fetch_max(avoided, Ordering::Relaxed).max(avoided)
    }

    pub(crate) fn stats(&self, counts: FeedCounts, now: Duration) -> RouteStats {
        let (pattern, avoided) = (self.pattern.to_string(), self.avoided(now));
        RouteStats { pattern, now: counts, avoided, ..self.feeds.stats() }
    }
}

impl Listed {
    fn sum(&self, now: Duration) -> u128 {
        let time = now.saturating_sub(self.since).as_nanos();
        self.before.saturating_add(time.saturating_mul(self.topics as u128))
    }
}
