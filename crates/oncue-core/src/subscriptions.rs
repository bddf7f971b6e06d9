//! What the user of a SUB or XSUB subscribes to, and the changes that each upstream connection still has to send. Connections
//! and their queues are not known here.
mod log;
#[cfg(test)]
mod tests;

use log::Log;

use crate::topic::index::{Decisive, IndexFull, PrefixMap};

/// The local set of subscriptions, with reference counts: a prefix that was subscribed to twice ends with the second
/// unsubscribe, and only the first and the last call are changes that are sent upstream.
///
/// Each change of the set has a version. A connection starts with [`Self::snapshot`] and continues with
/// [`Self::changes_since`], so it sends each change exactly once and in order, at its own pace. The owner of the connections
/// calls [`Self::trim`] with the lowest version of all of them (with [`Self::version`] when there is no connection), and
/// drops a connection that lags too many changes behind, see [`Self::log_len`]: only this bounds the log.
pub struct Subscriptions {
    counts: PrefixMap<u64>,
    log: Log,
    /// The version before the first change in the log.
    trimmed: u64,
    /// What matches is not wanted, and all else is.
    inverted: bool,
}

/// The result of an unsubscribe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsubscribed {
    /// Nothing: the prefix was not subscribed to.
    Unknown,
    /// The count is lower by 1; the prefix is still subscribed to.
    Still,
    /// The count is 0: the set has changed.
    Gone,
}

impl Subscriptions {
    /// An empty set at version 0. `seed` keys the hash of the index.
    pub fn new(seed: u64) -> Subscriptions {
        Subscriptions { counts: PrefixMap::new(seed), log: Log::default(), trimmed: 0, inverted: false }
    }

    /// The same with inverted matching: what matches no prefix is wanted.
    pub fn inverted(mut self) -> Subscriptions {
        self.inverted = true;
        self
    }

    /// Adds one subscription to `prefix`. Returns whether the set has changed.
    ///
    /// # Errors
    /// When the prefixes of the set would have more bytes than can be addressed; nothing has changed then.
    pub fn subscribe(&mut self, prefix: &[u8]) -> Result<bool, IndexFull> {
        let (id, new) = self.counts.get_or_insert_with(prefix, || 0)?;
        *self.counts.value_mut(id).expect("in force since the line before") += 1;
        if new {
            self.log.push(true, prefix);
        }
        Ok(new)
    }

    /// Removes one subscription to `prefix`.
    pub fn unsubscribe(&mut self, prefix: &[u8]) -> Unsubscribed {
        let Some(id) = self.counts.find(prefix) else { return Unsubscribed::Unknown };
        let count = self.counts.value_mut(id).expect("an entry that was just found");
        *count -= 1;
        if *count > 0 {
            return Unsubscribed::Still;
        }
        self.counts.remove_id(id);
        self.log.push(false, prefix);
        Unsubscribed::Gone
    }

    /// Prefetches the memory that changes of these prefixes will read.
    pub fn warm<'a>(&self, prefixes: impl Iterator<Item = &'a [u8]>) {
        self.counts.warm_exact(prefixes);
    }

    /// How many changes the set has seen.
    pub fn version(&self) -> u64 {
        self.trimmed + self.log.len() as u64
    }

    /// Calls `found` with each prefix of the set, in no particular order, and returns the current version.
    pub fn snapshot(&self, mut found: impl FnMut(&[u8])) -> u64 {
        self.counts.iter().for_each(|(_, prefix, _)| found(prefix));
        self.version()
    }

    /// Calls `found` with each change after `version`, true for a subscribe, and returns the current version.
    ///
    /// # Panics
    /// When a change after `version` was trimmed, or `version` is greater than the current one: both are broken invariants.
    pub fn changes_since(&self, version: u64, found: impl FnMut(bool, &[u8])) -> u64 {
        assert!(version >= self.trimmed, "the changes after {version} were trimmed up to {}", self.trimmed);
        assert!(version <= self.version(), "version {version} is after {}", self.version());
        let seen = (version - self.trimmed) as usize;
        self.log.for_each(seen, found);
        self.version()
    }

    /// Drops the changes up to `version`; no connection may be at an earlier one.
    pub fn trim(&mut self, version: u64) {
        let version = version.min(self.version());
        let dropped = version.saturating_sub(self.trimmed);
        self.log.trim(dropped as usize);
        self.trimmed += dropped;
    }

    /// How many changes are kept for connections that have not sent them.
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// Whether the set contains a prefix of `topic`.
    pub fn matches(&self, topic: &[u8]) -> bool {
        self.counts.matches_any(topic)
    }

    /// Which bytes of a topic decide whether it matches.
    pub fn decisive(&self) -> Decisive<'_> {
        self.counts.decisive()
    }

    /// Whether messages of `topic` are wanted: it matches, or with inverted matching it does not.
    pub fn wants(&self, topic: &[u8]) -> bool {
        self.matches(topic) != self.inverted
    }

    /// Whether every topic is wanted because the empty prefix is in the set.
    pub fn everything(&self) -> bool {
        !self.inverted && self.contains(b"")
    }

    /// Whether exactly this prefix is in the set.
    pub fn contains(&self, prefix: &[u8]) -> bool {
        self.counts.find(prefix).is_some()
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
