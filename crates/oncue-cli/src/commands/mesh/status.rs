//! `oncue mesh status`: the mesh as a site sees it.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command, arg};
use oncue_observe::schema::{Mesh, Site};
use oncue_observe::topic;

use crate::fail::Fail;
use crate::output::{counted, escaped};
use crate::signals::Stop;
use crate::stdio;
use crate::table::{Align, Table, seconds};
use crate::viewer::{self, Heard, Viewer};

/// What clears a terminal, before a table takes the place of the one before.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// How often it is looked whether anything has come.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Print the mesh as a site sees it: the other sites, what they want, what went to and fro")
        .after_help(
            "The site is an oncue mesh, where its subscribers connect, or an oncue serve with [mesh]. PREFIXES are wanted by the site from here. \
             MISSED messages found its queue full, LOST ones were sent by it and did not arrive, GAPS are in what it says about its demand; \
             docs/OBSERVE.md has the fields of --json.\n\n\
             With --watch it is printed again each second, until a signal comes.\n\n\
             Examples:\n  oncue mesh status tcp://127.0.0.1:9999\n  oncue mesh status tcp://127.0.0.1:9999 --watch",
        )
        .args(viewer::options())
        .arg(arg!(--watch "Print it again as it changes"))
        .arg(arg!(--json "Print what the site says, as JSON"))
}

pub(super) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let mut viewer = Viewer::open("mesh", args, &[topic::MESH], stop)?;
    let Some((_, value)) = viewer.next()? else { return stop.unfinished() };
    let json = args.get_flag("json");
    if !args.get_flag("watch") {
        shown(&viewer, json, value)?.into_iter().for_each(stdio::line);
        return Ok(());
    }
    let clears = stdout().is_terminal() && !json;
    let mut next = Heard::Value(topic::MESH.to_owned(), value);
    loop {
        match next {
            Heard::Value(_, value) => {
                let mut lines = shown(&viewer, json, value)?;
                if clears {
                    lines[0].splice(0..0, CLEAR.bytes());
                } else if !json {
                    lines.push(Vec::new());
                }
                // One piece: no reader sees half of a table.
                stdio::print(lines.join(&b'\n'), stop, None);
            }
            Heard::Lost(why) => stdio::say("mesh", &format!("no connection: {why}; trying again")),
            Heard::Connected | Heard::Nothing => {}
            Heard::Stopped => return Ok(()),
        }
        next = viewer.hear(Instant::now() + PERIOD)?;
    }
}

/// What a site says, as lines.
fn shown(viewer: &Viewer<'_>, json: bool, value: Vec<u8>) -> Result<Vec<Vec<u8>>, Fail> {
    let mesh: Mesh = viewer.parse(topic::MESH, &value)?;
    if json {
        return Ok(vec![value]);
    }
    let mut lines = vec![summary(&mesh).into_bytes()];
    if !mesh.sites.is_empty() {
        lines.extend(table(&mesh.sites).lines().map(String::into_bytes));
    }
    Ok(lines)
}

/// This site, and what is wrong.
fn summary(mesh: &Mesh) -> String {
    let mut text = format!(
        "{} {} the mesh {}: {}, {}, wants {}",
        escaped(mesh.site.as_bytes()),
        if mesh.epoch == 0 { "is not in" } else { "in" },
        escaped(mesh.mesh.as_bytes()),
        escaped(mesh.role.as_bytes()),
        counted(mesh.links, "link"),
        count(mesh.prefixes, "prefix", "prefixes")
    );
    for (number, what) in
        [(mesh.sites_refused, "refused, since there were too many"), (mesh.malformed, "not in the format")]
    {
        if number > 0 {
            text.push_str(&format!("; {number} {what}"));
        }
    }
    text
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn table(sites: &[Site]) -> Table {
    let right = |name| (name, Align::Right);
    let numbers =
        ["FOR", "HEARD", "RTT", "PREFIXES", "REFUSED", "SENT", "MISSED", "RECEIVED", "LOST", "GAPS"];
    let columns: Vec<_> =
        [("SITE", Align::Left), ("PHASE", Align::Left)].into_iter().chain(numbers.map(right)).collect();
    let mut table = Table::new(&columns);
    let known = |time: Option<f64>| time.map_or("-".to_owned(), seconds);
    for site in sites {
        table.row([
            escaped(site.name.as_bytes()),
            site.phase.name().to_owned(),
            seconds(site.phase_seconds),
            known(site.heard_seconds),
            known(site.round_trip_seconds),
            site.prefixes.to_string(),
            site.prefixes_refused.to_string(),
            site.sent.messages.to_string(),
            site.missed.to_string(),
            site.received.messages.to_string(),
            site.lost.to_string(),
            site.log_gaps.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use oncue_observe::schema::{Flow, Phase};

    use super::*;

    #[test]
    fn a_site_is_a_row() {
        let tokyo = Site {
            name: "tokyo".into(),
            phase: Phase::Live,
            phase_seconds: 61.0,
            heard_seconds: Some(0.25),
            round_trip_seconds: Some(0.0012),
            prefixes: 1200,
            sent: Flow { messages: 7, bytes: 70, batches: 2 },
            missed: 1,
            ..Site::default()
        };
        let lima = Site { name: "lima".into(), phase: Phase::Gone, ..Site::default() };
        let mesh = Mesh {
            site: "paris".into(),
            mesh: "oncue".into(),
            role: "edge".into(),
            epoch: 9,
            links: 1,
            prefixes: 1,
            sites_refused: 2,
            sites: vec![lima, tokyo],
            ..Mesh::default()
        };
        assert_eq!(
            summary(&mesh),
            "paris in the mesh oncue: edge, 1 link, wants 1 prefix; 2 refused, since there were too many"
        );
        assert!(summary(&Mesh { epoch: 0, ..mesh.clone() }).starts_with("paris is not in the mesh oncue"));
        let lines: Vec<_> = table(&mesh.sites).lines().collect();
        let words = |at: usize| lines[at].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(0), "SITE PHASE FOR HEARD RTT PREFIXES REFUSED SENT MISSED RECEIVED LOST GAPS");
        assert_eq!(words(1), "lima gone 0s - - 0 0 0 0 0 0 0");
        assert_eq!(words(2), "tokyo live 1m01s 250ms 1.20ms 1200 0 7 1 0 0 0");
    }
}
