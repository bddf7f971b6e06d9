//! The set of wanted prefixes, and which of them a topic begins with.

use crate::topic::Hidden;
use crate::topic::index::PrefixMap;

pub(super) struct Prefixes {
    /// With each prefix, whether it is unserved.
    set: PrefixMap<bool>,
    unserved: usize,
}

impl Prefixes {
    /// `seed` keys the hash.
    pub(super) fn new(seed: u64) -> Prefixes {
        Prefixes { set: PrefixMap::new(seed), unserved: 0 }
    }

    /// Returns whether it is new. A prefix for which the index has no room is not: the ledger, which has the same bound, does
    /// not report one.
    pub(super) fn insert(&mut self, prefix: &[u8]) -> bool {
        self.set.get_or_insert_with(prefix, || false).is_ok_and(|(_, new)| new)
    }

    /// The same with hidden topics. To be called before the first prefix.
    pub(super) fn hiding(self, hidden: Hidden) -> Prefixes {
        Prefixes { set: self.set.hiding(hidden), ..self }
    }

    pub(super) fn remove(&mut self, prefix: &[u8]) -> bool {
        let removed = self.set.find(prefix).and_then(|id| self.set.remove_id(id));
        self.unserved -= usize::from(removed == Some(true));
        removed.is_some()
    }

    pub(super) fn contains(&self, prefix: &[u8]) -> bool {
        self.set.find(prefix).is_some()
    }

    /// Notes whether a prefix is unserved. Returns whether it has come to be.
    pub(super) fn set_unserved(&mut self, prefix: &[u8], unserved: bool) -> bool {
        let id = self.set.find(prefix);
        let Some(known) = id.and_then(|id| self.set.value_mut(id)) else { return false };
        let before = core::mem::replace(known, unserved);
        self.unserved = self.unserved + usize::from(unserved) - usize::from(before);
        unserved && !before
    }

    /// Notes of every prefix whether it is unserved. Returns how many have come to be.
    pub(super) fn set_all_unserved(&mut self, mut is_unserved: impl FnMut(&[u8]) -> bool) -> u64 {
        let (mut new, mut all) = (0, 0);
        for id in 0..self.set.ids_end() {
            let Some(id) = self.set.entry(id) else { continue };
            let unserved = self.set.prefix(id).is_some_and(&mut is_unserved);
            let Some(known) = self.set.value_mut(id) else { continue };
            let before = core::mem::replace(known, unserved);
            new += u64::from(unserved && !before);
            all += usize::from(unserved);
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
        self.set.iter().map(|(_, prefix, _)| prefix)
    }

    /// Visits the wanted prefixes that `topic` begins with.
    pub(super) fn of_topic(&self, topic: &[u8], mut visit: impl FnMut(&[u8])) {
        self.set.for_each_match(topic, |id, _| {
            if let Some(prefix) = self.set.prefix(id) {
                visit(prefix);
            }
        });
    }
}
