//! What can only be seen between running sites: cycles of routers, routers that are not linked, peers with different lists of sites, and
//! neighbours with other names than their certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use zenoh::sample::SampleKind;
use zenoh::session::LinkEvent;
use zenoh::{Session, Wait};

use super::arrival::Arrival;
use super::ask::{answer_at_once, ask_all};
use super::hello::{HELLO_BYTES_MAX, Hello};
use super::keys::Keys;
use super::names::Names;
use super::{config, session, tree};
use crate::bell::lock;
use crate::check::is_name;
use crate::endpoint::Endpoint;
use crate::error::{MeshError, MeshErrorKind};
use crate::options::{MeshOptions, NAME_BYTES_MAX};
use crate::topology::Topology;

/// How many warnings a session gives about others.
const WARNED_MAX: usize = 256;

/// How long others may take to say where they are.
const HELLO_WAIT: Duration = Duration::from_secs(1);

/// How often the others are asked after a link has come or gone, one after another with [`config::RETRY_MAX`] between them: a
/// link that closes a cycle may take that long to come up at another site.
const LOOKS: u32 = 3;

/// This site's own place, as others are told it.
pub(super) struct Place {
    started: Instant,
    hello: Mutex<Hello>,
    listen_ports: Vec<u16>,
}

impl Place {
    fn new(options: &MeshOptions, zid: String) -> Place {
        let hello = Hello { zid, ..Hello::configured(options) };
        let ports = hello.listen.iter().filter_map(|text| Endpoint::parse(text).ok());
        let listen_ports = ports.map(|endpoint| endpoint.port()).collect();
        Place { started: Instant::now(), hello: Mutex::new(hello), listen_ports }
    }

    fn lock(&self) -> MutexGuard<'_, Hello> {
        lock(&self.hello)
    }

    /// The place at this moment.
    fn hello(&self) -> Hello {
        Hello { age: self.started.elapsed(), ..self.lock().clone() }
    }

    /// Notes where the link to the parent leads. It is the only one that a router dials, so the only one whose own end is not
    /// where the router listens.
    fn note(&self, event: &LinkEvent) {
        let link = event.link();
        let address = link.src().address().as_str();
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        if port.is_some_and(|port| self.listen_ports.contains(&port)) {
            return;
        }
        let zid = link.zid().to_string();
        let mut hello = self.lock();
        match event.kind() {
            SampleKind::Put => hello.linked = Some(zid),
            SampleKind::Delete if hello.linked.as_ref() == Some(&zid) => hello.linked = None,
            SampleKind::Delete => {}
        }
    }
}

fn ask_hellos(session: &Session, keys: &Keys) -> Vec<Hello> {
    ask_all(session, keys.hellos(), HELLO_WAIT, |site, answer| {
        let answer = Some(answer).filter(|answer| answer.len() <= HELLO_BYTES_MAX)?;
        Hello::parse(site, &answer.to_bytes())
    })
}

/// Refuses what an edge or a router dials if it is no router: Zenoh would link them, and pass nothing on.
pub(super) fn check_is_router(session: &Session, option: &str, endpoints: &str) -> Result<(), MeshError> {
    if session.info().routers_zid().wait().next().is_some() {
        return Ok(());
    }
    Err(MeshError::new(
        MeshErrorKind::Conflict,
        format!("`{option}`: the site at {endpoints} is not a router: name one that is, or make it one"),
    ))
}

/// Refuses to start a router that would close a cycle, before it listens: a session that only looks asks those behind the parent.
/// A parent that does not answer is no error; the router is looked at again when it does.
pub(super) fn check_before_start(options: &MeshOptions, keys: &Keys) -> Result<(), MeshError> {
    let Topology::Router { parent: Some(parent), .. } = &options.topology else { return Ok(()) };
    let Ok(looking) = zenoh::open(config::probe(options, parent)?).wait() else { return Ok(()) };
    let own = Hello::configured(options);
    let is_router = check_is_router(&looking, "parent", parent);
    let others = ask_hellos(&looking, keys);
    session::close(looking, || {});
    is_router?;
    // A process of the same name is one that this one replaces.
    let others: Vec<Hello> = others.into_iter().filter(|other| other.site != own.site).collect();
    tree::cycle(&own, &others).map_or(Ok(()), |cycle| Err(cycle.error(&own)))
}

