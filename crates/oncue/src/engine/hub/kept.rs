//! Last values: the newest message of each topic that the user keeps, for later subscribers. The store and the outbox
//! change together, so a shard knows which of the kept messages it has still to send.
//!
//! Messages that are passed on in batches are noted by reference, and looked through when somebody asks, or when they are
//! many: of a topic that has a hundred messages meanwhile, one is copied.

#[cfg(test)]
mod tests;

mod recent;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use oncue_core::frame;
use oncue_core::ledger::{Ledger, PeerId};
use oncue_core::topic::index::{EntryId, PrefixMap};

use self::recent::Recent;
pub(crate) use self::recent::Sent;
use super::outbox::Number;
use crate::error::{Error, Result};
use crate::msg::{Frames, MESSAGE_BYTES_MAX, Msg};
use crate::sync::lock;

/// What a kept value takes besides its topic and its message, about, in bytes.
const OVERHEAD_BYTES: u64 = 256;
/// How many topics are searched, and how much is found, under one lock.
const PASS_TOPICS_MAX: u64 = 4096;
pub(crate) const PORTION: Portion = Portion { values: PASS_TOPICS_MAX, bytes: 256 << 10 };

/// The kept values of one socket.
pub(crate) struct LastValues {
    /// Whether anything was ever kept; until then the lock is not taken.
    used: AtomicBool,
    store: Mutex<Store>,
    /// How many values were given to new subscribers.
    pub(crate) offered: AtomicU64,
}

pub(crate) struct Store {
    /// Every topic with a value; its number is the place of the value.
    topics: PrefixMap<()>,
    values: Vec<Slot>,
    /// The topics in order, but for the unsorted ones. May hold topics that are gone.
    sorted: BTreeMap<Box<[u8]>, Birth>,
    /// Topics that are new since somebody asked for an order; most stores are asked seldom.
    unsorted: Vec<Birth>,
    /// Every topic with a stamp that is not newer than its value's, the lowest first. May hold topics that are gone.
    order: BinaryHeap<Reverse<(u64, EntryId)>>,
    next_stamp: u64,
    pub(crate) bytes: u64,
    bytes_max: u64,
    /// How many values it had no room for.
    pub(crate) dropped: u64,
    /// Messages of which the newest of each topic is still to be kept.
    recent: Recent,
}

/// The place of a value.
#[derive(Default)]
struct Slot {
    kept: Option<Box<Kept>>,
    /// Which of the recent messages is the newest of the topic, as far as they are looked through; 0 if none is.
    newest: u64,
}

/// A topic since it got its first value. Its number may be used again; its first stamp is not.
#[derive(Clone, Copy)]
struct Birth {
    id: EntryId,
    stamp: u64,
}

struct Kept {
    of: Keeping,
    /// Where it is queued if it was sent: a shard that has not come so far will send it.
    number: Option<Number>,
    stamp: u64,
    /// The stamp of the topic's first value.
    born: u64,
}

/// A message that is kept.
#[derive(Clone)]
pub(crate) struct Keeping {
    /// In a buffer of its own.
    pub(crate) value: Msg,
    pub(crate) expires: Option<Duration>,
    /// The topic that it is kept under, where that is only the beginning of its first frame.
    pub(crate) key: Option<Arc<[u8]>>,
    /// Only for peers that want exactly its topic, not for all that want a beginning of it.
    pub(crate) exact: bool,
    /// Where it came from, if that is known: a number that its user chose, or 0.
    pub(crate) origin: u64,
}

impl Keeping {
    /// A value in a buffer of its own, kept under its topic for ever.
    pub(crate) fn of(value: Msg) -> Keeping {
        Keeping { value, expires: None, key: None, exact: false, origin: 0 }
    }

    fn topic(&self) -> &[u8] {
        self.key.as_deref().unwrap_or(self.value.topic())
    }

    fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Prefixes that are new to a peer and in force, each with a number: messages from that number on reach the peer by
/// the normal way.
pub(crate) type Fresh = BTreeMap<Vec<u8>, Number>;

/// The question of one peer: which values are kept for these prefixes, and not wanted by it through another prefix?
pub(crate) struct Asking<'a> {
    pub(crate) peer: PeerId,
    pub(crate) prefixes: &'a Fresh,
    /// Prefixes that are asked about afterwards.
    pub(crate) later: &'a Fresh,
    /// Topics that are not asked about.
    pub(crate) passed: &'a BTreeSet<Vec<u8>>,
    pub(crate) now: Duration,
}

