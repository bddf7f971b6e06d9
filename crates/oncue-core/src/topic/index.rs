//! A map from prefixes to small values that finds every prefix of a topic. Peers and demand are not known here.
//!
//! All prefixes are in one arena, each after its length. An entry consists of the offset of its prefix and its value; the
//! hash table contains only entry numbers. A topic is matched by one incremental hash and one probe for each *distinct
//! length* in force: a million prefixes of three lengths cost three probes, and no set of prefixes costs more than one
//! probe per byte of the topic. Matching does not allocate.
//!
//! Each change is short, however many prefixes there are: the hash table consists of many small ones, and the arena is
//! compacted in small steps.
mod entries;
mod hash;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::ControlFlow;

use entries::Entries;
pub use entries::IndexFull;
pub(crate) use entries::{reserve_tight, shrink};
pub use hash::PrefixHash;
use table::Hashes;
pub(crate) use tables::Tables;

use super::{Hidden, begins, same};

/// The number of an entry of a [`PrefixMap`]: small, stable while its prefix is in force, then reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(u32);

impl EntryId {
    /// The number itself, for dense tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A map from prefixes (any bytes, of any length, the empty one included) to small values.
///
/// The memory of an entry beside its bytes: 5 bytes, the size of `V` with its alignment, 5 to 11 bytes of hash table.
pub struct PrefixMap<V> {
    hash: PrefixHash,
    entries: Entries<V>,
    /// Every entry in force, by the hash of its prefix.
    table: Tables,
    /// The entry of the empty prefix, which is the most common one and needs no hash.
    empty: Option<EntryId>,
    /// The distinct lengths in force except 0, ascending.
    lengths: Vec<Length>,
    hidden: Hidden,
}

/// Which bytes of a topic decide what it matches: as many as the longest prefix in force has, and of a hidden topic at least the
/// common beginning.
#[derive(Clone, Copy)]
pub struct Decisive<'a> {
    longest: usize,
    /// The beginning of hidden topics, if it is longer.
    hidden: Option<&'a [u8]>,
}

impl Decisive<'_> {
    /// The beginning of a topic that decides: topics with the same one match the same.
    #[inline]
    pub fn of<'t>(&self, topic: &'t [u8]) -> &'t [u8] {
        let len = match self.hidden {
            Some(beginning) if begins(topic, beginning) => beginning.len(),
            _ => self.longest.min(topic.len()),
        };
        &topic[..len]
    }

    /// Whether all topics match the same.
    pub fn is_nothing(&self) -> bool {
        self.longest == 0 && self.hidden.is_none()
    }
}

/// A prefix has no entry.
pub(crate) struct Missing {
    hash: u64,
}

/// The hashes of entries.
struct Keyed<'a, V> {
    entries: &'a Entries<V>,
    key: &'a PrefixHash,
}

impl<V: Copy> Hashes for Keyed<'_, V> {
    fn hash(&self, id: u32) -> u64 {
        self.entries.hash(self.key, id)
    }

    fn warm(&self, ids: &[u32]) {
        let offsets = ids.iter().filter_map(|&id| self.entries.offset(id));
        black_box(offsets.fold(0, u32::wrapping_add));
        let bytes = ids.iter().filter_map(|&id| self.entries.first_byte(id));
        black_box(bytes.fold(0, u8::wrapping_add));
    }
}

struct Length {
    len: u32,
    entries: u32,
}

/// From this number of entries on, the memory that a match reads is seldom cached.
const LARGE: usize = 16 << 10;
/// The most probes that are prefetched together.
const WARM_PROBES_MAX: usize = 64;

impl<V: Copy> PrefixMap<V> {
    /// An empty map. `seed` keys the hash: it should be random and secret, since peers choose the prefixes.
    pub fn new(seed: u64) -> PrefixMap<V> {
        PrefixMap {
            hash: PrefixHash::new(seed),
            entries: Entries::new(),
            table: Tables::new(),
            empty: None,
            lengths: Vec::new(),
            hidden: Hidden::default(),
        }
    }

