//! Forwarding between publishers and subscribers: a [`Proxy`] passes demand one way and messages the other.

mod demand;
mod pump;
mod questions;
mod stats;
mod task;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::home::Home;
use crate::op::{Op, Waiters};
use crate::socket::{Inner, Socket, kind};
use pump::{Due, EVERYTHING, Ends, Pump, Sources, wake_after_turn};
use stats::Counters;
pub use stats::{Passed, ProxyStats};
use task::Task;

/// Passes messages from a frontend (XSUB or SUB, towards publishers) to a backend (XPUB or PUB, towards subscribers), and
/// what the subscribers want to the publishers (libzmq: `zmq_proxy`). It runs from [`new`](Proxy::new) to
/// [`stop`](Proxy::stop), to its drop, or to the end of one of the sockets, on the I/O threads of their engines; it has no
/// thread of its own. The sockets are bound and connected by their owner, before or meanwhile, and are not to be used for
/// anything else while the proxy runs: what their user receives the proxy does not pass on.
///
/// - **Demand is true at any distance.** The frontend is subscribed to exactly what the backend's peers want: the set of
///   their prefixes, whoever cancels, leaves, is reset or falls silent. A publisher behind a chain of proxies is told the
///   union of what the living subscribers want. For peers that vanish without a word the sockets need
///   [`heartbeat`](crate::Options::heartbeat)s.
/// - **Messages** are passed on as they were received, in order, by reference. While the backend's outbox is full they wait,
///   and the frontend reads no more; what does not fit a subscriber's queue is subject to the backend's
///   [`on_full`](crate::Options::on_full).
/// - **States** of topics ([`State`](crate::State)) are passed on too, and kept at the backend for later subscribers as
///   long as the topic is wanted. When no publisher is connected any more, active topics become stale.
/// - **Confirmed subscriptions** ([`Sub::subscribe`](crate::Sub::subscribe)): a subscriber that waits is answered when the
///   publishers of the frontend have answered the same, so the answer comes from the first publisher of a chain.
/// - **What a publisher has dropped** for the frontend is told to the backend's subscribers ([`Missed`](crate::Missed)), among the
///   messages that follow.
/// - **Messages of subscribers** to their publishers (an XSUB's to an XPUB) are passed on if the backend is an XPUB and the
///   frontend an XSUB.
///
/// ```
/// use oncue::{Engine, Options, Proxy, Pub, Sub, XPub, XPubEvent, XSub};
///
/// let engine = Engine::start()?;
/// let (frontend, backend) = (XSub::new(&engine, Options::new())?, XPub::new(&engine, Options::new())?);
/// let upstream = frontend.bind("tcp://127.0.0.1:*")?;
/// let downstream = backend.bind("tcp://127.0.0.1:*")?;
/// let proxy = Proxy::new(&frontend, &backend)?;
///
/// let publisher = XPub::new(&engine, Options::new())?;
/// publisher.connect(&upstream.to_string())?;
/// let subscriber = Sub::new(&engine, Options::new())?;
/// subscriber.subscribe("prices/")?;
/// subscriber.connect(&downstream.to_string())?;
///
/// assert_eq!(publisher.event().wait()?, XPubEvent::Wanted("prices/".into()));
/// publisher.send(("prices/AAPL", "187.20"))?;
/// assert_eq!(subscriber.recv().wait()?.topic(), b"prices/AAPL");
/// assert_eq!(proxy.stats().down.messages, 1);
/// proxy.stop();
/// assert_eq!(publisher.event().wait()?, XPubEvent::Unwanted("prices/".into()));
/// # Ok::<(), oncue::Error>(())
/// ```
pub struct Proxy {
    task: Arc<Task>,
    control: Arc<Control>,
    counters: Arc<Counters>,
    home: Home,
    due: Due,
}

/// What the owner of a proxy tells its task, and the other way round.
#[derive(Default)]
struct Control {
    paused: AtomicBool,
    stopped: AtomicBool,
    done: AtomicBool,
    waiters: Waiters,
}

/// How a [`Proxy`] forwards. Each method states its default.
#[derive(Clone, Default)]
pub struct ProxyOptions {
    capture: Option<Arc<Inner>>,
    grace: Duration,
    keep_last: bool,
    topics_only: bool,
}

impl ProxyOptions {
    /// The defaults.
    pub fn new() -> ProxyOptions {
        ProxyOptions::default()
    }

    /// A PUB or XPUB that gets every message that passes, in both directions (libzmq: the capture socket). It takes no part
    /// in the demand: it gets only what others want. What it has no room for is counted and nothing waits for it.
    /// Default: none.
    pub fn capture<F>(mut self, socket: &Socket<kind::Publisher, F>) -> ProxyOptions {
        self.capture = Some(socket.0.clone());
        self
    }

    /// How long a prefix stays subscribed to after its last subscriber has left, so that a subscriber that comes back
    /// soon finds its values going on. At most 65,536 prefixes and 16 MiB of them are in their grace; beyond that the oldest grace ends early.
    /// Default zero.
    pub fn grace(mut self, time: Duration) -> ProxyOptions {
        self.grace = time;
        self
    }

