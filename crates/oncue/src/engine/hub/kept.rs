//! Last values: the newest message of each topic that the user keeps, for later subscribers. The store and the outbox
//! change together, so a shard knows which of the kept messages it has still to send.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use oncue_core::ledger::{Ledger, PeerId};

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

#[derive(Default)]
pub(crate) struct Store {
    topics: BTreeMap<Arc<[u8]>, Kept>,
    /// Every topic with a stamp that is not newer than its value's, the lowest first. May hold topics that are gone.
    order: BinaryHeap<Reverse<(u64, Arc<[u8]>)>>,
    next_stamp: u64,
    pub(crate) bytes: u64,
    bytes_max: u64,
    /// How many values it had no room for.
    pub(crate) dropped: u64,
}

struct Kept {
    of: Keeping,
    /// Where it is queued if it was sent: a shard that has not come so far will send it.
    number: Option<Number>,
    stamp: u64,
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
}

impl Keeping {
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
    topic: Option<Arc<[u8]>>,
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
        LastValues { used, store: Mutex::new(Store { bytes_max, ..Store::default() }), offered }
    }

    /// Whether the store may hold values.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn get(&self, topic: &[u8], now: Duration) -> Option<Msg> {
        let store = lock(&self.store);
        store.topics.get(topic).filter(|kept| !kept.of.is_over(now)).map(|kept| kept.of.value.clone())
    }

    pub(crate) fn forget(&self, topic: &[u8]) -> bool {
        lock(&self.store).remove(topic)
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
        after: Option<Arc<[u8]>>,
        mut stays: impl FnMut(&[u8], &Keeping) -> bool,
    ) -> Option<Arc<[u8]>> {
        let mut store = lock(&self.store);
        let from = after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let under = store.topics.range::<[u8], _>((from, Bound::Unbounded));
        let under = under.take_while(|(topic, _)| topic.starts_with(prefix));
        let (mut searched, mut last, mut gone) = (0, None, Vec::new());
        for (topic, kept) in under.take(PASS_TOPICS_MAX as usize) {
            searched += 1;
            last = Some(topic);
            if !stays(topic, &kept.of) {
                gone.push(topic.clone());
            }
        }
        let last = last.filter(|_| searched == PASS_TOPICS_MAX).cloned();
        gone.iter().for_each(|topic| _ = store.remove(topic));
        last
    }

    /// The store, for changes.
    pub(crate) fn open(&self) -> MutexGuard<'_, Store> {
        // Before the change: a shard that finds it unset has asked before anything was kept.
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
        let store = lock(&self.store);
        let (mut bytes, mut values, mut topics) = (0, 0, 0);
        while let Some(prefix) = at.next(asking.prefixes) {
            let from = match &at.topic {
                Some(topic) if topic[..] >= prefix[..] => Bound::Excluded(&topic[..]),
                _ => Bound::Included(&prefix[..]),
            };
            let (mut last, mut done) = (None, true);
            let under = store.topics.range::<[u8], _>((from, Bound::Unbounded));
            for (topic, kept) in under.take_while(|(topic, _)| topic.starts_with(prefix)) {
                let wanted = asking.wants(ledger, topic, kept);
                let len = kept.of.value.wire().len() as u64;
                let too_much = values >= portion.values || values > 0 && bytes + len > portion.bytes;
                if topics >= PASS_TOPICS_MAX || wanted && too_much {
                    done = false;
                    break;
                }
                (last, topics) = (Some(topic.clone()), topics + 1);
                if wanted {
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
    /// Keeps a value in place of the older one of its topic. The oldest values make room; a value that is larger than
    /// the bound is not kept.
    pub(crate) fn keep(&mut self, of: Keeping, number: Option<Number>) {
        let cost = cost(&of.value);
        if cost > self.bytes_max {
            self.remove(of.topic());
            self.dropped += 1;
            return;
        }
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.bytes += cost;
        let kept = Kept { of, number, stamp };
        if let Some(old) = self.topics.get_mut(kept.of.topic()) {
            self.bytes -= self::cost(&old.of.value);
            *old = kept;
        } else {
            let topic = kept.of.key.clone().unwrap_or_else(|| kept.of.value.topic().into());
            self.order.push(Reverse((stamp, topic.clone())));
            self.topics.insert(topic, kept);
        }
        while self.bytes > self.bytes_max {
            self.remove_oldest();
        }
        if self.order.len() > 2 * self.topics.len() + 64 {
            let all = self.topics.iter().map(|(topic, kept)| Reverse((kept.stamp, topic.clone())));
            self.order = all.collect();
        }
    }

    fn remove_oldest(&mut self) {
        let Reverse((stamp, topic)) = self.order.pop().expect("every topic is in the order");
        match self.topics.get(&topic) {
            Some(kept) if kept.stamp == stamp => {
                self.remove(&topic);
                self.dropped += 1;
            }
            Some(kept) => self.order.push(Reverse((kept.stamp, topic))),
            None => {}
        }
    }

    fn remove(&mut self, topic: &[u8]) -> bool {
        let Some(kept) = self.topics.remove(topic) else { return false };
        self.bytes -= cost(&kept.of.value);
        true
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
