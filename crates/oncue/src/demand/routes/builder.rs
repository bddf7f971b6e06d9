//! From routes to a running [`OnDemand`], and to other routes in the place of those that run. Whatever is wrong with routes
//! is found before any of them runs.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use oncue_core::feeds::{Feeds, Route};
use oncue_pattern::Pattern;

use super::draft::{Defaults, Draft};
use super::on_demand::OnDemand;
use super::rules::Rules;
use crate::Engine;
use crate::demand::feed::{Desk, Failure, Feed, Note};
use crate::demand::producers::Producer;
use crate::demand::runner::{
    Planned, Reloaded, Reports, Runner, STARTS_PER_MINUTE_MAX, Shared, States, refused,
};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::options::Options;
use crate::permission::check_not_deciding;
use crate::socket::XPub;
use crate::sync::lock;

/// Routes being put together. See [`OnDemand::bind`] and [`OnDemand::routes`].
#[must_use = "nothing is produced before `start`"]
pub struct Builder {
    socket: Option<XPub>,
    /// Where the socket asks who may subscribe; none for a socket that was made elsewhere.
    rules: Option<Arc<Rules>>,
    endpoints: Vec<Endpoint>,
    routes: Vec<(Draft, Producer)>,
    defaults: Defaults,
    workers: usize,
    patience: Duration,
    reports: Reports,
    tells_unserved: Option<bool>,
}

impl OnDemand {
    /// Routes on a socket of their own, bound to this endpoint, with an engine of its own.
    ///
    /// # Errors
    /// As [`Builder::bind`].
    pub fn bind(endpoint: &str) -> Result<Builder> {
        OnDemand::routes().bind(endpoint)
    }

    /// Routes on a socket of their own, which has no endpoint yet. It discards messages that subscribers send
    /// ([`Options::discard_messages`]); if those are wanted, use [`on`](OnDemand::on). Unless the options say
    /// otherwise, it has [heartbeats](Options::heartbeat) of 5 s, and a subscriber that is silent for 15 s
    /// counts as gone: nothing is produced for a peer that has vanished.
    ///
    /// # Errors
    /// What [`XPub::new`] refuses.
    #[allow(clippy::new_ret_no_self, reason = "as the sockets have it; what comes out has no routes yet")]
    pub fn new(engine: &Engine, options: Options) -> Result<Builder> {
        OnDemand::routes().with_engine(engine, options)
    }

    /// Routes on a socket that exists, and that others may send on as well. Its options are its own: give it
    /// [`Options::heartbeat`], or values are produced for a subscriber that has vanished until the system notices.
    pub fn on(socket: XPub) -> Builder {
        Builder { socket: Some(socket), ..OnDemand::routes() }
    }

    /// Routes without a socket. Nothing is opened and nothing is started: they can be [checked](Builder::check), given a
    /// socket later ([`bind`](Builder::bind), [`connect`](Builder::connect), [`with_engine`](Builder::with_engine),
    /// [`on`](Builder::on)), or take the place of routes that run ([`reload`](OnDemand::reload)).
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let routes = OnDemand::routes()
    ///     .route("clock").every(Duration::from_secs(1), |_| "tick")
    ///     .route("prices/{symbol}").every(Duration::from_secs(1), |_| "187.20");
    /// routes.check()?;
    /// let od = routes.bind("tcp://127.0.0.1:0")?.start()?;
    ///
    /// let routes = od.builder() // as `OnDemand::routes`, with the settings of the routes that run
    ///     .route("a/{x}").every(Duration::from_secs(1), |_| "1")
    ///     .route("{y}/b").every(Duration::from_secs(1), |_| "2");
    /// let wrong = routes.check().unwrap_err().to_string();
    /// assert!(wrong.contains("the routes `a/{x}` and `{y}/b` share topics"), "{wrong}");
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn routes() -> Builder {
        // Slow producers keep workers busy: even a machine with few cores has some to spare.
        let workers = thread::available_parallelism().map_or(1, NonZero::get).clamp(4, 16);
        Builder {
            socket: None,
            rules: None,
            endpoints: Vec::new(),
            routes: Vec::new(),
            defaults: Defaults::default(),
            workers,
            patience: Duration::ZERO,
            reports: Reports::default(),
            tells_unserved: None,
        }
    }

