//! The value that a topic has where none is kept: before its feed has published one, and, when a peer subscribes, where
//! the last one has become too old or has made room for others.

use std::sync::{Arc, Weak};

use super::workers::{Job, Workers};
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Failure;
use crate::socket::XPub;

/// Publishes what is known of a feed's topic, unless the feed has published more than this many values by then.
pub(crate) type FillFn = Arc<dyn Fn(&Feed, u64) + Send + Sync>;

/// Fills in the value of one feed, by one call at a time.
pub(crate) struct Filler {
    feed: Feed,
    fill: FillFn,
    /// The call that is queued or under way.
    call: Weak<Fill>,
}

/// One call for one feed.
struct Fill {
    feed: Feed,
    fill: FillFn,
    /// How many values the feed had published.
    published: u64,
}

impl Filler {
    pub(crate) fn new(feed: Feed, fill: FillFn) -> Filler {
        Filler { feed, fill, call: Weak::new() }
    }

    /// Queues a call if the topic has no value, and no call is under way. It has no effect once the feed has published
    /// more than `published` values.
    pub(crate) fn fill(&mut self, published: u64, socket: &XPub, workers: &Workers) {
        if self.call.strong_count() == 0 && socket.last(self.feed.topic()).is_none() {
            let call = Arc::new(Fill { feed: self.feed.clone(), fill: self.fill.clone(), published });
            self.call = Arc::downgrade(&call);
            workers.queue(vec![call]);
        }
    }

    /// The feed has ended: the call that is queued would be in vain, and would wait for as long as the workers are busy.
    pub(crate) fn cancel(&self, workers: &Workers) {
        if let Some(call) = self.call.upgrade() {
            workers.forget(call);
        }
    }
}

impl Job for Fill {
    fn run(&self) {
        if self.feed.is_active()
            && self.feed.published() == self.published
            && let Err(failure) = Failure::catch(|| (self.fill)(&self.feed, self.published))
        {
            self.feed.report(&failure);
        }
    }
}
