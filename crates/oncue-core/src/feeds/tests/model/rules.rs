//! The rules of the model, applied to every topic of the universe.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::super::super::{End, FeedState, RouteId, Unserved};
use super::super::naive::{NaiveRoute, naive_begin, naive_match};
use super::{History, Model, Topic, bits};

impl History {
    pub(super) fn end(&mut self, i: usize, end: End) {
        let (started, wanted) = self.demand_of(i);
        let topic = &mut self.topics[i];
        let backoff = topic.owner.and_then(|owner| self.routes[&owner].backoff);
        let stopped = matches!(topic.state, Some(Model::Stopping { .. }));
        topic.line = None;
        match backoff {
            _ if stopped && started => self.wait(i),
            _ if stopped => self.forget(i),
            Some((min, max)) if end == End::Failed => {
                if self.now - topic.started >= max {
                    topic.failures = 0;
                }
                let pause = (0..topic.failures).fold(min, |pause, _| (pause * 2).min(max));
                let until = self.now + pause.min(max);
                topic.failures += 1;
                topic.state = Some(if started { Model::Failed { until } } else { Model::Cooling { until } });
                if wanted {
                    self.say(i, FeedState::Stale);
                }
            }
            _ => {
                topic.state = Some(Model::Ended);
                if wanted {
                    self.say(i, FeedState::Closed);
                }
                if !started {
                    self.forget(i);
                }
            }
        }
    }

    /// Applies the present routes to every topic; topics whose route has changed move.
    pub(super) fn survey(&mut self) {
        let mut moved = Vec::new();
        for (i, topic) in self.topics.iter_mut().enumerate() {
            let serving = self.routes.iter().filter(|(_, route)| naive_match(&route.parts, &topic.topic));
            let owner = serving.map(|(id, _)| *id).min_by_key(|id| self.routes[id].size);
            if owner != topic.owner {
                topic.owner = owner;
                moved.push(i);
            }
            let Some(route) = owner.map(|id| &self.routes[&id]) else {
                topic.started_by = 0;
                continue;
            };
            let listed = !route.parts.contains(&b'?')
                || self.routes.values().any(|route| route.catalogue.contains(&topic.topic));
            let starts = |prefix: &Vec<u8>| {
                topic.topic.starts_with(prefix)
                    && (topic.topic == *prefix || listed && !naive_match(&route.parts, prefix))
            };
            topic.started_by = bits(&self.pool, starts);
        }
        for i in 0..self.topics.len() {
            self.adapt(i, moved.contains(&i));
        }
    }

    pub(super) fn reconsider(&mut self) {
        for i in 0..self.topics.len() {
            self.adapt(i, false);
        }
    }

    /// Applies the wanted prefixes to a topic.
    pub(super) fn adapt(&mut self, i: usize, moved: bool) {
        let (started, wanted) = self.demand_of(i);
        let topic = &mut self.topics[i];
        match topic.state {
            None if started => {
                topic.failures = 0;
                self.wait(i);
            }
            Some(Model::Running { generation } | Model::Grace { generation, .. }) if moved => {
                let left = if topic.owner.is_some() { FeedState::Stale } else { FeedState::Closed };
                self.stop(i, generation, left);
            }
            Some(Model::Running { generation }) if !wanted => {
                let route = &self.routes[&topic.owner.expect("a running topic has a route")];
                let deadline = (self.now + route.grace).max(topic.started + route.min_run);
                topic.state = Some(Model::Grace { generation, deadline });
            }
            Some(Model::Grace { generation, .. }) if wanted => {
                topic.state = Some(Model::Running { generation });
            }
            Some(Model::Waiting { .. } | Model::Ended) if !started => self.forget(i),
            Some(Model::Failed { .. } | Model::Cooling { .. }) if !started && moved => self.forget(i),
            Some(Model::Waiting { .. } | Model::Ended | Model::Failed { .. } | Model::Cooling { .. })
                if moved =>
            {
                topic.failures = 0;
                self.wait(i);
            }
            Some(Model::Failed { until }) if !started => topic.state = Some(Model::Cooling { until }),
            Some(Model::Cooling { until }) if started => topic.state = Some(Model::Failed { until }),
            _ => {}
        }
    }

    pub(super) fn wanted(&self) -> u64 {
        self.peers.iter().fold(0, |all, peer| all | peer)
    }

    pub(super) fn demand_of(&self, i: usize) -> (bool, bool) {
        let wanted = self.wanted();
        (wanted & self.topics[i].started_by != 0, wanted & self.topics[i].wanted_by != 0)
    }

