//! A route: which of the five kinds it is, and its keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oncue::demand::{LastLimits, Pattern};

use super::guard;
use super::keys::{CONTENT, FILE, LAST, LINES, LISTING, PROGRAM, Places, ROUTE, RUNS, SHARED, STREAM};
use super::model::{Backoff, Catalogue, FilePath, Listing, Program, Restart, Route, Source};
use super::nearest::nearest;
use super::reader::{At, Found, Keys};
use super::template::Template;

/// Reads a route; also where its topic stands. `grace` is that of the config. None with a problem, and maybe something
/// with a problem too.
pub(super) fn read(mut keys: Keys<'_, '_>, grace: Duration) -> Option<At<Route>> {
    let topic: Option<At<String>> = keys.take("topic");
    let at = topic.as_ref().map_or(keys.at, |topic| topic.at);
    // Without a pattern the rest is read all the same: every mistake is shown at once.
    let pattern = topic.and_then(|topic| {
        keys.name = format!("{} (`{}`)", keys.name, topic.value);
        Pattern::parse(&topic.value).map_err(|error| keys.refuse(at, "topic", error)).ok()
    });
    keys.places = places(&keys);
    let source = source(&mut keys, pattern.as_ref());
    let (grace, feeds_max) = (keys.take::<Option<_>>("grace").unwrap_or(grace), keys.take("feeds_max"));
    let (min_run, min_interval) = (keys.take("min_run"), keys.take("min_interval"));
    let keep_last = keep_last(&mut keys);
    let catalogue = catalogue(&mut keys, pattern.as_ref());
    keys.finish();
    let (pattern, source) = (pattern?, source?);
    let value = Route { pattern, grace, min_run, min_interval, feeds_max, keep_last, catalogue, source };
    Some(At { at, value })
}

/// The kind of a route; several kinds where it does not say which it is.
fn places(keys: &Keys<'_, '_>) -> Places {
    match (keys.has("command"), keys.has("file"), keys.has("mode"), keys.text("mode")) {
        (true, false, false, _) if keys.has("every") => RUNS,
        (true, false, false, _) => {
            keys.add(
                keys.at,
                "does not say when `command` runs; give it `every`, mode = \"stream\" or mode = \"shared\"",
            );
            PROGRAM
        }
        (true, false, true, Some("stream")) => STREAM,
        (true, false, true, Some("shared")) => SHARED,
        (true, false, true, _) => PROGRAM,
        (false, true, false, _) | (false, true, true, Some("lines")) => LINES,
        (false, true, true, Some("content")) => CONTENT,
        (false, true, true, _) => FILE,
        (both, ..) => {
            let text = match both {
                true => "has both `command` and `file`; remove one",
                false => "has no producer; give it `command` or `file`",
            };
            keys.add(keys.at, text);
            ROUTE
        }
    }
}

