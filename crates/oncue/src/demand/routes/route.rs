//! One route being put together: its settings and its producer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, sync::Mutex};

use oncue_core::feeds::{Backoff, Route};
use oncue_pattern::{Pattern, PatternError, PrefixMeaning};

use super::builder::Builder;
use crate::demand::feed::Feed;
use crate::demand::feed::counts::Counters;
use crate::demand::feed::failure::Produced;
use crate::demand::feed::keep::{Keep, LastLimits};
use crate::demand::feed::route::FeedRoute;
use crate::demand::producers::batch::{BatchRun, FeedSet};
use crate::demand::producers::catalogue::Lister;
use crate::demand::producers::fill::FillFn;
use crate::demand::producers::value::IntoValue;
use crate::demand::producers::{Change, Producer, Task};
use crate::demand::runner::defaults::Defaults;
use crate::demand::runner::plan::{AdmitFn, Listed, Planned, RouteRun};
use crate::error::{Error, Result};
use crate::permission::{Admission, SubscribeRequest};

/// The pauses before a feed that failed starts again, unless its route says otherwise.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(30) };

/// A route that has no producer yet. It goes back to its [`Builder`] with one.
#[must_use = "a route needs a producer"]
pub struct RouteBuilder {
    builder: Builder,
    pattern: Result<Pattern, PatternError>,
    settings: Settings,
}

struct Settings {
    key: Option<String>,
    grace: Option<Duration>,
    min_run: Duration,
    feeds_max: usize,
    backoff: Option<Backoff>,
    spacing: Duration,
    pace: Option<Duration>,
    keep: Option<LastLimits>,
    fill: Option<FillFn>,
    admit: Option<AdmitFn>,
    catalogue: Vec<Vec<u8>>,
    lister: Option<Lister>,
}

/// A route and its producer, not looked at yet.
pub(crate) struct Draft {
    pattern: Result<Pattern, PatternError>,
    settings: Settings,
    producer: Producer,
    /// It was added when the socket had an endpoint, and so possibly subscribers.
    pub(crate) late: bool,
}

impl Draft {
    pub(crate) fn pattern(&self) -> &Result<Pattern, PatternError> {
        &self.pattern
    }

    /// The route's own rule about who may subscribe.
    pub(crate) fn admission(&self) -> Option<(Pattern, AdmitFn)> {
        Some((self.pattern.clone().ok()?, self.settings.admit.clone()?))
    }

    /// The route as the state machine knows it. `guarded`: the socket asks the rules of routes.
    ///
    /// # Errors
    /// What is wrong with this route by itself.
    pub(crate) fn route(&self, defaults: &Defaults, guarded: bool) -> Result<Route> {
        let Draft { pattern, settings, producer, late } = self;
        let pattern = pattern.as_ref().map_err(|error| Error::misuse(error.to_string()))?;
        let wrong = |what: &str| Err(Error::misuse(format!("the route `{pattern}` {what}")));
        if settings.admit.is_some() && !guarded {
            return wrong(
                "asks who may subscribe, but the socket was made elsewhere; make it by `OnDemand::new`, or give it the \
                 rule by `Options::admission`",
            );
        }
        if *late {
            return wrong("asks who may subscribe, and some may have done so; bind after it");
        }
        let status = defaults.status_prefix.as_deref();
        if status.is_some_and(|status| pattern.prefix(status) != PrefixMeaning::None) {
            return wrong("has topics that begin with the status prefix; choose another prefix");
        }
        if settings.pace.is_some_and(|pace| pace.is_zero()) {
            return wrong("has a pace of 0 s; give it one above zero");
        }
        if producer.period() == Some(Duration::ZERO) {
            return wrong("is produced every 0 s; give it a period above zero");
        }
        if settings.lister.as_ref().is_some_and(|lister| lister.period.is_zero()) {
            return wrong("is listed every 0 s; give it a period above zero");
        }
        if settings.backoff.is_some_and(|backoff| backoff.min.is_zero() || backoff.min > backoff.max) {
            return wrong(
                "has a backoff that begins with 0 s or ends before it begins; give it both in order",
            );
        }
        Ok(Route {
            pattern: pattern.clone(),
            grace: settings.grace.unwrap_or(defaults.grace),
            min_run: settings.min_run,
            feeds_max: settings.feeds_max,
            backoff: settings.backoff,
            catalogue: settings.catalogue.clone(),
        })
    }

