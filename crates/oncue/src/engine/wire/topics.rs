//! Where the newest queued message of each topic lies in a queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::chunk::Run;
use crate::sync::lock;

/// The capacity that an empty list of topics keeps at most.
const TOPICS_KEPT_MAX: usize = 64;

/// The first position. Runs may be put in front, so it is not 0.
const FIRST: u64 = 1 << 48;

/// The bookkeeping of a queue that holds one message of each topic, besides partly written ones.
pub(crate) struct ByTopic {
    pub(crate) topics: Arc<Topics>,
    /// The position of the first run. Positions count from the beginning of the queue.
    pub(super) first: u64,
    /// Dropped runs that still lie in the queue, empty. The first run is never one.
    pub(super) holes: usize,
    pub(super) hole: Run,
    /// Whether the set of topics has changed since the owner asked last.
    pub(super) changed: bool,
}

/// The topics of queued messages, partly written ones too, with the position of the newest message of each.
#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<Vec<u8>, u64>>);

impl Topics {
    pub(crate) fn contain(&self, topic: &[u8]) -> bool {
        lock(&self.0).contains_key(topic)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns the position of the previous message.
    pub(super) fn put(&self, topic: &[u8], place: u64) -> Option<u64> {
        let mut topics = lock(&self.0);
        match topics.get_mut(topic) {
            Some(known) => Some(std::mem::replace(known, place)),
            None => topics.insert(topic.to_vec(), place),
        }
    }

    /// The message at this position has left. Returns whether it was its topic's newest.
    pub(super) fn remove(&self, topic: &[u8], place: u64) -> bool {
        let mut topics = lock(&self.0);
        let newest = topics.get(topic) == Some(&place);
        if newest {
            topics.remove(topic);
            if topics.is_empty() && topics.capacity() > TOPICS_KEPT_MAX {
                *topics = HashMap::new();
            }
        }
        newest
    }
}

impl ByTopic {
    pub(crate) fn new() -> ByTopic {
        let hole = Run::control(Vec::new());
        ByTopic { topics: Arc::default(), first: FIRST, holes: 0, hole, changed: false }
    }

    /// The message at this position has left. Returns whether it was its topic's newest.
    pub(super) fn gone(&mut self, run: &Run, place: u64) -> bool {
        let newest = run.last_topic().is_some_and(|topic| self.topics.remove(topic, place));
        self.changed |= newest;
        newest
    }
}
