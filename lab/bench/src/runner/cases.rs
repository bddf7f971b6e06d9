//! What is measured: each case of each workload, and the implementations that take part. `run` defines how a case is run.

use std::time::Duration;

use super::limits::peers_max;
use crate::demand::{CATALOGUE, PERIOD, VALUE_BYTES, WANTED};
use crate::frame::{Keys, Topics};
use crate::market;

/// Which program plays one side of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The measured implementation.
    Measured,
    /// A program without a library.
    Raw,
}

/// What a case measures in addition to the message rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Messages a second.
    Rate,
    /// The round-trip time of a message.
    RoundTrip,
    /// The cost of a large number of prefixes.
    Prefixes,
    /// The cost of a large number of peers.
    Peers,
    /// Only the memory of a large number of peers.
    IdlePeers,
    /// The highest rate that W11's subscribers get in time.
    Sustained,
    /// The latency at a share of the highest rate of the best rival, in percent.
    Offered(u32),
    /// The effect of slow peers on the others.
    SlowPeers,
    /// The cost of producing only wanted values.
    OnDemand,
    /// The rate through a proxy.
    ProxyRate,
    /// The time that a proxy adds to the way of a message.
    ProxyTrip,
}

impl Aim {
    /// Whether the case needs a large number of prefixes, peers or topics.
    pub fn is_of_scale(self) -> bool {
        matches!(self, Aim::Prefixes | Aim::Peers | Aim::IdlePeers | Aim::SlowPeers | Aim::OnDemand)
    }
}

/// Prefixes that all implementations get.
const PREFIXES: u64 = 1_000_000;

/// Subscriptions and cancels per second in the case with changing demand.
const CHANGES: u64 = 1000;

/// One measured case.
#[derive(Clone, Debug)]
pub struct Case {
    /// `W1` to `W13`.
    pub workload: &'static str,
    /// Its name within the workload.
    pub name: String,
    pub aim: Aim,
    /// Bytes per message.
    pub size: usize,
    pub topics: Topics,
    pub publisher: Side,
    pub subscriber: Side,
    /// Subscribers that read.
    pub peers: u64,
    /// Subscribers that never read.
    pub idle: u64,
    /// Whether a slow subscriber may miss messages.
    pub may_drop: bool,
    /// The time between two values of a topic of the catalogue.
    pub period: Duration,
    /// Topics of the catalogue that are wanted at a time.
    pub wanted: usize,
    /// Subscriptions and cancels per second.
    pub changes: u64,
    /// Messages a second that are offered; without it as many as possible.
    pub rate: Option<f64>,
    /// Whether connections are encrypted.
    pub curve: bool,
    /// Whether connections are over WebSocket.
    pub ws: bool,
}

/// All implementations, ours first and the limit of the machine last.
pub const IMPLEMENTATIONS: [&str; 12] = [
    "oncue",
    "oncue-many",
    "oncue-batch",
    "oncue-loop",
    "oncue-all",
    "libzmq",
    "libzmq-all",
    "omq",
    "omq-many",
    "rzmq",
    "zeromq",
    "raw",
];

/// The implementations that produce a catalogue: routes with a call for each value and with a call for all, the loop over the
/// notifications of an XPUB (named just `libzmq` for the rival), and publishers that produce everything.
const OF_A_CATALOGUE: [&str; 6] = ["oncue", "oncue-batch", "oncue-loop", "oncue-all", "libzmq", "libzmq-all"];

/// The implementations whose proxy is measured; the raw one copies bytes.
const OF_A_PROXY: [&str; 4] = ["oncue", "libzmq", "omq", "raw"];

/// The implementations that have CURVE and WebSocket.
const WITH_CURVE_AND_WEBSOCKET: [&str; 3] = ["oncue", "libzmq", "omq"];

impl Case {
    pub(super) fn new(workload: &'static str, name: String, size: usize) -> Case {
        Case {
            workload,
            name,
            aim: Aim::Rate,
            size,
            topics: Topics::None,
            publisher: Side::Measured,
            subscriber: Side::Measured,
            peers: 1,
            idle: 0,
            may_drop: false,
            period: PERIOD,
            wanted: WANTED,
            changes: 0,
            rate: None,
            curve: false,
            ws: false,
        }
    }