    pub(crate) fn plan(self, defaults: &Defaults, guarded: bool) -> Result<Planned> {
        let route = self.route(defaults, guarded)?;
        let Draft { settings, producer, .. } = self;
        let feeds = FeedRoute {
            spacing: (!settings.spacing.is_zero()).then_some(settings.spacing),
            keep: settings.keep.map(Keep::new),
            counters: Counters::default(),
        };
        let run = RouteRun {
            pattern: route.pattern.clone(),
            key: settings.key,
            pace: producer.period().or(settings.pace),
            producer,
            lister: settings.lister.map(|lister| Lister { always: settings.catalogue, ..lister }),
            fill: settings.fill,
            admit: settings.admit,
            feeds: Arc::new(feeds),
            listed: Mutex::new(Listed::default()),
        };
        Ok(Planned { route, run: Arc::new(run) })
    }
}

impl fmt::Debug for RouteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteBuilder").field("pattern", &self.pattern).finish()
    }
}

impl RouteBuilder {
    pub(crate) fn new(builder: Builder, pattern: Result<Pattern, PatternError>) -> RouteBuilder {
        let settings = Settings {
            key: None,
            grace: None,
            min_run: Duration::ZERO,
            feeds_max: usize::MAX,
            backoff: Some(BACKOFF),
            spacing: Duration::ZERO,
            pace: None,
            keep: None,
            fill: None,
            admit: None,
            catalogue: Vec::new(),
            lister: None,
        };
        RouteBuilder { builder, pattern, settings }
    }

    /// Stands for all that the route is made of, its producer included, as a text of your choice: where
    /// [`OnDemand::reload`](crate::demand::OnDemand::reload) finds a route of the same pattern and the same key, that one stays
    /// as it is, with its feeds. A route without a key is always replaced.
    pub fn key(mut self, key: impl Into<String>) -> RouteBuilder {
        self.settings.key = Some(key.into());
        self
    }

    /// How long a feed of this route outlives its last subscriber. Wanted again by then it runs on undisturbed.
    pub fn grace(mut self, grace: Duration) -> RouteBuilder {
        self.settings.grace = Some(grace);
        self
    }

    /// How long a feed of this route runs at least, wanted or not, counted from its start: for producers that cost much
    /// to start. Zero by default.
    pub fn min_run(mut self, time: Duration) -> RouteBuilder {
        self.settings.min_run = time;
        self
    }

    /// The most feeds of this route that run at once, counted as by [`Builder::feeds_max`], which bounds them too. At
    /// least 1; by default there is no such bound.
    pub fn feeds_max(mut self, feeds: usize) -> RouteBuilder {
        self.settings.feeds_max = feeds;
        self
    }

    /// When a feed that failed starts again, while it is wanted: `min` after the first failure, twice as long after
    /// each further one, `max` at most. Once it has run for `max`, its next failure counts as the first. 100 ms and
    /// 30 s by default.
    pub fn backoff(mut self, min: Duration, max: Duration) -> RouteBuilder {
        self.settings.backoff = Some(Backoff { min, max });
        self
    }

    /// A feed that failed starts again only when the subscriptions that started it have all gone and one has come back.
    pub fn no_restart(mut self) -> RouteBuilder {
        self.settings.backoff = None;
        self
    }

    /// The least time between two values of one topic. A value that comes sooner is kept and sent when its time has
    /// come, unless a newer one takes its place, which is counted. Zero, which is no bound, by default.
    pub fn max_rate(mut self, spacing: Duration) -> RouteBuilder {
        self.settings.spacing = spacing;
        self
    }

