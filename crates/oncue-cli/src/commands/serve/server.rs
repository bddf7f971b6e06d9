//! Runs a server from its config to its end.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use oncue::demand::{Builder, Failure, Reloaded};
use oncue::{Endpoint, Engine, EngineOptions, Host, OnDemand, XPub};
use oncue_observe::Observe;

use super::missing::missing;
#[cfg(not(feature = "mesh"))]
use super::no_site as site;
use super::passed::Passed;
use super::produce::counts::{Counts, count};
use super::produce::{Logged, Tools};
use super::program::journal::{self, Log, complain, remark, warn};
use super::program::launch::Launcher;
use super::program::permits::Permits;
use super::report::{report, sum_up};
use super::routes::{self, Keepers};
#[cfg(feature = "mesh")]
use super::site;
use super::unserved::Unserved;
use super::web::{self, Pages};
use crate::asked::{Ask, Asked};
use crate::config::mesh::Site;
use crate::config::rule::Rule;
use crate::config::rules::Rules;
use crate::config::{Catalogue, Config, PASSED, Program, Route, Source};
use crate::connections;
use crate::fail::Fail;
use crate::metrics::pages::Phase;
use crate::notify::Supervisor;
use crate::output::counted;
use crate::publisher::{self, LINGER};
use crate::record::{Level, Record, Subject};
use crate::signals::{Stop, Waited};
use crate::stdio;
use crate::wait::spawn;

/// The descriptors that a program takes while it runs: three pipes, its pidfd, and an eventfd. Those of all programs are
/// reserved: subscribers do not get them.
const PROGRAM_DESCRIPTORS: usize = 5;

/// How often a thread that waits for a `bind` checks whether the server is to end.
const BIND_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Checks a config, and whether what it needs is there. Prints the number of its routes.
pub(super) fn check(path: &Path) -> Result<(), Fail> {
    let config = read(path)?;
    let missing = missing(&config);
    if !missing.is_empty() {
        return Err(Fail::Runtime(missing.join("\n")));
    }
    config.security.read()?;
    site::is_possible(&config)?;
    let routes = counted(config.routes.len() as u64, "route");
    stdio::line(format!("{}: ok, {routes}", path.display()).into_bytes());
    Ok(())
}

/// Serves until the end.
pub(super) fn run(path: &Path, stop: &Stop) -> Result<(), Fail> {
    let config = read(path)?;
    site::settle(&config);
    let passed = Passed::of_environment()
        .map_err(|why| Fail::Runtime(format!("the passed sockets cannot be used: {why}")))?;
    let asked = Asked::on_signals()?;
    journal::set_style(config.log.style, config.log.demand);
    let supervisor = Arc::new(Supervisor::of_environment().unwrap_or_else(|why| {
        remark(format!("the supervisor is told nothing: {why}"));
        Supervisor::none()
    }));
    let launcher = Launcher::new();
    let launcher = launcher.map_err(|error| Fail::Runtime(format!("no program can be started: {error}")))?;
    let tools = Arc::new(Tools {
        launcher,
        permits: Permits::new(config.processes_max),
        counts: Counts::default(),
        end: Permits::new(0),
    });
    // Twice as often as the supervisor wants it.
    let beat = supervisor.watchdog().map(|time| time / 2);
    let binder = Binder { passed, stop: stop.clone(), supervisor: supervisor.clone() };
    let mut server = Server::start(config, binder, tools, stop)?;
    supervisor.ready(&server.status());
    let mut next_beat = beat.map(|_| Instant::now());
    loop {
        match stop.wait(asked.next(), next_beat) {
            Waited::Ready(Ask::Reload) => {
                supervisor.reloading();
                let failed = server.reload(path).err();
                supervisor.ready(&failed.unwrap_or_else(|| server.status()));
            }
            Waited::Ready(Ask::Report) => report(&server.on_demand, server.observe.as_ref(), &server.tools),
            Waited::TimedOut => {
                // This thread is alive. It speaks for the others only if they are.
                if beat.is_some_and(|beat| server.on_demand.responds_within(beat / 2)) {
                    supervisor.alive();
                }
                next_beat = beat.map(|beat| Instant::now() + beat);
            }
            Waited::Stopped => break,
        }
    }
    supervisor.stopping("ending all programs");
    server.end(stop);
    Ok(())
}

/// A config at work.
struct Server {
    config: Config,
    rules: Rules,
    observe: Option<Observe>,
    pages: Pages,
    tools: Arc<Tools>,
    on_demand: OnDemand,
    keepers: Keepers,
    binder: Binder,
    places: Places,
    membership: Option<site::Membership>,
}

/// Binds endpoints.
struct Binder {
    passed: Passed,
    stop: Stop,
    supervisor: Arc<Supervisor>,
}

