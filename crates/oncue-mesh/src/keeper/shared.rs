//! What the keeper shares with its owner, and with the threads of Zenoh.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncue_core::mesh::{Log, Sites};

use crate::bell::{Bell, lock};
use crate::export::{Export, Sent};
use crate::import::Imports;
use crate::letters::Letters;
use crate::link::{Arrival, Hooks};
use crate::options::MeshOptions;

/// What the keeper shares with its owner, and with the threads of Zenoh.
pub(crate) struct Shared {
    pub(crate) options: Arc<MeshOptions>,
    /// None: this site has no subscribers, and wants nothing.
    pub(crate) imports: Option<Imports>,
    pub(crate) letters: Letters,
    pub(crate) bell: Arc<Bell>,
    pub(crate) begun: Instant,
    pub(crate) stopped: AtomicBool,
    /// How many other sessions this one is linked with.
    pub(crate) links: AtomicUsize,
    /// None while there is no session.
    pub(crate) log: Mutex<Option<Log>>,
    pub(crate) view: Mutex<View>,
}

/// What is known of other sites.
#[derive(Default)]
pub(crate) struct View {
    /// None while there is no session.
    pub(crate) sites: Option<Sites>,
    pub(crate) exports: BTreeMap<Arc<str>, Neighbour>,
    pub(crate) malformed: u64,
    /// Whether there may be a site whose demand has come in force, and whose owner was not told.
    pub(super) untold_live: bool,
}

/// A site that was up at least once.
#[derive(Default)]
pub(crate) struct Neighbour {
    pub(crate) sent: Arc<Sent>,
    pub(crate) round_trip: Option<Duration>,
    /// While it is up, and this site has values.
    pub(crate) export: Option<Export>,
    /// Whether its owner was told that its demand is in force.
    pub(super) told_live: bool,
}

impl Shared {
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What a link calls.
    pub(crate) fn hooks(self: &Arc<Shared>) -> Hooks {
        let (arrived, asked) = (self.clone(), self.clone());
        Hooks {
            arrived: Arc::new(move |arrival| arrived.arrived(arrival)),
            // Before this site has joined, the answer is not in the format, and it is asked again.
            snapshot: Arc::new(move || lock(&asked.log).as_ref().map(Log::snapshot).unwrap_or_default()),
        }
    }

    fn arrived(&self, arrival: Arrival) {
        match arrival {
            Arrival::Data { site, payload } if site != self.options.site => {
                self.imports.iter().for_each(|imports| imports.take(&site, &payload.bytes()));
            }
            Arrival::Data { .. } => {}
            other => self.letters.put(other),
        }
    }
}
