//! What a server has said, as sheets: rates come from two values of a topic. It knows no terminal.

use std::collections::HashMap;

use oncue_observe::schema::{
    Demand, Peer, Peers, Refused, Route, Routes, State, Stats, Topic, Wanted, bytes,
};
use oncue_observe::topic;

use super::sheet::{Cell, Column, Line, Mood, Sheet, number, text};
use crate::output::escaped;
use crate::table::seconds;

/// The topics that are viewed.
pub(super) const VIEWED: [&str; 4] = [topic::STATS, topic::ROUTES, topic::DEMAND, topic::PEERS];
/// How many values a second of the last seconds are remembered.
const HISTORY: usize = 120;

const ROUTES: &[Column] = &[
    text("ROUTE"),
    number("WANTED"),
    number("RUNNING"),
    number("WAITING"),
    number("FAILING"),
    number("VALUES/S"),
    number("VALUES"),
    number("SAVED"),
    number("FAILURES"),
    number("FIRST"),
    number("SPENT"),
];
const TOPICS: &[Column] = &[
    text("TOPIC"),
    text("ROUTE"),
    text("STATE"),
    number("SUBSCRIBERS"),
    number("VALUES/S"),
    number("VALUES"),
    number("FIRST"),
    number("SPENT"),
];
const PEERS: &[Column] = &[
    text("PEER"),
    text("USER"),
    number("PREFIXES"),
    number("QUEUED"),
    number("QUEUED BYTES"),
    number("DELIVERED/S"),
    number("DELIVERED"),
    number("MISSED"),
    number("CONNECTED"),
    number("SILENT"),
];

/// The sheets, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Routes,
    Topics,
    Peers,
}

impl Which {
    pub(super) const ALL: [Which; 3] = [Which::Routes, Which::Topics, Which::Peers];

    #[cfg(feature = "top")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Which::Routes => "Routes",
            Which::Topics => "Topics",
            Which::Peers => "Peers",
        }
    }
}

/// What is known of a server.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) stats: Option<Stats>,
    /// Values a second, the latest last.
    pub(super) history: Vec<f64>,
    /// The processor's share of the server, where it tells.
    pub(super) cpu: Option<f64>,
    pub(super) routes: Option<Sheet>,
    pub(super) topics: Option<Sheet>,
    pub(super) peers: Option<Sheet>,
    pub(super) refused: Vec<Refused>,
    pub(super) refused_total: u64,
    before: HashMap<&'static str, Counts>,
    /// How often each topic has said something.
    heard: HashMap<String, u64>,
}

/// Counts at one time, by key.
#[derive(Debug, Default)]
struct Counts {
    time: f64,
    of: HashMap<String, f64>,
}

/// Rates since the counts before.
struct Rates {
    before: Option<Counts>,
    now: Counts,
}

impl Rates {
    /// By how much a count grows each second; None if it is new, or began anew.
    fn rate(&mut self, key: &str, count: f64) -> Option<f64> {
        self.now.of.insert(key.to_owned(), count);
        let before = self.before.as_ref()?;
        let time = self.now.time - before.time;
        let grown = count - before.of.get(key)?;
        (time > 0.0 && grown >= 0.0).then(|| grown / time)
    }
}

impl Model {
    /// Takes what the server says on a topic.
    pub(super) fn take(&mut self, name: &str, value: &[u8]) -> Result<(), serde_json::Error> {
        match name {
            topic::STATS => self.take_stats(serde_json::from_slice(value)?),
            topic::ROUTES => self.take_routes(serde_json::from_slice(value)?),
            topic::DEMAND => self.take_demand(serde_json::from_slice(value)?),
            topic::PEERS => self.take_peers(serde_json::from_slice(value)?),
            _ => return Ok(()),
        }
        *self.heard.entry(name.to_owned()).or_default() += 1;
        Ok(())
    }

    pub(super) fn sheet(&self, which: Which) -> Option<&Sheet> {
        match which {
            Which::Routes => self.routes.as_ref(),
            Which::Topics => self.topics.as_ref(),
            Which::Peers => self.peers.as_ref(),
        }
    }

    /// Whether every topic has said something, and again, so that there are rates.
    pub(super) fn has_rates(&self) -> bool {
        VIEWED.iter().all(|name| self.heard.get(*name).is_some_and(|heard| *heard > 1))
    }