/// Tells others about this site's place, and looks at theirs whenever a link has come or gone, until the session is closed.
pub(super) fn watch(
    session: &Session,
    options: &MeshOptions,
    keys: &Keys,
    arrived: Arc<dyn Fn(Arrival) + Send + Sync>,
) -> zenoh::Result<()> {
    let place = Arc::new(Place::new(options, session.zid().to_string()));
    let asked = Arc::clone(&place);
    answer_at_once(session, keys.hello(), move || asked.hello().to_string())?;
    let (claim, own) = (keys.claim(&session.zid().to_string()), keys.site().to_owned());
    answer_at_once(session, claim, move || own.clone())?;
    let names = Names::of(options);
    let has_others = match &options.topology {
        Topology::Edge { routers } => routers.len() > 1 || options.tls.is_some(),
        Topology::Router { parent, .. } => parent.is_some(),
        Topology::Peer { .. } => true,
    };
    if !has_others && names.is_none() {
        return Ok(());
    }
    let (changed, changes) = channel();
    let watch = Watch {
        session: session.clone(),
        keys: keys.clone(),
        place: Arc::clone(&place),
        arrived,
        names,
        options: options.clone(),
        warned: BTreeSet::new(),
    };
    thread::Builder::new().name("oncue-mesh-look".into()).spawn(move || watch.run(&changes))?;
    listen(session, place, changed)
}

fn listen(session: &Session, place: Arc<Place>, changed: Sender<()>) -> zenoh::Result<()> {
    let noted = move |event: LinkEvent| {
        place.note(&event);
        let _ = changed.send(());
    };
    session.info().link_events_listener().history(true).callback(noted).background().wait()
}

/// The thread that looks at the others.
struct Watch {
    session: Session,
    keys: Keys,
    place: Arc<Place>,
    arrived: Arc<dyn Fn(Arrival) + Send + Sync>,
    /// With certificates: the names that neighbours may have.
    names: Option<Names>,
    options: MeshOptions,
    /// Sites whose lists differ, routers and neighbours, that a warning was given about.
    warned: BTreeSet<String>,
}

