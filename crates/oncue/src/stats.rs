//! Counts that users can read: plain data.

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
    /// (see [`Options::inbox_bytes_max`](crate::Options::inbox_bytes_max)).
    pub inbox_full: u64,
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
