//! A feed as its producer sees it: what to produce, where to publish it, and when to stop.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, str};

use oncue_core::feeds::FeedId;
use oncue_pattern::Params;

use self::counter::nanos;
pub(crate) use self::counter::{add, get};
pub(crate) use self::counts::Counters;
pub use self::counts::{
    Catalogued, Done, FailureCounts, FeedCounts, OnDemandStats, Phase, RouteStats, TopicReport, TopicStats,
};
pub(crate) use self::desk::{Desk, Note};
pub use self::failure::{Failure, Produced, Stopped};
pub use self::keep::LastLimits;
pub(crate) use self::keep::{Fresh, Keep};
use self::outlet::{Outlet, Put, Subject};
pub(crate) use self::route::FeedRoute;
pub use self::timings::Histogram;
pub(crate) use self::value::Layout;
use self::value::Value;
use crate::Room;
use crate::events;
use crate::op::{Op, Waiters};
use crate::socket::XPub;
use crate::sync::lock;

mod counter;
mod counts;
mod desk;
mod failure;
mod fresh;
mod keep;
mod outlet;
mod quickness;
mod route;
mod timings;
mod together;
mod value;

/// One running production: one topic, one generation. Cheap to clone; all clones are the same feed, and may be used
/// on any thread.
///
/// A feed is active from the moment its producer gets it until nobody wants its topic any more, or its producer has
/// ended. After that nothing can be published with it, ever: the topic's next production is another feed.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

/// What is called when a producer fails.
pub(crate) type OnFailure = Arc<dyn Fn(&Feed, &Failure) + Send + Sync>;

struct Inner {
    of: Activation,
    /// The values that are not UTF-8, converted as [`Feed::param`] says.
    lossy: Vec<(Range<usize>, String)>,
    /// Locked while publishing: once its socket is `None`, nothing is sent.
    outlet: Mutex<Outlet>,
    /// Whether the outlet has a socket, to be read without a lock.
    active: AtomicBool,
    failed: AtomicBool,
    /// Whether the runner was told that the topic has a fresh value although the feed has published none.
    said_fresh: AtomicBool,
    waiters: Waiters,
    counters: Counters,
    /// How long its first value took, in nanoseconds, at least 1; 0 while there was none.
    first_value_nanos: AtomicU64,
}

/// What a feed is made of.
pub(crate) struct Activation {
    pub(crate) id: FeedId,
    pub(crate) generation: u64,
    pub(crate) topic: Arc<[u8]>,
    pub(crate) params: Params,
    /// When it was to start.
    pub(crate) since: Duration,
    pub(crate) route: Arc<FeedRoute>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) on_failure: Option<OnFailure>,
}

impl Feed {
    pub(crate) fn new(of: Activation, socket: XPub) -> Feed {
        let values = of.params.iter().map(|(_, value)| value);
        let broken = values.filter(|value| str::from_utf8(&of.topic[value.clone()]).is_err());
        let lossy = broken.map(|value| {
            let text = String::from_utf8_lossy(&of.topic[value.clone()]).into_owned();
            (value, text)
        });
        let count = of.route.layout.as_ref().map_or(0, |layout| layout.recall(&of.topic));
        let feed = Feed(Arc::new(Inner {
            lossy: lossy.collect(),
            outlet: Mutex::new(Outlet::new(socket, count)),
            active: AtomicBool::new(true),
            failed: AtomicBool::new(false),
            said_fresh: AtomicBool::new(false),
            waiters: Waiters::default(),
            counters: Counters::default(),
            first_value_nanos: AtomicU64::new(0),
            of,
        }));
        feed.count(|counters| &counters.started, 1);
        feed
    }

    /// The topic to produce.
    pub fn topic(&self) -> &[u8] {
        &self.0.of.topic
    }

    /// The value of a parameter of the route, as text. What is not UTF-8 in it is replaced by U+FFFD: two topics may
    /// then have the same text, see [`param_bytes`](Feed::param_bytes).
    ///
    /// # Panics
    /// If the route has no parameter of this name.
    pub fn param(&self, name: &str) -> &str {
        let value = self.range(name);
        let text = str::from_utf8(&self.0.of.topic[value.clone()]).ok();
        text.unwrap_or_else(|| {
            let lossy = self.0.lossy.iter().find(|(range, _)| *range == value);
            lossy.map_or("", |(_, text)| text)
        })
    }

