//! Production on demand: which feeds run, given which prefixes are wanted. A state machine without a clock, threads or
//! I/O: times are [`Duration`]s since an origin of the caller's choice, and decisions are returned by a queue. It does not
//! know producers, values or peers.
//!
//! The effect of a wanted prefix, for each route separately:
//! - If it is a whole topic of the route ([`PrefixMeaning::Exact`]), it *starts* that topic's feed.
//! - If it is the beginning of topics of the route ([`PrefixMeaning::Partial`]), it *starts* the topics of the route's
//!   catalogue that begin with it. The catalogue of a route without parameters is its one topic.
//! - In either case it is *attached* to every feed whose topic begins with it, whatever started that feed.
//!
//! A feed runs while any prefix is attached to it, for `grace` after the last one was detached, and for at least `min_run`.
//! If it is wanted again by then, the same generation continues. Each activation is a generation, numbered from 1 and never
//! reused. A feed that ended by itself starts again when the prefixes that started it end and are wanted again; a feed that
//! failed also starts again after a pause, see [`Backoff`].
//!
//! A prefix that starts nothing is *unserved*, see [`Unserved`], except for the empty one: it may be attached to feeds that
//! others start, but none comes of it. A prefix is not unserved while a feed of exactly this topic has not been forgotten,
//! such as one whose route was removed and that has not ended. So a topic's own states come before.
//!
//! Routes and their catalogues may change while feeds run. Feeds whose route stays the same are not affected.
//!
//! [`PrefixMeaning::Exact`]: oncue_pattern::PrefixMeaning::Exact
//! [`PrefixMeaning::Partial`]: oncue_pattern::PrefixMeaning::Partial

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use self::feed::{Feed, State};
use self::prefixes::Prefixes;
use self::queue::Queue;
use self::routes::Routes;
use self::unserved::Announced;
use crate::topic::Hidden;
use oncue_pattern::{Params, Pattern};
use slab::Slab;

mod catalogue;
mod error;
mod feed;
mod machine;
mod prefixes;
mod queue;
mod routes;
#[cfg(test)]
mod tests;
mod unserved;

pub use self::error::RoutesError;
pub use self::feed::{FeedId, FeedState, Phase, TopicView};
pub use self::queue::FeedCounts;
pub use self::routes::{Route, RouteId, Unserved};
pub use crate::backoff::Backoff;

/// The limits of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most feeds of all routes that run at once, including those in grace and those told to stop that have not ended.
    /// More topics wait; when there is room, those with the most subscribers start first, then the oldest. At least 1;
    /// 65,536 by default. It also limits how many failed feeds that are not wanted are remembered.
    pub feeds_max: usize,
    /// The most topics in the catalogues of all routes together, including routes without parameters; 1,048,576 by default.
    pub catalogue_topics_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { feeds_max: 65_536, catalogue_topics_max: 1_048_576 }
    }
}

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Begin to produce. The caller answers each start with exactly one call of [`Feeds::ended`], sooner or later.
    Start {
        /// The feed, for [`Feeds::ended`].
        feed: FeedId,
        /// The route whose producer serves it.
        route: RouteId,
        /// The topic to produce.
        topic: Arc<[u8]>,
        /// The values of the route's parameters in that topic.
        params: Params,
        /// The number of this activation, greater than all before it.
        generation: u64,
        /// When the topic began to wait for this start.
        since: Duration,
    },
    /// The feed is not wanted any more, or its route was removed: no more values of this generation may be sent. The feed
    /// counts until the caller reports that it has ended, and the topic does not start again before that.
    Stop {
        /// The feed.
        feed: FeedId,
        /// The generation to stop.
        generation: u64,
        /// Whether the topic is still wanted: then its route has changed or was removed.
        wanted: bool,
    },
    /// Announce the state of a topic to its subscribers.
    State {
        /// The topic.
        topic: Arc<[u8]>,
        /// The route that serves or served it; it may have been removed.
        route: RouteId,
        /// The new state.
        state: FeedState,
    },
    /// A wanted prefix has come to be unserved, is unserved for another reason, or is not unserved any more.
    Unserved {
        /// The prefix.
        prefix: Arc<[u8]>,
        /// Why no feed comes of it; `None` if one does, or if the prefix is not wanted any more.
        why: Option<Unserved>,
    },
}

/// How a feed has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There is nothing more to produce.
    Finished,
    /// It could not continue; see [`Backoff`].
    Failed,
}

/// Counts since the beginning, and of the present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedsStats {
    /// Now: wanted prefixes.
    pub prefixes: usize,
    /// Now: the topics of all routes.
    pub now: FeedCounts,
    /// Generations started.
    pub started: u64,
    /// Generations told to stop.
    pub stopped: u64,
    /// Generations that ended by themselves before they were told to stop, including those that failed.
    pub ended: u64,
    /// Generations that failed before they were told to stop.
    pub failed: u64,
    /// How often a feed in grace was wanted again.
    pub revived: u64,
    /// Now: wanted prefixes that are [unserved](Unserved).
    pub unserved: usize,
    /// How often a wanted prefix has come to be unserved.
    pub unserved_total: u64,
}

