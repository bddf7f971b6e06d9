//! What the user of a SUB or XSUB subscribes to, and the changes that each upstream connection has still to send.
//! Not the connections, and not their queues.
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::topic::index::{IndexFull, PrefixMap};

/// The local set of subscriptions, with counts: a prefix subscribed to twice ends with the second unsubscribe, and
/// only the first and the last are changes that anybody upstream hears of.
///
/// Each change of the set has a version. A connection starts with [`Self::snapshot`] and goes on with
/// [`Self::changes_since`], so it sends each change exactly once and in order, at its own pace. Whoever owns the
/// connections calls [`Self::trim`] with the lowest version any of them is at (with [`Self::version`] when there is
/// none), and gives up a connection that lags too many changes behind, see [`Self::log_len`]: the log is bounded by
/// that alone.
pub struct Subscriptions {
    counts: PrefixMap<u64>,
    log: VecDeque<Change>,
    /// The version before the first change in the log.
    trimmed: u64,
}

struct Change {
    subscribe: bool,
    prefix: Box<[u8]>,
}

/// What an unsubscribe did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsubscribed {
    /// Nothing: the prefix was not subscribed to.
    Unknown,
    /// It is subscribed to still, once less.
    Still,
    /// It was the last one: the set has changed.
    Gone,
}

impl Subscriptions {
    /// No subscriptions, at version 0. `seed` keys the hash of the index.
    pub fn new(seed: u64) -> Subscriptions {
        Subscriptions { counts: PrefixMap::new(seed), log: VecDeque::new(), trimmed: 0 }
    }

    /// Subscribes once more to `prefix`. True if the set has changed.
    ///
    /// # Errors
    /// When the prefixes of the set have more bytes than can be addressed; nothing has changed then.
    pub fn subscribe(&mut self, prefix: &[u8]) -> Result<bool, IndexFull> {
        let (id, new) = self.counts.get_or_insert_with(prefix, || 0)?;
        *self.counts.value_mut(id).expect("in force since the line before") += 1;
        if new {
            self.log.push_back(Change { subscribe: true, prefix: prefix.into() });
        }
        Ok(new)
    }

    /// Takes one subscription to `prefix` back.
    pub fn unsubscribe(&mut self, prefix: &[u8]) -> Unsubscribed {
        let Some(id) = self.counts.find(prefix) else { return Unsubscribed::Unknown };
        let count = self.counts.value_mut(id).expect("an entry that was just found");
        *count -= 1;
        if *count > 0 {
            return Unsubscribed::Still;
        }
        self.counts.remove_id(id);
        self.log.push_back(Change { subscribe: false, prefix: prefix.into() });
        Unsubscribed::Gone
    }

    /// How many changes the set has seen.
    pub fn version(&self) -> u64 {
        self.trimmed + self.log.len() as u64
    }

    /// Calls `found` with each prefix of the set, in no particular order, and returns the version that this is.
    pub fn snapshot(&self, mut found: impl FnMut(&[u8])) -> u64 {
        self.counts.iter().for_each(|(_, prefix, _)| found(prefix));
        self.version()
    }

    /// Calls `found` with each change after `version`, true for a subscribe, and returns the version reached.
    ///
    /// # Panics
    /// When a change after `version` was trimmed, or `version` is yet to come: broken invariants both.
    pub fn changes_since(&self, version: u64, mut found: impl FnMut(bool, &[u8])) -> u64 {
        assert!(version >= self.trimmed, "the changes after {version} were trimmed up to {}", self.trimmed);
        assert!(version <= self.version(), "version {version} is after {}", self.version());
        let seen = (version - self.trimmed) as usize;
        self.log.range(seen..).for_each(|change| found(change.subscribe, &change.prefix));
        self.version()
    }

    /// Forgets the changes up to `version`; no connection may be at an earlier one.
    pub fn trim(&mut self, version: u64) {
        let version = version.min(self.version());
        let dropped = version.saturating_sub(self.trimmed);
        self.log.drain(..dropped as usize);
        self.trimmed += dropped;
        // A burst of subscriptions must not be paid for ever after.
        if self.log.capacity() / 4 > self.log.len() {
            self.log.shrink_to(2 * self.log.len());
        }
    }

    /// How many changes are kept for connections that have not sent them.
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// Whether the set has a prefix of `topic`.
    pub fn matches(&self, topic: &[u8]) -> bool {
        self.counts.matches_any(topic)
    }

    /// Whether the empty prefix is in the set, so that every topic matches.
    pub fn everything(&self) -> bool {
        self.counts.find(b"").is_some()
    }

    /// How many distinct prefixes the set has.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing is subscribed to.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}
