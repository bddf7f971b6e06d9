//! A session of Zenoh, while it lasts: the demand log goes out, other sites come in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use oncue::{DemandEvent, DemandWatch, Engine};
use oncue_core::mesh::codec::Heartbeat;
use oncue_core::mesh::{Log, Output, Phase, Sites, Why};

use super::hearsay::Hearsay;
use super::shared::{Shared, View};
use crate::bell::lock;
use crate::border::Border;
use crate::error::{MeshError, MeshErrorKind};
use crate::event::MeshEvent;
use crate::export::{Destination, Export, Sent};
use crate::hall::Hall;
use crate::link::{Arrival, Link};
use crate::wanted::Wanted;

/// The least time between two deltas, so that changes that come together travel together. It is most of what the slowest change in a
/// hundred takes, which is to be below 2 ms.
const DELTA_PAUSE: Duration = Duration::from_millis(1);
/// How large a delta is at most, and how many changes are taken before one is sent.
const DELTA_BYTES: usize = 32 << 10;
const CHANGES_PER_DELTA: usize = 4096;
/// How often the round trip to each site is measured.
const PING_PERIOD: Duration = Duration::from_secs(5);
/// How often tokens are looked for: whoever was not told of one has no subscription to its site either, and would never hear of it.
const LOOK_PERIOD: Duration = Duration::from_secs(30);
/// What a session works with.
pub(crate) struct Hands {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
    pub(crate) hall: Hall,
    pub(crate) tell: Box<dyn FnMut(MeshEvent) + Send>,
    /// Streams begun by this process, in all sessions.
    pub(crate) streams: u64,
    /// The highest epoch that a process of this site has had, as far as it is known.
    pub(crate) epoch: u64,
}

impl Hands {
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Relaxed)
    }
}

/// Why a session has ended.
pub(super) enum End {
    Stopped,
    /// Another one can be opened.
    Broken(MeshError),
    Final(MeshError),
}

/// A session, while it lasts.
pub(super) struct Session<'a> {
    hands: &'a mut Hands,
    link: &'a Link,
    /// What this site wants, if it has subscribers.
    watch: Option<DemandWatch>,
    wanted: Wanted,
    due: Due,
    newer: Hearsay,
    past: Hearsay,
}

/// What is to be done when.
struct Due {
    ping: Instant,
    look: Instant,
    delta: Instant,
}

impl Due {
    fn now() -> Due {
        let now = Instant::now();
        Due { ping: now + Duration::from_millis(100), look: now + LOOK_PERIOD, delta: now }
    }
}

type Step = Result<(), End>;

