//! Production on demand: routes over topics, and producers that run only while somebody wants what they produce. It
//! sits on the public sockets and never reaches the engine; which feeds run is decided in [`oncue_core::feeds`].
//!
//! What subscribers want is known exactly, since a ZeroMQ subscription is a prefix that an XPUB is told of:
//!
//! - A prefix that is a whole topic of a route starts that topic's *feed*: one, however many subscribers.
//! - A prefix that is the beginning of topics of a route starts those of the route's catalogue that begin with it.
//!   A route without parameters has a catalogue of one: the empty prefix starts `clock`.
//! - Every prefix is attached to the feeds that begin with it, whoever started them: it keeps them running, and gets
//!   their values.
//!
//! A feed stops when no prefix is attached to it any more and its route's grace has passed. Nothing that its producer
//! publishes from then on is sent; the producer is told so by [`Stopped`], and should return. Only when it has does the
//! topic start again, as a feed of another generation: a topic never has two producers at once.
//!
//! A producer that returns, fails or panics ends its feed alone. One that has returned is started again when the
//! subscriptions that start it have all gone and one has come back; one that has failed, after a pause that grows from
//! failure to failure as well, see [`RouteBuilder::backoff`].

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use self::routes::rules::Rules;
use crate::Engine;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::options::Options;
use crate::permission::{Reason, is_deciding};
use crate::socket::XPub;
use crate::sync::lock;

mod feed;
mod producers;
mod routes;
mod runner;
#[cfg(test)]
mod tests;

pub use oncue_pattern::{Pattern, PatternError};

pub use self::feed::counts::{Done, OnDemandStats, RouteStats, TopicStats};
pub use self::feed::failure::{Failure, Produced};
pub use self::feed::keep::LastLimits;
pub use self::feed::{Feed, Stopped};
pub use self::producers::batch::FeedSet;
pub use self::producers::value::{Fallible, IntoValue, Plain};
pub use self::producers::{Change, Task};
pub use self::routes::builder::Builder;
pub use self::routes::route::RouteBuilder;
use self::runner::defaults::Defaults;
pub use self::runner::plan::Reloaded;
use self::runner::shared::{Note, Shared};

/// Routes at work: values are produced while this lives, and somebody wants them.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use oncue::{Engine, OnDemand, Options, Sub};
/// use std::time::Duration;
///
/// let od = OnDemand::bind("tcp://127.0.0.1:0")?
///     .route("prices/{symbol}").grace(Duration::from_secs(2))
///         .thread(|feed| {
///             let mut price = 100;
///             while feed.publish(format!("{} {price}", feed.param("symbol"))).is_ok() {
///                 price += 1;
///                 feed.sleep(Duration::from_millis(10))?;
///             }
///             Ok(())
///         })
///     .route("clock").every(Duration::from_millis(500), |_| format!("{:?}", std::time::SystemTime::now()))
///     .start()?;
///
/// let sub = Sub::new(&Engine::start()?, Options::new())?;
/// sub.connect(&od.endpoint().unwrap().to_string())?;
/// sub.subscribe("prices/AAPL")?;
/// let message = sub.recv().wait()?;
/// assert_eq!(message.topic(), b"prices/AAPL");
/// assert_eq!(message.frame(1), Some(&b"AAPL 100"[..]));
/// assert_eq!(od.stats().running, 1); // nobody asked for the clock
/// # Ok(()) }
/// ```
pub struct OnDemand {
    socket: XPub,
    endpoints: Vec<Endpoint>,
    defaults: Defaults,
    rules: Arc<Rules>,
    shared: Arc<Shared>,
    runner: Mutex<Option<JoinHandle<()>>>,
}

impl OnDemand {
    /// Routes on a socket of their own, bound to this endpoint, with an engine of its own.
    ///
    /// # Errors
    /// What [`Engine::start`], [`XPub::new`] and [`XPub::bind`] refuse.
    pub fn bind(endpoint: &str) -> Result<Builder> {
        OnDemand::new(&Engine::start()?, Options::new())?.bind(endpoint)
    }

