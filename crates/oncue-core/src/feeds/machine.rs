//! The steps of the state machine that its inputs share. Every change of a feed's state goes through [`Feeds::set`], which
//! updates the queue, the deadlines and the counts.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;
use core::time::Duration;

use super::feed::{Feed, FeedId, FeedState, Rank, State};
use super::routes::{RouteId, Routes, Unserved};
use super::{Decision, End, Feeds};

impl Feeds {
    /// The feeds whose topics begin with `prefix`, and that it reaches.
    pub(super) fn attached(&self, prefix: &[u8]) -> Vec<FeedId> {
        self.by_topic
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, _)| !self.hidden.hides(topic, prefix))
            .map(|(_, id)| *id)
            .collect()
    }

    /// The feed, if this generation of it has started and not ended. The id comes from the caller.
    pub(super) fn find(&self, id: FeedId, generation: u64) -> Option<&Feed> {
        self.feeds.get(id.0).filter(|feed| feed.state.live() == Some(generation))
    }

    pub(super) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.expire();
    }

    /// Handles all deadlines that have passed, and limits how many failed feeds are remembered.
    pub(super) fn expire(&mut self) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= self.now
        {
            match self.feeds[id.0].state {
                State::Grace { generation, .. } => self.stop(id, generation, FeedState::Idle),
                State::Failed { .. } => self.wait(id),
                State::Cooling { .. } => self.forget(id),
                _ => unreachable!("only states with a deadline are in the table"),
            }
        }
        while self.cooling.len() > self.limits.feeds_max
            && let Some(&(_, id)) = self.cooling.first()
        {
            self.forget(id);
        }
        self.fill();
    }

    /// Starts waiting feeds while there is room.
    pub(super) fn fill(&mut self) {
        while let Some(id) = self.queue.next() {
            self.last_generation += 1;
            self.stats.started += 1;
            let generation = self.last_generation;
            self.set(id, State::Running { generation });
            let feed = &mut self.feeds[id.0];
            feed.started = self.now;
            let (route, topic, since) = (feed.line, feed.topic.clone(), feed.since);
            let params = self.routes.pattern(route).match_topic(&topic);
            let params = params.expect("a feed's topic is its route's");
            self.decisions.push_back(Decision::Start { feed: id, route, topic, params, generation, since });
        }
    }

    /// Creates the feed of a topic that a prefix starts.
    pub(super) fn open(&mut self, topic: Arc<[u8]>, route: RouteId) {
        let catalogued = self.routes.catalogued(&topic);
        let (wants, starters) = self.count(&topic, Some(route), catalogued);
        let state = State::Ended;
        let id = FeedId(self.feeds.insert(Feed {
            topic: topic.clone(),
            route: Some(route),
            line: route,
            catalogued,
            wants,
            starters,
            state,
            since: self.now,
            started: self.now,
            failures: 0,
            told: FeedState::Idle,
        }));
        self.by_topic.insert(topic, id);
        self.queue.enter(route, id, state);
        self.wait(id);
    }

    /// Updates a feed whose route, or catalogue entry, may have changed.
    pub(super) fn reconsider(&mut self, topic: &Arc<[u8]>) {
        let route = self.routes.route_of(topic);
        let catalogued = self.routes.catalogued(topic);
        let (_, starters) = self.count(topic, route, catalogued);
        let Some(&id) = self.by_topic.get(topic) else {
            if let Some(route) = route.filter(|_| starters > 0) {
                self.open(topic.clone(), route);
            }
            return;
        };
        let feed = &mut self.feeds[id.0];
        let moved = feed.route != route;
        (feed.route, feed.catalogued, feed.starters) = (route, catalogued, starters);
        match feed.state {
            State::Running { generation } | State::Grace { generation, .. } if moved => {
                let left = if route.is_some() { FeedState::Stale } else { FeedState::Closed };
                self.stop(id, generation, left);
            }
            State::Running { .. } | State::Grace { .. } | State::Stopping { .. } => {}
            // Its failures were those of another route.
            _ if moved && starters > 0 => {
                feed.failures = 0;
                self.wait(id);
            }
            State::Failed { until } if starters == 0 && !moved => self.cool(id, until),
            State::Cooling { until } if starters > 0 => self.set(id, State::Failed { until }),
            State::Cooling { .. } if !moved => {}
            _ if starters == 0 => self.forget(id),
            _ => {}
        }
    }

    /// How many wanted prefixes a topic begins with, and how many of them start it.
    fn count(&self, topic: &[u8], route: Option<RouteId>, catalogued: bool) -> (usize, usize) {
        let (mut wants, mut starters) = (0, 0);
        self.prefixes.of_topic(topic, |prefix| {
            wants += 1;
            let starts = route.is_some_and(|route| self.routes.starts_in(prefix, topic, route, catalogued));
            starters += usize::from(starts);
        });
        (wants, starters)
    }

    /// Begins the grace of a running feed that is not wanted any more.
    pub(super) fn let_run_out(&mut self, id: FeedId, generation: u64) {
        let feed = &self.feeds[id.0];
        let route = self.routes.get(feed.line);
        let grace = self.now.saturating_add(route.grace);
        let deadline = grace.max(feed.started.saturating_add(route.min_run));
        self.set(id, State::Grace { generation, deadline });
    }

    pub(super) fn stop(&mut self, id: FeedId, generation: u64, left: FeedState) {
        self.set(id, State::Stopping { generation });
        self.stats.stopped += 1;
        let wanted = self.feeds[id.0].wants > 0;
        self.decisions.push_back(Decision::Stop { feed: id, generation, wanted });
        self.say(id, left);
    }

    pub(super) fn end(&mut self, id: FeedId, generation: u64, end: End) {
        let Some(feed) = self.find(id, generation) else { return };
        let (starters, wants) = (feed.starters, feed.wants);
        let stopped = matches!(feed.state, State::Stopping { .. });
        let backoff = feed.route.and_then(|route| self.routes.get(route).backoff);
        self.stats.ended += u64::from(!stopped);
        self.stats.failed += u64::from(!stopped && end == End::Failed);
        match (end, backoff) {
            _ if stopped && starters > 0 => self.wait(id),
            _ if stopped => self.forget(id),
            (End::Failed, Some(backoff)) => {
                let feed = &mut self.feeds[id.0];
                let ran = self.now.saturating_sub(feed.started);
                let until = self.now.saturating_add(backoff.pause(&mut feed.failures, ran));
                if wants > 0 {
                    self.say(id, FeedState::Stale);
                }
                match starters {
                    0 => self.cool(id, until),
                    _ => self.set(id, State::Failed { until }),
                }
            }
            _ => {
                if wants > 0 {
                    self.say(id, FeedState::Closed);
                }
                match starters {
                    0 => self.forget(id),
                    _ => self.set(id, State::Ended),
                }
            }
        }
        self.fill();
    }

    /// Queues a feed until there is room.
    pub(super) fn wait(&mut self, id: FeedId) {
        self.last_turn += 1;
        self.feeds[id.0].since = self.now;
        let rank = Rank { subscribers: Reverse(1), turn: self.last_turn };
        self.set(id, State::Waiting { rank });
    }

    /// Remembers a failed feed that no prefix starts. [`expire`](Feeds::expire) limits their number, when no loop over feeds
    /// is running.
    pub(super) fn cool(&mut self, id: FeedId, until: Duration) {
        self.set(id, State::Cooling { until });
    }

    pub(super) fn set(&mut self, id: FeedId, state: State) {
        let left = self.leave(id);
        let feed = &mut self.feeds[id.0];
        if state.live().is_none() {
            feed.line = feed.route.unwrap_or(feed.line);
        }
        feed.state = state;
        let line = feed.line;
        self.queue.enter(line, id, state);
        self.queue.tidy(left);
        if let Some(deadline) = state.deadline() {
            self.deadlines.insert((deadline, id));
        }
        if let State::Cooling { until } = state {
            self.cooling.insert((until, id));
        }
    }

    /// Removes a feed from all tables by state. Returns the route for which it counted.
    fn leave(&mut self, id: FeedId) -> RouteId {
        let (line, state) = (self.feeds[id.0].line, self.feeds[id.0].state);
        self.queue.leave(line, state);
        if let Some(deadline) = state.deadline() {
            self.deadlines.remove(&(deadline, id));
        }
        if let State::Cooling { until } = state {
            self.cooling.remove(&(until, id));
        }
        line
    }

    pub(super) fn forget(&mut self, id: FeedId) {
        self.say(id, FeedState::Idle);
        let left = self.leave(id);
        self.queue.tidy(left);
        let feed = self.feeds.remove(id.0);
        self.by_topic.remove(&feed.topic);
        self.review(&feed.topic);
    }

    /// Determines whether a prefix is unserved, if it is wanted.
    pub(super) fn review(&mut self, prefix: &[u8]) {
        if self.prefixes.contains(prefix) {
            let why = why_unserved(prefix, &self.by_topic, &self.routes);
            self.stats.unserved_total += u64::from(self.prefixes.set_unserved(prefix, why.is_some()));
            self.announce(prefix, why);
        }
    }

    /// The same of all wanted prefixes.
    pub(super) fn review_all(&mut self) {
        let Feeds { prefixes, by_topic, routes, announced, decisions, stats, .. } = self;
        stats.unserved_total += prefixes.set_all_unserved(|prefix| {
            let why = why_unserved(prefix, by_topic, routes);
            if let Some(prefix) = announced.set(prefix, why) {
                decisions.push_back(Decision::Unserved { prefix, why });
            }
            why.is_some()
        });
    }

    /// Announces whether a prefix is unserved, unless that was announced last.
    pub(super) fn announce(&mut self, prefix: &[u8], why: Option<Unserved>) {
        if let Some(prefix) = self.announced.set(prefix, why) {
            self.decisions.push_back(Decision::Unserved { prefix, why });
        }
    }

    /// Announces the state of a topic, unless it is the last one announced.
    pub(super) fn say(&mut self, id: FeedId, state: FeedState) {
        let feed = &mut self.feeds[id.0];
        if core::mem::replace(&mut feed.told, state) != state {
            self.decisions.push_back(Decision::State { topic: feed.topic.clone(), route: feed.line, state });
        }
    }
}

/// Why a wanted prefix is unserved, if it is.
fn why_unserved(prefix: &[u8], by_topic: &BTreeMap<Arc<[u8]>, FeedId>, routes: &Routes) -> Option<Unserved> {
    if prefix.is_empty() || by_topic.contains_key(prefix) { None } else { routes.unserved(prefix) }
}
