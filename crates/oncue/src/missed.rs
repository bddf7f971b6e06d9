//! What a SUB or XSUB has missed, and what came from each of its publishers: plain data.

use std::fmt;

use oncue_core::edges::Prefix;

use crate::connection::ConnectedPeer;
use crate::endpoint::Endpoint;
use crate::peer_address::PeerAddress;

/// How many topics are named at most.
pub(crate) const TOPICS_MAX: usize = 64;

/// Messages that a publisher sent and that this socket did not get, at one place among those that it got
/// ([`Received::missed`](crate::Received::missed), [`Sub::missed`](crate::Sub::missed)).
///
/// Publishers of this library tell it: a queue was full ([`OnFull`](crate::OnFull)), or a message was replaced by a newer one.
/// What this side drops itself ([`Keep`](crate::Keep)) is not among it, and neither is what was sent before the socket
/// subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// The endpoint that the socket is connected or bound to.
    pub endpoint: Endpoint,
    /// The publisher.
    pub publisher: ConnectedPeer,
    /// How many messages that this socket had subscribed to were dropped, or replaced under
    /// [`OnFull::Latest`](crate::OnFull::Latest), for this socket alone.
    pub messages: u64,
    /// How many more the publisher dropped for all of its subscribers before it was known who wants them
    /// ([`SocketStats::outbox_full`](crate::SocketStats::outbox_full)): none, some or all of them were for this socket.
    pub unseen: u64,
    /// The connection was lost while the socket was subscribed, and was made again: what was sent meanwhile is missed as
    /// well, an unknown number. The connection events tell the loss itself ([`events`](crate::Sub::events)).
    pub reconnected: bool,
    /// Topics of some of `messages`, each with how many of them at least. At most 64.
    pub topics: Vec<(Prefix, u64)>,
}

impl Missed {
    /// Adds what was missed at the same place.
    pub(crate) fn merge(&mut self, other: Missed) {
        self.messages = self.messages.saturating_add(other.messages);
        self.unseen = self.unseen.saturating_add(other.unseen);
        self.reconnected |= other.reconnected;
        for (topic, count) in other.topics {
            match self.topics.iter().position(|(known, _)| *known == topic) {
                Some(at) => self.topics[at].1 = self.topics[at].1.saturating_add(count),
                None if self.topics.len() < TOPICS_MAX => self.topics.push((topic, count)),
                None => {}
            }
        }
    }
}

/// As in "3 messages missed from tcp://127.0.0.1:5555 (a: 2, b: 1)".
impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missed { endpoint, messages, unseen, reconnected, topics, .. } = self;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(f, "{messages} message{} missed", plural(*messages))?;
        if *unseen > 0 {
            write!(f, ", and perhaps up to {unseen} more")?;
        }
        if *reconnected {
            write!(f, ", and all that was sent while the connection was lost")?;
        }
        write!(f, ", from {endpoint}")?;
        let mut before = " (";
        for (topic, count) in topics {
            write!(f, "{before}{topic}: {count}")?;
            before = ", ";
        }
        if topics.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// What came from one publisher of a SUB or XSUB ([`Sub::publishers`](crate::Sub::publishers)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherStats {
    /// The endpoint that the socket is connected or bound to.
    pub endpoint: Endpoint,
    /// Where the publisher is, or was last. `None`: this sums up publishers that are gone.
    pub address: Option<PeerAddress>,
    /// Whether it is connected.
    pub connected: bool,
    /// How often it was connected. A publisher that connects to this socket is another one each time.
    pub connections: u64,
    /// Messages received, those that the socket filters out too.
    pub received: u64,
    /// Bytes received after the handshake.
    pub bytes: u64,
    /// Messages missed ([`Missed::messages`]).
    pub missed: u64,
    /// Messages of which it is not known whether they were missed ([`Missed::unseen`]).
    pub unseen: u64,
    /// How often the connection was lost while the socket was subscribed, and made again ([`Missed::reconnected`]).
    pub gaps: u64,
}
