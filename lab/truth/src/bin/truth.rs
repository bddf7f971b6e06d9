//! Plays all histories to the implementations on the command line, and prints the tables.
//!
//! Usage: `truth [--only TEXT] [--commands] [--missing NAME]... [--save PAGE] --play PROGRAM [ARGUMENT...] [--play ...]`
//!
//! `cargo xtask truth` builds the drivers and calls it.

use std::process::{Command, ExitCode};
use std::time::Duration;

use oncue_interop::raw::Version;
use oncue_truth::driver::{Driver, Launch};
use oncue_truth::histories::{ALL, History};
use oncue_truth::page::{Column, details, filled, table};
use oncue_truth::stage::Stage;

/// How long something may take that is true. An untruth takes that long to be found.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let (settings, programs) = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("truth: {why}");
            return ExitCode::from(2);
        }
    };
    let is_asked = |history: &&History| settings.only.as_ref().is_none_or(|text| history.name.contains(text));
    let histories: Vec<&History> = ALL.iter().filter(is_asked).collect();
    let mut columns: Vec<Column> =
        programs.into_iter().map(|command| column(&settings, &histories, Launch { command })).collect();
    let missing = settings.missing.iter().map(|name| Column { about: Err(name.clone()), found: Vec::new() });
    columns.extend(missing);
    let (table, details) = (table(&histories, &columns), details(&histories, &columns));
    println!("{table}{details}");
    match settings.save.as_deref().map(|page| save(page, &table, &details)) {
        Some(Err(why)) => {
            eprintln!("truth: {why}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn save(page: &str, table: &str, details: &str) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("{page}: {error}");
    let text = std::fs::read_to_string(page).map_err(cannot)?;
    let today = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().map_err(cannot)?;
    let today = String::from_utf8_lossy(&today.stdout);
    let table = format!("Played on {}.\n\n{table}", today.trim());
    std::fs::write(page, filled(&text, &table, details)?).map_err(cannot)
}

#[derive(Default)]
struct Settings {
    only: Option<String>,
    commands: bool,
    missing: Vec<String>,
    save: Option<String>,
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<(Settings, Vec<Vec<String>>), String> {
    let mut settings = Settings::default();
    let mut programs: Vec<Vec<String>> = Vec::new();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), programs.last_mut()) {
            ("--play", _) => programs.push(Vec::new()),
            (_, Some(program)) => program.push(argument),
            ("--commands", _) => settings.commands = true,
            ("--only", _) => settings.only = Some(arguments.next().ok_or("--only needs a text")?),
            ("--missing", _) => settings.missing.push(arguments.next().ok_or("--missing needs a name")?),
            ("--save", _) => settings.save = Some(arguments.next().ok_or("--save needs a page")?),
            (other, _) => return Err(format!("`{other}` is not an argument")),
        }
    }
    match programs.iter().all(|program| !program.is_empty()) {
        true => Ok((settings, programs)),
        false => Err("--play needs a program".to_owned()),
    }
}

/// Plays to one implementation, and says on standard error how it goes.
fn column(settings: &Settings, histories: &[&History], launch: Launch) -> Column {
    let about = match Driver::start(&launch).and_then(|mut driver| driver.about()) {
        Ok(about) => about,
        Err(trouble) => {
            let name = format!("{} (not started)", launch.command.join(" "));
            eprintln!("{name}: {trouble:?}");
            return Column { about: Err(name), found: Vec::new() };
        }
    };
    let version = if settings.commands { Version::V3_1 } else { Version::V3_0 };
    let stage = Stage { launch, patience: PATIENCE, version };
    let play = |history: &&History| {
        let found = history.play(&stage);
        let (truth, told) = (&found.truth, &found.told);
        eprintln!("{about}, {}: {} (true: {truth}; told: {told})", history.name, found.verdict.word());
        found
    };
    Column { found: histories.iter().map(play).collect(), about: Ok(about) }
}
