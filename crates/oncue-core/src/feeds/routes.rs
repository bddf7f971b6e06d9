//! The routes of a machine: which of them serves a topic, and which topics a prefix starts. Feeds are not known here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::catalogue::Catalogue;
use super::error::RoutesError;
use crate::backoff::Backoff;
use oncue_pattern::{Pattern, PrefixMeaning};

/// A pattern and how its topics are served.
#[derive(Debug, Clone)]
pub struct Route {
    /// The topics of the route, without those of narrower routes.
    pub pattern: Pattern,
    /// How long a feed runs after its last subscriber has left; zero by default.
    pub grace: Duration,
    /// How long a feed runs at least from its start, wanted or not; zero by default.
    pub min_run: Duration,
    /// The most feeds of this route that run at once, counted as for [`Limits::feeds_max`](super::Limits::feeds_max). At
    /// least 1; no limit by default.
    pub feeds_max: usize,
    /// When a failed feed starts again. By default only when the prefixes that started it end and are wanted again.
    pub backoff: Option<Backoff>,
    /// The topics that a prefix starts if it is not a whole topic itself. Each must match the pattern. Not needed for a
    /// pattern without parameters. See [`Feeds::relist`](super::Feeds::relist).
    pub catalogue: Vec<Vec<u8>>,
}

impl Route {
    /// A route with the defaults, and without a catalogue.
    pub fn new(pattern: Pattern) -> Route {
        Route {
            pattern,
            grace: Duration::ZERO,
            min_run: Duration::ZERO,
            feeds_max: usize::MAX,
            backoff: None,
            catalogue: Vec::new(),
        }
    }
}

/// The number of a route. Routes are numbered from 0 in the order in which they were added; numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(usize);

impl RouteId {
    /// The number.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Why a wanted prefix starts no feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// No route has a topic that begins with it.
    NoRoute,
    /// Topics of this route begin with it, but it is not a whole topic, and no catalogue lists one that begins with it. Of
    /// several such routes it is the one that was added first.
    NoCatalogue(RouteId),
}

pub(super) struct Routes {
    routes: BTreeMap<RouteId, Served>,
    /// Routes with parameters, the narrowest first: the first that matches a topic serves it.
    with_params: Vec<RouteId>,
    /// The topics that partial prefixes start.
    catalogue: Catalogue<RouteId>,
    topics_max: usize,
    next_id: usize,
    /// Keys the hash of the catalogue.
    seed: u64,
}

#[derive(Clone)]
struct Served {
    /// The catalogue is empty here, see `listed`.
    route: Route,
    /// The catalogue; that of a route without parameters includes its one topic.
    listed: Arc<BTreeSet<Arc<[u8]>>>,
}

impl Routes {
    /// No routes. `seed` keys a hash.
    pub(super) fn new(seed: u64) -> Routes {
        Routes {
            routes: BTreeMap::new(),
            with_params: Vec::new(),
            catalogue: Catalogue::new(seed),
            topics_max: 0,
            next_id: 0,
            seed,
        }
    }

    /// These routes without `removed` and with `added`, and the ids of the new ones.
    pub(super) fn changed(
        &self,
        removed: &[RouteId],
        added: Vec<Route>,
        topics_max: usize,
    ) -> Result<(Routes, Vec<RouteId>), RoutesError> {
        let mut next = Routes { topics_max, next_id: self.next_id, ..Routes::new(self.seed) };
        let kept = self.routes.iter().filter(|(id, _)| !removed.contains(id));
        next.routes = kept.map(|(id, served)| (*id, served.clone())).collect();
        let mut ids = Vec::with_capacity(added.len());
        for mut route in added {
            let topics = core::mem::take(&mut route.catalogue);
            let listed = Arc::new(listed(&route.pattern, topics)?);
            if route.feeds_max == 0 {
                return Err(RoutesError::NoFeedsOf(route.pattern));
            }
            let id = RouteId(next.next_id);
            next.next_id += 1;
            next.routes.insert(id, Served { route, listed });
            ids.push(id);
        }
        next.check_order()?;
        next.index()?;
        Ok((next, ids))
    }

