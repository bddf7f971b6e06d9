//! Catalogues that a function lists periodically. The next listing is scheduled when the runner has taken the last one, so
//! that lists do not pile up.

use std::sync::Arc;
use std::time::Duration;

use oncue_core::feeds::RouteId;

use super::ticks::Tick;
use super::workers::{Job, Jobs};
use crate::demand::feed::{Desk, Failure, Note};

/// What lists topics, or says why it cannot.
pub(crate) type ListFn =
    Arc<dyn Fn() -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// What lists the topics of a route, and how often.
#[derive(Clone)]
pub(crate) struct Lister {
    pub(crate) period: Duration,
    pub(crate) list: ListFn,
    /// Topics that are listed whatever the function returns.
    pub(crate) always: Vec<Vec<u8>>,
}

/// One listing of a route's catalogue.
pub(crate) struct Listing {
    pub(crate) route: RouteId,
    pub(crate) due: Duration,
    pub(crate) lister: Lister,
    pub(crate) desk: Arc<Desk>,
}

impl Tick for Listing {
    fn tick(self: Arc<Self>, _at: Duration, _now: Duration, jobs: &mut Jobs) -> Option<Duration> {
        jobs.push(self);
        None
    }
}

impl Job for Listing {
    fn run(&self) {
        let listed = Failure::catch(|| (self.lister.list)());
        let listed = listed.and_then(|listed| listed.map_err(Failure::Error));
        let topics = listed.map(|listed| self.lister.always.iter().cloned().chain(listed).collect());
        self.desk.tell(Note::Listed { route: self.route, due: self.due, topics });
    }
}
