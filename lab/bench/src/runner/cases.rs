//! What is measured: each case of each workload, and who takes part in it. How a case is run stands elsewhere.

use crate::frame::Topics;

/// Who a process is played by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The implementation that is measured.
    Measured,
    /// A program without a library.
    Raw,
}

/// What a case is there to find out, beyond how fast messages pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Messages a second.
    Rate,
    /// How long a message takes there and back.
    RoundTrip,
    /// What a great many prefixes cost.
    Prefixes,
    /// What a great many peers cost.
    Peers,
    /// What slow peers do to the others.
    SlowPeers,
}

/// One thing that is measured.
#[derive(Clone, Debug)]
pub struct Case {
    /// `W1` to `W7`.
    pub workload: &'static str,
    /// What sets it apart within its workload.
    pub name: String,
    pub aim: Aim,
    /// Bytes of a message.
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
}

/// Those that take part, ours first and the limit of the machine last.
pub const IMPLEMENTATIONS: [&str; 8] =
    ["oncue", "oncue-many", "libzmq", "omq", "omq-many", "rzmq", "zeromq", "raw"];

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
        }
    }

    fn into_drain(self, peers: u64) -> Case {
        Case { subscriber: Side::Raw, peers, ..self }
    }

    /// Whether an implementation takes part.
    pub fn is_for(&self, implementation: &str) -> bool {
        match implementation {
            // Taking many at once is something that subscribers do.
            many if many.ends_with("-many") => self.aim == Aim::Rate && self.subscriber == Side::Measured,
            "raw" => {
                matches!(self.workload, "W1" | "W4")
                    || (self.workload == "W2" && self.topics == Topics::None)
                    || (self.workload == "W3" && self.publisher == Side::Measured)
            }
            // Neither can take prefixes that are no text, nor match a million of them in this time.
            _ => true,
        }
    }

    /// How many deliveries one message is.
    pub fn deliveries(&self) -> u64 {
        match self.topics {
            Topics::Ring => self.peers / 100,
            _ => self.peers,
        }
    }
}

/// All cases, in the order of the table.
pub fn all(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [16, 64, 256, 1024, 16384] {
        cases.push(Case::new("W1", format!("{size} B"), size));
    }
    for (size, peers) in [(64, 10), (64, 100), (64, 1000), (1024, 10), (1024, 100), (1024, 1000)] {
        if !quick || peers != 10 {
            cases.push(Case::new("W2", format!("{size} B x {peers}"), size).into_drain(peers));
        }
    }
    cases.push(Case {
        topics: Topics::Ring,
        ..Case::new("W2", "64 B, 10 of 1000".into(), 64).into_drain(1000)
    });
    for size in [16, 64] {
        cases.push(Case::new("W3", format!("{size} B into the raw drain"), size).into_drain(1));
        let case = Case::new("W3", format!("{size} B from the raw writer"), size);
        cases.push(Case { publisher: Side::Raw, ..case });
    }
    cases.push(Case { aim: Aim::RoundTrip, ..Case::new("W4", "64 B".into(), 64) });
    let prefixes =
        Case { topics: Topics::Random(1_000_000), aim: Aim::Prefixes, ..Case::new("W5", String::new(), 32) };
    cases.push(Case { name: "1,000,000 prefixes".into(), ..prefixes.into_drain(1) });
    let peers = Case { topics: Topics::All, aim: Aim::Peers, ..Case::new("W6", "5000 peers".into(), 64) };
    cases.push(peers.into_drain(5000));
    let slow =
        Case { aim: Aim::SlowPeers, may_drop: true, ..Case::new("W7", String::new(), 64).into_drain(1) };
    cases.push(Case { name: "the reader alone".into(), ..slow.clone() });
    cases.push(Case { name: "beside 10,000 slow peers".into(), idle: 10_000, ..slow });
    cases
}