    pub(super) fn wait(&mut self, i: usize) {
        self.turns += 1;
        self.topics[i].state = Some(Model::Waiting { rank: (Reverse(1), self.turns) });
    }

    pub(super) fn forget(&mut self, i: usize) {
        self.topics[i].state = None;
        self.say(i, FeedState::Idle);
    }

    pub(super) fn stop(&mut self, i: usize, generation: u64, left: FeedState) {
        self.topics[i].state = Some(Model::Stopping { generation });
        // A feed whose grace ends was not wanted, whatever the present step is.
        let wanted = left != FeedState::Idle && self.demand_of(i).1;
        let wanted = if wanted { " still wanted" } else { "" };
        self.expected.push(format!("stop #{generation}{wanted}"));
        self.say(i, left);
    }

    pub(super) fn say(&mut self, i: usize, state: FeedState) {
        let topic = &mut self.topics[i];
        if topic.told != state {
            topic.told = state;
            self.expected.push(format!("{} is {state:?}", topic.topic.escape_ascii()));
        }
    }

    pub(super) fn expire(&mut self) {
        let due = |t: &Topic| t.state.and_then(Model::deadline).map(|at| (at, t.id));
        loop {
            let first = (0..self.topics.len()).filter(|&i| due(&self.topics[i]).is_some());
            let Some(i) = first.min_by_key(|&i| due(&self.topics[i])) else { break };
            if due(&self.topics[i]).is_some_and(|(at, _)| at > self.now) {
                break;
            }
            match self.topics[i].state {
                Some(Model::Grace { generation, .. }) => self.stop(i, generation, FeedState::Idle),
                Some(Model::Failed { .. }) => self.wait(i),
                _ => self.forget(i),
            }
        }
        let cooling = |t: &Topic| matches!(t.state, Some(Model::Cooling { .. }));
        while self.topics.iter().filter(|t| cooling(t)).count() > self.feeds_max {
            let first = (0..self.topics.len()).filter(|&i| cooling(&self.topics[i]));
            let i = first.min_by_key(|&i| due(&self.topics[i])).expect("there are some");
            self.forget(i);
        }
        self.fill();
    }

    /// Determines which wanted prefixes are unserved, and expects what has changed to be told.
    pub(super) fn look_for_unserved(&mut self) {
        for bit in 0..self.pool.len() {
            let prefix = &self.pool[bit];
            let lists = |route: &NaiveRoute| {
                let literal = !route.parts.contains(&b'?');
                literal && route.parts.starts_with(prefix)
                    || route.catalogue.iter().any(|t| t.starts_with(prefix))
            };
            let is_a_topic = |route: &NaiveRoute| naive_match(&route.parts, prefix);
            let served = self.wanted() & 1 << bit == 0
                || prefix.is_empty()
                || self.topics.iter().any(|t| t.topic == *prefix && t.state.is_some())
                || self.routes.values().any(|route| lists(route) || is_a_topic(route));
            let begins = |id: &&RouteId| naive_begin(&self.routes[id].parts, prefix);
            let why = (!served).then(|| {
                let route = self.routes.keys().find(begins);
                route.map_or(Unserved::NoRoute, |id| Unserved::NoCatalogue(*id))
            });
            if core::mem::replace(&mut self.unserved[bit], why) != why {
                self.expected.push(format!("{} unserved: {why:?}", self.pool[bit].escape_ascii()));
            }
        }
    }

    pub(super) fn live_of(&self, route: Option<RouteId>) -> usize {
        let live =
            |t: &&Topic| t.state.and_then(Model::live).is_some() && (route.is_none() || t.line == route);
        self.topics.iter().filter(live).count()
    }

    pub(super) fn fill(&mut self) {
        while self.live_of(None) < self.feeds_max {
            let room = |id: &RouteId| self.live_of(Some(*id)) < self.routes[id].feeds_max;
            let roomy: BTreeSet<_> = self.routes.keys().copied().filter(room).collect();
            let rank = |t: &Topic| match t.state {
                Some(Model::Waiting { rank }) if t.owner.is_some_and(|id| roomy.contains(&id)) => Some(rank),
                _ => None,
            };
            let waiting = self.topics.iter_mut().filter(|t| rank(t).is_some());
            let Some(topic) = waiting.min_by_key(|t| rank(t)) else { break };
            self.generations += 1;
            topic.state = Some(Model::Running { generation: self.generations });
            topic.line = topic.owner;
            topic.started = self.now;
            self.expected.push(format!("start {} #{}", topic.topic.escape_ascii(), self.generations));
        }
    }
}
