//! What the handle and the runner share: the plan, the feeds that run, and the workers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue_core::feeds::{Limits, RouteId, TopicView};
use oncue_core::topic::Hidden;
use oncue_pattern::Pattern;

use super::plan::{Plan, Planned, Replaced, RouteRun};
use super::starts::Starts;
use crate::demand::feed::{
    Catalogued, Desk, Failure, Feed, OnDemandStats, OnFailure, RouteStats, TopicReport, TopicStats,
};
use crate::demand::producers::Workers;
use crate::error::{Error, Result};
use crate::sync::lock;

/// What is called when a catalogue cannot be listed.
pub(crate) type OnListFailure = Arc<dyn Fn(&Pattern, &Failure) + Send + Sync>;

/// What is called when a prefix comes to be unserved.
pub(crate) type OnUnserved = Arc<dyn Fn(&[u8], &str) + Send + Sync>;

/// What is called on failures, and on subscriptions of which no feed comes.
#[derive(Clone, Default)]
pub(crate) struct Reports {
    pub(crate) feed: Option<OnFailure>,
    pub(crate) list: Option<OnListFailure>,
    pub(crate) unserved: Option<OnUnserved>,
}

pub(crate) struct Shared {
    pub(crate) desk: Arc<Desk>,
    pub(crate) starts: Arc<Starts>,
    pub(crate) reports: Reports,
    /// Never locked while a producer's function is called.
    pub(crate) plan: Mutex<Plan>,
    pub(crate) workers: Arc<Workers>,
    /// The feeds that have not ended, by generation.
    pub(crate) feeds: Mutex<BTreeMap<u64, Feed>>,
}

impl Shared {
    pub(crate) fn new(
        desk: Arc<Desk>,
        workers: usize,
        patience: Duration,
        reports: Reports,
        hidden: Hidden,
    ) -> Shared {
        let seed = RandomState::new().build_hasher().finish();
        Shared {
            workers: Workers::new(workers, patience, desk.clone()),
            starts: Arc::new(Starts::new(desk.clone())),
            desk,
            reports,
            plan: Mutex::new(Plan::new(seed, hidden)),
            feeds: Mutex::default(),
        }
    }

    /// Starts the threads that these routes need, if any: before anything changes, since there may be none left.
    pub(crate) fn start_workers(&self, planned: &[Planned]) -> Result<()> {
        match planned.iter().any(|planned| planned.run.needs_workers()) {
            true => self.workers.start().map_err(|error| Error::io("no thread for producers", error)),
            false => Ok(()),
        }
    }

    pub(crate) fn replace(&self, planned: Vec<Planned>, limits: Limits) -> Result<Replaced> {
        let now = self.desk.now();
        lock(&self.plan).replace(planned, limits, now)
    }

    pub(crate) fn stats(&self) -> OnDemandStats {
        let machine = lock(&self.plan).machine.stats();
        self.desk.counters.stats(&machine)
    }

    pub(crate) fn route_stats(&self) -> Vec<RouteStats> {
        let now = self.desk.now();
        let plan = lock(&self.plan);
        plan.routes.iter().map(|(id, route)| route.stats(plan.machine.route_counts(*id), now)).collect()
    }

    /// What is done about each topic, and what its feed has done.
    pub(crate) fn topics(&self) -> Vec<TopicReport> {
        let mut reports: Vec<_> = {
            let plan = lock(&self.plan);
            let names: BTreeMap<_, Arc<str>> =
                plan.routes.iter().map(|(id, run)| (*id, run.pattern.to_string().into())).collect();
            let named = |topic: TopicView<'_>| {
                // The route of a feed that has not ended may have been removed.
                let route = names.get(&topic.route).cloned().unwrap_or_default();
                let TopicView { phase, failures, .. } = topic;
                let report = TopicReport { topic: topic.topic.to_vec(), route, phase, failures, feed: None };
                (topic.generation, report)
            };
            plan.machine.topics().map(named).collect()
        };
        let feeds = lock(&self.feeds).clone();
        for (generation, report) in &mut reports {
            report.feed = generation.and_then(|generation| feeds.get(&generation)).map(Feed::stats);
        }
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// The first `most` topics of each catalogue.
    pub(crate) fn catalogues(&self, most: usize) -> Vec<Catalogued> {
        let plan = lock(&self.plan);
        let of = |(id, run): (&RouteId, &Arc<RouteRun>)| Catalogued {
            pattern: run.pattern.to_string(),
            topics: plan.machine.listed_by(*id).take(most).cloned().collect(),
            total: plan.machine.route_counts(*id).listed,
        };
        plan.routes.iter().map(of).collect()
    }

    pub(crate) fn topic_stats(&self) -> Vec<TopicStats> {
        // Subscribers are counted one topic after the other: not while a feed may want to begin or to end.
        let feeds: Vec<Feed> = lock(&self.feeds).values().cloned().collect();
        let mut stats: Vec<_> = feeds.iter().map(Feed::stats).collect();
        stats.sort_by(|a, b| a.topic.cmp(&b.topic));
        stats
    }
}
