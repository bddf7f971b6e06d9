//! The short way: where nothing is queued and nobody is at the shard, the sender's own thread writes the message to the
//! peers. It saves a hop between threads, which costs more than the work, and for a large message a copy.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::frame::{self, HeaderBytes};

use crate::engine::hub::Hub;
use crate::engine::hub::kept::Keeping;
use crate::engine::peer::Phase;
use crate::engine::shard::Shard;
use crate::engine::wire::chunk::{Chunk, Run};
use crate::msg::{Frames, MESSAGE_BYTES_MAX, Msg};
use crate::net::Net;

/// A message of more frames than this is encoded first.
const FRAMES_MAX: usize = 4;
/// To more peers than this, the sender's thread does not write.
const PEERS_MAX: usize = 4;
/// From this size on, a message is worth a write of its own.
const LARGE_BYTES_MIN: usize = 8 << 10;
/// Smaller messages that follow one another within this time are better written together, by the shard's thread.
const PAUSE_MIN: Duration = Duration::from_micros(20);

/// A message that is not encoded as a whole, the headers of its frames and their bodies in turn; or one that is shared.
pub(crate) struct Direct<'a> {
    topic: &'a [u8],
    slices: &'a [IoSlice<'a>],
    bytes: usize,
    /// The message itself, where it exists in wire encoding: what a stream does not take is referenced, not copied.
    shared: Option<&'a Msg>,
}

impl Direct<'_> {
    /// Takes a message apart, without copying the bodies.
    pub(crate) fn with<R>(message: &(impl Frames + ?Sized), f: impl FnOnce(&Direct<'_>) -> R) -> R {
        if let Some(shared) = message.shared() {
            let (topic, wire) = (shared.topic(), shared.wire());
            let slices = &[IoSlice::new(wire)];
            return f(&Direct { topic, slices, bytes: wire.len(), shared: Some(shared) });
        }
        let mut bodies: [&[u8]; FRAMES_MAX] = [&[]; FRAMES_MAX];
        let mut headers = [HeaderBytes::default(); FRAMES_MAX];
        let mut count = 0;
        message.visit(&mut |body, more| {
            if let (Some(slot), Some(header)) = (bodies.get_mut(count), headers.get_mut(count)) {
                *slot = body;
                *header = HeaderBytes::new(if more { frame::MORE } else { 0 }, body.len() as u64);
            }
            count += 1;
        });
        if count > FRAMES_MAX {
            let mut wire = Vec::new();
            message.put(&mut wire);
            let slices = &[IoSlice::new(&wire)];
            return f(&Direct { topic: bodies[0], slices, bytes: wire.len(), shared: None });
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_MAX];
        for (i, (header, body)) in headers.iter().zip(bodies).take(count).enumerate() {
            slices[2 * i] = IoSlice::new(header);
            slices[2 * i + 1] = IoSlice::new(body);
        }
        let slices = &slices[..2 * count];
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        f(&Direct { topic: bodies[0], slices, bytes, shared: None })
    }

    /// The whole message, to be queued. Copies fewer than [`COPIED_BYTES_MAX`](crate::msg::COPIED_BYTES_MAX): a larger
    /// message is shared by now.
    fn encode(&self) -> Arc<Chunk> {
        if let Some(shared) = self.shared {
            return Arc::new(Chunk::shared(shared.clone()));
        }
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
        let small = message.bytes < LARGE_BYTES_MIN;
        // What is too large is refused where messages are queued.
        let too_large = message.bytes > MESSAGE_BYTES_MAX;
        if served.closing || !served.batch.is_empty() || early && small || too_large {
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
                Ok(()) if self.peers[slot].out.is_empty() => {}
                Ok(()) => self.written(slot),
                Err(end) => self.end(slot, end),
            }
        }
        true
    }

    /// Puts the peers that want a topic into `slots`, if they are few and none has anything queued; yields how many.
    fn ready_for(&mut self, hub: &Hub, topic: &[u8], slots: &mut [usize; PEERS_MAX]) -> Option<usize> {
        let ledger = hub.ledger();
        let mut count = 0;
        for &audience in self.fanout.audiences(&ledger, topic) {
            for &peer in ledger.peers(audience) {
                let slot = ledger.token(peer) as usize;
                let peer = &self.peers[slot];
                if !peer.out.is_empty() || !matches!(peer.phase, Phase::Traffic(_)) {
                    return None;
                }
                *slots.get_mut(count)? = slot;
                count += 1;
            }
        }
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of three frames which are the same bytes.
    struct Thrice<'b>(&'b [u8]);

    impl Frames for Thrice<'_> {
        fn put(&self, _: &mut Vec<u8>) {
            unreachable!("it is looked at only");
        }
        fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
            [true, true, false].into_iter().for_each(|more| frame(self.0, more));
        }
        fn copied_bytes(&self) -> usize {
            3 * self.0.len()
        }
    }

    #[test]
    fn a_message_is_taken_apart_as_it_stands_on_the_wire() {
        let mut wire = Vec::new();
        let message = ["topic".to_owned(), "x".repeat(300)];
        message.put(&mut wire);
        Direct::with(&message, |direct| {
            assert_eq!((direct.topic, direct.bytes), (&b"topic"[..], wire.len()));
            assert_eq!(direct.encode().bytes(), wire);
        });
        let many = ["a", "b", "c", "d", "e"];
        Direct::with(&many, |direct| assert_eq!((direct.topic, direct.bytes), (&b"a"[..], 15)));
    }

    #[test]
    fn what_is_left_of_a_shared_message_is_referenced() {
        for frames in [2, 9] {
            let message = Msg::from_frames(vec!["topic"; frames]);
            Direct::with(&message, |direct| {
                assert_eq!((direct.topic, direct.bytes), (&b"topic"[..], message.wire().len()));
                assert_eq!(direct.encode().bytes().as_ptr(), message.wire().as_ptr());
            });
        }
    }

    #[test]
    fn the_size_of_a_message_is_known_beyond_four_gigabytes() {
        // Zeros that are only looked at take no memory.
        let zeros = vec![0; 2 << 30];
        Direct::with(&Thrice(&zeros), |direct| assert_eq!(direct.bytes, 3 * (zeros.len() + 9)));
    }
}
