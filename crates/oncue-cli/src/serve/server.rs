//! A server from its config to its end.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncue::demand::{Builder, Failure};
use oncue::{Engine, OnDemand, Options};

use super::config::{Config, Program, Route, Source};
use super::journal::{Journal, Log};
use super::launch::Launcher;
use super::permits::Permits;
use super::produce::{Counts, Tools, count};
use super::routes;
use crate::Fail;
use crate::output::{self, say};
use crate::signals::Stop;

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
    let config = read(path)?;
    let (journal, writer) = Journal::start(stop)?;
    let tools = Arc::new(Tools {
        launcher: Launcher::new(),
        permits: Permits::new(config.processes_max),
        journal,
        counts: Counts::default(),
    });
    let served = serve(&config, &tools, stop);
    writer.finish();
    served
}

fn serve(config: &Config, tools: &Arc<Tools>, stop: &Stop) -> Result<(), Fail> {
    let engine = Engine::start()?;
    let mut builder = OnDemand::new(&engine, Options::new())?;
    for endpoint in &config.bind {
        builder = builder.bind(endpoint)?;
    }
    let bound = builder.endpoints().len();
    for endpoint in &config.connect {
        builder = builder.connect(endpoint)?;
    }
    for (index, endpoint) in builder.endpoints().iter().enumerate() {
        let how = if index < bound { "bound" } else { "connected" };
        tools.journal.remark(format!("{how} to {endpoint}"));
    }
    for missing in missing_programs(config) {
        tools.journal.remark(missing);
    }
    builder = reporting(routes::bounded(builder, config), tools);
    let (builder, keepers) = routes::add(builder, config, tools)
        .map_err(|error| Fail::Runtime(format!("no thread for a program: {error}")))?;
    let on_demand = builder.start()?;
    stop.wait(std::future::pending::<()>(), None);
    on_demand.stop();
    drop(keepers);
    on_demand.xpub().close().wait();
    sum_up(&on_demand, tools);
    Ok(())
}

/// Failures of producers go to the log.
fn reporting(builder: Builder, tools: &Arc<Tools>) -> Builder {
    let (log, tools) = (Log::new(&tools.journal), tools.clone());
    builder.on_failure(move |feed, failure| {
        count(&tools.counts.failures);
        let why = match failure {
            Failure::Error(error) => format!("the program {error}"),
            other => other.to_string(),
        };
        log.about(feed.topic(), &why);
    })
}

fn sum_up(on_demand: &OnDemand, tools: &Tools) {
    let stats = on_demand.stats();
    let mut text = format!("{} values sent by {} feeds", stats.produced, stats.started);
    let counts = &tools.counts;
    let numbers: [(&AtomicU64, &str); 5] = [
        (&counts.programs, "programs run"),
        (&counts.failures, "failures"),
        (&counts.refused, "topics refused"),
        (&counts.unwanted, "values of topics that nobody wanted"),
        (&counts.left_out, "lines left out"),
    ];
    for (number, what) in numbers {
        let number = number.load(Ordering::Relaxed);
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    tools.journal.remark(text);
}

/// Reads a config, and has the library look at its routes as well.
fn read(path: &Path) -> Result<Config, Fail> {
    let config = Config::read(path).map_err(|problems| Fail::Usage(problems.join("\noncue serve: ")))?;
    let engine = Engine::start()?;
    let idle = routes::add_idle(routes::bounded(OnDemand::new(&engine, Options::new())?, &config), &config);
    match idle.start() {
        Ok(_) => Ok(config),
        Err(error) => Err(Fail::Usage(format!("{}: {error}", path.display()))),
    }
}

/// What is said about programs that are not there now; they may be later.
fn missing_programs(config: &Config) -> Vec<String> {
    let missing = |route: &Route| {
        let (Source::Runs { program, .. } | Source::Stream { program, .. } | Source::Shared { program, .. }) =
            &route.source
        else {
            return None;
        };
        let name = program.command.first()?.to_string();
        let text = format!("`{}`: there is no program `{name}` now; is it installed?", route.pattern);
        (!is_there(&name, program)).then_some(text)
    };
    config.routes.iter().filter_map(missing).collect()
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
