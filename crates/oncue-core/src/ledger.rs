//! The ledger: the set of (peer, prefix) pairs in force, the single source of truth about demand. It has no queues,
//! connections or locks: all shards of a socket share one ledger, behind a lock of the caller.
//!
//! Peers of one shard with equal sets of prefixes form one *audience*, and the prefix index contains only audiences, so a
//! message is matched once for a thousand equal subscribers. The holders of a prefix in the index decide whether a pair is
//! in force; everything else is derived from them:
//!
//! - The list of an audience names at least all prefixes that it holds. It may name more only while *unsettled*.
//! - A *settled* audience has an exact, sorted list, does not change, and is found by its set. Only it may be shared.
//! - A peer whose set changes first gets an unsettled audience of its own, so that only this peer pays for the change.
//! - An audience with very many prefixes has no list: the index is searched instead.
//!
//! Each operation is short, however many prefixes a peer has: the prefixes of a peer that left are released in slices.
mod holders;
mod ids;
mod quota;
mod release;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use hashbrown::HashTable;
use holders::{Crowds, Holders};
pub use ids::{AudienceId, PeerId};
pub use quota::{Quota, QuotaExceeded};
use slab::Slab;

use crate::topic::Hidden;
use crate::topic::index::{Decisive, EntryId, PrefixHash, PrefixMap, reserve_tight, shrink};

/// An audience with more prefixes is never shared: comparing sets would cost more than matching it separately.
pub const SETTLE_PREFIXES_MAX: usize = 64;

/// An audience with more prefixes has no list of them. The limits are lower in tests, to reach them more often.
const LISTED_PREFIXES_MAX: usize = if cfg!(test) { 200 } else { 32 << 10 };
/// The prefixes of a peer that leaves are released at once if they are at most this many, and have at most
/// [`DETACH_PREFIX_BYTES_MAX`] together.
pub const DETACH_PREFIXES_MAX: usize = if cfg!(test) { 20 } else { 1024 };
/// The limit in bytes beside [`DETACH_PREFIXES_MAX`].
pub const DETACH_PREFIX_BYTES_MAX: u64 = 1 << 20;

/// The effect of a subscription or a cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// None: the pair was already in force, or there was none to cancel.
    None,
    /// The pair is now in force; other peers have the prefix too.
    Added,
    /// The pair is now in force, as the first of its prefix: a demand event.
    Wanted,
    /// The pair ended; other peers still have the prefix.
    Removed,
    /// The pair ended, as the last of its prefix: a demand event.
    Unwanted,
}

/// A pair that has ended because its peer has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended<'a> {
    /// The caller's name for the departure, see [`Ledger::detach`].
    pub mark: u64,
    /// The prefix.
    pub prefix: &'a [u8],
    /// Whether it was the last pair of its prefix: a demand event.
    pub unwanted: bool,
}

/// The holder of a prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// An attached peer.
    Peer(PeerId),
    /// A peer that has left with this mark; what it held is still to be released.
    Left(u64),
}

/// The set of (peer, prefix) pairs in force.
///
/// To pass a [`PeerId`] that is not attached, or an [`AudienceId`] that is no longer valid, is an error of the caller: methods
/// panic, or answer for the peer or audience that has that number now.
pub struct Ledger {
    quota: Quota,
    hash: PrefixHash,
    index: PrefixMap<Holders>,
    crowds: Crowds,
    audiences: Vec<Audience>,
    audiences_free: Vec<u32>,
    peers: Slab<Peer>,
    /// The settled audiences, by shard and set.
    settled: HashTable<u32>,
    /// Audiences without peers whose prefixes are being released.
    leaving: VecDeque<Leaving>,
    pairs: u64,
    /// Topics go to the audiences that hold none of their prefixes. Then each peer has an audience, with or without prefixes.
    inverted: bool,
}

struct Audience {
    shard: u16,
    settled: bool,
    /// Whether `prefixes` is maintained.
    listed: bool,
    /// How many prefixes are in force for each of the peers.
    held: u32,
    /// The sum of their lengths.
    held_bytes: u64,
    peers: Vec<PeerId>,
    /// All prefixes held, if listed. While unsettled it may contain cancelled prefixes and duplicates: the holders decide.
    prefixes: Vec<EntryId>,
}