fn source(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Option<Source> {
    let places = keys.places;
    if places == ROUTE {
        return None;
    }
    if keys.has("mode") {
        keys.take::<String>("mode");
    }
    if places & FILE == 0 {
        let program = program(keys, pattern);
        match places {
            RUNS => {
                let (every, timeout) = (keys.take("every"), keys.take("timeout"));
                Some(Source::Runs {
                    program,
                    every,
                    timeout,
                    output_bytes_max: keys.take("output_bytes_max"),
                })
            }
            STREAM => {
                let restart = restart(keys);
                Some(Source::Stream { program, restart, line_bytes_max: keys.take("line_bytes_max") })
            }
            SHARED => {
                let restart = restart(keys);
                Some(Source::Shared { program, restart, line_bytes_max: keys.take("line_bytes_max") })
            }
            _ => None,
        }
    } else {
        let path = file_path(keys, pattern)?;
        match places {
            LINES => {
                let every = keys.take("every");
                Some(Source::Lines { path, every, line_bytes_max: keys.take("line_bytes_max") })
            }
            CONTENT => {
                let every = keys.take("every");
                Some(Source::Content { path, every, output_bytes_max: keys.take("output_bytes_max") })
            }
            _ => None,
        }
    }
}

fn restart(keys: &mut Keys<'_, '_>) -> Restart {
    match keys.take::<String>("restart").as_str() {
        "always" => Restart::Always,
        "never" => Restart::Never,
        _ => Restart::Failure,
    }
}

fn keep_last(keys: &mut Keys<'_, '_>) -> Option<LastLimits> {
    let At { at, value } = keys.take::<Option<At<Found<'_, bool>>>>("keep_last")?;
    let mut limits = match value {
        Found::Value(keeps) => return keeps.then(LastLimits::default),
        Found::Table(table) => keys.inner("keep_last", at, table, LAST),
    };
    let last = LastLimits {
        age_max: limits.take("age_max"),
        bytes_max: limits.take("bytes_max"),
        outlive: limits.take("outlive"),
    };
    limits.finish();
    Some(last)
}

fn catalogue(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Catalogue {
    let found: Option<At<Found<'_, Vec<At<String>>>>> = keys.take("catalogue");
    let topics = match found {
        Some(At { at, value: Found::Table(table) }) => {
            let mut listing = keys.inner("catalogue", at, table, LISTING);
            let (every, timeout) = (listing.take("every"), listing.take("timeout"));
            let output_bytes_max = listing.take("output_bytes_max");
            // It is run for the route, not for a topic: it has no parameters.
            let program = program(&mut listing, Some(&Pattern::literal("")));
            listing.finish();
            return Catalogue::Listing(Listing { program, every, timeout, output_bytes_max });
        }
        Some(At { value: Found::Value(topics), .. }) => topics,
        None => Vec::new(),
    };
    for topic in &topics {
        if pattern.is_some_and(|pattern| !pattern.matches(topic.value.as_bytes())) {
            let why = format!("`{}` is not a topic of the route; remove or correct it", topic.value);
            keys.refuse(topic.at, "catalogue", why);
        }
    }
    Catalogue::Topics(topics.into_iter().map(|topic| topic.value).collect())
}

/// A program and how it is run. One that has no route has fewer keys.
fn program(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Program {
    if let Some(why) = pattern.and_then(|pattern| guard::same_variable(pattern.names())) {
        keys.problems.add(keys.at, format!("{}: {why}", keys.name));
    }
    let is_producer = keys.places & PROGRAM != 0;
    Program {
        command: command(keys, pattern),
        cwd: keys.take::<Option<String>>("cwd").map(PathBuf::from),
        env: env(keys),
        kill_after: keys.take("kill_after"),
        allow_dash: is_producer && keys.take("allow_dash"),
        backoff: if is_producer { backoff(keys) } else { Backoff::default() },
    }
}

/// The program and its arguments.
fn command(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Vec<Template> {
    let words: Option<At<Vec<At<String>>>> = keys.take("command");
    let Some(words) = words else { return Vec::new() };
    if words.value.is_empty() {
        keys.refuse(words.at, "command", "it is empty; write the program and its arguments");
    }
    let found = keys.problems.count();
    let mut command = Vec::with_capacity(words.value.len());
    for (index, word) in words.value.iter().enumerate() {
        let Some(template) = template(keys, "command", word, pattern) else { continue };
        if template.names().next().is_some() {
            let why = match index {
                0 => Some("a subscriber must not choose the program; name it without parameters"),
                _ if keys.places == SHARED => {
                    Some("one program serves all topics, and reads them on standard input; remove it")
                }
                _ => None,
            };
            if let Some(why) = why {
                keys.refuse(word.at, "command", format_args!("`{}` has a parameter, but {why}", word.value));
            }
        }
        command.push(template);
    }
    if keys.problems.count() == found {
        for (index, why) in guard::scripts(&command) {
            keys.refuse(words.value.get(index).map_or(words.at, |word| word.at), "command", why);
        }
    }
    command
}

fn env(keys: &mut Keys<'_, '_>) -> BTreeMap<String, String> {
    let variables: Vec<(At<String>, String)> = keys.take("env");
    for (name, value) in &variables {
        if name.value.is_empty() || name.value.contains(['=', '\0']) || value.contains('\0') {
            let name_shown = name.value.escape_debug();
            keys.refuse(
                name.at,
                "env",
                format_args!(
                    "`{name_shown}` is not possible: no name is empty or has `=`, and neither has NUL"
                ),
            );
        }
    }
    variables.into_iter().map(|(name, value)| (name.value, value)).collect()
}

fn backoff(keys: &mut Keys<'_, '_>) -> Backoff {
    let given = keys.has("backoff_max");
    let (min, max): (Duration, Duration) = (keys.take("backoff_min"), keys.take("backoff_max"));
    if given && max < min {
        keys.refuse(keys.at, "backoff_max", "it is shorter than `backoff_min`; make it at least as long");
    }
    Backoff { min, max: max.max(min) }
}

/// Splits the path of a file where the first parameter decides: what comes before is the directory that is never left.
fn file_path(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Option<FilePath> {
    let file: At<String> = keys.take::<Option<_>>("file")?;
    let whole = template(keys, "file", &file, pattern)?;
    let refuse = |why: &str| {
        keys.refuse(file.at, "file", why);
        None
    };
    if file.value.contains('\0') {
        return refuse("no path has a NUL byte; remove it");
    }
    let (head, _) = whole.head();
    let (directory, rest) = match head.rfind('/') {
        Some(at) => file.value.split_at(at + 1),
        None => ("./", file.value.as_str()),
    };
    // The head's braces are doubled in the text: a directory with braces in its name is not worth a second parser.
    if directory.contains(['{', '}']) {
        return refuse("a directory with braces in its name is not supported; rename it");
    }
    if rest.is_empty() {
        return refuse("it names a directory; add the name of a file");
    }
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("after the first parameter, no part of the path may be empty, `.` or `..`; remove it");
    }
    Some(FilePath { directory: PathBuf::from(directory), path: Template::parse(rest).ok()? })
}

/// Reads a text with parameters, all of which the topic must have.
fn template(
    keys: &Keys<'_, '_>,
    key: &str,
    text: &At<String>,
    pattern: Option<&Pattern>,
) -> Option<Template> {
    let template = Template::parse(&text.value).map_err(|why| keys.refuse(text.at, key, why)).ok()?;
    let pattern = pattern?;
    for name in template.names() {
        if pattern.names().all(|known| known != name) {
            let remedy = match nearest(name, pattern.names()) {
                Some(known) => format!("did you mean `{{{known}}}`?"),
                None => "write {{ and }} for braces".to_owned(),
            };
            keys.refuse(text.at, key, format_args!("the topic has no parameter `{{{name}}}`; {remedy}"));
        }
    }
    Some(template)
}
