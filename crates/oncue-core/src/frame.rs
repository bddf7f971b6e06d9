//! The frame: the wire format of commands and messages (RFC 37 and 23, section "Framing"; RFC 15). ZMTP 2.0 and 3.x encode
//! message frames alike, so one encoding serves every peer. What a frame's body means is not known here.

use alloc::vec::Vec;
use core::iter::FusedIterator;

mod error;
mod scanner;
#[cfg(test)]
mod tests;

pub use error::{ProtocolError, Seen};
pub(crate) use scanner::check_command;
pub use scanner::{Batch, COMMANDS_INSIDE_BYTES_MAX, Scan, Scanner, Stop};

/// Flag: more frames of the same message follow.
pub const MORE: u8 = 0x01;
/// Flag: the length of the body takes eight bytes instead of one.
pub const LONG: u8 = 0x02;
/// Flag: the frame is a command. Versions 3.x only.
pub const COMMAND: u8 = 0x04;

/// The longest body of a command that is accepted, in bytes. It bounds READY, and with it the memory of a handshake with an
/// untrusted peer, as well as the prefix of one SUBSCRIBE.
pub const COMMAND_BYTES_MAX: u64 = 64 * 1024;

const SHORT_HEADER_LEN: usize = 2;
const LONG_HEADER_LEN: usize = 9;
const SHORT_BODY_MAX: u64 = u8::MAX as u64;

/// The protocol version that two peers have agreed on: the lower of the two announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// ZMTP 2.0 (RFC 15): no commands and no security; subscriptions travel as messages.
    V2_0,
    /// ZMTP 3.0 (RFC 23): subscriptions travel as messages.
    V3_0,
    /// ZMTP 3.1 (RFC 37): subscriptions travel as commands.
    V3_1,
}

impl Version {
    /// Major and minor number.
    pub fn numbers(self) -> (u8, u8) {
        match self {
            Version::V2_0 => (2, 0),
            Version::V3_0 => (3, 0),
            Version::V3_1 => (3, 1),
        }
    }

    /// Whether frames with the [`COMMAND`] flag exist in this version.
    pub fn has_commands(self) -> bool {
        self >= Version::V3_0
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// [`MORE`], [`LONG`] and [`COMMAND`]; the other bits are zero.
    pub flags: u8,
    /// Bytes of the header itself: 2 or 9.
    pub header_len: usize,
    /// Bytes of the body: less than 2^63.
    pub body_len: u64,
}

impl Header {
    /// Whether more frames of the same message follow.
    pub fn more(&self) -> bool {
        self.flags & MORE != 0
    }

    /// Whether the frame is a command.
    pub fn command(&self) -> bool {
        self.flags & COMMAND != 0
    }

