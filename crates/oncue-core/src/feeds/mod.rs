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
//! A feed runs on while any prefix is attached to it, for `grace` after the last one has gone, and for `min_run` after
//! its start. Wanted again by then it runs on as the same generation. Each activation is a generation, numbered from 1,
//! never reused. A feed that has ended by itself starts again when what started it has gone and comes back; one that
//! has failed, also after a pause, see [`Backoff`].
//!
//! Routes, and what they list, may change while feeds run. Feeds that are served as before are not touched.
//!
//! [`PrefixMeaning::Exact`]: oncue_pattern::PrefixMeaning::Exact
//! [`PrefixMeaning::Partial`]: oncue_pattern::PrefixMeaning::Partial

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use self::feed::{Feeds, State};
use self::prefixes::Prefixes;
use self::queue::Queue;
use self::routes::Routes;
use oncue_pattern::{Params, Pattern};

mod error;
mod feed;
mod machine;
mod prefixes;
mod queue;
mod routes;
#[cfg(test)]
mod tests;

pub use self::error::RoutesError;
pub use self::feed::FeedId;
pub use self::routes::{Route, RouteId};
pub use crate::backoff::Backoff;

/// The bounds of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Feeds that run at once, of all routes, those in grace and those told to stop but not ended included. Topics
    /// beyond it wait; as room appears those with the most subscribers start first, of equal ones the oldest. At
    /// least 1; 65,536 by default. As many feeds that failed and that nobody wants are remembered at most.
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
        /// Since when the topic has waited for this start.
        since: Duration,
    },
    /// Nobody wants the feed any more, or its route is gone: not one more value of this generation may be sent. What
    /// was started goes on to count until the caller reports that it has ended; the topic does not start anew before
    /// that.
    Stop {
        /// The feed.
        feed: FeedId,
        /// The generation to stop.
        generation: u64,
        /// Whether the topic is wanted nevertheless: its route has changed or gone.
        wanted: bool,
    },
    /// Tell those who want the topic.
    State {
        /// The topic.
        topic: Arc<[u8]>,
        /// The route that serves it, or that did: it may be gone.
        route: RouteId,
        /// What is true of it from now on.
        state: FeedState,
    },
}

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

/// How a production has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There is nothing more to produce.
    Finished,
    /// It could not go on; see [`Backoff`].
    Failed,
}

/// How many topics are in each state now, of one route or of all. Feeds of a route that is gone count for it until they
/// have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedCounts {
    /// Topics that somebody wants, whether they are produced or not.
    pub wanted: usize,
    /// Feeds started and not told to stop, those in grace included.
    pub running: usize,
    /// Feeds that nobody wants, running on for their grace.
    pub in_grace: usize,
    /// Feeds told to stop whose production has not ended yet.
    pub stopping: usize,
    /// Topics that wait for room: they would be produced if a bound allowed it.
    pub waiting: usize,
    /// Topics whose feed failed and that wait for their next start.
    pub failing: usize,
    /// Topics in the catalogue; of a route without parameters its one topic.
    pub listed: usize,
}

/// Counts since the beginning, and of the present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DemandStats {
    /// Now: wanted prefixes.
    pub prefixes: usize,
    /// Now: the topics of all routes.
    pub now: FeedCounts,
    /// Generations started.
    pub started: u64,
    /// Generations told to stop.
    pub stopped: u64,
    /// Generations that ended by themselves before they were told to stop, those that failed included.
    pub ended: u64,
    /// Generations that failed before they were told to stop.
    pub failed: u64,
    /// Times a feed in grace was wanted again.
    pub revived: u64,
    /// Wanted prefixes that meant nothing to any route.
    pub unmatched: u64,
}

/// Which feeds run. See the [module's page](self) for the rules.
///
/// ```
/// use core::time::Duration;
/// use oncue_core::feeds::{Decision, Demand, End, Limits, Route};
/// use oncue_pattern::Pattern;
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
/// assert_eq!(demand.poll(), Some(Decision::Stop { feed, generation: 1, wanted: false }));
/// demand.ended(feed, 1, End::Finished, Duration::from_secs(8));
/// ```
#[derive(Default)]
pub struct Demand {
    routes: Routes,
    limits: Limits,
    /// The latest time seen: time never goes back here, whatever the caller's clock does.
    now: Duration,
    prefixes: Prefixes,
    feeds: Feeds,
    /// All feeds, in whatever state. A topic that something starts has one; a topic has no more than one.
    by_topic: BTreeMap<Arc<[u8]>, FeedId>,
    /// The feeds whose state time will change.
    deadlines: BTreeSet<(Duration, FeedId)>,
    /// The feeds that failed and that nothing starts.
    cooling: BTreeSet<(Duration, FeedId)>,
    queue: Queue,
    last_turn: u64,
    last_generation: u64,
    decisions: VecDeque<Decision>,
    stats: DemandStats,
}

impl Demand {
    /// A machine that nothing is wanted of yet. The routes are numbered in this order.
    ///
    /// # Errors
    /// [`RoutesError`] when the routes contradict each other or the limits, with the patterns concerned.
    pub fn new(routes: Vec<Route>, limits: Limits) -> Result<Demand, RoutesError> {
        let mut demand = Demand::default();
        demand.change_routes(&[], routes, limits, Duration::ZERO)?;
        Ok(demand)
    }

