//! The thread that keeps a site in the mesh: it opens a session, and another one when it breaks.

mod hearsay;
mod pulse;
mod session;
mod shared;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use oncue::{DemandWatch, XPub};
use oncue_core::backoff::Backoff;
use oncue_core::mesh::{Log, Sites};

use crate::bell::{lock, random};
use crate::error::{MeshError, MeshErrorKind};
use crate::event::MeshEvent;
use crate::link::Link;
use crate::options::Quotas;
use crate::wanted::Wanted;
use session::{End, Session};
pub(crate) use session::{Hands, is_final};
pub(crate) use shared::{Neighbour, Shared, View};

/// The pauses before a session is opened again.
const REOPEN: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };

pub(crate) struct Keeper {
    hands: Hands,
}

impl Keeper {
    pub(crate) fn new(hands: Hands) -> Keeper {
        Keeper { hands }
    }

    /// Runs until it is stopped or must end; then it gives the reason.
    pub(crate) fn run(mut self, first: Result<Link, MeshError>) -> Option<MeshError> {
        let mut link = first;
        let mut failures = 0;
        loop {
            let end = match link {
                Ok(link) => {
                    failures = 0;
                    self.serve(link)
                }
                // It was right at the start: a file that is being replaced, or a port that is not free yet.
                Err(why) if why.kind() == MeshErrorKind::Config => End::Broken(why),
                Err(why) if is_final(why.kind()) => End::Final(why),
                Err(why) => End::Broken(why),
            };
            match end {
                End::Stopped => return None,
                End::Final(why) => {
                    (self.hands.tell)(MeshEvent::Ended(why.clone()));
                    return Some(why);
                }
                End::Broken(why) => (self.hands.tell)(MeshEvent::Disconnected(why)),
            }
            let pause = Instant::now() + REOPEN.pause(&mut failures, Duration::ZERO);
            while Instant::now() < pause && !self.hands.is_stopped() {
                self.hands.shared.bell.wait(Some(pause));
            }
            if self.hands.is_stopped() {
                return None;
            }
            link = Link::open(
                &self.hands.shared.options,
                self.hands.epoch.saturating_add(1),
                self.hands.shared.hooks(),
            );
        }
    }

    /// Keeps the site in the mesh for as long as the session lasts.
    fn serve(&mut self, link: Link) -> End {
        self.hands.epoch = link.epoch();
        let watch = self.hands.hall.subscribers.as_ref().map(XPub::demand);
        let mut wanted = Wanted::new(&self.hands.shared.options);
        let mut log = Log::new(link.epoch(), random());
        let now = watch.iter().flat_map(DemandWatch::snapshot);
        now.for_each(|prefix| wanted.change(prefix, true, &mut log));
        while log.take_delta(usize::MAX).is_some() {}
        *lock(&self.hands.shared.log) = Some(log);
        let options = &self.hands.shared.options;
        let quotas = quotas(&options.quotas);
        let sites = Sites::new(&options.site, link.epoch(), options.timeout, quotas, random());
        lock(&self.hands.shared.view).sites = Some(sites);
        let end = match link.announce() {
            Ok(()) => {
                (self.hands.tell)(MeshEvent::Connected { epoch: link.epoch() });
                let (shared, stop) = (self.hands.shared.clone(), pulse::Stop::default());
                thread::scope(|scope| {
                    let beat = pulse::beat(&shared, &link, &stop);
                    let pulse = thread::Builder::new().name("mesh pulse".into()).spawn_scoped(scope, beat);
                    // Dropped at the end of the session, and before the scope waits.
                    let _stop = stop;
                    match pulse {
                        Ok(_) => Session::new(&mut self.hands, &link, watch, wanted).run(),
                        Err(why) => {
                            End::Broken(MeshError::session(format!("the thread of heartbeats: {why}")))
                        }
                    }
                })
            }
            Err(why) => End::Broken(why),
        };
        // The others are told first: their demand is exact the sooner.
        link.close();
        *lock(&self.hands.shared.log) = None;
        self.forget_sites();
        end
    }

    /// Without a session nothing is known of any site.
    fn forget_sites(&self) {
        let mut view = lock(&self.hands.shared.view);
        view.sites = None;
        self.hands.shared.links.store(0, Ordering::Relaxed);
        for (site, neighbour) in &mut view.exports {
            neighbour.export = None;
            self.hands.shared.imports.iter().for_each(|imports| imports.gone(site));
        }
    }
}

/// Bounds as the core has them.
fn quotas(own: &Quotas) -> oncue_core::mesh::Quotas {
    let Quotas { sites, prefixes, prefix_bytes, .. } = *own;
    oncue_core::mesh::Quotas { sites, prefixes, prefix_bytes, ..Default::default() }
}
