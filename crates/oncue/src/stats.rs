//! Counts that users can read: plain data.

use std::fmt;

use crate::error::Error;
use crate::peer_address::PeerAddress;

/// What a socket has done so far. Counts of messages, unless said otherwise; all but `peers`, `peers_full`, `last_values`
/// and `last_values_bytes` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Peers connected now, their handshake done.
    pub peers: u64,
    /// Accepted by `send` while any peer was connected.
    pub sent: u64,
    /// Dropped by `send`, since the I/O threads had not caught up
    /// (see [`Options::outbox_bytes_max`](crate::Options::outbox_bytes_max)).
    pub outbox_full: u64,
    /// Written whole to a peer; a message to three peers counts three times.
    pub delivered: u64,
    /// Missed by a peer whose queue was full; counted per peer.
    pub missed: u64,
    /// Received and handed to the user's side.
    pub received: u64,
    /// Received, not taken by the user in time, and dropped: by an XPUB, or with [`Keep::Latest`](crate::Keep::Latest).
    pub received_missed: u64,
    /// Received, and replaced by a newer message of the same topic before the user took them
    /// ([`Keep::Latest`](crate::Keep::Latest)).
    pub received_replaced: u64,
    /// Connections that ended, for whatever reason, after their handshake.
    pub peers_lost: u64,
    /// Connections that this side refused or gave up: a failed handshake, a broken protocol, a quota exceeded,
    /// a queue full under [`OnFull::Disconnect`](crate::OnFull::Disconnect).
    pub peers_refused: u64,
    /// Peers beyond [`Options::peers_max`](crate::Options::peers_max) or
    /// [`Options::peers_per_address_max`](crate::Options::peers_per_address_max); they are among the refused, too.
    pub peers_turned_away: u64,
    /// How often a listener has rested for 100 ms since the system, or this process, had too few descriptors left
    /// ([`EngineOptions::descriptors_reserved`](crate::EngineOptions::descriptors_reserved)).
    pub accepts_paused: u64,
    /// Subscriptions that were rejected ([`Options::admission`](crate::Options::admission)).
    pub subscriptions_rejected: u64,
    /// Subscriptions whose admission was deferred.
    pub subscriptions_deferred: u64,
    /// Subscriptions that were revoked.
    pub subscriptions_revoked: u64,
    /// States of topics that a peer did not read, or on the other side the user did not take
    /// ([`Pub::set_state`](crate::Pub::set_state), [`Sub::state`](crate::Sub::state)).
    pub states_missed: u64,
    /// Peers that are full now, as [`Room::Congested`](crate::Room::Congested) has it.
    pub peers_full: u64,
    /// Connections given up since they were full for too long
    /// ([`Options::evict_after`](crate::Options::evict_after)); they are among the refused, too.
    pub peers_evicted: u64,
    /// Last values kept now.
    pub last_values: u64,
    /// What they take now, in bytes, as [`Options::last_values_bytes_max`](crate::Options::last_values_bytes_max)
    /// counts.
    pub last_values_bytes: u64,
    /// Last values given up for want of room.
    pub last_values_dropped: u64,
    /// Last values given to new subscribers. They are among those delivered, too.
    pub last_values_offered: u64,
}

/// The peers that a socket has turned away in some time, so that its owner can say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnedAway {
    /// Those beyond [`Options::peers_max`](crate::Options::peers_max).
    pub peers_max: u64,
    /// Those beyond [`Options::peers_per_address_max`](crate::Options::peers_per_address_max).
    pub peers_per_address_max: u64,
    /// How often a listener has rested for 100 ms, as descriptors were short.
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
    /// Why, of kind [`Peer`](crate::ErrorKind::Peer).
    pub error: Error,
}
