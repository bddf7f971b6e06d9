//! Three sites with producers and subscribers, as processes that can be started, stopped and killed, and links between them
//! that can fail; of the mesh in both topologies, or of libzmq's proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::Outcome;
use crate::forwarder::{Forwarder, Mode};
use crate::model::{Link, Truth, Ways};
use crate::process::{Launch, Process};
use crate::protocol::{Answer, Ask, Place, Role, SiteRole, SocketRole};

/// The sites that have producers and subscribers.
pub(crate) const SITES: [&str; 3] = ["a", "b", "c"];

/// What the sites are made of, and how they are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// The mesh, each site linked with each other one.
    Peers,
    /// The mesh, over so many routers, of which the second one is linked with the first.
    Routers(usize),
    /// libzmq's proxies, each site linked with each other one.
    Libzmq(Rival),
}

/// What of a scene is libzmq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// Proxies, producers and subscribers, with default options.
    Default,
    /// The same, with heartbeats and without bounds of queues.
    Tuned,
    /// The proxies, with heartbeats and without bounds; producers and subscribers are ours.
    Proxies,
}

impl System {
    /// As the user writes it.
    pub(crate) fn named(name: &str) -> Outcome<System> {
        match name {
            "peers" => Ok(System::Peers),
            "routers" => Ok(System::Routers(2)),
            "router" => Ok(System::Routers(1)),
            "libzmq" => Ok(System::Libzmq(Rival::Default)),
            "libzmq-tuned" => Ok(System::Libzmq(Rival::Tuned)),
            "libzmq-proxies" => Ok(System::Libzmq(Rival::Proxies)),
            other => Err(format!(
                "`{other}` is not a system; write peers, router, routers, libzmq, libzmq-tuned or libzmq-proxies"
            )),
        }
    }

    /// As tables show it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            System::Peers => "mesh, peers",
            System::Routers(1) => "mesh, 1 router",
            System::Routers(_) => "mesh, 2 routers",
            System::Libzmq(Rival::Default) => "libzmq, defaults",
            System::Libzmq(Rival::Tuned) => "libzmq, heartbeats",
            System::Libzmq(Rival::Proxies) => "libzmq proxies, our users",
        }
    }

    fn routers(self) -> Vec<&'static str> {
        let count = if let System::Routers(count) = self { count } else { 0 };
        ["r1", "r2"].into_iter().take(count).collect()
    }

    /// All links, by who dials and who listens.
    fn links(self) -> Vec<Link> {
        let pairs = SITES.into_iter().flat_map(|a| SITES.into_iter().map(move |b| (a, b)));
        let routers = self.routers();
        let links: Vec<(&str, &str)> = match self {
            System::Peers => pairs.filter(|(a, b)| a < b).collect(),
            System::Libzmq(_) => pairs.filter(|(a, b)| a != b).collect(),
            System::Routers(_) => {
                let edges =
                    SITES.into_iter().flat_map(|site| routers.iter().map(move |&router| (site, router)));
                edges.chain(routers.windows(2).map(|pair| (pair[1], pair[0]))).collect()
            }
        };
        links.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }
}

/// How a scene is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Of what.
    pub(crate) system: System,
    /// How long a site or a peer may be silent.
    pub(crate) timeout: Duration,
    /// Processes with subscribers at each site.
    pub(crate) subscribers: usize,
    /// Subscribers in each of them.
    pub(crate) sockets: usize,
    /// Whether links can fail: they go through forwarders, which costs time.
    pub(crate) fragile: bool,
    /// Whether the sites publish and subscribe themselves, without processes beside them.
    pub(crate) inside: bool,
    /// A Python with pyzmq, for libzmq.
    pub(crate) python: Option<PathBuf>,
    /// By site: a network namespace and its address in it. Empty: all on 127.0.0.1.
    pub(crate) namespaces: BTreeMap<String, (String, Ipv4Addr)>,
}

