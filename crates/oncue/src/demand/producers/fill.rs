//! The value that a topic has where none is kept: before its feed has published one, and when the last one has become too
//! old, or has made room for others, and somebody comes for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::workers::Job;
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Failure;
use crate::socket::XPub;

/// Publishes what is known of a feed's topic, unless the feed has published more than so many values by then.
pub(crate) type FillFn = Arc<dyn Fn(&Feed, u64) + Send + Sync>;

/// One call for one feed.
pub(crate) struct Fill {
    feed: Feed,
    fill: FillFn,
    /// How many values the feed had published.
    published: u64,
}

impl Fill {
    /// The call that a feed needs which has just begun, if its value is missing.
    pub(crate) fn at_start(feed: &Feed, socket: &XPub) -> Option<Arc<Fill>> {
        Fill::after(0, feed, socket)
    }

    /// The same for a feed that runs, whose values are kept.
    pub(crate) fn again(feed: &Feed, socket: &XPub) -> Option<Arc<Fill>> {
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
