//! The value of a topic that has none: before its feed has published one, and, when a peer subscribes, after the last one
//! has become too old or has made room for others.

use std::sync::Arc;

use super::workers::Job;
use crate::demand::feed::{Failure, Feed};

/// Publishes what is known of a feed's topic, unless the feed has published more than this number of values by then.
pub(crate) type FillFn = Arc<dyn Fn(&Feed, u64) + Send + Sync>;

/// One call for one feed.
pub(crate) struct Fill {
    pub(crate) feed: Feed,
    pub(crate) fill: FillFn,
    /// How many values the feed had published.
    pub(crate) published: u64,
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