    /// The value of a parameter of the route, as it is: one or more bytes, none of them `/`. The subscriber chooses it,
    /// so do not trust it.
    ///
    /// # Panics
    /// If the route has no parameter of this name.
    pub fn param_bytes(&self, name: &str) -> &[u8] {
        &self.0.of.topic[self.range(name)]
    }

    /// The parameters of the route and their values, in the order of the pattern.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.0.of.params.iter().map(|(name, value)| (name, &self.0.of.topic[value]))
    }

    /// The number of this activation. No other feed of the same [`OnDemand`](crate::demand::OnDemand) has it.
    pub fn generation(&self) -> u64 {
        self.0.of.generation
    }

    /// Sends a message of two frames, the topic and this payload, or of the frames that the route
    /// [says](crate::demand::RouteBuilder::frames). Never waits: a subscriber whose queue is full
    /// misses it, or the socket's [`OnFull`](crate::OnFull) decides; a value that the socket refuses is counted
    /// ([`refused`](crate::demand::Done::refused)) and is not an error. A value that comes sooner than the route's
    /// [`max_rate`](crate::demand::RouteBuilder::max_rate) allows is held and sent when its time has come, unless a newer
    /// one takes its place.
    ///
    /// # Errors
    /// [`Stopped`]: nothing was sent, and nothing will be. The producer should return.
    pub fn publish(&self, payload: impl AsRef<[u8]>) -> Result<(), Stopped> {
        // The payload's own code runs while nothing is locked.
        let payload = payload.as_ref();
        self.publish_into(lock(&self.0.outlet), Value::One(payload))
    }

    /// Sends a message of the topic and these frames, whatever frames the route says. Otherwise as
    /// [`publish`](Feed::publish).
    ///
    /// ```
    /// # use {oncue::OnDemand, std::time::SystemTime};
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("camera/{n}")
    ///     .thread(|feed| {
    ///         let time = format!("{:?}", SystemTime::now());
    ///         feed.publish_frames(&[b"image/jpeg", time.as_bytes(), &[0xff, 0xd8]])?;
    ///         Ok(feed.wait_stopped())
    ///     })
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`publish`](Feed::publish).
    pub fn publish_frames(&self, frames: &[&[u8]]) -> Result<(), Stopped> {
        self.publish_into(lock(&self.0.outlet), Value::Frames(frames))
    }

    /// Publishes a value unless the feed has published more than this number of values.
    pub(crate) fn publish_after(&self, values: u64, payload: &[u8]) {
        let outlet = lock(&self.0.outlet);
        if self.published() == values {
            // A feed that has stopped meanwhile counts the value.
            let _ = self.publish_into(outlet, Value::One(payload));
        }
    }

    fn publish_into(&self, mut outlet: MutexGuard<'_, Outlet>, value: Value<'_>) -> Result<(), Stopped> {
        let desk = &self.0.of.desk;
        match outlet.put(&self.subject(), value, || desk.now()) {
            Put::Sent => self.sent(&mut outlet, 1),
            Put::Held { until } => {
                drop(outlet);
                desk.tell(Note::Hold { generation: self.generation(), until });
            }
            Put::Superseded => self.count(|counters| &counters.superseded, 1),
            Put::Refused => self.count(|counters| &counters.refused, 1),
            Put::Closed => return Err(Stopped),
            Put::Late => {
                drop(outlet);
                self.count(|counters| &counters.late, 1);
                return Err(Stopped);
            }
        }
        Ok(())
    }

    /// Sends the value that was held back.
    pub(crate) fn release(&self) {
        let desk = &self.0.of.desk;
        let mut outlet = lock(&self.0.outlet);
        match outlet.release(&self.subject(), || desk.now()) {
            Some(Put::Sent) => self.sent(&mut outlet, 1),
            Some(Put::Refused) => self.count(|counters| &counters.refused, 1),
            _ => {}
        }
    }

    /// Nobody wants the topic any more: its last value is forgotten, unless it outlives the feed.
    pub(crate) fn leave_last(&self, socket: &XPub) {
        self.0.of.route.leave_last(socket, self.topic(), self.0.of.desk.now());
    }

    fn subject(&self) -> Subject<'_> {
        let Activation { route, topic, params, .. } = &self.0.of;
        Subject { route, topic, params }
    }

    /// How many values were sent.
    pub(crate) fn published(&self) -> u64 {
        get(&self.0.counters.produced)
    }

    fn has_published(&self) -> bool {
        get(&self.0.first_value_nanos) > 0
    }

    /// Counts values that were sent.
    fn sent(&self, outlet: &mut Outlet, values: u64) {
        if values == 0 {
            return;
        }
        let Activation { id, generation, since, route, desk, .. } = &self.0.of;
        self.count(|counters| &counters.produced, values);
        let subscribers = outlet.subscribers(self.topic());
        self.count(|counters| &counters.offered, values.saturating_mul(subscribers));
        // The outlet is locked, so one value is the first.
        if !self.has_published() {
            let after = desk.now().saturating_sub(*since);
            self.0.first_value_nanos.store(nanos(after).max(1), Ordering::Relaxed);
            route.has_first_value(after);
            desk.tell(Note::Produced { id: *id, generation: *generation });
        }
    }

    /// Ends the feed: there is nothing more to publish. It starts again when the subscriptions that started it have all
    /// gone and one has come back. A producer that can return should do that instead.
    pub fn finish(&self) {
        self.close();
        self.0.of.desk.tell(Note::Quit { generation: self.generation() });
    }

    /// Ends the feed, as a producer that returns this error does: it is reported and counted, and the feed starts again
    /// as the route's [`backoff`](crate::demand::RouteBuilder::backoff) says. Without effect on a feed that is not active.
    pub fn fail(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        if self.is_active() {
            self.fail_with(&Failure::Error(error.into()));
            self.finish();
        }
    }

    /// Whether the subscribers of the topic have room for a value: [`Room::Congested`] when all of them are full, and a
    /// value would be dropped for each. Periodic routes and batches leave such a tick out by themselves.
    pub fn room(&self) -> Room {
        lock(&self.0.outlet).socket().map_or(Room::Nobody, |socket| socket.room(self.topic()))
    }

    /// Waits while the topic is congested: to be awaited, or waited for.
    ///
    /// # Errors
    /// [`Stopped`] as soon as the feed is not active.
    pub fn wait_for_room(&self) -> Op<impl Future<Output = Result<(), Stopped>> + Send + Unpin + '_> {
        Op(Box::pin(async move {
            loop {
                let socket = lock(&self.0.outlet).socket().cloned().ok_or(Stopped)?;
                // Registered before the room is looked at, so that no change is missed.
                let (mut changed, mut stopped) = (socket.room_changed(), self.stopped());
                if socket.room(self.topic()) != Room::Congested {
                    return Ok(());
                }
                let socket_closed = poll_fn(|context| {
                    if Pin::new(&mut stopped).poll(context).is_ready() {
                        return Poll::Ready(false);
                    }
                    Pin::new(&mut changed).poll(context).map(|changed| changed.is_err())
                });
                if socket_closed.await {
                    return Err(Stopped);
                }
            }
        }))
    }

    /// Whether a value should not be produced now, since all subscribers of the topic are full. It is then counted as a
    /// tick left out: for producers that have a clock of their own.
    pub fn skip_for_congestion(&self) -> bool {
        let congested = lock(&self.0.outlet).socket().is_some_and(|socket| socket.is_congested(self.topic()));
        self.count(|counters| &counters.ticks_congested, u64::from(congested));
        congested
    }

    /// Whether a value published now would be sent.
    pub fn is_active(&self) -> bool {
        self.0.active.load(Ordering::SeqCst)
    }

    /// Waits until the feed is not active any more: to be awaited, or waited for with a time limit.
    pub fn stopped(&self) -> Op<impl Future<Output = ()> + Send + Unpin + '_> {
        self.0.waiters.until(|| (!self.is_active()).then_some(()))
    }

    /// Blocks this thread until the feed is not active any more.
    pub fn wait_stopped(&self) {
        self.stopped().wait();
    }

    /// Blocks this thread for `time`, or until the feed is not active any more.
    ///
    /// # Errors
    /// [`Stopped`] as soon as the feed is not active.
    pub fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        match self.stopped().wait_timeout(time) {
            Some(()) => Err(Stopped),
            None => Ok(()),
        }
    }

    /// When this returns, nothing of the feed is sent any more: a value that was being published has been handed over.
    pub(crate) fn stop(&self) {
        let closed = lock(&self.0.outlet).close();
        self.0.active.store(false, Ordering::SeqCst);
        if let (Some((_, count)), Some(layout)) = (&closed, &self.0.of.route.layout) {
            layout.remember(&self.0.of.topic, *count);
        }
        drop(closed);
        self.0.waiters.wake();
    }

    /// Stops the feed; a value that is held back is sent before.
    fn close(&self) {
        self.release();
        self.stop();
    }

    /// Stops the feed and tells the runner that its producer has ended.
    pub(crate) fn end(&self) {
        self.end_as(self.0.failed.load(Ordering::SeqCst));
    }

    /// The same, where the caller knows of a failure that is not reported yet.
    pub(crate) fn end_as(&self, failed: bool) {
        self.close();
        self.0.of.desk.tell(Note::Ended { id: self.0.of.id, generation: self.generation(), failed });
    }

    /// Counts and reports how its producer ended, if that is a failure.
    pub(crate) fn judge(&self, outcome: Result<Produced, Failure>) {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is::<Stopped>() => {}
            Ok(Err(error)) => self.fail_with(&Failure::Error(error)),
            Err(failure) => self.fail_with(&failure),
        }
    }

    /// Marks the feed as failed, counts and reports it: once, however often this is called.
    pub(crate) fn fail_with(&self, failure: &Failure) {
        if self.mark_failed() {
            self.report(failure);
        }
    }

    /// Counts and reports a failure that does not end the feed.
    pub(crate) fn report(&self, failure: &Failure) {
        self.count(|counters| &counters.failed, 1);
        self.0.of.route.failures.count(failure);
        events::producer_failed(self.topic(), self.generation(), failure);
        if let Some(report) = &self.0.of.on_failure {
            // A report that panics cannot be reported; the count stands.
            let _ = Failure::catch(|| report(self, failure));
        }
    }

    /// Marks the feed as failed. Returns whether it was not before.
    pub(crate) fn mark_failed(&self) -> bool {
        !self.0.failed.swap(true, Ordering::SeqCst)
    }

    /// Counts ticks that a producer with a clock of its own has left out, since the value before was still being
    /// produced. [`Ticks`](crate::demand::Ticks) does that by itself.
    pub fn skip_ticks(&self, ticks: u64) {
        self.count(|counters| &counters.ticks_skipped, ticks);
    }

    /// Counts time that went into producing, for producers whose time is not measured otherwise: see
    /// [`Done::producing`](crate::demand::Done::producing).
    pub fn spent(&self, time: Duration) {
        add(&self.0.counters.producing_nanos, nanos(time));
        add(&self.0.of.desk.counters.producing_nanos, nanos(time));
        self.0.of.route.production.took(time);
    }

    /// Notes how long a call for this many feeds of the route took.
    pub(crate) fn took(&self, time: Duration, feeds: u32) {
        self.0.of.route.quickness.took(time / feeds.max(1));
    }

    /// Whether the function of the route is known to be quick.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.of.route.quickness.is_quick()
    }

    /// Counts for the feed, its route, and all.
    pub(crate) fn count(&self, which: impl Fn(&Counters) -> &AtomicU64, n: u64) {
        if n == 0 {
            return;
        }
        add(which(&self.0.counters), n);
        add(which(&self.0.of.route.counters), n);
        add(which(&self.0.of.desk.counters), n);
    }

    /// Counts the time of a call that produced this feed among others.
    pub(crate) fn count_call(&self, time: Duration) {
        self.0.of.route.production.took(time);
    }

    pub(crate) fn stats(&self) -> TopicStats {
        let counters = &self.0.counters;
        let socket = lock(&self.0.outlet).socket().cloned();
        TopicStats {
            topic: self.topic().to_vec(),
            generation: self.generation(),
            subscribers: socket.map_or(0, |socket| socket.subscribers(self.topic())),
            done: counters.done(),
            first_value_time: self
                .has_published()
                .then(|| Duration::from_nanos(get(&self.0.first_value_nanos))),
        }
    }

    /// How many handles there are.
    #[cfg(test)]
    pub(super) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.0.of.desk
    }

    pub(crate) fn shared_topic(&self) -> Arc<[u8]> {
        self.0.of.topic.clone()
    }

    fn range(&self, name: &str) -> Range<usize> {
        let value = self.0.of.params.get(name);
        value.unwrap_or_else(|| panic!("the route of this feed has no parameter `{name}`"))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, generation) = (self.topic().escape_ascii(), self.generation());
        write!(f, "Feed(`{topic}`, generation {generation}, active: {})", self.is_active())
    }
}
