//! The routes of a machine: which of them serves a topic, and which topics a prefix starts. What runs is unknown here.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::ops::Bound;
use core::time::Duration;

use super::feed::Feed;
use crate::topic::pattern::{Pattern, PrefixMeaning};

/// A pattern and how its topics are served.
#[derive(Debug, Clone)]
pub struct Route {
    /// The topics of the route, less those of routes that lie within it.
    pub pattern: Pattern,
    /// How long a feed outlives its last subscriber; zero by default.
    pub grace: Duration,
    /// The topics that prefixes start which are not whole topics themselves; each is one of the pattern. Needless for
    /// a pattern without parameters.
    pub catalogue: Vec<Vec<u8>>,
}

impl Route {
    /// A route without grace and catalogue.
    pub fn new(pattern: Pattern) -> Route {
        Route { pattern, grace: Duration::ZERO, catalogue: Vec::new() }
    }
}

/// The place of a route in the list the machine was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(usize);

impl RouteId {
    /// The index of the route in the list.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Why routes could not be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoutesError {
    /// There are none.
    NoRoutes,
    /// `feeds_max` is 0.
    NoFeeds,
    /// Two routes have the same topics.
    Duplicate(Pattern, Pattern),
    /// Some topics are of both routes, and neither route lies within the other.
    Ambiguous(Pattern, Pattern),
    /// A topic of this route's catalogue is not of its pattern.
    ForeignTopic(Pattern, Vec<u8>),
    /// The catalogues have more topics than this together.
    CatalogueTooLong(usize),
}

impl fmt::Display for RoutesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoutesError::NoRoutes => f.write_str("there are no routes; add one, such as `clock`"),
            RoutesError::NoFeeds => f.write_str("feeds_max is 0; give it 1 at least"),
            RoutesError::Duplicate(a, b) => {
                write!(f, "the routes `{a}` and `{b}` have the same topics; remove one of them")
            }
            RoutesError::Ambiguous(a, b) => write!(
                f,
                "the routes `{a}` and `{b}` share topics, and neither lies within the other; narrow one of them"
            ),
            RoutesError::ForeignTopic(pattern, topic) => write!(
                f,
                "the catalogue of the route `{pattern}` has `{}`, which is no topic of it; remove it",
                topic.escape_ascii()
            ),
            RoutesError::CatalogueTooLong(max) => {
                write!(
                    f,
                    "the catalogues have more than {max} topics; shorten them or raise catalogue_topics_max"
                )
            }
        }
    }
}

impl core::error::Error for RoutesError {}

pub(super) struct Routes {
    routes: Vec<(Pattern, Duration)>,
    /// Those with parameters, narrow ones first: the first that matches a topic serves it.
    with_params: Vec<RouteId>,
    /// The topics that partial prefixes start, and the route that serves each: not always the one that listed it.
    catalogue: BTreeMap<Arc<[u8]>, RouteId>,
}

impl Routes {
    pub(super) fn new(routes: Vec<Route>, catalogue_topics_max: usize) -> Result<Routes, RoutesError> {
        if routes.is_empty() {
            return Err(RoutesError::NoRoutes);
        }
        check_order(&routes)?;
        let mut with_params: Vec<_> =
            (0..routes.len()).filter(|&i| routes[i].pattern.as_literal().is_none()).map(RouteId).collect();
        with_params.sort_by_key(|id| Reverse(routes[id.0].pattern.specificity()));
        let mut catalogue = BTreeMap::new();
        for (i, route) in routes.iter().enumerate() {
            if let Some(topic) = route.pattern.as_literal() {
                catalogue.insert(topic.into(), RouteId(i));
            }
        }
        let mut listed = Vec::with_capacity(routes.len());
        let mut table = Routes { routes: Vec::with_capacity(routes.len()), with_params, catalogue };
        for route in routes {
            table.routes.push((route.pattern, route.grace));
            listed.push(route.catalogue);
        }
        for (i, topics) in listed.into_iter().enumerate() {
            for topic in topics {
                table.list(RouteId(i), topic)?;
            }
        }
        if table.catalogue.len() > catalogue_topics_max {
            return Err(RoutesError::CatalogueTooLong(catalogue_topics_max));
        }
        Ok(table)
    }

    fn list(&mut self, route: RouteId, topic: Vec<u8>) -> Result<(), RoutesError> {
        let pattern = self.pattern(route);
        if !pattern.matches(&topic) {
            return Err(RoutesError::ForeignTopic(pattern.clone(), topic));
        }
        let owner = self.route_of(&topic).unwrap_or(route);
        self.catalogue.insert(topic.into(), owner);
        Ok(())
    }

    pub(super) fn pattern(&self, route: RouteId) -> &Pattern {
        &self.routes[route.0].0
    }

    pub(super) fn grace(&self, route: RouteId) -> Duration {
        self.routes[route.0].1
    }

    /// Whether a prefix means anything to any route.
    pub(super) fn know(&self, prefix: &[u8]) -> bool {
        let means = |id: &RouteId| self.pattern(*id).prefix(prefix) != PrefixMeaning::None;
        self.listed(prefix).next().is_some() || self.with_params.iter().any(means)
    }

    /// Whether a partial prefix of the topic starts it.
    pub(super) fn catalogued(&self, topic: &[u8]) -> bool {
        self.catalogue.contains_key(topic)
    }

    /// Whether `prefix`, with which the feed's topic begins, is one of those that start it.
    pub(super) fn starts(&self, prefix: &[u8], feed: &Feed) -> bool {
        *prefix == *feed.topic || feed.catalogued && !self.pattern(feed.route).matches(prefix)
    }

    /// The topics that a prefix starts, and the routes that serve them.
    pub(super) fn started_by(&self, prefix: &[u8]) -> Vec<(Arc<[u8]>, RouteId)> {
        let exact = self.route_of(prefix).map(|route| (prefix.into(), route));
        // A route takes a prefix that is a whole topic of it as that topic, and does not look into its catalogue.
        let longer = self
            .listed(prefix)
            .filter(|(topic, route)| topic.len() > prefix.len() && !self.pattern(**route).matches(prefix));
        exact.into_iter().chain(longer.map(|(topic, route)| (topic.clone(), *route))).collect()
    }

    fn route_of(&self, topic: &[u8]) -> Option<RouteId> {
        let matches = |id: &RouteId| self.pattern(*id).matches(topic);
        let listed = self.catalogue.get(topic).copied();
        listed.or_else(|| self.with_params.iter().copied().find(matches))
    }

    fn listed(&self, prefix: &[u8]) -> impl Iterator<Item = (&Arc<[u8]>, &RouteId)> {
        self.catalogue
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(topic, _)| topic.starts_with(prefix))
    }
}

/// Refuses two routes that share topics unless one lies within the other: it is the one to serve them.
fn check_order(routes: &[Route]) -> Result<(), RoutesError> {
    for (i, Route { pattern: a, .. }) in routes.iter().enumerate() {
        for Route { pattern: b, .. } in &routes[..i] {
            if !a.overlaps(b) {
                continue;
            }
            match (a.covers(b), b.covers(a)) {
                (true, true) => return Err(RoutesError::Duplicate(b.clone(), a.clone())),
                (false, false) => return Err(RoutesError::Ambiguous(b.clone(), a.clone())),
                _ => {}
            }
        }
    }
    Ok(())
}