    /// Keeps the last message of each topic while the topic is wanted, or in its [`grace`](Self::grace): a subscriber of a
    /// topic that another wants already gets it at once, without asking the publishers. A relay, in short. Forgotten when no
    /// publisher is connected. Up to [`last_values_bytes_max`](crate::Options::last_values_bytes_max) of the backend.
    /// Default `false`.
    pub fn keep_last(mut self, keep: bool) -> ProxyOptions {
        self.keep_last = keep;
        self
    }

    /// Passes the states of topics alone, and not what publishers say of prefixes ([`State::is_of_prefix`](crate::State::is_of_prefix):
    /// rejected, unserved): for a backend that gets values some other way too, so that one publisher's word does not hold for all.
    /// Default `false`.
    pub fn topic_states_only(mut self, only: bool) -> ProxyOptions {
        self.topics_only = only;
        self
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxyOptions { capture, grace, keep_last, topics_only } = self;
        let mut f = f.debug_struct("ProxyOptions");
        f.field("capture", &capture.is_some()).field("grace", grace).field("keep_last", keep_last);
        f.field("topic_states_only", topics_only).finish()
    }
}

impl Proxy {
    /// Begins to forward, with the default options.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) when one of the sockets is closed.
    pub fn new<F, B>(
        frontend: &Socket<kind::Subscriber, F>,
        backend: &Socket<kind::Publisher, B>,
    ) -> Result<Proxy> {
        Proxy::with(frontend, backend, ProxyOptions::new())
    }

    /// Begins to forward.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the capture socket is the backend, or one of the two has
    /// [`invert_matching`](crate::Options::invert_matching); else as [`new`](Proxy::new).
    pub fn with<F, B>(
        frontend: &Socket<kind::Subscriber, F>,
        backend: &Socket<kind::Publisher, B>,
        options: ProxyOptions,
    ) -> Result<Proxy> {
        let ProxyOptions { capture, grace, keep_last, topics_only } = options;
        let (frontend, backend) = (frontend.0.clone(), backend.0.clone());
        frontend.hub.check_open()?;
        backend.hub.check_open()?;
        frontend.hub.options.check_matching("a socket of a proxy")?;
        backend.hub.options.check_matching("a socket of a proxy")?;
        if capture.as_ref().is_some_and(|capture| Arc::ptr_eq(&capture.hub, &backend.hub)) {
            return Err(Error::misuse("the capture socket is the backend; make a socket of its own for it"));
        }
        let (control, counters, due) = <(Arc<Control>, Arc<Counters>, Due)>::default();
        let demand = backend.hub.demand.queue(Arc::default());
        let connections = frontend.hub.connections.watch();
        let ends = Ends {
            frontend,
            backend,
            capture,
            keep_last,
            topics_only,
            demand,
            connections,
            counters: counters.clone(),
        };
        let hubs = [ends.frontend.hub.clone(), ends.backend.hub.clone()];
        let later = move || {
            wake_after_turn(hubs.each_ref());
            hubs.iter().all(|hub| !hub.is_closed())
        };
        let task = Task::new(forward(ends, grace, control.clone(), due.clone()), later);
        task.run();
        Ok(Proxy { task, control, counters, due, home: Home::default() })
    }

    /// No messages pass from now on, in either direction; demand and states still do. What publishers send meanwhile
    /// waits in the frontend up to its marks, and then at the publishers, where their own policies apply.
    pub fn pause(&self) {
        self.control.paused.store(true, Ordering::SeqCst);
    }

    /// Messages pass again, beginning with those that wait.
    pub fn resume(&self) {
        self.control.paused.store(false, Ordering::SeqCst);
        self.due.fetch_or(EVERYTHING, Ordering::SeqCst);
        self.task.run();
    }

    /// Ends the forwarding at once: the frontend is no longer subscribed to what the proxy has subscribed to. Messages that
    /// have been received and are not passed on stay with the sockets, but for a batch that waits for room, which is
    /// dropped. The sockets stay open. A subscriber that waits for a confirmation is answered for the backend alone. On return
    /// nothing runs any more: a new proxy may stand between the same sockets. (Only a waker that a proxy has called, and that stops
    /// one while another thread runs it, does not wait for that.) Dropping the proxy stops it too.
    pub fn stop(self) {}

    /// Waits until the proxy ends by itself: one of its sockets was closed.
    pub fn ended(&self) -> Op<impl Future<Output = ()> + Send + Unpin + '_> {
        self.control.waiters.until(|| self.control.done.load(Ordering::SeqCst).then_some(()))
    }

    /// What has passed since the proxy began.
    pub fn stats(&self) -> ProxyStats {
        self.counters.read()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.home.is_left() {
            // A fork: the proxy goes on in the other process.
            return;
        }
        self.control.stopped.store(true, Ordering::SeqCst);
        self.task.end();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Marks the end, whatever it is.
struct End(Arc<Control>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::SeqCst);
        self.0.waiters.wake();
    }
}

async fn forward(ends: Ends, grace: Duration, control: Arc<Control>, due: Due) {
    let _end = End(control.clone());
    let mut sources = None;
    let mut pump = Pump::new(&ends, grace);
    poll_fn(|context| {
        let sources = sources.get_or_insert_with(|| Sources::of(&ends, &due, context.waker()));
        let bits = sources.take(&due);
        let paused = control.paused.load(Ordering::SeqCst);
        let goes_on =
            !control.stopped.load(Ordering::SeqCst) && pump.run(bits, paused, &due, sources.answers());
        if goes_on { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    pump.end();
}
