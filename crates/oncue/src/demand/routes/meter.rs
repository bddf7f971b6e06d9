//! What routes at work count, to be read by whoever reports it.

use std::fmt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::demand::feed::{Catalogued, Note, OnDemandStats, RouteStats, TopicReport};
use crate::demand::runner::Shared;
use crate::socket::XPub;

/// Reads the counts of an [`OnDemand`](crate::OnDemand). It does not keep it at work, so a producer of the same `OnDemand` may
/// hold one; when that has been dropped, everything is empty.
///
/// ```
/// # use oncue::OnDemand;
/// let od = OnDemand::bind("tcp://127.0.0.1:0")?.route("clock").thread(|feed| Ok(feed.publish("noon")?)).start()?;
/// let meter = od.meter();
/// assert_eq!(meter.catalogues(10)[0].topics, [b"clock"[..].into()]);
/// assert!(meter.topics().is_empty()); // nobody wants the clock
/// drop(od);
/// assert!(meter.route_stats().is_empty());
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Clone)]
pub struct Meter {
    shared: Weak<Shared>,
    socket: XPub,
}

impl Meter {
    pub(super) fn new(shared: &Arc<Shared>, socket: XPub) -> Meter {
        Meter { shared: Arc::downgrade(shared), socket }
    }

    /// As [`OnDemand::xpub`](crate::OnDemand::xpub).
    pub fn xpub(&self) -> &XPub {
        &self.socket
    }

    /// As [`OnDemand::stats`](crate::OnDemand::stats).
    pub fn stats(&self) -> OnDemandStats {
        self.of(Shared::stats)
    }

    /// As [`OnDemand::route_stats`](crate::OnDemand::route_stats).
    pub fn route_stats(&self) -> Vec<RouteStats> {
        self.of(Shared::route_stats)
    }

    /// The topics that are wanted and have a route, and those whose feed has not been forgotten, in their order.
    pub fn topics(&self) -> Vec<TopicReport> {
        self.of(Shared::topics)
    }

    /// The catalogue of each route, in the order in which routes were added: the first `most` topics of each.
    pub fn catalogues(&self, most: usize) -> Vec<Catalogued> {
        self.of(|shared| shared.catalogues(most))
    }

    /// As [`OnDemand::responds_within`](crate::OnDemand::responds_within).
    pub fn responds_within(&self, time: Duration) -> bool {
        let start = Instant::now();
        let Some(shared) = self.shared.upgrade() else { return false };
        let (sender, answer) = channel();
        shared.desk.tell(Note::Probe(sender));
        drop(shared);
        answer.recv_timeout(time).is_ok() && self.socket.responds_within(time.saturating_sub(start.elapsed()))
    }

    fn of<T: Default>(&self, read: impl FnOnce(&Shared) -> T) -> T {
        self.shared.upgrade().map(|shared| read(&shared)).unwrap_or_default()
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("stats", &self.stats()).finish()
    }
}