/// How much of an audience is released.
struct Leaving {
    audience: u32,
    /// The next position in its list to examine, or the next number of the index.
    next: u32,
    /// The caller's name for the departure.
    mark: u64,
}

#[derive(Clone, Copy)]
struct Peer {
    token: u64,
    shard: u16,
    /// `NONE` while the peer has no prefixes, unless matching is inverted.
    audience: u32,
    /// The position in the audience's `peers`.
    place: u32,
}

const NONE: u32 = u32::MAX;

impl Ledger {
    /// An empty ledger. `seed` keys its hashes: it should be random and secret.
    pub fn new(seed: u64, quota: Quota) -> Ledger {
        Ledger {
            quota,
            hash: PrefixHash::new(!seed),
            index: PrefixMap::new(seed),
            crowds: Crowds::default(),
            audiences: Vec::new(),
            audiences_free: Vec::new(),
            peers: Slab::new(),
            settled: HashTable::new(),
            leaving: VecDeque::new(),
            pairs: 0,
            inverted: false,
        }
    }

    /// The same with inverted matching: a peer wants each topic that starts with none of its prefixes. Edges are those of
    /// prefixes nevertheless. To be called before the first [`attach`](Self::attach).
    pub fn inverted(mut self) -> Ledger {
        self.inverted = true;
        self
    }

    /// The same with hidden topics. To be called before the first [`attach`](Self::attach).
    pub fn hiding(mut self, hidden: Hidden) -> Ledger {
        self.index = self.index.hiding(hidden);
        self
    }

    /// Adds a peer of `shard` without any prefix. `token` is the caller's own name for it.
    pub fn attach(&mut self, shard: u16, token: u64) -> PeerId {
        let id = self.peers.insert(Peer { token, shard, audience: NONE, place: 0 });
        let peer = PeerId(u32::try_from(id).expect("fewer than 2^32 peers"));
        if self.inverted {
            self.join_new(peer);
            self.settle(peer);
        }
        peer
    }

    /// The caller's name for the peer, see [`Self::attach`].
    pub fn token(&self, peer: PeerId) -> u64 {
        self.peer(peer).token
    }

    /// Puts (peer, prefix) in force: [`Change::None`], [`Change::Added`] or [`Change::Wanted`].
    ///
    /// # Errors
    /// When the pair would be new and would exceed a limit; nothing has changed then.
    pub fn subscribe(&mut self, peer: PeerId, prefix: &[u8]) -> Result<Change, QuotaExceeded> {
        let known = self.index.lookup(prefix);
        let audience = self.peer(peer).audience;
        if known.as_ref().is_ok_and(|&id| self.holds(audience, id)) {
            return Ok(Change::None);
        }
        self.check_quota(audience, prefix.len())?;
        let audience = self.make_own(peer);
        let (id, change) = match known {
            Ok(id) => {
                self.crowds.add(self.index.value_mut(id).expect("found above"), AudienceId(audience));
                (id, Change::Added)
            }
            Err(missing) => {
                match self.index.insert_missing(missing, prefix, Holders::one(AudienceId(audience))) {
                    Ok(id) => (id, Change::Wanted),
                    Err(full) => {
                        self.leave_if_bare(peer);
                        return Err(QuotaExceeded::Ledger(full.arena_bytes_max));
                    }
                }
            }
        };
        self.pairs += 1;
        let own = &mut self.audiences[audience as usize];
        own.held += 1;
        own.held_bytes += prefix.len() as u64;
        if own.listed {
            reserve_tight(&mut own.prefixes, 1);
            own.prefixes.push(id);
            self.compact_if_stale(audience);
        }
        Ok(change)
    }

    /// Ends (peer, prefix): [`Change::None`] if the peer does not have it, [`Change::Removed`] or [`Change::Unwanted`].
    pub fn cancel(&mut self, peer: PeerId, prefix: &[u8]) -> Change {
        let audience = self.peer(peer).audience;
        let Some(id) = self.index.find(prefix) else { return Change::None };
        if !self.holds(audience, id) {
            return Change::None;
        }
        let audience = self.make_own(peer);
        self.pairs -= 1;
        let own = &mut self.audiences[audience as usize];
        own.held -= 1;
        own.held_bytes -= prefix.len() as u64;
        let held_by_others = self.release_one(audience, id);
        if !held_by_others {
            self.index.remove_id(id);
        }
        self.leave_if_bare(peer);
        self.compact_if_stale(audience);
        if held_by_others { Change::Removed } else { Change::Unwanted }
    }

