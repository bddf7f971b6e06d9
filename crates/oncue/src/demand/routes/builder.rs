//! From routes to a running [`OnDemand`], and to other routes in the place of those that run. What can be wrong with
//! routes is said before any runs.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, thread};

use oncue_pattern::{Pattern, PatternError};

use super::route::{Draft, RouteBuilder};
use super::rules::Rules;
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Failure;
use crate::demand::runner::announce::States;
use crate::demand::runner::defaults::Defaults;
use crate::demand::runner::plan::{Plan, Planned, Reloaded};
use crate::demand::runner::shared::{Note, Reports, Shared};
use crate::demand::{OnDemand, runner};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::permission::check_not_deciding;
use crate::socket::XPub;

/// Routes being put together. See [`OnDemand::bind`].
#[must_use = "nothing is produced before `start`"]
pub struct Builder {
    socket: XPub,
    endpoints: Vec<Endpoint>,
    routes: Vec<Draft>,
    defaults: Defaults,
    workers: usize,
    reports: Reports,
    /// Where the socket asks who may subscribe; not if it was made elsewhere.
    rules: Option<Arc<Rules>>,
    /// The runner whose routes these are to replace.
    reloads: Option<u64>,
}

impl Builder {
    pub(crate) fn new(socket: XPub, rules: Option<Arc<Rules>>) -> Builder {
        // A worker that a slow producer holds up is no use to others: have some even where there are few cores.
        let workers = thread::available_parallelism().map_or(1, NonZero::get).clamp(4, 16);
        Builder {
            socket,
            endpoints: Vec::new(),
            routes: Vec::new(),
            defaults: Defaults::default(),
            workers,
            reports: Reports::default(),
            rules,
            reloads: None,
        }
    }

    /// Binds the socket to an endpoint, at once. Subscribers that come before [`start`](Builder::start) are served
    /// from then on.
    ///
    /// # Errors
    /// What [`XPub::bind`] refuses.
    pub fn bind(mut self, endpoint: &str) -> Result<Builder> {
        self.endpoints.push(self.socket.bind(endpoint)?);
        Ok(self)
    }

    /// Connects the socket to an endpoint, at once.
    ///
    /// # Errors
    /// What [`XPub::connect`] refuses.
    pub fn connect(mut self, endpoint: &str) -> Result<Builder> {
        self.endpoints.push(self.socket.connect(endpoint)?);
        Ok(self)
    }

    /// The endpoints bound and connected so far, as the system resolved them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The socket.
    pub fn xpub(&self) -> &XPub {
        &self.socket
    }

