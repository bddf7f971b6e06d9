//! One route being put together: its settings and its producer.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::backoff::Backoff;
use oncue_pattern::Pattern;

use super::builder::Builder;
use super::draft::Draft;
use crate::demand::feed::{Feed, LastLimits, Produced};
use crate::demand::producers::{BatchRun, Change, FeedSet, IntoValue, Lister, Producer, Task};
use crate::options::OnFull;
use crate::permission::{Admission, SubscribeRequest};

/// A route that has no producer yet. It goes back to its [`Builder`] with one.
#[must_use = "a route needs a producer"]
pub struct RouteBuilder {
    builder: Builder,
    draft: Draft,
}

impl fmt::Debug for RouteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteBuilder").field("pattern", &self.draft.route.pattern).finish()
    }
}

impl Builder {
    /// A route: the topics of a pattern. `{name}` stands for one or more bytes other than `/`, `{{` and `}}` for
    /// braces, everything else for itself. Where one route lies within another, the narrower one serves the topic.
    pub fn route(self, pattern: &str) -> RouteBuilder {
        let (pattern, unreadable) = match Pattern::parse(pattern) {
            Ok(pattern) => (pattern, None),
            Err(error) => (Pattern::literal(pattern), Some(error)),
        };
        RouteBuilder { builder: self, draft: Draft::new(pattern, unreadable) }
    }

    /// A route of a pattern that exists, such as [`Pattern::literal`] for a topic of any bytes.
    pub fn route_pattern(self, pattern: Pattern) -> RouteBuilder {
        RouteBuilder { builder: self, draft: Draft::new(pattern, None) }
    }
}

impl RouteBuilder {
    /// A text of your choice that stands for all that the route is made of, its producer included: where
    /// [`OnDemand::reload`](crate::demand::OnDemand::reload) finds a route of the same pattern and the same key, that one
    /// stays as it is, with its feeds. A route without a key is always replaced.
    pub fn key(mut self, key: impl Into<String>) -> RouteBuilder {
        self.draft.key = Some(key.into());
        self
    }

    /// How long a feed of this route outlives its last subscriber. A feed that is wanted again by then runs on undisturbed.
    pub fn grace(mut self, grace: Duration) -> RouteBuilder {
        self.draft.grace = Some(grace);
        self
    }

    /// How long a feed of this route runs at least, wanted or not, counted from its start: for producers that are expensive
    /// to start. Zero by default.
    pub fn min_run(mut self, time: Duration) -> RouteBuilder {
        self.draft.route.min_run = time;
        self
    }

    /// The most feeds of this route that run at once, counted as by [`Builder::feeds_max`], which bounds them too. At
    /// least 1; by default there is no such bound.
    pub fn feeds_max(mut self, feeds: usize) -> RouteBuilder {
        self.draft.route.feeds_max = feeds;
        self
    }

    /// When a feed that failed starts again while it is wanted, see [`Backoff`]: `min` after the first failure, twice as
    /// long after each further one, `max` at most. 100 ms and 30 s by default.
    pub fn backoff(mut self, min: Duration, max: Duration) -> RouteBuilder {
        self.draft.route.backoff = Some(Backoff { min, max });
        self
    }

    /// A feed that failed starts again only when the subscriptions that started it have all gone and one has come back.
    pub fn no_restart(mut self) -> RouteBuilder {
        self.draft.route.backoff = None;
        self
    }

    /// The least time between two values of one topic. A value that comes sooner is held and sent when its time has
    /// come, unless a newer one takes its place, which is counted. Zero by default, which is no bound.
    pub fn max_rate(mut self, spacing: Duration) -> RouteBuilder {
        self.draft.spacing = spacing;
        self
    }