    /// A prefix has its first subscriber. Ignored if it is wanted already.
    pub fn wanted(&mut self, prefix: &[u8], now: Duration) {
        self.advance(now);
        if !self.prefixes.insert(prefix) {
            return;
        }
        // Kept all the same: a route may come to know it.
        self.stats.unmatched += u64::from(!self.routes.know(prefix));
        for id in self.attached(prefix) {
            let feed = self.feeds.get_mut(id);
            feed.wants += 1;
            feed.starters += usize::from(self.routes.starts(prefix, feed));
            match feed.state {
                State::Grace { generation, .. } => {
                    self.stats.revived += 1;
                    self.set(id, State::Running { generation });
                }
                State::Cooling { until } if feed.starters > 0 => self.set(id, State::Failed { until }),
                _ => {}
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
                State::Running { generation } if feed.wants == 0 => self.let_run_out(id, generation),
                State::Waiting { .. } | State::Ended if feed.starters == 0 => self.forget(id),
                State::Failed { until } if feed.starters == 0 => self.cool(id, until),
                _ => {}
            }
        }
        self.expire();
    }

    /// Time has passed: to be called when [`next_deadline`](Demand::next_deadline) is reached, harmless otherwise.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
    }

    /// This generation of a feed has published: its topic is [`FeedState::Active`].
    pub fn produced(&mut self, feed: FeedId, generation: u64, now: Duration) {
        self.advance(now);
        let running = self.feeds.find(feed, generation).map(|feed| feed.state);
        if matches!(running, Some(State::Running { .. } | State::Grace { .. })) {
            self.say(feed, FeedState::Active);
        }
    }

    /// What was started as this generation has ended: its producer returned or failed, or was done with stopping.
    /// Finished, it does not start again until what started it has gone and comes back. Failed, it starts again as the
    /// route's [`Backoff`] says.
    pub fn ended(&mut self, feed: FeedId, generation: u64, end: End, now: Duration) {
        self.now = self.now.max(now);
        // Before anything expires: what has ended is not told to stop.
        self.end(feed, generation, end);
        self.expire();
    }

    /// A route's catalogue is another now. Topics that have left it are not started by prefixes any more; their feeds
    /// run on while they are wanted. Takes time in proportion to both lists. Without effect if the route is gone.
    ///
    /// # Errors
    /// [`RoutesError::ForeignTopic`], [`RoutesError::CatalogueTooLong`]: the old list stays.
    pub fn relist(&mut self, route: RouteId, topics: Vec<Vec<u8>>, now: Duration) -> Result<(), RoutesError> {
        self.advance(now);
        for topic in self.routes.relist(route, topics)? {
            self.reconsider(&topic);
        }
        self.fill();
        Ok(())
    }

    /// Removes routes, adds others and sets the limits, all or nothing. Feeds whose topics the same routes serve as before
    /// are not touched. Those of a route that is gone are told to stop, and start anew if another route has their topic.
    /// Where more feeds run than the limits allow, none is stopped for it. Takes as much time as beginning with these
    /// routes. Returns the names of the new ones.
    ///
    /// # Errors
    /// [`RoutesError`]: nothing has changed.
    pub fn change_routes(
        &mut self,
        removed: &[RouteId],
        added: Vec<Route>,
        limits: Limits,
        now: Duration,
    ) -> Result<Vec<RouteId>, RoutesError> {
        self.advance(now);
        if limits.feeds_max == 0 {
            return Err(RoutesError::NoFeeds);
        }
        let (routes, ids) = self.routes.changed(removed, added, limits.catalogue_topics_max)?;
        self.limits = limits;
        self.queue.set_feeds_max(limits.feeds_max);
        removed.iter().filter(|id| self.routes.contains(**id)).for_each(|id| self.queue.retire(*id));
        ids.iter().for_each(|id| self.queue.add_route(*id, routes.get(*id).feeds_max));
        self.routes = routes;
        let mut topics: BTreeSet<Arc<[u8]>> = self.by_topic.keys().cloned().collect();
        if self.prefixes.len() > 0 {
            topics.extend(self.routes.catalogue().cloned());
            let wanted = self.prefixes.iter().filter(|prefix| self.routes.route_of(prefix).is_some());
            topics.extend(wanted.map(Arc::from));
        }
        for topic in topics {
            self.reconsider(&topic);
        }
        self.fill();
        Ok(ids)
    }

    /// Asks for the numbers of subscribers of up to `most` topics that wait for room, which decide who is next: of all
    /// of them in rounds, so that each number is known as it was a round ago. A topic that has not been asked for has 1.
    pub fn count_waiting(&mut self, most: usize, mut subscribers: impl FnMut(&[u8]) -> usize) {
        for id in self.queue.next_round(most) {
            let feed = self.feeds.get(id);
            let State::Waiting { mut rank } = feed.state else { unreachable!("what is queued waits") };
            let count = subscribers(&feed.topic);
            if rank.subscribers.0 != count {
                rank.subscribers.0 = count;
                self.set(id, State::Waiting { rank });
            }
        }
    }

    /// The next decision; to be asked for until there is none, after every input.
    pub fn poll(&mut self) -> Option<Decision> {
        self.decisions.pop_front()
    }

    /// The generation that runs for a topic, one in grace included.
    pub fn running(&self, topic: &[u8]) -> Option<u64> {
        match self.feeds.get(*self.by_topic.get(topic)?).state {
            State::Running { generation } | State::Grace { generation, .. } => Some(generation),
            _ => None,
        }
    }

    /// When [`tick`](Demand::tick) is due, if at all.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The routes, in the order in which they came.
    pub fn routes(&self) -> impl Iterator<Item = (RouteId, &Pattern)> {
        self.routes.ids().map(|id| (id, self.routes.pattern(id)))
    }

    /// Counts since the beginning, and of the present.
    pub fn stats(&self) -> DemandStats {
        let now = self.queue.sum().public(self.routes.topics_listed());
        DemandStats { prefixes: self.prefixes.len(), now, ..self.stats }
    }

    /// Counts of one route, of the present.
    pub fn route_counts(&self, route: RouteId) -> FeedCounts {
        self.queue.counts(route).public(self.routes.listed_by(route))
    }
}