/// The endpoints that are open: as the config has them, and as the system resolved them; several for passed sockets.
type Places = BTreeMap<(Way, String), Vec<Endpoint>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Bound,
    Connected,
}

impl Server {
    fn start(config: Config, binder: Binder, tools: Arc<Tools>, stop: &Stop) -> Result<Server, Fail> {
        let reserved = config.processes_max.saturating_mul(PROGRAM_DESCRIPTORS);
        let reserved = u32::try_from(reserved).unwrap_or(u32::MAX);
        let engine = Engine::with(EngineOptions::new().descriptors_reserved(reserved))?;
        let observe = config.observe.clone().map(Observe::new).transpose();
        let observe = observe.map_err(|why| Fail::Usage(why.to_string()))?;
        let rules = Rules::new(config.observe.as_deref().unwrap_or_default());
        rules.set(&config.rules);
        let (deciding, mut places) = (rules.clone(), Places::new());
        let options =
            config.options.clone().linger(LINGER).admission(move |request| deciding.decide(request));
        let options = observe.iter().fold(options, |options, observe| observe.hide(options));
        let options = options.web(web::of_endpoints(&config)?);
        let security = config.security.read()?;
        let socket = XPub::new(&engine, security.set(options.clone())?)?;
        security.follow(&socket, "serve");
        connections::follow(&socket, "serve", stop)?;
        let pages = Pages::new(&tools, observe.as_ref());
        // Before the others: whether the server is ready can be asked from now on.
        pages.open(&socket, &config)?;
        open(&socket, &mut places, &config, &binder)?;
        for missing in binder.passed.unused(&config.bind).into_iter().chain(missing(&config)) {
            warn(missing);
        }
        if let Some(line) = is_open_to_strangers(&config, &places) {
            warn(line);
        }
        let membership = match &config.mesh {
            Some(site) => {
                let (prefix, own) = (config.observe.as_deref(), (&engine, &socket));
                Some(site::Membership::join(site, prefix, own, (options, &security), stop)?)
            }
            None => None,
        };
        membership.iter().for_each(|member| member.tell(observe.as_ref(), &pages));
        let mut keepers = Keepers::default();
        let builder = reporting(OnDemand::on(socket), &tools, observe.clone(), config.mesh.is_some());
        let on_demand = routes::add(builder, &config, observe.as_ref(), &tools, &mut keepers)?.start()?;
        if let Some(observe) = &observe {
            observe.begin(&on_demand);
        }
        pages.begin(on_demand.meter());
        // What others publish may be had from now on.
        if let (Some(site), Some(member)) = (&config.mesh, &membership) {
            bind_all(&binder, site, member)?;
        }
        pages.set_phase(Phase::Serving);
        let server =
            Server { config, rules, observe, pages, tools, on_demand, keepers, binder, places, membership };
        server.tell_places();
        Ok(server)
    }

    /// Reads the config again. What has not changed in it is not disturbed; if anything is wrong, nothing is.
    ///
    /// # Errors
    /// Why it was not replaced, which is logged.
    fn reload(&mut self, path: &Path) -> Result<(), String> {
        let why = match read(path).and_then(|config| self.replace(config)) {
            Ok(Reloaded { kept, added, removed, .. }) => {
                // Those about the server itself are not in the config.
                let kept = kept - self.observe.as_ref().map_or(0, Observe::topics);
                let text = format!(
                    "config read again: {} kept, {added} added, {removed} removed",
                    counted(kept as u64, "route")
                );
                remark(text);
                self.pages.reloaded(true);
                return Ok(());
            }
            Err(Fail::Usage(why) | Fail::Runtime(why) | Fail::Timeout(why)) => why,
            Err(Fail::Signal(_)) => return Ok(()),
        };
        let status = format!("the config was not replaced: {}", why.lines().next().unwrap_or_default());
        complain(why);
        self.membership.iter_mut().for_each(site::Membership::doubt);
        self.pages.reloaded(false);
        complain("the config was not replaced; the one before stays in force");
        Err(status)
    }

    /// Tells the topics about the server where it is bound.
    fn tell_places(&self) {
        let bound = self.places.iter().filter(|((way, _), _)| *way == Way::Bound);
        let texts = bound.flat_map(|(_, endpoints)| endpoints).map(ToString::to_string).collect();
        if let Some(observe) = &self.observe {
            observe.bound_to(texts);
        }
    }

    /// What it serves, in a line for people.
    fn status(&self) -> String {
        let routes = counted(self.config.routes.len() as u64, "route");
        let places: Vec<_> = self.places.values().flatten().map(ToString::to_string).collect();
        format!("serving {routes} at {}", places.join(", "))
    }

