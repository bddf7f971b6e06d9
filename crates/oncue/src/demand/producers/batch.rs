//! Production of many feeds of one route by one call: at each tick of the route for all that are wanted, and at once for
//! those that have just started, so that their subscribers need not wait for the tick. Never two calls at once for one
//! route.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ticks::{Tick, next_tick};
use super::workers::{Job, Jobs};
use crate::demand::feed::{Failure, Feed};
use crate::sync::lock;

/// A call for this number of feeds may be quick.
const QUICK_FEEDS_MAX: usize = 16;

/// The feeds that one call is to produce, ordered by topic: a slice of [`Feed`]s, and a way to the feed of a topic.
pub struct FeedSet<'a>(&'a [Feed]);

impl FeedSet<'_> {
    /// The feed of a topic, if it is one of these.
    pub fn get(&self, topic: impl AsRef<[u8]>) -> Option<&Feed> {
        let at = self.0.binary_search_by(|feed| feed.topic().cmp(topic.as_ref())).ok()?;
        self.0.get(at)
    }

    /// Publishes a value of a topic. Returns whether it was sent: it is not if the topic is none of these, or its feed has
    /// stopped meanwhile.
    pub fn publish(&self, topic: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> bool {
        self.get(topic).is_some_and(|feed| feed.publish(value).is_ok())
    }
}

impl Deref for FeedSet<'_> {
    type Target = [Feed];

    fn deref(&self) -> &[Feed] {
        self.0
    }
}

impl<'a> IntoIterator for &'a FeedSet<'_> {
    type Item = &'a Feed;
    type IntoIter = std::slice::Iter<'a, Feed>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One route's batches.
pub(crate) struct BatchRun {
    pub(crate) period: Duration,
    produce: Box<dyn Fn(&FeedSet<'_>) + Send + Sync>,
    set: Mutex<Set>,
}

#[derive(Default)]
struct Set {
    feeds: BTreeMap<Arc<[u8]>, Feed>,
    /// Those of them for which no call has been made.
    new: BTreeMap<Arc<[u8]>, Feed>,
    /// A call for all is to be made.
    due: bool,
    /// From being queued until a worker has finished.
    busy: bool,
    /// Feeds that stopped while a call was under way that may be about them.
    ending: Vec<Feed>,
    ticking: bool,
}

impl BatchRun {
    pub(crate) fn new(period: Duration, produce: impl Fn(&FeedSet<'_>) + Send + Sync + 'static) -> BatchRun {
        BatchRun { period, produce: Box::new(produce), set: Mutex::default() }
    }

    /// A feed has started. Returns when the route's next tick is, if it is not ticking yet.
    pub(crate) fn start(self: &Arc<Self>, feed: &Feed, now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        let mut set = lock(&self.set);
        set.feeds.insert(feed.shared_topic(), feed.clone());
        set.new.insert(feed.shared_topic(), feed.clone());
        if !std::mem::replace(&mut set.busy, true) {
            jobs.push(self.clone());
        }
        // Ticks are whole periods after the runner's origin, so that those of several routes meet.
        let first = next_tick(Duration::ZERO, self.period, now).0;
        (!std::mem::replace(&mut set.ticking, true)).then_some(first)
    }

    /// Stops a feed. Its end is reported once no call may be about it. Returns whether it was the last one: then there are
    /// no more ticks.
    pub(crate) fn stop(&self, feed: &Feed) -> bool {
        feed.stop();
        let mut set = lock(&self.set);
        set.feeds.remove(feed.topic());
        set.new.remove(feed.topic());
        let last = set.feeds.is_empty();
        set.ticking &= !last;
        if set.busy {
            set.ending.push(feed.clone());
        } else {
            drop(set);
            feed.end();
        }
        last
    }

    /// There are no workers any more: drops the feeds, which refer to this, outside of the lock.
    pub(crate) fn clear(&self) {
        let set = std::mem::take(&mut *lock(&self.set));
        drop(set);
    }

    /// The feeds of the next call; none if there is no call to be made.
    fn next(&self) -> Vec<Feed> {
        let mut set = lock(&self.set);
        let new = std::mem::take(&mut set.new);
        let next: Vec<Feed> = match std::mem::take(&mut set.due) {
            true => {
                let due = |feed: &&Feed| !feed.skip_for_freshness() && !feed.skip_for_congestion();
                set.feeds.values().filter(due).cloned().collect()
            }
            false => new.into_values().filter(|feed| !feed.skip_for_freshness()).collect(),
        };
        set.busy = !next.is_empty();
        next
    }

    fn call(&self, feeds: &[Feed]) {
        let start = Instant::now();
        let outcome = Failure::catch(|| (self.produce)(&FeedSet(feeds)));
        let Some(first) = feeds.first() else { return };
        let time = start.elapsed();
        first.took(time, u32::try_from(feeds.len()).unwrap_or(u32::MAX));
        first.count_call(time);
        if let Err(failure) = outcome {
            // One panic is one failure, and it ends all feeds that the call was about.
            first.fail_with(&failure);
            for feed in feeds {
                feed.mark_failed();
                feed.finish();
            }
        }
    }
}

impl Tick for BatchRun {
    fn tick(self: Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        let mut set = lock(&self.set);
        if set.feeds.is_empty() {
            set.ticking = false;
            return None;
        }
        let (next, passed) = next_tick(at, self.period, now);
        let skipped = passed + u64::from(set.due);
        set.due = true;
        for feed in set.feeds.values().filter(|_| skipped > 0) {
            feed.skip_ticks(skipped);
        }
        if !std::mem::replace(&mut set.busy, true) {
            jobs.push(self.clone());
        }
        Some(next)
    }
}

impl Job for BatchRun {
    /// A call for all that is wanted is not.
    fn is_quick(&self) -> bool {
        let set = lock(&self.set);
        let mut feeds = set.new.values();
        !set.due && set.new.len() <= QUICK_FEEDS_MAX && feeds.next().is_none_or(Feed::is_quick)
    }

    fn run(&self) {
        loop {
            let feeds = self.next();
            if !feeds.is_empty() {
                self.call(&feeds);
            }
            let ended = std::mem::take(&mut lock(&self.set).ending);
            ended.iter().for_each(Feed::end);
            if feeds.is_empty() {
                return;
            }
        }
    }
}