    /// What gives way where a subscriber's queue has no room for a value of this route, instead of the socket's
    /// [`Options::on_full`](crate::Options::on_full). [`OnFull`] says what becomes of the values of routes with different
    /// policies in one queue: with [`Latest`](OnFull::Latest) or [`DropOldest`](OnFull::DropOldest) here, the values of a
    /// camera make room for those of other routes, and never take theirs. [`OnFull::Refuse`] is refused, since
    /// producers do not wait, and so is any policy on a socket that has it.
    ///
    /// ```
    /// # use {oncue::{OnDemand, OnFull}, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("camera/{name}")
    ///     .on_full(OnFull::Latest)
    ///     .every(Duration::from_millis(40), |feed| format!("a picture of {}", feed.param("name")))
    ///     .route("orders")
    ///     .every(Duration::from_secs(1), |_| "an order")
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn on_full(mut self, policy: OnFull) -> RouteBuilder {
        self.draft.on_full = Some(policy);
        self
    }

    /// How often each topic would be produced without demand. [`RouteStats::avoided`](crate::demand::RouteStats::avoided) is
    /// computed from it. Routes with [`every`](RouteBuilder::every) and [`batch`](RouteBuilder::batch) use their period;
    /// this is for others that have a clock of their own.
    pub fn pace(mut self, period: Duration) -> RouteBuilder {
        self.draft.pace = Some(period);
        self
    }

    /// Keeps the last value of each topic while its feed runs, and sends it to each new subscriber of the topic, to that
    /// one alone, at once and ahead of live values. A subscriber that comes back within the grace gets it too. The socket's
    /// [`last_values_bytes_max`](crate::Options::last_values_bytes_max) bounds the values that are kept of all routes.
    ///
    /// ```
    /// # use oncue::{Engine, OnDemand, Options, Sub};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("config/{name}")
    ///     .keep_last()
    ///     .thread(|feed| {
    ///         feed.publish("42")?; // once; later subscribers get it too
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

    /// As [`keep_last`](RouteBuilder::keep_last), within limits, or beyond the end of the feed.
    pub fn keep_last_with(mut self, limits: LastLimits) -> RouteBuilder {
        self.draft.keep = Some(limits);
        self
    }

    /// How long a value of a topic is good enough: while one that was sent is younger, no other is produced, for expensive
    /// values that may be somewhat old. It implies [`keep_last`](RouteBuilder::keep_last): a subscriber that comes gets the
    /// kept value. The value is kept for this time even if its feed has stopped, so that a subscriber that comes back gets it
    /// and nothing is produced; [`LastLimits::outlive`] keeps it for longer. Values are forgotten when their route is
    /// removed or replaced. Age counts from the moment at which a value was sent; above zero.
    ///
    /// - [`every`](RouteBuilder::every): a tick is left out and counted
    ///   ([`Done::ticks_fresh`](crate::demand::Done::ticks_fresh)); the next value is produced when the one before is too
    ///   old, but not sooner than a period after it.
    /// - [`batch`](RouteBuilder::batch): the feed is left out of the call.
    /// - [`thread`](RouteBuilder::thread): it is not started before the value is too old. What it publishes from then on is up
    ///   to it, see [`Feed::fresh_for`]. One with a [`pace`](RouteBuilder::pace) is started at once, and asks
    ///   [`Feed::skip_for_freshness`] at each of its ticks.
    /// - [`task`](RouteBuilder::task) and [`manual`](RouteBuilder::manual) ask [`Feed::fresh_for`] by themselves.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// # fn query(_: &str) -> String { String::new() }
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("sql/{table}")
    ///     .fresh_for(Duration::from_secs(30))
    ///     .every(Duration::from_secs(5), |feed| query(feed.param("table"))) // at most every 30 s, whoever comes and goes
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn fresh_for(mut self, time: Duration) -> RouteBuilder {
        self.draft.fresh = Some(time);
        self
    }

