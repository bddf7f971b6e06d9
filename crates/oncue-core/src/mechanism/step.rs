//! The outcome of one step of a security handshake.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::curve::{PublicKey, Session};
use crate::command::Metadata;

/// What a command from the peer has led to.
#[derive(Debug)]
pub enum Step {
    /// The handshake continues.
    Continue,
    /// Somebody must decide about the peer. Nothing more is received until then.
    Authenticate(Credentials),
    /// The handshake is over; this is the peer's metadata.
    Done(Metadata),
    /// As [`Done`](Step::Done); what follows is encrypted.
    Sealed(Metadata, Session),
    /// The peer refused with an ERROR command. The reason has at most 255 bytes, of any value.
    Refused(Vec<u8>),
}

/// By what a client says who it is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// CURVE: its permanent public key, of which it has proved that it has the secret one.
    Curve(PublicKey),
    /// PLAIN: what it says. Each has at most 255 bytes.
    Plain {
        /// The user's name.
        user: Vec<u8>,
        /// The password, which is zeroed when it is dropped.
        password: Zeroizing<Vec<u8>>,
    },
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Curve(key) => write!(f, "Curve({key})"),
            Credentials::Plain { user, .. } => write!(f, "Plain({})", user.escape_ascii()),
        }
    }
}