    /// How many prefixes were moved to make room for others since the last call. Each costs a fraction of a change.
    pub fn take_moved(&mut self) -> u64 {
        self.index.take_moved()
    }

    /// Ends all pairs of `peer` and removes it: it belongs to no audience from now on. If it had few prefixes
    /// ([`DETACH_PREFIXES_MAX`]), calls `on_ended` with each. Otherwise [`release`](Self::release) does, and until then no
    /// peer wants them. `mark` is the caller's own name for the departure. Returns whether there is something to release.
    pub fn detach(&mut self, peer: PeerId, mark: u64, mut on_ended: impl FnMut(Ended<'_>)) -> bool {
        let audience = self.peer(peer).audience;
        let mut releases = false;
        if audience != NONE {
            let own = &self.audiences[audience as usize];
            let alone = own.peers.len() == 1;
            let small = own.listed
                && own.prefixes.len() <= DETACH_PREFIXES_MAX
                && own.held_bytes <= DETACH_PREFIX_BYTES_MAX;
            self.pairs -= u64::from(own.held);
            if alone {
                self.unsettle(audience);
                self.peers[peer.index()].audience = NONE;
                self.audiences[audience as usize].peers = Vec::new();
                let mut leaving = Leaving { audience, next: 0, mark };
                match small {
                    true => self.release_some(&mut leaving, usize::MAX, &mut on_ended),
                    false => self.leaving.push_back(leaving),
                }
                releases = !small;
            } else {
                // A shared audience is settled: its list is exact, and short.
                for &id in &own.prefixes {
                    let prefix = self.index.prefix(id).expect("a shared audience has an exact list");
                    on_ended(Ended { mark, prefix, unwanted: false });
                }
                self.leave(peer);
            }
        }
        self.peers.remove(peer.index());
        releases
    }

    /// Moves `peer` to the audience of its shard that has the same prefixes, if there is one and they are at most
    /// [`SETTLE_PREFIXES_MAX`]. To be called when the peer's changes pause, at the latest before many messages are matched. A
    /// peer that is not settled only costs more.
    pub fn settle(&mut self, peer: PeerId) {
        let audience = self.peer(peer).audience;
        if audience == NONE {
            return;
        }
        let own = &self.audiences[audience as usize];
        if own.settled || !own.listed || own.held as usize > SETTLE_PREFIXES_MAX {
            return;
        }
        self.compact(audience);
        let own = &self.audiences[audience as usize];
        let hash = set_hash(&self.hash, own);
        let same = |&other: &u32| {
            let other = &self.audiences[other as usize];
            other.shard == own.shard && other.prefixes == own.prefixes
        };
        if let Some(&other) = self.settled.find(hash, same) {
            for id in mem::take(&mut self.audiences[audience as usize].prefixes) {
                assert!(self.release_one(audience, id), "the other audience holds it too");
            }
            self.leave(peer);
            self.join(peer, other);
        } else {
            let rehash = |&other: &u32| set_hash(&self.hash, &self.audiences[other as usize]);
            self.settled.insert_unique(hash, audience, rehash);
            self.audiences[audience as usize].settled = true;
        }
    }

    /// Calls `found` for each audience that wants `topic`: once for each prefix of the topic that the audience holds. With
    /// inverted matching, once for each audience that holds none.
    #[inline]
    pub fn for_each_audience(&self, topic: &[u8], mut found: impl FnMut(AudienceId)) {
        if self.inverted {
            return self.others_of(topic).into_iter().for_each(found);
        }
        self.index.for_each_match(topic, |_, holders| {
            self.crowds.of(holders).iter().copied().for_each(&mut found);
        });
    }

    /// Puts the entries of the prefixes of `topic` into `entries`, which decide who wants it: topics with the same entries
    /// have the same audiences.
    #[inline]
    pub fn match_entries(&self, topic: &[u8], entries: &mut Vec<EntryId>) {
        entries.clear();
        self.index.for_each_match(topic, |id, _| entries.push(id));
    }

    /// Puts the audiences that want a topic with these entries into `audiences`: each once for each entry that it holds.
    /// With inverted matching those that hold none, each once.
    pub fn audiences_of(&self, entries: &[EntryId], audiences: &mut Vec<AudienceId>) {
        audiences.clear();
        if self.inverted {
            return audiences.extend(self.others(entries));
        }
        for holders in entries.iter().filter_map(|&id| self.index.value(id)) {
            audiences.extend_from_slice(self.crowds.of(holders));
        }
    }

    /// The audiences with peers that hold no prefix of `topic`.
    #[cold]
    #[inline(never)]
    fn others_of(&self, topic: &[u8]) -> Vec<AudienceId> {
        let mut entries = Vec::new();
        self.match_entries(topic, &mut entries);
        self.others(&entries)
    }

    /// The audiences with peers that hold none of these entries.
    #[cold]
    #[inline(never)]
    fn others(&self, entries: &[EntryId]) -> Vec<AudienceId> {
        let mut holders = Vec::new();
        for of_one in entries.iter().filter_map(|&id| self.index.value(id)) {
            holders.extend_from_slice(self.crowds.of(of_one));
        }
        holders.sort_unstable();
        let all = (0..self.audiences_end()).map(AudienceId);
        all.filter(|&id| !self.peers(id).is_empty() && holders.binary_search(&id).is_err()).collect()
    }

    /// Whether any peer wants `topic`, or wanted it and is not completely released.
    #[inline]
    pub fn wanted(&self, topic: &[u8]) -> bool {
        if self.inverted { !self.others_of(topic).is_empty() } else { self.index.matches_any(topic) }
    }

    /// Which bytes of a topic decide who wants it: topics that begin with the same ones have the same audiences.
    pub fn decisive(&self) -> Decisive<'_> {
        self.index.decisive()
    }

