//! A site in a mesh, as its owner has it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use oncue::{Batch, Engine, XPub, XSub};
use oncue_core::mesh::SiteInfo;

use crate::bell::{Bell, lock};
use crate::error::MeshError;
use crate::event::MeshEvent;
use crate::hall::{Hall, Source};
use crate::import::Imports;
use crate::keeper::{Hands, Keeper, Neighbour, Shared, View, is_final};
use crate::letters::Letters;
use crate::link::{Link, RUNTIME_FOR_TLS, RUNTIME_VARIABLE};
use crate::options::MeshOptions;
use crate::status::{MeshStatus, SiteStatus};
use crate::topology::Topology;

/// A site in a mesh: values of its publishers go to each other site that wants them, once, and values of others come to its
/// subscribers. Its publishers see what all sites want. It runs from [`start`](Builder::start) to [`stop`](Mesh::stop), or to its
/// drop.
///
/// ```no_run
/// use oncue::{Engine, Options, XPub, XSub};
/// use oncue_mesh::{Mesh, MeshOptions, Topology};
///
/// let engine = Engine::start()?;
/// let (publishers, subscribers) = (XSub::new(&engine, Options::new())?, XPub::new(&engine, Options::new())?);
/// publishers.connect("tcp://127.0.0.1:8888")?;
/// subscribers.bind("tcp://*:9000")?;
/// let router = Topology::Edge { routers: vec!["tcp/10.0.0.1:7447".into()] };
/// let mesh = Mesh::builder(&engine, MeshOptions::new("paris", router))
///     .publishers(&publishers)
///     .subscribers(&subscribers)
///     .on_event(|event| println!("{event:?}"))
///     .start()?;
/// for site in mesh.status().sites {
///     println!("{}: {}, wants {} prefixes", site.name, site.phase.name(), site.prefixes);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mesh {
    shared: Arc<Shared>,
    end: Arc<End>,
    keeper: Option<JoinHandle<()>>,
}

/// How a mesh ended by itself.
#[derive(Default)]
struct End(Mutex<Ending>);

#[derive(Default)]
struct Ending {
    reason: Option<MeshError>,
    wakers: Vec<Waker>,
}

/// A mesh that is being put together. Without [`publishers`](Builder::publishers) or [`publisher`](Builder::publisher) the site
/// has no values for others; without [`subscribers`](Builder::subscribers) it wants none. Without either it may still be a router.
pub struct Builder {
    engine: Engine,
    options: MeshOptions,
    source: Option<Source>,
    subscribers: Option<XPub>,
    tell: Box<dyn FnMut(MeshEvent) + Send>,
}

impl Builder {
    /// Values come from the publishers of this socket, which is subscribed to what all sites want. It is bound and connected
    /// by its owner, and is not to be used for anything else, as that of an [`oncue::Proxy`].
    pub fn publishers(mut self, socket: &XSub) -> Builder {
        self.source = Some(Source::Publishers(socket.clone()));
        self
    }

    /// Values are those that this socket sends, which stays its owner's: each other site is one more peer of it, connected over
    /// `inproc`, with the metadata `X-Site`. So its demand is what all sites want, and its options decide about queues, last values and
    /// admission.
    pub fn publisher(mut self, socket: &XPub) -> Builder {
        self.source = Some(Source::Own(socket.clone()));
        self
    }

    /// The peers of this socket get the values of all sites, this one too. It is bound and connected by its owner, and not to be
    /// used for anything else.
    pub fn subscribers(mut self, socket: &XPub) -> Builder {
        self.subscribers = Some(socket.clone());
        self
    }

    /// What to call when something happens that an operator would want to know. It runs on the thread of the mesh, and should be
    /// quick; it may not stop or drop the mesh.
    pub fn on_event(mut self, tell: impl FnMut(MeshEvent) + Send + 'static) -> Builder {
        self.tell = Box::new(tell);
        self
    }

