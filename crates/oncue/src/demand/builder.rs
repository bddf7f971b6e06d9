//! From routes and producers to a running [`OnDemand`]. Everything that can be wrong with a route is said at the start.

use std::future::Future;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, thread};

use oncue_core::demand::{Demand, Limits, Route};
use oncue_core::topic::pattern::{Pattern, PatternError};

use super::OnDemand;
use super::producer::{Change, Failure, Produced, Producer, Task};
use super::runner;
use super::shared::{OnFailure, Shared};
use super::{Feed, periodic::Workers};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::socket::XPub;

/// Routes being put together. See [`OnDemand::bind`].
#[must_use = "nothing is produced before `start`"]
pub struct Builder {
    socket: XPub,
    endpoints: Vec<Endpoint>,
    routes: Vec<Planned>,
    grace: Duration,
    limits: Limits,
    workers: usize,
    on_failure: Option<OnFailure>,
}

/// A route that has no producer yet. It goes back to its [`Builder`] with one.
#[must_use = "a route needs a producer"]
pub struct RouteBuilder {
    builder: Builder,
    pattern: Result<Pattern, PatternError>,
    grace: Option<Duration>,
    catalogue: Vec<Vec<u8>>,
}

struct Planned {
    pattern: Result<Pattern, PatternError>,
    grace: Option<Duration>,
    catalogue: Vec<Vec<u8>>,
    producer: Producer,
}

impl Builder {
    pub(super) fn new(socket: XPub) -> Builder {
        // A worker that a slow producer holds up is no use to others: have some even where there are few cores.
        let workers = thread::available_parallelism().map_or(1, NonZero::get).clamp(4, 16);
        Builder {
            socket,
            endpoints: Vec::new(),
            routes: Vec::new(),
            grace: Duration::ZERO,
            limits: Limits::default(),
            workers,
            on_failure: None,
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
        self.grace = grace;
        self
    }

    /// The most feeds that run at once, of all routes, those included that were told to stop and have not returned.
    /// Topics beyond it wait, and start in the order they came. At least 1; 65,536 by default.
    pub fn feeds_max(mut self, feeds: usize) -> Builder {
        self.limits.feeds_max = feeds;
        self
    }

    /// The most topics in all catalogues together; 1,048,576 by default.
    pub fn catalogue_topics_max(mut self, topics: usize) -> Builder {
        self.limits.catalogue_topics_max = topics;
        self
    }

    /// The number of threads that produce for the routes with [`every`](RouteBuilder::every), shared by all of them:
    /// so many slow producers can be at work before others are held up. At least 1; by default one for each core, but
    /// 4 at least and 16 at most.
    pub fn workers(mut self, threads: usize) -> Builder {
        self.workers = threads.max(1);
        self
    }

    /// Is called when a producer fails, panics or gets no thread, on whatever thread that happened. Without it
    /// failures are only counted.
    pub fn on_failure(mut self, report: impl Fn(&Feed, &Failure) + Send + Sync + 'static) -> Builder {
        self.on_failure = Some(Arc::new(report));
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
        RouteBuilder { builder: self, pattern, grace: None, catalogue: Vec::new() }
    }

    /// Begins to produce what is wanted, and what was wanted before.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a pattern that cannot be read, for no routes, for two routes that
    /// share topics without one lying within the other, for a catalogue's topic that is not of its route, for a period
    /// or bound of zero: the pattern is named. [`Io`](crate::ErrorKind::Io) when the system has no thread left.
    pub fn start(self) -> Result<OnDemand> {
        let mut producers = Vec::with_capacity(self.routes.len());
        let mut routes = Vec::with_capacity(self.routes.len());
        for Planned { pattern, grace, catalogue, producer } in self.routes {
            let pattern = pattern.map_err(|error| Error::misuse(error.to_string()))?;
            if matches!(producer, Producer::Every { period: Duration::ZERO, .. }) {
                return Err(Error::misuse(format!(
                    "the route `{pattern}` is produced every 0 s; give it a period above zero"
                )));
            }
            let grace = grace.unwrap_or(self.grace);
            routes.push(Route { grace, catalogue, ..Route::new(pattern) });
            producers.push(producer);
        }
        let machine = Demand::new(routes, self.limits).map_err(|error| Error::misuse(error.to_string()))?;
        let shared = Arc::new(Shared::new(self.on_failure));
        let periodic = producers.iter().any(|producer| matches!(producer, Producer::Every { .. }));
        let workers = Workers::start(if periodic { self.workers } else { 0 }, &shared)
            .map_err(|error| Error::io("no thread for producers", error))?;
        let runner = runner::start(machine, producers, self.socket.clone(), workers, shared.clone())
            .map_err(|error| Error::io("no thread for the routes", error))?;
        Ok(OnDemand {
            socket: self.socket,
            endpoints: self.endpoints,
            shared,
            runner: Mutex::new(Some(runner)),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> = self.routes.iter().map(|route| &route.pattern).collect();
        f.debug_struct("Builder").field("endpoints", &self.endpoints).field("routes", &routes).finish()
    }
}

impl fmt::Debug for RouteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteBuilder").field("pattern", &self.pattern).finish()
    }
}

impl RouteBuilder {
    /// How long a feed of this route outlives its last subscriber. Wanted again by then it runs on undisturbed.
    pub fn grace(mut self, grace: Duration) -> RouteBuilder {
        self.grace = Some(grace);
        self
    }

