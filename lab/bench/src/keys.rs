//! The keys of encrypted runs. They protect nothing: the server's is the same in every run, so that both sides know it.

use oncue::curve::{self, KeyPair, SecretKey};

/// The publisher's, which is the server.
pub fn server() -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([0x5a; curve::KEY_BYTES]))
}

/// A subscriber's.
pub fn client() -> KeyPair {
    curve::generate()
}
