//! Catalogues that a function lists, now and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncue_core::feeds::RouteId;

use super::ticks::{Tick, next_tick};
use super::workers::{Job, Jobs};
use crate::demand::feed::desk::{Desk, Note};
use crate::demand::feed::failure::Failure;

/// What lists the topics of a route, and how often.
#[derive(Clone)]
pub(crate) struct Lister {
    pub(crate) period: Duration,
    pub(crate) list: Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>,
    /// Topics that are listed whatever the function returns.
    pub(crate) always: Vec<Vec<u8>>,
}

/// The catalogue of one route, listed every period.
pub(crate) struct Catalogue {
    route: RouteId,
    lister: Lister,
    desk: Arc<Desk>,
    /// From being queued until a worker has finished.
    busy: AtomicBool,
}

impl Catalogue {
    pub(crate) fn new(route: RouteId, lister: Lister, desk: Arc<Desk>) -> Arc<Catalogue> {
        Arc::new(Catalogue { route, lister, desk, busy: AtomicBool::new(false) })
    }
}

impl Tick for Catalogue {
    fn tick(self: Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        let next = next_tick(at, self.lister.period, now).0;
        if !self.busy.swap(true, Ordering::SeqCst) {
            jobs.push(self);
        }
        Some(next)
    }
}

impl Job for Catalogue {
    fn run(&self) {
        let listed = Failure::catch(|| (self.lister.list)());
        let topics = listed.map(|listed| self.lister.always.iter().cloned().chain(listed).collect());
        self.desk.tell(Note::Listed { route: self.route, topics });
        self.busy.store(false, Ordering::SeqCst);
    }
}