    fn rates(&mut self, of: &'static str, time: f64) -> Rates {
        Rates { before: self.before.remove(of), now: Counts { time, of: HashMap::new() } }
    }

    fn take_stats(&mut self, stats: Stats) {
        let mut rates = self.rates(topic::STATS, stats.time);
        if let Some(rate) = rates.rate("values", stats.values as f64) {
            self.history.push(rate);
            let extra = self.history.len().saturating_sub(HISTORY);
            self.history.drain(..extra);
        }
        self.cpu = stats.process.as_ref().and_then(|process| rates.rate("cpu", process.cpu_seconds));
        self.before.insert(topic::STATS, rates.now);
        self.stats = Some(stats);
    }

    fn take_routes(&mut self, said: Routes) {
        let mut rates = self.rates(topic::ROUTES, said.time);
        let lines = said.routes.iter().map(|route| {
            let rate = rates.rate(&route.pattern, route.values as f64);
            route_line(route, rate)
        });
        self.routes = Some(Sheet { columns: ROUTES, lines: lines.collect() });
        self.before.insert(topic::ROUTES, rates.now);
    }

    fn take_demand(&mut self, said: Demand) {
        let mut rates = self.rates(topic::DEMAND, said.time);
        let exact: HashMap<&str, &Wanted> =
            said.prefixes.iter().map(|wanted| (wanted.prefix.as_str(), wanted)).collect();
        let lines = said.topics.iter().map(|topic| {
            let name = shown(&topic.topic, topic.topic_base64.as_deref());
            let rate = rates.rate(&name, topic.values as f64);
            topic_line(topic, name, rate, exact.get(topic.topic.as_str()).copied())
        });
        let mut lines: Vec<_> = lines.collect();
        lines.extend(unserved(&said));
        self.topics = Some(Sheet { columns: TOPICS, lines });
        self.before.insert(topic::DEMAND, rates.now);
    }

    fn take_peers(&mut self, said: Peers) {
        let mut rates = self.rates(topic::PEERS, said.time);
        let lines = said.peers.iter().map(|peer| {
            let rate = rates.rate(&peer.id.to_string(), peer.delivered as f64);
            peer_line(peer, rate)
        });
        self.peers = Some(Sheet { columns: PEERS, lines: lines.collect() });
        let shown = |refused: Refused| Refused {
            address: escaped(refused.address.as_bytes()),
            cause: escaped(refused.cause.as_bytes()),
            error: escaped(refused.error.as_bytes()),
        };
        (self.refused, self.refused_total) =
            (said.refused.into_iter().map(shown).collect(), said.refused_total);
        self.before.insert(topic::PEERS, rates.now);
    }
}

/// Prefixes that are wanted and neither are a topic with a route nor begin one.
fn unserved(said: &Demand) -> impl Iterator<Item = Line> {
    let topics: Vec<Vec<u8>> =
        said.topics.iter().map(|topic| bytes(&topic.topic, topic.topic_base64.as_deref())).collect();
    said.prefixes.iter().filter_map(move |wanted| {
        let prefix = bytes(&wanted.prefix, wanted.prefix_base64.as_deref());
        let at = topics.partition_point(|topic| *topic < prefix);
        if prefix.is_empty() || topics.get(at).is_some_and(|topic| topic.starts_with(&prefix)) {
            return None;
        }
        let name = escaped(&prefix);
        let mut cells =
            vec![Cell::text(&name), Cell::text("-"), Cell::text("unserved"), Cell::count(wanted.subscribers)];
        cells.extend((cells.len()..TOPICS.len()).map(|_| Cell::unknown()));
        Some(Line { key: name, cells, mood: Mood::Wrong, details: vec![("peers", ids(&wanted.peers))] })
    })
}

fn ids(peers: &[u64]) -> String {
    peers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str, base64: Option<&str>) -> String {
    escaped(&bytes(text, base64))
}

/// A rate, as in `0.5`, `12.0` or `1500`.
pub(super) fn rate(of: f64) -> String {
    if of < 99.95 { format!("{of:.1}") } else { format!("{of:.0}") }
}

fn rate_cell(of: Option<f64>) -> Cell {
    of.map_or_else(Cell::unknown, |of| Cell::number(of, rate(of)))
}

