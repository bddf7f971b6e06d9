//! The map from prefixes to small values that finds every prefix of a topic. No peers, no demand: the ledger's matter.
//!
//! All prefixes lie in one arena, each behind its length; an entry is where its prefix lies and its value; a hash table
//! holds nothing but entry numbers. A topic is matched by one hash along it and one probe for each *distinct length* in
//! force, so a million prefixes of three lengths cost three probes, and no set of prefixes costs more than one probe
//! per byte of the topic. Nothing is allocated while matching.
//!
//! No change takes long, however many prefixes there are: the hash table is many small ones, and the arena is made anew
//! little by little.
mod hash;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;
use core::mem;
use core::ops::ControlFlow;

pub(crate) use hash::PrefixHash;
pub(crate) use tables::Tables;

/// The number of an entry of a [`PrefixMap`]: small, stable while its prefix is in force, reused afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(u32);

impl EntryId {
    /// The number itself, for dense tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The map cannot address more prefix bytes: 4 GiB are in force, or one prefix alone is longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexFull {
    /// How many bytes the map can address, each prefix counting 1 to 5 bytes more than its length.
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

/// A map from prefixes (any bytes, of any length, the empty one included) to small values.
///
/// Cost of an entry beside its bytes: 5 bytes, the size of `V` (its alignment respected), 5 to 8 bytes of hash table.
pub struct PrefixMap<V> {
    hash: PrefixHash,
    /// Encoded prefixes, see [`encode`], of the entries from number `moved` on; also of removed ones, which `arena_dead`
    /// counts.
    arena: Vec<u8>,
    arena_dead: usize,
    arena_bytes_max: usize,
    /// While the arena is made anew: the prefixes of the entries below `moved`, which have still to be moved.
    old_arena: Vec<u8>,
    /// 0 while nothing has to be moved.
    moved: usize,
    /// What the prefixes in force take, encoded.
    live: usize,
    slots: Vec<Slot<V>>,
    /// Free slots from `moved` on.
    free: Vec<u32>,
    /// Every entry in force, by the hash of its prefix.
    table: Tables,
    /// The entry of the empty prefix: the commonest of all, and it needs no hash.
    empty: Option<EntryId>,
    /// The distinct lengths in force but zero, ascending.
    lengths: Vec<Length>,
    bytes: u64,
}

#[derive(Clone, Copy)]
struct Slot<V> {
    /// Where the encoded prefix starts in the arena, or `FREE`.
    offset: u32,
    value: V,
}

struct Length {
    len: u32,
    entries: u32,
}

const FREE: u32 = u32::MAX;
/// From so many entries on, what is read at a match is seldom in a cache.
const LARGE: usize = 16 << 10;
/// How many probes are read ahead at the most.
const WARM_PROBES_MAX: usize = 64;
/// An arena below this is not worth compacting.
const COMPACT_BYTES_MIN: usize = 4096;
/// How many slots, and how many bytes, a change moves to the new arena.
const MOVE_SLOTS: usize = 64;
const MOVE_BYTES: usize = 16 << 10;

impl<V: Copy> PrefixMap<V> {
    /// An empty map. `seed` keys the hash: it should be random, and unknown to those who choose the prefixes.
    pub fn new(seed: u64) -> PrefixMap<V> {
        PrefixMap {
            hash: PrefixHash::new(seed),
            arena: Vec::new(),
            arena_dead: 0,
            arena_bytes_max: FREE as usize,
            old_arena: Vec::new(),
            moved: 0,
            live: 0,
            slots: Vec::new(),
            free: Vec::new(),
            table: Tables::new(),
            empty: None,
            lengths: Vec::new(),
            bytes: 0,
        }
    }

    /// How many prefixes are in force.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no prefix is in force.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// The sum of the lengths of all prefixes in force, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes of a topic decide what it matches: the length of the longest prefix in force.
    pub fn longest(&self) -> usize {
        self.lengths.last().map_or(0, |length| length.len as usize)
    }

    /// The memory held, in bytes, as allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.arena.capacity()
            + self.old_arena.capacity()
            + self.slots.capacity() * size_of::<Slot<V>>()
            + self.free.capacity() * size_of::<u32>()
            + self.table.allocated_bytes()
            + self.lengths.capacity() * size_of::<Length>()
    }

    /// How many entries the hash table has moved to make room, since this was last asked: each costs a part of a change.
    pub fn take_moved(&mut self) -> u64 {
        self.table.take_moved()
    }

