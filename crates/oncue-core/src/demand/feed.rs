//! One feed and its state, and the table of them. When a feed changes its state is not decided here.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::RouteId;

/// The place of a feed in its machine's table. It is given to another topic once the feed is forgotten: with the
/// generation it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(usize);

pub(super) struct Feed {
    pub(super) topic: Arc<[u8]>,
    pub(super) route: RouteId,
    /// Whether a partial prefix starts this topic.
    pub(super) catalogued: bool,
    /// Wanted prefixes that the topic begins with.
    pub(super) wants: usize,
    /// Those of them that start the feed. Without one, a feed exists only until its production has ended.
    pub(super) starters: usize,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Something starts it, and there is no room yet.
    Waiting { turn: u64 },
    /// It produces, and somebody wants it.
    Running { generation: u64 },
    /// It produces until the deadline, and nobody wants it.
    Grace { generation: u64, deadline: Duration },
    /// It was told to stop and has not ended.
    Stopping { generation: u64 },
    /// It ended by itself, and what started it is still there.
    Ended,
}

#[derive(Default)]
pub(super) struct Feeds {
    slots: Vec<Option<Feed>>,
    free: Vec<FeedId>,
}

impl Feeds {
    pub(super) fn insert(&mut self, feed: Feed) -> FeedId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            FeedId(self.slots.len() - 1)
        });
        self.slots[id.0] = Some(feed);
        id
    }

    pub(super) fn remove(&mut self, id: FeedId) -> Feed {
        let feed = self.slots[id.0].take().expect("a feed is removed once");
        self.free.push(id);
        feed
    }

    pub(super) fn get_mut(&mut self, id: FeedId) -> &mut Feed {
        self.slots[id.0].as_mut().expect("an id in a table is a feed's")
    }

    /// The feed, if this generation of it has been started and not been reported as ended. The id is the caller's.
    pub(super) fn find(&mut self, id: FeedId, wanted: u64) -> Option<&mut Feed> {
        let feed = self.slots.get_mut(id.0)?.as_mut()?;
        let (State::Running { generation }
        | State::Grace { generation, .. }
        | State::Stopping { generation }) = feed.state
        else {
            return None;
        };
        (generation == wanted).then_some(feed)
    }
}