    /// Joins the mesh. A router that does not answer is tried again until it does, and so is everything that may pass. With
    /// [`tls`](MeshOptions::tls) the process should have been started with
    /// [`RUNTIME_FOR_TLS`](crate::RUNTIME_FOR_TLS) in its environment; a [`Warning`](MeshEvent::Warning) says so if it was not.
    ///
    /// # Errors
    /// [`Config`](crate::MeshErrorKind::Config) and [`Conflict`](crate::MeshErrorKind::Conflict), with the remedy;
    /// [`Session`](crate::MeshErrorKind::Session) when the engine has ended or gives no thread.
    pub fn start(self) -> Result<Mesh, MeshError> {
        let Builder { engine, options, source, subscribers, mut tell } = self;
        options.check()?;
        if options.tls.is_some() && std::env::var_os(RUNTIME_VARIABLE).is_none() {
            tell(MeshEvent::Warning(format!(
                "encrypted links will break now and then: set {RUNTIME_VARIABLE}='{RUNTIME_FOR_TLS}' in the environment before this process \
                 starts, so that one thread reads and writes them"
            )));
        }
        let options = Arc::new(options);
        if subscribers.as_ref().is_some_and(|socket| socket.send_many_last(&mut Batch::new()).is_err()) {
            let text = "the socket of the subscribers is closed, or refuses what it has no room for: use another `on_full` than Refuse";
            return Err(MeshError::config(text));
        }
        let of_engine = |why: oncue::Error| MeshError::session(format!("the sockets of the mesh: {why}"));
        let hall = Hall::open(&engine, &options, source, subscribers).map_err(of_engine)?;
        let bell = Arc::<Bell>::default();
        let imports = hall.subscribers.clone().map(|socket| Imports::new(socket, options.clone()));
        let shared = Arc::new(Shared {
            options,
            imports,
            letters: Letters::default(),
            desk: Mutex::default(),
            bell,
            begun: Instant::now(),
            stopped: false.into(),
            links: 0.into(),
            log: Mutex::default(),
            view: Mutex::default(),
        });
        let link = match Link::open(&shared.options, 0, shared.hooks()) {
            Err(why) if is_final(why.kind()) => return Err(why),
            link => link,
        };
        let keeper = Keeper::new(Hands { shared: shared.clone(), engine, hall, tell, streams: 0, epoch: 0 });
        let end = Arc::<End>::default();
        let ended = end.clone();
        let run = move || {
            if let Some(reason) = keeper.run(link) {
                ended.set(reason);
            }
        };
        let thread = thread::Builder::new().name("mesh".into()).spawn(run);
        let keeper =
            Some(thread.map_err(|why| MeshError::session(format!("the thread of the mesh: {why}")))?);
        Ok(Mesh { shared, end, keeper })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Mesh {
    /// Begins to put a site together.
    pub fn builder(engine: &Engine, options: MeshOptions) -> Builder {
        Builder { engine: engine.clone(), options, source: None, subscribers: None, tell: Box::new(|_| {}) }
    }

    /// What this site knows of the mesh, and what it has counted.
    pub fn status(&self) -> MeshStatus {
        self.viewer().status()
    }

    /// A handle that reads the status, and does not keep the mesh.
    pub fn viewer(&self) -> MeshViewer {
        MeshViewer(self.shared.clone())
    }

    /// Waits until the site has left the mesh by itself for good, and gives the reason: another process has joined with its name,
    /// or the topology is not possible any more. Sessions that break are no reason.
    pub fn ended(&self) -> impl Future<Output = MeshError> + Send + Unpin + use<> {
        Ended(self.end.clone())
    }

    /// Leaves the mesh. Other sites know at once; what waits to be sent to them is dropped. Dropping the mesh does the same.
    pub fn stop(self) {}
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        self.shared.bell.ring();
        if let Some(keeper) = self.keeper.take() {
            // A keeper that has panicked has left the mesh too.
            let _ = keeper.join();
        }
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Reads the status of a mesh, also from another thread than that of its owner.
#[derive(Clone)]
pub struct MeshViewer(Arc<Shared>);

impl MeshViewer {
    /// As [`Mesh::status`]. After the end of the mesh no site is known.
    pub fn status(&self) -> MeshStatus {
        let shared = &self.0;
        let (epoch, sequence, prefixes) =
            lock(&shared.log).as_ref().map_or((0, 0, 0), |log| (log.epoch(), log.sequence(), log.len()));
        let view = lock(&shared.view);
        let now = shared.now();
        let infos = view.sites.iter().flat_map(|sites| sites.infos());
        MeshStatus {
            site: shared.options.site.clone(),
            mesh: shared.options.mesh.clone(),
            role: match shared.options.topology {
                Topology::Edge { .. } => "edge",
                Topology::Router { .. } => "router",
                Topology::Peer { .. } => "peer",
            },
            epoch,
            sequence,
            prefixes,
            links: shared.links.load(Relaxed),
            sites_refused: view.sites.as_ref().map_or(0, |sites| sites.refusals()),
            malformed: view.malformed,
            sites: infos.map(|info| self.site(&view, &info, now)).collect(),
        }
    }

    fn site(&self, view: &View, info: &SiteInfo<'_>, now: Duration) -> SiteStatus {
        let taken = self.0.imports.as_ref().map(|imports| imports.taken(info.name)).unwrap_or_default();
        let neighbour = view.exports.get(info.name);
        let sent = neighbour.map(|neighbour| &neighbour.sent);
        let export = neighbour.and_then(|neighbour| neighbour.export.as_ref());
        let forbidden = export.map_or(0, |export| export.forbidden());
        SiteStatus {
            name: info.name.to_owned(),
            epoch: info.epoch,
            phase: info.phase,
            since: now.saturating_sub(info.since),
            heard: info.heard.map(|heard| now.saturating_sub(heard)),
            round_trip: neighbour.and_then(|neighbour: &Neighbour| neighbour.round_trip),
            sequence: info.sequence,
            prefixes: info.prefixes.saturating_sub(forbidden),
            prefixes_refused: usize::try_from(info.prefixes_refused)
                .unwrap_or(usize::MAX)
                .saturating_add(forbidden),
            snapshots: info.snapshots,
            log_gaps: info.log_gaps,
            sent: sent.map(|sent| sent.flow()).unwrap_or_default(),
            missed: sent.map_or(0, |sent| sent.missed()),
            received: taken.flow,
            lost: taken.lost,
            gaps: taken.gaps,
            duplicates: taken.duplicates,
            forbidden: taken.forbidden + sent.map_or(0, |sent| sent.forbidden()),
            malformed: taken.malformed,
        }
    }
}

impl fmt::Debug for MeshViewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}

impl End {
    fn set(&self, reason: MeshError) {
        let mut ending = lock(&self.0);
        ending.reason = Some(reason);
        let wakers = std::mem::take(&mut ending.wakers);
        drop(ending);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What [`Mesh::ended`] returns.
struct Ended(Arc<End>);

impl Future for Ended {
    type Output = MeshError;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MeshError> {
        let mut ending = lock(&self.0.0);
        if let Some(reason) = &ending.reason {
            return Poll::Ready(reason.clone());
        }
        if !ending.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            ending.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Arrival, Hooks};
    use crate::status::SitePhase;
    use oncue::Options;
    use std::sync::mpsc::channel;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_session_that_breaks_is_opened_again_with_a_higher_epoch() {
        let engine = Engine::start().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let router = Topology::Router { listen: vec![format!("tcp/127.0.0.1:{port}")], parent: None };
        let (told, events) = channel();
        let local = XPub::new(&engine, Options::new()).unwrap();
        let mesh = Mesh::builder(&engine, MeshOptions::new("a", router))
            .subscribers(&local)
            .on_event(move |event| told.send(event).unwrap())
            .start()
            .unwrap();
        let connected = || match events.recv_timeout(PATIENCE).unwrap() {
            MeshEvent::Connected { epoch } => epoch,
            other => panic!("{other:?}"),
        };
        let first = connected();
        mesh.shared.put(Arrival::Ended(MeshError::session("a test ends it")));
        assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), MeshEvent::Disconnected(_)));
        let second = connected();
        assert!(second > first);
        mesh.stop();
    }

    fn peers() -> [MeshOptions; 2] {
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = |name: &str| (name.to_owned(), format!("tcp/127.0.0.1:{}", port()));
        let topology = Topology::Peer { sites: [at("a"), at("b")].into(), listen: None };
        ["a", "b"].map(|name| MeshOptions::new(name, topology.clone()))
    }

    #[test]
    fn a_site_whose_clock_has_gone_back_joins_with_a_higher_epoch() {
        let engine = Engine::start().unwrap();
        let [to_a, to_b] = peers();
        let a = Mesh::builder(&engine, to_a).start().unwrap();
        let of_b = || a.status().sites.first().map(|b| (b.phase, b.epoch));
        let until = |is: &dyn Fn(Option<(SitePhase, u64)>) -> bool| {
            let deadline = Instant::now() + PATIENCE;
            while !is(of_b()) {
                assert!(Instant::now() < deadline, "{:?}", of_b());
                thread::sleep(Duration::from_millis(5));
            }
        };
        let future = u64::MAX / 2;
        let hooks = Hooks { arrived: Arc::new(|_| {}), snapshot: Arc::new(Vec::new) };
        let link = Link::open(&to_b, future, hooks).unwrap();
        link.announce().unwrap();
        until(&|b| b.is_some_and(|(_, epoch)| epoch == future));
        link.close();
        until(&|b| b == Some((SitePhase::Gone, future)));
        let b = Mesh::builder(&engine, to_b).start().unwrap();
        until(&|b| b == Some((SitePhase::Live, future + 1)));
        drop((a, b));
    }
}