    /// The topics that a prefix starts which is not a whole topic itself, such as `prices/` or the empty one. The list
    /// limits nothing: a prefix that is a whole topic starts it, listed or not.
    pub fn catalogue<T: AsRef<[u8]>>(mut self, topics: impl IntoIterator<Item = T>) -> RouteBuilder {
        self.catalogue.extend(topics.into_iter().map(|topic| topic.as_ref().to_vec()));
        self
    }

    /// One value at once, and then one every `period`, counted from the first without drift. A tick is left out while
    /// the value before is still being produced. The function runs on a few threads that all such routes share, see
    /// [`Builder::workers`]; never on two at once for one feed.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("host/{part}")
    ///     .catalogue(["host/load", "host/memory"])
    ///     .every(Duration::from_secs(1), |feed| format!("the {} of this host", feed.param("part")))
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn every<P: AsRef<[u8]>>(
        self,
        period: Duration,
        produce: impl Fn(&Feed) -> P + Send + Sync + 'static,
    ) -> Builder {
        self.producer(Producer::Every {
            period,
            produce: Arc::new(move |feed| {
                // Stopped meanwhile: the value is dropped and counted, and the runner knows already.
                let _ = feed.publish(produce(feed));
            }),
        })
    }

    /// A thread for each feed, which produces at its own pace until [`Feed::publish`] says [`Stopped`](super::Stopped).
    /// Waiting by [`Feed::sleep`] it ends in time.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("count/{step}")
    ///     .thread(|feed| {
    ///         let step: u64 = feed.param("step").parse()?;
    ///         for n in 1.. {
    ///             feed.publish((n * step).to_string())?;
    ///             feed.sleep(Duration::from_millis(100))?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn thread(self, produce: impl Fn(Feed) -> Produced + Send + Sync + 'static) -> Builder {
        self.producer(Producer::Thread(Arc::new(produce)))
    }

    /// A future for each feed, run by any executor: `spawn` hands it over, as in `|task| drop(tokio::spawn(task))`.
    /// When the feed has stopped the future is polled one last time, for what it does after [`Feed::stopped`], and
    /// then dropped, wherever it waits.
    ///
    /// ```
    /// # use oncue::OnDemand;
    /// # let (tasks, _inbox) = std::sync::mpsc::channel();
    /// # let tasks = std::sync::Mutex::new(tasks);
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("news/{id}")
    ///     .task(
    ///         move |task| drop(tasks.lock().unwrap().send(task)), // tokio: drop(tokio::spawn(task))
    ///         |feed| async move {
    ///             feed.publish("the news")?;
    ///             feed.stopped().await;
    ///             Ok(())
    ///         },
    ///     )
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn task<F>(
        self,
        spawn: impl Fn(Task) + Send + Sync + 'static,
        produce: impl Fn(Feed) -> F + Send + Sync + 'static,
    ) -> Builder
    where
        F: Future<Output = Produced> + Send + 'static,
    {
        self.producer(Producer::Task {
            spawn: Arc::new(spawn),
            produce: Arc::new(move |feed| Box::pin(produce(feed))),
        })
    }

    /// A function that is told when somebody wants a topic, and when nobody does any more; the values are published
    /// through the feed it was given, by whoever has them. It runs on the thread that serves all routes, and must
    /// return at once.
    ///
    /// ```
    /// use oncue::demand::{Change, OnDemand};
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let wanted = Arc::new(Mutex::new(HashMap::new()));
    /// let told = wanted.clone();
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("rooms/{room}")
    ///     .manual(move |change| match change {
    ///         Change::Started(feed) => drop(told.lock().unwrap().insert(feed.param("room").to_owned(), feed)),
    ///         Change::Stopped(feed) => drop(told.lock().unwrap().remove(feed.param("room"))),
    ///     })
    ///     .start()?;
    /// // Whenever there is something to say about a room:
    /// if let Some(feed) = wanted.lock().unwrap().get("kitchen") {
    ///     let _ = feed.publish("21 degrees");
    /// }
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn manual(self, tell: impl Fn(Change) + Send + Sync + 'static) -> Builder {
        self.producer(Producer::Manual(Arc::new(tell)))
    }

    fn producer(self, producer: Producer) -> Builder {
        let RouteBuilder { mut builder, pattern, grace, catalogue } = self;
        builder.routes.push(Planned { pattern, grace, catalogue, producer });
        builder
    }
}