    /// The entry of exactly this prefix.
    pub fn find(&self, prefix: &[u8]) -> Option<EntryId> {
        self.find_hashed(self.hash.hash(prefix), prefix)
    }

    /// The value of exactly this prefix.
    pub fn get(&self, prefix: &[u8]) -> Option<&V> {
        self.value(self.find(prefix)?)
    }

    /// The value of exactly this prefix, to change.
    pub fn get_mut(&mut self, prefix: &[u8]) -> Option<&mut V> {
        self.value_mut(self.find(prefix)?)
    }

    /// Puts `prefix` in force with `value`, or replaces its value.
    ///
    /// # Errors
    /// [`IndexFull`] when the prefix would be new and its bytes find no room; nothing has changed then.
    pub fn insert(&mut self, prefix: &[u8], value: V) -> Result<EntryId, IndexFull> {
        let (id, _) = self.get_or_insert_with(prefix, || value)?;
        self.slots[id.index()].value = value;
        Ok(id)
    }

    /// The entry of `prefix`, put in force with `make()` if it was not, and whether it was put in force now.
    ///
    /// # Errors
    /// [`IndexFull`] as for [`Self::insert`].
    pub fn get_or_insert_with(
        &mut self,
        prefix: &[u8],
        make: impl FnOnce() -> V,
    ) -> Result<(EntryId, bool), IndexFull> {
        let hash = self.hash.hash(prefix);
        if let Some(id) = self.find_hashed(hash, prefix) {
            return Ok((id, false));
        }
        self.make_room(prefix.len(), hash)?;
        let slot = Slot { offset: self.arena.len() as u32, value: make() };
        encode(&mut self.arena, prefix, hash);
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                reserve_tight(&mut self.slots, 1);
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.table.insert(hash, id);
        self.count_in(prefix.len(), EntryId(id));
        self.move_some();
        Ok((EntryId(id), true))
    }

    /// Ends `prefix` and returns its value; `None` if it was not in force.
    pub fn remove(&mut self, prefix: &[u8]) -> Option<V> {
        self.remove_id(self.find(prefix)?)
    }

    /// Ends the entry `id` and returns its value; `None` if no entry has that number.
    pub fn remove_id(&mut self, id: EntryId) -> Option<V> {
        let (len, hash) = (self.prefix(id)?.len(), self.hash_at(id.0));
        let PrefixMap { hash: key, arena, old_arena, moved, slots, table, .. } = self;
        table.remove(hash, id.0, slots.len(), |id| entry_hash(key, arena, old_arena, *moved, slots, id));
        let slot = &mut self.slots[id.index()];
        slot.offset = FREE;
        let value = slot.value;
        self.forget(id, len);
        let held = self.arena.len() + self.old_arena.len() + self.slots.len() * size_of::<Slot<V>>();
        if self.is_empty() && held >= COMPACT_BYTES_MIN {
            self.reset();
        } else if self.moved == 0
            && self.arena_dead > self.arena.len() / 2
            && self.arena.len() >= COMPACT_BYTES_MIN
        {
            self.begin_moving();
        }
        self.move_some();
        Some(value)
    }

    /// All numbers of entries are below this one.
    pub fn ids_end(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The entry with the number `id`, if there is one.
    pub fn entry(&self, id: u32) -> Option<EntryId> {
        self.slot(EntryId(id)).map(|_| EntryId(id))
    }

    /// Prepares for removing these entries: what will be read is read at one time. Changes nothing.
    pub fn warm_entries(&self, ids: &[EntryId]) {
        let known = ids.iter().filter(|&&id| self.slot(id).is_some());
        let words = known.map(|id| self.table.first_word(self.hash_at(id.0)));
        black_box(words.fold(0, u32::wrapping_add));
    }

    /// The bytes of the entry `id`; `None` if no entry has that number.
    pub fn prefix(&self, id: EntryId) -> Option<&[u8]> {
        self.slot(id).map(|_| self.place(id.0))
    }

    /// The value of the entry `id`; `None` if no entry has that number.
    pub fn value(&self, id: EntryId) -> Option<&V> {
        self.slot(id).map(|slot| &slot.value)
    }

    /// The value of the entry `id`, to change; `None` if no entry has that number.
    pub fn value_mut(&mut self, id: EntryId) -> Option<&mut V> {
        self.slots.get_mut(id.index()).filter(|slot| slot.offset != FREE).map(|slot| &mut slot.value)
    }

    /// All entries in force, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &[u8], &V)> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.offset != FREE);
        used.map(|(id, slot)| (EntryId(id as u32), self.place(id as u32), &slot.value))
    }

