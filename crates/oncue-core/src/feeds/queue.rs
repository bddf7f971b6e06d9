//! Room for feeds: how many feeds each route and all routes have, which feeds wait for room, and which is next. Which feeds
//! wait is decided elsewhere.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use super::feed::{FeedId, Rank, State};
use super::routes::RouteId;

#[derive(Default)]
pub(super) struct Queue {
    lines: BTreeMap<RouteId, Line>,
    /// The first feed of each line whose route has room.
    heads: BTreeSet<(Rank, RouteId)>,
    /// All waiting feeds by turn.
    turns: BTreeMap<u64, FeedId>,
    /// The turn that was counted last.
    counted: u64,
    feeds_max: usize,
    /// The sum of all lines.
    sum: Counts,
}

/// How many topics are in each state now, of one route or of all. Feeds of a removed route count for it until they have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedCounts {
    /// Topics that are wanted, whether they are produced or not.
    pub wanted: usize,
    /// Feeds started and not told to stop, including those in grace.
    pub running: usize,
    /// Feeds in grace, which are not wanted.
    pub in_grace: usize,
    /// Feeds told to stop that have not ended yet.
    pub stopping: usize,
    /// Topics that wait for room.
    pub waiting: usize,
    /// Topics whose feed failed and that wait for their next start.
    pub failing: usize,
    /// Topics in the catalogue, including the one topic of a route without parameters.
    pub listed: usize,
}

/// How many feeds are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) in_grace: usize,
    pub(super) stopping: usize,
    pub(super) failed: usize,
    pub(super) cooling: usize,
    pub(super) ended: usize,
}

/// The feeds of one route.
struct Line {
    waiting: BTreeMap<Rank, FeedId>,
    feeds_max: usize,
    /// The route was removed: the line is removed with its last feed.
    retired: bool,
    counts: Counts,
}

impl Queue {
    pub(super) fn set_feeds_max(&mut self, feeds_max: usize) {
        self.feeds_max = feeds_max;
    }

    pub(super) fn add_route(&mut self, route: RouteId, feeds_max: usize) {
        let line = Line { waiting: BTreeMap::new(), feeds_max, retired: false, counts: Counts::default() };
        self.lines.insert(route, line);
    }

    /// Marks the line of a removed route.
    pub(super) fn retire(&mut self, route: RouteId) {
        self.edit(route, |line| line.retired = true);
        self.tidy(route);
    }

    /// Removes the line of a removed route if it has no feeds.
    pub(super) fn tidy(&mut self, route: RouteId) {
        if self.lines.get(&route).is_some_and(|line| line.retired && line.counts == Counts::default()) {
            self.lines.remove(&route);
        }
    }

    /// Counts a feed in this state for this route.
    pub(super) fn enter(&mut self, route: RouteId, id: FeedId, state: State) {
        *self.sum.of(state) += 1;
        if let State::Waiting { rank } = state {
            self.turns.insert(rank.turn, id);
        }
        self.edit(route, |line| {
            *line.counts.of(state) += 1;
            if let State::Waiting { rank } = state {
                line.waiting.insert(rank, id);
            }
        });
    }

    /// No longer counts a feed in this state for this route.
    pub(super) fn leave(&mut self, route: RouteId, state: State) {
        *self.sum.of(state) -= 1;
        if let State::Waiting { rank } = state {
            self.turns.remove(&rank.turn);
        }
        self.edit(route, |line| {
            *line.counts.of(state) -= 1;
            if let State::Waiting { rank } = state {
                line.waiting.remove(&rank);
            }
        });
    }

    /// The feed to start now, if there is room. Changes nothing.
    pub(super) fn next(&self) -> Option<FeedId> {
        if self.sum.live() >= self.feeds_max {
            return None;
        }
        let (rank, route) = self.heads.first()?;
        self.lines[route].waiting.get(rank).copied()
    }

    /// The next waiting feeds in turn (round robin), at most `most`, without duplicates.
    pub(super) fn next_round(&mut self, most: usize) -> Vec<FeedId> {
        let after = self.turns.range((Bound::Excluded(self.counted), Bound::Unbounded));
        let before = self.turns.range(..=self.counted);
        let mut last = self.counted;
        let next = after.chain(before).take(most).map(|(turn, id)| {
            last = *turn;
            *id
        });
        let next = next.collect();
        self.counted = last;
        next
    }

    pub(super) fn counts(&self, route: RouteId) -> Counts {
        self.lines.get(&route).map(|line| line.counts).unwrap_or_default()
    }

    pub(super) fn sum(&self) -> Counts {
        self.sum
    }

    /// Changes a line and updates its place among the heads.
    fn edit(&mut self, route: RouteId, change: impl FnOnce(&mut Line)) {
        let line = self.lines.get_mut(&route).expect("a route has a line while it has feeds");
        let before = line.head();
        change(line);
        let after = line.head();
        if before == after {
            return;
        }
        if let Some(rank) = before {
            self.heads.remove(&(rank, route));
        }
        if let Some(rank) = after {
            self.heads.insert((rank, route));
        }
    }
}

impl Line {
    /// The next feed of the route, if the route has room.
    fn head(&self) -> Option<Rank> {
        if self.counts.live() >= self.feeds_max {
            return None;
        }
        self.waiting.first_key_value().map(|(rank, _)| *rank)
    }
}

impl Counts {
    /// The count of the feeds in a state.
    fn of(&mut self, state: State) -> &mut usize {
        match state {
            State::Waiting { .. } => &mut self.waiting,
            State::Running { .. } => &mut self.running,
            State::Grace { .. } => &mut self.in_grace,
            State::Stopping { .. } => &mut self.stopping,
            State::Failed { .. } => &mut self.failed,
            State::Cooling { .. } => &mut self.cooling,
            State::Ended => &mut self.ended,
        }
    }

    /// The counts for the caller, with the number of topics in catalogues.
    pub(super) fn public(self, listed: usize) -> FeedCounts {
        FeedCounts {
            wanted: self.running + self.waiting + self.failed + self.ended,
            running: self.running + self.in_grace,
            in_grace: self.in_grace,
            stopping: self.stopping,
            waiting: self.waiting,
            failing: self.failed,
            listed,
        }
    }

    /// The feeds whose generation has not ended.
    fn live(&self) -> usize {
        self.running + self.in_grace + self.stopping
    }
}
