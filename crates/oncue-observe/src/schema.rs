//! What the topics say, as JSON. Fields may be added: a reader ignores those that it does not know.
//!
//! All times are in seconds: points in time since 1970-01-01 UTC, durations as they are. Counts are since the server started,
//! unless they are of the present. A text that stands for bytes has U+FFFD where they are not UTF-8, and then the bytes are in
//! base64 (RFC 4648) in the field of the same name with `_base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The most topics of a catalogue that [`Routes`] names.
pub const CATALOGUE_TOPICS_MAX: usize = 1000;
/// The most prefixes, and the most topics, that [`Demand`] has.
pub const DEMAND_MAX: usize = 100_000;
/// The most peers of a prefix that [`Demand`] names.
pub const PREFIX_PEERS_MAX: usize = 16;
/// The most peers that [`Peers`] has.
pub const PEERS_MAX: usize = 10_000;

/// `routes`: how each route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// When this was read.
    pub time: f64,
    /// In the order of the config.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Its pattern.
    pub pattern: String,
    /// The first [`CATALOGUE_TOPICS_MAX`] topics of its catalogue, in their order.
    pub catalogue: Vec<String>,
    /// How many there are.
    pub catalogue_total: u64,
    /// Now: topics that are wanted.
    pub wanted: u64,
    /// Now: feeds that run, those in grace included.
    pub running: u64,
    /// Now: feeds that run although nobody wants them any more.
    pub in_grace: u64,
    /// Now: feeds that were told to stop and have not ended.
    pub stopping: u64,
    /// Now: topics that wait for room.
    pub waiting: u64,
    /// Now: topics whose feed failed, and that wait for their next start.
    pub failing: u64,
    /// Feeds started.
    pub started: u64,
    /// Values sent.
    pub values: u64,
    /// The same, each counted for every subscriber that its topic had then.
    pub offered: u64,
    /// Values that were not produced since nobody wanted them, where the route has a period and a catalogue.
    pub avoided: u64,
    /// Failures of producers.
    pub failures: u64,
    /// Values that newer ones replaced before they were sent (`max_rate`).
    pub superseded: u64,
    /// Runs left out: the one before had not ended.
    pub skipped: u64,
    /// Runs left out: all subscribers were full.
    pub congested: u64,
    /// Runs left out: the value before was fresh.
    pub fresh: u64,
    /// The time spent producing.
    pub production_seconds: f64,
    /// Feeds that have sent a value.
    pub first_values: u64,
    /// From the moment a topic was wanted to its first value: the mean over those feeds.
    pub first_value_seconds: f64,
    /// The longest.
    pub first_value_seconds_longest: f64,
}

/// `demand`: what is wanted, by whom, and what is done about it. What is wanted of these topics about the server itself is left
/// out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// When this was read.
    pub time: f64,
    /// At most [`DEMAND_MAX`] of the prefixes that peers want, in the order of their bytes.
    pub prefixes: Vec<Wanted>,
    /// Whether there are more.
    pub prefixes_cut: bool,
    /// At most [`DEMAND_MAX`] of the topics that are wanted and have a route, or whose feed is not forgotten, in their order.
    pub topics: Vec<Topic>,
    /// Whether there are more.
    pub topics_cut: bool,
}

/// A prefix that peers want.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// The prefix.
    pub prefix: String,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_base64: Option<String>,
    /// How many peers want it.
    pub subscribers: u64,
    /// The ids of the first [`PREFIX_PEERS_MAX`] of them ([`Peer::id`]).
    pub peers: Vec<u64>,
}

/// A topic with a route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// The topic.
    pub topic: String,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_base64: Option<String>,
    /// The pattern of its route.
    pub route: String,
    /// What is done about it.
    pub state: State,
    /// Now: its subscribers. 0 without a feed.
    pub subscribers: u64,
    /// Failures in a row.
    pub failures: u64,
    /// Values sent by its present feed.
    pub values: u64,
    /// The same, each counted for every subscriber that the topic had then.
    pub offered: u64,
    /// From the moment the feed was to start to its first value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_value_seconds: Option<f64>,
    /// The time that the feed has spent producing.
    pub production_seconds: f64,
}