    pub(super) fn into_drain(self, peers: u64) -> Case {
        Case { subscriber: Side::Raw, peers, ..self }
    }

    /// Whether an implementation takes part.
    pub fn is_for(&self, implementation: &str) -> bool {
        match implementation {
            _ if self.workload == "W8" => OF_A_PROXY.contains(&implementation),
            _ if matches!(self.workload, "W9" | "W13") => WITH_CURVE_AND_WEBSOCKET.contains(&implementation),
            _ if self.aim == Aim::OnDemand => OF_A_CATALOGUE.contains(&implementation),
            // The rivals that take ten million prefixes at all need minutes and gigabytes for them.
            _ if self.topics.count() > PREFIXES => implementation == "oncue",
            "oncue-batch" | "oncue-loop" | "oncue-all" | "libzmq-all" => false,
            "oncue-many" => self.aim == Aim::Rate && matches!(self.workload, "W1" | "W3"),
            // Rivals have batch calls only for subscribers.
            many if many.ends_with("-many") => self.aim == Aim::Rate && self.subscriber == Side::Measured,
            // It writes the same bytes to all peers, and does not evaluate subscriptions.
            "raw" => match self.workload {
                "W2" => self.topics == Topics::None,
                "W3" => self.publisher == Side::Measured,
                "W5" | "W11" => false,
                "W6" => self.aim == Aim::Peers,
                "W7" => self.idle == 0,
                _ => true,
            },
            _ => true,
        }
    }

    /// How many deliveries one message causes.
    pub fn deliveries(&self) -> u64 {
        match self.topics {
            Topics::Ring => self.peers / 100,
            _ => self.peers,
        }
    }
}

/// All cases, in the order of the table; fewer and smaller ones if `quick`.
pub fn all(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes: &[usize] = if quick { &[16, 64, 1024] } else { &[16, 64, 256, 1024, 16384] };
    for &size in sizes {
        cases.push(Case::new("W1", format!("{size} B"), size));
    }
    let fan_outs: &[(usize, u64)] = match quick {
        true => &[(64, 100), (64, 1000)],
        false => &[(64, 10), (64, 100), (64, 1000), (1024, 10), (1024, 100), (1024, 1000)],
    };
    for &(size, peers) in fan_outs {
        cases.push(Case::new("W2", format!("{size} B x {peers}"), size).into_drain(peers));
    }
    let ring = Case::new("W2", "64 B, 10 of 1000".to_owned(), 64).into_drain(1000);
    cases.push(Case { topics: Topics::Ring, ..ring });
    for &size in if quick { &[16][..] } else { &[16, 64] } {
        cases.push(Case::new("W3", format!("{size} B into the raw drain"), size).into_drain(1));
        let case = Case::new("W3", format!("{size} B from the raw writer"), size);
        cases.push(Case { publisher: Side::Raw, ..case });
    }
    cases.push(Case { aim: Aim::RoundTrip, ..Case::new("W4", "64 B".to_owned(), 64) });
    cases.extend(of_scale(quick));
    cases.extend(of_the_market(quick));
    let sizes: &[usize] = if quick { &[16] } else { &[16, 64, 256, 1024] };
    for (peers, size) in [1, 100].into_iter().flat_map(|peers| sizes.iter().map(move |&size| (peers, size))) {
        let case = Case::new("W8", format!("{size} B through a proxy to {peers}"), size).into_drain(peers);
        cases.push(Case { publisher: Side::Raw, aim: Aim::ProxyRate, ..case });
    }
    let trip = Case::new("W8", "64 B, the way through a proxy".to_owned(), 64);
    cases.push(Case { publisher: Side::Raw, subscriber: Side::Raw, aim: Aim::ProxyTrip, ..trip });
    cases.extend(encrypted(quick));
    cases.extend(over_websocket(quick));
    cases
}

