//! The key of a WebSocket handshake, and the proof that the other side has read it (RFC 6455, section 4).

use base64ct::{Base64, Encoding};
use cryptoxide::hashing::sha1::Sha1;

/// Bytes of a key before they are encoded.
const KEY_BYTES: usize = 16;
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key from these random bytes.
pub(super) fn key(random: [u8; KEY_BYTES]) -> String {
    Base64::encode_string(&random)
}

/// Whether a client's key is one.
pub(super) fn is_key(text: &str) -> bool {
    let mut bytes = [0; KEY_BYTES + 2];
    Base64::decode(text, &mut bytes).is_ok_and(|key| key.len() == KEY_BYTES)
}

/// What a server answers to a key.
pub(super) fn accept(key: &str) -> String {
    let digest = Sha1::new().update(key.as_bytes()).update(GUID.as_bytes()).finalize();
    Base64::encode_string(&digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_the_key_of_the_rfc_is_that_of_the_rfc() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(is_key(key) && is_key(&super::key([255; 16])));
        assert_eq!(accept(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for wrong in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZQ==", "not base64 at all, no!!!"] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }
}
