//! Why a handshake failed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use super::SocketType;
use crate::frame::ProtocolError;
use crate::greeting::MechanismName;
use crate::mechanism::curve;

/// All other socket types, with their numbers in a 2.0 greeting if they have one (RFC 15 and 37).
const OTHER_TYPES: [(&str, Option<u8>); 16] = [
    ("PAIR", Some(0)),
    ("REQ", Some(3)),
    ("REP", Some(4)),
    ("DEALER", Some(5)),
    ("ROUTER", Some(6)),
    ("PULL", Some(7)),
    ("PUSH", Some(8)),
    ("CLIENT", None),
    ("SERVER", None),
    ("RADIO", None),
    ("DISH", None),
    ("SCATTER", None),
    ("GATHER", None),
    ("PEER", None),
    ("CHANNEL", None),
    ("STREAM", None),
];

/// The peer's handshake failed; the connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer violated the protocol.
    Protocol(ProtocolError),
    /// The peer requires another security mechanism than this side.
    Mechanism {
        /// The peer's.
        peer: MechanismName,
        /// This side's.
        ours: MechanismName,
    },
    /// The peer speaks ZMTP 2.0, which has no security.
    TooOldForSecurity {
        /// This side's mechanism.
        ours: MechanismName,
    },
    /// The peer's socket type is incompatible with this side's.
    SocketType {
        /// The peer's.
        peer: PeerType,
        /// This side's.
        ours: SocketType,
    },
    /// The peer refused with an ERROR command. The reason has at most 255 bytes, of any value.
    Refused(Vec<u8>),
    /// The peer closed the connection before its greeting was complete.
    ClosedInGreeting,
    /// The peer closed the connection during a security handshake. This is how libzmq rejects keys that do not fit.
    ClosedBySecurity {
        /// This side's mechanism.
        ours: MechanismName,
        /// Whether this side is the server.
        server: bool,
    },
    /// The peer closed the connection after the greetings, when it knew this side's socket type. This is how libzmq rejects
    /// an incompatible socket type, since it sends no ERROR.
    ClosedInHandshake {
        /// This side's.
        ours: SocketType,
    },
}

/// The socket type of an incompatible peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerType {
    /// A socket type of ZeroMQ, by name.
    Known(&'static str),
    /// An unknown name: its first bytes, at most 16, then zeros.
    UnknownName([u8; 16]),
    /// An unknown number, from a 2.0 peer.
    UnknownNumber(u8),
}

impl PeerType {
    pub(super) fn named(name: &[u8]) -> PeerType {
        if let Some(known) = SocketType::from_name(name) {
            return PeerType::Known(known.name());
        }
        if let Some((known, _)) = OTHER_TYPES.iter().find(|(known, _)| known.as_bytes() == name) {
            return PeerType::Known(known);
        }
        let mut first = [0; 16];
        first.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        PeerType::UnknownName(first)
    }

    pub(super) fn numbered(number: u8) -> PeerType {
        if let Some(known) = SocketType::from_byte_2_0(number) {
            return PeerType::Known(known.name());
        }
        match OTHER_TYPES.iter().find(|(_, known)| *known == Some(number)) {
            Some((name, _)) => PeerType::Known(name),
            None => PeerType::UnknownNumber(number),
        }
    }
}

impl fmt::Display for PeerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerType::Known(name) => f.write_str(name),
            PeerType::UnknownName(first) => {
                let end = first.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                write!(f, "\"{}\"", first[..end].escape_ascii())
            }
            PeerType::UnknownNumber(number) => write!(f, "number {number}"),
        }
    }
}

impl HandshakeError {
    /// The reason to send to the peer in an ERROR command.
    pub(super) fn reason_for_peer(&self) -> String {
        match self {
            HandshakeError::SocketType { peer, ours } => {
                format!("Socket-Type: {ours} does not talk to {peer}")
            }
            other => format!("{other}"),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(fault) => fault.fmt(f),
            Self::Mechanism { peer, ours } => {
                write!(
                    f,
                    "the peer requires the security mechanism \"{peer}\", this side \"{ours}\"; both must use the same"
                )
            }
            Self::TooOldForSecurity { ours } => write!(
                f,
                "the peer speaks ZMTP 2.0, which has no security; this side requires the security mechanism \"{ours}\""
            ),
            Self::SocketType { peer, ours } => {
                let fitting = if ours.publishes() { "SUB and XSUB" } else { "PUB and XPUB" };
                write!(f, "the peer's socket type is {peer}; ours is {ours}, which talks to {fitting} only")
            }
            Self::ClosedInGreeting => {
                f.write_str(
                "the peer closed the connection before its greeting was complete; perhaps it is not a ZeroMQ socket",
            )
            }
            Self::ClosedInHandshake { ours } => write!(
                f,
                "the peer closed the connection during the handshake; perhaps its socket does not talk to {ours}"
            ),
            Self::ClosedBySecurity { ours, server: false } => {
                let key = match *ours == curve::NAME {
                    true => "this side has another server key than the peer's, ",
                    false => "",
                };
                write!(
                    f,
                    "the peer closed the connection during the {ours} handshake; perhaps {key}the peer does not let \
                     this side in, or it is a client as well"
                )
            }
            Self::ClosedBySecurity { ours, server: true } => {
                write!(f, "the peer closed the connection during the {ours} handshake")
            }
            Self::Refused(reason) => {
                write!(f, "the peer refused the connection: \"{}\"", reason.escape_ascii())
            }
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            HandshakeError::Protocol(fault) => Some(fault),
            _ => None,
        }
    }
}

impl From<ProtocolError> for HandshakeError {
    fn from(fault: ProtocolError) -> Self {
        HandshakeError::Protocol(fault)
    }
}
