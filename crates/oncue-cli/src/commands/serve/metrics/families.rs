//! The table of what a server alone counts: what each metric is called, what it means, and where its samples come from.

use oncue::demand::{Histogram, RouteStats};

use super::snapshot::{Route, Snapshot};
use crate::commands::serve::program::verdict::Reason;
use crate::metrics::family::{self, Family, Labelled, counter, gauge, seconds};
use crate::metrics::text::{Kind, Text};

/// Where the samples of a family come from.
#[derive(Clone, Copy)]
pub(super) enum Read {
    One(fn(&Snapshot) -> u64),
    /// For each value of this label.
    By(&'static str, fn(&Snapshot) -> Labelled),
    /// For each route; as are the next two.
    Route(fn(&RouteStats) -> u64),
    RouteBy(&'static str, fn(&Route) -> Labelled),
    RouteTimes(fn(&RouteStats) -> &Histogram),
}

impl family::Read<Snapshot> for Read {
    #[cfg(test)]
    fn labels(&self) -> Vec<&'static str> {
        match self {
            Read::One(_) => Vec::new(),
            Read::By(label, _) => vec![label],
            Read::Route(_) | Read::RouteTimes(_) => vec!["route"],
            Read::RouteBy(label, _) => vec!["route", label],
        }
    }

    fn write(&self, snapshot: &Snapshot, text: &mut Text) {
        let routes = snapshot.routes.iter().map(|route| (route.stats.pattern.as_str(), route));
        match self {
            Read::One(read) => text.sample(&[], read(snapshot)),
            Read::By(label, read) => {
                read(snapshot).into_iter().for_each(|(name, value)| text.sample(&[(label, name)], value));
            }
            Read::Route(read) => {
                routes.for_each(|(name, route)| text.sample(&[("route", name)], read(&route.stats)));
            }
            Read::RouteBy(label, read) => {
                for (pattern, route) in routes {
                    let labelled = read(route).into_iter();
                    labelled
                        .for_each(|(name, value)| text.sample(&[("route", pattern), (label, name)], value));
                }
            }
            Read::RouteTimes(read) => {
                routes.for_each(|(name, route)| text.histogram(&[("route", name)], read(&route.stats)));
            }
        }
    }
}

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family<Read>] = &[
    gauge("oncue_config_in_force", Read::One(|all| u64::from(all.server.config_in_force)),
        "1 if the config that was read last is in force, 0 if it was refused."),
    counter("oncue_config_reloads", Read::By("outcome", |all| {
        let [replaced, refused] = all.server.reloads;
        vec![("replaced", replaced), ("refused", refused)]
    }), "How often the config was read again."),

    counter("oncue_values", Read::Route(|route| route.done.produced),
        "Values sent."),
    counter("oncue_values_avoided", Read::Route(|route| route.avoided),
        "Values not produced because nobody wanted them, of listed topics of routes with a period."),
    counter("oncue_values_offered", Read::Route(|route| route.done.offered),
        "Values sent, each counted once for every subscriber that its topic had then."),
    counter("oncue_values_late", Read::Route(|route| route.done.late),
        "Values that came when their topic was not wanted any more, and were dropped."),
    counter("oncue_values_refused", Read::Route(|route| route.done.refused),
        "Values that the socket did not take."),
    counter("oncue_values_superseded", Read::Route(|route| route.done.superseded),
        "Values replaced by newer ones before their time (min_interval)."),
    counter("oncue_ticks_skipped", Read::RouteBy("reason", |route| vec![
        ("busy", route.stats.done.ticks_skipped),
        ("congested", route.stats.done.ticks_congested),
        ("fresh", route.stats.done.ticks_fresh),
    ]), "Runs left out: the one before had not ended, all subscribers were full, or the value was fresh."),
    seconds("oncue_first_value_seconds", Kind::Histogram, Read::RouteTimes(|route| &route.first_value),
        "The time from the moment that a topic was to be produced to its first value."),
    seconds("oncue_production_seconds", Kind::Histogram, Read::RouteTimes(|route| &route.production),
        "The time that a run of a program took; of routes with every, since others have no runs."),
    counter("oncue_failures", Read::RouteBy("reason", failures),
        "Failures of programs, files and producers."),
    gauge("oncue_feeds", Read::RouteBy("state", |route| {
        let now = route.stats.now;
        let states = [
            ("running", now.running.saturating_sub(now.in_grace)),
            ("grace", now.in_grace),
            ("stopping", now.stopping),
            ("waiting", now.waiting),
            ("failing", now.failing),
        ];
        states.map(|(state, feeds)| (state, feeds as u64)).to_vec()
    }), "Topics in each state: produced, produced in their grace, told to stop, waiting for room, waiting after a failure."),
    counter("oncue_feeds_started", Read::Route(|route| route.done.started),
        "How often a topic has begun to be produced."),
    gauge("oncue_topics_wanted", Read::Route(|route| route.now.wanted as u64),
        "Topics that are wanted, whether they are produced or not."),
    gauge("oncue_topics_listed", Read::Route(|route| route.now.listed as u64),
        "Topics in the catalogue of the route."),

    counter("oncue_feeds_stopped", Read::One(|all| all.on_demand.stopped),
        "Topics whose production was stopped, since nobody wanted them any more or their route was removed."),
    counter("oncue_feeds_ended", Read::One(|all| all.on_demand.ended),
        "Topics whose production ended by itself."),
    counter("oncue_feeds_revived", Read::One(|all| all.on_demand.revived),
        "Topics that were wanted again during their grace."),
    gauge("oncue_topics_unserved", Read::One(|all| all.on_demand.unserved as u64),
        "Topics and prefixes that are wanted and that no route serves."),
    counter("oncue_unserved", Read::One(|all| all.on_demand.unserved_total),
        "How often a topic or prefix has come to be wanted that no route serves."),
    counter("oncue_lists_failed", Read::One(|all| all.on_demand.lists_failed),
        "Catalogues that had a topic of another route, or whose listing panicked."),
    counter("oncue_starts_deferred", Read::One(|all| all.on_demand.starts_deferred),
        "Subscriptions held because their user would have started too many topics (starts_per_minute_max)."),
    counter("oncue_starts_rejected", Read::One(|all| all.on_demand.starts_rejected),
        "Subscriptions rejected for that reason."),
    counter("oncue_programs", Read::One(|all| all.programs.programs),
        "Programs run."),
    counter("oncue_topics_refused", Read::One(|all| all.programs.refused),
        "Topics not produced because of the bytes in their names."),
    counter("oncue_values_unwanted", Read::One(|all| all.programs.unwanted),
        "Values of shared programs for topics that nobody wanted."),
    counter("oncue_values_skipped", Read::One(|all| all.programs.skipped),
        "Lines and values that were too long, or not as framing says."),
];

/// Programs and files have kinds of their own; what remains is the library's.
fn failures(route: &Route) -> Labelled {
    let own = Reason::ALL.into_iter().zip(route.failures).map(|(reason, count)| (reason.name(), count));
    let failed = route.stats.failures;
    own.chain([("panic", failed.panic), ("no_thread", failed.no_thread)]).collect()
}
