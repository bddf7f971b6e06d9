//! Who has come for the last value of a topic.

use std::collections::BTreeSet;
use std::sync::{Mutex, RwLock};

use oncue_pattern::{Pattern, PrefixMeaning};

use crate::op::Waiters;
use crate::sync::{lock, read_lock, write_lock};

/// The topics of subscriptions that the runner has still to look at; beyond it they are not looked at. One counts once.
const ASKED_MAX: usize = 65_536;

/// Who has come for the last value of a topic, as the socket tells and the runner hears.
#[derive(Default)]
pub(crate) struct Asked {
    /// Of the routes whose values can be filled in.
    patterns: RwLock<Vec<Pattern>>,
    topics: Mutex<BTreeSet<Box<[u8]>>>,
    pub(crate) runner: Waiters,
}

impl Asked {
    /// From now on the routes of these patterns have values that can be filled in.
    pub(crate) fn follow(&self, patterns: Vec<Pattern>) {
        *write_lock(&self.patterns) = patterns;
    }

    /// A subscription is let in.
    pub(crate) fn hear(&self, prefix: &[u8]) {
        let exact = |pattern: &Pattern| pattern.prefix(prefix) == PrefixMeaning::Exact;
        if !read_lock(&self.patterns).iter().any(exact) {
            return;
        }
        let mut topics = lock(&self.topics);
        if topics.len() < ASKED_MAX && topics.insert(prefix.into()) {
            drop(topics);
            self.runner.wake();
        }
    }

    /// A feed begins, which is filled in anyway.
    pub(crate) fn forget(&self, topic: &[u8]) {
        lock(&self.topics).remove(topic);
    }

    pub(crate) fn take(&self) -> BTreeSet<Box<[u8]>> {
        std::mem::take(&mut *lock(&self.topics))
    }
}
