//! Keys and certificates of CURVE (RFC 25 and 26), and who is let in by them.
//!
//! A certificate is a file that pyzmq, czmq and `oncue keygen` write: `NAME.key` has the public key, for the other side, and
//! `NAME.key_secret` both keys, for the owner.

pub use oncue_core::mechanism::curve::{
    Certificate, CertificateError, CurveError, KEY_BYTES, KeyError, KeyPair, PublicKey, SecretKey,
};

/// A new pair of keys, from the system's random numbers.
///
/// # Panics
/// When the system has none.
pub fn generate() -> KeyPair {
    KeyPair::generate(random)
}

/// Fills a slice with random bytes of the system.
pub(crate) fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the system has no random numbers: {error}"),
        }
    }
}