impl Setting {
    /// One process with one subscriber at each site, on links that do not fail.
    pub(crate) fn new(system: System) -> Setting {
        let timeout = Duration::from_secs(2);
        let (python, namespaces) = (None, BTreeMap::new());
        Setting {
            system,
            timeout,
            subscribers: 1,
            sockets: 1,
            fragile: false,
            inside: false,
            python,
            namespaces,
        }
    }
}

/// Whether a process does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Up,
    /// It was stopped, and holds its connections.
    Stopped,
    /// It was killed.
    Dead,
}

/// A process of the scene.
pub(crate) struct Part {
    launch: Launch,
    process: Option<Process>,
    /// Whether it does something.
    pub(crate) state: State,
}

impl Part {
    fn start(launch: Launch) -> Outcome<Part> {
        let process = Some(launch.start()?);
        Ok(Part { launch, process, state: State::Up })
    }

    /// The process, which must not be dead.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a dead process is not asked")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // The drop of a process kills it.
        self.process = None;
        self.state = State::Dead;
    }

    /// SIGSTOP.
    pub(crate) fn stop(&mut self) {
        self.process().stop();
        self.state = State::Stopped;
    }

    /// SIGCONT, or a new process.
    pub(crate) fn revive(&mut self) -> Outcome<()> {
        match self.state {
            State::Up => {}
            State::Stopped => self.process().go_on(),
            State::Dead => self.process = Some(self.launch.start()?),
        }
        self.state = State::Up;
        Ok(())
    }
}

/// A process with subscribers.
pub(crate) struct Subscriber {
    /// Its site.
    pub(crate) site: String,
    /// Its process.
    pub(crate) part: Part,
    /// The link to the site.
    pub(crate) link: Option<Wire>,
    /// What each of its sockets wants.
    pub(crate) wanted: Vec<BTreeSet<String>>,
}

/// A link that can fail.
pub(crate) struct Wire {
    forwarder: Forwarder,
    mode: Mode,
}

impl Wire {
    fn to(target: SocketAddr) -> Outcome<Wire> {
        let forwarder = Forwarder::to(target).map_err(|why| format!("a link to {target}: {why}"))?;
        Ok(Wire { forwarder, mode: Mode::Pass })
    }

    /// Lets it fail, or repairs it.
    pub(crate) fn set(&mut self, mode: Mode) {
        self.mode = mode;
        self.forwarder.set(mode);
    }

    /// How late everything arrives.
    pub(crate) fn delay(&self, time: Duration) {
        self.forwarder.delay(time);
    }

    fn carries(&self) -> bool {
        self.mode == Mode::Pass
    }
}

/// Processes and links.
pub(crate) struct Scene {
    /// As it was set up.
    pub(crate) setting: Setting,
    /// Sites and routers.
    pub(crate) nodes: BTreeMap<String, Part>,
    /// By site.
    pub(crate) producers: BTreeMap<String, Part>,
    /// Processes with subscribers.
    pub(crate) subscribers: Vec<Subscriber>,
    /// Between sites and routers; without entries if they cannot fail.
    pub(crate) links: BTreeMap<Link, Wire>,
    /// Nodes none of whose links carries anything, for another reason.
    pub(crate) parted: BTreeSet<String>,
}

/// The addresses of a node.
#[derive(Clone, Copy)]
struct Address {
    host: Ipv4Addr,
    sources: u16,
    local: u16,
    mesh: u16,
}

impl Scene {
    /// Starts everything: first the nodes, then producers and subscribers.
    pub(crate) fn start(setting: Setting) -> Outcome<Scene> {
        let system = setting.system;
        let routers = system.routers();
        let mut addresses = BTreeMap::new();
        for name in routers.iter().chain(&SITES) {
            let host = setting.namespaces.get(*name).map_or(Ipv4Addr::LOCALHOST, |(_, host)| *host);
            addresses.insert(
                (*name).to_owned(),
                Address { host, sources: port()?, local: port()?, mesh: port()? },
            );
        }
        let mut scene = Scene {
            setting,
            nodes: BTreeMap::new(),
            producers: BTreeMap::new(),
            subscribers: Vec::new(),
            links: BTreeMap::new(),
            parted: BTreeSet::new(),
        };
        if scene.setting.fragile {
            for link in system.links() {
                let target = addresses[&link.1];
                scene.links.insert(link, Wire::to((IpAddr::from(target.host), target.mesh).into())?);
            }
        }
        for name in routers.into_iter().chain(SITES) {
            let launch = scene.node(name, &addresses)?;
            scene.nodes.insert(name.to_owned(), Part::start(launch)?);
        }
        if !scene.setting.inside {
            scene.start_users(&addresses)?;
        }
        Ok(scene)
    }