    /// Whether a feed produces one value, keeps it, and rests until the value is too old and the topic is wanted. How old is
    /// too old says [`fresh_for`](RouteBuilder::fresh_for); without it a value is good until its feed stops, which is after
    /// the last subscriber has gone and the grace has passed. False by default.
    ///
    /// It implies [`keep_last`](RouteBuilder::keep_last), so that later subscribers get the value. With
    /// [`every`](RouteBuilder::every) and [`batch`](RouteBuilder::batch) the period only says when the function is called
    /// again that had no value (`Ok(None)`). A [`thread`](RouteBuilder::thread) that returns after it has published is called
    /// again when its last value is too old, on the same thread and for the same feed; without `once` it would have ended its
    /// feed. A failure ends the feed as always, and it starts again after the [`backoff`](RouteBuilder::backoff). Tasks and
    /// manual routes publish whenever they like, and are refused.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// # fn render(_: &str) -> Vec<u8> { Vec::new() }
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("map/{name}")
    ///     .once(true)
    ///     .thread(|feed| Ok(feed.publish(render(feed.param("name")))?))
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn once(mut self, once: bool) -> RouteBuilder {
        self.draft.once = once;
        self
    }

    /// The frames of each message: texts with parameters, `["{topic}", "{value}"]` by default. `{topic}` is the topic,
    /// `{value}` what the producer publishes, `{count}` the number of the message among those of its topic, as 8 bytes, the
    /// lowest first; any other name is a parameter of the route. `{{` and `}}` are braces. The first frame must begin with
    /// `{topic}`, by which subscribers get it.
    ///
    /// The count begins at 1 and goes on when a feed of the topic ends and another one starts, until the route is removed
    /// or replaced. Beside those of running feeds, the counts of 65,536 topics with together 16 MiB are remembered; of more,
    /// the topics whose feed has ended longest ago begin at 1 again. A message that the socket refused is not counted.
    /// [`Feed::publish_frames`] has its own frames, and does not count either.
    ///
    /// ```
    /// # use oncue::{Engine, OnDemand, Options, Sub};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("weather/{place}")
    ///     .frames(["{topic} {value}"])
    ///     .thread(|feed| Ok(feed.publish("21 degrees")?))
    ///     .start()?;
    /// let sub = Sub::new(&Engine::start()?, Options::new())?;
    /// sub.connect(&od.endpoint().unwrap().to_string())?;
    /// sub.subscribe("weather/rome")?;
    /// let message = sub.recv().wait()?;
    /// assert_eq!((message.len(), message.topic()), (1, &b"weather/rome 21 degrees"[..]));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn frames<T: Into<String>>(mut self, frames: impl IntoIterator<Item = T>) -> RouteBuilder {
        self.draft.frames = Some(frames.into_iter().map(Into::into).collect());
        self
    }

    /// A value for a topic that has none: when a feed starts, and, with [`keep_last`](RouteBuilder::keep_last), when a peer
    /// subscribes to exactly a topic whose last value has become too old or has made room for others. The function is
    /// called once, however many have subscribed, on the threads of [`Builder::workers`]. What it returns is published, to
    /// all subscribers of the topic, unless the feed has published before. A panic is reported, and the feed goes on.
    ///
    /// On a socket that was made elsewhere ([`OnDemand::on`](crate::demand::OnDemand::on)) only a topic's first subscriber is
    /// known: there the function is called only at the start of a feed.
    pub fn fill<P: AsRef<[u8]>>(
        mut self,
        fill: impl Fn(&Feed) -> Option<P> + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.draft.fill = Some(Arc::new(move |feed, published| {
            if let Some(value) = fill(feed) {
                feed.publish_after(published, value.as_ref());
            }
        }));
        self
    }

    /// Decides who may subscribe: asked about each subscription whose prefix means something to this route. A subscription
    /// that is rejected or deferred creates no demand; a deferred one is decided by [`XPub::admit`](crate::XPub::admit) or
    /// [`XPub::reject`](crate::XPub::reject), and one in force ends by [`XPub::revoke`](crate::XPub::revoke) or
    /// [`OnDemand::revoke`](crate::demand::OnDemand::revoke). A prefix that means something to several routes needs the
    /// consent of all of them. The function runs on an I/O thread and must return at once;
    /// [`Options::admission`](crate::Options::admission) says what it must not do there.
    ///
    /// Such a route comes before the first [`bind`](Builder::bind), so that each subscription is asked about, on a socket
    /// that the routes have made themselves ([`OnDemand::new`](crate::demand::OnDemand::new)). A rule that comes with a
    /// [`reload`](crate::demand::OnDemand::reload) is asked about subscriptions from then on; those in force stay.
    ///
    /// ```
    /// # use oncue::{Admission, Engine, OnDemand, Options};
    /// let od = OnDemand::new(&Engine::start()?, Options::new())?
    ///     .route("private/{name}")
    ///     .admit(|request| match request.address.ip().is_some_and(|ip| ip.is_loopback()) {
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
        self.draft.admit = Some(Arc::new(decide));
        self
    }

    /// The topics that are started by a prefix that is not a whole topic itself, such as `prices/` or the empty one. The
    /// list limits nothing: a prefix that is a whole topic starts it, listed or not.
    pub fn catalogue<T: AsRef<[u8]>>(mut self, topics: impl IntoIterator<Item = T>) -> RouteBuilder {
        self.draft.route.catalogue.extend(topics.into_iter().map(|topic| topic.as_ref().to_vec()));
        self
    }

    /// A function that lists further topics, beside those of [`catalogue`](RouteBuilder::catalogue): at the start and
    /// every `period` from then on, on the threads of [`Builder::workers`]. A topic that has left the list is not
    /// started any more; if it runs, it goes on while it is wanted. If the function panics, or lists a topic that is not of
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
        self,
        period: Duration,
        list: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.try_catalogue_with(period, move || Ok(list()))
    }

    /// As [`catalogue_with`](RouteBuilder::catalogue_with), of a function that may fail: the list before stays, and
    /// [`Builder::on_list_failure`] is told the error.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("file/{name}")
    ///     .try_catalogue_with(Duration::from_secs(60), || {
    ///         let topic = |entry: std::fs::DirEntry| format!("file/{}", entry.file_name().display()).into_bytes();
    ///         std::fs::read_dir("/tmp")?.map(|entry| Ok(topic(entry?))).collect()
    ///     })
    ///     .every(Duration::from_secs(1), |feed| format!("the size of {}", feed.param("name")))
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn try_catalogue_with(
        mut self,
        period: Duration,
        list: impl Fn() -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync + 'static,
    ) -> RouteBuilder {
        self.draft.lister = Some(Lister { period, list: Arc::new(list), always: Vec::new() });
        self
    }

    /// One value at once, and then one every `period`, without drift: at whole periods after the start of all routes, so
    /// that the ticks of many feeds meet, the second half a period after the first at the earliest. A tick is left out
    /// while the value before is still being produced, and while all subscribers of the topic are full. The function runs on a
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
                    // If the feed has stopped meanwhile, the value is counted as late, and the runner knows already.
                    let _ = feed.publish(value);
                }
                Ok(())
            }),
        })
    }

    /// A thread for each feed, which produces at its own pace until [`Feed::publish`] returns
    /// [`Stopped`](crate::demand::Stopped). It waits by [`Feed::sleep`] or [`Ticks`](crate::demand::Ticks), which end with the
    /// feed.
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
    /// When the feed has stopped, the future is polled one last time, for what it does after [`Feed::stopped`], and
    /// then dropped, whatever it waits for.
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

    /// A function that is told when a topic comes to be wanted, and when nobody wants it any more. The program publishes
    /// through the feed that the function was given, whenever it has a value. The function runs on the thread that serves
    /// all routes, and must return at once.
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
    /// just started. Ticks are whole periods after the start of all routes, without drift; a tick is left out while the call
    /// of the tick before has not been made yet. The function runs on the threads of [`Builder::workers`], never on two at
    /// once. A panic ends all feeds that the call was about.
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::Duration};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("prices/{symbol}")
    ///     .batch(Duration::from_millis(500), |wanted| {
    ///         let symbols: Vec<_> = wanted.iter().map(|feed| feed.param("symbol")).collect();
    ///         for symbol in symbols { // a real program makes one query for all of them
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
        self.builder.add(self.draft, producer)
    }
}
