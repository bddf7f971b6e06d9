//! The limits on what one peer may have in force.
use core::fmt;

/// What one peer may have in force at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// How many prefixes.
    pub prefixes_max: u32,
    /// The sum of their lengths, in bytes.
    pub prefix_bytes_max: u64,
}

impl Quota {
    /// Checks whether a peer that has `held` prefixes of `held_bytes` in all may have one more of `len` bytes.
    ///
    /// # Errors
    /// The limit that it would exceed.
    #[inline]
    pub fn check(&self, held: u64, held_bytes: u64, len: usize) -> Result<(), QuotaExceeded> {
        if held >= u64::from(self.prefixes_max) {
            return Err(QuotaExceeded::Prefixes(self.prefixes_max));
        }
        if len as u64 > self.prefix_bytes_max.saturating_sub(held_bytes) {
            return Err(QuotaExceeded::PrefixBytes(self.prefix_bytes_max));
        }
        Ok(())
    }
}

/// Which limit a subscription would exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaExceeded {
    /// [`Quota::prefixes_max`] of this peer, with the limit.
    Prefixes(u32),
    /// [`Quota::prefix_bytes_max`] of this peer, with the limit in bytes.
    PrefixBytes(u64),
    /// The bytes that the ledger can address for all peers together, with the limit. Not this peer's fault.
    Ledger(u64),
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefixes(max) => write!(f, "a peer may subscribe to at most {max} prefixes (prefixes_max)"),
            Self::PrefixBytes(max) => {
                write!(f, "the prefixes of a peer may have at most {max} bytes in all (prefix_bytes_max)")
            }
            Self::Ledger(max) => write!(f, "the prefixes of all peers may have at most {max} bytes in all"),
        }
    }
}

impl core::error::Error for QuotaExceeded {}
