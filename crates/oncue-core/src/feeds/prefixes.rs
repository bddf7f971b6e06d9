//! The set of wanted prefixes, and which of them a topic begins with.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Bound;

#[derive(Default)]
pub(super) struct Prefixes {
    /// With each prefix, whether it is unserved.
    set: BTreeMap<Box<[u8]>, bool>,
    unserved: usize,
}

impl Prefixes {
    pub(super) fn insert(&mut self, prefix: &[u8]) -> bool {
        let new = !self.set.contains_key(prefix);
        if new {
            self.set.insert(prefix.into(), false);
        }
        new
    }

    pub(super) fn remove(&mut self, prefix: &[u8]) -> bool {
        let removed = self.set.remove(prefix);
        self.unserved -= usize::from(removed == Some(true));
        removed.is_some()
    }

    pub(super) fn contains(&self, prefix: &[u8]) -> bool {
        self.set.contains_key(prefix)
    }

    /// Notes whether a prefix is unserved. Returns whether it has come to be.
    pub(super) fn set_unserved(&mut self, prefix: &[u8], unserved: bool) -> bool {
        let Some(known) = self.set.get_mut(prefix) else { return false };
        let before = core::mem::replace(known, unserved);
        self.unserved = self.unserved + usize::from(unserved) - usize::from(before);
        unserved && !before
    }

    /// Notes of every prefix whether it is unserved. Returns how many have come to be.
    pub(super) fn set_all_unserved(&mut self, mut is_unserved: impl FnMut(&[u8]) -> bool) -> u64 {
        let (mut new, mut all) = (0, 0);
        for (prefix, known) in &mut self.set {
            let before = core::mem::replace(known, is_unserved(prefix));
            new += u64::from(*known && !before);
            all += usize::from(*known);
        }
        self.unserved = all;
        new
    }

    /// How many prefixes are unserved.
    pub(super) fn unserved(&self) -> usize {
        self.unserved
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.set.keys().map(|prefix| &**prefix)
    }

    /// Visits the wanted prefixes that `topic` begins with. Takes one lookup for each of them, and one for each neighbour
    /// that shares a shorter beginning with the topic: not one per byte of the topic, whose length a peer chooses.
    pub(super) fn of_topic(&self, topic: &[u8], mut visit: impl FnMut(&[u8])) {
        // All longer prefixes of the topic were visited, or are not in the set.
        let mut rest = topic;
        while let Some((nearest, _)) =
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
