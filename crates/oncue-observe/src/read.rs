//! Reads a server: from its counts to what the topics say.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oncue::demand::{Meter, Phase, RouteStats, TopicReport};
use oncue::{PeerStatus, RefusedPeer, WantedPrefix};

use crate::process;
use crate::schema::{
    CATALOGUE_TOPICS_MAX, DEMAND_MAX, Demand, PEERS_MAX, PREFIX_PEERS_MAX, Peer, Peers, Refused, Route,
    Routes, State, Stats, Topic, Wanted, text,
};

/// What is read, and when the server started.
pub(crate) struct Source<'a> {
    pub(crate) meter: &'a Meter,
    pub(crate) prefix: &'a str,
    pub(crate) started: Instant,
    pub(crate) endpoints: &'a Mutex<Vec<String>>,
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Source<'_> {
    fn is_own(&self, topic: &[u8]) -> bool {
        topic.starts_with(self.prefix.as_bytes())
    }

    /// The counts of the routes that are not about the server itself.
    fn route_stats(&self) -> Vec<RouteStats> {
        let mut routes = self.meter.route_stats();
        routes.retain(|route| !self.is_own(route.pattern.as_bytes()));
        routes
    }
}

pub(crate) fn routes(source: &Source<'_>) -> Routes {
    let mut catalogues = source.meter.catalogues(CATALOGUE_TOPICS_MAX).into_iter();
    let routes = source.route_stats().into_iter().map(|stats| {
        // Both are in the order of the routes, which may change between the two.
        let listed = catalogues.find(|catalogue| catalogue.pattern == stats.pattern);
        let mut route = route(stats);
        if let Some(listed) = listed {
            route.catalogue = listed.topics.iter().map(|topic| text(topic).0).collect();
            route.catalogue_total = listed.total as u64;
        }
        route
    });
    Routes { time: now(), routes: routes.collect() }
}

fn route(stats: RouteStats) -> Route {
    let (now, done) = (stats.now, stats.done);
    let feeds = u32::try_from(stats.first_values).unwrap_or(u32::MAX);
    Route {
        pattern: stats.pattern,
        catalogue: Vec::new(),
        catalogue_total: now.listed as u64,
        wanted: now.wanted as u64,
        running: now.running as u64,
        in_grace: now.in_grace as u64,
        stopping: now.stopping as u64,
        waiting: now.waiting as u64,
        failing: now.failing as u64,
        started: done.started,
        values: done.produced,
        offered: done.offered,
        avoided: stats.avoided,
        failures: done.failed,
        superseded: done.superseded,
        skipped: done.ticks_skipped,
        congested: done.ticks_congested,
        fresh: done.ticks_fresh,
        production_seconds: done.producing.as_secs_f64(),
        first_values: stats.first_values,
        first_value_seconds: stats.first_value_time.checked_div(feeds).unwrap_or_default().as_secs_f64(),
        first_value_seconds_longest: stats.first_value_time_longest.as_secs_f64(),
    }
}

pub(crate) fn demand(source: &Source<'_>) -> Demand {
    // One more tells whether there are more; the server's own topics are few.
    let mut prefixes = source.meter.xpub().wanted_prefixes(DEMAND_MAX + 1, PREFIX_PEERS_MAX);
    prefixes.retain(|wanted| !source.is_own(&wanted.prefix));
    let prefixes_cut = prefixes.len() > DEMAND_MAX;
    prefixes.truncate(DEMAND_MAX);
    prefixes.sort_unstable_by(|a, b| a.prefix[..].cmp(&b.prefix[..]));
    let mut topics = source.meter.topics();
    topics.retain(|topic| !source.is_own(&topic.topic));
    let topics_cut = topics.len() > DEMAND_MAX;
    topics.truncate(DEMAND_MAX);
    let prefixes = prefixes.iter().map(wanted).collect();
    let topics = topics.iter().map(topic).collect();
    Demand { time: now(), prefixes, prefixes_cut, topics, topics_cut }
}