/// The state machine that decides which feeds run. See the [module's page](self) for the rules.
///
/// ```
/// use core::time::Duration;
/// use oncue_core::feeds::{Decision, Feeds, End, Limits, Route};
/// use oncue_pattern::Pattern;
///
/// let grace = Duration::from_secs(2);
/// let route = Route { grace, ..Route::new(Pattern::parse("prices/{symbol}").unwrap()) };
/// let mut feeds = Feeds::new(1, vec![route], Limits::default()).unwrap();
///
/// feeds.wanted(b"prices/AAPL", Duration::from_secs(1));
/// let Some(Decision::Start { feed, generation: 1, .. }) = feeds.poll() else { panic!() };
/// feeds.unwanted(b"prices/AAPL", Duration::from_secs(5));
/// assert_eq!(feeds.next_deadline(), Some(Duration::from_secs(7)));
/// feeds.tick(Duration::from_secs(7));
/// assert_eq!(feeds.poll(), Some(Decision::Stop { feed, generation: 1, wanted: false }));
/// feeds.ended(feed, 1, End::Finished, Duration::from_secs(8));
/// ```
pub struct Feeds {
    routes: Routes,
    limits: Limits,
    /// The latest time passed in: time never goes back here, whatever the caller's clock does.
    now: Duration,
    prefixes: Prefixes,
    hidden: Hidden,
    feeds: Slab<Feed>,
    /// All feeds in all states. A topic that a prefix starts has exactly one.
    by_topic: BTreeMap<Arc<[u8]>, FeedId>,
    /// The feeds whose state has a deadline.
    deadlines: BTreeSet<(Duration, FeedId)>,
    /// The feeds that failed and that no prefix starts.
    cooling: BTreeSet<(Duration, FeedId)>,
    queue: Queue,
    last_turn: u64,
    last_generation: u64,
    announced: Announced,
    decisions: VecDeque<Decision>,
    stats: FeedsStats,
}

impl Feeds {
    /// A machine without routes. `seed` keys its hashes: it should be random and secret, since peers choose the prefixes.
    pub fn empty(seed: u64) -> Feeds {
        Feeds {
            routes: Routes::new(seed),
            limits: Limits::default(),
            now: Duration::ZERO,
            prefixes: Prefixes::new(!seed),
            hidden: Hidden::default(),
            feeds: Slab::new(),
            by_topic: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            cooling: BTreeSet::new(),
            queue: Queue::default(),
            last_turn: 0,
            last_generation: 0,
            announced: Announced::default(),
            decisions: VecDeque::new(),
            stats: FeedsStats::default(),
        }
    }

    /// The same with hidden topics, which prefixes that do not reach them neither start nor want. To be called before the first
    /// input.
    pub fn hiding(mut self, hidden: Hidden) -> Feeds {
        self.prefixes = self.prefixes.hiding(hidden.clone());
        self.hidden = hidden;
        self
    }

    /// A machine without wanted prefixes. The routes are numbered in this order. `seed` as for [`empty`](Feeds::empty).
    ///
    /// # Errors
    /// [`RoutesError`] when the routes conflict with each other or exceed the limits, with the patterns concerned.
    pub fn new(seed: u64, routes: Vec<Route>, limits: Limits) -> Result<Feeds, RoutesError> {
        let mut feeds = Feeds::empty(seed);
        feeds.change_routes(&[], routes, limits, Duration::ZERO)?;
        Ok(feeds)
    }

    /// Reports that a prefix has its first subscriber. Ignored if it is already wanted.
    pub fn wanted(&mut self, prefix: &[u8], now: Duration) {
        self.advance(now);
        if !self.prefixes.insert(prefix) {
            return;
        }
        // Kept even if no route matches it: a later route may.
        let attached = self.attached(prefix);
        let known = attached.first().is_some_and(|id| *self.feeds[id.0].topic == *prefix);
        for id in attached {
            let feed = &mut self.feeds[id.0];
            feed.wants += 1;
            feed.starters += usize::from(feed.starts_by(prefix, &self.routes));
            match feed.state {
                State::Grace { generation, .. } => {
                    self.stats.revived += 1;
                    self.set(id, State::Running { generation });
                }
                State::Cooling { until } if feed.starters > 0 => self.set(id, State::Failed { until }),
                _ => {}
            }
        }
        let mut started = self.routes.started_by(prefix);
        started.retain(|(topic, _)| !self.hidden.hides(topic, prefix));
        for (topic, route) in started {
            let is_new = if *topic == *prefix { !known } else { !self.by_topic.contains_key(&topic) };
            if is_new {
                self.open(topic, route);
            }
        }
        self.review(prefix);
        self.fill();
    }

