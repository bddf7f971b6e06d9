//! A hash table of entry numbers. It knows hashes and numbers; the owner of the entries compares them.
//!
//! Each bucket is one word of four bytes: the number, and in the remaining bits a tag, which is a part of the hash. A
//! general-purpose table keeps tags apart from values. Here a probe reads one cache line instead of two, and cache misses
//! are the cost of a probe among a million prefixes.
use alloc::vec;
use alloc::vec::Vec;

/// Entry numbers by hash, with open addressing and linear probing.
pub(super) struct Table {
    buckets: Vec<u32>,
    /// The bits of a bucket that hold the number.
    id_mask: u32,
    len: usize,
    /// How many buckets are not `EMPTY`: removed ones lengthen probes too.
    used: usize,
    used_max: usize,
}

const EMPTY: u32 = u32::MAX;
const REMOVED: u32 = u32::MAX - 1;
/// The bits of a bucket's index within a cache line.
const LINE_MASK: usize = 15;
/// Below this many entries memory does not matter, and a sparse table answers at the first bucket.
const SMALL: usize = 128;
/// How many entries are looked at ahead of those that are moved.
const AHEAD: usize = 32;

/// The hashes of the entries of a table.
pub(crate) trait Hashes {
    fn hash(&self, id: u32) -> u64;

    /// Prefetches the memory that these hashes are computed from.
    fn warm(&self, _ids: &[u32]) {}
}

impl<F: Fn(u32) -> u64> Hashes for F {
    fn hash(&self, id: u32) -> u64 {
        self(id)
    }
}

impl Table {
    pub(super) fn new() -> Table {
        Table { buckets: Vec::new(), id_mask: 0, len: 0, used: 0, used_max: 0 }
    }

    /// An empty table with room for twice `len` entries, with numbers below 1.5 times `ids`.
    pub(super) fn with_room(len: usize, ids: usize) -> Table {
        let (buckets, used_max) =
            if len < SMALL { (16 * (len + 1), 2 * (len + 1)) } else { (8 * len / 3, 2 * len) };
        let needed = usize::BITS - (ids + ids / 2 + SMALL).leading_zeros();
        // Some more, while a tag of ten bits is left: as the numbers grow, tables that have room need not be replaced.
        let id_bits = needed.max((needed + 2).min(22));
        let id_mask = if id_bits < 32 { (1 << id_bits) - 1 } else { u32::MAX };
        Table { buckets: vec![EMPTY; buckets], id_mask, len: 0, used: 0, used_max }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u32>()
    }

    /// Whether there is room for another entry, with a number below `ids`.
    pub(super) fn has_room(&self, ids: usize) -> bool {
        // The two greatest numbers stand for `EMPTY` and `REMOVED`.
        self.used < self.used_max && ids < self.id_mask as usize
    }

    /// Whether a table made for the present entries would be much smaller.
    pub(super) fn is_sparse(&self) -> bool {
        let most = if self.len < SMALL { 32 * (self.len + 1) } else { 8 * self.len };
        self.buckets.len() > most.max(2 * SMALL)
    }

    /// The entry with this hash for which `same` is true.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = self.tag(hash);
        let mut at = self.home(hash);
        loop {
            // A new table has no buckets; any other has an empty one.
            let word = *self.buckets.get(at)?;
            if word == EMPTY {
                return None;
            }
            if word & !self.id_mask == tag && word != REMOVED && same(word & self.id_mask) {
                return Some(word & self.id_mask);
            }
            at = self.next(at);
        }
    }

    /// The first word that a search for this hash reads.
    #[inline]
    pub(super) fn first_word(&self, hash: u64) -> u32 {
        self.buckets.get(self.home(hash)).copied().unwrap_or(EMPTY)
    }

    /// The entry that a search for this hash most likely finds, if it is in the first cache line.
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<u32> {
        let mut at = self.home(hash);
        let line = at | LINE_MASK;
        while at <= line {
            match *self.buckets.get(at)? {
                EMPTY => return None,
                word if word & !self.id_mask == self.tag(hash) && word != REMOVED => {
                    return Some(word & self.id_mask);
                }
                _ => at += 1,
            }
        }
        None
    }

    /// Adds an entry, for which there must be room.
    pub(super) fn insert(&mut self, hash: u64, id: u32) {
        assert!(self.has_room(id as usize + 1), "room for an entry");
        let mut at = self.home(hash);
        while self.buckets[at] < REMOVED {
            at = self.next(at);
        }
        self.used += usize::from(self.buckets[at] == EMPTY);
        self.len += 1;
        self.buckets[at] = self.tag(hash) | id;
    }

    /// A copy with room for more entries, with numbers below `ids`.
    pub(super) fn remade(&self, ids: usize, hashes: &impl Hashes) -> Table {
        let mut table = Table::with_room(self.len, ids);
        self.for_each_hashed(hashes, |hash, id| table.insert(hash, id));
        table
    }

    /// As [`remade`](Self::remade), in two tables: the entries without this bit in their hash, and those with it.
    pub(super) fn parted(&self, bit: u64, ids: usize, hashes: &impl Hashes) -> (Table, Table) {
        // What the hashes do not part in halves is moved once more.
        let room = || Table::with_room(self.len.div_ceil(2), ids);
        let (mut low, mut high) = (room(), room());
        self.for_each_hashed(hashes, |hash, id| {
            let table = if hash & bit == 0 { &mut low } else { &mut high };
            if !table.has_room(ids) {
                *table = table.remade(ids, hashes);
            }
            table.insert(hash, id);
        });
        (low, high)
    }

    /// Calls `found` with each entry and its hash.
    fn for_each_hashed(&self, hashes: &impl Hashes, mut found: impl FnMut(u64, u32)) {
        let mut ahead = [0; AHEAD];
        let mut count = 0;
        let mut pass = |ids: &[u32]| {
            hashes.warm(ids);
            ids.iter().for_each(|&id| found(hashes.hash(id), id));
        };
        for word in self.buckets.iter().filter(|&&word| word < REMOVED) {
            ahead[count] = word & self.id_mask;
            count += 1;
            if count == AHEAD {
                pass(&ahead);
                count = 0;
            }
        }
        pass(&ahead[..count]);
    }

    /// Gives an entry, which must be there, a lower number.
    pub(super) fn renumber(&mut self, hash: u64, id: u32, lower: u32) {
        let at = self.bucket(hash, id);
        self.buckets[at] = self.tag(hash) | lower;
    }

    /// Removes an entry, which must be there.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        let mut at = self.bucket(hash, id);
        self.len -= 1;
        self.buckets[at] = REMOVED;
        // No search goes beyond an empty bucket, so removed ones before it can become empty too.
        if self.buckets[self.next(at)] == EMPTY {
            while self.buckets[at] == REMOVED {
                self.buckets[at] = EMPTY;
                self.used -= 1;
                at = at.checked_sub(1).unwrap_or(self.buckets.len() - 1);
            }
        }
    }

    /// The bucket of an entry, which must be there.
    fn bucket(&self, hash: u64, id: u32) -> usize {
        let word = self.tag(hash) | id;
        let mut at = self.home(hash);
        while self.buckets[at] != word {
            assert_ne!(self.buckets[at], EMPTY, "the entry {id} is in the table");
            at = self.next(at);
        }
        at
    }

    /// The first bucket to examine: the high half of the hash, scaled to the number of buckets.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The part of the low half of the hash for which a bucket has room.
    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        hash as u32 & !self.id_mask
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }
}