    /// Routes to take the place of those that run, see [`reload`](OnDemand::reload): none yet, with the grace, the bounds
    /// and the status prefix that the first ones began with.
    pub fn builder(&self) -> Builder {
        Builder { defaults: self.defaults.clone(), ..OnDemand::routes() }
    }

    /// Puts other routes in the place of those that run, all or nothing. A route that has the same pattern and the same
    /// [`key`](crate::demand::RouteBuilder::key) as before stays as it was, with its producer and its feeds. The feeds of the others
    /// are stopped; where a topic is wanted that a new route serves, it starts there once its old producer has ended.
    /// Subscriptions are not affected. When this returns, the new routes are in force; the feeds of old ones are stopped
    /// right after.
    ///
    /// The routes are from [`builder`](OnDemand::builder), or from [`routes`](OnDemand::routes) with settings of their own.
    /// [`workers`](Builder::workers), [`on_failure`](Builder::on_failure), [`on_list_failure`](Builder::on_list_failure),
    /// [`on_unserved`](Builder::on_unserved), [`tell_unserved`](Builder::tell_unserved) and
    /// [`status_prefix`](Builder::status_prefix) stay as they are.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("clock").key("500 ms").every(Duration::from_millis(500), |_| "tick")
    ///     .start()?;
    /// let routes = od.builder()
    ///     .route("clock").key("500 ms").every(Duration::from_millis(500), |_| "tick")
    ///     .route("load").key("1 s").every(Duration::from_secs(1), |_| "0.2");
    /// let done = od.reload(routes)?;
    /// assert_eq!((done.kept, done.added, done.removed), (1, 1, 0));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Builder::check`], for routes that have a socket of their own, after [`stop`](OnDemand::stop), and inside a
    /// function that decides about subscriptions: nothing has changed.
    pub fn reload(&self, routes: Builder) -> Result<Reloaded> {
        check_not_deciding("reload routes")?;
        if routes.socket.is_some() {
            return Err(Error::misuse(
                "these routes have a socket of their own; begin them with `OnDemand::builder`",
            ));
        }
        if lock(&self.runner).as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(Error::misuse("the routes were stopped, or their socket closed; start others"));
        }
        self.replace(routes)
    }

    fn replace(&self, mut routes: Builder) -> Result<Reloaded> {
        routes.defaults.status_prefix.clone_from(&self.defaults.status_prefix);
        let (limits, starts) = (routes.defaults.limits, routes.defaults.starts_per_minute_max);
        let fit = routes.routes.iter().try_for_each(|(draft, _)| draft.fits(&self.socket));
        let planned = routes.plan(self.rules.is_some())?;
        fit?;
        self.shared.start_workers(&planned)?;
        // Held until the locks are released, as the routes that go are: what users' functions own may call back when it is
        // dropped.
        let runs: Vec<_> = planned.iter().map(|planned| planned.run.clone()).collect();
        let change = || self.shared.replace(planned, limits);
        let replaced = match &self.rules {
            Some(rules) => rules.follow(change)?,
            None => change()?,
        };
        let keeps = replaced.gone.iter().filter_map(|route| route.feeds.keep.as_ref());
        keeps.for_each(|keep| keep.forget_all(&self.socket));
        self.shared.starts.set_max(starts.unwrap_or(STARTS_PER_MINUTE_MAX));
        self.shared.desk.tell(Note::Routes { added: replaced.added, removed: replaced.removed });
        drop(runs);
        Ok(replaced.done)
    }
}

impl Builder {
    /// Binds the socket to an endpoint, at once. Subscribers that come before [`start`](Builder::start) are served
    /// from then on. Routes without a socket get one, as by [`OnDemand::new`], with an engine of its own.
    ///
    /// # Errors
    /// What [`XPub::bind`] refuses, and, without a socket, [`Engine::start`] and [`XPub::new`].
    pub fn bind(self, endpoint: &str) -> Result<Builder> {
        self.open(|socket| socket.bind(endpoint))
    }