    /// Calls `found` for each prefix in force that `topic` starts with, the shortest first.
    #[inline]
    pub fn for_each_match(&self, topic: &[u8], mut found: impl FnMut(EntryId, &V)) {
        let _ = self.try_each_match(topic, |id| {
            found(id, &self.slots[id.index()].value);
            ControlFlow::Continue(())
        });
    }

    /// Whether `topic` starts with any prefix in force.
    #[inline]
    pub fn matches_any(&self, topic: &[u8]) -> bool {
        self.try_each_match(topic, |_| ControlFlow::Break(())).is_break()
    }

    /// Whether a match among so many prefixes waits for memory, so that [`Self::warm`] pays.
    pub fn is_large(&self) -> bool {
        self.table.len() >= LARGE
    }

    /// Reads what matching these topics will read, so that the memory is waited for at one time and not for one topic
    /// after the other. Where they are many, the first few dozen probes are read.
    pub fn warm<'a>(&self, topics: impl Iterator<Item = &'a [u8]>) {
        let mut hashes = [0; WARM_PROBES_MAX];
        let mut count = 0;
        'all: for topic in topics {
            let mut walk = self.hash.walk(topic);
            for length in self.lengths.iter().take_while(|length| length.len as usize <= topic.len()) {
                let Some(hash) = hashes.get_mut(count) else { break 'all };
                *hash = walk.at(length.len as usize);
                count += 1;
            }
        }
        let hashes = &hashes[..count];
        black_box(hashes.iter().fold(0, |sum, &hash| self.table.first_word(hash).wrapping_add(sum)));
        let likely = |hash: &u64| {
            let id = self.table.likely(*hash)? as usize;
            Some((id, self.slots.get(id)?.offset))
        };
        black_box(hashes.iter().filter_map(likely).fold(0, |sum, (_, offset)| offset.wrapping_add(sum)));
        let byte = |(id, offset): (usize, u32)| {
            let arena = if id >= self.moved { &self.arena } else { &self.old_arena };
            arena.get(offset as usize).copied()
        };
        black_box(hashes.iter().filter_map(likely).filter_map(byte).fold(0, u8::wrapping_add));
    }

    #[inline]
    fn try_each_match(
        &self,
        topic: &[u8],
        mut found: impl FnMut(EntryId) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if let Some(id) = self.empty {
            found(id)?;
        }
        let mut walk = self.hash.walk(topic);
        for length in &self.lengths {
            let Some(prefix) = topic.get(..length.len as usize) else { break };
            if let Some(id) = self.find_hashed(walk.at(prefix.len()), prefix) {
                found(id)?;
            }
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn find_hashed(&self, hash: u64, prefix: &[u8]) -> Option<EntryId> {
        self.table.find(hash, |id| self.place(id) == prefix).map(EntryId)
    }

    /// The prefix of an entry in force.
    #[inline]
    fn place(&self, id: u32) -> &[u8] {
        let (arena, offset) = locate(&self.arena, &self.old_arena, self.moved, &self.slots, id);
        decode(arena, offset)
    }

    /// The hash of the prefix of an entry in force.
    fn hash_at(&self, id: u32) -> u64 {
        entry_hash(&self.hash, &self.arena, &self.old_arena, self.moved, &self.slots, id)
    }

    fn slot(&self, id: EntryId) -> Option<&Slot<V>> {
        self.slots.get(id.index()).filter(|slot| slot.offset != FREE)
    }

    /// Makes room for one more prefix of `len` bytes: in the arena, and in the table.
    fn make_room(&mut self, len: usize, hash: u64) -> Result<(), IndexFull> {
        let needed = encoded_len(len);
        // At the limit a compaction must be worth its cost, else each toggle of one prefix would copy 4 GiB.
        while needed > self.arena_bytes_max - (self.live + self.arena_dead) {
            if self.moved == 0 && self.arena_dead <= self.arena_bytes_max / 16 {
                return Err(IndexFull { arena_bytes_max: self.arena_bytes_max as u64 });
            }
            if self.moved == 0 {
                self.begin_moving();
            }
            while self.moved > 0 {
                self.move_some();
            }
        }
        reserve_tight(&mut self.arena, needed);
        let PrefixMap { hash: key, arena, old_arena, moved, slots, table, .. } = self;
        let count = slots.len() + 1;
        table.make_room(hash, count, |id| entry_hash(key, arena, old_arena, *moved, slots, id));
        Ok(())
    }

    fn count_in(&mut self, len: usize, id: EntryId) {
        self.bytes += len as u64;
        self.live += encoded_len(len);
        if len == 0 {
            self.empty = Some(id);
            return;
        }
        match self.lengths.binary_search_by_key(&len, |length| length.len as usize) {
            Ok(at) => self.lengths[at].entries += 1,
            Err(at) => self.lengths.insert(at, Length { len: len as u32, entries: 1 }),
        }
    }

    /// Counts out an entry of `len` bytes whose slot is free now.
    fn forget(&mut self, id: EntryId, len: usize) {
        if id.index() >= self.moved {
            self.free.push(id.0);
            self.arena_dead += encoded_len(len);
        }
        self.live -= encoded_len(len);
        self.bytes -= len as u64;
        if len == 0 {
            self.empty = None;
            return;
        }
        let at = self.lengths.binary_search_by_key(&len, |length| length.len as usize);
        let at = at.expect("the length of each entry is counted");
        self.lengths[at].entries -= 1;
        if self.lengths[at].entries == 0 {
            self.lengths.remove(at);
        }
    }

    /// Begins to make the arena anew, without the bytes of removed entries.
    fn begin_moving(&mut self) {
        let room = self.live + self.live / 8;
        self.old_arena = mem::replace(&mut self.arena, Vec::with_capacity(room));
        self.arena_dead = 0;
        self.free = Vec::new();
        self.moved = self.slots.len();
    }

    /// Moves a few entries to the new arena, from the last one down, so that free slots at the end go. Gives back what is
    /// held far beyond the need when all are moved.
    fn move_some(&mut self) {
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

    /// Gives all memory back, where nothing is in force.
    fn reset(&mut self) {
        (self.arena, self.old_arena, self.arena_dead, self.moved) = (Vec::new(), Vec::new(), 0, 0);
        (self.slots, self.free, self.table) = (Vec::new(), Vec::new(), Tables::new());
    }
}

/// Where the entry `id`, which is in force, is encoded: in the old arena if it has still to be moved.
#[inline]
fn locate<'a, V>(
    arena: &'a [u8],
    old: &'a [u8],
    moved: usize,
    slots: &[Slot<V>],
    id: u32,
) -> (&'a [u8], u32) {
    (if id as usize >= moved { arena } else { old }, slots[id as usize].offset)
}

/// The hash of the prefix of the entry `id`, which is in force.
#[inline]
fn entry_hash<V>(
    key: &PrefixHash,
    arena: &[u8],
    old: &[u8],
    moved: usize,
    slots: &[Slot<V>],
    id: u32,
) -> u64 {
    let (arena, offset) = locate(arena, old, moved, slots, id);
    hash_of(key, arena, offset)
}

const LONG: u8 = 0xff;

/// What stands before a long prefix: `LONG`, its length and its hash, little-endian. The hash is kept since computing it
/// again whenever the hash table grows would read all bytes of all long prefixes.
const LONG_HEADER_BYTES: usize = 1 + LENGTH_BYTES + HASH_BYTES;
const LENGTH_BYTES: usize = 4;
const HASH_BYTES: usize = 8;

/// Appends `prefix` behind its length in one byte, or from 255 bytes on behind a long header.
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

fn encoded_len(len: usize) -> usize {
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

/// The hash of the prefix at `offset`: as it is kept, or computed where the prefix is short.
#[inline]
fn hash_of(key: &PrefixHash, arena: &[u8], offset: u32) -> u64 {
    let kept = arena[offset as usize..].strip_prefix(&[LONG]).map(|rest| &rest[LENGTH_BYTES..]);
    match kept.and_then(|rest| rest.first_chunk()) {
        Some(hash) => u64::from_le_bytes(*hash),
        None => key.hash(decode(arena, offset)),
    }
}

/// Reserves by eighths: doubling would leave up to half of a large index unused.
pub(crate) fn reserve_tight<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        vec.reserve_exact(additional.max(vec.len() / 8).max(16));
    }
}

/// Gives memory back where less than a quarter of it is used.
pub(crate) fn shrink<T>(vec: &mut Vec<T>) {
    if vec.capacity() / 4 > vec.len() {
        vec.shrink_to(vec.len() + vec.len() / 8);
    }
}
