//! The limits of a socket on what its peers do, and how often each was met.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::QuotaStats;

/// A limit, which has the name of its option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Handshakes,
    MessageBytes,
    PrefixLength,
    Prefixes,
    PrefixBytes,
    PrefixesPerUser,
    PrefixBytesPerUser,
    /// Changes of subscriptions: the peer is not disconnected, but read later.
    Changes,
}

/// How often each limit was met.
#[derive(Default)]
pub(crate) struct Met([AtomicU64; Limit::Changes as usize + 1]);

impl Met {
    pub(crate) fn count(&self, limit: Limit) {
        self.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All of them, with the peers beyond the two bounds of connections.
    pub(crate) fn stats(&self, peers_max: u64, peers_per_address_max: u64) -> QuotaStats {
        let met = |limit: Limit| self.0[limit as usize].load(Ordering::Relaxed);
        QuotaStats {
            peers_max,
            peers_per_address_max,
            handshakes_max: met(Limit::Handshakes),
            message_bytes_max: met(Limit::MessageBytes),
            prefix_length_max: met(Limit::PrefixLength),
            prefixes_max: met(Limit::Prefixes),
            prefix_bytes_max: met(Limit::PrefixBytes),
            prefixes_per_user_max: met(Limit::PrefixesPerUser),
            prefix_bytes_per_user_max: met(Limit::PrefixBytesPerUser),
            changes_per_second_max: met(Limit::Changes),
        }
    }
}