/// How much is found at a time: at most this many values, and this many bytes or one value.
#[derive(Clone, Copy)]
pub(crate) struct Portion {
    pub(crate) values: u64,
    pub(crate) bytes: u64,
}

/// How far an answer has come. It goes by topics, ascending.
#[derive(Default)]
pub(crate) struct Cursor {
    prefix: Option<Vec<u8>>,
    /// All topics of the prefix have been searched.
    done: bool,
    /// The last topic that was searched.
    topic: Option<Box<[u8]>>,
}

impl Cursor {
    /// The prefix that is searched next. Prefixes that begin with a searched one are answered by it.
    fn next<'a>(&self, prefixes: &'a Fresh) -> Option<&'a Vec<u8>> {
        let Some(prefix) = &self.prefix else { return prefixes.keys().next() };
        let from = prefixes.range::<[u8], _>((Bound::Included(&prefix[..]), Bound::Unbounded));
        let mut next = from.map(|(prefix, _)| prefix);
        match self.done {
            true => next.find(|next| !next.starts_with(prefix)),
            false => next.next(),
        }
    }
}

impl LastValues {
    pub(crate) fn new(bytes_max: u64) -> LastValues {
        let (used, offered) = Default::default();
        LastValues { used, store: Mutex::new(Store::new(bytes_max)), offered }
    }

    /// Whether the store may hold values.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// The store, with all that was sent.
    pub(crate) fn look(&self) -> MutexGuard<'_, Store> {
        let mut store = lock(&self.store);
        store.take_in();
        store
    }

    pub(crate) fn get(&self, topic: &[u8], now: Duration) -> Option<Msg> {
        let store = self.look();
        let kept = store.topics.find(topic).and_then(|id| store.kept(id));
        kept.filter(|kept| !kept.of.is_over(now)).map(|kept| kept.of.value.clone())
    }

    pub(crate) fn forget(&self, topic: &[u8]) -> bool {
        self.look().remove(topic)
    }

    /// Forgets what is kept under a prefix and is not to stay, by its topic and its value. Others may use the store after each
    /// portion.
    pub(crate) fn retain_under(&self, prefix: &[u8], mut stays: impl FnMut(&[u8], &Keeping) -> bool) {
        let (mut after, mut more) = (None, self.is_used());
        while more {
            after = self.retain_portion(prefix, after, &mut stays);
            more = after.is_some();
        }
    }

    /// The same for a portion, after the topic `after`. Returns where to go on; `None` when all is done.
    fn retain_portion(
        &self,
        prefix: &[u8],
        after: Option<Box<[u8]>>,
        mut stays: impl FnMut(&[u8], &Keeping) -> bool,
    ) -> Option<Box<[u8]>> {
        let mut store = self.look();
        store.sort();
        let from = after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let (mut searched, mut last, mut gone) = (0, None, Vec::new());
        for (topic, birth) in store.under(prefix, from).take(PASS_TOPICS_MAX as usize) {
            searched += 1;
            last = Some(topic);
            if store.born(birth).is_some_and(|kept| !stays(topic, &kept.of)) {
                gone.push(birth.id);
            }
        }
        let last = last.filter(|_| searched == PASS_TOPICS_MAX).cloned();
        gone.into_iter().for_each(|id| store.remove_id(id));
        store.make_room();
        last
    }

    /// The store, for changes.
    pub(crate) fn open(&self) -> MutexGuard<'_, Store> {
        // Before the change: a shard that finds it unset has asked before anything was kept.
        self.used.store(true, Ordering::SeqCst);
        self.look()
    }

    /// The store, to note what is sent.
    pub(crate) fn open_to_note(&self) -> MutexGuard<'_, Store> {
        self.used.store(true, Ordering::SeqCst);
        lock(&self.store)
    }

    /// Calls `found` with the next portion of what is kept for a peer. Returns whether that was all; call it again
    /// until it is, while the shard sends nothing. What changes meanwhile is queued with a higher number.
    pub(crate) fn pass(
        &self,
        ledger: &Ledger,
        asking: &Asking<'_>,
        at: &mut Cursor,
        portion: Portion,
        mut found: impl FnMut(&Msg),
    ) -> bool {
        let mut store = self.look();
        store.sort();
        let (mut bytes, mut values, mut topics) = (0, 0, 0);
        while let Some(prefix) = at.next(asking.prefixes) {
            let from = match &at.topic {
                Some(topic) if topic[..] >= prefix[..] => Bound::Excluded(&topic[..]),
                _ => Bound::Included(&prefix[..]),
            };
            let (mut last, mut done) = (None, true);
            for (topic, birth) in store.under(prefix, from) {
                let kept = store.born(birth).filter(|kept| asking.wants(ledger, topic, kept));
                let len = kept.map_or(0, |kept| kept.of.value.wire().len() as u64);
                let too_much = values >= portion.values || values > 0 && bytes + len > portion.bytes;
                if topics >= PASS_TOPICS_MAX || kept.is_some() && too_much {
                    done = false;
                    break;
                }
                (last, topics) = (Some(topic.clone()), topics + 1);
                if let Some(kept) = kept {
                    (bytes, values) = (bytes + len, values + 1);
                    found(&kept.of.value);
                }
            }
            *at = Cursor { prefix: Some(prefix.clone()), done, topic: last.or(at.topic.take()) };
            if !done {
                return false;
            }
        }
        true
    }
}

