//! The config of `oncue serve`: what it may say, and what is wrong with one that says something else. Nothing is opened
//! or started here but the file of the config itself.

use std::fs;
use std::path::Path;

use oncue::demand::Pattern;
use toml::de::DeTable;

pub(crate) use self::model::*;
use self::reader::{BYTES_MAX, COUNT_MAX, Keys, Problem, Problems};
use crate::args;

mod guard;
mod model;
mod nearest;
mod reader;
mod route;
pub(crate) mod rule;
pub(crate) mod template;
#[cfg(test)]
mod tests;

/// Processes at once where the config says nothing.
const PROCESSES_MAX_DEFAULT: usize = 256;

/// Keys outside of routes, and what each is for.
const KEYS: [(&str, &str); 18] = [
    ("bind", "it says where to wait for subscribers"),
    ("connect", "it says which subscribers to connect to"),
    ("grace", "it says how long a feed outlives its last subscriber"),
    ("feeds_max", "it bounds the feeds of all routes"),
    ("processes_max", "it bounds the programs that run at once"),
    ("catalogue_topics_max", "it bounds the topics of all catalogues"),
    ("send_hwm", "it bounds the messages that wait for one subscriber"),
    ("queue_bytes_max", "it bounds the bytes that wait for one subscriber"),
    ("peers_max", "it bounds the subscribers at one time"),
    ("peers_per_address_max", "it bounds the subscribers of one address"),
    ("prefixes_max", "it bounds the subscriptions of one subscriber"),
    ("evict_after", "it says how long a subscriber may be full"),
    ("heartbeat", "it says how often subscribers are asked whether they are there"),
    ("heartbeat_timeout", "it says how long a subscriber may be silent"),
    ("last_values_bytes_max", "it bounds the last values that are kept"),
    ("status_prefix", "it says where the states of topics are published"),
    ("rule", "it begins a rule, as [[rule]]"),
    ("route", "it begins a route, as [[route]]"),
];

impl Config {
    /// Reads and checks the config of this file. The errors are lines for people, each with its place.
    pub(crate) fn read(path: &Path) -> Result<Config, Vec<String>> {
        let shown = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| vec![format!("{shown} cannot be read: {error}")])?;
        Config::parse(&text).map_err(|problems| {
            let place = |problem: Problem| {
                let (line, column) = line_and_column(&text, problem.at);
                format!("{shown}:{line}:{column}: {}", problem.text)
            };
            problems.into_iter().map(place).collect()
        })
    }

    /// Reads and checks the text of a config. The problems are in the order of the text.
    pub(crate) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
        let mut problems = Problems::default();
        let config = match DeTable::parse_recoverable(text) {
            (table, errors) if errors.is_empty() => {
                Config::from_keys(Keys::new("the config", 0, table.into_inner()), &mut problems)
            }
            (_, errors) => {
                for error in errors {
                    let at = error.span().map_or(0, |span| span.start);
                    problems.add(at, format!("not TOML: {}", error.message()));
                }
                None
            }
        };
        let Problems(mut problems) = problems;
        problems.sort();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// None with a problem, and maybe something with a problem too.
    fn from_keys(mut keys: Keys<'_>, problems: &mut Problems) -> Option<Config> {
        let nowhere = !keys.has("bind") && !keys.has("connect");
        let bind = endpoints(&mut keys, "bind", problems);
        let connect = endpoints(&mut keys, "connect", problems);
        if nowhere {
            problems.add(
                0,
                "nobody can subscribe; say where to wait for subscribers, as in bind = \"tcp://127.0.0.1:8888\"",
            );
        }
        let config = Config {
            grace: keys.duration("grace", problems).unwrap_or_default(),
            feeds_max: keys.number("feeds_max", 1..=COUNT_MAX, problems),
            catalogue_topics_max: keys.number("catalogue_topics_max", 1..=COUNT_MAX, problems),
            processes_max: keys
                .number("processes_max", 1..=COUNT_MAX, problems)
                .unwrap_or(PROCESSES_MAX_DEFAULT),
            status_prefix: keys.text("status_prefix", problems).map(|prefix| prefix.value),
            socket: socket(&mut keys, problems),
            rules: keys
                .tables("rule", problems)
                .into_iter()
                .filter_map(|rule| rule::read(rule, problems))
                .collect(),
            routes: routes(&mut keys, problems),
            bind,
            connect,
        };
        keys.finish(&KEYS, problems);
        Some(config)
    }
}

fn endpoints(keys: &mut Keys<'_>, key: &str, problems: &mut Problems) -> Vec<String> {
    let Some(found) = keys.one_or_more(key, problems) else { return Vec::new() };
    for endpoint in &found.value {
        if let Err(why) = args::endpoint(&endpoint.value) {
            problems.add(endpoint.at, format!("`{key}`: {why}"));
        }
    }
    found.value.into_iter().map(|endpoint| endpoint.value).collect()
}

fn socket(keys: &mut Keys<'_>, problems: &mut Problems) -> Socket {
    let mut number =
        |key, min, max| keys.number(key, min..=max, problems).and_then(|number| u64::try_from(number).ok());
    Socket {
        send_hwm: number("send_hwm", 0, COUNT_MAX).and_then(|number| u32::try_from(number).ok()),
        queue_bytes_max: number("queue_bytes_max", 1, BYTES_MAX),
        peers_max: number("peers_max", 1, COUNT_MAX).and_then(|number| u32::try_from(number).ok()),
        peers_per_address_max: number("peers_per_address_max", 1, COUNT_MAX)
            .and_then(|number| u32::try_from(number).ok()),
        prefixes_max: number("prefixes_max", 1, COUNT_MAX).and_then(|number| u32::try_from(number).ok()),
        last_values_bytes_max: number("last_values_bytes_max", 1, 1 << 40),
        evict_after: keys.tick("evict_after", problems),
        heartbeat: keys.heartbeat(["heartbeat", "heartbeat_timeout"], problems),
    }
}

fn routes(keys: &mut Keys<'_>, problems: &mut Problems) -> Vec<Route> {
    if !keys.has("route") {
        problems.add(0, "there are no routes; add one that begins with [[route]]");
    }
    let mut routes: Vec<(usize, Route)> = Vec::new();
    for table in keys.tables("route", problems) {
        let Some((at, route)) = route::read(table, problems) else { continue };
        for (_, other) in &routes {
            if let Some(why) = contradiction(&other.pattern, &route.pattern) {
                problems.add(at, why);
            }
        }
        routes.push((at, route));
    }
    routes.into_iter().map(|(_, route)| route).collect()
}

/// Why two routes cannot stand together: the library would refuse them, but knows no line.
fn contradiction(one: &Pattern, other: &Pattern) -> Option<String> {
    if !one.overlaps(other) {
        return None;
    }
    match (one.covers(other), other.covers(one)) {
        (true, true) => {
            Some(format!("the routes `{one}` and `{other}` have the same topics; remove one of them"))
        }
        (false, false) => Some(format!(
            "the routes `{one}` and `{other}` share topics, and neither lies within the other; narrow one of them"
        )),
        _ => None,
    }
}

/// The line and the column, in characters, both from 1, of the byte at this offset.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