    /// Routes on a socket of their own, which has no endpoint yet. It discards messages that subscribers send
    /// ([`Options::discard_messages`]); if those are wanted, use [`on`](OnDemand::on). Unless the options
    /// say something else of it, it has [heartbeats](Options::heartbeat) of 5 s, and a subscriber that is silent for 15 s
    /// counts as gone: nothing is produced for a peer that has vanished.
    ///
    /// # Errors
    /// What [`XPub::new`] refuses.
    #[allow(clippy::new_ret_no_self, reason = "as the sockets have it; what comes out has no routes yet")]
    pub fn new(engine: &Engine, options: Options) -> Result<Builder> {
        let rules = Arc::new(Rules::default());
        let options = rules.guard(options.heartbeat_by_default()).discard_messages(true);
        let socket = XPub::new(engine, options)?;
        Ok(Builder::new(socket, Some(rules)))
    }

    /// Routes on a socket that exists, and that others may send on as well. Its options are its own: give it
    /// [`Options::heartbeat`], or a subscriber that vanishes without a word is produced for until the system notices.
    pub fn on(socket: XPub) -> Builder {
        Builder::new(socket, None)
    }

    /// The first endpoint that was bound or connected while building, as the system resolved it.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.first()
    }

    /// The endpoints that were bound or connected while building, as the system resolved them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The socket: for more endpoints, other messages, its own counts.
    pub fn xpub(&self) -> &XPub {
        &self.socket
    }

    /// Counts of the present and since the start.
    pub fn stats(&self) -> OnDemandStats {
        self.shared.stats()
    }

    /// Counts of each route, in the order in which they came.
    pub fn route_stats(&self) -> Vec<RouteStats> {
        self.shared.route_stats()
    }

    /// Counts of each feed that has not ended, ordered by topic. Once it has, its route's counts are what is left.
    pub fn topic_stats(&self) -> Vec<TopicStats> {
        self.shared.topic_stats()
    }

    /// Routes to take the place of those that run, see [`reload`](OnDemand::reload): none yet, on the same socket, with
    /// the grace and the bounds that the first ones began with. Workers and reports of failures stay as they are.
    pub fn builder(&self) -> Builder {
        Builder::reloading(self.socket.clone(), self.defaults.clone(), &self.shared)
    }

    /// Puts other routes in the place of those that run, all or nothing. A route that has the same pattern and the same
    /// [`key`](RouteBuilder::key) as before stays as it was, with its producer and its feeds. The feeds of the others
    /// are stopped; where a topic is wanted that a new route serves, it starts there once its old producer has ended.
    /// Subscribers notice nothing of it. When this returns the new routes are in force; feeds of old ones are stopped
    /// right after.
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
    /// As [`Builder::start`], for a builder that is not from [`builder`](OnDemand::builder), and inside a function that
    /// decides about subscriptions: nothing has changed.
    pub fn reload(&self, routes: Builder) -> Result<Reloaded> {
        routes.reload(&self.shared, &self.rules)
    }

    /// Ends the subscriptions of all peers to exactly this prefix. Each is asked for anew when its peer subscribes again.
    /// For one peer alone, and for subscriptions that were deferred, see [`XPub::revoke`], [`XPub::admit`] and
    /// [`XPub::reject`].
    pub fn revoke(&self, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
        self.socket.revoke_all(prefix, status);
    }

    /// Stops all feeds and waits until their threads have returned; a producer that does not heed [`Stopped`] is
    /// waited for as long as it takes. Tasks are told to stop and left to their executor. The socket stays open.
    ///
    /// Dropping the last handle does the same. On a thread of a producer it waits for nothing, nor inside a function that
    /// decides about subscriptions.
    pub fn stop(&self) {
        self.shared.tell(Note::Stop);
        if self.shared.on_own_thread() || is_deciding() {
            return;
        }
        if let Some(runner) = lock(&self.runner).take() {
            runner.join().expect("the runner does not panic");
        }
    }
}

impl Drop for OnDemand {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").field("endpoints", &self.endpoints).field("stats", &self.stats()).finish()
    }
}
