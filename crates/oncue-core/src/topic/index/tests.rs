//! The index against a sorted map that is searched linearly.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::Cell;

use super::entries::{COMPACT_BYTES_MIN, MOVE_SLOTS, encoded_len};
use super::table::Table;
use super::*;
use oncue_testing::{Rng, for_seeds};

impl<V: Copy> PrefixMap<V> {
    /// Puts `prefix` in force with `value`, or replaces its value.
    fn insert(&mut self, prefix: &[u8], value: V) -> Result<EntryId, IndexFull> {
        let (id, _) = self.get_or_insert_with(prefix, || value)?;
        *self.value_mut(id).unwrap() = value;
        Ok(id)
    }

    fn get(&self, prefix: &[u8]) -> Option<&V> {
        self.value(self.find(prefix)?)
    }

    /// The sum of the lengths of all prefixes in force.
    fn bytes(&self) -> u64 {
        let live: usize = self.iter().map(|(_, prefix, _)| encoded_len(prefix.len())).sum();
        assert_eq!(self.entries.live, live);
        self.iter().map(|(_, prefix, _)| prefix.len() as u64).sum()
    }

    fn get_mut(&mut self, prefix: &[u8]) -> Option<&mut V> {
        self.value_mut(self.find(prefix)?)
    }

    fn remove(&mut self, prefix: &[u8]) -> Option<V> {
        self.remove_id(self.find(prefix)?)
    }
}

struct Checked {
    map: PrefixMap<u32>,
    model: BTreeMap<Vec<u8>, u32>,
}

impl Checked {
    fn step(&mut self, rng: &mut Rng) {
        let prefix = rng.prefix(9);
        let value = rng.next() as u32;
        match rng.below(160) {
            0..40 => {
                let id = self.map.insert(&prefix, value).unwrap();
                assert_eq!(self.map.prefix(id), Some(&prefix[..]));
                self.model.insert(prefix, value);
            }
            40..80 => {
                let known = self.model.contains_key(&prefix);
                let (id, new) = self.map.get_or_insert_with(&prefix, || value).unwrap();
                assert_eq!(new, !known);
                assert_eq!(self.map.value(id), Some(&*self.model.entry(prefix).or_insert(value)));
            }
            80..120 => assert_eq!(self.map.remove(&prefix), self.model.remove(&prefix)),
            120..140 => {
                assert_eq!(self.map.get_mut(&prefix).copied(), self.model.get(&prefix).copied());
                if let Some(old) = self.map.get_mut(&prefix) {
                    *old = value;
                    self.model.insert(prefix, value);
                }
            }
            140 => self.check_all(),
            _ => {
                let topics: Vec<_> = (0..rng.below(40)).map(|_| rng.prefix(12)).collect();
                self.map.warm(topics.iter().map(|topic| &topic[..]));
                topics.iter().for_each(|topic| self.check_topic(topic));
                self.check_topic(&rng.prefix(12));
            }
        }
    }

    fn check_topic(&self, topic: &[u8]) {
        let mut found = Vec::new();
        self.map.for_each_match(topic, |id, value| {
            assert_eq!(self.map.value(id), Some(value));
            found.push((self.map.prefix(id).unwrap().to_vec(), *value));
        });
        let lengths: Vec<usize> = found.iter().map(|(prefix, _)| prefix.len()).collect();
        assert!(lengths.is_sorted(), "the shortest match comes first");
        found.sort();
        let naive: Vec<_> = self.model.iter().filter(|(prefix, _)| topic.starts_with(prefix)).collect();
        assert!(found.iter().map(|(prefix, value)| (prefix, value)).eq(naive.iter().copied()));
        assert_eq!(self.map.matches_any(topic), !naive.is_empty());
    }

