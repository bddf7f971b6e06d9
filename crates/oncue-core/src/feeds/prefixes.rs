//! The set of wanted prefixes, and which of them a topic begins with.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::ops::Bound;

#[derive(Default)]
pub(super) struct Prefixes {
    set: BTreeSet<Box<[u8]>>,
}

impl Prefixes {
    pub(super) fn insert(&mut self, prefix: &[u8]) -> bool {
        !self.set.contains(prefix) && self.set.insert(prefix.into())
    }

    pub(super) fn remove(&mut self, prefix: &[u8]) -> bool {
        self.set.remove(prefix)
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.set.iter().map(|prefix| &**prefix)
    }

    /// Visits the wanted prefixes that `topic` begins with. Takes one lookup for each of them, and one for each neighbour
    /// that shares a shorter beginning with the topic: not one per byte of the topic, whose length a peer chooses.
    pub(super) fn of_topic(&self, topic: &[u8], mut visit: impl FnMut(&[u8])) {
        // All longer prefixes of the topic were visited, or are not in the set.
        let mut rest = topic;
        while let Some(nearest) =
            self.set.range::<[u8], _>((Bound::Unbounded, Bound::Included(rest))).next_back()
        {
            // The set contains nothing that sorts between `nearest` and `rest`, and a prefix of `rest` that is longer than
            // what the two have in common would sort there.
            let common = rest.iter().zip(&**nearest).take_while(|(a, b)| a == b).count();
            if common < nearest.len() {
                rest = &rest[..common];
                continue;
            }
            visit(nearest);
            let Some(shorter) = common.checked_sub(1) else { break };
            rest = &rest[..shorter];
        }
    }
}
