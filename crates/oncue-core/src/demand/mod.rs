//! Production on demand: which feeds run, given which prefixes are wanted. A state machine without a clock, threads or
//! I/O: times come in as [`Duration`]s since an origin of the caller's choice, decisions go out of a queue. Producers,
//! values and peers are unknown to it.
//!
//! What a wanted prefix does, for each route by itself:
//! - It is a whole topic of the route ([`PrefixMeaning::Exact`]): it *starts* that topic's feed.
//! - It is the beginning of topics of the route ([`PrefixMeaning::Partial`]): it *starts* those of the route's
//!   catalogue that begin with it. A route without parameters has a catalogue of one by nature.
//! - In any case it is *attached* to every feed whose topic begins with it, whoever started that feed, and whenever.
//!
//! A feed runs on while any prefix is attached to it, and for `grace` after the last one has gone. Wanted again within
//! the grace it runs on as the same generation. Each activation is a generation, numbered from 1, never reused.
//!
//! [`PrefixMeaning::Exact`]: crate::topic::pattern::PrefixMeaning::Exact
//! [`PrefixMeaning::Partial`]: crate::topic::pattern::PrefixMeaning::Partial

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

use self::feed::{Feed, Feeds, State};
use self::prefixes::Prefixes;
use self::routes::Routes;
use crate::topic::pattern::{Params, Pattern};

mod feed;
mod prefixes;
mod routes;
#[cfg(test)]
mod tests;

pub use self::feed::FeedId;
pub use self::routes::{Route, RouteId, RoutesError};

/// The bounds of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Feeds that run at once, of all routes, those in grace and those told to stop but not ended included. Topics
    /// beyond it wait, and start in the order they came as room appears. At least 1; 65,536 by default.
    pub feeds_max: usize,
    /// Topics in the catalogues of all routes together, routes without parameters included; 1,048,576 by default.
    pub catalogue_topics_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { feeds_max: 65_536, catalogue_topics_max: 1_048_576 }
    }
}

/// What the caller must do, in the order decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Begin to produce. The caller answers each start by exactly one [`Demand::ended`], sooner or later.
    Start {
        /// The feed to name in [`Demand::ended`].
        feed: FeedId,
        /// The route whose producer serves it.
        route: RouteId,
        /// The topic to produce.
        topic: Arc<[u8]>,
        /// The values of the route's parameters in that topic.
        params: Params,
        /// The number of this activation: greater than all before it.
        generation: u64,
    },
    /// Nobody wants the feed any more: not one more value of this generation may be sent. What was started goes on to
    /// count until the caller reports that it has ended; the topic does not start anew before that.
    Stop {
        /// The feed.
        feed: FeedId,
        /// The generation to stop.
        generation: u64,
    },
}

/// Counts since the beginning, and of the present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DemandStats {
    /// Now: wanted prefixes that mean something to some route.
    pub prefixes: usize,
    /// Now: feeds started and not told to stop, those in grace included.
    pub running: usize,
    /// Now: feeds that nobody wants, running on for their grace.
    pub in_grace: usize,
    /// Now: feeds told to stop that have not ended yet.
    pub stopping: usize,
    /// Now: topics that would be produced if `feeds_max` left room.
    pub waiting: usize,
    /// Generations started.
    pub started: u64,
    /// Generations told to stop.
    pub stopped: u64,
    /// Generations that ended by themselves before they were told to stop.
    pub ended: u64,
    /// Times a feed in grace was wanted again.
    pub revived: u64,
    /// Wanted prefixes that meant nothing to any route.
    pub unmatched: u64,
}