    /// Connects the socket to an endpoint, at once. Routes without a socket get one as by [`bind`](Builder::bind).
    ///
    /// # Errors
    /// What [`XPub::connect`] refuses, and, without a socket, [`Engine::start`] and [`XPub::new`].
    pub fn connect(self, endpoint: &str) -> Result<Builder> {
        self.open(|socket| socket.connect(endpoint))
    }

    fn open(mut self, open: impl FnOnce(&XPub) -> Result<Endpoint>) -> Result<Builder> {
        if self.socket.is_none() {
            self = self.with_engine(&Engine::start()?, Options::new())?;
        }
        let endpoint = self.socket.as_ref().map(open).transpose()?;
        self.endpoints.extend(endpoint);
        Ok(self)
    }

    /// Gives the routes a socket of their own on this engine, as [`OnDemand::new`] does.
    ///
    /// # Errors
    /// What [`XPub::new`] refuses, and [`Misuse`](crate::ErrorKind::Misuse) if they have a socket.
    pub fn with_engine(mut self, engine: &Engine, options: Options) -> Result<Builder> {
        let rules = Arc::new(Rules::default());
        self.routes.iter().filter_map(|(draft, _)| draft.guard()).for_each(|guard| rules.add(guard));
        let options = rules.guard(options.heartbeat_by_default()).discard_messages(true);
        self = self.on(XPub::new(engine, options)?)?;
        self.rules = Some(rules);
        Ok(self)
    }

    /// Gives the routes a socket that exists, as [`OnDemand::on`] does.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) if they have a socket.
    pub fn on(mut self, socket: XPub) -> Result<Builder> {
        if self.socket.replace(socket).is_some() {
            return Err(Error::misuse("these routes have a socket; begin others with `OnDemand::routes`"));
        }
        Ok(self)
    }

    /// The endpoints bound and connected so far, as the system resolved them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The socket, if there is one yet.
    pub fn xpub(&self) -> Option<&XPub> {
        self.socket.as_ref()
    }

