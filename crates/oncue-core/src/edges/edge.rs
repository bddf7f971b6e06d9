//! A demand event and its prefix.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

/// A prefix that is cheap to clone.
///
/// Displayed as text, with the backslash and all bytes that are not printable UTF-8 as `\xNN`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<[u8]>);

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Prefix {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Prefix {
    fn from(prefix: &str) -> Prefix {
        Prefix::from(prefix.as_bytes())
    }
}

impl From<&[u8]> for Prefix {
    fn from(bytes: &[u8]) -> Prefix {
        Prefix(bytes.into())
    }
}

impl From<Vec<u8>> for Prefix {
    fn from(bytes: Vec<u8>) -> Prefix {
        Prefix(bytes.into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, &self.0, &['\\'])
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        escape(f, &self.0, &['\\', '"'])?;
        f.write_str("\"")
    }
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8], special: &[char]) -> fmt::Result {
    let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
        bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || special.contains(&c) {
                hex(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        hex(f, chunk.invalid())?;
    }
    Ok(())
}

/// What an edge is about besides its prefix: nothing for a demand event, a peer for an event of one peer.
pub trait Subject: PartialEq {
    /// Equal subjects have equal numbers, and only they.
    fn number(&self) -> u64;
}

impl Subject for () {
    fn number(&self) -> u64 {
        0
    }
}

/// A demand event: a prefix got its first peer, or lost its last one. With a subject: the subject got the prefix, or lost it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge<S = ()> {
    /// What it is about besides the prefix.
    pub subject: S,
    /// The prefix.
    pub prefix: Prefix,
    /// Whether the prefix is wanted from now on.
    pub wanted: bool,
    /// Nothing has changed: the subject asked once more for what it has.
    pub repeated: bool,
}