    fn start_users(&mut self, addresses: &BTreeMap<String, Address>) -> Outcome<()> {
        for site in SITES {
            let address = addresses[site];
            let launch = self.user(&format!("producer {site}"), site, Role::Producer, address.sources, 1)?;
            self.producers.insert(site.to_owned(), Part::start(launch)?);
            for number in 0..self.setting.subscribers {
                let target = (IpAddr::from(Ipv4Addr::LOCALHOST), address.local).into();
                let link = if self.setting.fragile { Some(Wire::to(target)?) } else { None };
                let port = link.as_ref().map_or(address.local, |link| link.forwarder.port());
                let (name, sockets) = (format!("subscriber {number} of {site}"), self.setting.sockets);
                let launch = self.user(&name, site, Role::Subscriber, port, sockets)?;
                let (part, wanted) = (Part::start(launch)?, vec![BTreeSet::new(); sockets]);
                self.subscribers.push(Subscriber { site: site.to_owned(), part, link, wanted });
            }
        }
        Ok(())
    }

    /// A producer or a subscriber. They connect within the machine.
    fn user(
        &self,
        name: &str,
        site: &str,
        role: fn(SocketRole) -> Role,
        port: u16,
        sockets: usize,
    ) -> Outcome<Launch> {
        let endpoints = vec![format!("tcp://127.0.0.1:{port}"); sockets];
        if let System::Libzmq(Rival::Default | Rival::Tuned) = self.setting.system {
            let role = name.split(' ').next().unwrap_or(name);
            return self.libzmq(name, role, endpoints);
        }
        let timeout_ms = self.setting.timeout.as_millis() as u64;
        let launch = Launch::role(name, &role(SocketRole { endpoints, timeout_ms }))?;
        Ok(self.placed(launch, site))
    }

    fn placed(&self, launch: Launch, site: &str) -> Launch {
        match self.setting.namespaces.get(site) {
            Some((namespace, _)) => launch.within(namespace),
            None => launch,
        }
    }

    fn node(&self, name: &str, addresses: &BTreeMap<String, Address>) -> Outcome<Launch> {
        let own = addresses[name];
        let (sources, local) =
            (format!("tcp://127.0.0.1:{}", own.sources), format!("tcp://127.0.0.1:{}", own.local));
        // The address that this node dials another one at.
        let dialled = |other: &str| {
            let address = addresses[other];
            match self.links.get(&(name.to_owned(), other.to_owned())) {
                Some(wire) => format!("127.0.0.1:{}", wire.forwarder.port()),
                None => format!("{}:{}", address.host, address.mesh),
            }
        };
        if let System::Libzmq(_) = self.setting.system {
            let mut endpoints = vec![sources, format!("tcp://127.0.0.1:{}", own.mesh), local];
            endpoints.extend(SITES.map(|site| format!("tcp://{}", dialled(site))));
            return self.libzmq(&format!("site {name}"), "site", endpoints);
        }
        let listen = format!("tcp/{}:{}", own.host, own.mesh);
        let place = match self.setting.system {
            System::Peers => {
                let sites = SITES.map(|site| (site.to_owned(), format!("tcp/{}", dialled(site))));
                Place::Peer(sites.into(), listen)
            }
            _ if name == "r1" => Place::Router(listen, None),
            _ if name == "r2" => Place::Router(listen, Some(format!("tcp/{}", dialled("r1")))),
            system => Place::Edge(
                system.routers().into_iter().map(|router| format!("tcp/{}", dialled(router))).collect(),
            ),
        };
        let timeout_ms = self.setting.timeout.as_millis() as u64;
        let inside = self.setting.inside;
        let role = SiteRole { site: name.to_owned(), place, sources, local, timeout_ms, inside };
        Ok(self.placed(Launch::role(format!("site {name}"), &Role::Site(role))?, name))
    }

