//! The table of metrics: what each is called, what it means, and where its samples come from.

use oncue::demand::{Histogram, RouteStats};

use super::snapshot::{Route, Snapshot};
use super::text::Kind;
use crate::commands::serve::program::verdict::Reason;

/// Numbers, each with the value of a label.
type Labelled = Vec<(&'static str, u64)>;

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

/// Samples of one name.
pub(super) struct Family {
    /// Without the suffix of its kind.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What its name ends in, if its samples have a unit.
    pub(super) unit: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) read: Read,
}

const fn counter(name: &'static str, read: Read, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, unit: None, help, read }
}

const fn gauge(name: &'static str, read: Read, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit: None, help, read }
}

const fn seconds(name: &'static str, kind: Kind, read: Read, help: &'static str) -> Family {
    Family { name, kind, unit: Some("seconds"), help, read }
}

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "oncue_build", kind: Kind::Info, unit: None, help: "The version of oncue, in a label.",
        read: Read::By("version", |_| vec![(env!("CARGO_PKG_VERSION"), 1)]),
    },
    seconds("oncue_start_time_seconds", Kind::Gauge, Read::One(|all| all.server.started),
        "When the server was started, in seconds since 1970."),
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

    gauge("oncue_peers", Read::One(|all| all.socket.peers),
        "Subscribers connected."),
    gauge("oncue_peers_full", Read::One(|all| all.socket.peers_full),
        "Subscribers whose queue is full."),
    counter("oncue_peers_lost", Read::One(|all| all.socket.peers_lost),
        "Connections that ended after their handshake."),
    counter("oncue_peers_evicted", Read::One(|all| all.socket.peers_evicted),
        "Subscribers disconnected because they were full for too long; refused with the reason bound_exceeded, too."),
    counter("oncue_peers_refused", Read::By("reason", |all| {
        let refused = all.socket.refusals;
        vec![
            ("protocol", refused.protocol),
            ("socket_type", refused.socket_type),
            ("mechanism", refused.mechanism),
            ("not_let_in", refused.not_let_in),
            ("bound_exceeded", refused.bound_exceeded),
            ("turned_away", refused.turned_away),
            ("handshake_timeout", refused.handshake_timeout),
            ("by_peer", refused.by_peer),
            ("other", refused.other),
        ]
    }), "Connections refused or given up."),
    counter("oncue_quota_met", Read::By("quota", |all| {
        let met = all.socket.quotas;
        vec![
            ("peers_max", met.peers_max),
            ("peers_per_address_max", met.peers_per_address_max),
            ("handshakes_max", met.handshakes_max),
            ("message_bytes_max", met.message_bytes_max),
            ("prefix_length_max", met.prefix_length_max),
            ("prefixes_max", met.prefixes_max),
            ("prefix_bytes_max", met.prefix_bytes_max),
            ("prefixes_per_user_max", met.prefixes_per_user_max),
            ("prefix_bytes_per_user_max", met.prefix_bytes_per_user_max),
            ("changes_per_second_max", met.changes_per_second_max),
        ]
    }), "How often each quota was met; its name is that of its key in the config."),
    counter("oncue_accepts_paused", Read::One(|all| all.socket.accepts_paused),
        "How often a listener has paused because too few descriptors were left."),
    counter("oncue_messages", Read::One(|all| all.socket.sent),
        "Messages sent while at least one subscriber was connected."),
    counter("oncue_messages_dropped", Read::One(|all| all.socket.outbox_full),
        "Messages dropped because the I/O threads had not caught up."),
    counter("oncue_deliveries", Read::One(|all| all.socket.delivered),
        "Messages completely written to a subscriber's connection."),
    counter("oncue_deliveries_missed", Read::One(|all| all.socket.missed),
        "Messages missed by a subscriber whose queue was full."),
    counter("oncue_deliveries_undelivered", Read::One(|all| all.socket.undelivered),
        "Messages neither delivered nor missed when the connection of a subscriber ended."),
    counter("oncue_subscriptions_rejected", Read::One(|all| all.socket.subscriptions_rejected),
        "Subscriptions rejected by rules."),
    counter("oncue_subscriptions_deferred", Read::One(|all| all.socket.subscriptions_deferred),
        "Subscriptions whose admission was deferred."),
    counter("oncue_subscriptions_revoked", Read::One(|all| all.socket.subscriptions_revoked),
        "Subscriptions that were revoked."),
    counter("oncue_states_missed", Read::One(|all| all.socket.states_missed),
        "States of topics that a subscriber did not read in time."),
    gauge("oncue_last_values", Read::One(|all| all.socket.last_values),
        "Last values kept."),
    Family {
        name: "oncue_last_values_bytes", kind: Kind::Gauge, unit: Some("bytes"), help: "What they take.",
        read: Read::One(|all| all.socket.last_values_bytes),
    },
    counter("oncue_last_values_dropped", Read::One(|all| all.socket.last_values_dropped),
        "Last values dropped to make room."),
    counter("oncue_last_values_offered", Read::One(|all| all.socket.last_values_offered),
        "Last values sent to new subscribers; they count as delivered, too."),
];

/// Programs and files have kinds of their own; what remains is the library's.
fn failures(route: &Route) -> Labelled {
    let own = Reason::ALL.into_iter().zip(route.failures).map(|(reason, count)| (reason.name(), count));
    let failed = route.stats.failures;
    own.chain([("panic", failed.panic), ("no_thread", failed.no_thread)]).collect()
}
