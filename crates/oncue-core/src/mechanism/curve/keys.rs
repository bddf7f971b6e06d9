//! Keys, and their text in Z85 (RFC 32).

use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::str::FromStr;

use curve25519_dalek::MontgomeryPoint;
use zeroize::{Zeroize, Zeroizing};

use super::{Random, z85};

/// The bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The characters of a key in Z85.
const KEY_CHARS: usize = 40;

/// A public key of CURVE. Its text is 40 characters in Z85.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

/// A secret key of CURVE. It is zeroed when it is dropped, and `Debug` does not print it.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

/// A secret key and its public key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

/// A text that is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It does not have 40 characters; how many it has.
    Length(usize),
    /// It has characters that Z85 does not have, or a group of them beyond what 4 bytes hold.
    NotZ85,
    /// A secret key and a public key that do not belong together.
    NoPair,
}

impl PublicKey {
    /// A key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> PublicKey {
        PublicKey(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl SecretKey {
    /// A key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> SecretKey {
        SecretKey(Zeroizing::new(bytes))
    }

    /// Its bytes. Whoever copies them should zero the copy.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }

    /// Its text in Z85, which is zeroed when it is dropped.
    pub fn to_z85(&self) -> Zeroizing<String> {
        Zeroizing::new(z85::encode(&*self.0))
    }
}

impl KeyPair {
    /// A new pair.
    pub fn generate(random: Random) -> KeyPair {
        let mut secret = SecretKey::from_bytes([0; KEY_BYTES]);
        random(&mut *secret.0);
        KeyPair::from(secret)
    }

    /// The pair of two keys.
    ///
    /// # Errors
    /// [`KeyError::NoPair`] if the public key is not that of the secret key.
    pub fn new(secret: SecretKey, public: PublicKey) -> Result<KeyPair, KeyError> {
        match secret.public() == public {
            true => Ok(KeyPair { secret, public }),
            false => Err(KeyError::NoPair),
        }
    }

    /// The secret key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> KeyPair {
        KeyPair { public: secret.public(), secret }
    }
}

fn decode(text: &str) -> Result<[u8; KEY_BYTES], KeyError> {
    if text.len() != KEY_CHARS {
        return Err(KeyError::Length(text.chars().count()));
    }
    let mut bytes = z85::decode(text).ok_or(KeyError::NotZ85)?;
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(&bytes);
    bytes.zeroize();
    Ok(key)
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        decode(text).map(PublicKey)
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<SecretKey, KeyError> {
        decode(text).map(SecretKey::from_bytes)
    }
}

/// In Z85.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z85::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(hidden)")
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length(chars) => write!(f, "a key has 40 characters (Z85), this text has {chars}"),
            KeyError::NotZ85 => f.write_str("the text is not Z85 (RFC 32)"),
            KeyError::NoPair => f.write_str("the public key is not that of the secret key"),
        }
    }
}

impl Error for KeyError {}
