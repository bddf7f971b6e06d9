//! The short way: where nothing is queued and nobody is at the shard, the sender's own thread writes the message to the
//! peers. It saves a hop between threads, which costs more than the work, and for a large message a copy.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::frame;

use super::chunk::{Chunk, Run};
use super::hub::Hub;
use super::last::Keeping;
use super::peer::Phase;
use super::shard::Shard;
use crate::msg::Frames;
use crate::net::Net;

/// A message of more frames than this is encoded first.
const FRAMES_MAX: usize = 4;
/// To more peers than this, the sender's thread does not write.
const PEERS_MAX: usize = 4;
/// From this size on, a message is worth a write of its own.
const LARGE_BYTES_MIN: usize = 8 << 10;
/// Smaller messages that follow one another within this time are better written together, by the shard's thread.
const PAUSE_MIN: Duration = Duration::from_micros(20);

/// A message that is not encoded as a whole: the headers of its frames and their bodies, in turn.
pub(crate) struct Direct<'a> {
    topic: &'a [u8],
    slices: &'a [IoSlice<'a>],
    bytes: usize,
}

impl Direct<'_> {
    /// Takes a message apart, without copying the bodies.
    pub(crate) fn with<R>(message: &(impl Frames + ?Sized), f: impl FnOnce(&Direct<'_>) -> R) -> R {
        let mut bodies: [&[u8]; FRAMES_MAX] = [&[]; FRAMES_MAX];
        let mut count = 0;
        message.visit(&mut |body, _| {
            if let Some(slot) = bodies.get_mut(count) {
                *slot = body;
            }
            count += 1;
        });
        if count > FRAMES_MAX {
            let mut wire = Vec::new();
            message.put(&mut wire);
            let slices = [IoSlice::new(&wire)];
            return f(&Direct { topic: bodies[0], slices: &slices, bytes: wire.len() });
        }
        let bodies = &bodies[..count];
        let mut headers = Vec::with_capacity(count * 9);
        let mut ends = [0; FRAMES_MAX];
        for (i, body) in bodies.iter().enumerate() {
            let flags = if i + 1 < count { frame::MORE } else { 0 };
            frame::put_header(&mut headers, flags, body.len() as u64);
            ends[i] = headers.len();
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_MAX];
        let (mut start, mut bytes) = (0, 0);
        for (i, body) in bodies.iter().enumerate() {
            slices[2 * i] = IoSlice::new(&headers[start..ends[i]]);
            slices[2 * i + 1] = IoSlice::new(body);
            bytes += ends[i] - start + body.len();
            start = ends[i];
        }
        f(&Direct { topic: bodies[0], slices: &slices[..2 * count], bytes })
    }

    fn encode(&self) -> Arc<Chunk> {
        let mut wire = Vec::with_capacity(self.bytes);
        self.slices.iter().for_each(|slice| wire.extend_from_slice(slice));
        let end = wire.len() as u32;
        Arc::new(Chunk::new(wire, vec![end]))
    }
}

impl<N: Net> Shard<N> {
    /// Writes a message to all who want it, and keeps it if it is to be the `last` of its topic, if none of them has
    /// anything queued. `false`: nothing was done.
    pub(crate) fn send_now(
        &mut self,
        hub: &Arc<Hub>,
        message: &Direct<'_>,
        last: Option<&Keeping>,
        now: Duration,
    ) -> bool {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return false };
        let early = served.direct_at.replace(now).is_some_and(|at| now < at + PAUSE_MIN);
        if served.closing || !served.batch.is_empty() || early && message.bytes < LARGE_BYTES_MIN {
            return false;
        }
        self.now = self.now.max(now);
        let Some(slots) = self.ready_for(hub, message.topic) else { return false };
        if last.is_some_and(|last| !hub.keep_direct(self.index, last)) {
            return false;
        }
        let mut chunk = None;
        for slot in slots {
            let rest = || Run::new(chunk.get_or_insert_with(|| message.encode()).clone(), 0, 1);
            match self.peers[slot].write_now(message.slices, rest) {
                Ok(()) if self.peers[slot].queue.is_empty() => {}
                Ok(()) => self.gauge(slot),
                Err(end) => self.end(slot, end),
            }
        }
        true
    }

    /// The peers that want a topic, if they are few and none has anything queued.
    fn ready_for(&mut self, hub: &Hub, topic: &[u8]) -> Option<Vec<usize>> {
        let ledger = hub.ledger();
        let mut slots = Vec::new();
        for &audience in self.fanout.audiences(&ledger, topic) {
            for &peer in ledger.peers(audience) {
                let slot = ledger.token(peer) as usize;
                let peer = &self.peers[slot];
                if slots.len() == PEERS_MAX
                    || !peer.queue.is_empty()
                    || !matches!(peer.phase, Phase::Traffic(_))
                {
                    return None;
                }
                slots.push(slot);
            }
        }
        Some(slots)
    }
}