    fn replace(&mut self, config: Config) -> Result<Reloaded, Fail> {
        let reloaded = self.reroute(&config);
        // Endpoints and shared programs that the config in force does not name end here.
        let in_force = if reloaded.is_ok() { &config } else { &self.config };
        let socket = self.on_demand.xpub();
        self.places.retain(|(way, text), endpoints| {
            let stays = way.texts(in_force).contains(text);
            for endpoint in endpoints.iter().filter(|_| !stays) {
                // An error means that it is closed already.
                let _ = way.close(socket, endpoint);
            }
            stays
        });
        self.tell_places();
        let in_force = if reloaded.is_ok() { &config } else { &self.config };
        let keys: BTreeSet<_> = in_force.routes.iter().map(routes::key).collect();
        self.keepers.retain(|key| keys.contains(key));
        let reloaded = reloaded?;
        for missing in missing(&config) {
            warn(missing);
        }
        let at_start = |config: &Config| {
            format!(
                "{:?} {:?} {:?} {:?}",
                config.options,
                config.status_prefix,
                config.observe,
                (
                    &config.http,
                    &config.http_token,
                    &config.origins,
                    &config.tls,
                    &config.metrics,
                    &config.security,
                    config.mesh.as_ref().map(|site| &site.subscribers)
                )
            )
        };
        if at_start(&self.config) != at_start(&config) {
            let text = "keys that have changed among [curve], [plain], `subscribers` of [mesh], status_prefix and those after it in \
                        `oncue serve --help`, and [mesh] itself where there was none, take effect when oncue is started again";
            warn(text);
        }
        self.enforce(&config.rules);
        if let (Some(member), Some(site)) = (&mut self.membership, &config.mesh) {
            member.reload(site);
        }
        self.tools.permits.set(config.processes_max);
        journal::set_style(config.log.style, config.log.demand);
        let patterns: BTreeSet<_> = config.routes.iter().map(|route| route.pattern.to_string()).collect();
        self.tools.counts.retain(|pattern| patterns.contains(pattern));
        self.config = config;
        Ok(reloaded)
    }

    /// Opens the endpoints of a config that are not open yet, and puts its routes in the place of those that run.
    fn reroute(&mut self, config: &Config) -> Result<Reloaded, Fail> {
        open(self.on_demand.xpub(), &mut self.places, config, &self.binder)?;
        let builder = routes::add(
            self.on_demand.builder(),
            config,
            self.observe.as_ref(),
            &self.tools,
            &mut self.keepers,
        )?;
        Ok(self.on_demand.reload(builder)?)
    }

    /// Puts rules in force, and ends the subscriptions that they deny.
    fn enforce(&self, rules: &[Rule]) {
        self.rules.set(rules);
        self.on_demand.xpub().reconsider();
        let local = self.membership.iter().filter_map(site::Membership::subscribers);
        local.for_each(|socket| socket.reconsider());
    }

    fn end(mut self, stop: &Stop) {
        let end = |program: &Program| program.stop_after.saturating_add(program.kill_after);
        stop.allow(self.config.routes.iter().flat_map(programs).map(end).max().unwrap_or_default());
        self.pages.set_phase(Phase::Stopping);
        self.membership.iter_mut().for_each(site::Membership::leave);
        self.tools.end.set(1);
        self.on_demand.stop();
        self.keepers.end();
        self.membership.iter().for_each(|member| member.close(stop));
        publisher::close_and_say(self.on_demand.xpub(), "serve", stop);
        sum_up(&self.on_demand, self.observe.as_ref(), &self.tools);
    }
}

impl Way {
    /// Where a config wants to be bound or connected.
    fn texts(self, config: &Config) -> &[String] {
        match self {
            Way::Bound => &config.bind,
            Way::Connected => &config.connect,
        }
    }

    fn close(self, socket: &XPub, endpoint: &Endpoint) -> oncue::Result<()> {
        match self {
            Way::Bound => socket.unbind(&endpoint.to_string()),
            Way::Connected => socket.disconnect(&endpoint.to_string()),
        }
    }
}

/// What to say if everybody who can reach this machine may subscribe to everything.
fn is_open_to_strangers(config: &Config, places: &Places) -> Option<String> {
    if !config.rules.is_empty() || !config.security.is_empty() {
        return None;
    }
    let is_local = |host: &Host| match host {
        Host::Ip(ip) => ip.is_loopback(),
        Host::Name(name) => name == "localhost",
        _ => false,
    };
    let mut bound =
        places.iter().filter(|((way, _), _)| *way == Way::Bound).flat_map(|(_, endpoints)| endpoints);
    let open = bound
        .find(|at| matches!(at, Endpoint::Tcp { host, .. } | Endpoint::Ws { host, .. } if !is_local(host)))?;
    Some(format!(
        "everybody who can reach {open} may subscribe to everything, and can be read on the way: add [curve] (see `oncue keygen \
         --help`) or a [[rule]] to the config, or bind 127.0.0.1"
    ))
}

