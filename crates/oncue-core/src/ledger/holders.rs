//! The audiences that hold one prefix, in 4 bytes. Prefixes and peers are not known here.
use alloc::vec::Vec;
use core::slice;

use super::ids::AudienceId;

/// The audiences that hold one prefix, at least one: the audience itself, or with the bit `CROWD` the position of a list in
/// [`Crowds`]. Most prefixes of a large ledger have one holder, which needs no list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Holders(AudienceId);

const CROWD: u32 = 1 << 31;

impl Holders {
    pub(super) fn one(audience: AudienceId) -> Holders {
        // A peer takes tens of bytes, so memory is exhausted long before the numbers are.
        assert!(audience.0 < CROWD, "fewer than 2^31 audiences");
        Holders(audience)
    }
}

/// The lists of the prefixes with more than one holder.
#[derive(Default)]
pub(super) struct Crowds {
    /// Ascending, for binary search.
    lists: Vec<Vec<AudienceId>>,
    free: Vec<u32>,
}

impl Crowds {
    #[inline]
    pub(super) fn of<'a>(&'a self, holders: &'a Holders) -> &'a [AudienceId] {
        if holders.0.0 & CROWD == 0 { slice::from_ref(&holders.0) } else { &self.lists[crowd(*holders)] }
    }

    pub(super) fn contains(&self, holders: Holders, audience: AudienceId) -> bool {
        self.of(&holders).binary_search(&audience).is_ok()
    }

    /// Adds `audience`, which must not be among the holders.
    pub(super) fn add(&mut self, holders: &mut Holders, audience: AudienceId) {
        if holders.0.0 & CROWD == 0 {
            let pair = [holders.0.min(audience), holders.0.max(audience)];
            *holders = self.new_crowd(pair);
            return;
        }
        let list = &mut self.lists[crowd(*holders)];
        let at = list.binary_search(&audience).expect_err("a new holder");
        list.insert(at, audience);
    }

    /// Removes `audience`, which must be among the holders. Returns false if it was the last one: the prefix has no holders
    /// then, and `holders` must be dropped.
    #[must_use]
    pub(super) fn remove(&mut self, holders: &mut Holders, audience: AudienceId) -> bool {
        if holders.0.0 & CROWD == 0 {
            assert_eq!(holders.0, audience, "the only holder");
            return false;
        }
        let crowd = crowd(*holders);
        let list = &mut self.lists[crowd];
        let at = list.binary_search(&audience).expect("one of the holders");
        list.remove(at);
        if let &[last] = &list[..] {
            self.lists[crowd] = Vec::new();
            self.free.push(crowd as u32);
            *holders = Holders(last);
        }
        true
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        let lists: usize = self.lists.iter().map(|list| list.capacity() * size_of::<AudienceId>()).sum();
        lists + self.lists.capacity() * size_of::<Vec<AudienceId>>() + self.free.capacity() * size_of::<u32>()
    }

    fn new_crowd(&mut self, pair: [AudienceId; 2]) -> Holders {
        let id = match self.free.pop() {
            Some(id) => {
                self.lists[id as usize] = pair.to_vec();
                id
            }
            None => {
                self.lists.push(pair.to_vec());
                self.lists.len() as u32 - 1
            }
        };
        Holders(AudienceId(id | CROWD))
    }
}

fn crowd(holders: Holders) -> usize {
    (holders.0.0 & !CROWD) as usize
}
