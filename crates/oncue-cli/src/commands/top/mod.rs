//! `oncue top`: what a server does, as it changes: on a terminal as a screen, elsewhere as lines.

mod model;
#[cfg(all(test, feature = "top"))]
mod picture;
#[cfg(feature = "top")]
mod screen;
mod sheet;
#[cfg(feature = "top")]
mod terminal;
#[cfg(feature = "top")]
mod view;

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdin, stdout};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command, arg};
use serde_json::value::RawValue;

use self::model::{Model, VIEWED, Which, summary};
use self::sheet::{Order, Sheet};
use crate::fail::Fail;
use crate::signals::Stop;
use crate::stdio;
use crate::table::{Align, Table};
use crate::viewer::{self, Heard, Viewer};

/// How long to wait for the rest of what a server says, once it has begun.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) fn command() -> Command {
    Command::new("top")
        .about("Watch a server: routes, topics and peers, what is produced and what is saved")
        .after_help(
            "The server is an oncue serve, or a program that publishes the same topics about itself (docs/OBSERVE.md); it produces them only \
             while somebody looks. Keys are shown at the bottom of the screen; ? explains them.\n\n\
             If standard output is not a terminal, a line a second says how the server is. With --once all sheets are printed once, after \
             the second that rates take, and with --json each second is one line of JSON: {\"stats\":…,\"routes\":…,\"demand\":…,\"peers\":…}.\n\n\
             Examples:\n  oncue top tcp://127.0.0.1:8888\n  oncue top tcp://127.0.0.1:8888 --once",
        )
        .args(viewer::options())
        .arg(arg!(--once "Print everything once, and end"))
        .arg(arg!(--json "Print what the server says, as lines of JSON"))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let (once, json) = (args.get_flag("once"), args.get_flag("json"));
    let viewer = Viewer::open("top", args, &VIEWED, stop)?;
    match (json, once) {
        (true, once) => print_json(viewer, once, stop),
        (false, true) => print_once(viewer, stop),
        (false, false) if stdout().is_terminal() && stdin().is_terminal() => watch(viewer, stop),
        (false, false) => print_lines(viewer, stop),
    }
}

#[cfg(feature = "top")]
fn watch(viewer: Viewer<'_>, stop: &Stop) -> Result<(), Fail> {
    terminal::run(viewer, stop)
}

#[cfg(not(feature = "top"))]
fn watch(viewer: Viewer<'_>, stop: &Stop) -> Result<(), Fail> {
    stdio::say(
        "top",
        "this oncue was built without the feature `top`, which has the screen: it prints a line a second",
    );
    print_lines(viewer, stop)
}

/// Everything that the server says, each time that all of it has come.
fn print_json(mut viewer: Viewer<'_>, once: bool, stop: &Stop) -> Result<(), Fail> {
    let mut said: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    loop {
        let Some((name, value)) = viewer.next()? else { return ended(once, stop) };
        let value = viewer.parse(&name, &value)?;
        said.insert(name, value);
        if said.len() == VIEWED.len() {
            let line = serde_json::to_vec(&said).expect("JSON is JSON");
            stdio::print(line, stop, None);
            said.clear();
            if once {
                return Ok(());
            }
        }
    }
}

fn print_once(mut viewer: Viewer<'_>, stop: &Stop) -> Result<(), Fail> {
    let mut model = Model::default();
    while !model.has_rates() {
        let Some((name, value)) = viewer.next()? else { return stop.unfinished() };
        take(&mut model, &viewer, &name, &value)?;
    }
    let line = |text: String| stdio::line(text.into_bytes());
    line(summary(&model));
    for which in Which::ALL {
        if let Some(sheet) = model.sheet(which).filter(|sheet| !sheet.lines.is_empty()) {
            line(String::new());
            table(sheet).lines().for_each(line);
        }
    }
    if !model.refused.is_empty() {
        line(String::new());
        refused(&model).lines().for_each(line);
    }
    Ok(())
}

/// A line a second, until a signal ends it.
fn print_lines(mut viewer: Viewer<'_>, stop: &Stop) -> Result<(), Fail> {
    let mut model = Model::default();
    let Some((name, value)) = viewer.next()? else { return Ok(()) };
    take(&mut model, &viewer, &name, &value)?;
    let mut next = Instant::now() + PERIOD;
    loop {
        match viewer.hear(next)? {
            Heard::Value(name, value) => take(&mut model, &viewer, &name, &value)?,
            Heard::Lost(why) => stdio::say("top", &format!("no connection: {why}; trying again")),
            Heard::Connected => {}
            Heard::Stopped => return Ok(()),
            Heard::Nothing => {
                stdio::print(summary(&model).into_bytes(), stop, None);
                next += PERIOD;
            }
        }
    }
}

fn ended(once: bool, stop: &Stop) -> Result<(), Fail> {
    if once { stop.unfinished() } else { Ok(()) }
}

fn take(model: &mut Model, viewer: &Viewer<'_>, name: &str, value: &[u8]) -> Result<(), Fail> {
    model.take(name, value).map_err(|why| viewer.not_understood(name, &why))
}

fn table(sheet: &Sheet) -> Table {
    let align = |is_number| if is_number { Align::Right } else { Align::Left };
    let columns: Vec<_> = sheet.columns.iter().map(|column| (column.name, align(column.is_number))).collect();
    let mut table = Table::new(&columns);
    for line in sheet.ordered(&Order::default()) {
        table.row(line.cells.iter().map(|cell| cell.shown.clone()));
    }
    table
}

fn refused(model: &Model) -> Table {
    let mut table = Table::new(&["REFUSED", "WHY"].map(|name| (name, Align::Left)));
    for peer in &model.refused {
        table.row([peer.address.clone(), peer.error.clone()]);
    }
    table
}