/// Opens the endpoints of a config that are not open yet.
fn open(socket: &XPub, places: &mut Places, config: &Config, binder: &Binder) -> Result<(), Fail> {
    for way in [Way::Bound, Way::Connected] {
        for text in way.texts(config) {
            let Entry::Vacant(place) = places.entry((way, text.clone())) else { continue };
            place.insert(match way {
                Way::Bound => binder.bind(socket, text)?,
                Way::Connected => vec![connections::connect(socket, "serve", text)?],
            });
        }
    }
    Ok(())
}

/// Binds the socket for subscribers of all sites.
fn bind_all(binder: &Binder, site: &Site, member: &site::Membership) -> Result<(), Fail> {
    let Some(socket) = member.subscribers() else { return Ok(()) };
    for text in &site.subscribers {
        let endpoint = binder.bind_endpoint(socket, text)?;
        remark(format!("subscribers of all sites: bound to {endpoint}"));
    }
    Ok(())
}

impl Binder {
    /// Binds an endpoint, or the sockets that were passed and are meant by it.
    fn bind(&self, socket: &XPub, text: &str) -> Result<Vec<Endpoint>, Fail> {
        let endpoints = match text.starts_with(PASSED) {
            false => vec![self.bind_endpoint(socket, text)?],
            true => {
                let sockets = self.passed.get(text).map_err(Fail::Runtime)?;
                sockets.into_iter().map(|fd| socket.bind_fd(fd)).collect::<oncue::Result<_>>()?
            }
        };
        endpoints.iter().for_each(|endpoint| remark(format!("bound to {endpoint}")));
        Ok(endpoints)
    }

    /// Binds an endpoint on a thread of its own: the look-up of a host name may take long, and this thread is to end when the
    /// server does, and to give signs of life.
    fn bind_endpoint(&self, socket: &XPub, text: &str) -> Result<Endpoint, Fail> {
        let (tell, told) = mpsc::channel();
        let (binding, endpoint) = (socket.clone(), text.to_owned());
        // An error means that the server ends.
        spawn("bind", move || drop(tell.send(binding.bind(&endpoint))))?;
        let beat = self.supervisor.watchdog().map(|time| time / 2);
        let mut beaten = Instant::now();
        loop {
            match told.recv_timeout(BIND_LOOK_INTERVAL) {
                Ok(bound) => return Ok(bound?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fail::Runtime(format!("cannot bind {text}: its thread has ended")));
                }
            }
            if self.stop.is_stopped() {
                self.stop.unfinished()?;
                return Err(Fail::Runtime(format!("{text} was not bound: the server ends")));
            }
            if beat.is_some_and(|beat| beaten.elapsed() >= beat) {
                self.supervisor.alive();
                beaten = Instant::now();
            }
        }
    }
}

/// Logs failures of producers, and topics that no route serves; their subscribers are told as well. `is_site`: what is not served
/// here, another site may serve, so there is no remark about it.
fn reporting(builder: Builder, tools: &Arc<Tools>, observe: Option<Observe>, is_site: bool) -> Builder {
    let (log, tools) = (Log::of(None), tools.clone());
    let unserved = Unserved::new();
    let builder = builder.tell_unserved(true).on_unserved(move |topic, why| {
        if !is_site {
            unserved.remark(topic, why);
        }
    });
    builder.on_failure(move |feed, failure| {
        if let Some(observe) = &observe {
            observe.failed(feed.topic(), &failure.to_string());
        }
        let why = match failure {
            Failure::Error(error) if error.is::<Logged>() => return,
            other => other.to_string(),
        };
        count(&tools.counts.failures);
        log.add(Record {
            event: Some("producer_failed"),
            subject: Some(Subject::Topic(feed.topic())),
            ..Record::new(Level::Error, &why)
        });
    })
}

/// Reads and checks a config.
fn read(path: &Path) -> Result<Config, Fail> {
    let check = |config: &Config| routes::check(config).and_then(|()| site::check(config));
    Config::read(path, check).map_err(|problems| Fail::Usage(problems.join("\n")))
}

/// The programs of a route.
fn programs(route: &Route) -> impl Iterator<Item = &Program> {
    let produces = match &route.source {
        Source::Runs(runs) => Some(&runs.program),
        Source::Stream(running) | Source::Shared(running) => Some(&running.program),
        Source::Lines(_) | Source::Content(_) => None,
    };
    let lists = match &route.catalogue {
        Catalogue::Listing(listing) => Some(&listing.program),
        Catalogue::Topics(_) => None,
    };
    produces.into_iter().chain(lists)
}
