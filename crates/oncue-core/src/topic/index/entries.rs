//! The entries of the index by number: their prefixes in one arena, each after its length, and their values. The hash of a
//! long prefix is stored beside it. The hash table is not known here.
//!
//! The arena is compacted in small steps, so each change is short.
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use super::hash::PrefixHash;

/// The map cannot address more prefix bytes: 4 GiB are in force, or one prefix is longer than that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexFull {
    /// How many bytes the map can address. Each prefix counts its length and 1 byte, a long one 13 bytes.
    pub arena_bytes_max: u64,
}

impl fmt::Display for IndexFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the prefix index holds at most {} bytes; cancel prefixes or use shorter ones",
            self.arena_bytes_max
        )
    }
}

impl core::error::Error for IndexFull {}

/// The entries of an index. Their numbers are small, stable while an entry is in force, and then reused.
pub(super) struct Entries<V> {
    /// Encoded prefixes, see [`encode`], of the entries from number `moved` on, and of removed entries.
    pub(super) arena: Vec<u8>,
    /// The bytes of removed entries in `arena`.
    pub(super) dead: usize,
    pub(super) bytes_max: usize,
    /// During a compaction: the prefixes of the entries below `moved`, which are not moved yet.
    old_arena: Vec<u8>,
    /// 0 when there is nothing to move.
    pub(super) moved: usize,
    /// The bytes of the prefixes in force, encoded.
    pub(super) live: usize,
    pub(super) slots: Vec<Slot<V>>,
    /// Free slots from `moved` on.
    free: Vec<u32>,
}

#[derive(Clone, Copy)]
pub(super) struct Slot<V> {
    /// Where the encoded prefix starts in the arena, or `FREE`.
    offset: u32,
    value: V,
}

const FREE: u32 = u32::MAX;
/// An arena below this is not worth compacting.
pub(super) const COMPACT_BYTES_MIN: usize = 4096;
/// How many slots, and how many bytes, each change moves to the new arena.
pub(super) const MOVE_SLOTS: usize = 64;
const MOVE_BYTES: usize = 16 << 10;

impl<V: Copy> Entries<V> {
    pub(super) fn new() -> Entries<V> {
        Entries {
            arena: Vec::new(),
            dead: 0,
            bytes_max: FREE as usize,
            old_arena: Vec::new(),
            moved: 0,
            live: 0,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.arena.capacity()
            + self.old_arena.capacity()
            + self.slots.capacity() * size_of::<Slot<V>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// All numbers of entries are below this one.
    pub(super) fn ids_end(&self) -> usize {
        self.slots.len()
    }

    /// The value of the entry with this number, if there is one.
    pub(super) fn get(&self, id: u32) -> Option<&V> {
        self.slots.get(id as usize).filter(|slot| slot.offset != FREE).map(|slot| &slot.value)
    }

    /// The same, to change.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut V> {
        self.slots.get_mut(id as usize).filter(|slot| slot.offset != FREE).map(|slot| &mut slot.value)
    }

    /// The value of an entry in force.
    #[inline]
    pub(super) fn value(&self, id: u32) -> &V {
        &self.slots[id as usize].value
    }

    /// The prefix of an entry in force.
    #[inline]
    pub(super) fn prefix(&self, id: u32) -> &[u8] {
        decode(self.arena_of(id), self.slots[id as usize].offset)
    }

    /// The hash of the prefix of an entry in force: stored for a long prefix, computed for a short one.
    #[inline]
    pub(super) fn hash(&self, key: &PrefixHash, id: u32) -> u64 {
        let (arena, offset) = (self.arena_of(id), self.slots[id as usize].offset);
        let kept = arena[offset as usize..].strip_prefix(&[LONG]).map(|rest| &rest[LENGTH_BYTES..]);
        match kept.and_then(|rest| rest.first_chunk()) {
            Some(hash) => u64::from_le_bytes(*hash),
            None => key.hash(decode(arena, offset)),
        }
    }

    /// The offset of this entry's prefix in its arena; meaningless if there is no such entry.
    pub(super) fn offset(&self, id: u32) -> Option<u32> {
        Some(self.slots.get(id as usize)?.offset)
    }

    /// The byte at that offset.
    pub(super) fn first_byte(&self, id: u32) -> Option<u8> {
        self.arena_of(id).get(self.offset(id)? as usize).copied()
    }

    /// Makes room for one more prefix of `len` bytes.
    pub(super) fn make_room(&mut self, len: usize) -> Result<(), IndexFull> {
        let needed = encoded_len(len);
        // At the limit, a compaction must free enough: otherwise each toggle of one prefix would copy 4 GiB.
        while needed > self.bytes_max - (self.live + self.dead) {
            if self.moved == 0 && self.dead <= self.bytes_max / 16 {
                return Err(IndexFull { arena_bytes_max: self.bytes_max as u64 });
            }
            if self.moved == 0 {
                self.begin_moving();
            }
            while self.moved > 0 {
                self.move_some();
            }
        }
        reserve_tight(&mut self.arena, needed);
        Ok(())
    }

    /// Adds an entry, for which there must be room.
    pub(super) fn insert(&mut self, prefix: &[u8], hash: u64, value: V) -> u32 {
        let slot = Slot { offset: self.arena.len() as u32, value };
        encode(&mut self.arena, prefix, hash);
        self.live += encoded_len(prefix.len());
        match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                reserve_tight(&mut self.slots, 1);
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        }
    }

