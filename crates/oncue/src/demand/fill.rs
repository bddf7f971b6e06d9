//! The value that a topic has where none is kept: before its feed has published one, and when the last one has become too
//! old, or has made room for others, and somebody comes for it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, RwLock};

use oncue_pattern::PrefixMeaning;

use super::producer::Failure;
use super::workers::Job;
use super::{Feed, Pattern};
use crate::op::Waiters;
use crate::socket::XPub;
use crate::sync::{lock, read_lock, write_lock};

/// Publishes what is known of a feed's topic, unless the feed has published more than so many values by then.
pub(super) type FillFn = Arc<dyn Fn(&Feed, u64) + Send + Sync>;

/// The topics of subscriptions that the runner has still to look at; beyond it they are not looked at. One counts once.
const ASKED_MAX: usize = 65_536;

/// One call for one feed.
pub(super) struct Fill {
    feed: Feed,
    fill: FillFn,
    /// How many values the feed had published.
    published: u64,
}

/// Who has come for the last value of a topic, as the socket tells and the runner hears.
#[derive(Default)]
pub(super) struct Asked {
    /// Of the routes whose values can be filled in.
    patterns: RwLock<Vec<Pattern>>,
    topics: Mutex<BTreeSet<Box<[u8]>>>,
    pub(super) runner: Waiters,
}

impl Fill {
    /// The call that a feed needs which has just begun, if its value is missing.
    pub(super) fn at_start(feed: &Feed, socket: &XPub) -> Option<Arc<Fill>> {
        Fill::after(0, feed, socket)
    }

    /// The same for a feed that runs, whose values are kept.
    pub(super) fn again(feed: &Feed, socket: &XPub) -> Option<Arc<Fill>> {
        Fill::after(feed.published(), feed, socket)
    }

    fn after(published: u64, feed: &Feed, socket: &XPub) -> Option<Arc<Fill>> {
        let fill = feed.filler()?;
        let missing = socket.last(feed.topic()).is_none() && feed.begin_filling();
        missing.then(|| Arc::new(Fill { feed: feed.clone(), fill, published }))
    }
}

impl Job for Fill {
    fn is_of(&self, generation: u64) -> bool {
        self.feed.generation() == generation
    }

    fn run(&self) {
        if self.feed.is_active() && self.feed.published() == self.published {
            let filled = catch_unwind(AssertUnwindSafe(|| (self.fill)(&self.feed, self.published)));
            if let Err(panic) = filled {
                self.feed.shared().report(&self.feed, &Failure::panic(panic));
            }
        }
        self.feed.end_filling();
    }
}

impl Asked {
    /// From now on the routes of these patterns have values that can be filled in.
    pub(super) fn follow(&self, patterns: Vec<Pattern>) {
        *write_lock(&self.patterns) = patterns;
    }

    /// A subscription is let in.
    pub(super) fn hear(&self, prefix: &[u8]) {
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
    pub(super) fn forget(&self, topic: &[u8]) {
        lock(&self.topics).remove(topic);
    }

    pub(super) fn take(&self) -> BTreeSet<Box<[u8]>> {
        std::mem::take(&mut *lock(&self.topics))
    }
}
