//! A hash table of entry numbers that is split into small ones by the lowest bits of the hash (extendible hashing). So no
//! change takes longer than one of a small table, however many entries there are.
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::table::{Hashes, Table};

/// A full table with at least this many entries is split in two; a smaller one is replaced by a larger one. The limit is
/// lower in tests, to reach it more often.
const SPLIT_ENTRIES_MIN: usize = if cfg!(test) { 1024 } else { 8 << 10 };
/// The directory has at most 2^`DEPTH_MAX` places. Beyond that, tables grow.
const DEPTH_MAX: u8 = 16;

pub(crate) struct Tables {
    tables: Vec<Part>,
    /// The number of the table for each value of the lowest bits of a hash.
    directory: Vec<u32>,
    len: usize,
    /// How many entries were moved to new tables.
    moved: u64,
}

struct Part {
    table: Table,
    /// How many lowest bits all of its hashes have in common.
    depth: u8,
}

impl Tables {
    pub(crate) fn new() -> Tables {
        Tables { tables: vec![Part { table: Table::new(), depth: 0 }], directory: vec![0], len: 0, moved: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.tables.iter().map(|part| part.table.allocated_bytes()).sum::<usize>()
            + self.tables.capacity() * size_of::<Part>()
            + self.directory.capacity() * size_of::<u32>()
    }

    /// How many entries were moved to new tables since the last call.
    pub(crate) fn take_moved(&mut self) -> u64 {
        mem::take(&mut self.moved)
    }

    /// The entry with this hash for which `same` is true.
    #[inline]
    pub(crate) fn find(&self, hash: u64, same: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table(hash).find(hash, same)
    }

    /// The first word that a search for this hash reads.
    #[inline]
    pub(super) fn first_word(&self, hash: u64) -> u32 {
        self.table(hash).first_word(hash)
    }

    /// The entry that a search for this hash most likely finds, if it is in the first cache line.
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<u32> {
        self.table(hash).likely(hash)
    }

    /// Makes room for an entry with this hash and a number below `ids`. `hashes` are those of the entries.
    pub(crate) fn make_room(&mut self, hash: u64, ids: usize, hashes: &impl Hashes) {
        while !self.table(hash).has_room(ids) {
            let at = self.at(hash);
            let Part { table, depth } = &self.tables[at];
            self.moved += table.len() as u64;
            if table.len() < SPLIT_ENTRIES_MIN || *depth == DEPTH_MAX {
                let table = table.remade(ids, hashes);
                self.tables[at].table = table;
            } else {
                self.split(at, ids, hashes);
            }
        }
    }

    /// Adds an entry, for which there must be room.
    pub(crate) fn insert(&mut self, hash: u64, id: u32) {
        let at = self.at(hash);
        self.tables[at].table.insert(hash, id);
        self.len += 1;
    }

    /// Removes an entry, which must be there. `hashes` are those of the others, whose numbers are below `ids`.
    pub(crate) fn remove(&mut self, hash: u64, id: u32, ids: usize, hashes: &impl Hashes) {
        let at = self.at(hash);
        let table = &mut self.tables[at].table;
        table.remove(hash, id);
        if table.is_sparse() {
            self.moved += table.len() as u64;
            *table = table.remade(ids, hashes);
        }
        self.len -= 1;
    }

    /// Gives an entry, which must be there, a lower number.
    pub(crate) fn renumber(&mut self, hash: u64, id: u32, lower: u32) {
        let at = self.at(hash);
        self.tables[at].table.renumber(hash, id, lower);
    }

    /// How many entries the largest table has.
    #[cfg(test)]
    pub(super) fn largest(&self) -> usize {
        self.tables.iter().map(|part| part.table.len()).max().unwrap_or(0)
    }

    #[inline]
    fn at(&self, hash: u64) -> usize {
        self.directory[hash as usize & (self.directory.len() - 1)] as usize
    }

    #[inline]
    fn table(&self, hash: u64) -> &Table {
        // Most ledgers are small, and a lookup in the directory would be a large part of a probe.
        match &self.tables[..] {
            [only] => &only.table,
            all => &all[self.at(hash)].table,
        }
    }

    /// Splits a table in two, by one more bit of the hash.
    fn split(&mut self, at: usize, ids: usize, hashes: &impl Hashes) {
        let Part { table, depth } = &self.tables[at];
        let bit = 1 << depth;
        let (low, high) = table.parted(bit, ids, hashes);
        let depth = depth + 1;
        if self.directory.len() <= bit as usize {
            self.directory.extend_from_within(..);
        }
        let new = self.tables.len() as u32;
        self.tables[at] = Part { table: low, depth };
        self.tables.push(Part { table: high, depth });
        for (place, table) in self.directory.iter_mut().enumerate() {
            if *table as usize == at && place as u64 & bit != 0 {
                *table = new;
            }
        }
    }
}
