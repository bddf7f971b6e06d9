//! The greeting: the fixed bytes from which two peers learn each other's version and security mechanism (RFC 37 and 23,
//! sections "Version Negotiation" and "Backwards Interoperability"; RFC 15). It is sent in two parts, because a peer at 2.0
//! must not receive the rest of a 3.x greeting. No state is kept here.

use alloc::vec::Vec;
use core::fmt;

use crate::frame::{ProtocolError, Seen, Version};

#[cfg(test)]
mod tests;

/// Bytes of the part that is sent first: signature and major version.
pub const FIRST_PART_LEN: usize = 11;
/// Bytes of the rest of a 3.x greeting: minor version, mechanism, as-server and filler.
pub const REST_LEN: usize = 53;

const SIGNATURE_LEN: usize = 10;
/// The padding contains what a 1.0 peer parses as the length of an empty identity, as in libzmq.
const SIGNATURE: [u8; SIGNATURE_LEN] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
const MAJOR: u8 = 3;
const MINOR: u8 = 1;
const MECHANISM_LEN: usize = 20;
const FILLER_LEN: usize = 31;

/// Which protocol follows the first part of a peer's greeting.
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

/// The content of the rest of a 3.x greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The version to speak with this peer.
    pub version: Version,
    /// The security mechanism that the peer requires.
    pub mechanism: MechanismName,
    /// Whether the peer is the server of the security handshake; meaningless under NULL.
    pub as_server: bool,
}

/// A mechanism's name in the greeting: 20 bytes, padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MechanismName([u8; MECHANISM_LEN]);

impl MechanismName {
    /// Pads the name with zeros.
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

    /// Whether it is NULL: no security.
    pub fn is_null(&self) -> bool {
        *self == MechanismName::new("NULL")
    }
}

impl fmt::Display for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        write!(f, "{}", self.0[..end].escape_ascii())
    }
}

/// Appends the part of the greeting that is sent before anything is known about the peer.
pub fn put_first_part(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.push(MAJOR);
}

/// Appends the rest of a 3.x greeting. `as_server` must be false under a mechanism without roles.
pub fn put_rest(out: &mut Vec<u8>, mechanism: MechanismName, as_server: bool) {
    put_rest_of(MINOR, out, mechanism, as_server);
}

/// Appends a whole greeting of ZMTP 3.0: what a transport that translates shows for a peer that sends none.
pub fn put_3_0(out: &mut Vec<u8>, mechanism: MechanismName, as_server: bool) {
    put_first_part(out);
    put_rest_of(0, out, mechanism, as_server);
}

fn put_rest_of(minor: u8, out: &mut Vec<u8>, mechanism: MechanismName, as_server: bool) {
    out.push(minor);
    out.extend_from_slice(&mechanism.0);
    out.push(u8::from(as_server));
    out.extend_from_slice(&[0; FILLER_LEN]);
}

/// Parses the first [`FIRST_PART_LEN`] bytes of a peer's greeting; `None` while they are incomplete.
///
/// # Errors
/// [`ProtocolError::NotZmtp`] and [`ProtocolError::Version1`], as soon as the available bytes prove them.
pub fn parse_first_part(buf: &[u8]) -> Result<Option<Revision>, ProtocolError> {
    match *buf {
        [] | [0xff] => return Ok(None),
        [0xff, ..] => {}
        // An anonymous 1.0 peer sends only two bytes before it waits for us.
        [_] => return Ok(None),
        // ZMTP 1.0 begins with an identity frame: a length that includes the flags, which are 0 or 1 (RFC 13).
        [1..=0xfe, 0 | 1, ..] => return Err(ProtocolError::Version1),
        _ => return Err(ProtocolError::NotZmtp(Seen::guess(buf))),
    }
    // In the long identity frame of a 1.0 peer the tenth byte is the flags, with the lowest bit clear. The rest of the
    // signature is not significant (RFC 15 and 23).
    match buf.get(SIGNATURE_LEN - 1) {
        None => return Ok(None),
        Some(flags) if flags & 1 == 0 => return Err(ProtocolError::Version1),
        Some(_) => {}
    }
    match buf.get(SIGNATURE_LEN) {
        None => Ok(None),
        Some(0) => Err(ProtocolError::Version1),
        // 1 is the revision of 2.0; RFC 23 treats 2, which was never released, in the same way.
        Some(1 | 2) => Ok(Some(Revision::Two)),
        Some(&major) => Ok(Some(Revision::Three { major })),
    }
}

/// Whether the padding of a signature is the one that libzmq sends.
pub(crate) fn is_padded_as_by_libzmq(first_part: &[u8]) -> bool {
    first_part.starts_with(&SIGNATURE)
}

/// Parses the [`REST_LEN`] bytes that follow the first part in a 3.x greeting; `None` while they are incomplete. Versions
/// above 3.1 are treated as 3.1 (RFC 37). The filler is ignored.
pub fn parse_rest(major: u8, buf: &[u8]) -> Option<Rest> {
    let (&[minor, ref rest @ ..], _) = buf.split_first_chunk::<REST_LEN>()?;
    let (&mechanism, rest) = rest.split_first_chunk::<MECHANISM_LEN>()?;
    let version = if major == MAJOR && minor == 0 { Version::V3_0 } else { Version::V3_1 };
    Some(Rest { version, mechanism: MechanismName(mechanism), as_server: rest.first() == Some(&1) })
}