fn seconds_cell(of: Option<f64>) -> Cell {
    of.map_or_else(Cell::unknown, |of| Cell::number(of, seconds(of)))
}

fn route_line(route: &Route, rate: Option<f64>) -> Line {
    let first = (route.first_values > 0).then_some(route.first_value_seconds);
    let mood = match (route.failing, route.running) {
        (1.., _) => Mood::Wrong,
        (0, 1..) => Mood::Busy,
        (0, 0) => Mood::Usual,
    };
    let catalogue: Vec<_> = route.catalogue.iter().take(20).map(|topic| escaped(topic.as_bytes())).collect();
    let details = vec![
        ("catalogue", format!("{} topics: {}", route.catalogue_total, catalogue.join(" "))),
        (
            "feeds",
            format!("{} started, {} in grace, {} stopping", route.started, route.in_grace, route.stopping),
        ),
        ("offered", format!("{} messages", route.offered)),
        (
            "left out",
            format!(
                "{} superseded, {} skipped, {} congested, {} fresh",
                route.superseded, route.skipped, route.congested, route.fresh
            ),
        ),
        ("first value", format!("{} at the longest", seconds(route.first_value_seconds_longest))),
    ];
    let cells = vec![
        Cell::text(escaped(route.pattern.as_bytes())),
        Cell::count(route.wanted),
        Cell::count(route.running),
        Cell::count(route.waiting),
        Cell::count(route.failing),
        rate_cell(rate),
        Cell::count(route.values),
        Cell::count(route.avoided),
        Cell::count(route.failures),
        seconds_cell(first),
        seconds_cell(Some(route.production_seconds)),
    ];
    Line { key: route.pattern.clone(), cells, mood, details }
}

fn topic_line(topic: &Topic, name: String, rate: Option<f64>, exact: Option<&Wanted>) -> Line {
    let mood = match topic.state {
        State::Starting | State::Running => Mood::Busy,
        State::Waiting | State::Failed => Mood::Wrong,
        State::Grace | State::Stopping | State::Ended | State::Other => Mood::Usual,
    };
    let mut details = vec![
        ("offered", format!("{} messages", topic.offered)),
        ("failures", format!("{} in a row", topic.failures)),
    ];
    if let Some(wanted) = exact {
        details.push((
            "by its name",
            format!("{} subscribers: peers {}", wanted.subscribers, ids(&wanted.peers)),
        ));
    }
    let cells = vec![
        Cell::text(&name),
        Cell::text(escaped(topic.route.as_bytes())),
        Cell::text(topic.state.name()),
        Cell::count(topic.subscribers),
        rate_cell(rate),
        Cell::count(topic.values),
        seconds_cell(topic.first_value_seconds),
        seconds_cell(Some(topic.production_seconds)),
    ];
    Line { key: name, cells, mood, details }
}

fn peer_line(peer: &Peer, rate: Option<f64>) -> Line {
    let mood = if peer.missed > 0 { Mood::Wrong } else { Mood::Usual };
    let details = vec![
        ("id", peer.id.to_string()),
        (
            "socket",
            escaped(format!("{}, ZMTP {}, by {}", peer.socket_type, peer.zmtp, peer.endpoint).as_bytes()),
        ),
        ("prefixes", format!("{} of {} bytes", peer.prefixes, peer.prefix_bytes)),
        ("requests", format!("{} not decided", peer.requests)),
    ];
    let cells = vec![
        Cell::text(escaped(peer.address.as_bytes())),
        Cell::text(escaped(peer.user.as_deref().unwrap_or("-").as_bytes())),
        Cell::count(peer.prefixes),
        Cell::count(peer.queued),
        Cell::count(peer.queued_bytes),
        rate_cell(rate),
        Cell::count(peer.delivered),
        Cell::count(peer.missed),
        seconds_cell(Some(peer.connected_seconds)),
        seconds_cell(Some(peer.silent_seconds)),
    ];
    Line { key: peer.id.to_string(), cells, mood, details }
}