    /// The same, with hidden topics. To be called while the map is empty.
    pub fn hiding(mut self, hidden: Hidden) -> PrefixMap<V> {
        self.hidden = hidden;
        self
    }

    /// How many prefixes are in force.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no prefix is in force.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Which bytes of a topic decide what it matches.
    pub fn decisive(&self) -> Decisive<'_> {
        let longest = self.lengths.last().map_or(0, |length| length.len as usize);
        let hidden =
            self.hidden.beginning().filter(|beginning| beginning.len() > longest && !self.is_empty());
        Decisive { longest, hidden }
    }

    /// The allocated memory, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.entries.allocated_bytes()
            + self.table.allocated_bytes()
            + self.lengths.capacity() * size_of::<Length>()
    }

    /// How many entries the hash table has moved to make room since the last call. Each costs a fraction of a change.
    pub fn take_moved(&mut self) -> u64 {
        self.table.take_moved()
    }

    /// The entry of exactly this prefix.
    pub fn find(&self, prefix: &[u8]) -> Option<EntryId> {
        self.find_hashed(self.hash.hash(prefix), prefix)
    }

    /// The entry of `prefix`, inserted with `make()` if it was missing, and whether it was.
    ///
    /// # Errors
    /// [`IndexFull`] when the prefix would be new and there is no room for its bytes; nothing has changed then.
    pub fn get_or_insert_with(
        &mut self,
        prefix: &[u8],
        make: impl FnOnce() -> V,
    ) -> Result<(EntryId, bool), IndexFull> {
        match self.lookup(prefix) {
            Ok(id) => Ok((id, false)),
            Err(missing) => Ok((self.insert_missing(missing, prefix, make())?, true)),
        }
    }

    /// The entry of exactly this prefix, or where it is missing.
    pub(crate) fn lookup(&self, prefix: &[u8]) -> Result<EntryId, Missing> {
        let hash = self.hash.hash(prefix);
        self.find_hashed(hash, prefix).ok_or(Missing { hash })
    }

    /// Adds an entry for a prefix that was just found [`Missing`].
    ///
    /// # Errors
    /// [`IndexFull`] when there is no room for its bytes; nothing has changed then.
    pub(crate) fn insert_missing(
        &mut self,
        missing: Missing,
        prefix: &[u8],
        value: V,
    ) -> Result<EntryId, IndexFull> {
        let Missing { hash } = missing;
        self.entries.make_room(prefix.len())?;
        let PrefixMap { hash: key, entries, table, .. } = self;
        table.make_room(hash, entries.ids_end() + 1, &Keyed { entries, key });
        let id = entries.insert(prefix, hash, value);
        table.insert(hash, id);
        self.count_in(prefix.len(), EntryId(id));
        self.entries.move_some();
        Ok(EntryId(id))
    }

    /// Removes the entry `id` and returns its value; `None` if no entry has that number.
    pub fn remove_id(&mut self, id: EntryId) -> Option<V> {
        let value = *self.value(id)?;
        let PrefixMap { hash: key, entries, table, .. } = self;
        let (len, hash) = (entries.prefix(id.0).len(), entries.hash(key, id.0));
        table.remove(hash, id.0, entries.ids_end(), &Keyed { entries, key });
        entries.remove(id.0, len);
        self.count_out(len);
        if self.is_empty() && self.entries.reset() {
            self.table = Tables::new();
        }
        self.entries.move_some();
        Some(value)
    }

    /// All numbers of entries are below this one.
    pub fn ids_end(&self) -> u32 {
        self.entries.ids_end() as u32
    }

    /// The entry with the number `id`, if there is one.
    pub fn entry(&self, id: u32) -> Option<EntryId> {
        self.entries.get(id).map(|_| EntryId(id))
    }

    /// Prefetches the memory that removing these entries will read. Changes nothing.
    pub fn warm_entries(&self, ids: &[EntryId]) {
        let known = ids.iter().filter(|&&id| self.value(id).is_some());
        let words = known.map(|id| self.table.first_word(self.entries.hash(&self.hash, id.0)));
        black_box(words.fold(0, u32::wrapping_add));
    }

    /// The bytes of the entry `id`; `None` if no entry has that number.
    pub fn prefix(&self, id: EntryId) -> Option<&[u8]> {
        self.value(id).map(|_| self.entries.prefix(id.0))
    }

    /// The value of the entry `id`; `None` if no entry has that number.
    pub fn value(&self, id: EntryId) -> Option<&V> {
        self.entries.get(id.0)
    }

    /// The value of the entry `id`, to change; `None` if no entry has that number.
    pub fn value_mut(&mut self, id: EntryId) -> Option<&mut V> {
        self.entries.get_mut(id.0)
    }

    /// All entries in force, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &[u8], &V)> {
        let ids = 0..self.ids_end();
        ids.filter_map(|id| self.entries.get(id).map(|value| (EntryId(id), self.entries.prefix(id), value)))
    }

    /// Calls `found` for each prefix in force that `topic` starts with and that reaches it, the shortest first.
    #[inline]
    pub fn for_each_match(&self, topic: &[u8], mut found: impl FnMut(EntryId, &V)) {
        let _ = self.try_each_match(topic, |id| {
            found(id, self.entries.value(id.0));
            ControlFlow::Continue(())
        });
    }

    /// Whether `topic` starts with any prefix in force that reaches it.
    #[inline]
    pub fn matches_any(&self, topic: &[u8]) -> bool {
        self.try_each_match(topic, |_| ControlFlow::Break(())).is_break()
    }

    /// Whether there are enough prefixes for [`Self::warm`] to pay.
    pub fn is_large(&self) -> bool {
        self.table.len() >= LARGE
    }

    /// Prefetches the memory that matching these topics will read, so that the loads overlap. Only the first few dozen probes
    /// are prefetched.
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
        let likely = || hashes.iter().filter_map(|&hash| self.table.likely(hash));
        black_box(likely().filter_map(|id| self.entries.offset(id)).fold(0, u32::wrapping_add));
        black_box(likely().filter_map(|id| self.entries.first_byte(id)).fold(0, u8::wrapping_add));
    }

    /// Prefetches the memory that looking for exactly these prefixes will read, if there are enough entries for that to pay.
    pub fn warm_exact<'a>(&self, prefixes: impl Iterator<Item = &'a [u8]>) {
        if self.is_large() {
            let words = prefixes.map(|prefix| self.table.first_word(self.hash.hash(prefix)));
            black_box(words.fold(0, u32::wrapping_add));
        }
    }

    #[inline]
    fn try_each_match(
        &self,
        topic: &[u8],
        mut found: impl FnMut(EntryId) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let reach = self.hidden.reach(topic);
        if let Some(id) = self.empty
            && reach == 0
        {
            found(id)?;
        }
        let mut walk = self.hash.walk(topic);
        for length in self.lengths.iter().skip_while(|length| (length.len as usize) < reach) {
            let Some(prefix) = topic.get(..length.len as usize) else { break };
            if let Some(id) = self.find_hashed(walk.at(prefix.len()), prefix) {
                found(id)?;
            }
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn find_hashed(&self, hash: u64, prefix: &[u8]) -> Option<EntryId> {
        self.table.find(hash, |id| same(self.entries.prefix(id), prefix)).map(EntryId)
    }

    fn count_in(&mut self, len: usize, id: EntryId) {
        if len == 0 {
            self.empty = Some(id);
            return;
        }
        match self.lengths.binary_search_by_key(&len, |length| length.len as usize) {
            Ok(at) => self.lengths[at].entries += 1,
            Err(at) => self.lengths.insert(at, Length { len: len as u32, entries: 1 }),
        }
    }

    fn count_out(&mut self, len: usize) {
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
}