    /// Bytes of header and body together.
    pub fn frame_len(&self) -> u64 {
        self.header_len as u64 + self.body_len
    }
}

/// Bytes of the header that [`put_header`] writes in front of a body of `body_len` bytes: 2 or 9.
#[inline]
pub fn header_len(body_len: u64) -> usize {
    if body_len <= SHORT_BODY_MAX { SHORT_HEADER_LEN } else { LONG_HEADER_LEN }
}

/// An encoded frame header, without an allocation.
#[derive(Clone, Copy, Default)]
pub struct HeaderBytes {
    bytes: [u8; LONG_HEADER_LEN],
    len: u8,
}

impl HeaderBytes {
    /// What [`put_header`] would append.
    #[inline]
    pub fn new(flags: u8, body_len: u64) -> HeaderBytes {
        let mut bytes = [0; LONG_HEADER_LEN];
        let len = match u8::try_from(body_len) {
            Ok(short) => {
                bytes[..SHORT_HEADER_LEN].copy_from_slice(&[flags & !LONG, short]);
                SHORT_HEADER_LEN
            }
            Err(_) => {
                bytes[0] = flags | LONG;
                bytes[1..].copy_from_slice(&body_len.to_be_bytes());
                LONG_HEADER_LEN
            }
        };
        HeaderBytes { bytes, len: len as u8 }
    }
}

impl core::ops::Deref for HeaderBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Appends a frame's header. `flags` are [`MORE`] and [`COMMAND`]; [`LONG`] is set or cleared according to `body_len`.
#[inline]
pub fn put_header(out: &mut Vec<u8>, flags: u8, body_len: u64) {
    match u8::try_from(body_len) {
        Ok(short) => out.extend_from_slice(&[flags & !LONG, short]),
        Err(_) => out.extend_from_slice(&HeaderBytes::new(flags, body_len)),
    }
}

/// Appends one frame of a message; `more` says whether another frame of the message follows.
#[inline]
pub fn put_frame(out: &mut Vec<u8>, body: &[u8], more: bool) {
    put_header(out, if more { MORE } else { 0 }, body.len() as u64);
    out.extend_from_slice(body);
}

/// Appends a whole message and returns the number of its frames. Without frames, nothing is appended and 0 is returned.
#[inline]
pub fn put_message<F: AsRef<[u8]>>(out: &mut Vec<u8>, frames: impl IntoIterator<Item = F>) -> usize {
    let mut frames = frames.into_iter();
    let Some(mut current) = frames.next() else { return 0 };
    let mut count = 1;
    for next in frames {
        put_frame(out, current.as_ref(), true);
        current = next;
        count += 1;
    }
    put_frame(out, current.as_ref(), false);
    count
}

/// Parses the header at the start of `buf`; `None` while it is incomplete.
///
/// # Errors
/// [`ProtocolError::ReservedFlags`] at the first byte, and [`ProtocolError::FrameTooLong`] for a length that
/// RFC 37 does not allow (2^63 and more).
#[inline]
pub fn parse_header(buf: &[u8]) -> Result<Option<Header>, ProtocolError> {
    let Some(&flags) = buf.first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(ProtocolError::ReservedFlags(flags));
    }
    if flags & LONG == 0 {
        let Some(&len) = buf.get(1) else { return Ok(None) };
        return Ok(Some(Header { flags, header_len: SHORT_HEADER_LEN, body_len: u64::from(len) }));
    }
    let Some(&[a, b, c, d, e, f, g, h]) = buf.get(1..LONG_HEADER_LEN) else { return Ok(None) };
    let body_len = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    if body_len > i64::MAX as u64 {
        return Err(ProtocolError::FrameTooLong);
    }
    Ok(Some(Header { flags, header_len: LONG_HEADER_LEN, body_len }))
}

/// The body of the first frame of a complete message in wire encoding: its topic.
///
/// # Panics
/// When `message_wire` is not a complete message. Bytes from a peer go through [`Scanner`] first.
#[inline]
pub fn topic(message_wire: &[u8]) -> &[u8] {
    if message_wire[0] & LONG == 0 {
        let end = SHORT_HEADER_LEN + usize::from(message_wire[1]);
        &message_wire[SHORT_HEADER_LEN..end]
    } else {
        split_frame(message_wire).1
    }
}

/// Bytes of the complete message that `buf` begins with, all its frames and headers.
///
/// # Panics
/// When `buf` does not begin with a complete message. Bytes from a peer go through [`Scanner`] first.
#[inline]
pub fn message_len(buf: &[u8]) -> usize {
    let mut rest = buf;
    loop {
        let (more, _, after) = split_frame(rest);
        rest = after;
        if !more {
            return buf.len() - rest.len();
        }
    }
}

/// The frame bodies of the complete message that `message_wire` begins with; bytes after it are ignored.
///
/// # Panics
/// The iterator panics when `message_wire` is not a complete message. Bytes from a peer go through [`Scanner`] first.
#[inline]
pub fn frames(message_wire: &[u8]) -> Frames<'_> {
    Frames { rest: Some(message_wire) }
}

/// The iterator that [`frames`] returns.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    /// The bytes from the next frame on; `None` after the last one.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (more, body, rest) = split_frame(self.rest?);
        self.rest = more.then_some(rest);
        Some(body)
    }
}

impl FusedIterator for Frames<'_> {}

/// Splits the first frame off a complete message: (whether more follow, body, bytes after it).
#[inline]
fn split_frame(wire: &[u8]) -> (bool, &[u8], &[u8]) {
    let flags = wire[0];
    let (body_len, rest) = if flags & LONG == 0 {
        (usize::from(wire[1]), &wire[SHORT_HEADER_LEN..])
    } else {
        let (header, rest) = wire.split_at(LONG_HEADER_LEN);
        // A complete message is in memory, so its length fits; the split fails for an incomplete one.
        (header[1..].iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
    };
    let (body, rest) = rest.split_at(body_len);
    (flags & MORE != 0, body, rest)
}