    /// How often each topic would be produced without demand: what [`RouteStats::avoided`](crate::demand::RouteStats::avoided)
    /// is counted by. Routes with [`every`](RouteBuilder::every) and [`batch`](RouteBuilder::batch) have their period for
    /// it; this is for others that have a clock of their own.
    pub fn pace(mut self, period: Duration) -> RouteBuilder {
        self.settings.pace = Some(period);
        self
    }

    /// Keeps the last value of each topic while its feed runs, and gives it to each new subscriber of the topic, to that
    /// one alone, at once and ahead of live values. A subscriber that has come back within the grace gets it too. The
    /// socket's [`last_values_bytes_max`](crate::Options::last_values_bytes_max) bounds what is kept of all routes.
    ///
    /// ```
    /// # use oncue::{Engine, OnDemand, Options, Sub};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("config/{name}")
    ///     .keep_last()
    ///     .thread(|feed| {
    ///         feed.publish("42")?; // once; who comes later gets it too
    ///         feed.wait_stopped();
    ///         Ok(())
    ///     })
    ///     .start()?;
    /// for _ in 0..2 {
    ///     let sub = Sub::new(&Engine::start()?, Options::new())?;
    ///     sub.connect(&od.endpoint().unwrap().to_string())?;
    ///     sub.subscribe("config/answer")?;
    ///     assert_eq!(sub.recv().wait()?.frame(1), Some(&b"42"[..]));
    /// }
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn keep_last(self) -> RouteBuilder {
        self.keep_last_with(LastLimits::default())
    }

    /// The same within limits, or beyond the end of the feed.
    pub fn keep_last_with(mut self, limits: LastLimits) -> RouteBuilder {
        self.settings.keep = Some(limits);
        self
    }

    /// A value where none is kept: when a feed starts, and, with [`keep_last`](RouteBuilder::keep_last), when somebody
    /// subscribes to exactly a topic whose last value has become too old or has made room for others. The function is
    /// called once, however many have subscribed, on the threads of [`Builder::workers`]. What it yields is published, to
    /// all who want the topic, unless the feed was quicker. A panic is reported, and the feed goes on.
    ///
    /// On a socket that was made elsewhere ([`OnDemand::on`](crate::demand::OnDemand::on)) nobody tells of subscribers beside the
    /// first: there it is called at the start of a feed alone.
    pub fn fill<P: AsRef<[u8]>>(
        mut self,
        fill: impl Fn(&Feed) -> Option<P> + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.settings.fill = Some(Arc::new(move |feed, published| {
            if let Some(value) = fill(feed) {
                feed.publish_after(published, value.as_ref());
            }
        }));
        self
    }

    /// Asks who may subscribe: of each subscription whose prefix means something to this route. One that is rejected or
    /// deferred is no demand; a deferred one is decided by [`XPub::admit`](crate::XPub::admit) or
    /// [`XPub::reject`](crate::XPub::reject), and one in force ends by [`XPub::revoke`](crate::XPub::revoke) or
    /// [`OnDemand::revoke`](crate::demand::OnDemand::revoke). A prefix that means something to several routes needs the consent
    /// of all of them. The function runs on an I/O thread, and must return at once; what it must not do there says
    /// [`Options::admission`](crate::Options::admission).
    ///
    /// So that nobody comes unasked, such a route stands before the first [`bind`](Builder::bind), on a socket that was
    /// begun by [`OnDemand::new`](crate::demand::OnDemand::new). A rule that comes with a
    /// [`reload`](crate::demand::OnDemand::reload) is asked of subscriptions from then on; those in force stay.
    ///
    /// ```
    /// # use oncue::{Admission, Engine, OnDemand, Options};
    /// let od = OnDemand::new(&Engine::start()?, Options::new())?
    ///     .route("private/{name}")
    ///     .admit(|request| match request.address.starts_with("tcp://127.0.0.1:") {
    ///         true => Admission::Accept,
    ///         false => Admission::Reject("from this machine only".into()),
    ///     })
    ///     .thread(|feed| Ok(feed.publish("secret")?))
    ///     .bind("tcp://127.0.0.1:0")?
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn admit(
        mut self,
        decide: impl Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.settings.admit = Some(Arc::new(decide));
        self
    }

