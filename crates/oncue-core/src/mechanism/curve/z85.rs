//! Z85 (RFC 32): four bytes as five printable characters. Only whole groups exist.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The text of bytes, whose number must be a multiple of 4.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 4 * 5);
    for &group in bytes.as_chunks::<4>().0 {
        let value = u32::from_be_bytes(group);
        for power in (0..5).rev() {
            text.push(char::from(ALPHABET[(value / 85_u32.pow(power) % 85) as usize]));
        }
    }
    text
}

/// The bytes of a text; `None` if it is not Z85.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, []) = text.as_bytes().as_chunks::<5>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 4);
    for group in groups {
        let mut value = 0_u64;
        for character in group {
            let digit = ALPHABET.iter().position(|known| known == character)?;
            value = value * 85 + digit as u64;
        }
        bytes.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let bytes = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];
        assert_eq!(encode(&bytes), "HelloWorld");
        assert_eq!(decode("HelloWorld").unwrap(), bytes);
    }

    #[test]
    fn what_is_not_z85_is_refused() {
        for text in ["Hello", "~~~~~", "HelloWorl", "#####", "He\u{e9}lo"] {
            assert_eq!(decode(text).is_some(), text == "Hello", "{text}");
        }
    }
}
