//! The greeting: the fixed bytes with which two peers find out each other's version and security mechanism
//! (RFC 37 and 23, sections "Version Negotiation" and "Backwards Interoperability"; RFC 15). In stages, because
//! a peer at 2.0 must not be sent the rest of a 3.x greeting. No state is kept here.

use alloc::vec::Vec;
use core::fmt;

use crate::frame::{ProtocolError, Seen, Version};

#[cfg(test)]
mod tests;

/// Bytes of the part that is sent unasked: signature and major version.
pub const FIRST_PART_LEN: usize = 11;
/// Bytes of the rest of a 3.x greeting: minor version, mechanism, as-server and filler.
pub const REST_LEN: usize = 53;

const SIGNATURE_LEN: usize = 10;
/// The padding holds what a 1.0 peer takes for the length of an empty identity, as libzmq has it.
const SIGNATURE: [u8; SIGNATURE_LEN] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
const MAJOR: u8 = 3;
const MINOR: u8 = 1;
const MECHANISM_LEN: usize = 20;
const FILLER_LEN: usize = 31;

/// What the first part of a peer's greeting says of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// ZMTP 2.0: a byte for the socket type and an identity frame follow, then messages.
    Two,
    /// ZMTP 3.x with this major version, 3 or higher: [`REST_LEN`] bytes follow, then commands.
    Three {
        /// The peer's major version.
        major: u8,
    },
}

/// What the rest of a 3.x greeting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The version to speak with this peer.
    pub version: Version,
    /// The security mechanism that the peer insists on.
    pub mechanism: MechanismName,
    /// The peer is the server of the security handshake; without meaning under NULL.
    pub as_server: bool,
}

/// A mechanism's name as the greeting carries it: 20 bytes, padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MechanismName([u8; MECHANISM_LEN]);

impl MechanismName {
    /// The name in the greeting's form.
    ///
    /// # Panics
    /// When `name` is longer than 20 bytes.
    pub const fn new(name: &str) -> MechanismName {
        assert!(name.len() <= MECHANISM_LEN, "a mechanism's name has at most 20 bytes");
        let mut padded = [0; MECHANISM_LEN];
        let mut i = 0;
        while i < name.len() {
            padded[i] = name.as_bytes()[i];
            i += 1;
        }
        MechanismName(padded)
    }
}

impl fmt::Display for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        write!(f, "{}", self.0[..end].escape_ascii())
    }
}

/// Appends the part of the greeting that is sent at once, before anything of the peer is known.
pub fn put_first_part(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.push(MAJOR);
}

/// Appends the rest of a 3.x greeting. `as_server` must be false under a mechanism without roles.
pub fn put_rest(out: &mut Vec<u8>, mechanism: MechanismName, as_server: bool) {
    out.push(MINOR);
    out.extend_from_slice(&mechanism.0);
    out.push(u8::from(as_server));
    out.extend_from_slice(&[0; FILLER_LEN]);
}

/// Reads the first [`FIRST_PART_LEN`] bytes of a peer's greeting; `None` while they are incomplete.
///
/// # Errors
/// [`ProtocolError::NotZmtp`] and [`ProtocolError::Version1`], as soon as the bytes at hand tell.
pub fn parse_first_part(buf: &[u8]) -> Result<Option<Revision>, ProtocolError> {
    match *buf {
        [] | [0xff] => return Ok(None),
        [0xff, ..] => {}
        // Two bytes are all that an anonymous 1.0 peer sends before it waits for us.
        [_] => return Ok(None),
        // ZMTP 1.0 opens with an identity frame: a length that counts the flags, which are 0 or 1 (RFC 13).
        [1..=0xfe, 0 | 1, ..] => return Err(ProtocolError::Version1),
        _ => return Err(ProtocolError::NotZmtp(Seen::guess(buf))),
    }
    // In a 1.0 peer's long identity frame the tenth byte is the flags, with the lowest bit clear. Nothing else
    // of the signature is significant (RFC 15 and 23).
    match buf.get(SIGNATURE_LEN - 1) {
        None => return Ok(None),
        Some(flags) if flags & 1 == 0 => return Err(ProtocolError::Version1),
        Some(_) => {}
    }
    match buf.get(SIGNATURE_LEN) {
        None => Ok(None),
        Some(0) => Err(ProtocolError::Version1),
        // 1 is the revision of 2.0; RFC 23 counts 2, which was never released, to it.
        Some(1 | 2) => Ok(Some(Revision::Two)),
        Some(&major) => Ok(Some(Revision::Three { major })),
    }
}

/// Reads the [`REST_LEN`] bytes that follow the first part in a 3.x greeting; `None` while they are incomplete.
/// A version above 3.1 is spoken to as 3.1 (RFC 37). The filler is not looked at.
pub fn parse_rest(major: u8, buf: &[u8]) -> Option<Rest> {
    let (&[minor, ref rest @ ..], _) = buf.split_first_chunk::<REST_LEN>()?;
    let (&mechanism, rest) = rest.split_first_chunk::<MECHANISM_LEN>()?;
    let version = if major == MAJOR && minor == 0 { Version::V3_0 } else { Version::V3_1 };
    Some(Rest { version, mechanism: MechanismName(mechanism), as_server: rest.first() == Some(&1) })
}
