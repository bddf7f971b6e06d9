//! The subscriptions of one peer that are deferred.

use std::collections::BTreeSet;

/// What one peer has asked for and was not decided yet.
#[derive(Default)]
pub(crate) struct Pending {
    prefixes: BTreeSet<Vec<u8>>,
    bytes: u64,
}

impl Pending {
    pub(crate) fn contains(&self, prefix: &[u8]) -> bool {
        self.prefixes.contains(prefix)
    }

    /// How many prefixes, and how many bytes in all.
    pub(crate) fn asked(&self) -> (u64, u64) {
        (self.prefixes.len() as u64, self.bytes)
    }

    pub(crate) fn insert(&mut self, prefix: &[u8]) {
        self.bytes += prefix.len() as u64;
        self.prefixes.insert(prefix.to_vec());
    }

    pub(crate) fn remove(&mut self, prefix: &[u8]) -> bool {
        let known = self.prefixes.remove(prefix);
        if known {
            self.bytes -= prefix.len() as u64;
        }
        known
    }
}