fn wanted(of: &WantedPrefix) -> Wanted {
    let (prefix, prefix_base64) = text(&of.prefix);
    let peers = of.peers.iter().map(|peer| peer.number()).collect();
    Wanted { prefix, prefix_base64, subscribers: of.subscribers as u64, peers }
}

fn topic(of: &TopicReport) -> Topic {
    let (topic, topic_base64) = text(&of.topic);
    let mut report = Topic {
        topic,
        topic_base64,
        route: of.route.to_string(),
        failures: of.failures.into(),
        state: match of.phase {
            Phase::Waiting => State::Waiting,
            Phase::Running => State::Starting,
            Phase::Grace => State::Grace,
            Phase::Stopping => State::Stopping,
            Phase::Failed => State::Failed,
            Phase::Ended => State::Ended,
        },
        ..Topic::default()
    };
    if let Some(feed) = &of.feed {
        report.subscribers = feed.subscribers as u64;
        (report.values, report.offered) = (feed.done.produced, feed.done.offered);
        report.first_value_seconds = feed.first_value_time.map(|time| time.as_secs_f64());
        report.production_seconds = feed.done.producing.as_secs_f64();
        if report.state == State::Starting && feed.first_value_time.is_some() {
            report.state = State::Running;
        }
    }
    report
}

pub(crate) fn peers(source: &Source<'_>) -> Peers {
    let socket = source.meter.xpub();
    // An error would be of a function that decides about subscriptions, which this is not.
    let mut all = socket.peers().unwrap_or_default();
    let peers_total = all.len() as u64;
    all.sort_by_key(|peer| std::cmp::Reverse((peer.missed, peer.queued_bytes)));
    all.truncate(PEERS_MAX);
    let mut refused: Vec<_> = socket.refused().iter().map(refused).collect();
    refused.reverse();
    let refused_total = socket.stats().peers_refused;
    Peers { time: now(), peers: all.iter().map(peer).collect(), peers_total, refused, refused_total }
}

fn peer(of: &PeerStatus) -> Peer {
    let profile = &of.profile;
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    Peer {
        id: profile.key.number(),
        address: profile.address.to_string(),
        user: profile.user.as_ref().map(|user| user.id.clone()),
        endpoint: profile.endpoint.to_string(),
        socket_type: profile.socket_type.to_string(),
        zmtp: format!("{}.{}", profile.zmtp.0, profile.zmtp.1),
        prefixes: of.prefixes.into(),
        prefix_bytes: of.prefix_bytes,
        requests: of.requests,
        queued: of.queued,
        queued_bytes: of.queued_bytes,
        delivered: of.delivered,
        missed: of.missed,
        connected_seconds: seconds(of.connected_for),
        silent_seconds: seconds(of.silent_for),
    }
}

fn refused(of: &RefusedPeer) -> Refused {
    let (address, cause, error) = (of.address.to_string(), of.cause.to_string(), of.error.to_string());
    Refused { address, cause, error }
}

pub(crate) fn stats(source: &Source<'_>) -> Stats {
    let (stats, socket) = (source.meter.stats(), source.meter.xpub());
    let routes = source.route_stats();
    let counts = socket.stats();
    let sum = |of: fn(&RouteStats) -> u64| routes.iter().map(of).fold(0, u64::saturating_add);
    Stats {
        time: now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: source.started.elapsed().as_secs_f64(),
        endpoints: source.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        wanted: sum(|route| route.now.wanted as u64),
        running: sum(|route| route.now.running as u64),
        waiting: sum(|route| route.now.waiting as u64),
        failing: sum(|route| route.now.failing as u64),
        unserved: stats.unserved as u64,
        values: sum(|route| route.done.produced),
        avoided: sum(|route| route.avoided),
        failures: sum(|route| route.done.failed),
        production_seconds: routes.iter().map(|route| route.done.producing.as_secs_f64()).sum(),
        delivered: counts.delivered,
        missed: counts.missed,
        peers: counts.peers,
        peers_full: counts.peers_full,
        peers_lost: counts.peers_lost,
        peers_refused: counts.peers_refused,
        subscriptions_rejected: counts.subscriptions_rejected,
        last_values: counts.last_values,
        last_values_bytes: counts.last_values_bytes,
        process: process::read(),
    }
}
