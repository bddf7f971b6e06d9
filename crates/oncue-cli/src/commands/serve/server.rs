//! A server from its config to its end.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, io};

use oncue::demand::{Builder, Failure, Reloaded};
use oncue::{Endpoint, Engine, EngineOptions, OnDemand, Options, XPub};

use super::asked::{Ask, Asked};
use super::config::rule::Rule;
use super::config::{Catalogue, Config, Program, Route, Socket, Source};
use super::produce::shared::Told;
use super::produce::{Counts, Tools, count};
use super::program::journal::{Journal, Log};
use super::program::launch::Launcher;
use super::program::permits::Permits;
use super::routes::{self, Keepers};
use super::rules::Rules;
use crate::fail::Fail;
use crate::output::{self, say};
use crate::publisher;
use crate::signals::{Stop, Waited};

/// The descriptors that a program takes while it runs: a pipe for each of its streams, and those that wait for its end.
/// Subscribers leave as many as all programs may need.
const PROGRAM_DESCRIPTORS: usize = 5;

/// Checks a config, and says what it has.
pub(super) fn check(path: &Path) -> Result<(), Fail> {
    let config = read(path)?;
    for missing in missing_programs(&config) {
        say("serve", &missing);
    }
    let text = match config.routes.len() {
        1 => "1 route".to_owned(),
        routes => format!("{routes} routes"),
    };
    output::line(&mut format!("{}: ok, {text}", path.display()).into_bytes())
}

/// Serves until the end is brought about.
pub(super) fn run(path: &Path, stop: &Stop) -> Result<(), Fail> {
    let asked = Asked::hear()?;
    let config = read(path)?;
    let (journal, writer) = Journal::start(stop)?;
    let tools = Arc::new(Tools {
        launcher: Launcher::new(),
        permits: Permits::new(config.processes_max),
        journal,
        counts: Counts::default(),
        end: Permits::new(0),
    });
    let served = Server::start(config, tools).and_then(|mut server| {
        let journal = server.tools.journal.clone();
        publisher::heed(server.on_demand.xpub(), stop, move |text| journal.remark(text))?;
        while let Waited::Ready(ask) = stop.wait(asked.next(), None) {
            match ask {
                Ask::Reload => server.reload(path),
                Ask::Report => report(&server.on_demand, &server.tools),
            }
        }
        server.end();
        Ok(())
    });
    writer.finish();
    served
}

/// A config at work.
struct Server {
    config: Config,
    rules: Rules,
    tools: Arc<Tools>,
    on_demand: OnDemand,
    keepers: Keepers,
    /// Where it is bound or connected: as the config has it, and as it came out.
    places: Vec<(Way, String, Endpoint)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bound,
    Connected,
}

impl Server {
    fn start(config: Config, tools: Arc<Tools>) -> Result<Server, Fail> {
        let reserved = config.processes_max.saturating_mul(PROGRAM_DESCRIPTORS);
        let reserved = u32::try_from(reserved).unwrap_or(u32::MAX);
        let engine = Engine::with(EngineOptions::new().descriptors_reserved(reserved))?;
        let rules = Rules::default();
        rules.set(&config.rules);
        let socket = XPub::new(&engine, options(&config.socket, &rules))?;
        let mut places = Vec::new();
        for (way, text) in ways(&config) {
            places.push((way, text.to_owned(), open(&socket, way, text)?));
        }
        for (way, _, endpoint) in &places {
            tools.journal.remark(format!("{} to {endpoint}", way.name()));
        }
        for missing in missing_programs(&config) {
            tools.journal.remark(missing);
        }
        let mut keepers = Keepers::new();
        let builder = reporting(OnDemand::on(socket), &tools);
        let on_demand = routes::add(builder, &config, &tools, &mut keepers).map_err(no_thread)?.start()?;
        Ok(Server { config, rules, tools, on_demand, keepers, places })
    }

    /// Reads the config anew. What has not changed in it goes on undisturbed; if anything is wrong, everything does.
    fn reload(&mut self, path: &Path) {
        let why = match read(path).and_then(|config| self.replace(config)) {
            Ok(Reloaded { kept, added, removed, .. }) => {
                let text = format!("config read again: {kept} routes kept, {added} added, {removed} removed");
                return self.tools.journal.remark(text);
            }
            Err(Fail::Usage(why) | Fail::Runtime(why) | Fail::Timeout(why)) => why,
            Err(Fail::OutputClosed) => return,
        };
        self.tools.journal.remark(why);
        self.tools.journal.remark("config not read again; the one before stays in force".to_owned());
    }