    /// Reports that a prefix has lost its last subscriber. Ignored if it was not wanted.
    pub fn unwanted(&mut self, prefix: &[u8], now: Duration) {
        self.advance(now);
        if !self.prefixes.remove(prefix) {
            return;
        }
        self.announce(prefix, None);
        for id in self.attached(prefix) {
            let feed = &mut self.feeds[id.0];
            feed.wants -= 1;
            feed.starters -= usize::from(feed.starts_by(prefix, &self.routes));
            match feed.state {
                State::Running { generation } if feed.wants == 0 => self.let_run_out(id, generation),
                State::Waiting { .. } | State::Ended if feed.starters == 0 => self.forget(id),
                State::Failed { until } if feed.starters == 0 => self.cool(id, until),
                _ => {}
            }
        }
        self.expire();
    }

    /// Reports the time. Must be called when [`next_deadline`](Feeds::next_deadline) is reached, and may be called any time.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
    }

    /// Reports that this generation of a feed has published: its topic is [`FeedState::Active`].
    pub fn produced(&mut self, feed: FeedId, generation: u64, now: Duration) {
        self.advance(now);
        let running = self.find(feed, generation).map(|feed| feed.state);
        if matches!(running, Some(State::Running { .. } | State::Grace { .. })) {
            self.say(feed, FeedState::Active);
        }
    }

    /// Reports that this generation of a feed has ended: its producer returned, failed, or has stopped as it was told. A
    /// finished feed does not start again until the prefixes that started it end and are wanted again. A failed feed starts
    /// again according to the route's [`Backoff`].
    pub fn ended(&mut self, feed: FeedId, generation: u64, end: End, now: Duration) {
        self.now = self.now.max(now);
        // Before anything expires: a feed that has ended must not be told to stop.
        self.end(feed, generation, end);
        self.expire();
    }

    /// Replaces a route's catalogue. Prefixes no longer start topics that are removed from it, but their feeds run while
    /// they are wanted. Takes time in proportion to both lists. Without effect if the route was removed.
    ///
    /// # Errors
    /// [`RoutesError::ForeignTopic`], [`RoutesError::CatalogueTooLong`]: the old list stays.
    pub fn relist(&mut self, route: RouteId, topics: Vec<Vec<u8>>, now: Duration) -> Result<(), RoutesError> {
        self.advance(now);
        let mut prefixes = BTreeSet::new();
        for topic in self.routes.relist(route, topics)? {
            self.reconsider(&topic);
            self.prefixes.of_topic(&topic, |prefix| _ = prefixes.insert(prefix.to_vec()));
        }
        prefixes.iter().for_each(|prefix| self.review(prefix));
        self.fill();
        Ok(())
    }

    /// Removes routes, adds others and sets the limits, all or nothing. Feeds whose route stays the same are not affected.
    /// Those of a removed route are told to stop, and start again if another route has their topic. If more feeds run than
    /// the limits allow, none is stopped for that reason. Takes as much time as to start with these routes. Returns the
    /// ids of the new routes.
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
        self.review_all();
        self.fill();
        Ok(ids)
    }

    /// Asks for the numbers of subscribers of up to `most` topics that wait for room, which decide which topic starts next.
    /// All waiting topics are asked about in turn (round robin). Until then a topic counts 1 subscriber.
    pub fn count_waiting(&mut self, most: usize, mut subscribers: impl FnMut(&[u8]) -> usize) {
        for id in self.queue.next_round(most) {
            let feed = &self.feeds[id.0];
            let State::Waiting { mut rank } = feed.state else { unreachable!("what is queued waits") };
            let count = subscribers(&feed.topic);
            if rank.subscribers.0 != count {
                rank.subscribers.0 = count;
                self.set(id, State::Waiting { rank });
            }
        }
    }

    /// The next decision. Must be called after every input, until it returns `None`.
    pub fn poll(&mut self) -> Option<Decision> {
        self.decisions.pop_front()
    }

    /// The generation that runs for a topic, in grace or not.
    pub fn running(&self, topic: &[u8]) -> Option<u64> {
        match self.feeds[self.by_topic.get(topic)?.0].state {
            State::Running { generation } | State::Grace { generation, .. } => Some(generation),
            _ => None,
        }
    }

    /// When [`tick`](Feeds::tick) is due, if at all.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The routes, in the order in which they were added.
    pub fn routes(&self) -> impl Iterator<Item = (RouteId, &Pattern)> {
        self.routes.ids().map(|id| (id, self.routes.pattern(id)))
    }

    /// The topics that are wanted and have a route, and those whose feed has not been forgotten, in their order.
    pub fn topics(&self) -> impl Iterator<Item = TopicView<'_>> {
        self.by_topic.values().map(|id| self.feeds[id.0].view())
    }

    /// The topics in the catalogue of a route, in their order, with that of a route without parameters.
    pub fn listed_by(&self, route: RouteId) -> impl Iterator<Item = &Arc<[u8]>> {
        self.routes.list_of(route)
    }

    /// Counts since the beginning, and of the present.
    pub fn stats(&self) -> FeedsStats {
        let now = self.queue.sum().public(self.routes.topics_listed());
        let (prefixes, unserved) = (self.prefixes.len(), self.prefixes.unserved());
        FeedsStats { prefixes, now, unserved, ..self.stats }
    }

    /// Counts of one route, of the present.
    pub fn route_counts(&self, route: RouteId) -> FeedCounts {
        self.queue.counts(route).public(self.routes.listed_by(route))
    }
}
