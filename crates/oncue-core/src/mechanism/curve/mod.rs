//! The CURVE mechanism (RFC 25 and 26): a handshake of four commands that makes a key for each connection, and the sealing of
//! the frames after it. The cryptography is that of the crates in `cipher`; keys and random bytes are arguments.
//!
//! Order on the wire: client HELLO - server WELCOME - client INITIATE - server READY - both MESSAGE.

mod certificate;
mod cipher;
mod client;
pub(crate) mod error;
mod keys;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod z85;

pub use certificate::{Certificate, CertificateError};
pub use client::{Client, ClientKeys};
pub use error::CurveError;
pub use keys::{KEY_BYTES, KeyError, KeyPair, PublicKey, SecretKey};
pub use server::Server;
pub use session::{MESSAGE_OVERHEAD_BYTES, Opener, Sealer, Session};

use crate::greeting::MechanismName;

/// CURVE in the greeting.
pub const NAME: MechanismName = MechanismName::new("CURVE");

/// A source of random bytes for secrets: it fills the slice.
pub type Random = fn(&mut [u8]);

/// The prefixes of nonces (RFC 26). A nonce has 24 bytes: a prefix of 16 and a counter of 8, or a prefix of 8 and 16 random
/// bytes.
mod nonce {
    pub(super) const HELLO: &[u8; 16] = b"CurveZMQHELLO---";
    pub(super) const INITIATE: &[u8; 16] = b"CurveZMQINITIATE";
    pub(super) const READY: &[u8; 16] = b"CurveZMQREADY---";
    pub(super) const FROM_CLIENT: &[u8; 16] = b"CurveZMQMESSAGEC";
    pub(super) const FROM_SERVER: &[u8; 16] = b"CurveZMQMESSAGES";
    pub(super) const WELCOME: &[u8; 8] = b"WELCOME-";
    pub(super) const COOKIE: &[u8; 8] = b"COOKIE--";
    pub(super) const VOUCH: &[u8; 8] = b"VOUCH---";
    /// The counter of a client's HELLO and INITIATE, and of a server's READY; messages go on from there.
    pub(super) const OF_HELLO: u64 = 1;
    pub(super) const OF_INITIATE: u64 = 2;
    pub(super) const OF_READY: u64 = 1;
}

/// The lengths of the commands' bodies, in bytes, name included (RFC 26). INITIATE and READY have metadata behind.
mod len {
    pub(super) const TAG: usize = 16;
    pub(super) const HELLO: usize = 200;
    pub(super) const COOKIE: usize = 16 + TAG + 64;
    pub(super) const WELCOME: usize = 8 + 16 + TAG + 32 + COOKIE;
    pub(super) const VOUCH: usize = 16 + TAG + 64;
    pub(super) const INITIATE_MIN: usize = 9 + COOKIE + 8 + TAG + 32 + VOUCH;
    pub(super) const READY_MIN: usize = 6 + 8 + TAG;
}