    fn libzmq(&self, name: &str, role: &str, endpoints: Vec<String>) -> Outcome<Launch> {
        let python = self.setting.python.clone().ok_or("libzmq needs --python PATH, with pyzmq")?;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("drivers").join("libzmq.py");
        let tuned = self.setting.system != System::Libzmq(Rival::Default);
        let timeout = if tuned { self.setting.timeout.as_millis() } else { 0 };
        let mut line: Vec<OsString> =
            vec![python.into(), script.into(), role.into(), timeout.to_string().into()];
        line.extend(endpoints.into_iter().map(OsString::from));
        Ok(Launch::foreign(name, line))
    }

    /// Changes what a subscriber wants, and what is known of it: it cancels those that it has, and subscribes to the others.
    pub(crate) fn change(&mut self, subscriber: usize, socket: usize, prefixes: Vec<String>) -> Outcome<()> {
        let subscriber = &mut self.subscribers[subscriber];
        let wanted = &mut subscriber.wanted[socket];
        let (cancel, subscribe): (Vec<_>, Vec<_>) =
            prefixes.into_iter().partition(|prefix| wanted.contains(prefix));
        wanted.retain(|prefix| !cancel.contains(prefix));
        wanted.extend(subscribe.iter().cloned());
        subscriber.part.process().ask(&Ask::Change { socket, subscribe, cancel })?;
        Ok(())
    }

    /// What must be known, given what lives.
    pub(crate) fn truth(&self) -> Truth {
        let ways = if let System::Routers(_) = self.setting.system { Ways::Routed } else { Ways::Direct };
        let living = self.nodes.iter().filter(|(_, part)| part.state == State::Up);
        let living = living.map(|(name, _)| name.clone()).collect();
        let is_parted = |(a, b): &Link| self.parted.contains(a) || self.parted.contains(b);
        let carries = |link: &Link| self.links.get(link).is_none_or(Wire::carries) && !is_parted(link);
        let links = self.setting.system.links().into_iter().filter(carries).collect();
        let trunks = match self.setting.system {
            System::Routers(2) => [("r2".to_owned(), "r1".to_owned())].into(),
            _ => BTreeSet::new(),
        };
        let mut wanted = BTreeMap::<String, BTreeSet<String>>::new();
        for subscriber in &self.subscribers {
            let reached = subscriber.link.as_ref().is_none_or(Wire::carries);
            if reached && subscriber.part.state == State::Up {
                let of_site = wanted.entry(subscriber.site.clone()).or_default();
                of_site.extend(subscriber.wanted.iter().flatten().cloned());
            }
        }
        Truth { ways, living, links, trunks, wanted }
    }

    /// What each living producer is told: by site.
    pub(crate) fn told(&mut self) -> Outcome<BTreeMap<String, BTreeSet<String>>> {
        let mut told = BTreeMap::new();
        for (site, part) in self.producers.iter_mut().filter(|(_, part)| part.state == State::Up) {
            match part.process().ask(&Ask::Demand)? {
                Answer::Demand(prefixes) => told.insert(site.clone(), prefixes.into_iter().collect()),
                other => return Err(format!("the producer of {site} says {other:?}")),
            };
        }
        Ok(told)
    }

    /// A node that lives but whose process has ended by itself.
    pub(crate) fn lost(&mut self) -> Option<String> {
        let mut nodes = self.nodes.iter_mut().filter(|(_, part)| part.state != State::Dead);
        nodes.find_map(|(name, part)| (!part.process().is_running()).then(|| name.clone()))
    }
}

/// A port below those that the system gives to connections, so that a process that is started again finds it free.
pub(crate) fn port() -> Outcome<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin.wrapping_mul(7).wrapping_add(offset)) % COUNT;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("no port from {FIRST} on is free"))
}
