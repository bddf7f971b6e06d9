//! Counters that users can read: plain data.

use std::fmt;

use crate::connection::Cause;
use crate::error::Error;
use crate::peer_address::PeerAddress;

/// What a socket has done so far. Each field counts messages, unless its description says otherwise; all but `peers`,
/// `peers_full`, `last_values` and `last_values_bytes` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Peers connected now, their handshake done.
    pub peers: u64,
    /// Accepted by `send` while at least one peer was connected.
    pub sent: u64,
    /// Dropped by `send` because the I/O threads had not caught up
    /// (see [`Options::outbox_bytes_max`](crate::Options::outbox_bytes_max)).
    pub outbox_full: u64,
    /// Completely written to a peer's connection. A message that three peers want counts three times, here and in the next
    /// two counters: it is delivered to each of them, missed by it, or undelivered; until then it is queued.
    pub delivered: u64,
    /// Missed by a peer whose queue was full: dropped by [`OnFull`](crate::OnFull), or replaced by a newer message.
    pub missed: u64,
    /// Neither delivered nor missed when the connection of the peer ended, or the linger of this socket: queued, or
    /// written in part. When the last peer leaves, and when the linger ends, the messages that `send` has accepted and
    /// that no I/O thread has taken yet are counted as well, for each peer that wants them. Last values that wait to
    /// be sent to a new subscriber are not: they are not queued yet.
    pub undelivered: u64,
    /// Received and queued for the user.
    pub received: u64,
    /// Received, and dropped because the user did not take it in time: by an XPUB, or with
    /// [`Keep::Latest`](crate::Keep::Latest).
    pub received_missed: u64,
    /// Received, and replaced by a newer message of the same topic before the user took it
    /// ([`Keep::Latest`](crate::Keep::Latest)).
    pub received_replaced: u64,
    /// Connections that ended, for whatever reason, after their handshake.
    pub peers_lost: u64,
    /// Connections that this side refused or gave up: a failed handshake, a broken protocol, a quota exceeded,
    /// a queue full under [`OnFull::Disconnect`](crate::OnFull::Disconnect).
    pub peers_refused: u64,
    /// The same by their reasons.
    pub refusals: RefusalStats,
    /// Peers beyond [`Options::peers_max`](crate::Options::peers_max) or
    /// [`Options::peers_per_address_max`](crate::Options::peers_per_address_max); they are among the refused, too.
    pub peers_turned_away: u64,
    /// How often each quota was met.
    pub quotas: QuotaStats,
    /// How often a listener has paused for 100 ms because the system, or this process, had too few descriptors left
    /// ([`EngineOptions::descriptors_reserved`](crate::EngineOptions::descriptors_reserved)).
    pub accepts_paused: u64,
    /// Subscriptions that were rejected ([`Options::admission`](crate::Options::admission)).
    pub subscriptions_rejected: u64,
    /// Subscriptions whose admission was deferred.
    pub subscriptions_deferred: u64,
    /// Subscriptions that were revoked.
    pub subscriptions_revoked: u64,
    /// States of topics that a peer did not read in time, or that this socket's user did not take in time
    /// ([`Pub::set_state`](crate::Pub::set_state), [`Sub::state`](crate::Sub::state)).
    pub states_missed: u64,
    /// Peers that are full now (see [`Room::Congested`](crate::Room::Congested)).
    pub peers_full: u64,
    /// Peers disconnected because they were full for too long
    /// ([`Options::evict_after`](crate::Options::evict_after)); they are among the refused, too.
    pub peers_evicted: u64,
    /// Last values kept now.
    pub last_values: u64,
    /// What they take now, in bytes, as [`Options::last_values_bytes_max`](crate::Options::last_values_bytes_max)
    /// counts.
    pub last_values_bytes: u64,
    /// Last values dropped to make room.
    pub last_values_dropped: u64,
    /// Last values sent to new subscribers. They count as delivered, too.
    pub last_values_offered: u64,
}

