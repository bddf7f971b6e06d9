//! The hash of a set of prefixes, by which two sites find out whether they know the same one.
//!
//! It is the sum, modulo 2^64, of the hashes of the prefixes, so it does not depend on their order, and a change costs one addition.
//! The hash of a prefix is the keyed hash of the index (`topic/index/hash.rs`) with the key of seed 0: it reads words of 8 bytes in
//! little-endian order, and so is the same on all platforms. It is part of the wire format, which a test with fixed
//! values guards. It is not secret: it finds accidents, and a site that forges it deceives nobody but about its own demand.

use crate::topic::index::PrefixHash;

/// The seed of the hash on the wire.
const SEED: u64 = 0;

/// The hash of a set.
#[derive(Clone, Debug)]
pub(super) struct SetHash {
    key: PrefixHash,
    sum: u64,
}

impl SetHash {
    /// Of the empty set.
    pub(super) fn new() -> SetHash {
        SetHash { key: PrefixHash::new(SEED), sum: 0 }
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// `prefix` has come (`wanted`) or gone.
    pub(super) fn change(&mut self, prefix: &[u8], wanted: bool) {
        let hash = self.key.hash(prefix);
        self.sum = if wanted { self.sum.wrapping_add(hash) } else { self.sum.wrapping_sub(hash) };
    }
}
