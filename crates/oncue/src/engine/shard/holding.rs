//! What a shard holds of its peers, and what its last turn did: simulations check that strangers cannot make either large.

use crate::engine::shard::Shard;
use crate::net::Net;

/// Of one shard; each figure is the largest of any peer but where it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// What the last turn did, see [`TURN_WORK_MAX`](crate::engine::shard::TURN_WORK_MAX).
    pub(crate) work: u32,
    pub(crate) peers: usize,
    /// Peers that wait for their turn to be read or written, all of them.
    pub(crate) waiting: usize,
    /// Bytes received that are no whole item, or wait for the peer's next turn.
    pub(crate) received_bytes: usize,
    /// Bytes to be sent that are no message.
    pub(crate) control_bytes: u64,
    /// Messages to be sent.
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
            control_bytes: all.control_bytes.max(peer.out.holding().0),
            queued_messages: all.queued_messages.max(peer.out.holding().1),
            ..all
        })
    }
}