    fn check_all(&self) {
        assert_eq!(self.map.len(), self.model.len());
        assert_eq!(self.map.is_empty(), self.model.is_empty());
        assert_eq!(self.map.bytes(), self.model.keys().map(|prefix| prefix.len() as u64).sum::<u64>());
        let longest = self.model.keys().map(Vec::len).max().unwrap_or(0);
        assert_eq!(self.map.decisive().of(&[0; 1000]).len(), longest);
        let ids: BTreeSet<EntryId> = self.map.iter().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), self.model.len());
        let mut all: Vec<_> = self.map.iter().map(|(_, prefix, value)| (prefix.to_vec(), *value)).collect();
        all.sort();
        assert!(all.iter().map(|(prefix, value)| (prefix, value)).eq(&self.model));
    }
}

#[test]
fn agrees_with_a_sorted_map() {
    for_seeds(200, |rng| {
        let mut checked = Checked { map: PrefixMap::new(rng.next()), model: BTreeMap::new() };
        for _ in 0..600 {
            checked.step(rng);
        }
        checked.check_all();
    });
}

#[test]
fn what_is_read_ahead_is_what_is_found() {
    for_seeds(10, |rng| {
        let mut map = PrefixMap::new(rng.next());
        assert!(!map.is_large());
        let prefixes: Vec<_> = (0..LARGE as u32).map(|n| n.to_le_bytes()).collect();
        for prefix in &prefixes {
            map.insert(prefix, ()).unwrap();
        }
        assert!(map.is_large());
        // Only the first cache line of a search is prefetched.
        let likely = |prefix: &&[u8; 4]| {
            let likely = map.table.likely(map.hash.hash(&prefix[..]));
            likely.map(EntryId) == map.find(&prefix[..])
        };
        assert!(prefixes.iter().filter(likely).count() > LARGE * 3 / 4);
        map.warm(std::iter::repeat_n(&prefixes[0][..], 1000));
    });
}

#[test]
fn compaction_keeps_every_entry() {
    for_seeds(10, |rng| {
        let mut checked = Checked { map: PrefixMap::new(rng.next()), model: BTreeMap::new() };
        // Prefixes of one block and a tail, enough that removing most of them compacts several times.
        for n in 0..3000_u32 {
            let prefix = [&n.to_le_bytes()[..], &[7; 6]].concat();
            checked.map.insert(&prefix, n).unwrap();
            checked.model.insert(prefix, n);
        }
        let full_bytes = checked.map.allocated_bytes();
        let mut prefixes: Vec<Vec<u8>> = checked.model.keys().cloned().collect();
        for left in (100..prefixes.len()).rev() {
            let prefix = prefixes.swap_remove(rng.below(left + 1));
            assert_eq!(checked.map.remove(&prefix), checked.model.remove(&prefix));
        }
        checked.check_all();
        assert!(checked.map.entries.arena.len() < COMPACT_BYTES_MIN);
        assert!(checked.map.allocated_bytes() < full_bytes * 2 / 3);
        for prefix in &prefixes {
            assert_eq!(checked.map.get(prefix), checked.model.get(prefix));
        }
    });
}