/// Which feeds run. See the [module's page](self) for the rules.
///
/// ```
/// use core::time::Duration;
/// use oncue_core::demand::{Decision, Demand, Limits, Route};
/// use oncue_core::topic::pattern::Pattern;
///
/// let grace = Duration::from_secs(2);
/// let route = Route { grace, ..Route::new(Pattern::parse("prices/{symbol}").unwrap()) };
/// let mut demand = Demand::new(vec![route], Limits::default()).unwrap();
///
/// demand.wanted(b"prices/AAPL", Duration::from_secs(1));
/// let Some(Decision::Start { feed, generation: 1, .. }) = demand.poll() else { panic!() };
/// demand.unwanted(b"prices/AAPL", Duration::from_secs(5));
/// assert_eq!(demand.next_deadline(), Some(Duration::from_secs(7)));
/// demand.tick(Duration::from_secs(7));
/// assert_eq!(demand.poll(), Some(Decision::Stop { feed, generation: 1 }));
/// demand.ended(feed, 1, Duration::from_secs(8));
/// ```
pub struct Demand {
    routes: Routes,
    limits: Limits,
    /// The latest time seen: time never goes back here, whatever the caller's clock does.
    now: Duration,
    prefixes: Prefixes,
    feeds: Feeds,
    /// All feeds, in whatever state. A topic that something starts has one; a topic has no more than one.
    by_topic: BTreeMap<Arc<[u8]>, FeedId>,
    /// The feeds in grace.
    deadlines: BTreeSet<(Duration, FeedId)>,
    /// The feeds that wait for room, oldest first.
    waiting: BTreeMap<u64, FeedId>,
    next_turn: u64,
    last_generation: u64,
    /// Generations started whose end has not been reported.
    live: usize,
    decisions: VecDeque<Decision>,
    stats: DemandStats,
}

impl Demand {
    /// A machine that nothing is wanted of yet.
    ///
    /// # Errors
    /// [`RoutesError`] when the routes contradict each other or the limits, with the patterns concerned.
    pub fn new(routes: Vec<Route>, limits: Limits) -> Result<Demand, RoutesError> {
        if limits.feeds_max == 0 {
            return Err(RoutesError::NoFeeds);
        }
        Ok(Demand {
            routes: Routes::new(routes, limits.catalogue_topics_max)?,
            limits,
            now: Duration::ZERO,
            prefixes: Prefixes::default(),
            feeds: Feeds::default(),
            by_topic: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: BTreeMap::new(),
            next_turn: 0,
            last_generation: 0,
            live: 0,
            decisions: VecDeque::new(),
            stats: DemandStats::default(),
        })
    }

    /// A prefix has its first subscriber. Ignored if it is wanted already, or means nothing to any route.
    pub fn wanted(&mut self, prefix: &[u8], now: Duration) {
        self.advance(now);
        if !self.routes.know(prefix) {
            self.stats.unmatched += 1;
            return;
        }
        if !self.prefixes.insert(prefix) {
            return;
        }
        for id in self.attached(prefix) {
            let feed = self.feeds.get_mut(id);
            feed.wants += 1;
            feed.starters += usize::from(self.routes.starts(prefix, feed));
            if let State::Grace { generation, deadline } = feed.state {
                feed.state = State::Running { generation };
                self.deadlines.remove(&(deadline, id));
                self.stats.revived += 1;
            }
        }
        for (topic, route) in self.routes.started_by(prefix) {
            if !self.by_topic.contains_key(&topic) {
                self.open(topic, route);
            }
        }
        self.fill();
    }

    /// A prefix has lost its last subscriber. Ignored if it was not wanted.
    pub fn unwanted(&mut self, prefix: &[u8], now: Duration) {
        self.advance(now);
        if !self.prefixes.remove(prefix) {
            return;
        }
        for id in self.attached(prefix) {
            let feed = self.feeds.get_mut(id);
            feed.wants -= 1;
            feed.starters -= usize::from(self.routes.starts(prefix, feed));
            match feed.state {
                State::Running { generation } if feed.wants == 0 => {
                    let deadline = self.now.saturating_add(self.routes.grace(feed.route));
                    feed.state = State::Grace { generation, deadline };
                    self.deadlines.insert((deadline, id));
                }
                State::Waiting { .. } | State::Ended if feed.starters == 0 => self.forget(id),
                _ => {}
            }
        }
        self.expire();
    }