    /// Removes an entry in force, whose prefix has `len` bytes.
    pub(super) fn remove(&mut self, id: u32, len: usize) {
        self.slots[id as usize].offset = FREE;
        self.live -= encoded_len(len);
        if id as usize >= self.moved {
            self.free.push(id);
            self.dead += encoded_len(len);
        }
        let worth = self.dead > self.arena.len() / 2 && self.arena.len() >= COMPACT_BYTES_MIN;
        if self.moved == 0 && worth && self.live > 0 {
            self.begin_moving();
        }
    }

    /// Frees the memory when nothing is in force, if it is worthwhile. Returns whether it did.
    pub(super) fn reset(&mut self) -> bool {
        let held = self.arena.len() + self.old_arena.len() + self.slots.len() * size_of::<Slot<V>>();
        let worth = held >= COMPACT_BYTES_MIN;
        if worth {
            *self = Entries { bytes_max: self.bytes_max, ..Entries::new() };
        }
        worth
    }

    #[inline]
    fn arena_of(&self, id: u32) -> &[u8] {
        if id as usize >= self.moved { &self.arena } else { &self.old_arena }
    }

    /// Begins a compaction, which drops the bytes of removed entries.
    fn begin_moving(&mut self) {
        let room = self.live + self.live / 8;
        self.old_arena = mem::replace(&mut self.arena, Vec::with_capacity(room));
        self.dead = 0;
        self.free = Vec::new();
        self.moved = self.slots.len();
    }

    /// Moves a few entries to the new arena, from the last one down, so that free slots at the end are dropped. When all are
    /// moved, frees memory that is far more than needed.
    pub(super) fn move_some(&mut self) {
        if self.moved == 0 {
            return;
        }
        let enough = self.arena.len() + MOVE_BYTES;
        for _ in 0..MOVE_SLOTS {
            let Some(id) = self.moved.checked_sub(1).filter(|_| self.arena.len() < enough) else { break };
            let slot = &mut self.slots[id];
            if slot.offset != FREE {
                let start = slot.offset as usize;
                let len = encoded_len(decode(&self.old_arena, slot.offset).len());
                slot.offset = self.arena.len() as u32;
                reserve_tight(&mut self.arena, len);
                self.arena.extend_from_slice(&self.old_arena[start..start + len]);
            } else if id + 1 == self.slots.len() {
                self.slots.pop();
            } else {
                self.free.push(id as u32);
            }
            self.moved = id;
        }
        if self.moved == 0 {
            self.old_arena = Vec::new();
            shrink(&mut self.slots);
            shrink(&mut self.free);
        }
    }
}

const LONG: u8 = 0xff;

/// The header of a long prefix: `LONG`, its length and its hash, little-endian. The hash is stored because a growing hash
/// table would otherwise read all bytes of all long prefixes.
const LONG_HEADER_BYTES: usize = 1 + LENGTH_BYTES + HASH_BYTES;
const LENGTH_BYTES: usize = 4;
const HASH_BYTES: usize = 8;

/// Appends `prefix` after its length in one byte, or from 255 bytes on after a long header.
fn encode(arena: &mut Vec<u8>, prefix: &[u8], hash: u64) {
    if prefix.len() < LONG as usize {
        arena.push(prefix.len() as u8);
    } else {
        arena.push(LONG);
        arena.extend_from_slice(&(prefix.len() as u32).to_le_bytes());
        arena.extend_from_slice(&hash.to_le_bytes());
    }
    arena.extend_from_slice(prefix);
}

pub(super) fn encoded_len(len: usize) -> usize {
    len + if len < LONG as usize { 1 } else { LONG_HEADER_BYTES }
}

#[inline]
fn decode(arena: &[u8], offset: u32) -> &[u8] {
    let (&len, rest) = arena[offset as usize..].split_first().expect("an entry's offset is within the arena");
    if len < LONG {
        return &rest[..len as usize];
    }
    let (len, rest) = rest.split_first_chunk().expect("a long prefix has four bytes of length");
    &rest[HASH_BYTES..][..u32::from_le_bytes(*len) as usize]
}

/// Grows by an eighth: doubling would leave up to half of a large index unused.
pub(crate) fn reserve_tight<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        vec.reserve_exact(additional.max(vec.len() / 8).max(16));
    }
}

/// Frees memory when less than a quarter of it is used.
pub(crate) fn shrink<T>(vec: &mut Vec<T>) {
    if vec.capacity() / 4 > vec.len() {
        vec.shrink_to(vec.len() + vec.len() / 8);
    }
}
