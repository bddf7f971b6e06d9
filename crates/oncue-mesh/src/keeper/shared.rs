//! What the keeper shares with its owner, and with the threads of Zenoh.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use oncue::Prefix;
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
    /// Locked by whoever takes letters, before the view, until what is in them is done: so they are taken in their order. Whoever has
    /// unlocked it looks once more for letters, which others have left who found it locked.
    pub(crate) desk: Mutex<()>,
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
    /// An export could not be told what its site wants: the engine has ended.
    pub(super) is_cut: bool,
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
            other => {
                self.letters.put(other);
                self.take_light();
            }
        }
    }

    /// Leaves something for the keeper.
    pub(crate) fn put(&self, arrival: Arrival) {
        self.letters.put(arrival);
        self.bell.ring();
    }

    /// Takes small changes of demand in on this thread of Zenoh: to wake the keeper would cost more. It waits for no other thread. What
    /// is more than that, or cannot be done now, is the keeper's.
    fn take_light(&self) {
        while self.letters.begins_light() {
            let Some(_desk) = try_lock(&self.desk) else { return };
            let Some(mut view) = try_lock(&self.view).filter(|view| view.sites.is_some()) else { break };
            while let Some((site, payload)) = self.letters.take_light() {
                if view.take_delta(&site, &payload.bytes(), self.now()) {
                    self.bell.ring();
                }
            }
        }
        if self.letters.len() > 0 {
            self.bell.ring();
        }
    }
}

/// A lock that is free now. Its owner may have panicked: what it holds is in order at every moment.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl View {
    /// Takes in a change of a site's demand. Returns whether something is left for the keeper.
    fn take_delta(&mut self, site: &str, delta: &[u8], now: Duration) -> bool {
        let Some(sites) = self.sites.as_mut() else { return true };
        if sites.delta(site, delta, now).is_err() {
            self.malformed += 1;
        }
        while let Some((site, changes)) = self.sites.as_mut().and_then(Sites::pop_changes) {
            self.change(&site, &changes);
        }
        self.sites.as_ref().is_some_and(Sites::has_output) || self.untold_live || self.is_cut
    }

    /// A site wants other prefixes from here.
    pub(super) fn change(&mut self, site: &str, changes: &[(Prefix, bool)]) {
        let export = self.exports.get_mut(site).and_then(|site| site.export.as_mut());
        self.is_cut |= export.is_some_and(|export| export.change(changes).is_err());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use oncue_core::mesh::{Phase, Quotas};

    use super::*;
    use crate::link::Payload;
    use crate::topology::Topology;

    const CHANGES: usize = 2000;

    /// Another site, and what it says.
    struct Other {
        name: String,
        log: Log,
    }

    impl Other {
        fn new(name: &str) -> Other {
            Other { name: name.to_owned(), log: Log::new(1, 1) }
        }

        fn change(&mut self, number: usize) -> Arrival {
            // Now and then one that is more than a thread of Zenoh takes.
            let changes = if number % 100 == 99 { 500 } else { 1 };
            let prefixes = (0..changes).map(|part| format!("{}/{number}/{part}", self.name));
            prefixes.for_each(|prefix| _ = self.log.change(prefix.as_bytes(), true).unwrap());
            let payload = Payload::of(self.log.take_delta(usize::MAX).unwrap());
            Arrival::Delta { site: self.name.clone(), payload }
        }
    }

    fn shared(others: &[Other]) -> Shared {
        let options = MeshOptions::new("here", Topology::Edge { routers: Vec::new() });
        let mut sites = Sites::new("here", 1, Duration::from_secs(60), Quotas::default(), 1);
        for Other { name, log } in others {
            sites.token(name, 1, true, Duration::ZERO).unwrap();
            sites.snapshot(name, 1, Some(&log.snapshot()), Duration::ZERO).unwrap();
        }
        while sites.pop().is_some() {}
        Shared {
            options: Arc::new(options),
            imports: None,
            letters: Letters::default(),
            desk: Mutex::default(),
            bell: Arc::default(),
            begun: Instant::now(),
            stopped: AtomicBool::new(false),
            links: AtomicUsize::new(0),
            log: Mutex::default(),
            view: Mutex::new(View { sites: Some(sites), ..View::default() }),
        }
    }

    /// As the keeper does.
    fn take_all(shared: &Shared) {
        let _desk = lock(&shared.desk);
        for _ in 0..shared.letters.len() {
            let Some(Arrival::Delta { site, payload }) = shared.letters.take() else { break };
            lock(&shared.view).take_delta(&site, &payload.bytes(), shared.now());
        }
    }

    #[test]
    fn whoever_takes_letters_takes_them_in_order_and_leaves_none() {
        let others = ["a", "b", "c"].map(Other::new);
        let shared = shared(&others);
        thread::scope(|scope| {
            let links = others.map(|mut other| {
                let shared = &shared;
                scope.spawn(move || (0..CHANGES).for_each(|number| shared.arrived(other.change(number))))
            });
            scope.spawn(|| {
                while !shared.stopped.load(Relaxed) {
                    shared.bell.wait(None);
                    take_all(&shared);
                    while shared.letters.len() > 0 {
                        take_all(&shared);
                    }
                }
            });
            links.into_iter().for_each(|link| link.join().unwrap());
            let deadline = Instant::now() + Duration::from_secs(60);
            while shared.letters.len() > 0 {
                assert!(Instant::now() < deadline, "letters are left, and the keeper sleeps");
                thread::yield_now();
            }
            shared.stopped.store(true, Relaxed);
            shared.bell.ring();
        });
        let view = lock(&shared.view);
        for site in view.sites.as_ref().unwrap().infos() {
            let told = CHANGES + CHANGES / 100 * 499;
            assert_eq!((site.phase, site.log_gaps, site.prefixes), (Phase::Live, 0, told), "{}", site.name);
        }
        assert_eq!(view.malformed, 0);
    }

    #[test]
    fn a_change_that_comes_while_the_view_is_read_is_the_keepers() {
        let mut others = [Other::new("a")];
        let shared = shared(&others);
        let view = lock(&shared.view);
        shared.arrived(others[0].change(0));
        assert_eq!(shared.letters.len(), 1);
        drop(view);
        // It has rung for the keeper; a later change takes the one before it along.
        shared.bell.wait(Some(Instant::now() + Duration::from_secs(60)));
        shared.arrived(others[0].change(1));
        assert_eq!(shared.letters.len(), 0);
        assert_eq!(lock(&shared.view).sites.as_ref().unwrap().info("a").unwrap().prefixes, 2);
    }
}
