//! Why a payload from another site was refused.

use core::fmt;

/// Why a payload from another site was refused. Nothing of it has had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// It is in another version of the format.
    Version {
        /// Its version.
        found: u8,
        /// The version that this site understands.
        known: u8,
    },
    /// It is something else, by the number of its kind.
    Kind {
        /// The kind that it says it is.
        found: u8,
        /// The kind that was due.
        expected: u8,
    },
    /// It ends too early.
    Short,
    /// A length or a count in it is larger than the payload.
    Length,
    /// It contains no changes.
    Empty,
    /// Its sequence numbers go beyond 2^64 - 1.
    Sequence,
    /// The prefixes, or the messages, are not as many as it says.
    Count,
    /// The prefixes of the snapshot do not have the hash that it states.
    Hash,
    /// An item in a batch is of a kind that does not exist.
    Item(u8),
    /// The name of the site is empty, or has more than [`SITE_BYTES_MAX`](super::SITE_BYTES_MAX) bytes.
    Name,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Version { found, known } => write!(
                f,
                "the payload has version {found} of the mesh's format, and this site understands version {known}; \
                 run the same release of oncue at all sites"
            ),
            Malformed::Kind { found, expected } => {
                write!(f, "the payload is of kind {found}, where kind {expected} was due")
            }
            Malformed::Short => f.write_str("the payload ends too early"),
            Malformed::Length => f.write_str("a length in the payload is larger than the payload"),
            Malformed::Empty => f.write_str("the delta contains no changes"),
            Malformed::Sequence => f.write_str("the sequence numbers in the payload go beyond 2^64 - 1"),
            Malformed::Count => f.write_str("the payload does not contain as many entries as it says"),
            Malformed::Hash => {
                f.write_str("the prefixes of the snapshot do not have the hash that it states")
            }
            Malformed::Item(kind) => write!(f, "an item of the batch is of the unknown kind {kind}"),
            Malformed::Name => {
                write!(f, "the name of the site is empty or longer than {} bytes", super::SITE_BYTES_MAX)
            }
        }
    }
}

impl core::error::Error for Malformed {}