/// What is done about a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for room.
    #[default]
    Waiting,
    /// Its feed runs, and has not sent a value.
    Starting,
    /// Its feed runs, and has sent a value.
    Running,
    /// Its feed runs although nobody wants it any more.
    Grace,
    /// Its feed was told to stop.
    Stopping,
    /// Its feed failed, and starts again after a pause.
    Failed,
    /// Its feed has ended by itself.
    Ended,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

impl State {
    /// Its name, as it is in JSON.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Starting => "starting",
            State::Running => "running",
            State::Grace => "grace",
            State::Stopping => "stopping",
            State::Failed => "failed",
            State::Ended => "ended",
            State::Other => "other",
        }
    }
}

/// `peers`: the connections of the server, and who was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// When this was read.
    pub time: f64,
    /// At most [`PEERS_MAX`] peers: those that missed most first, then those with most bytes queued.
    pub peers: Vec<Peer>,
    /// How many there are.
    pub peers_total: u64,
    /// The last peers that were refused, the latest first.
    pub refused: Vec<Refused>,
    /// How many were refused.
    pub refused_total: u64,
}

/// A peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its number; one that connects again has another.
    pub id: u64,
    /// Where it is, as in `tcp://192.168.1.7:50000`.
    pub address: String,
    /// Who it is, if the server authenticates its clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The endpoint by which it came.
    pub endpoint: String,
    /// The type of its socket.
    pub socket_type: String,
    /// The version of ZMTP that is spoken with it.
    pub zmtp: String,
    /// How many prefixes it wants.
    pub prefixes: u64,
    /// Their lengths in bytes, in all.
    pub prefix_bytes: u64,
    /// Subscriptions that are not decided yet.
    pub requests: u64,
    /// Messages that wait for it.
    pub queued: u64,
    /// What they take, in bytes.
    pub queued_bytes: u64,
    /// Messages written to its connection.
    pub delivered: u64,
    /// Messages that it has missed.
    pub missed: u64,
    /// How long it has been connected.
    pub connected_seconds: f64,
    /// How long ago it gave its last sign of life.
    pub silent_seconds: f64,
}

/// A peer that was refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it was.
    pub address: String,
    /// Why, in short.
    pub cause: String,
    /// Why, in full.
    pub error: String,
}

/// `stats`: the server as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When this was read.
    pub time: f64,
    /// The version of Oncue.
    pub version: String,
    /// How long the server has been at work.
    pub uptime_seconds: f64,
    /// Where it is bound.
    pub endpoints: Vec<String>,
    /// Now: topics that are wanted.
    pub wanted: u64,
    /// Now: feeds that run.
    pub running: u64,
    /// Now: topics that wait for room.
    pub waiting: u64,
    /// Now: topics whose feed failed.
    pub failing: u64,
    /// Now: topics and prefixes that are wanted and have no route.
    pub unserved: u64,
    /// Values sent.
    pub values: u64,
    /// Values that were not produced since nobody wanted them.
    pub avoided: u64,
    /// Failures of producers.
    pub failures: u64,
    /// The time spent producing.
    pub production_seconds: f64,
    /// Messages written to peers' connections.
    pub delivered: u64,
    /// Messages that peers have missed.
    pub missed: u64,
    /// Now: peers.
    pub peers: u64,
    /// Now: peers that are full.
    pub peers_full: u64,
    /// Connections that have ended.
    pub peers_lost: u64,
    /// Connections that were refused.
    pub peers_refused: u64,
    /// Subscriptions that were rejected.
    pub subscriptions_rejected: u64,
    /// Now: last values that are kept.
    pub last_values: u64,
    /// Now: their bytes.
    pub last_values_bytes: u64,
    /// The process, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// The process of a server, as the system counts it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// `mesh`: the mesh as this site sees it. Only sites of a mesh have this topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mesh {
    /// When this was read.
    pub time: f64,
    /// The name of this site.
    pub site: String,
    /// The name of the mesh.
    pub mesh: String,
    /// `edge`, `router` or `peer`.
    pub role: String,
    /// The epoch of this process: larger than that of each earlier one of this site. 0 while it is not in the mesh.
    pub epoch: u64,
    /// Changes of this site's demand since the process started.
    pub sequence: u64,
    /// Now: prefixes that this site's subscribers want.
    pub prefixes: u64,
    /// Now: links to other processes of the mesh.
    pub links: u64,
    /// Sites that were refused since there were too many.
    pub sites_refused: u64,
    /// Payloads of demand logs that were not in the format.
    pub malformed: u64,
    /// The other sites, by name: those that are gone too, until others need their places.
    pub sites: Vec<Site>,
}