#[test]
fn no_change_does_more_than_a_little_and_lookups_agree_meanwhile() {
    for_seeds(10, |rng| {
        let mut checked = Checked { map: PrefixMap::new(rng.next()), model: BTreeMap::new() };
        let mut moves = 0;
        for step in 0..30_000_u32 {
            let prefix = [&(rng.below(6000) as u32).to_le_bytes()[..], &[7; 6]].concat();
            let moved = checked.map.entries.moved;
            // Alternates between mostly growing and mostly shrinking.
            if (rng.below(10) < 8) == (step % 10_000 < 5000) {
                checked.map.insert(&prefix, step).unwrap();
                checked.model.insert(prefix, step);
            } else {
                assert_eq!(checked.map.remove(&prefix), checked.model.remove(&prefix));
            }
            match (moved, checked.map.entries.moved) {
                (0, now) => assert!(now == 0 || checked.map.entries.slots.len() - now <= MOVE_SLOTS),
                (before, now) => {
                    assert!(now == before || now == before.saturating_sub(MOVE_SLOTS), "{before} {now}");
                    moves += u32::from(now < before);
                }
            }
            let entries = &checked.map.entries;
            assert!(entries.arena.len() == entries.dead + entries.live || entries.moved > 0);
            let topic = [&(rng.below(6000) as u32).to_le_bytes()[..], &[7; 8]].concat();
            assert_eq!(checked.map.get(&topic[..10]), checked.model.get(&topic[..10]));
            checked.map.warm([&topic[..]].into_iter());
            if step % 1000 == 0 {
                checked.check_all();
                checked.check_topic(&topic);
            }
        }
        assert!(moves > 100, "the arena was compacted");
        assert!(checked.map.table.largest() <= 2 * 1024, "{} in a table", checked.map.table.largest());
        checked.check_all();
        let all: Vec<_> = checked.model.keys().cloned().collect();
        all.iter().for_each(|prefix| assert!(checked.map.remove(prefix).is_some()));
        assert!(checked.map.is_empty() && checked.map.allocated_bytes() < 40_000);
    });
}

#[test]
fn the_ids_of_removed_entries_name_nothing() {
    let mut map = PrefixMap::new(1);
    let id = map.insert(b"a", 1).unwrap();
    assert_eq!(map.remove_id(id), Some(1));
    assert_eq!((map.remove_id(id), map.value_mut(id)), (None, None));
    assert_eq!((map.value(id), map.prefix(id)), (None, None));
    assert_eq!(map.insert(b"b", 2), Ok(id), "the number is used again");
}

#[test]
fn long_prefixes_match_to_the_last_byte() {
    let mut map = PrefixMap::new(1);
    let long = [b'x'; 300];
    map.insert(&long, 1).unwrap();
    map.insert(&long[..254], 2).unwrap();
    map.insert(&long[..255], 3).unwrap();
    map.insert(&[&long[..299], b"y"].concat(), 4).unwrap();
    let mut found = Vec::new();
    map.for_each_match(&[&long[..], b"z"].concat(), |_, value| found.push(*value));
    assert_eq!(found, [2, 3, 1]);
}

#[test]
fn a_full_arena_is_an_error_and_changes_nothing() {
    let mut map = PrefixMap::new(1);
    map.entries.bytes_max = 64;
    map.insert(&[1; 31], 1).unwrap();
    map.insert(&[2; 31], 2).unwrap();
    let full = IndexFull { arena_bytes_max: 64 };
    assert_eq!(map.insert(b"", 3), Err(full));
    assert_eq!((map.len(), map.bytes(), map.get(b"")), (2, 62, None));
    assert_eq!(map.insert(&[2; 31], 4).map(|id| map.value(id).copied()), Ok(Some(4)));
    // What was removed makes room again.
    map.remove(&[1; 31]);
    map.insert(&[3; 31], 5).unwrap();
    assert_eq!(map.get(&[2; 31]), Some(&4));
    assert!(full.to_string().contains("64 bytes"));
}

#[test]
fn the_walk_hashes_every_prefix_as_if_alone() {
    for_seeds(50, |rng| {
        let seed = rng.next();
        let hash = PrefixHash::new(seed);
        let topic: Vec<u8> = (0..40).map(|n: u8| n.wrapping_mul(7).wrapping_add(seed as u8)).collect();
        for end in 0..=topic.len() {
            let mut walk = hash.walk(&topic[..end]);
            for len in 0..=end {
                assert_eq!(walk.at(len), hash.hash(&topic[..len]), "length {len} of {end}");
            }
        }
    });
}

#[test]
fn the_hash_tells_zeros_and_seeds_apart() {
    let hash = PrefixHash::new(5);
    let mut seen = BTreeSet::new();
    for len in 0..64 {
        assert!(seen.insert(hash.hash(&[0; 64][..len])), "{len} zero bytes");
        assert!(seen.insert(PrefixHash::new(6).hash(&[0; 64][..len])), "{len} zero bytes, other seed");
    }
}

