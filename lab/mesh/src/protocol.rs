//! What the laboratory and its processes say to each other: a line of JSON on standard input, and a line of JSON back. The end
//! of standard input ends the process.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

/// What a process is. The second argument of its command line, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// A site of the mesh, with sockets for local publishers and subscribers.
    Site(SiteRole),
    /// An XPUB that connects to a site.
    Producer(SocketRole),
    /// SUBs that connect to a site.
    Subscriber(SocketRole),
    /// One proxy without a mesh, to compare with.
    Proxy {
        /// Where publishers connect.
        sources: String,
        /// Where subscribers connect.
        local: String,
    },
}

/// A site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SiteRole {
    /// Its name.
    pub(crate) site: String,
    /// Its part in the network.
    pub(crate) place: Place,
    /// Where local publishers connect.
    pub(crate) sources: String,
    /// Where local subscribers connect.
    pub(crate) local: String,
    /// How long a site or a local peer may be silent.
    pub(crate) timeout_ms: u64,
    /// The site itself publishes and subscribes, without local connections.
    pub(crate) inside: bool,
}

/// The part of a site in the network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// It dials one of these routers.
    Edge(Vec<String>),
    /// It listens at the first, and dials the second if there is one.
    Router(String, Option<String>),
    /// All sites, and where this one listens.
    Peer(BTreeMap<String, String>, String),
}

/// The sockets of a producer or of a subscriber.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SocketRole {
    /// One socket for each, which connects to it.
    pub(crate) endpoints: Vec<String>,
    /// How long the other side may be silent.
    pub(crate) timeout_ms: u64,
}

/// A question to a process, or something to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// To a site: what it knows of the mesh.
    Status,
    /// To a site: answer when at least so many other sites live and want exactly so many prefixes each.
    Known {
        /// Other sites.
        sites: usize,
        /// Prefixes that each wants.
        prefixes: usize,
    },
    /// To a producer: the prefixes that are wanted.
    Demand,
    /// To a producer: answer when so many prefixes are wanted.
    DemandCount(usize),
    /// To a producer: the ages of the wants with a time in them that came since the last time it was asked, but for those that
    /// begin with this.
    Latencies(String),
    /// To a subscriber: change what a socket wants.
    Change {
        /// Which socket.
        socket: usize,
        /// Subscribe to these.
        subscribe: Vec<String>,
        /// Cancel these.
        cancel: Vec<String>,
    },
    /// To a subscriber: subscribe the first socket to `stem` and a number, so many times.
    Declare {
        /// The beginning of each prefix.
        stem: String,
        /// Prefixes.
        count: usize,
    },
    /// To a subscriber: subscribe and cancel in turn, with the time in each prefix.
    Churn {
        /// The beginning of each prefix.
        stem: String,
        /// Changes a second.
        per_second: u64,
        /// For so many milliseconds.
        millis: u64,
    },
    /// To a producer, or a site that publishes itself: send messages; answered when the last one is sent.
    Publish(Flow),
    /// To a subscriber, or a site that subscribes itself: what came since the last time it was asked.
    Received,
}

/// Messages to be sent: one of 100 topics that begin with `load/`, and a frame with a sequence number and the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    /// Bytes of a message, both frames together.
    pub(crate) size: usize,
    /// Messages a second; 0: as many as it can.
    pub(crate) per_second: u64,
    /// How many topics there are, in turn.
    pub(crate) topics: u64,
    /// For so many milliseconds.
    pub(crate) millis: u64,
}

/// What a process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It has begun.
    Ready,
    /// It is done, or what was waited for came, at this time of the monotonic clock.
    Done(u64),
    /// Prefixes that are wanted.
    Demand(Vec<String>),
    /// What a site knows.
    Status(Box<Status>),
    /// Nanoseconds each.
    Latencies(Vec<u64>),
    /// Messages that were sent.
    Sent(u64),
    /// What came.
    Received(Received),
    /// It cannot do that.
    Failed(String),
}

/// What a subscriber received.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Received {
    /// Messages.
    pub(crate) messages: u64,
    /// When the first and the last of them came.
    pub(crate) first: u64,
    /// As `first`.
    pub(crate) last: u64,
    /// Numbers that are missing between the first and the last.
    pub(crate) gaps: u64,
    /// Messages whose number was not larger than that before.
    pub(crate) backwards: u64,
    /// Messages that were missed, or of which it is not known whether they were, as the publisher told.
    pub(crate) missed: u64,
    /// Ages of messages on arrival in nanoseconds, of up to 100,000.
    pub(crate) ages: Vec<u64>,
}

/// What a site knows of the mesh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Prefixes that this site wants.
    pub(crate) prefixes: usize,
    /// Links to other processes of the mesh.
    pub(crate) links: usize,
    /// The other sites.
    pub(crate) sites: Vec<Other>,
}

/// What a site knows of another one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Other {
    /// Its name.
    pub(crate) name: String,
    /// `joining`, `live`, `silent` or `gone`.
    pub(crate) phase: String,
    /// Prefixes that it wants from here.
    pub(crate) prefixes: usize,
    /// Snapshots of its demand that were asked for.
    pub(crate) snapshots: u64,
    /// Gaps in its demand log.
    pub(crate) log_gaps: u64,
    /// Messages sent to it, and batches.
    pub(crate) sent: [u64; 2],
    /// Messages that it missed.
    pub(crate) missed: u64,
    /// Messages from it, and batches.
    pub(crate) received: [u64; 2],
    /// Messages from it that were lost, those that it knew of itself too.
    pub(crate) lost: u64,
}

/// Says it to the laboratory. A failed write means that this has ended, and then standard input ends too.
pub(crate) fn say(answer: &Answer) {
    let line = serde_json::to_string(answer).expect("an answer is JSON");
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Says that it is ready, and answers until standard input ends.
pub(crate) fn serve(mut answer: impl FnMut(Ask) -> Answer) {
    say(&Answer::Ready);
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(ask) => say(&answer(ask)),
            Err(why) => say(&Answer::Failed(format!("`{line}` is not understood: {why}"))),
        }
    }
}