/// Why connections were refused or given up; together these are [`SocketStats::peers_refused`]. See [`Cause`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusalStats {
    /// They did not speak ZMTP, or a version that is too old, or broke the protocol.
    pub protocol: u64,
    /// Their sockets were of a type that does not fit.
    pub socket_type: u64,
    /// They used another security mechanism.
    pub mechanism: u64,
    /// The [`Authenticator`](crate::Authenticator) did not let them in.
    pub not_let_in: u64,
    /// They met a bound, or were too slow.
    pub bound_exceeded: u64,
    /// They were one too many: peers, peers of an address, or handshakes in flight.
    pub turned_away: u64,
    /// They did not finish their handshakes in time.
    pub handshake_timeout: u64,
    /// They refused this side.
    pub by_peer: u64,
    /// For any other reason.
    pub other: u64,
}

impl RefusalStats {
    pub(crate) fn sum(&self) -> u64 {
        let RefusalStats { protocol, socket_type, mechanism, not_let_in, .. } = self;
        let RefusalStats { bound_exceeded, turned_away, handshake_timeout, by_peer, other, .. } = self;
        let before = protocol + socket_type + mechanism + not_let_in;
        before + bound_exceeded + turned_away + handshake_timeout + by_peer + other
    }
}

/// How often each quota of a socket was met. A field has the name of its option, see [`Options`](crate::Options). But for the
/// last one, each counts connections that ended for it, or did not begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStats {
    /// Peers that were turned away.
    pub peers_max: u64,
    /// Peers that were turned away.
    pub peers_per_address_max: u64,
    /// Peers whose handshake gave way to a later one.
    pub handshakes_max: u64,
    /// Peers that announced a larger message, or a larger command.
    pub message_bytes_max: u64,
    /// Peers that subscribed to a longer prefix.
    pub prefix_length_max: u64,
    /// Peers that subscribed to more prefixes.
    pub prefixes_max: u64,
    /// Peers that subscribed to more bytes of prefixes.
    pub prefix_bytes_max: u64,
    /// Peers whose user would have had more prefixes.
    pub prefixes_per_user_max: u64,
    /// Peers whose user would have had more bytes of prefixes.
    pub prefix_bytes_per_user_max: u64,
    /// How often a peer was not read for a while, since it changed its subscriptions too fast.
    pub changes_per_second_max: u64,
}

/// How a socket was closed ([`Pub::close`](crate::Pub::close)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// How many messages were not delivered, from the call of `close` on: what was still queued when the linger ended, and
    /// what was queued for peers that left meanwhile. Counted per peer, as
    /// [`SocketStats::undelivered`]. Exact, unless the engine has died.
    pub undelivered: u64,
}

/// The peers that a socket has turned away since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnedAway {
    /// Peers beyond [`Options::peers_max`](crate::Options::peers_max).
    pub peers_max: u64,
    /// Peers beyond [`Options::peers_per_address_max`](crate::Options::peers_per_address_max).
    pub peers_per_address_max: u64,
    /// Peers whose handshake gave way to a later one ([`Options::handshakes_max`](crate::Options::handshakes_max)).
    pub handshakes_max: u64,
    /// How often a listener has paused for 100 ms because too few descriptors were left.
    pub descriptors: u64,
    /// Where the last of those peers was.
    pub last: Option<PeerAddress>,
}

/// As in "turned away: 3 peers beyond peers_max; the last one was tcp://127.0.0.1:50000".
impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (peers, bound) in
            [(self.peers_max, "peers_max"), (self.peers_per_address_max, "peers_per_address_max")]
        {
            match peers {
                0 => {}
                1 => parts.push(format!("1 peer beyond {bound}")),
                peers => parts.push(format!("{peers} peers beyond {bound}")),
            }
        }
        match self.handshakes_max {
            0 => {}
            1 => parts.push("1 handshake beyond handshakes_max".to_owned()),
            handshakes => parts.push(format!("{handshakes} handshakes beyond handshakes_max")),
        }
        if self.descriptors > 0 {
            parts.push("all that came while too few descriptors were left (see ulimit -n)".to_owned());
        }
        write!(f, "turned away: {}", parts.join(", "))?;
        match self.last {
            Some(last) => write!(f, "; the last one was {last}"),
            None => Ok(()),
        }
    }
}

/// A peer that was refused: it broke the protocol or a bound, or it refused us.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RefusedPeer {
    /// Where it was.
    pub address: PeerAddress,
    /// Why, in short.
    pub cause: Cause,
    /// Why, in full, of kind [`Peer`](crate::ErrorKind::Peer).
    pub error: Error,
}
