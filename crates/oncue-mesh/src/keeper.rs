//! The thread that keeps a site in the mesh: it tells others what this site wants, follows what they want, and gives each an export.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use oncue::{DemandEvent, DemandWatch, Engine, XPub};
use oncue_core::backoff::Backoff;
use oncue_core::mesh::{Log, Output, Phase, Sites, Why};

use crate::bell::{Bell, lock};
use crate::border::Border;
use crate::error::{MeshError, MeshErrorKind};
use crate::event::MeshEvent;
use crate::export::{Destination, Export, Sent};
use crate::hall::Hall;
use crate::import::Imports;
use crate::letters::Letters;
use crate::link::{Arrival, Hooks, Link};
use crate::options::MeshOptions;
use crate::wanted::Wanted;

/// The least time between two deltas, so that changes that come together travel together.
const DELTA_PAUSE: Duration = Duration::from_millis(1);
/// How large a delta is at most, and how many changes are taken before one is sent.
const DELTA_BYTES: usize = 32 << 10;
const CHANGES_PER_DELTA: usize = 4096;
/// How often the round trip to each site is measured.
const PING_PERIOD: Duration = Duration::from_secs(5);
/// The pauses before a session is opened again.
const REOPEN: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };

/// What the keeper shares with its owner, and with the threads of Zenoh.
pub(crate) struct Shared {
    pub(crate) options: Arc<MeshOptions>,
    /// None: this site has no subscribers, and wants nothing.
    pub(crate) imports: Option<Imports>,
    pub(crate) letters: Letters,
    pub(crate) bell: Arc<Bell>,
    pub(crate) begun: Instant,
    pub(crate) stopped: AtomicBool,
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
    pub(crate) links: usize,
    pub(crate) malformed: u64,
    /// Whether there may be a site whose demand has come in force, and whose owner was not told.
    untold_live: bool,
}

/// A site that was up at least once.
#[derive(Default)]
pub(crate) struct Neighbour {
    pub(crate) sent: Arc<Sent>,
    pub(crate) round_trip: Option<Duration>,
    /// While it is up, and this site has values.
    pub(crate) export: Option<Export>,
    /// Whether its owner was told that its demand is in force.
    told_live: bool,
}

/// Why a session has ended.
enum End {
    Stopped,
    /// Another one can be opened.
    Broken(MeshError),
    Final(MeshError),
}

pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
    pub(crate) hall: Hall,
    pub(crate) tell: Box<dyn FnMut(MeshEvent) + Send>,
    /// Streams begun by this process, in all sessions.
    pub(crate) streams: u64,
    /// The highest epoch that this process has had.
    pub(crate) epoch: u64,
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

impl Keeper {
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
                Err(why) if is_final(why.kind()) => End::Final(why),
                Err(why) => End::Broken(why),
            };
            match end {
                End::Stopped => return None,
                End::Final(why) => {
                    (self.tell)(MeshEvent::Ended(why.clone()));
                    return Some(why);
                }
                End::Broken(why) => (self.tell)(MeshEvent::Disconnected(why)),
            }
            let pause = Instant::now() + REOPEN.pause(&mut failures, Duration::ZERO);
            while Instant::now() < pause && !self.is_stopped() {
                self.shared.bell.wait(Some(pause));
            }
            if self.is_stopped() {
                return None;
            }
            link = Link::open(&self.shared.options, self.epoch + 1, self.shared.hooks());
        }
    }

    /// Keeps the site in the mesh for as long as the session lasts.
    fn serve(&mut self, link: Link) -> End {
        self.epoch = link.epoch();
        let watch = self.hall.subscribers.as_ref().map(XPub::demand);
        let mut wanted = Wanted::new(&self.shared.options);
        let mut log = Log::new(link.epoch(), random());
        let now = watch.iter().flat_map(DemandWatch::snapshot);
        now.for_each(|prefix| wanted.change(prefix, true, &mut log));
        while log.take_delta(usize::MAX).is_some() {}
        *lock(&self.shared.log) = Some(log);
        let Quotas { timeout, quotas } = Quotas::of(&self.shared.options);
        let sites = Sites::new(&self.shared.options.site, link.epoch(), timeout, quotas, random());
        lock(&self.shared.view).sites = Some(sites);
        let end = match link.announce() {
            Ok(()) => {
                (self.tell)(MeshEvent::Connected { epoch: link.epoch() });
                Session { keeper: self, link: &link, watch, wanted, due: Due::now() }.run()
            }
            Err(why) => End::Broken(why),
        };
        // The others are told first: their demand is exact the sooner.
        link.close();
        *lock(&self.shared.log) = None;
        self.forget_sites();
        end
    }

    /// Without a session nothing is known of any site.
    fn forget_sites(&self) {
        let mut view = lock(&self.shared.view);
        view.sites = None;
        for (site, neighbour) in &mut view.exports {
            neighbour.export = None;
            self.shared.imports.iter().for_each(|imports| imports.gone(site));
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Relaxed)
    }
}