impl Watch {
    fn run(mut self, changes: &Receiver<()>) {
        while changes.recv().is_ok() {
            let mut looks = LOOKS;
            while looks > 0 {
                if let Err(error) = self.look(looks == 1) {
                    return (self.arrived)(Arrival::Ended(error));
                }
                looks = match changes.recv_timeout(config::RETRY_MAX) {
                    Ok(()) => LOOKS,
                    Err(RecvTimeoutError::Timeout) => looks - 1,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
            }
        }
    }

    /// `last`: what is not so by now was not only late.
    fn look(&mut self, last: bool) -> Result<(), MeshError> {
        if let Some(names) = self.names.clone() {
            self.compare_names(&names);
        }
        match self.options.topology.clone() {
            Topology::Edge { routers } => {
                if last {
                    self.look_at_routers(&routers)?;
                }
                return Ok(());
            }
            Topology::Router { parent: None, .. } => return Ok(()),
            _ => {}
        }
        let others = ask_hellos(&self.session, &self.keys);
        let own = self.place.hello();
        if own.sites.is_some() {
            self.warn_of_router(&others);
        }
        self.compare_lists(&own, &others);
        match tree::cycle(&own, &others) {
            Some(cycle) if cycle.is_closed_by(&own) => Err(cycle.error(&own)),
            _ => Ok(()),
        }
    }

    /// Warns of neighbours whose certificates have other names than they or this site have written down. What they say in these names was
    /// discarded already.
    fn compare_names(&mut self, names: &Names) {
        let claims: BTreeMap<String, String> =
            ask_all(&self.session, self.keys.claims(), HELLO_WAIT, |zid, answer| {
                let site = Some(answer).filter(|answer| answer.len() <= NAME_BYTES_MAX)?;
                let site =
                    String::from_utf8(site.to_bytes().into_owned()).ok().filter(|site| is_name(site))?;
                Some((zid.to_owned(), site))
            })
            .into_iter()
            .collect();
        let links: Vec<_> = self.session.info().links().wait().collect();
        for link in links {
            let name = link.auth_identifier().unwrap_or_default();
            let claim = claims.get(&link.zid().to_string()).filter(|claim| *claim != name);
            let text = match claim {
                _ if !names.has(name) => format!(
                    "a site with a certificate of {name:?} has linked with `{}`, which does not list it: nothing that it says is heard; add it \
                     to the list, or stop it",
                    self.keys.site()
                ),
                Some(claim) => format!(
                    "a site with a certificate of `{name}` says that it is `{claim}`: nothing that it says in that name is heard; give it a \
                     certificate of its name, or stop it"
                ),
                None => continue,
            };
            self.warn(text);
        }
    }

    /// Warns if the router of an edge does not hear it, or if it lists two that are not linked with each other: sites at the one do not see
    /// those at the other. One that does not answer may be down, which is no mistake.
    fn look_at_routers(&mut self, routers: &[String]) -> Result<(), MeshError> {
        let Some(own) = self.session.info().routers_zid().wait().next() else { return Ok(()) };
        let hellos = ask_hellos(&self.session, &self.keys);
        let is_known = |zid: String| hellos.iter().any(|hello| hello.zid == zid);
        let site = self.keys.site().to_owned();
        if !is_known(own.to_string()) {
            if self.options.tls.is_some() {
                self.warn(format!(
                    "the router that `{site}` is linked with does not answer it: with certificates, `{site}` must be among its `names`"
                ));
            }
            return Ok(());
        }
        let [_, _] = routers else { return Ok(()) };
        for router in routers {
            let Ok(looking) = zenoh::open(config::probe(&self.options, router)?).wait() else { continue };
            let there = looking.info().routers_zid().wait().next();
            session::close(looking, || {});
            if there.is_some_and(|there| !is_known(there.to_string())) {
                self.warn(format!(
                    "the routers {} of the edge `{site}` are not linked with each other, so sites at one do not see those at the other: \
                     make one the `parent` of the other",
                    routers.join(" and ")
                ));
            }
        }
        Ok(())
    }

    /// Gives a warning, once.
    fn warn(&mut self, text: String) {
        if self.is_new(&text) {
            (self.arrived)(Arrival::Warning(text));
        }
    }

    /// Peers that are linked with a router do not see each other by it. Whoever dials a peer may be one, so this is no reason to end.
    fn warn_of_router(&mut self, others: &[Hello]) {
        let Some(router) = self.session.info().routers_zid().wait().next() else { return };
        let zid = router.to_string();
        let site = others.iter().find(|other| other.zid == zid).map_or("a site", |other| other.site.as_str());
        if self.is_new(&zid) {
            (self.arrived)(Arrival::Warning(format!(
                "`{site}`, which is linked with the peer `{}`, is a router: make all sites of a mesh peers, or this one an edge",
                self.keys.site()
            )));
        }
    }

    /// Whether no warning was given about this yet. Beyond a bound no more are given.
    fn is_new(&mut self, what: &str) -> bool {
        self.warned.len() < WARNED_MAX && self.warned.insert(what.to_owned())
    }

    fn compare_lists(&mut self, own: &Hello, others: &[Hello]) {
        for other in others.iter().filter(|other| other.sites.is_some() && own.sites.is_some()) {
            if other.sites == own.sites {
                self.warned.remove(&other.site);
            } else if self.is_new(&other.site) {
                (self.arrived)(Arrival::Warning(format!(
                    "`{}` has another list of `sites` than `{}`: sites that are not in both may not be linked; give all sites the same list",
                    other.site, own.site
                )));
            }
        }
    }
}
