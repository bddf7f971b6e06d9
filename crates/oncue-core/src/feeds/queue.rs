//! Room for feeds: how many each route and all routes have, who waits for some, and who is next. Which topics are to
//! wait is decided elsewhere.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;

use super::feed::{FeedId, State};
use super::{FeedCounts, RouteId};

/// The place in the queue: many subscribers before few, then the older before the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) subscribers: Reverse<usize>,
    /// Greater for each feed that begins to wait.
    pub(super) turn: u64,
}

#[derive(Default)]
pub(super) struct Queue {
    lines: BTreeMap<RouteId, Line>,
    /// The first of each line whose route has room.
    heads: BTreeSet<(Rank, RouteId)>,
    /// All that wait, by turn.
    turns: BTreeMap<u64, FeedId>,
    /// The turn that was counted last.
    counted: u64,
    feeds_max: usize,
    /// All lines together.
    sum: Counts,
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
    /// The route is gone: so is the line, with its last feed.
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

    /// The line goes with its last feed.
    pub(super) fn retire(&mut self, route: RouteId) {
        self.edit(route, |line| line.retired = true);
        self.tidy(route);
    }

    /// Lets a line go whose route is gone and that has no feeds.
    pub(super) fn tidy(&mut self, route: RouteId) {
        if self.lines.get(&route).is_some_and(|line| line.retired && line.counts == Counts::default()) {
            self.lines.remove(&route);
        }
    }

    /// A feed has come to count in this state for this route.
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

    /// A feed counts in this state for this route no more.
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

    /// Who is to start now, if there is room. Asked again it is the same one.
    pub(super) fn next(&self) -> Option<FeedId> {
        if self.sum.live() >= self.feeds_max {
            return None;
        }
        let (rank, route) = self.heads.first()?;
        self.lines[route].waiting.get(rank).copied()
    }

    /// The next ones in the round of all that wait, `most` at most, none twice.
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

    /// Changes a line and keeps its place among the heads.
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
    /// Who is next of the route, if the route has room.
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

    /// As the caller is told, with the number of topics listed.
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

    /// Those whose generation has not ended.
    fn live(&self) -> usize {
        self.running + self.in_grace + self.stopping
    }
}