    /// Time has passed: to be called when [`next_deadline`](Demand::next_deadline) is reached, harmless otherwise.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
    }

    /// What was started as this generation has ended: its producer returned or failed, or was done with stopping.
    /// Ended by itself it does not start again until what started it has gone and comes back.
    pub fn ended(&mut self, feed: FeedId, generation: u64, now: Duration) {
        self.now = self.now.max(now);
        // Before anything expires: what has ended is not told to stop.
        self.end(feed, generation);
        self.expire();
    }

    /// The next decision; to be asked for until there is none, after every input.
    pub fn poll(&mut self) -> Option<Decision> {
        self.decisions.pop_front()
    }

    /// When [`tick`](Demand::tick) is due, if at all.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The pattern of a route of this machine.
    ///
    /// # Panics
    /// If the route is another machine's.
    pub fn pattern(&self, route: RouteId) -> &Pattern {
        self.routes.pattern(route)
    }

    /// Counts since the beginning, and of the present.
    pub fn stats(&self) -> DemandStats {
        DemandStats {
            prefixes: self.prefixes.len(),
            running: self.live - self.stats.stopping,
            in_grace: self.deadlines.len(),
            waiting: self.waiting.len(),
            ..self.stats
        }
    }

    /// The feeds whose topics begin with `prefix`.
    fn attached(&self, prefix: &[u8]) -> Vec<FeedId> {
        self.by_topic
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .map(|(_, id)| *id)
            .collect()
    }

    /// Makes the feed of a topic that something has begun to start.
    fn open(&mut self, topic: Arc<[u8]>, route: RouteId) {
        let wants = self.prefixes.count_of(&topic);
        let catalogued = self.routes.catalogued(&topic);
        let state = State::Ended;
        let id =
            self.feeds.insert(Feed { topic: topic.clone(), route, catalogued, wants, starters: 1, state });
        self.by_topic.insert(topic, id);
        self.wait(id);
    }

    fn end(&mut self, id: FeedId, generation: u64) {
        let Some(feed) = self.feeds.find(id, generation) else { return };
        match feed.state {
            State::Stopping { .. } => self.stats.stopping -= 1,
            State::Grace { deadline, .. } => {
                self.deadlines.remove(&(deadline, id));
                self.stats.ended += 1;
            }
            _ => self.stats.ended += 1,
        }
        self.live -= 1;
        let stopped = matches!(feed.state, State::Stopping { .. });
        if feed.starters == 0 {
            self.forget(id);
        } else if stopped {
            self.wait(id);
        } else {
            feed.state = State::Ended;
        }
        self.fill();
    }

    fn wait(&mut self, id: FeedId) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.feeds.get_mut(id).state = State::Waiting { turn };
        self.waiting.insert(turn, id);
    }

    /// Starts what waits, as far as there is room.
    fn fill(&mut self) {
        while self.live < self.limits.feeds_max
            && let Some((_, id)) = self.waiting.pop_first()
        {
            self.live += 1;
            self.last_generation += 1;
            self.stats.started += 1;
            let generation = self.last_generation;
            let feed = self.feeds.get_mut(id);
            feed.state = State::Running { generation };
            let (route, topic) = (feed.route, feed.topic.clone());
            let params =
                self.routes.pattern(route).match_topic(&topic).expect("a feed's topic is its route's");
            self.decisions.push_back(Decision::Start { feed: id, route, topic, params, generation });
        }
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.expire();
    }

    /// Stops the feeds whose grace is over.
    fn expire(&mut self) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= self.now
        {
            self.deadlines.pop_first();
            let feed = self.feeds.get_mut(id);
            let State::Grace { generation, .. } = feed.state else { unreachable!("a deadline is a grace's") };
            feed.state = State::Stopping { generation };
            self.stats.stopping += 1;
            self.stats.stopped += 1;
            self.decisions.push_back(Decision::Stop { feed: id, generation });
        }
    }

    fn forget(&mut self, id: FeedId) {
        let feed = self.feeds.remove(id);
        self.by_topic.remove(&feed.topic);
        if let State::Waiting { turn } = feed.state {
            self.waiting.remove(&turn);
        }
    }
}