/// W9: each case with CURVE, and in clear, so that the price of encryption can be read.
fn encrypted(quick: bool) -> Vec<Case> {
    let sizes: &[usize] = if quick { &[64] } else { &[64, 1024, 16384] };
    let mut cases = Vec::new();
    for (peers, &size) in [1, 100].into_iter().flat_map(|peers| sizes.iter().map(move |size| (peers, size))) {
        for (curve, how) in [(true, "CURVE"), (false, "in clear")] {
            let case = match peers {
                1 => Case::new("W9", format!("{size} B, {how}"), size),
                _ => Case::new("W9", format!("{size} B x {peers}, {how}"), size).into_drain(peers),
            };
            cases.push(Case { curve, ..case });
        }
    }
    cases
}

/// W13: each case over WebSocket, and over TCP beside it.
fn over_websocket(quick: bool) -> Vec<Case> {
    let shapes: &[(usize, u64)] = if quick { &[(64, 1)] } else { &[(64, 1), (16384, 1), (64, 100)] };
    let mut cases = Vec::new();
    for (&(size, peers), (ws, how)) in
        shapes.iter().flat_map(|shape| [(shape, (true, "ws")), (shape, (false, "tcp"))])
    {
        let case = match peers {
            1 => Case::new("W13", format!("{size} B, {how}"), size),
            _ => Case::new("W13", format!("{size} B x {peers}, {how}"), size).into_drain(peers),
        };
        cases.push(Case { ws, ..case });
    }
    cases
}

/// W11: first the highest rate, then the latency at shares of the best rival's.
fn of_the_market(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for &size in if quick { &[64][..] } else { &[64, 256] } {
        let market = |name| Case {
            topics: Topics::Market,
            aim: Aim::Sustained,
            ..Case::new("W11", name, size).into_drain(market::PEERS)
        };
        cases.push(market(format!("{size} B, sustained")));
        for percent in [25, 50, 75] {
            let name = format!("{size} B at {percent}% of the best rival's rate");
            cases.push(Case { aim: Aim::Offered(percent), ..market(name) });
        }
    }
    cases
}

/// The cases with a large number of prefixes, peers or topics.
fn of_scale(quick: bool) -> Vec<Case> {
    let (prefixes, peers, slow) = if quick { (100_000, 1000, 1000) } else { (PREFIXES, 5000, 10_000) };
    let many = |prefixes, keys, name| {
        let case = Case::new("W5", format!("{prefixes} prefixes {name}"), 32).into_drain(1);
        Case { topics: Topics::Random(keys, prefixes), aim: Aim::Prefixes, ..case }
    };
    let wide = Case::new("W6", format!("{peers} peers"), 64).into_drain(peers);
    let own = |peers| {
        let case = Case::new("W6", format!("{peers} peers, each with a prefix of its own"), 64);
        Case { topics: Topics::Own, aim: Aim::Peers, ..case.into_drain(peers) }
    };
    let alone = Case::new("W7", "the reader alone".to_owned(), 64).into_drain(1);
    let alone = Case { topics: Topics::All, aim: Aim::SlowPeers, may_drop: true, ..alone };
    let beside = Case { name: format!("beside {slow} slow peers"), idle: slow, ..alone.clone() };
    let mut cases = vec![many(prefixes, Keys::Names, "that begin alike")];
    if !quick {
        cases.push(many(prefixes, Keys::Digests, "without order"));
        cases.push(many(10 * prefixes, Keys::Names, "that begin alike"));
    }
    cases.extend([Case { topics: Topics::All, aim: Aim::Peers, ..wide }, own(1000)]);
    if !quick {
        let idle = peers_max();
        let memory = Case::new("W6", format!("{idle} idle peers"), 64).into_drain(idle);
        cases.extend([own(peers), Case { topics: Topics::All, aim: Aim::IdlePeers, ..memory }]);
    }
    cases.extend([alone, beside]);
    for (changes, what) in
        [(0, "the same all the time".to_owned()), (CHANGES, format!("{CHANGES} changes a second"))]
    {
        let name = format!("{WANTED} of {CATALOGUE} topics, {what}");
        let on_demand = Case::new("W10", name, VALUE_BYTES).into_drain(1);
        cases.push(Case { aim: Aim::OnDemand, changes, ..on_demand });
    }
    cases
}