    fn replace(&mut self, config: Config) -> Result<Reloaded, Fail> {
        let socket = self.on_demand.xpub().clone();
        let mut opened = Opened { socket: &socket, places: Vec::new() };
        for (way, text) in ways(&config) {
            if !self.places.iter().any(|(known_way, known, _)| *known_way == way && known == text) {
                let endpoint = open(&socket, way, text)?;
                self.tools.journal.remark(format!("{} to {endpoint}", way.name()));
                opened.places.push((way, text.to_owned(), endpoint));
            }
        }
        let keys: BTreeSet<_> = config.routes.iter().map(routes::key).collect();
        let before: BTreeSet<_> = self.keepers.keys().cloned().collect();
        let reloaded = routes::add(self.on_demand.builder(), &config, &self.tools, &mut self.keepers)
            .map_err(no_thread)
            .and_then(|builder| Ok(self.on_demand.reload(builder)?));
        let stay = if reloaded.is_ok() { &keys } else { &before };
        // Programs that nothing shares any more end here.
        self.keepers.retain(|key, _| stay.contains(key));
        let reloaded = reloaded?;
        self.places.append(&mut opened.places);
        self.places.retain(|(way, text, endpoint)| {
            let stays = ways(&config).any(|(stays, known)| stays == *way && known == text);
            if !stays {
                close(&socket, *way, endpoint);
            }
            stays
        });
        for missing in missing_programs(&config) {
            self.tools.journal.remark(missing);
        }
        if (&self.config.socket, &self.config.status_prefix) != (&config.socket, &config.status_prefix) {
            let text = "what the config says of subscribers, their queues and heartbeats, of last_values_bytes_max and of status_prefix \
                        takes effect when oncue is started again";
            self.tools.journal.remark(text);
        }
        self.enforce(&config.rules);
        self.tools.permits.set(config.processes_max);
        self.config = config;
        Ok(reloaded)
    }

    /// Puts rules in force, and takes back what nobody may have any more. Where that hangs on who it is, what is there
    /// stays until it is asked for anew.
    fn enforce(&self, rules: &[Rule]) {
        self.rules.set(rules);
        let socket = self.on_demand.xpub();
        for prefix in socket.demand().snapshot() {
            if let Some(status) = self.rules.denied_to_all(prefix) {
                socket.revoke_all(prefix, status);
            }
        }
    }

    fn end(self) {
        self.tools.end.set(1);
        self.on_demand.stop();
        drop(self.keepers);
        self.on_demand.xpub().close().wait();
        sum_up(&self.on_demand, &self.tools);
    }
}

fn options(socket: &Socket, rules: &Rules) -> Options {
    let rules = rules.clone();
    let mut options = socket
        .heartbeat
        .apply(Options::new())
        .discard_messages(true)
        .admission(move |request| rules.decide(request))
        .send_hwm(socket.send_hwm)
        .queue_bytes_max(socket.queue_bytes_max)
        .peers_max(socket.peers_max)
        .prefixes_max(socket.prefixes_max)
        .last_values_bytes_max(socket.last_values_bytes_max);
    if let Some(peers) = socket.peers_per_address_max {
        options = options.peers_per_address_max(peers);
    }
    if let Some(time) = socket.evict_after {
        options = options.evict_after(time);
    }
    options
}

/// Endpoints that are closed again unless all else goes well.
struct Opened<'s> {
    socket: &'s XPub,
    places: Vec<(Way, String, Endpoint)>,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        for (way, _, endpoint) in &self.places {
            close(self.socket, *way, endpoint);
        }
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Bound => "bound",
            Way::Connected => "connected",
        }
    }
}

/// Where a config wants to be bound or connected.
fn ways(config: &Config) -> impl Iterator<Item = (Way, &str)> {
    let bound = config.bind.iter().map(|text| (Way::Bound, text.as_str()));
    bound.chain(config.connect.iter().map(|text| (Way::Connected, text.as_str())))
}

fn open(socket: &XPub, way: Way, text: &str) -> oncue::Result<Endpoint> {
    match way {
        Way::Bound => socket.bind(text),
        Way::Connected => socket.connect(text),
    }
}