impl Asking<'_> {
    fn wants(&self, ledger: &Ledger, topic: &[u8], kept: &Kept) -> bool {
        if kept.of.is_over(self.now) || self.passed.contains(topic) {
            return false;
        }
        if kept.of.exact {
            return self.prefixes.contains_key(topic);
        }
        let (mut known, mut unrouted) = (false, None);
        ledger.for_each_prefix_of(self.peer, topic, |prefix| {
            match self.prefixes.get(prefix).or_else(|| self.later.get(prefix)) {
                Some(&number) => unrouted = Some(unrouted.unwrap_or(number).min(number)),
                None => known = true,
            }
        });
        !known && unrouted.is_some_and(|from: Number| kept.number.is_none_or(|number| number < from))
    }
}

impl Store {
    fn new(bytes_max: u64) -> Store {
        let (values, sorted, unsorted, order, recent) = Default::default();
        let (next_stamp, bytes, dropped) = (1, 0, 0);
        // Peers choose the topics.
        let topics = PrefixMap::new(RandomState::new().hash_one(0));
        Store { topics, values, sorted, unsorted, order, next_stamp, bytes, bytes_max, dropped, recent }
    }

    /// Keeps a value in place of the older one of its topic. The oldest values make room; a value that is larger than
    /// the bound is not kept.
    pub(crate) fn keep(&mut self, of: Keeping, number: Option<Number>) {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        match self.place(of.topic()) {
            Some(id) => self.put(id, of, number, stamp),
            None => self.dropped += 1,
        }
        self.make_room();
    }

    /// Notes messages that were sent.
    pub(crate) fn note(&mut self, sent: Sent) {
        if self.recent.add(sent, self.bytes_max) {
            self.take_in();
        }
    }

    /// Keeps the newest of the messages that were noted, of each topic.
    fn take_in(&mut self) {
        let recent = self.recent.take();
        if recent.is_empty() {
            return;
        }
        // The n-th of them, from 1 on, has the n-th stamp from here on.
        let stamps = self.next_stamp - 1;
        let (mut nth, mut topics) = (0, Vec::new());
        for sent in &recent {
            for message in sent.messages.clone() {
                nth += 1;
                match self.place(frame::topic(sent.chunk.message(message))) {
                    Some(id) => {
                        let newest = &mut self.values[id.index()].newest;
                        if *newest == 0 {
                            topics.push(id);
                        }
                        *newest = nth;
                    }
                    None => self.dropped += 1,
                }
            }
        }
        self.next_stamp += nth;
        let ends: Vec<u64> = recent
            .iter()
            .scan(0, |end, sent| {
                *end += u64::from(sent.messages.end - sent.messages.start);
                Some(*end)
            })
            .collect();
        for id in topics {
            let nth = std::mem::take(&mut self.values[id.index()].newest);
            let at = ends.partition_point(|end| *end < nth);
            let Sent { chunk, messages, number, origin } = &recent[at];
            let message = messages.end - 1 - (ends[at] - nth) as u32;
            let value = Msg::from_wire(chunk.message(message).to_vec());
            let number = number.map(|(chunk, first)| (chunk, first + message));
            self.put(id, Keeping { origin: *origin, ..Keeping::of(value) }, number, stamps + nth);
        }
        self.make_room();
    }

    /// The place of a topic; none if there are too many bytes of topics.
    fn place(&mut self, topic: &[u8]) -> Option<EntryId> {
        let (id, new) = self.topics.get_or_insert_with(topic, || ()).ok()?;
        if new && self.values.len() <= id.index() {
            self.values.resize_with(id.index() + 1, Slot::default);
        }
        Some(id)
    }

