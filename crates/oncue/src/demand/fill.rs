//! The value that a topic has before its feed has published one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Feed;
use super::producer::Failure;
use super::workers::Job;

/// Publishes what is known of a feed's topic, if the feed has not been quicker.
pub(super) type FillFn = Arc<dyn Fn(&Feed) + Send + Sync>;

/// One call for one feed.
pub(super) struct Fill {
    feed: Feed,
    fill: FillFn,
}

impl Fill {
    pub(super) fn new(feed: Feed, fill: FillFn) -> Arc<Fill> {
        Arc::new(Fill { feed, fill })
    }
}

impl Job for Fill {
    fn run(&self) {
        if !self.feed.is_active() || self.feed.has_published() {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.fill)(&self.feed))) {
            self.feed.shared().report(&self.feed, &Failure::panic(panic));
        }
    }
}
