//! The ways in which a peer can violate the protocol. All faults here are the peer's, never this side's or the system's.

use core::error::Error;
use core::fmt;

use crate::mechanism::curve::error::CurveError;
use crate::websocket::fault::Fault;

/// The peer violated the protocol; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first bytes are not a greeting of any ZMTP version.
    NotZmtp(Seen),
    /// The peer speaks ZMTP 1.0, which cannot negotiate a version.
    Version1,
    /// A frame's flags (the value) use bits that RFC 37 reserves.
    ReservedFlags(u8),
    /// A frame announces a body of 2^63 bytes or more.
    FrameTooLong,
    /// A message is longer than this side accepts. Both counts are bytes on the wire.
    MessageTooLong {
        /// The length announced so far.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A command's body is longer than this side accepts.
    CommandTooLong {
        /// The length announced.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The commands between the frames of one message exceed what this side accepts (see
    /// [`COMMANDS_INSIDE_BYTES_MAX`](super::COMMANDS_INSIDE_BYTES_MAX)).
    CommandsInsideTooLong {
        /// The limit.
        max: u64,
    },
    /// A command frame carries the MORE flag.
    CommandWithMore,
    /// A command frame from a peer of version 2.0, which has no commands.
    CommandFromVersion2,
    /// A command's body violates the grammar of the named command; the name is empty if it is malformed itself.
    CommandMalformed(&'static str),
    /// The metadata in READY is malformed.
    MetadataMalformed,
    /// The metadata in READY has more properties than this side accepts.
    TooManyProperties {
        /// The limit.
        max: usize,
    },
    /// The peer's identity is longer than 255 bytes.
    IdentityTooLong,
    /// A frame that the handshake does not expect, such as a message before READY.
    UnexpectedInHandshake,
    /// Both sides are servers of the security handshake, or both are clients.
    SameRole {
        /// What both are.
        servers: bool,
    },
    /// The peer failed at CURVE.
    Curve(CurveError),
    /// The peer violated RFC 6455 (WebSocket) or RFC 45 (ZeroMQ over it).
    WebSocket(Fault),
}

/// What the first bytes of a connection that is not ZMTP look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// An HTTP request or response.
    Http,
    /// A TLS record.
    Tls,
    /// An SSH banner.
    Ssh,
    /// Something else, of which these are the first bytes.
    Bytes {
        /// The first bytes, `len` of them.
        bytes: [u8; 8],
        /// How many of `bytes` were seen: 1 to 8.
        len: u8,
    },
}

impl Seen {
    /// Guesses the protocol from `first`, the first bytes of a connection.
    pub fn guess(first: &[u8]) -> Seen {
        const HTTP: [&[u8]; 11] = [
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"PUT ",
            b"DELETE ",
            b"OPTIONS ",
            b"CONNECT ",
            b"TRACE ",
            b"PATCH ",
            b"PRI ",
            b"HTTP/",
        ];
        let agrees = |known: &&[u8]| known.iter().zip(first).all(|(a, b)| a == b);
        if HTTP.iter().any(agrees) {
            Seen::Http
        } else if agrees(&b"SSH-".as_slice()) {
            Seen::Ssh
        } else if agrees(&[0x16, 0x03].as_slice()) {
            Seen::Tls
        } else {
            let mut bytes = [0; 8];
            let len = bytes.iter_mut().zip(first).map(|(to, from)| *to = *from).count();
            Seen::Bytes { bytes, len: len as u8 }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Http => f.write_str("it looks like HTTP"),
            Seen::Tls => f.write_str("it looks like TLS"),
            Seen::Ssh => f.write_str("it looks like SSH"),
            Seen::Bytes { bytes, len } => {
                let seen = bytes.get(..usize::from(*len)).unwrap_or(bytes);
                write!(f, "it began with \"{}\"", seen.escape_ascii())
            }
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotZmtp(seen) => write!(f, "the peer does not speak ZMTP: {seen}"),
            Self::Version1 => f.write_str("the peer speaks ZMTP 1.0; version 2.0 is the oldest supported"),
            Self::ReservedFlags(flags) => {
                write!(f, "the peer set reserved bits in a frame's flags: {flags:#04x}")
            }
            Self::FrameTooLong => f.write_str("the peer announced a frame of 2^63 bytes or more"),
            Self::MessageTooLong { bytes, max } => {
                write!(f, "the peer announced a message of at least {bytes} bytes; the limit is {max}")
            }
            Self::CommandTooLong { bytes, max } => {
                write!(f, "the peer announced a command of {bytes} bytes; the limit is {max}")
            }
            Self::CommandsInsideTooLong { max } => {
                write!(f, "the peer put more than {max} bytes of commands between the frames of one message")
            }
            Self::CommandWithMore => f.write_str("the peer set the MORE flag on a command"),
            Self::CommandFromVersion2 => f.write_str("the peer, at ZMTP 2.0, sent a command frame"),
            Self::CommandMalformed("") => f.write_str("the peer sent a command without a proper name"),
            Self::CommandMalformed(name) => write!(f, "the peer sent a malformed {name} command"),
            Self::MetadataMalformed => f.write_str("the peer's READY has malformed metadata"),
            Self::TooManyProperties { max } => {
                write!(f, "the peer's READY has more than {max} properties")
            }
            Self::IdentityTooLong => f.write_str("the peer's identity is longer than 255 bytes"),
            Self::UnexpectedInHandshake => {
                f.write_str("the peer sent a frame that has no place in the handshake")
            }
            Self::SameRole { servers } => {
                let (both, other) = if *servers { ("servers", "client") } else { ("clients", "server") };
                write!(f, "both sides are {both} of the security handshake; one must be the {other}")
            }
            Self::Curve(fault) => fault.fmt(f),
            Self::WebSocket(fault) => write!(f, "the peer violated the WebSocket protocol: {fault}"),
        }
    }
}

impl Error for ProtocolError {}

impl From<Fault> for ProtocolError {
    fn from(fault: Fault) -> ProtocolError {
        ProtocolError::WebSocket(fault)
    }
}

impl From<CurveError> for ProtocolError {
    fn from(fault: CurveError) -> ProtocolError {
        ProtocolError::Curve(fault)
    }
}