    fn put(&mut self, id: EntryId, of: Keeping, number: Option<Number>, stamp: u64) {
        let cost = cost(&of.value);
        if cost > self.bytes_max {
            self.remove_id(id);
            self.dropped += 1;
            return;
        }
        self.bytes += cost;
        match &mut self.values[id.index()].kept {
            Some(old) => {
                self.bytes -= self::cost(&old.of.value);
                **old = Kept { of, number, stamp, born: old.born };
            }
            none => {
                *none = Some(Box::new(Kept { of, number, stamp, born: stamp }));
                self.order.push(Reverse((stamp, id)));
                self.unsorted.push(Birth { id, stamp });
            }
        }
    }

    /// Brings the store below its bound, and what is remembered of topics that are gone below that of the others.
    fn make_room(&mut self) {
        while self.bytes > self.bytes_max {
            self.remove_oldest();
        }
        let most = 2 * self.topics.len() + 64;
        if self.order.len() > most {
            let values = self.topics.iter().filter_map(|(id, ..)| Some(Reverse((self.kept(id)?.stamp, id))));
            self.order = values.collect();
        }
        if self.unsorted.len() > most {
            let unsorted = std::mem::take(&mut self.unsorted);
            self.unsorted = unsorted.into_iter().filter(|birth| self.born(birth).is_some()).collect();
        }
        if self.sorted.len() > most {
            let mut sorted = std::mem::take(&mut self.sorted);
            sorted.retain(|_, birth| self.born(birth).is_some());
            self.sorted = sorted;
        }
    }

    fn remove_oldest(&mut self) {
        let Reverse((stamp, id)) = self.order.pop().expect("every topic is in the order");
        match self.kept(id).map(|kept| kept.stamp) {
            Some(newest) if newest == stamp => {
                self.remove_id(id);
                self.dropped += 1;
            }
            Some(newest) => self.order.push(Reverse((newest, id))),
            None => {}
        }
    }

    fn remove(&mut self, topic: &[u8]) -> bool {
        let id = self.topics.find(topic);
        id.into_iter().for_each(|id| self.remove_id(id));
        self.make_room();
        id.is_some()
    }

    /// Removes a topic, with its value if it has one.
    fn remove_id(&mut self, id: EntryId) {
        self.topics.remove_id(id);
        if let Some(kept) = self.values[id.index()].kept.take() {
            self.bytes -= cost(&kept.of.value);
        }
        if self.topics.is_empty() {
            self.values = Vec::new();
        }
    }

    fn kept(&self, id: EntryId) -> Option<&Kept> {
        self.values.get(id.index())?.kept.as_deref()
    }

    /// The value of a topic that was not removed since.
    fn born(&self, birth: &Birth) -> Option<&Kept> {
        self.kept(birth.id).filter(|kept| kept.born == birth.stamp)
    }

    /// Sorts new topics in.
    fn sort(&mut self) {
        for birth in std::mem::take(&mut self.unsorted) {
            if self.born(&birth).is_some()
                && let Some(topic) = self.topics.prefix(birth.id)
            {
                self.sorted.insert(topic.into(), birth);
            }
        }
        self.make_room();
    }

    /// The sorted topics with a prefix, from one on, and perhaps some that are gone.
    fn under(&self, prefix: &[u8], from: Bound<&[u8]>) -> impl Iterator<Item = (&Box<[u8]>, &Birth)> {
        let under = self.sorted.range::<[u8], _>((from, Bound::Unbounded));
        under.take_while(move |(topic, _)| topic.starts_with(prefix))
    }

    pub(crate) fn values(&self) -> u64 {
        self.topics.len() as u64
    }
}

/// The cost of a value, in bytes: its topic is held a second time, as a key.
fn cost(value: &Msg) -> u64 {
    (value.topic().len() + value.wire().len()) as u64 + OVERHEAD_BYTES
}

/// A message in a buffer that holds nothing else.
pub(crate) fn stand_alone(frames: &impl Frames) -> Result<Msg> {
    let mut wire = match frames.shared() {
        Some(message) => Vec::with_capacity(message.wire().len()),
        None => Vec::new(),
    };
    frames.put(&mut wire);
    if wire.len() > MESSAGE_BYTES_MAX {
        return Err(Error::misuse("the message is larger than 2 GiB; send it in parts"));
    }
    wire.shrink_to_fit();
    Ok(Msg::from_wire(wire))
}
