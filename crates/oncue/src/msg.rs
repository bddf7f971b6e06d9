//! Messages: one or more frames, kept in wire encoding so that receiving, forwarding and resending copy nothing.

use std::fmt;
use std::hash::{Hash, Hasher};

use oncue_core::frame;

use crate::buffer::Buffer;

/// The largest message, and the largest batch, in bytes on the wire.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 31;
/// A message with at least this many bytes to copy is copied before any lock is taken, and shared from then on.
pub(crate) const COPIED_BYTES_MAX: usize = 1 << 20;

/// A message of one or more frames; the first one is its topic. Cheap to clone. A received message keeps the buffer alive
/// that it arrived in, up to 256 KiB: to keep a message for long, copy it with `Msg::from_frames(m.frames())`.
///
/// ```
/// use oncue::Msg;
/// let m = Msg::from_frames(["prices/AAPL", "187.20"]);
/// assert_eq!(m.topic(), b"prices/AAPL");
/// assert_eq!(m.frame(1), Some(&b"187.20"[..]));
/// assert_eq!(m.frames().count(), 2);
/// ```
#[derive(Clone)]
pub struct Msg {
    /// Between `start` and `end` complete frames in ZMTP's encoding (RFC 37), at least one.
    buffer: Buffer,
    start: u32,
    end: u32,
}

impl Msg {
    /// A message of one frame.
    pub fn single(frame: impl AsRef<[u8]>) -> Msg {
        Msg::from_frames([frame])
    }

    /// A message of these frames. Without any, it is one empty frame.
    ///
    /// # Panics
    /// When the frames add up to 4 GiB or more.
    pub fn from_frames<T: AsRef<[u8]>>(frames: impl IntoIterator<Item = T>) -> Msg {
        let mut wire = Vec::new();
        put_all(&mut wire, frames.into_iter());
        Msg::from_wire(wire)
    }

    /// `wire` must hold exactly one complete message.
    pub(crate) fn from_wire(wire: Vec<u8>) -> Msg {
        let end = u32::try_from(wire.len()).expect("a message is shorter than 4 GiB");
        Msg { buffer: wire.into(), start: 0, end }
    }

    /// The buffer must hold exactly one complete message between `start` and `end`.
    #[inline]
    pub(crate) fn within(buffer: Buffer, start: u32, end: u32) -> Msg {
        Msg { buffer, start, end }
    }

    /// The message as it stands on the wire.
    #[inline]
    pub(crate) fn wire(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.end as usize]
    }

    /// The memory that it keeps alive, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.buffer.memory()
    }

    /// The message, borrowed.
    #[inline]
    fn look(&self) -> MsgRef<'_> {
        MsgRef { wire: self.wire() }
    }

    /// The first frame.
    #[inline]
    pub fn topic(&self) -> &[u8] {
        self.look().topic()
    }

    /// The bodies of the frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.look().frames()
    }

    /// The body of frame `index`, counted from 0.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        self.look().frame(index)
    }

    /// How many frames there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "a message has at least one frame")]
    pub fn len(&self) -> usize {
        self.look().len()
    }
}

/// A borrowed message, one of those of [`Received`](crate::Received).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MsgRef<'a> {
    wire: &'a [u8],
}

impl<'a> MsgRef<'a> {
    /// `wire` must hold exactly one complete message.
    #[inline]
    pub(crate) fn new(wire: &'a [u8]) -> MsgRef<'a> {
        MsgRef { wire }
    }

    /// The first frame.
    #[inline]
    pub fn topic(self) -> &'a [u8] {
        frame::topic(self.wire)
    }

    /// The bodies of the frames, in order.
    pub fn frames(self) -> impl Iterator<Item = &'a [u8]> {
        frame::frames(self.wire)
    }

    /// The body of frame `index`, counted from 0.
    pub fn frame(self, index: usize) -> Option<&'a [u8]> {
        self.frames().nth(index)
    }

    /// How many frames there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "a message has at least one frame")]
    pub fn len(self) -> usize {
        self.frames().count()
    }

    /// The message as ZMTP 3.1 encodes it (RFC 37): each frame with its header. See [`Batch::push_wire`](crate::Batch::push_wire).
    #[inline]
    pub fn wire(self) -> &'a [u8] {
        self.wire
    }

    /// An owned copy.
    pub fn to_msg(self) -> Msg {
        Msg::from_wire(self.wire.to_vec())
    }
}

impl PartialEq for Msg {
    fn eq(&self, other: &Msg) -> bool {
        self.wire() == other.wire()
    }
}

