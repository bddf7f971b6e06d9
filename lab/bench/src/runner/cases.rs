//! What is measured: each case of each workload, and the implementations that take part. `run` defines how a case is run.

use crate::demand::{CATALOGUE, VALUE_BYTES, WANTED};
use crate::frame::{Keys, Topics};

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
        matches!(self, Aim::Prefixes | Aim::Peers | Aim::SlowPeers | Aim::OnDemand)
    }
}

/// Subscriptions and cancels per second in the case with changing demand.
const CHANGES: u64 = 1000;

/// One measured case.
#[derive(Clone, Debug)]
pub struct Case {
    /// `W1` to `W8`, and `W10`.
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
    /// Subscriptions and cancels per second.
    pub changes: u64,
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

impl Case {
    fn new(workload: &'static str, name: String, size: usize) -> Case {
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
            changes: 0,
        }
    }

    fn into_drain(self, peers: u64) -> Case {
        Case { subscriber: Side::Raw, peers, ..self }
    }

    /// Whether an implementation takes part.
    pub fn is_for(&self, implementation: &str) -> bool {
        match implementation {
            _ if self.workload == "W8" => OF_A_PROXY.contains(&implementation),
            _ if self.aim == Aim::OnDemand => OF_A_CATALOGUE.contains(&implementation),
            "oncue-batch" | "oncue-loop" | "oncue-all" | "libzmq-all" => false,
            "oncue-many" => self.aim == Aim::Rate && matches!(self.workload, "W1" | "W3"),
            // Rivals have batch calls only for subscribers.
            many if many.ends_with("-many") => self.aim == Aim::Rate && self.subscriber == Side::Measured,
            // It writes the same bytes to all peers, and does not evaluate subscriptions.
            "raw" => match self.workload {
                "W2" => self.topics == Topics::None,
                "W3" => self.publisher == Side::Measured,
                "W5" => false,
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
    let sizes: &[usize] = if quick { &[16] } else { &[16, 64, 256, 1024] };
    for (peers, size) in [1, 100].into_iter().flat_map(|peers| sizes.iter().map(move |&size| (peers, size))) {
        let case = Case::new("W8", format!("{size} B through a proxy to {peers}"), size).into_drain(peers);
        cases.push(Case { publisher: Side::Raw, aim: Aim::ProxyRate, ..case });
    }
    let trip = Case::new("W8", "64 B, the way through a proxy".to_owned(), 64);
    cases.push(Case { publisher: Side::Raw, subscriber: Side::Raw, aim: Aim::ProxyTrip, ..trip });
    cases
}

/// The cases with a large number of prefixes, peers or topics.
fn of_scale(quick: bool) -> Vec<Case> {
    let (prefixes, peers, slow) = if quick { (100_000, 1000, 1000) } else { (1_000_000, 5000, 10_000) };
    let many = |keys, name| {
        let case = Case::new("W5", format!("{prefixes} prefixes {name}"), 32).into_drain(1);
        Case { topics: Topics::Random(keys, prefixes), aim: Aim::Prefixes, ..case }
    };
    let wide = Case::new("W6", format!("{peers} peers"), 64).into_drain(peers);
    let alone = Case::new("W7", "the reader alone".to_owned(), 64).into_drain(1);
    let alone = Case { topics: Topics::All, aim: Aim::SlowPeers, may_drop: true, ..alone };
    let beside = Case { name: format!("beside {slow} slow peers"), idle: slow, ..alone.clone() };
    let mut cases = vec![many(Keys::Names, "that begin alike")];
    if !quick {
        cases.push(many(Keys::Digests, "without order"));
    }
    let own = Case { name: format!("{peers} peers, each with a prefix of its own"), ..wide.clone() };
    cases.push(Case { topics: Topics::All, aim: Aim::Peers, ..wide });
    cases.push(Case { topics: Topics::Own, aim: Aim::Peers, ..own });
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