    /// The grace of the routes that have none of their own; zero by default.
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.defaults.grace = grace;
        self
    }

    /// The most feeds that run at once, of all routes, including those that were told to stop and have not returned.
    /// Topics beyond it wait; when there is room, those with the most subscribers start first, of equal ones the oldest.
    /// Subscribers are counted in rounds, so a number may be slightly out of date while many topics wait. At least 1;
    /// 65,536 by default.
    pub fn feeds_max(mut self, feeds: usize) -> Builder {
        self.defaults.limits.feeds_max = feeds;
        self
    }

    /// The most topics in all catalogues together; 1,048,576 by default.
    pub fn catalogue_topics_max(mut self, topics: usize) -> Builder {
        self.defaults.limits.catalogue_topics_max = topics;
        self
    }

    /// The most feeds that one user starts in a minute, in the long run; as many may start at once. What counts is the first
    /// subscription to a prefix, whatever starts by it. A subscription beyond that is held, as by
    /// [`Admission::Defer`](crate::Admission::Defer), and takes effect when the user may start one more. If that would take longer than 10
    /// minutes, or if too many are held (8 MiB of a user, 64 MiB of all), it is rejected, with the name of this bound as the
    /// reason. A subscription to what is wanted already is never held, and starts that one user has to wait for are made at once
    /// for another one that subscribes.
    ///
    /// The user is that of the handshake ([`PeerProfile`](crate::PeerProfile), by its id), and without one the address, as for
    /// [`Options::prefixes_per_user_max`]. At least 1. Default 600,000. On a socket that was made
    /// elsewhere ([`on`](OnDemand::on)) nothing is held, and a subscription that a rule has deferred is not counted.
    pub fn starts_per_minute_max(mut self, starts: u32) -> Builder {
        self.defaults.starts_per_minute_max = Some(starts);
        self
    }

    /// Publishes the states of topics for all subscribers; those of this library are told them anyway, see
    /// [`Sub::state`](crate::Sub::state). A state is a message of two frames: this prefix followed by the topic, and
    /// `active` once its feed has published, `stale` while a feed that failed waits for its next start, `closed` when no
    /// more values come, `unserved` as [`on_unserved`](Builder::on_unserved) says. The last state is kept and sent to new subscribers while anybody wants the topic. A subscription to
    /// a state is no demand for the topic. No route's topics may begin with the prefix. A [`reload`](OnDemand::reload) does
    /// not change it.
    pub fn status_prefix(mut self, prefix: impl AsRef<[u8]>) -> Builder {
        self.defaults.status_prefix = Some(prefix.as_ref().into());
        self
    }

    /// The number of threads that produce for the routes with [`every`](crate::demand::RouteBuilder::every) and
    /// [`batch`](crate::demand::RouteBuilder::batch), list catalogues and fill in values. All routes share them: with this number of slow
    /// producers at work, the others have to wait. At least 1; by default one for each core, but at least 4 and at most 16.
    /// The first value of a topic is produced by the thread of the routes itself where the route's function has taken less than
    /// 50 microseconds of late; if it takes longer one day, another thread goes on with the routes.
    pub fn workers(mut self, threads: usize) -> Builder {
        self.workers = threads.max(1);
        self
    }

    /// How long what is due may wait before another [worker](Builder::workers) is woken for it. Zero by default: at once. For
    /// producers that share a lock, such as that of an interpreter, where more threads only get in each other's way: with a
    /// millisecond, quick functions run one after the other on one thread, and one that blocks holds up the others for no
    /// longer than that. Threads are then started as they are needed, and [`workers`](Builder::workers) may be a large number.
    pub fn worker_patience(mut self, time: Duration) -> Builder {
        self.patience = time;
        self
    }

    /// A function that is called when a producer fails, panics or gets no thread, on the thread on which that happened. It
    /// should return at once. Without it failures are only counted.
    pub fn on_failure(mut self, report: impl Fn(&Feed, &Failure) + Send + Sync + 'static) -> Builder {
        self.reports.feed = Some(Arc::new(report));
        self
    }

    /// A function that is called when a catalogue function fails or panics, or lists a topic that is not of its route or too many
    /// topics; the list before stays. It runs on the thread that serves all routes, and must return at once. Without it such
    /// failures are only counted.
    pub fn on_list_failure(mut self, report: impl Fn(&Pattern, &Failure) + Send + Sync + 'static) -> Builder {
        self.reports.list = Some(Arc::new(report));
        self
    }

    /// A function that is called when a topic or prefix is wanted, or a reload changes the routes, and no feed comes of it:
    /// no route serves it, or it only begins topics of a route whose catalogue lists none of these. The empty prefix is not
    /// among them. The second argument is the reason in words. The function is called once for each such edge, on the thread
    /// that serves all routes, and must return at once.
    ///
    /// Its subscribers are told the state [`Unserved`](crate::State::Unserved) with the same words. It is withdrawn when a
    /// route serves the topic, which is [active](crate::State::Active) then once it has a value. Of all that is unserved
    /// at a time, 1,024 prefixes with together 256 KiB are told, those that came first; further ones are only counted
    /// ([`OnDemandStats::unserved`](crate::demand::OnDemandStats::unserved)), so that a peer cannot make this expensive.
    ///
    /// ```
    /// # use oncue::{Engine, OnDemand, Options, State, Sub};
    /// let (told, unserved) = std::sync::mpsc::channel();
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .on_unserved(move |topic, why| drop(told.send(format!("{}: {why}", topic.escape_ascii()))))
    ///     .route("proc/{pid}").thread(|feed| Ok(feed.publish("sleeping")?))
    ///     .start()?;
    /// let sub = Sub::new(&Engine::start()?, Options::new())?;
    /// sub.connect(&od.endpoint().unwrap().to_string())?;
    /// sub.subscribe("clokc")?;
    /// assert_eq!(unserved.recv().unwrap(), "clokc: no route serves this topic");
    /// assert_eq!(sub.state().wait()?.state, State::Unserved);
    /// sub.subscribe("proc/")?;
    /// assert!(unserved.recv().unwrap().ends_with("subscribe to whole topics, or give the route a catalogue"));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn on_unserved(mut self, report: impl Fn(&[u8], &str) + Send + Sync + 'static) -> Builder {
        self.reports.unserved = Some(Arc::new(report));
        self
    }

    /// Whether subscribers are told that a topic is [`Unserved`](crate::State::Unserved). By default they are, except on a
    /// socket that was made elsewhere ([`on`](OnDemand::on)): others may send its topics there, of which routes do not know.
    pub fn tell_unserved(mut self, tell: bool) -> Builder {
        self.tells_unserved = Some(tell);
        self
    }

    pub(super) fn add(mut self, draft: Draft, producer: Producer) -> Builder {
        if let (Some(rules), Some(guard)) = (&self.rules, draft.guard()) {
            rules.add(guard);
        }
        self.routes.push((Draft { late: !self.endpoints.is_empty(), ..draft }, producer));
        self
    }

    /// Checks the routes as [`start`](Builder::start) does, without opening or starting anything.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a pattern that cannot be read, for no routes, for two routes that
    /// share topics although neither lies within the other, for a catalogue's topic that is not of its route, for a
    /// period or bound of zero. The message names the pattern.
    pub fn check(&self) -> Result<()> {
        let guarded = self.rules.is_some() || self.socket.is_none();
        let check = |(draft, producer): &(Draft, Producer)| draft.checked(producer, &self.defaults, guarded);
        let routes = self.routes.iter().map(check);
        let routes: Vec<Route> = routes.collect::<Result<_>>()?;
        if let Some(socket) = &self.socket {
            socket.check_matching("on-demand production")?;
            self.routes.iter().try_for_each(|(draft, _)| draft.fits(socket))?;
        }
        // What peers choose does not come here.
        Feeds::new(0, routes, self.defaults.limits).map(drop).map_err(refused)
    }

    /// Begins to produce what is wanted, including what was wanted before.
    ///
    /// # Errors
    /// As [`check`](Builder::check), and [`Misuse`](crate::ErrorKind::Misuse) for routes without a socket.
    /// [`Io`](crate::ErrorKind::Io) when the system has no thread left.
    pub fn start(self) -> Result<OnDemand> {
        let Some(socket) = self.socket.clone() else {
            return Err(Error::misuse("these routes have no socket; bind them, or give them to `reload`"));
        };
        socket.check_matching("on-demand production")?;
        let origin = Instant::now();
        let desk = Arc::new(Desk::new(Arc::new(move || origin.elapsed())));
        let (reports, hidden) = (self.reports.clone(), socket.hidden_topics());
        let shared = Arc::new(Shared::new(desk.clone(), self.workers, self.patience, reports, hidden));
        self.rules.iter().for_each(|rules| rules.tell(desk.clone(), shared.starts.clone()));
        let tells_unserved = self.tells_unserved.unwrap_or(self.rules.is_some());
        let states = States::new(socket.clone(), self.defaults.status_prefix.clone(), tells_unserved);
        let runner = Runner::new(socket.clone(), shared.clone(), states);
        let od = OnDemand {
            socket,
            endpoints: self.endpoints.clone(),
            defaults: self.defaults.clone(),
            rules: self.rules.clone(),
            shared,
            runner: Mutex::default(),
            home: Home::default(),
        };
        od.replace(self)?;
        let runner = runner.start().map_err(|error| Error::io("no thread for the routes", error))?;
        *lock(&od.runner) = Some(runner);
        Ok(od)
    }

    fn plan(self, guarded: bool) -> Result<Vec<Planned>> {
        let plan = |(draft, producer): (Draft, _)| draft.plan(producer, &self.defaults, guarded);
        self.routes.into_iter().map(plan).collect()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> = self.routes.iter().map(|(draft, _)| &draft.route.pattern).collect();
        f.debug_struct("Builder").field("endpoints", &self.endpoints).field("routes", &routes).finish()
    }
}
