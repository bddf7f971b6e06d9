//! Who may subscribe to what, as a peer's connection sees it: what was asked and is not decided yet, and decisions that
//! come later.

use std::collections::BTreeSet;

/// What one peer has asked for and nobody has decided yet.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) prefixes: BTreeSet<Vec<u8>>,
    pub(crate) bytes: u64,
}

impl Pending {
    pub(crate) fn remove(&mut self, prefix: &[u8]) -> bool {
        let known = self.prefixes.remove(prefix);
        if known {
            self.bytes -= prefix.len() as u64;
        }
        known
    }
}
