//! One feed and its state. When the state changes is decided elsewhere.

use alloc::sync::Arc;
use core::cmp::Reverse;
use core::time::Duration;

use super::routes::{RouteId, Routes};

/// The number of a feed in its machine. It is reused for another topic once the feed is forgotten; together with the
/// generation it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(super) usize);

/// The state of a topic that is announced to its subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Nothing is known: the initial state, and the state after a feed is forgotten. Withdraws earlier states.
    Idle,
    /// The feed has published since it started.
    Active,
    /// The feed failed and will start again, or changes its route: the last value may be out of date.
    Stale,
    /// The feed has ended, or its route was removed: no values are published until further notice.
    Closed,
}

/// What a machine does about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It is wanted, and there is no room for its feed yet ([`Limits`](super::Limits)).
    Waiting,
    /// Its feed runs and is wanted.
    Running,
    /// Its feed runs and is not wanted any more.
    Grace,
    /// Its feed was told to stop, and has not ended.
    Stopping,
    /// Its feed failed, and starts again after a pause if it is still wanted.
    Failed,
    /// Its feed has ended by itself, and the topic is still wanted.
    Ended,
}

/// A topic at one moment ([`Feeds::topics`](super::Feeds::topics)).
#[derive(Debug, Clone, Copy)]
pub struct TopicView<'a> {
    /// The topic.
    pub topic: &'a Arc<[u8]>,
    /// The route of its feed.
    pub route: RouteId,
    /// What is done about it.
    pub phase: Phase,
    /// The generation that has started and not ended.
    pub generation: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
}

pub(super) struct Feed {
    pub(super) topic: Arc<[u8]>,
    /// The route that serves the topic now; `None` once it was removed.
    pub(super) route: Option<RouteId>,
    /// The route for which the feed counts: until its generation has ended, the one that started it.
    pub(super) line: RouteId,
    /// Whether the topic is in a catalogue, so that partial prefixes start it.
    pub(super) catalogued: bool,
    /// How many wanted prefixes the topic begins with.
    pub(super) wants: usize,
    /// How many of them start the feed. Without one, a feed exists only until its generation has ended.
    pub(super) starters: usize,
    pub(super) state: State,
    /// When it began to wait for its latest start.
    pub(super) since: Duration,
    /// When its latest generation started.
    pub(super) started: Duration,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The last announced state of the topic.
    pub(super) told: FeedState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A prefix starts it, and there is no room yet.
    Waiting { rank: Rank },
    /// It produces and is wanted.
    Running { generation: u64 },
    /// It produces until the deadline and is not wanted.
    Grace { generation: u64, deadline: Duration },
    /// It was told to stop and has not ended.
    Stopping { generation: u64 },
    /// It failed and is still wanted: it waits until then.
    Failed { until: Duration },
    /// It failed, and no prefix starts it: remembered until then, so that a new subscription does not restart it sooner.
    Cooling { until: Duration },
    /// It ended by itself and is still wanted.
    Ended,
}

/// The place in the queue: more subscribers first, then the longer wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) subscribers: Reverse<usize>,
    /// Increases with each feed that begins to wait.
    pub(super) turn: u64,
}

impl Feed {
    pub(super) fn view(&self) -> TopicView<'_> {
        let phase = match self.state {
            State::Waiting { .. } => Phase::Waiting,
            State::Running { .. } => Phase::Running,
            State::Grace { .. } => Phase::Grace,
            State::Stopping { .. } => Phase::Stopping,
            State::Failed { .. } | State::Cooling { .. } => Phase::Failed,
            State::Ended => Phase::Ended,
        };
        let Feed { topic, line, failures, .. } = self;
        TopicView { topic, route: *line, phase, generation: self.state.live(), failures: *failures }
    }

    /// Whether `prefix`, with which the topic begins, starts it.
    pub(super) fn starts_by(&self, prefix: &[u8], routes: &Routes) -> bool {
        self.route.is_some_and(|route| routes.starts_in(prefix, &self.topic, route, self.catalogued))
    }
}

impl State {
    /// When it ends by time.
    pub(super) fn deadline(self) -> Option<Duration> {
        match self {
            State::Grace { deadline: at, .. }
            | State::Failed { until: at }
            | State::Cooling { until: at } => Some(at),
            _ => None,
        }
    }

    /// The generation that has started and not ended.
    pub(super) fn live(self) -> Option<u64> {
        match self {
            State::Running { generation }
            | State::Grace { generation, .. }
            | State::Stopping { generation } => Some(generation),
            _ => None,
        }
    }
}