/// Bounds as the core has them.
struct Quotas {
    timeout: Duration,
    quotas: oncue_core::mesh::Quotas,
}

impl Quotas {
    fn of(options: &MeshOptions) -> Quotas {
        let own = &options.quotas;
        let quotas = oncue_core::mesh::Quotas {
            sites: own.sites,
            prefixes: own.prefixes,
            prefix_bytes: own.prefix_bytes,
            ..Default::default()
        };
        Quotas { timeout: options.timeout, quotas }
    }
}

/// A session, while it lasts.
struct Session<'a> {
    keeper: &'a mut Keeper,
    link: &'a Link,
    /// What this site wants, if it has subscribers.
    watch: Option<DemandWatch>,
    wanted: Wanted,
    due: Due,
}

/// What is to be done when.
struct Due {
    heartbeat: Instant,
    ping: Instant,
    delta: Instant,
}

impl Due {
    fn now() -> Due {
        let now = Instant::now();
        Due { heartbeat: now, ping: now + Duration::from_millis(100), delta: now }
    }
}

type Step = Result<(), End>;

impl Session<'_> {
    fn run(&mut self) -> End {
        let bell = self.keeper.shared.bell.clone();
        let waker = bell.waker();
        loop {
            match self.turn(&mut Context::from_waker(&waker)) {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Does what there is to do, and waits for more.
    fn turn(&mut self, context: &mut Context<'_>) -> Step {
        if self.keeper.is_stopped() {
            return Err(End::Stopped);
        }
        for arrival in self.keeper.shared.letters.take() {
            self.take(arrival)?;
        }
        let more = self.take_changes()?;
        let now = Instant::now();
        if more || now >= self.due.delta {
            self.tell_changes()?;
        }
        if now >= self.due.heartbeat {
            self.heartbeat(now)?;
        }
        if now >= self.due.ping {
            self.ping(now);
        }
        self.tick()?;
        if more {
            return Ok(());
        }
        // Held while it waits: it is woken only for an operation that it holds.
        let watch = self.watch.take();
        let mut next = watch.as_ref().map(DemandWatch::next);
        let polled = next.as_mut().map_or(Poll::Pending, |next| Pin::new(next).poll(context));
        if polled.is_pending() {
            self.keeper.shared.bell.wait(Some(self.deadline()));
        }
        drop(next);
        self.watch = watch;
        match polled {
            Poll::Ready(event) => self.take_change(event),
            Poll::Pending => Ok(()),
        }
    }

    fn deadline(&self) -> Instant {
        let shared = &self.keeper.shared;
        let tick = lock(&shared.view).sites.as_ref().and_then(Sites::next_tick).map(|at| shared.begun + at);
        let untold = lock(&shared.log).as_ref().is_some_and(Log::has_untold).then_some(self.due.delta);
        let earliest = self.due.heartbeat.min(self.due.ping);
        [tick, untold].into_iter().flatten().fold(earliest, Instant::min)
    }

    /// Changes of this site's demand. Returns whether more of them wait.
    fn take_changes(&mut self) -> Result<bool, End> {
        for _ in 0..CHANGES_PER_DELTA {
            match self.watch.as_ref().map_or(Ok(None), DemandWatch::try_next).transpose() {
                Some(event) => self.take_change(event)?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn take_change(&mut self, event: oncue::Result<DemandEvent>) -> Step {
        let event =
            event.map_err(|why| End::Final(MeshError::session(format!("the engine has ended: {why}"))))?;
        let (prefix, is_wanted) = match &event {
            DemandEvent::Wanted(prefix) => (prefix, true),
            DemandEvent::Unwanted(prefix) => (prefix, false),
        };
        if let Some(log) = lock(&self.keeper.shared.log).as_mut() {
            self.wanted.change(prefix, is_wanted, log);
        }
        Ok(())
    }

    fn tell_changes(&mut self) -> Step {
        let mut log = lock(&self.keeper.shared.log);
        let Some(log) = log.as_mut().filter(|log| log.has_untold()) else { return Ok(()) };
        while let Some(delta) = log.take_delta(DELTA_BYTES) {
            self.link.delta(delta).map_err(End::Broken)?;
        }
        self.due.delta = Instant::now() + DELTA_PAUSE;
        Ok(())
    }

    fn heartbeat(&mut self, now: Instant) -> Step {
        self.due.heartbeat = now + self.keeper.shared.options.heartbeat;
        let heartbeat = lock(&self.keeper.shared.log).as_ref().map(Log::heartbeat);
        heartbeat.map_or(Ok(()), |bytes| self.link.heartbeat(bytes)).map_err(End::Broken)?;
        let links = self.link.links();
        lock(&self.keeper.shared.view).links = links;
        Ok(())
    }

    fn ping(&mut self, now: Instant) {
        self.due.ping = now + PING_PERIOD;
        let view = lock(&self.keeper.shared.view);
        let live = view.sites.iter().flat_map(Sites::infos);
        live.filter(|site| site.phase == Phase::Live).for_each(|site| self.link.ping(site.name));
    }

    fn tick(&mut self) -> Step {
        let now = self.keeper.shared.now();
        self.with_sites(|sites| {
            sites.tick(now);
            true
        })
    }

    fn take(&mut self, arrival: Arrival) -> Step {
        let now = self.keeper.shared.now();
        match arrival {
            Arrival::Token { site, epoch, alive } => {
                self.with_sites(|sites| sites.token(&site, epoch, alive, now).is_ok())
            }
            Arrival::Heartbeat { site, payload } => {
                self.with_sites(|sites| sites.heartbeat(&site, &payload.bytes(), now).is_ok())
            }
            Arrival::Delta { site, payload } => {
                self.with_sites(|sites| sites.delta(&site, &payload.bytes(), now).is_ok())
            }
            Arrival::Snapshot { site, answer } => {
                let answer = answer.as_ref().map(|payload| payload.bytes());
                self.with_sites(|sites| {
                    let Some(epoch) = sites.info(&site).map(|info| info.epoch) else { return true };
                    // An empty answer: the site has not joined yet.
                    let answer = answer.as_deref().filter(|bytes| !bytes.is_empty());
                    sites.snapshot(&site, epoch, answer, now).is_ok()
                })
            }
            Arrival::RoundTrip { site, time } => {
                if let Some(neighbour) = lock(&self.keeper.shared.view).exports.get_mut(&site[..]) {
                    neighbour.round_trip = time.or(neighbour.round_trip);
                }
                Ok(())
            }
            Arrival::Data { .. } => Ok(()),
            Arrival::Warning(text) => {
                (self.keeper.tell)(MeshEvent::Warning(text));
                Ok(())
            }
            Arrival::Ended(why) if is_final(why.kind()) => Err(End::Final(why)),
            Arrival::Ended(why) => Err(End::Broken(why)),
        }
    }

    /// Gives the sites an input, which returns whether it was in the format, and does what comes of it.
    fn with_sites(&mut self, input: impl FnOnce(&mut Sites) -> bool) -> Step {
        let shared = self.keeper.shared.clone();
        let mut guard = lock(&shared.view);
        let view = &mut *guard;
        let Some(sites) = view.sites.as_mut() else { return Ok(()) };
        if !input(sites) {
            view.malformed += 1;
        }
        let (mut events, mut step) = (Vec::new(), Ok(()));
        while let Some(output) = view.sites.as_mut().and_then(Sites::pop) {
            step = step.and(self.act(view, output, &mut events));
        }
        if view.untold_live {
            view.untold_live = tell_live(view, &mut events);
        }
        drop(guard);
        events.into_iter().for_each(|event| (self.keeper.tell)(event));
        step
    }

    fn act(&mut self, view: &mut View, output: Output, events: &mut Vec<MeshEvent>) -> Step {
        match output {
            Output::Up { site, epoch } => {
                events.push(MeshEvent::Joined { site: site.to_string(), epoch });
                self.forget_old(view);
                let neighbour = view.exports.entry(site.clone()).or_default();
                let export = self.export_to(&site, neighbour.sent.clone())?;
                (neighbour.export, neighbour.told_live) = (export, false);
                view.untold_live = true;
            }
            Output::Ask { site, .. } => self.link.ask_snapshot(&site),
            Output::Changes { site, changes, .. } => {
                if let Some(export) = view.exports.get_mut(&site).and_then(|site| site.export.as_mut()) {
                    export
                        .change(&changes)
                        .map_err(|why| End::Broken(MeshError::session(why.to_string())))?;
                }
            }
            Output::Down { site, why, .. } => {
                view.exports.entry(site.clone()).or_default().export = None;
                if why != Why::Replaced {
                    self.keeper.shared.imports.iter().for_each(|imports| imports.gone(&site));
                }
                let site = site.to_string();
                match why {
                    Why::Left => events.push(MeshEvent::Left { site }),
                    Why::Silent => events.push(MeshEvent::Silent { site }),
                    Why::Replaced => {}
                }
            }
            Output::Fenced { epoch } => {
                let site = &self.keeper.shared.options.site;
                let text = format!(
                    "another process has joined as `{site}` (epoch {epoch}), so this one has left the mesh: stop one of the \
                     two, or give it another name"
                );
                return Err(End::Final(MeshError::new(MeshErrorKind::Fenced, text)));
            }
        }
        Ok(())
    }

    /// Sites that are remembered nowhere else are not remembered here either.
    fn forget_old(&self, view: &mut View) {
        let View { sites, exports, .. } = view;
        let Some(sites) = sites else { return };
        let is_known = |site: &str| sites.info(site).is_some();
        exports.retain(|site, neighbour| neighbour.export.is_some() || is_known(site));
        self.keeper.shared.imports.iter().for_each(|imports| imports.retain(is_known));
    }

    fn export_to(&mut self, site: &str, sent: Arc<Sent>) -> Result<Option<Export>, End> {
        let trunk = &self.keeper.hall.trunk;
        if !trunk.has_source {
            return Ok(None);
        }
        self.keeper.streams += 1;
        let options = &self.keeper.shared.options;
        let to = Destination {
            site: site.to_owned(),
            stream: self.link.epoch().saturating_add(self.keeper.streams),
            border: Arc::new(Border::new(options.export.of(site))),
            publisher: self.link.data_to(site).map_err(End::Broken)?,
            sent,
        };
        let opened = Export::open(&self.keeper.engine, &trunk.endpoint, to, &options.quotas);
        opened.map(Some).map_err(|why| End::Broken(MeshError::session(why.to_string())))
    }
}

/// Tells which sites' demand has come in force. Returns whether there are sites of which it has not.
fn tell_live(view: &mut View, events: &mut Vec<MeshEvent>) -> bool {
    let View { sites, exports, .. } = view;
    let mut left = false;
    for info in sites.iter().flat_map(Sites::infos) {
        let Some(neighbour) = exports.get_mut(info.name).filter(|neighbour| !neighbour.told_live) else {
            continue;
        };
        match info.phase {
            Phase::Live => {
                neighbour.told_live = true;
                events.push(MeshEvent::Live { site: info.name.to_owned(), prefixes: info.prefixes });
            }
            Phase::Joining => left = true,
            _ => {}
        }
    }
    left
}

/// Whether another attempt would fail as well.
pub(crate) fn is_final(kind: MeshErrorKind) -> bool {
    !matches!(kind, MeshErrorKind::Unreachable | MeshErrorKind::Session)
}

/// A random number that strangers do not know.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