    /// The topics that a prefix starts which is not a whole topic itself, such as `prices/` or the empty one. The list
    /// limits nothing: a prefix that is a whole topic starts it, listed or not.
    pub fn catalogue<T: AsRef<[u8]>>(mut self, topics: impl IntoIterator<Item = T>) -> RouteBuilder {
        self.settings.catalogue.extend(topics.into_iter().map(|topic| topic.as_ref().to_vec()));
        self
    }

    /// The same by a function that lists them, beside those of [`catalogue`](RouteBuilder::catalogue): at the start and
    /// every `period` from then on, on the threads of [`Builder::workers`]. A topic that has left the list is not
    /// started any more; if it runs it goes on while it is wanted. Where the function panics, or lists what is not of
    /// the route, the list before stays, see [`Builder::on_list_failure`].
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("file/{name}")
    ///     .catalogue_with(Duration::from_secs(60), || {
    ///         let names = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
    ///         names.map(|entry| format!("file/{}", entry.file_name().display()).into_bytes()).collect()
    ///     })
    ///     .every(Duration::from_secs(1), |feed| format!("the size of {}", feed.param("name")))
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn catalogue_with(
        mut self,
        period: Duration,
        list: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.settings.lister = Some(Lister { period, list: Arc::new(list), always: Vec::new() });
        self
    }

    /// One value at once, and then one every `period`, without drift: at whole periods after the start of all routes, so
    /// that the ticks of many feeds meet, the second half a period after the first at the soonest. A tick is left out
    /// while the value before is still being produced, and while all who want the topic are full. The function runs on a
    /// few threads that all such routes share, see [`Builder::workers`]; never on two at once for one feed.
    ///
    /// It returns a value, or a `Result<Option<_>, _>` of one, see [`IntoValue`]. `Ok(None)` sends nothing at this tick. An
    /// error ends the feed as one that failed: it is reported and counted, subscribers are told that the topic is stale, and
    /// while it is wanted the feed starts again as [`backoff`](RouteBuilder::backoff) says, with a value at once.
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
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("file/{name}")
    ///     .every(Duration::from_secs(1), |feed| -> std::io::Result<_> {
    ///         let content = std::fs::read(std::path::Path::new("/srv/values").join(feed.param("name")))?;
    ///         Ok((!content.is_empty()).then_some(content))
    ///     })
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn every<Kind, V: IntoValue<Kind>>(
        self,
        period: Duration,
        produce: impl Fn(&Feed) -> V + Send + Sync + 'static,
    ) -> Builder {
        self.producer(Producer::Every {
            period,
            produce: Arc::new(move |feed| {
                if let Some(value) = produce(feed).into_value()? {
                    // Stopped meanwhile: the value is dropped and counted, and the runner knows already.
                    let _ = feed.publish(value);
                }
                Ok(())
            }),
        })
    }

    /// A thread for each feed, which produces at its own pace until [`Feed::publish`] says [`Stopped`](crate::demand::Stopped).
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

    /// Many feeds of the route by one call: every `period` for all that are wanted, and at once for those that have
    /// just come. Ticks are whole periods after the start of all routes, without drift; one that finds a call for the
    /// tick before still to be made is left out. The function runs on the threads of [`Builder::workers`], never on two at once.
    /// A panic ends all feeds that the call was about.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("prices/{symbol}")
    ///     .batch(Duration::from_millis(500), |wanted| {
    ///         let symbols: Vec<_> = wanted.iter().map(|feed| feed.param("symbol")).collect();
    ///         for symbol in symbols { // one query for all of them, in earnest
    ///             wanted.publish(format!("prices/{symbol}"), "187.20");
    ///         }
    ///     })
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn batch(self, period: Duration, produce: impl Fn(&FeedSet<'_>) + Send + Sync + 'static) -> Builder {
        self.producer(Producer::Batch(Arc::new(BatchRun::new(period, produce))))
    }

    fn producer(self, producer: Producer) -> Builder {
        let RouteBuilder { builder, pattern, settings } = self;
        builder.add(Draft { pattern, settings, producer, late: false })
    }
}