impl<'a> Session<'a> {
    pub(super) fn new(
        hands: &'a mut Hands,
        link: &'a Link,
        watch: Option<DemandWatch>,
        wanted: Wanted,
    ) -> Session<'a> {
        Session {
            hands,
            link,
            watch,
            wanted,
            due: Due::now(),
            newer: Hearsay::default(),
            past: Hearsay::default(),
        }
    }

    pub(super) fn run(&mut self) -> End {
        let bell = self.hands.shared.bell.clone();
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
        if self.hands.is_stopped() {
            return Err(End::Stopped);
        }
        let more = self.take_changes()?;
        let now = Instant::now();
        if more || now >= self.due.delta {
            self.tell_changes()?;
        }
        if now >= self.due.ping {
            self.ping(now);
        }
        // Last, since to tell others may wait for a full link: whoever has said something until now is not silent.
        let shared = self.hands.shared.clone();
        let now = shared.now();
        {
            let _desk = lock(&shared.desk);
            for _ in 0..shared.letters.len() {
                let Some(arrival) = shared.letters.take() else { break };
                self.take(arrival, now)?;
            }
            self.tick(now)?;
        }
        if more || shared.letters.len() > 0 {
            return Ok(());
        }
        if Instant::now() < self.due.delta {
            // Changes need not wake it until the next delta may be sent.
            shared.bell.wait(Some(self.deadline().min(self.due.delta)));
            return Ok(());
        }
        // Held while it waits: it is woken only for an operation that it holds.
        let watch = self.watch.take();
        let mut next = watch.as_ref().map(DemandWatch::next);
        let polled = next.as_mut().map_or(Poll::Pending, |next| Pin::new(next).poll(context));
        if polled.is_pending() {
            self.hands.shared.bell.wait(Some(self.deadline()));
        }
        drop(next);
        self.watch = watch;
        match polled {
            Poll::Ready(event) => self.take_change(event),
            Poll::Pending => Ok(()),
        }
    }

    fn deadline(&self) -> Instant {
        let shared = &self.hands.shared;
        let tick = lock(&shared.view).sites.as_ref().and_then(Sites::next_tick).map(|at| shared.begun + at);
        let untold = lock(&shared.log).as_ref().is_some_and(Log::has_untold).then_some(self.due.delta);
        [tick, untold].into_iter().flatten().fold(self.due.ping, Instant::min)
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
        if let Some(log) = lock(&self.hands.shared.log).as_mut() {
            self.wanted.change(prefix, is_wanted, log);
        }
        Ok(())
    }

    fn tell_changes(&mut self) -> Step {
        let mut log = lock(&self.hands.shared.log);
        let Some(log) = log.as_mut().filter(|log| log.has_untold()) else { return Ok(()) };
        while let Some(delta) = log.take_delta(DELTA_BYTES) {
            self.link.delta(delta).map_err(End::Broken)?;
        }
        self.due.delta = Instant::now() + DELTA_PAUSE;
        Ok(())
    }

    fn ping(&mut self, now: Instant) {
        self.due.ping = now + PING_PERIOD;
        if now >= self.due.look {
            self.due.look = now + LOOK_PERIOD;
            self.link.look_for_tokens();
        }
        let view = lock(&self.hands.shared.view);
        let live = view.sites.iter().flat_map(Sites::infos);
        live.filter(|site| site.phase == Phase::Live).for_each(|site| self.link.ping(site.name));
    }

    fn tick(&mut self, now: Duration) -> Step {
        self.with_sites(|sites| {
            sites.tick(now);
            true
        })
    }

    /// Something has come, until `now`.
    fn take(&mut self, arrival: Arrival, now: Duration) -> Step {
        match arrival {
            Arrival::Token { site, epoch, alive } => {
                if alive {
                    self.tell_epoch(&site, epoch)?;
                }
                self.with_sites(|sites| sites.token(&site, epoch, alive, now).is_ok())
            }
            Arrival::Heartbeat { site, payload } => {
                let bytes = payload.bytes();
                if let Ok(Heartbeat { epoch, .. }) = Heartbeat::decode(&bytes) {
                    self.tell_epoch(&site, epoch)?;
                }
                self.with_sites(|sites| sites.heartbeat(&site, &bytes, now).is_ok())
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
                if let Some(neighbour) = lock(&self.hands.shared.view).exports.get_mut(&site[..]) {
                    neighbour.round_trip = time.or(neighbour.round_trip);
                }
                Ok(())
            }
            Arrival::Newer { by, epoch } => {
                let Some(epoch) = self.newer.hear(&self.hands.shared, by, epoch) else { return Ok(()) };
                let own = self.hands.shared.clone();
                self.with_sites(|sites| sites.token(&own.options.site, epoch, true, now).is_ok())
            }
            Arrival::Past { by, epoch } => {
                let Some(epoch) = self.past.hear(&self.hands.shared, by, epoch) else { return Ok(()) };
                self.hands.epoch = self.hands.epoch.max(epoch);
                let text = "an earlier process of this site had a higher epoch, so the clock of this machine has gone back; it joins again";
                Err(End::Broken(MeshError::session(text)))
            }
            Arrival::Data { .. } => Ok(()),
            Arrival::Warning(text) => {
                (self.hands.tell)(MeshEvent::Warning(text));
                Ok(())
            }
            Arrival::Ended(why) if is_final(why.kind()) => Err(End::Final(why)),
            Arrival::Ended(why) => Err(End::Broken(why)),
        }
    }

    /// A process whose epoch is lower than one that is known is told. If that one lives, it may not see it; if that one is gone, the
    /// clock of its machine has gone back, and it joins again with a higher epoch.
    fn tell_epoch(&self, site: &str, epoch: u64) -> Step {
        let known = {
            let view = lock(&self.hands.shared.view);
            let info = view.sites.as_ref().and_then(|sites| sites.info(site));
            info.filter(|info| info.epoch > epoch).map(|info| (info.epoch, info.phase))
        };
        let told = match known {
            None => Ok(()),
            Some((known, Phase::Live | Phase::Joining)) => self.link.tell_newer(site, known),
            Some((known, Phase::Silent | Phase::Gone)) => self.link.tell_past(site, known),
        };
        told.map_err(End::Broken)
    }

    /// Gives the sites an input, which returns whether it was in the format, and does what comes of it.
    fn with_sites(&mut self, input: impl FnOnce(&mut Sites) -> bool) -> Step {
        let shared = self.hands.shared.clone();
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
        if std::mem::take(&mut view.is_cut) {
            step = step.and(Err(End::Broken(MeshError::session("the engine has ended"))));
        }
        if view.untold_live {
            view.untold_live = tell_live(view, &mut events);
        }
        drop(guard);
        events.into_iter().for_each(|event| (self.hands.tell)(event));
        step
    }

    fn act(&mut self, view: &mut View, output: Output, events: &mut Vec<MeshEvent>) -> Step {
        match output {
            Output::Up { site, epoch } => {
                events.push(MeshEvent::Joined { site: site.to_string(), epoch });
                self.forget_old(view);
                self.hands.shared.imports.iter().for_each(|imports| imports.know(&site));
                let neighbour = view.exports.entry(site.clone()).or_default();
                let export = self.export_to(&site, neighbour.sent.clone())?;
                (neighbour.export, neighbour.told_live) = (export, false);
                view.untold_live = true;
            }
            Output::Ask { site, .. } => {
                // First, so that no change is missed after the snapshot.
                self.link.hear(&site).map_err(End::Broken)?;
                self.link.ask_snapshot(&site);
            }
            Output::Changes { site, changes, .. } => view.change(&site, &changes),
            Output::Down { site, why, .. } => {
                view.exports.entry(site.clone()).or_default().export = None;
                if why != Why::Replaced {
                    self.hands.shared.imports.iter().for_each(|imports| imports.gone(&site));
                }
                let site = site.to_string();
                match why {
                    Why::Left => events.push(MeshEvent::Left { site }),
                    Why::Silent => events.push(MeshEvent::Silent { site }),
                    Why::Replaced => {}
                }
            }
            Output::Fenced { epoch } => {
                let site = &self.hands.shared.options.site;
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
        self.hands.shared.imports.iter().for_each(|imports| imports.retain(is_known));
        self.link.hear_only(is_known);
    }

    fn export_to(&mut self, site: &str, sent: Arc<Sent>) -> Result<Option<Export>, End> {
        let trunk = &self.hands.hall.trunk;
        if !trunk.has_source {
            return Ok(None);
        }
        self.hands.streams += 1;
        let options = &self.hands.shared.options;
        let to = Destination {
            site: site.to_owned(),
            stream: self.link.epoch().saturating_add(self.hands.streams),
            border: Arc::new(Border::new(options.export.of(site), &options.own_topics)),
            publisher: self.link.data_to(site).map_err(End::Broken)?,
            sent,
        };
        let opened = Export::open(&self.hands.engine, &trunk.endpoint, to, &options.quotas);
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
