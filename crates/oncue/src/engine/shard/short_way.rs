//! The short way: if nothing is queued and the shard is free, the sender's own thread writes the message to the peers.
//! It saves a hop between threads, which costs more than the work, and a copy of a large message.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::hub::Hub;
use crate::engine::hub::kept::Keeping;
use crate::engine::peer::Phase;
use crate::engine::shard::Shard;
use crate::engine::wire::chunk::Run;
use crate::engine::wire::slices::Direct;
use crate::msg::MESSAGE_BYTES_MAX;
use crate::net::Net;

/// With more peers than this, the sender's thread does not write.
const PEERS_MAX: usize = 4;
/// From this size on, a message is worth a write of its own.
const LARGE_BYTES_MIN: usize = 8 << 10;
/// Smaller messages that follow one another within this time are better coalesced by the I/O thread.
const PAUSE_MIN: Duration = Duration::from_micros(20);

impl<N: Net> Shard<N> {
    /// Writes a message to all peers that want it, and keeps it if it is to be the `last` value of its topic, if none
    /// of them has anything queued. Returns false if nothing was done.
    pub(crate) fn send_now(
        &mut self,
        hub: &Arc<Hub>,
        message: &Direct<'_>,
        last: Option<&Keeping>,
        now: Duration,
    ) -> bool {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return false };
        let early = served.direct_at.replace(now).is_some_and(|at| now < at + PAUSE_MIN);
        let small = message.bytes < LARGE_BYTES_MIN && !message.alone;
        // A message that is too large is refused where messages are queued.
        let too_large = message.bytes > MESSAGE_BYTES_MAX;
        if served.closing || !served.batch.is_empty() || early && small || too_large {
            return false;
        }
        // Peers are told what was dropped before it, and only a batch does that.
        if served.has_untold() {
            return false;
        }
        self.now = self.now.max(now);
        let mut slots = [0; PEERS_MAX];
        let Some(count) = self.ready_for(hub, message.topic, &mut slots) else { return false };
        if last.is_some_and(|last| !hub.keep_direct(self.index, last)) {
            return false;
        }
        let mut chunk = None;
        for &slot in &slots[..count] {
            let rest = || Run::new(chunk.get_or_insert_with(|| message.encode()).clone(), 0, 1);
            match self.peers[slot].out.write_now(message.slices, rest) {
                Ok(()) if self.peers[slot].out.queue().is_empty() => {}
                Ok(()) => self.written(slot),
                Err(end) => self.end(slot, end),
            }
        }
        true
    }

    /// Puts the peers that want a topic into `slots`, if they are few and none has anything queued. Returns how many.
    fn ready_for(&mut self, hub: &Hub, topic: &[u8], slots: &mut [usize; PEERS_MAX]) -> Option<usize> {
        let ledger = hub.demand.read();
        let mut count = 0;
        for &audience in self.fanout.audiences(&ledger, topic) {
            for &peer in ledger.peers(audience) {
                let slot = ledger.token(peer) as usize;
                let peer = &self.peers[slot];
                if !peer.out.queue().is_empty() || peer.owes() || !matches!(peer.phase, Phase::Traffic(_)) {
                    return None;
                }
                *slots.get_mut(count)? = slot;
                count += 1;
            }
        }
        Some(count)
    }
}