/// Another site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its newest epoch that is known.
    pub epoch: u64,
    /// Whether it lives, and its demand is known.
    pub phase: Phase,
    /// How long it has been in this phase.
    pub phase_seconds: f64,
    /// How long ago anything of its demand log came. Left out if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_seconds: Option<f64>,
    /// How long a question and its answer took last. Left out before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
    /// Its changes of demand that are known.
    pub sequence: u64,
    /// Now: prefixes that it wants from here.
    pub prefixes: u64,
    /// Now: prefixes of it beyond its quota, or not permitted.
    pub prefixes_refused: u64,
    /// Snapshots of its demand that were asked for.
    pub snapshots: u64,
    /// Gaps in its demand log, each repaired by a snapshot.
    pub log_gaps: u64,
    /// What was sent to it.
    pub sent: Flow,
    /// Messages that it missed: its queue was full, or they were too large.
    pub missed: u64,
    /// What came from it.
    pub received: Flow,
    /// Messages of it that did not arrive: lost on the way, or missed before they were sent.
    pub lost: u64,
    /// Places where messages of it were lost.
    pub gaps: u64,
    /// Messages of it that came again or too late, and were discarded.
    pub duplicates: u64,
    /// Messages to it or from it that were discarded: their topics are not permitted.
    pub forbidden: u64,
    /// Batches of it that were not in the format.
    pub malformed: u64,
}

/// Messages that went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Messages.
    pub messages: u64,
    /// Their bytes, in wire encoding.
    pub bytes: u64,
    /// Batches of them.
    pub batches: u64,
}

/// How far a site is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It lives, and its demand was asked for.
    #[default]
    Joining,
    /// It lives, and its demand is in force.
    Live,
    /// It has said nothing for the timeout: its demand is dropped.
    Silent,
    /// It has left: its demand is dropped.
    Gone,
    /// A phase that this version does not know.
    #[serde(other)]
    Other,
}

impl Phase {
    /// Its name, as it is in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Joining => "joining",
            Phase::Live => "live",
            Phase::Silent => "silent",
            Phase::Gone => "gone",
            Phase::Other => "other",
        }
    }
}

/// `events`: what happens, one event a message. Nothing is kept: a reader gets what happens from then on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was noticed.
    pub time: f64,
    /// What has happened.
    #[serde(flatten)]
    pub what: What,
}

/// What has happened. `event` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[allow(missing_docs)] // The fields are those of the records above.
pub enum What {
    /// A peer's handshake is done.
    Connected { peer: u64, address: String },
    /// A peer is gone.
    Disconnected { peer: u64, address: String, cause: String },
    /// A peer was refused in its handshake.
    Refused { address: String, cause: String, error: String },
    /// A prefix has its first subscriber.
    Wanted {
        prefix: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix_base64: Option<String>,
    },
    /// A prefix has lost its last subscriber.
    Unwanted {
        prefix: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix_base64: Option<String>,
    },
    /// The producer of a topic has failed.
    Failed {
        topic: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic_base64: Option<String>,
        error: String,
    },
    /// More happened at once than is told: this many events are left out.
    Skipped { count: u64 },
}

/// The text of bytes, and the bytes in base64 if they are not text.
pub fn text(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(STANDARD.encode(bytes))),
    }
}

/// The bytes of a text, or those in base64 beside it.
pub fn bytes(text: &str, base64: Option<&str>) -> Vec<u8> {
    base64.and_then(|base64| STANDARD.decode(base64).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}