    /// Refuses two routes that share topics, unless one lies within the other and so serves them.
    fn check_order(&self) -> Result<(), RoutesError> {
        if self.routes.is_empty() {
            return Err(RoutesError::NoRoutes);
        }
        let patterns: Vec<_> = self.routes.values().map(|served| &served.route.pattern).collect();
        for (i, a) in patterns.iter().copied().enumerate() {
            for b in patterns[..i].iter().copied().filter(|b| a.overlaps(b)) {
                match (a.covers(b), b.covers(a)) {
                    (true, true) => return Err(RoutesError::Duplicate(b.clone(), a.clone())),
                    (false, false) => return Err(RoutesError::Ambiguous(b.clone(), a.clone())),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Builds the order of the routes and the catalogue of all routes.
    fn index(&mut self) -> Result<(), RoutesError> {
        let ids = self.routes.keys().copied();
        self.with_params = ids.filter(|id| self.pattern(*id).as_literal().is_none()).collect();
        let routes = &self.routes;
        self.with_params.sort_by(|a, b| routes[b].route.pattern.cmp_specificity(&routes[a].route.pattern));
        // Routes without parameters first: each serves its topic, whichever route lists it.
        let mut lists: Vec<_> = routes.iter().map(|(id, served)| (*id, served.listed.clone())).collect();
        lists.sort_by_key(|(id, _)| routes[id].route.pattern.as_literal().is_none());
        for (id, list) in lists {
            for topic in list.iter() {
                self.list(id, topic);
            }
        }
        self.catalogue.link_all();
        self.check_length(self.catalogue.len())
    }

    fn check_length(&self, topics: usize) -> Result<(), RoutesError> {
        if topics > self.topics_max {
            return Err(RoutesError::CatalogueTooLong(self.topics_max));
        }
        Ok(())
    }

    fn list(&mut self, route: RouteId, topic: &Arc<[u8]>) {
        let narrowest = self.pattern(route).as_literal().is_some();
        let owner = if narrowest { route } else { self.route_of(topic).unwrap_or(route) };
        self.catalogue.add(topic, owner);
    }

    /// Replaces the catalogue of a route. Returns the topics added and removed, each once; none for an unknown route.
    pub(super) fn relist(
        &mut self,
        route: RouteId,
        topics: Vec<Vec<u8>>,
    ) -> Result<Vec<Arc<[u8]>>, RoutesError> {
        let Some(served) = self.routes.get(&route) else { return Ok(Vec::new()) };
        let old = served.listed.clone();
        let new = listed(&served.route.pattern, topics)?;
        let gone: Vec<_> = old.difference(&new).cloned().collect();
        let come: Vec<_> = new.difference(&old).cloned().collect();
        let last = gone.iter().filter(|topic| self.catalogue.routes_of(topic) == 1).count();
        let first = come.iter().filter(|topic| !self.catalogue.contains(topic)).count();
        self.check_length(self.catalogue.len() - last + first)?;
        gone.iter().for_each(|topic| self.catalogue.remove(topic));
        come.iter().for_each(|topic| self.list(route, topic));
        gone.iter().chain(&come).for_each(|topic| self.catalogue.link(topic));
        self.routes.get_mut(&route).expect("it was there").listed = Arc::new(new);
        Ok(gone.into_iter().chain(come).collect())
    }

    pub(super) fn contains(&self, route: RouteId) -> bool {
        self.routes.contains_key(&route)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = RouteId> {
        self.routes.keys().copied()
    }

    pub(super) fn get(&self, route: RouteId) -> &Route {
        &self.routes[&route].route
    }

    pub(super) fn pattern(&self, route: RouteId) -> &Pattern {
        &self.get(route).pattern
    }

    /// How many distinct topics all catalogues have.
    pub(super) fn topics_listed(&self) -> usize {
        self.catalogue.len()
    }

    /// How many topics the catalogue of a route has.
    pub(super) fn listed_by(&self, route: RouteId) -> usize {
        self.routes.get(&route).map_or(0, |served| served.listed.len())
    }

    /// The topics in the catalogue of a route.
    pub(super) fn list_of(&self, route: RouteId) -> impl Iterator<Item = &Arc<[u8]>> {
        self.routes.get(&route).into_iter().flat_map(|served| served.listed.iter())
    }

    /// Why a prefix starts no topic, if it starts none.
    pub(super) fn unserved(&self, prefix: &[u8]) -> Option<Unserved> {
        if self.catalogue.beginning_with(prefix).next().is_some() {
            return None;
        }
        let mut first: Option<RouteId> = None;
        for &id in &self.with_params {
            match self.pattern(id).prefix(prefix) {
                PrefixMeaning::Exact => return None,
                PrefixMeaning::Partial => first = Some(first.map_or(id, |first| first.min(id))),
                PrefixMeaning::None => {}
            }
        }
        Some(first.map_or(Unserved::NoRoute, Unserved::NoCatalogue))
    }

    /// Whether a partial prefix of the topic starts it.
    pub(super) fn catalogued(&self, topic: &[u8]) -> bool {
        self.catalogue.contains(topic)
    }

    /// All topics that partial prefixes start.
    pub(super) fn catalogue(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.catalogue.iter()
    }

    /// Whether `prefix` starts `topic`, which begins with it and which this route serves.
    pub(super) fn starts_in(&self, prefix: &[u8], topic: &[u8], route: RouteId, catalogued: bool) -> bool {
        prefix == topic || catalogued && !self.pattern(route).matches(prefix)
    }

    /// The topics that a prefix starts, and the routes that serve them.
    pub(super) fn started_by(&self, prefix: &[u8]) -> Vec<(Arc<[u8]>, RouteId)> {
        let exact = self.route_of(prefix).map(|route| (prefix.into(), route));
        // If a prefix is a whole topic of a route, it starts only that topic, and nothing of the catalogue.
        let longer = self
            .catalogue
            .beginning_with(prefix)
            .filter(|(topic, owner)| topic.len() > prefix.len() && !self.pattern(*owner).matches(prefix));
        let longer = longer.map(|(topic, owner)| (topic.clone(), owner));
        exact.into_iter().chain(longer).collect()
    }

    /// The route that serves a topic.
    pub(super) fn route_of(&self, topic: &[u8]) -> Option<RouteId> {
        let matches = |id: &RouteId| self.pattern(*id).matches(topic);
        self.catalogue.owner(topic).or_else(|| self.with_params.iter().copied().find(matches))
    }
}

/// A route's catalogue as a set.
fn listed(pattern: &Pattern, topics: Vec<Vec<u8>>) -> Result<BTreeSet<Arc<[u8]>>, RoutesError> {
    if let Some(foreign) = topics.iter().find(|topic| !pattern.matches(topic)) {
        return Err(RoutesError::ForeignTopic(pattern.clone(), foreign.clone()));
    }
    let mut listed: BTreeSet<Arc<[u8]>> = topics.into_iter().map(Arc::from).collect();
    listed.extend(pattern.as_literal().map(Arc::from));
    Ok(listed)
}
