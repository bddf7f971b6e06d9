//! How a peer fails at CURVE.

use core::error::Error;
use core::fmt;

/// How a peer failed at CURVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CurveError {
    /// A command of the handshake is malformed; its name.
    Malformed(&'static str),
    /// HELLO announces another version of CURVE than 1.0.
    Version {
        /// Major number.
        major: u8,
        /// Minor number.
        minor: u8,
    },
    /// A box does not open: the command's name. In HELLO, the client has another public key of this server than its own.
    Box(&'static str),
    /// The cookie is not the one that this connection was given.
    Cookie,
    /// The vouch does not bind the client's permanent key to this connection.
    Vouch,
    /// A public key that yields a known secret (a point of low order).
    WeakKey,
    /// A nonce that is not larger than the one before it, or not the next one where that is asked for: a message was replayed,
    /// came out of order, or is missing.
    Nonce,
    /// A frame in traffic that is not a MESSAGE.
    Clear,
}

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(name) => write!(f, "the peer sent a malformed {name} command (CURVE)"),
            Self::Version { major, minor } => {
                write!(f, "the peer speaks CURVE {major}.{minor}; this side speaks 1.0")
            }
            Self::Box("HELLO") => f.write_str(
                "the peer's HELLO cannot be opened: it was made for another server key than this server's",
            ),
            Self::Box(name) => {
                write!(f, "the peer's {name} cannot be opened: it was changed, or made with other keys")
            }
            Self::Cookie => f.write_str("the peer returned a cookie that is not of this connection (CURVE)"),
            Self::Vouch => f.write_str(
                "the peer does not prove that it has the secret key of the public key that it claims (CURVE)",
            ),
            Self::WeakKey => f.write_str("the peer's public key is of low order (CURVE)"),
            Self::Nonce => f.write_str("a message was replayed, removed, or came out of order (CURVE)"),
            Self::Clear => f.write_str("the peer sent a frame that is not encrypted (CURVE)"),
        }
    }
}

impl Error for CurveError {}