    /// The grace of the routes that are not given one of their own; zero by default.
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.defaults.grace = grace;
        self
    }

    /// The most feeds that run at once, of all routes, those included that were told to stop and have not returned.
    /// Topics beyond it wait; as room appears those with the most subscribers start first, of equal ones the oldest.
    /// Subscribers are counted in rounds, so a number may be a little old where many topics wait. At least 1; 65,536 by
    /// default.
    pub fn feeds_max(mut self, feeds: usize) -> Builder {
        self.defaults.limits.feeds_max = feeds;
        self
    }

    /// The most topics in all catalogues together; 1,048,576 by default.
    pub fn catalogue_topics_max(mut self, topics: usize) -> Builder {
        self.defaults.limits.catalogue_topics_max = topics;
        self
    }

    /// Publishes the states of topics for all subscribers; those of this library are told them anyway, see
    /// [`Sub::state`](crate::Sub::state). A state is a message of two frames: this prefix followed by the topic, and `active` once its
    /// feed has published, `stale` while a feed that failed waits for its next start, `closed` when no value comes any
    /// more. The last one is kept and given to new subscribers while anybody wants the topic. To want a state is not to
    /// want the topic. No route's topics may begin with the prefix. A [`reload`](OnDemand::reload) does not change it.
    pub fn status_prefix(mut self, prefix: impl AsRef<[u8]>) -> Builder {
        self.defaults.status_prefix = Some(prefix.as_ref().into());
        self
    }

    /// The number of threads that produce for the routes with [`every`](RouteBuilder::every) and
    /// [`batch`](RouteBuilder::batch) and list catalogues, shared by all of them:
    /// so many slow producers can be at work before others are held up. At least 1; by default one for each core, but
    /// 4 at least and 16 at most.
    pub fn workers(mut self, threads: usize) -> Builder {
        self.workers = threads.max(1);
        self
    }

    /// Is called when a producer fails, panics or gets no thread, on whatever thread that happened. Without it
    /// failures are only counted.
    pub fn on_failure(mut self, report: impl Fn(&Feed, &Failure) + Send + Sync + 'static) -> Builder {
        self.reports.feed = Some(Arc::new(report));
        self
    }

    /// Is called when a catalogue function panics, or lists what is not of its route or too much; the list before stays.
    /// Without it such failures are only counted.
    pub fn on_list_failure(mut self, report: impl Fn(&Pattern, &Failure) + Send + Sync + 'static) -> Builder {
        self.reports.list = Some(Arc::new(report));
        self
    }

    /// A route: the topics of a pattern. `{name}` stands for one or more bytes other than `/`, `{{` and `}}` for
    /// braces, everything else for itself. Where one route lies within another, the narrower one serves the topic.
    pub fn route(self, pattern: &str) -> RouteBuilder {
        self.planned(Pattern::parse(pattern))
    }

    /// A route of a pattern that exists, such as [`Pattern::literal`] for a topic of any bytes.
    pub fn route_pattern(self, pattern: Pattern) -> RouteBuilder {
        self.planned(Ok(pattern))
    }

    fn planned(self, pattern: Result<Pattern, PatternError>) -> RouteBuilder {
        RouteBuilder::new(self, pattern)
    }

    pub(crate) fn add(mut self, mut draft: Draft) -> Builder {
        if let (None, Some((pattern, rule))) = (self.reloads, draft.admission()) {
            match &self.rules {
                Some(rules) if self.endpoints.is_empty() => rules.add(pattern, rule),
                Some(_) => draft.refuse("asks who may subscribe, and some may have done so; bind after it"),
                None => draft.refuse(
                    "asks who may subscribe, but the socket was made elsewhere; make it by `OnDemand::new`, or give \
                     it the rule by `Options::admission`",
                ),
            }
        }
        self.routes.push(draft);
        self
    }

    /// Begins to produce what is wanted, and what was wanted before.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a pattern that cannot be read, for no routes, for two routes that
    /// share topics without one lying within the other, for a catalogue's topic that is not of its route, for a period
    /// or bound of zero: the pattern is named. [`Io`](crate::ErrorKind::Io) when the system has no thread left.
    pub fn start(self) -> Result<OnDemand> {
        if self.reloads.is_some() {
            return Err(Error::misuse("these routes are to take the place of others; give them to `reload`"));
        }
        let plan = Plan::new(plan_all(self.routes, &self.defaults)?, self.defaults.limits)?;
        let ids: Vec<_> = plan.routes.keys().copied().collect();
        let rules = self.rules.unwrap_or_default();
        let states = States::new(self.socket.clone(), self.defaults.status_prefix.clone());
        rules.asked.follow(plan.filled());
        let asked = rules.asked.clone();
        let shared = Arc::new(Shared::new(plan, self.workers, self.reports, states, asked));
        shared.serve(&ids)?;
        let runner = runner::start(self.socket.clone(), shared.clone())
            .map_err(|error| Error::io("no thread for the routes", error))?;
        Ok(OnDemand {
            socket: self.socket,
            endpoints: self.endpoints,
            defaults: self.defaults,
            rules,
            shared,
            runner: Mutex::new(Some(runner)),
        })
    }

    #[cfg(test)]
    pub(crate) fn planned_for_test(self) -> Vec<Planned> {
        plan_all(self.routes, &self.defaults).unwrap()
    }

    /// Routes for [`OnDemand::reload`].
    pub(crate) fn reloading(socket: XPub, defaults: Defaults, shared: &Shared) -> Builder {
        Builder { defaults, reloads: Some(shared.id()), ..Builder::new(socket, None) }
    }

    pub(crate) fn reload(self, shared: &Arc<Shared>, rules: &Rules) -> Result<Reloaded> {
        check_not_deciding("reload routes")?;
        if self.reloads != Some(shared.id()) {
            return Err(Error::misuse(
                "these routes are not of this socket; begin them with `OnDemand::builder`",
            ));
        }
        if shared.has_ended() {
            return Err(Error::misuse("the routes were stopped, or their socket closed; start others"));
        }
        let planned = plan_all(self.routes, &self.defaults)?;
        let feeds_max = self.defaults.limits.feeds_max;
        if feeds_max == 0 {
            return Err(Error::misuse("feeds_max is 0; give it 1 at least"));
        }
        // Before anything changes: a thread may be what is missing.
        if planned.iter().any(|planned| planned.run.needs_workers()) {
            shared.start_workers()?;
        }
        // Held beyond the change, as the routes that go are: what users' functions own must not be dropped amid it.
        let runs: Vec<_> = planned.iter().map(|planned| planned.run.clone()).collect();
        let now = shared.now();
        let replaced = rules.follow(&shared.plan, |plan| plan.replace(planned, feeds_max, now))?;
        replaced.gone.iter().filter_map(|route| route.keep.as_ref()).for_each(|k| k.forget_all(&self.socket));
        shared.serve(&replaced.come)?;
        shared.tell(Note::Gone(replaced.removed));
        drop(runs);
        Ok(replaced.done)
    }
}

fn plan_all(drafts: Vec<Draft>, defaults: &Defaults) -> Result<Vec<Planned>> {
    drafts.into_iter().map(|draft| draft.plan(defaults)).collect()
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> = self.routes.iter().map(Draft::pattern).collect();
        f.debug_struct("Builder").field("endpoints", &self.endpoints).field("routes", &routes).finish()
    }
}
