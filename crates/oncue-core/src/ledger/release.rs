//! How the prefixes of peers that have left are released, in slices.
use alloc::vec::Vec;

use super::{Ended, Leaving, Ledger};
use crate::topic::index::EntryId;

/// How many prefixes are prefetched together.
const BATCH: usize = 32;
/// To examine an entry is cheaper than to release it, by about this factor.
const LOOKS_PER_RELEASE: usize = 16;
/// A long prefix costs as much as one short prefix more per this number of bytes, which are hashed, reported and freed.
const BYTES_PER_RELEASE: usize = 1024;

impl Ledger {
    /// Releases about `prefixes_max` prefixes of peers that have left, in the order in which they left. Calls `on_ended`
    /// with each. Returns whether there are more.
    pub fn release(&mut self, prefixes_max: usize, mut on_ended: impl FnMut(Ended<'_>)) -> bool {
        if let Some(mut leaving) = self.leaving.pop_front() {
            self.release_some(&mut leaving, prefixes_max, &mut on_ended);
            if self.audiences[leaving.audience as usize].held > 0 {
                self.leaving.push_front(leaving);
            }
        }
        self.is_releasing()
    }

    /// Whether there are prefixes to [`release`](Self::release).
    pub fn is_releasing(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// The mark of the peer whose prefixes are released next.
    pub fn releases_next(&self) -> Option<u64> {
        self.leaving.front().map(|leaving| leaving.mark)
    }

    /// Releases about `prefixes_max` short prefixes, or fewer long ones; the audience ends with the last one.
    pub(super) fn release_some(
        &mut self,
        leaving: &mut Leaving,
        prefixes_max: usize,
        on_ended: &mut impl FnMut(Ended<'_>),
    ) {
        let Leaving { audience, mark, .. } = *leaving;
        let mut looks = prefixes_max.saturating_mul(LOOKS_PER_RELEASE);
        let mut batch: Vec<EntryId> = Vec::with_capacity(BATCH);
        while looks > 0 && self.audiences[audience as usize].held > 0 {
            batch.clear();
            while looks > 0 && batch.len() < BATCH {
                let Some(entry) = self.next_left(leaving) else { break };
                looks = looks.saturating_sub(1);
                if let Some(id) = entry.filter(|&id| self.holds(audience, id)) {
                    let bytes = self.index.prefix(id).map_or(0, <[u8]>::len);
                    let cost = LOOKS_PER_RELEASE * (1 + bytes / BYTES_PER_RELEASE);
                    looks = looks.saturating_sub(cost - 1);
                    batch.push(id);
                }
            }
            assert!(!batch.is_empty() || looks == 0, "what is held is in the list or in the index");
            self.index.warm_entries(&batch);
            for &id in &batch {
                // A list may contain it twice.
                if self.holds(audience, id) {
                    self.audiences[audience as usize].held -= 1;
                    let unwanted = !self.release_one(audience, id);
                    on_ended(Ended {
                        mark,
                        prefix: self.index.prefix(id).expect("held until now"),
                        unwanted,
                    });
                    if unwanted {
                        self.index.remove_id(id);
                    }
                }
            }
        }
        if self.audiences[audience as usize].held == 0 {
            self.audiences[audience as usize].prefixes = Vec::new();
            self.audiences_free.push(audience);
        }
    }

    /// Examines the next position, if there is one: it may have an entry.
    fn next_left(&self, leaving: &mut Leaving) -> Option<Option<EntryId>> {
        let own = &self.audiences[leaving.audience as usize];
        let entry = match own.listed {
            true => Some(*own.prefixes.get(leaving.next as usize)?),
            false if leaving.next < self.index.ids_end() => self.index.entry(leaving.next),
            false => return None,
        };
        leaving.next += 1;
        Some(entry)
    }
}