impl Eq for Msg {}

impl Hash for Msg {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire().hash(state);
    }
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look().fmt(f)
    }
}

impl fmt::Debug for MsgRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames().map(|frame| frame.escape_ascii().to_string())).finish()
    }
}

/// What can be sent: anything that is one frame or several. `"text"`, `b"bytes"` and `Vec<u8>` are one frame,
/// `(topic, payload)` is two, an array or a slice of byte strings is as many as it holds, a [`Msg`] is itself.
pub trait Frames {
    /// Calls `frame` with each frame's body, and whether more follow.
    #[doc(hidden)]
    fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool));

    /// Appends the frames to `out` in wire encoding.
    #[doc(hidden)]
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.visit(&mut |body, more| frame::put_frame(out, body, more));
    }

    /// How many bytes of bodies [`put`](Frames::put) copies; 0 for what can be shared instead.
    #[doc(hidden)]
    #[inline]
    fn copied_bytes(&self) -> usize {
        let mut bytes = 0usize;
        self.visit(&mut |body, _| bytes = bytes.saturating_add(body.len()));
        bytes
    }

    /// The message in wire encoding, if it exists already and can be shared.
    #[doc(hidden)]
    fn shared(&self) -> Option<&Msg> {
        None
    }
}

/// Appends a message to those in `out`, or nothing: a caller's type may panic in the middle of its frames.
#[inline]
pub(crate) fn put_whole(message: &(impl Frames + ?Sized), out: &mut Vec<u8>) {
    let undo = Undo { start: out.len(), out };
    message.put(undo.out);
    std::mem::forget(undo);
}

/// Removes what was appended, when it is dropped.
struct Undo<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.start);
    }
}

impl<F: Frames + ?Sized> Frames for &F {
    #[inline]
    fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
        (**self).visit(frame);
    }
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    #[inline]
    fn copied_bytes(&self) -> usize {
        (**self).copied_bytes()
    }
    fn shared(&self) -> Option<&Msg> {
        (**self).shared()
    }
}

impl Frames for MsgRef<'_> {
    fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
        visit_all(frame, frame::frames(self.wire));
    }
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.wire);
    }
    fn copied_bytes(&self) -> usize {
        self.wire.len()
    }
}

impl Frames for Msg {
    fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
        visit_all(frame, frame::frames(self.wire()));
    }
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.wire());
    }
    #[inline]
    fn copied_bytes(&self) -> usize {
        0
    }
    fn shared(&self) -> Option<&Msg> {
        Some(self)
    }
}

macro_rules! single {
    ($([$($generic:tt)*] $type:ty),*) => {$(
        impl<$($generic)*> Frames for $type {
            #[inline]
            fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
                frame(self.as_ref(), false);
            }
        }
    )*};
}
single!([] str, [] String, [] [u8], [] Vec<u8>, [const N: usize] [u8; N]);

macro_rules! several {
    ($([$($generic:tt)*] $type:ty),*) => {$(
        impl<$($generic)*> Frames for $type {
            fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
                visit_all(frame, self.iter().map(AsRef::as_ref));
            }
        }
    )*};
}
several!([] [&str], [] [&[u8]], [] [String], [] [Vec<u8>]);
several!([const N: usize] [&str; N], [const N: usize] [&[u8]; N]);
several!([const N: usize] [String; N], [const N: usize] [Vec<u8>; N]);

impl<A: AsRef<[u8]>, B: AsRef<[u8]>> Frames for (A, B) {
    #[inline]
    fn visit<'a>(&'a self, frame: &mut dyn FnMut(&'a [u8], bool)) {
        frame(self.0.as_ref(), true);
        frame(self.1.as_ref(), false);
    }
}

fn put_all<T: AsRef<[u8]>>(out: &mut Vec<u8>, mut frames: impl Iterator<Item = T>) {
    let Some(mut current) = frames.next() else {
        return frame::put_frame(out, b"", false);
    };
    for next in frames {
        frame::put_frame(out, current.as_ref(), true);
        current = next;
    }
    frame::put_frame(out, current.as_ref(), false);
}

/// Calls `frame` for each body; for one empty body where there is none.
fn visit_all<'a>(frame: &mut dyn FnMut(&'a [u8], bool), bodies: impl Iterator<Item = &'a [u8]>) {
    let mut bodies = bodies.peekable();
    if bodies.peek().is_none() {
        frame(b"", false);
    }
    while let Some(body) = bodies.next() {
        frame(body, bodies.peek().is_some());
    }
}
