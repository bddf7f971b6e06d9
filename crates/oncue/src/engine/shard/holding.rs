//! What a shard holds for its peers, and the work of its last turn: simulations check that strangers cannot make
//! either large.

use crate::engine::shard::Shard;
use crate::net::Net;

/// The figures of one shard; each is the maximum over its peers unless it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// The work of the last turn, see [`TURN_WORK_MAX`](crate::engine::shard::TURN_WORK_MAX).
    pub(crate) work: u32,
    pub(crate) peers: usize,
    /// Peers that wait to be read or written, in all.
    pub(crate) waiting: usize,
    /// Received bytes that are not a complete item, or wait for the peer's next turn.
    pub(crate) received_bytes: usize,
    /// Control bytes to be written.
    pub(crate) control_bytes: u64,
    /// Messages to be written.
    pub(crate) queued_messages: u64,
}

impl<N: Net> Shard<N> {
    pub(crate) fn holding(&self) -> Holding {
        let all = Holding {
            work: self.work,
            peers: self.peers.len(),
            waiting: self.unread.len() + self.unwritten.len(),
            ..Holding::default()
        };
        self.peers.iter().fold(all, |all, (_, peer)| Holding {
            received_bytes: all.received_bytes.max(peer.received_bytes()),
            control_bytes: all.control_bytes.max(peer.out.queue().backlog.control_bytes),
            queued_messages: all.queued_messages.max(peer.out.queue().backlog.messages),
            ..all
        })
    }

    /// How many messages are queued for the peers of a socket.
    #[cfg(test)]
    pub(crate) fn queued(&self, hub: u64) -> u64 {
        let peers = self.peers.iter().filter(|(_, peer)| peer.hub.id == hub);
        peers.map(|(_, peer)| peer.out.queue().backlog.messages).sum()
    }
}
