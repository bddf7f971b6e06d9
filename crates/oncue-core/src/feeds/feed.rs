//! One feed and its state, and the table of them. When a feed changes its state is not decided here.

use alloc::sync::Arc;
use core::cmp::Reverse;
use core::time::Duration;

use super::routes::{RouteId, Routes};

/// The place of a feed in its machine's table. It is given to another topic once the feed is forgotten: with the
/// generation it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(super) usize);

/// What there is to say to those who want a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Nothing: of every topic at first, and again once nothing is known of it any more. What was said is void.
    Idle,
    /// It is produced: its feed has published since it started.
    Active,
    /// Its feed failed and will start again, or changes its route: the last value grows old meanwhile.
    Stale,
    /// Its feed has ended, or its route is gone: no value comes until further notice.
    Closed,
}

pub(super) struct Feed {
    pub(super) topic: Arc<[u8]>,
    /// The route that serves the topic now; none once its route was removed.
    pub(super) route: Option<RouteId>,
    /// The route that the feed counts for: until its generation has ended, the one that started it.
    pub(super) line: RouteId,
    /// Whether a partial prefix starts this topic.
    pub(super) catalogued: bool,
    /// Wanted prefixes that the topic begins with.
    pub(super) wants: usize,
    /// Those of them that start the feed. Without one, a feed exists only until its production has ended.
    pub(super) starters: usize,
    pub(super) state: State,
    /// When it began to wait for its last start.
    pub(super) since: Duration,
    /// When its last generation started.
    pub(super) started: Duration,
    /// Failures in a row.
    pub(super) failures: u32,
    /// What the caller was last told of the topic.
    pub(super) told: FeedState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Something starts it, and there is no room yet.
    Waiting { rank: Rank },
    /// It produces, and somebody wants it.
    Running { generation: u64 },
    /// It produces until the deadline, and nobody wants it.
    Grace { generation: u64, deadline: Duration },
    /// It was told to stop and has not ended.
    Stopping { generation: u64 },
    /// It failed, and what started it is still there: it waits until then.
    Failed { until: Duration },
    /// It failed, and nothing starts it any more: kept until then, lest coming back make it start sooner.
    Cooling { until: Duration },
    /// It ended by itself, and what started it is still there.
    Ended,
}

/// The place in the queue: many subscribers before few, then the older before the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) subscribers: Reverse<usize>,
    /// Greater for each feed that begins to wait.
    pub(super) turn: u64,
}

impl Feed {
    /// Whether `prefix`, with which the topic begins, is one of those that start it.
    pub(super) fn starts_by(&self, prefix: &[u8], routes: &Routes) -> bool {
        self.route.is_some_and(|route| routes.starts_in(prefix, &self.topic, route, self.catalogued))
    }
}

impl State {
    /// When time changes it.
    pub(super) fn deadline(self) -> Option<Duration> {
        match self {
            State::Grace { deadline: at, .. }
            | State::Failed { until: at }
            | State::Cooling { until: at } => Some(at),
            _ => None,
        }
    }

    /// The generation that was started and has not ended.
    pub(super) fn live(self) -> Option<u64> {
        match self {
            State::Running { generation }
            | State::Grace { generation, .. }
            | State::Stopping { generation } => Some(generation),
            _ => None,
        }
    }
}
