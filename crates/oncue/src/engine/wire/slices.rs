//! A message as slices of what the user holds, before it is encoded.

use std::io::IoSlice;
use std::sync::Arc;

use oncue_core::frame::{self, HeaderBytes};

use super::chunk::Chunk;
use crate::msg::{Frames, Msg};
use crate::options::OnFull;

/// A message of more frames is encoded first.
const FRAMES_MAX: usize = 4;
/// A message that is not encoded as a whole: the headers and bodies of its frames in turn. Or a shared one, as one
/// slice.
pub(crate) struct Direct<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) slices: &'a [IoSlice<'a>],
    pub(crate) bytes: usize,
    /// The message itself if it exists in wire encoding: what a stream does not take is referenced instead of copied.
    shared: Option<&'a Msg>,
    /// Its policy, if it has one of its own.
    on_full: Option<OnFull>,
    /// Nothing follows it, as far as its sender knows: it is not to wait for others.
    pub(crate) alone: bool,
}

impl<'a> Direct<'a> {
    /// The same message, behind which nothing waits if `alone`.
    pub(crate) fn with_alone(&self, alone: bool) -> Direct<'a> {
        Direct { alone, ..*self }
    }
}

impl Direct<'_> {
    /// Takes a message apart without copying the bodies.
    pub(crate) fn with<R>(
        message: &(impl Frames + ?Sized),
        on_full: Option<OnFull>,
        f: impl FnOnce(&Direct<'_>) -> R,
    ) -> R {
        if let Some(shared) = message.shared() {
            let (topic, wire) = (shared.topic(), shared.wire());
            let slices = &[IoSlice::new(wire)];
            return f(&Direct {
                topic,
                slices,
                bytes: wire.len(),
                shared: Some(shared),
                on_full,
                alone: false,
            });
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
            return f(&Direct {
                topic: bodies[0],
                slices,
                bytes: wire.len(),
                shared: None,
                on_full,
                alone: false,
            });
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_MAX];
        for (i, (header, body)) in headers.iter().zip(bodies).take(count).enumerate() {
            slices[2 * i] = IoSlice::new(header);
            slices[2 * i + 1] = IoSlice::new(body);
        }
        let slices = &slices[..2 * count];
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        f(&Direct { topic: bodies[0], slices, bytes, shared: None, on_full, alone: false })
    }

    /// Encodes the whole message, to be queued. Copies less than [`COPIED_BYTES_MAX`](crate::msg::COPIED_BYTES_MAX): a
    /// larger message is shared by now.
    pub(crate) fn encode(&self) -> Arc<Chunk> {
        if let Some(shared) = self.shared {
            return Arc::new(Chunk::shared(shared.clone()).with_policy(self.on_full));
        }
        let mut wire = Vec::with_capacity(self.bytes);
        self.slices.iter().for_each(|slice| wire.extend_from_slice(slice));
        let end = wire.len() as u32;
        Arc::new(Chunk::new(wire, vec![end]).with_policy(self.on_full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of three frames of the same bytes.
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
        Direct::with(&message, None, |direct| {
            assert_eq!((direct.topic, direct.bytes), (&b"topic"[..], wire.len()));
            assert_eq!(direct.encode().bytes(), wire);
        });
        let many = ["a", "b", "c", "d", "e"];
        Direct::with(&many, None, |direct| assert_eq!((direct.topic, direct.bytes), (&b"a"[..], 15)));
    }

    #[test]
    fn what_is_left_of_a_shared_message_is_referenced() {
        for frames in [2, 9] {
            let message = Msg::from_frames(vec!["topic"; frames]);
            Direct::with(&message, None, |direct| {
                assert_eq!((direct.topic, direct.bytes), (&b"topic"[..], message.wire().len()));
                assert_eq!(direct.encode().bytes().as_ptr(), message.wire().as_ptr());
            });
        }
    }

    #[test]
    fn the_size_of_a_message_is_known_beyond_four_gigabytes() {
        // Zeros that are never written take no memory.
        let zeros = vec![0; 2 << 30];
        Direct::with(&Thrice(&zeros), None, |direct| assert_eq!(direct.bytes, 3 * (zeros.len() + 9)));
    }
}