/// The server in one line.
pub(super) fn summary(model: &Model) -> String {
    let Some(stats) = &model.stats else { return "nothing is known yet".to_owned() };
    let mut parts = vec![
        format!("{} wanted", stats.wanted),
        format!("{} running", stats.running),
        format!("{} values/s", model.history.last().map_or_else(|| "-".to_owned(), |last| rate(*last))),
        format!("{} values", stats.values),
        format!("{} saved", stats.avoided),
    ];
    for (count, what) in [
        (stats.waiting, "waiting"),
        (stats.failing, "failing"),
        (stats.unserved, "unserved"),
        (stats.failures, "failures"),
        (stats.missed, "missed"),
        (stats.peers_full, "peers full"),
        (stats.peers_refused, "peers refused"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.push(format!("{} peers", stats.peers));
    parts.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn take(model: &mut Model, name: &str, value: &Value) {
        model.take(name, &serde_json::to_vec(value).expect("JSON")).expect("as the schema says");
    }

    fn demand(time: f64, values: u64) -> Value {
        let topic = |topic: &str, state: &str, values| {
            json!({"topic": topic, "route": "n/{n}", "state": state, "subscribers": 1, "failures": 0, "values": values,
                   "offered": values, "first_value_seconds": 0.002, "production_seconds": 0.5})
        };
        json!({"time": time, "prefixes_cut": false, "topics_cut": false,
            "prefixes": [
                {"prefix": "n/1", "subscribers": 1, "peers": [64]},
                {"prefix": "zz", "subscribers": 2, "peers": [64, 65]}
            ],
            "topics": [topic("n/1", "running", values), topic("n/2", "failed", 3)]})
    }

    fn stats(time: f64, values: u64) -> Value {
        let stats = Stats { time, values, wanted: 2, running: 1, peers: 2, ..Stats::default() };
        let mut stats = serde_json::to_value(stats).expect("JSON");
        stats["process"] =
            json!({"cpu_seconds": time / 50.0, "memory_bytes": 12_000_000, "descriptors": 9, "threads": 5});
        stats
    }

    /// A server that has said everything twice, a second apart.
    pub(in super::super) fn model() -> Model {
        let mut model = Model::default();
        for (time, values) in [(100.0, 10), (101.0, 25)] {
            take(&mut model, topic::STATS, &stats(time, values));
            take(&mut model, topic::DEMAND, &demand(time, values));
            let route =
                Route { pattern: "n/{n}".to_owned(), values, running: 1, wanted: 2, ..Route::default() };
            take(&mut model, topic::ROUTES, &json!({"time": time, "routes": [route]}));
            let peer = Peer { id: 64, address: "tcp://10.0.0.1:5".to_owned(), missed: 7, ..Peer::default() };
            let (address, error) = ("tcp://10.0.0.9:1".to_owned(), "no key".to_owned());
            let refused = Refused { address, error, ..Refused::default() };
            let peers = json!({"time": time, "peers": [peer], "peers_total": 1, "refused": [refused], "refused_total": 1});
            take(&mut model, topic::PEERS, &peers);
        }
        model
    }

    #[test]
    fn rates_come_from_two_values_of_a_topic() {
        let model = model();
        assert!(model.has_rates() && !Model::default().has_rates());
        let cells = |which, line: usize| {
            let line = &model.sheet(which).expect("it was said").lines[line];
            line.cells.iter().map(|cell| cell.shown.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(cells(Which::Topics, 0), "n/1 n/{n} running 1 15.0 25 2.00ms 500ms");
        assert_eq!(cells(Which::Topics, 1), "n/2 n/{n} failed 1 0.0 3 2.00ms 500ms");
        assert_eq!(cells(Which::Topics, 2), "zz - unserved 2 - - - -");
        assert!(cells(Which::Routes, 0).starts_with("n/{n} 2 1 0 0 15.0 25"));
        assert_eq!(summary(&model), "2 wanted, 1 running, 15.0 values/s, 25 values, 0 saved, 2 peers");
        assert!((model.cpu.expect("two values") - 0.02).abs() < 1e-9);
    }

    #[test]
    fn a_count_that_began_anew_has_no_rate() {
        let mut model = model();
        take(&mut model, topic::DEMAND, &demand(102.0, 1));
        assert_eq!(model.topics.expect("it was said").lines[0].cells[4], Cell::unknown());
    }

    #[test]
    fn what_is_not_as_the_schema_says_is_an_error_and_unknown_topics_are_ignored() {
        let mut model = Model::default();
        assert!(model.take(topic::STATS, b"{}").is_err() && model.take("new", b"?").is_ok());
    }
}
