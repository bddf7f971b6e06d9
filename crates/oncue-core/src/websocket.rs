//! WebSocket frames (RFC 6455, section 5) and the messages of ZWS 2.0 in them (RFC 45): headers parsed, checked and written,
//! payloads masked. Which messages follow which, and what they mean, is not known here.

use alloc::vec::Vec;

use crate::frame::{COMMAND, MORE};

pub(crate) mod fault;
#[cfg(test)]
mod tests;

pub use fault::Fault;

/// Bytes of the longest header of a frame.
pub const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame, in bytes.
pub const CONTROL_BYTES_MAX: usize = 125;
/// The longest reason that a close frame may carry, in bytes.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
const MASK_BYTES: usize = 4;

/// The flags byte that a message of ZWS begins with: more frames of the same message follow.
const ZWS_MORE: u8 = 1;
/// The flags byte of a command.
const ZWS_COMMAND: u8 = 2;

/// The masking key of a frame.
pub type Mask = [u8; MASK_BYTES];

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a message.
    Continuation,
    /// A message of bytes, or its first part.
    Binary,
    /// The end of the connection.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether it is a control frame: short, whole, and allowed between the parts of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    fn from_byte(byte: u8) -> Result<Opcode, Fault> {
        Ok(match byte {
            0 => Opcode::Continuation,
            1 => return Err(Fault::Text),
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            other => return Err(Fault::Opcode(other)),
        })
    }

    fn byte(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The key of its payload. Zeros, which change nothing, for a frame that is not masked.
    pub mask: Mask,
    /// Bytes of the header itself: 2 to [`HEADER_BYTES_MAX`].
    pub header_len: usize,
    /// Bytes of the payload: less than 2^63.
    pub payload_len: u64,
}

/// Parses the header at the start of `bytes`; `None` while it is incomplete. `masked`: whether the frames of this peer must be
/// masked, which those of clients are.
///
/// # Errors
/// As soon as the bytes prove a fault.
#[inline]
pub fn parse_header(bytes: &[u8], masked: bool) -> Result<Option<Header>, Fault> {
    let &[first, second, ref rest @ ..] = bytes else {
        return bytes.first().map_or(Ok(None), |first| check_first(*first).map(|_| None));
    };
    let opcode = check_first(first)?;
    if (second & MASKED != 0) != masked {
        return Err(Fault::Masking { masked: !masked });
    }
    let (payload_len, rest, length_bytes) = match second & !MASKED {
        TWO_BYTES => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest, 2),
            None => return check_control(opcode, first, TWO_BYTES.into()).map(|()| None),
        },
        EIGHT_BYTES => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 8),
            None => return check_control(opcode, first, EIGHT_BYTES.into()).map(|()| None),
        },
        short => (u64::from(short), rest, 0),
    };
    check_control(opcode, first, payload_len)?;
    let shortest = match length_bytes {
        0 => true,
        2 => payload_len >= TWO_BYTES.into(),
        _ => payload_len > u16::MAX.into() && payload_len <= i64::MAX as u64,
    };
    if !shortest {
        return Err(Fault::Length);
    }
    let (mask, mask_bytes) = match (masked, rest.first_chunk()) {
        (false, _) => ([0; MASK_BYTES], 0),
        (true, Some(mask)) => (*mask, MASK_BYTES),
        (true, None) => return Ok(None),
    };
    let header_len = 2 + length_bytes + mask_bytes;
    Ok(Some(Header { fin: first & FIN != 0, opcode, mask, header_len, payload_len }))
}

#[inline]
fn check_first(first: u8) -> Result<Opcode, Fault> {
    match first & 0x70 {
        0 => Opcode::from_byte(first & 0x0f),
        _ => Err(Fault::ReservedBits(first)),
    }
}

#[inline]
fn check_control(opcode: Opcode, first: u8, payload_len: u64) -> Result<(), Fault> {
    let wrong = opcode.is_control() && (payload_len > CONTROL_BYTES_MAX as u64 || first & FIN == 0);
    if wrong { Err(Fault::Control) } else { Ok(()) }
}

/// Appends the header of a whole frame. With a mask the payload must be [masked](put_masked) by it.
#[inline]
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: u64, mask: Option<Mask>) {
    let (first, masked) = (FIN | opcode.byte(), if mask.is_some() { MASKED } else { 0 });
    if payload_len < u64::from(TWO_BYTES) {
        out.extend_from_slice(&[first, masked | payload_len as u8]);
    } else if let Ok(len) = u16::try_from(payload_len) {
        let [a, b] = len.to_be_bytes();
        out.extend_from_slice(&[first, masked | TWO_BYTES, a, b]);
    } else {
        out.extend_from_slice(&[first, masked | EIGHT_BYTES]);
        out.extend_from_slice(&payload_len.to_be_bytes());
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}

/// Appends a whole control frame; the payload is cut to [`CONTROL_BYTES_MAX`].
pub fn put_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<Mask>) {
    let payload = payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload);
    put_header(out, opcode, payload.len() as u64, mask);
    put_masked(out, payload, mask.unwrap_or_default(), 0);
}

/// Appends bytes of a payload, masked; `phase`: how many bytes of the payload come before them.
#[inline]
pub fn put_masked(out: &mut Vec<u8>, bytes: &[u8], mask: Mask, phase: u64) {
    let start = out.len();
    out.extend_from_slice(bytes);
    if let (true, Some(put)) = (mask != [0; MASK_BYTES], out.get_mut(start..)) {
        apply_mask(put, mask, phase);
    }
}

/// Masks bytes of a payload, or unmasks them; `phase`: how many bytes of the payload come before them.
#[inline]
pub fn apply_mask(bytes: &mut [u8], mut mask: Mask, phase: u64) {
    mask.rotate_left((phase % MASK_BYTES as u64) as usize);
    let twice = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The flags of a ZMTP frame for the flags byte of a message of ZWS.
///
/// # Errors
/// [`Fault::Flags`].
#[inline]
pub fn flags_from_zws(flags: u8) -> Result<u8, Fault> {
    match flags {
        0 => Ok(0),
        ZWS_MORE => Ok(MORE),
        ZWS_COMMAND => Ok(COMMAND),
        other => Err(Fault::Flags(other)),
    }
}

/// The flags byte of a message of ZWS for the flags of a ZMTP frame.
#[inline]
pub fn flags_to_zws(flags: u8) -> u8 {
    match flags & COMMAND {
        0 => flags & MORE,
        _ => ZWS_COMMAND,
    }
}

/// The payload of a close frame: a code and the first bytes of a reason.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = Vec::from(code.to_be_bytes());
    let end = (0..=CLOSE_REASON_BYTES_MAX.min(reason.len())).rfind(|end| reason.is_char_boundary(*end));
    payload.extend_from_slice(reason.get(..end.unwrap_or(0)).unwrap_or_default().as_bytes());
    payload
}

/// Parses the payload of a close frame: the code, if there is one, and the reason.
///
/// # Errors
/// [`Fault::Close`].
pub fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, Fault> {
    match payload {
        [] => Ok(None),
        [a, b, reason @ ..] => {
            let reason = core::str::from_utf8(reason).map_err(|_| Fault::Close)?;
            Ok(Some((u16::from_be_bytes([*a, *b]), reason)))
        }
        [_] => Err(Fault::Close),
    }
}
