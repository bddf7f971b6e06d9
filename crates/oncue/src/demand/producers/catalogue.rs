//! Catalogues that a function lists, now and again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use oncue_core::feeds::RouteId;

use super::Lister;
use super::ticks::next_tick;
use super::workers::{Job, Jobs};
use crate::demand::feed::failure::Failure;
use crate::demand::runner::plan::RouteRun;
use crate::demand::runner::shared::{Note, Shared};
use crate::sync::lock;

/// The catalogue of one route, to be listed every period.
pub(crate) struct Listing {
    id: RouteId,
    route: Arc<RouteRun>,
    lister: Lister,
    shared: Weak<Shared>,
    /// From being queued until a worker is done.
    busy: AtomicBool,
}

impl Listing {
    pub(crate) fn new(
        id: RouteId,
        route: Arc<RouteRun>,
        lister: Lister,
        shared: &Arc<Shared>,
    ) -> Arc<Listing> {
        Arc::new(Listing { id, route, lister, shared: Arc::downgrade(shared), busy: AtomicBool::new(false) })
    }

    pub(crate) fn route(&self) -> RouteId {
        self.id
    }

    /// A list that was due at `at`: when the next one is, unless the route is gone.
    pub(crate) fn tick(self: &Arc<Self>, at: Duration, now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        if self.route.is_gone() {
            return None;
        }
        if !self.busy.swap(true, Ordering::SeqCst) {
            jobs.push(self.clone());
        }
        Some(next_tick(at, self.lister.period, now).0)
    }

    fn list(&self, shared: &Shared) -> Result<(), Failure> {
        let listed = catch_unwind(AssertUnwindSafe(|| (self.lister.list)())).map_err(Failure::panic)?;
        let topics = self.lister.always.iter().cloned().chain(listed).collect();
        let now = shared.now();
        let mut plan = lock(&shared.plan);
        plan.machine.relist(self.id, topics, now).map_err(|error| Failure::Error(error.into()))?;
        self.route.listed(plan.machine.route_stats(self.id).listed, now);
        drop(plan);
        shared.tell(Note::Look);
        Ok(())
    }
}

impl Job for Listing {
    fn run(&self) {
        if let Some(shared) = self.shared.upgrade()
            && let Err(failure) = self.list(&shared)
        {
            shared.fail_list(&self.route, &failure);
        }
        self.busy.store(false, Ordering::SeqCst);
    }
}