#[test]
fn what_tables_move_to_make_room_is_counted() {
    let hash = PrefixHash::new(7);
    let hash = |id: u32| hash.hash(&id.to_be_bytes());
    let (mut tables, hashed, mut counted) = (Tables::new(), Cell::new(0), 0);
    let hash_of = |id| {
        hashed.set(hashed.get() + 1);
        hash(id)
    };
    for id in 0..20_000 {
        tables.make_room(hash(id), 20_000, &hash_of);
        tables.insert(hash(id), id);
        counted += tables.take_moved();
        assert_eq!(counted, hashed.get());
    }
    assert!(counted >= 20_000, "{counted} were moved");
    for id in 0..20_000 {
        tables.remove(hash(id), id, 20_000, &hash_of);
    }
    assert_eq!(counted + tables.take_moved(), hashed.get());
}

#[test]
fn crowded_tables_find_what_they_hold() {
    for_seeds(50, |rng| {
        let mut table = Table::with_room(400, 400);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut free: Vec<u32> = (0..400).collect();
        // Hashes with few home buckets, the last bucket among them, and often with the same tag.
        let homes = [0, 1, u32::MAX / 2, u32::MAX - 5, u32::MAX];
        let hash = |rng: &mut Rng| u64::from(homes[rng.below(5)]) << 32 | (rng.next() & 0x8000_0000);
        for _ in 0..3000 {
            let some = model.iter().nth(rng.below(model.len().max(1))).map(|(&id, &hash)| (id, hash));
            match (rng.below(2), some) {
                (0, Some((id, hash))) => {
                    table.remove(hash, id);
                    model.remove(&id);
                    free.push(id);
                }
                _ if free.is_empty() || !table.has_room(400) => {
                    table = Table::with_room(400, 400);
                    model.iter().for_each(|(&id, &hash)| table.insert(hash, id));
                }
                _ => {
                    let (id, hash) = (free.swap_remove(rng.below(free.len())), hash(rng));
                    table.insert(hash, id);
                    model.insert(id, hash);
                }
            }
            assert_eq!(table.len(), model.len());
            if let Some((id, hash)) = some {
                let expected = model.contains_key(&id).then_some(id);
                assert_eq!(table.find(hash, |other| other == id), expected);
            }
        }
        for (&id, &hash) in &model {
            assert_eq!(table.find(hash, |other| other == id), Some(id));
        }
    });
}

#[test]
fn short_prefixes_do_not_reach_hidden_topics() {
    for_seeds(100, |rng| {
        let beginning = rng.prefix(3);
        let hidden = Hidden::beginning_with(&beginning);
        let mut map = PrefixMap::new(rng.next()).hiding(hidden.clone());
        let prefixes: BTreeSet<Vec<u8>> = (0..20).map(|_| rng.prefix(4)).collect();
        prefixes.iter().for_each(|prefix| _ = map.insert(prefix, ()).unwrap());
        for _ in 0..50 {
            let topic = rng.prefix(9);
            let mut found = Vec::new();
            map.for_each_match(&topic, |id, ()| found.push(map.prefix(id).unwrap().to_vec()));
            let reach = |prefix: &&Vec<u8>| {
                topic.starts_with(prefix)
                    && !(topic.starts_with(&beginning) && prefix.len() < beginning.len())
            };
            let expected: Vec<_> = prefixes.iter().filter(reach).cloned().collect();
            assert_eq!(found, expected, "{topic:?}, hidden is {beginning:?}");
            assert_eq!(map.matches_any(&topic), !expected.is_empty());
            // Topics with the same first bytes match the same prefixes.
            let mut of_head = Vec::new();
            let head = map.decisive().of(&topic);
            map.for_each_match(head, |id, ()| of_head.push(map.prefix(id).unwrap().to_vec()));
            assert_eq!(of_head, expected);
        }
    });
}