fn close(socket: &XPub, way: Way, endpoint: &Endpoint) {
    // One that is gone already is what is wanted.
    let _ = match way {
        Way::Bound => socket.unbind(&endpoint.to_string()),
        Way::Connected => socket.disconnect(&endpoint.to_string()),
    };
}

fn no_thread(error: io::Error) -> Fail {
    Fail::Runtime(format!("no thread for a program: {error}"))
}

/// Failures of producers go to the log.
fn reporting(builder: Builder, tools: &Arc<Tools>) -> Builder {
    let (log, tools) = (Log::new(&tools.journal), tools.clone());
    builder.on_failure(move |feed, failure| {
        let why = match failure {
            Failure::Error(error) if error.is::<Told>() => return,
            Failure::Error(error) => format!("the program {error}"),
            other => other.to_string(),
        };
        count(&tools.counts.failures);
        log.about(feed.topic(), &why);
    })
}

/// Says how each route is.
fn report(on_demand: &OnDemand, tools: &Tools) {
    for route in on_demand.route_stats() {
        let done = route.done;
        let mut text = format!(
            "route {}: {} topics wanted, {} produced now; since the start {} values by {} feeds",
            route.pattern, route.now.wanted, route.now.running, done.produced, done.started
        );
        let numbers = [
            (route.now.waiting as u64, "wait for room"),
            (route.now.failing as u64, "wait for their next start"),
            (done.offered, "deliveries offered"),
            (done.failed, "failures"),
            (done.superseded, "values left out for newer ones"),
            (done.ticks_skipped, "runs left out as the one before went on"),
            (done.ticks_congested, "runs left out as all subscribers were full"),
            (route.avoided, "values not produced as nobody wanted them"),
        ];
        for (number, what) in numbers.into_iter().filter(|(number, _)| *number > 0) {
            text.push_str(&format!(", {number} {what}"));
        }
        if !done.producing.is_zero() {
            text.push_str(&format!(", {:.1?} spent on them", done.producing));
        }
        if let Some(mean) =
            u32::try_from(route.first_values).ok().and_then(|n| route.first_value_time.checked_div(n))
        {
            text.push_str(&format!(", the first of each after {mean:.1?} on average"));
        }
        tools.journal.remark(text);
    }
    sum_up(on_demand, tools);
}

fn sum_up(on_demand: &OnDemand, tools: &Tools) {
    let (stats, socket) = (on_demand.stats(), on_demand.xpub().stats());
    let mut text = format!("{} values sent by {} feeds", stats.done.produced, stats.done.started);
    let counts = &tools.counts;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let numbers = [
        (get(&counts.programs), "programs run"),
        (get(&counts.failures), "failures"),
        (stats.done.ticks_congested, "runs left out as all subscribers were full"),
        (get(&counts.refused), "topics refused"),
        (get(&counts.unwanted), "values of topics that nobody wanted"),
        (get(&counts.left_out), "lines left out"),
        (socket.delivered, "messages delivered"),
        (socket.missed, "missed by subscribers that were full"),
    ];
    for (number, what) in numbers.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!(", {number} {what}"));
    }
    tools.journal.remark(text);
}

/// Reads a config, and has the library check its routes.
fn read(path: &Path) -> Result<Config, Fail> {
    let config = Config::read(path).map_err(|problems| Fail::Usage(problems.join("\noncue serve: ")))?;
    match routes::add_idle(OnDemand::routes(), &config).check() {
        Ok(()) => Ok(config),
        Err(error) => Err(Fail::Usage(format!("{}: {error}", path.display()))),
    }
}

/// What is said about programs and directories that are not there now; they may be later.
fn missing_programs(config: &Config) -> Vec<String> {
    let mut missing = Vec::new();
    for route in &config.routes {
        for program in programs(route) {
            let name = program.command.first().map(ToString::to_string).unwrap_or_default();
            if let Some(cwd) = program.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
                missing.push(format!("`{}`: there is no directory `{}` now", route.pattern, cwd.display()));
            } else if !is_there(&name, program) {
                let text = format!("`{}`: there is no program `{name}` now; is it installed?", route.pattern);
                missing.push(text);
            }
        }
    }
    missing
}

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

fn is_there(name: &str, program: &Program) -> bool {
    let runs = |path: PathBuf| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return runs(program.cwd.clone().unwrap_or_default().join(name));
    }
    let path = program.env.get("PATH").map(Into::into).or_else(|| env::var_os("PATH"));
    env::split_paths(&path.unwrap_or_default()).any(|directory| runs(directory.join(name)))
}
