//! The handle to routes at work.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::draft::Defaults;
use super::meter::Meter;
use super::rules::Rules;
use crate::demand::feed::{Note, OnDemandStats, RouteStats, TopicStats};
use crate::demand::runner::Shared;
use crate::endpoint::Endpoint;
use crate::home::Home;
use crate::permission::{Reason, is_deciding};
use crate::socket::XPub;
use crate::sync::lock;

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
/// assert_eq!(od.stats().now.running, 1); // nobody asked for the clock
/// # Ok(()) }
/// ```
pub struct OnDemand {
    pub(crate) socket: XPub,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) defaults: Defaults,
    /// Where the socket asks who may subscribe; none for a socket that was made elsewhere.
    pub(crate) rules: Option<Arc<Rules>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) runner: Mutex<Option<JoinHandle<()>>>,
    pub(crate) home: Home,
}

impl OnDemand {
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

    /// Counts of each route, in the order in which they were added.
    pub fn route_stats(&self) -> Vec<RouteStats> {
        self.shared.route_stats()
    }

    /// Counts of each feed that has not ended, ordered by topic. The counts of its route include it, also after its end.
    pub fn topic_stats(&self) -> Vec<TopicStats> {
        self.shared.topic_stats()
    }

    /// Reads what this counts, for a producer that reports it, or a thread that serves it.
    pub fn meter(&self) -> Meter {
        Meter::new(&self.shared, self.socket.clone())
    }

    /// Ends the subscriptions of all peers to exactly this prefix. A peer that subscribes again is asked about again.
    /// For one peer alone, and for subscriptions that were deferred, see [`XPub::revoke`], [`XPub::admit`] and
    /// [`XPub::reject`].
    pub fn revoke(&self, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
        self.socket.revoke_all(prefix, status);
    }

    /// Whether the thread of the routes and each I/O thread of the socket's engine begin a turn within this time: it waits
    /// until they have, at most for that long. For a watchdog: false if one of them hangs or has ended. A producer that
    /// hangs on a thread of its own does not count. Call it on none of these threads, nor on one that they wait for.
    pub fn responds_within(&self, time: Duration) -> bool {
        self.meter().responds_within(time)
    }

    /// Stops all feeds and waits until their threads have returned, however long a producer takes that ignores
    /// [`Stopped`](crate::demand::Stopped). Tasks are told to stop and left to their executor. The socket stays open.
    ///
    /// Dropping the handle does the same. On a thread of a producer, and inside a function that decides about subscriptions,
    /// it does not wait.
    pub fn stop(&self) {
        if self.home.is_left() {
            // The runner is a thread of another process: neither to be waited for nor to be released.
            return lock(&self.runner).take().map_or((), std::mem::forget);
        }
        self.shared.desk.tell(Note::Stop);
        if self.shared.desk.on_own_thread() || is_deciding() {
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