    /// Whether there are enough prefixes for [`Self::warm`] to pay.
    pub fn is_large(&self) -> bool {
        self.index.is_large()
    }

    /// Prefetches the memory that matching these topics will read. Changes no result.
    pub fn warm<'a>(&self, topics: impl Iterator<Item = &'a [u8]>) {
        self.index.warm(topics);
    }

    /// The peers of an audience, in no particular order.
    pub fn peers(&self, audience: AudienceId) -> &[PeerId] {
        &self.audiences[audience.index()].peers
    }

    /// The shard of an audience's peers.
    pub fn shard_of(&self, audience: AudienceId) -> u16 {
        self.audiences[audience.index()].shard
    }

    /// The audience of `peer`; `None` while it has no prefixes, unless matching is inverted. Any change of the ledger may change it.
    pub fn audience_of(&self, peer: PeerId) -> Option<AudienceId> {
        let audience = self.peer(peer).audience;
        (audience != NONE).then_some(AudienceId(audience))
    }

    /// All audiences have numbers below this one.
    pub fn audiences_end(&self) -> u32 {
        self.audiences.len() as u32
    }

    /// How many prefixes `peer` has, and the sum of their lengths in bytes.
    pub fn held(&self, peer: PeerId) -> (u32, u64) {
        self.held_by(self.peer(peer).audience)
    }

    /// Whether (peer, prefix) is in force.
    pub fn contains(&self, peer: PeerId, prefix: &[u8]) -> bool {
        let audience = self.peer(peer).audience;
        self.index.find(prefix).is_some_and(|id| self.holds(audience, id))
    }

    /// Calls `found` with each prefix of `peer` that `topic` starts with, the shortest first.
    pub fn for_each_prefix_of(&self, peer: PeerId, topic: &[u8], mut found: impl FnMut(&[u8])) {
        let audience = self.peer(peer).audience;
        if audience == NONE {
            return;
        }
        self.index.for_each_match(topic, |id, &holders| {
            if self.crowds.contains(holders, AudienceId(audience)) {
                found(self.index.prefix(id).expect("an entry that was just found"));
            }
        });
    }

    /// All prefixes in force, and how many peers have each, in no particular order. Prefixes to be released have 0 peers.
    pub fn prefixes(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.index.iter().map(|(_, prefix, holders)| (prefix, self.count_peers(holders)))
    }

    /// A part of [`prefixes`](Self::prefixes): those with the numbers `numbers`, each with all its peers. Others change meanwhile if
    /// the caller releases its lock between two parts; a prefix that is in force all the time is found once.
    pub fn for_each_prefix_in(
        &self,
        numbers: Range<u32>,
        mut found: impl FnMut(&[u8], &mut dyn Iterator<Item = PeerId>),
    ) {
        for id in numbers.start..numbers.end.min(self.numbers_end()) {
            let Some(id) = self.index.entry(id) else { continue };
            let (Some(prefix), Some(holders)) = (self.index.prefix(id), self.index.value(id)) else {
                continue;
            };
            let audiences = self.crowds.of(holders).iter();
            found(prefix, &mut audiences.flat_map(|id| self.audiences[id.index()].peers.iter().copied()));
        }
    }

    /// The numbers of all prefixes are below this one.
    pub fn numbers_end(&self) -> u32 {
        self.index.ids_end()
    }

    /// Calls `found` with each pair in force and each that is still to be released, in no particular order.
    pub fn for_each_pair(&self, mut found: impl FnMut(Holder, &[u8])) {
        let mut left: Vec<_> = self.leaving.iter().map(|leaving| (leaving.audience, leaving.mark)).collect();
        left.sort_unstable();
        for (_, prefix, holders) in self.index.iter() {
            for &audience in self.crowds.of(holders) {
                let peers = &self.audiences[audience.index()].peers;
                peers.iter().for_each(|&peer| found(Holder::Peer(peer), prefix));
                if peers.is_empty() {
                    let at = left.binary_search_by_key(&audience.0, |&(audience, _)| audience);
                    let (_, mark) = left[at.expect("an audience without peers is leaving")];
                    found(Holder::Left(mark), prefix);
                }
            }
        }
    }

    /// Whether some peer has exactly this prefix, or it is to be released.
    pub fn has(&self, prefix: &[u8]) -> bool {
        self.index.find(prefix).is_some()
    }

    /// How many distinct prefixes are in force or to be released.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no prefix is in force or to be released.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many (peer, prefix) pairs are in force.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The allocated memory, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        let lists = |audience: &Audience| {
            audience.peers.capacity() * size_of::<PeerId>()
                + audience.prefixes.capacity() * size_of::<EntryId>()
        };
        self.index.allocated_bytes()
            + self.crowds.allocated_bytes()
            + self.audiences.iter().map(lists).sum::<usize>()
            + self.audiences.capacity() * size_of::<Audience>()
            + self.peers.capacity() * size_of::<Peer>()
            + self.audiences_free.capacity() * size_of::<u32>()
            + self.settled.allocation_size()
    }

    fn peer(&self, peer: PeerId) -> &Peer {
        self.peers.get(peer.index()).unwrap_or_else(|| panic!("{peer:?} is not attached"))
    }

    /// Whether `audience` holds the prefix; `NONE` holds nothing.
    fn holds(&self, audience: u32, id: EntryId) -> bool {
        self.index.value(id).is_some_and(|&holders| self.crowds.contains(holders, AudienceId(audience)))
    }

    fn held_by(&self, audience: u32) -> (u32, u64) {
        self.audiences.get(audience as usize).map_or((0, 0), |audience| (audience.held, audience.held_bytes))
    }

    fn count_peers(&self, holders: &Holders) -> u32 {
        let peers = |audience: &AudienceId| self.audiences[audience.index()].peers.len() as u32;
        self.crowds.of(holders).iter().map(peers).sum()
    }

    fn check_quota(&self, audience: u32, len: usize) -> Result<(), QuotaExceeded> {
        let (held, held_bytes) = self.held_by(audience);
        self.quota.check(held.into(), held_bytes, len)
    }

    /// Removes `audience` from the holders of `id`. False if there are no holders left: the entry must be removed then.
    fn release_one(&mut self, audience: u32, id: EntryId) -> bool {
        self.crowds.remove(self.index.value_mut(id).expect("a prefix that is held"), AudienceId(audience))
    }

    /// The unsettled audience of `peer` alone, copied from the shared one if necessary.
    fn make_own(&mut self, peer: PeerId) -> u32 {
        let audience = self.peer(peer).audience;
        if audience == NONE {
            return self.join_new(peer);
        }
        let shared = &self.audiences[audience as usize];
        if shared.peers.len() == 1 {
            self.unsettle(audience);
            return audience;
        }
        let (held, held_bytes, prefixes) = (shared.held, shared.held_bytes, shared.prefixes.clone());
        self.leave(peer);
        let own = self.join_new(peer);
        for &id in &prefixes {
            self.crowds
                .add(self.index.value_mut(id).expect("a shared audience has an exact list"), AudienceId(own));
        }
        let audience = &mut self.audiences[own as usize];
        (audience.held, audience.held_bytes, audience.prefixes) = (held, held_bytes, prefixes);
        own
    }

    fn join_new(&mut self, peer: PeerId) -> u32 {
        let shard = self.peer(peer).shard;
        let audience = Audience {
            shard,
            settled: false,
            listed: true,
            held: 0,
            held_bytes: 0,
            peers: Vec::new(),
            prefixes: Vec::new(),
        };
        let id = match self.audiences_free.pop() {
            Some(id) => {
                self.audiences[id as usize] = audience;
                id
            }
            None => {
                self.audiences.push(audience);
                self.audiences.len() as u32 - 1
            }
        };
        self.join(peer, id);
        id
    }

    fn join(&mut self, peer: PeerId, audience: u32) {
        let peers = &mut self.audiences[audience as usize].peers;
        let member = &mut self.peers[peer.index()];
        (member.audience, member.place) = (audience, peers.len() as u32);
        peers.push(peer);
    }

    /// Removes `peer` from its audience. An audience that has no peers left must hold no prefixes, and ends.
    fn leave(&mut self, peer: PeerId) {
        let Peer { audience, place, .. } = *self.peer(peer);
        self.peers[peer.index()].audience = NONE;
        let left = &mut self.audiences[audience as usize];
        left.peers.swap_remove(place as usize);
        if let Some(moved) = left.peers.get(place as usize) {
            self.peers[moved.index()].place = place;
        }
        if left.peers.is_empty() {
            assert!(!left.settled, "a settled audience has peers");
            (left.peers, left.prefixes) = (Vec::new(), Vec::new());
            self.audiences_free.push(audience);
        }
    }

    /// Removes `peer` from its audience if it has no prefixes.
    fn leave_if_bare(&mut self, peer: PeerId) {
        let audience = self.peer(peer).audience;
        if self.audiences[audience as usize].held == 0 && !self.inverted {
            self.leave(peer);
        }
    }

    /// Removes `audience` from the table of settled ones, before it changes.
    fn unsettle(&mut self, audience: u32) {
        let own = &mut self.audiences[audience as usize];
        if mem::take(&mut own.settled) {
            let hash = set_hash(&self.hash, own);
            let entry = self.settled.find_entry(hash, |&other| other == audience);
            entry.expect("a settled audience is in the table").remove();
        }
    }

    /// Keeps the list of an unsettled audience below twice what it holds, and drops a very long list, since to compact it
    /// would take long.
    fn compact_if_stale(&mut self, audience: u32) {
        let own = &mut self.audiences[audience as usize];
        if own.prefixes.len() > LISTED_PREFIXES_MAX {
            (own.listed, own.prefixes) = (false, Vec::new());
        } else if own.prefixes.len() > 2 * own.held as usize + SETTLE_PREFIXES_MAX {
            self.compact(audience);
        }
    }

    fn compact(&mut self, audience: u32) {
        let mut prefixes = mem::take(&mut self.audiences[audience as usize].prefixes);
        self.make_exact(audience, &mut prefixes);
        shrink(&mut prefixes);
        self.audiences[audience as usize].prefixes = prefixes;
    }

    /// Sorts the list and keeps what `audience` holds, without duplicates. A number may belong to another prefix by now; if
    /// the audience holds that one too, it belongs in the list.
    fn make_exact(&self, audience: u32, prefixes: &mut Vec<EntryId>) {
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes.retain(|&id| self.holds(audience, id));
    }
}

fn set_hash(hash: &PrefixHash, audience: &Audience) -> u64 {
    let ids = audience.prefixes.iter().map(|id| id.index() as u32);
    hash.hash_words([u32::from(audience.shard)].into_iter().chain(ids))
}
