//! Reads a route: which of the five kinds it is, and its keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use oncue::demand::{Backoff, LastLimits, Pattern, Template};

use super::guard;
use super::keys::{CONTENT, FILE, LAST, LINES, LISTING, PROGRAM, Places, ROUTE, RUNS, SHARED, STREAM};
use super::model::{
    Catalogue, Confinement, FilePath, Framing, Program, Restart, Route, Running, Runs, Source, Watched,
    located, within,
};
use super::reader::{At, Keys, Needed, texts};
use super::socket::on_full;
use super::user::User;
use crate::nearest::nearest;

/// Reads a route, and where its topic stands. `grace` is that of the config. The route counts only if there is no problem
/// in the end.
pub(super) fn read(mut keys: Keys<'_, '_>, grace: Duration) -> Option<(usize, Route)> {
    let at = keys.at("topic");
    // The rest is read without a pattern too, so that every mistake is shown at once.
    let pattern = keys.take::<Option<String>>("topic").and_then(|topic| {
        keys.name = format!("{} (`{topic}`)", keys.name);
        Pattern::parse(&topic).map_err(|error| keys.refuse(at, "topic", error)).ok()
    });
    keys.places = places(&keys);
    let source = source(&mut keys, pattern.as_ref());
    let (grace, feeds_max) = (keys.take::<Option<_>>("grace").unwrap_or(grace), keys.take("feeds_max"));
    let (min_run, min_interval) = (keys.take("min_run"), keys.take("min_interval"));
    let (fresh_for, once) = rests(&mut keys, source.as_ref());
    let keep_last = keep_last(&mut keys, fresh_for.is_some(), once);
    let on_full = on_full(&mut keys);
    let frames = texts(keys.take("frames"));
    let catalogue = catalogue(&mut keys, pattern.as_ref(), source.as_ref().and_then(Source::user));
    keys.finish();
    let (pattern, source) = (pattern?, source?);
    let route = Route {
        pattern,
        grace,
        min_run,
        min_interval,
        feeds_max,
        keep_last,
        fresh_for,
        once,
        on_full,
        frames,
        catalogue,
        source,
    };
    Some((at, route))
}

/// The kind of a route; several kinds if its keys do not determine one.
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
    if places != ROUTE && keys.has("mode") {
        keys.take::<String>("mode");
    }
    match places {
        RUNS => Some(Source::Runs(runs(keys, pattern, None))),
        STREAM => Some(Source::Stream(running(keys, pattern))),
        SHARED => Some(Source::Shared(running(keys, pattern))),
        LINES => Some(Source::Lines(watched(keys, "line_bytes_max", pattern)?)),
        CONTENT => Some(Source::Content(watched(keys, "output_bytes_max", pattern)?)),
        // Its keys are checked all the same.
        PROGRAM => {
            program(keys, pattern, None);
            None
        }
        FILE => {
            file_path(keys, pattern);
            None
        }
        _ => None,
    }
}

/// `user`: as whom the program runs unless its table says so.
fn runs(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>, user: Option<&User>) -> Runs {
    Runs {
        program: program(keys, pattern, user),
        every: keys.take("every"),
        timeout: keys.take("timeout"),
        output_bytes_max: keys.take("output_bytes_max"),
        // The list of a catalogue has lines.
        trim: keys.places & LISTING != 0 || keys.take("trim"),
    }
}

fn running(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Running {
    Running {
        program: program(keys, pattern, None),
        restart: match keys.take::<String>("restart").as_str() {
            "always" => Restart::Always,
            "never" => Restart::Never,
            _ => Restart::Failure,
        },
        framing: match keys.take::<String>("framing").as_str() {
            "length" => Framing::Length,
            "json" => Framing::Json,
            _ => Framing::Lines,
        },
        idle: if keys.places & SHARED != 0 { keys.take("idle") } else { Duration::ZERO },
        line_bytes_max: keys.take("line_bytes_max"),
    }
}

fn watched(keys: &mut Keys<'_, '_>, bytes_max: &str, pattern: Option<&Pattern>) -> Option<Watched> {
    let (every, bytes_max) = (keys.take("every"), keys.take(bytes_max));
    let trim = keys.places & CONTENT != 0 && keys.take("trim");
    Some(Watched { path: file_path(keys, pattern)?, every, bytes_max, trim })
}

/// How long a value is good enough, and whether a topic rests after it.
fn rests(keys: &mut Keys<'_, '_>, source: Option<&Source>) -> (Option<Duration>, bool) {
    if keys.places & (RUNS | STREAM) == 0 {
        return (None, false);
    }
    let at = keys.at("once");
    let (fresh_for, once) = (keys.take("fresh_for"), keys.take("once"));
    if once && matches!(source, Some(Source::Stream(Running { restart: Restart::Always, .. }))) {
        let why =
            "it contradicts restart = \"always\": a program that has ended rests; leave one of them out";
        keys.refuse(at, "once", why);
    }
    (fresh_for, once)
}

/// The limits of last values. `fresh`, `once`: these keys keep them anyway, the first beyond the last subscriber.
fn keep_last(keys: &mut Keys<'_, '_>, fresh: bool, once: bool) -> Option<LastLimits> {
    let (at, given) = (keys.at("keep_last"), keys.has("keep_last"));
    let Some(mut limits) = keys.inner("keep_last", LAST) else {
        let keeps = keys.take::<bool>("keep_last");
        if (fresh || once) && given && !keeps {
            let why =
                "it contradicts `fresh_for` and `once`, which keep the last value; leave one of them out";
            keys.refuse(at, "keep_last", why);
        }
        return keeps.then(LastLimits::default);
    };
    let outlive_at = limits.has("outlive").then(|| limits.at("outlive"));
    let last = LastLimits {
        age_max: limits.take("age_max"),
        bytes_max: limits.take("bytes_max"),
        outlive: limits.take("outlive"),
    };
    if let Some(at) = outlive_at.filter(|_| fresh && !last.outlive) {
        let why = "it contradicts `fresh_for`, which keeps a value that nobody wants; leave it out";
        limits.refuse(at, "outlive", why);
    }
    limits.finish();
    Some(last)
}

/// `user`: as whom the program of the route runs.
fn catalogue(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>, user: Option<&User>) -> Catalogue {
    if let Some(mut listing) = keys.inner("catalogue", LISTING) {
        // The program runs for the route, not for a topic: it has no parameters.
        let runs = runs(&mut listing, Some(&Pattern::literal("")), user);
        listing.finish();
        return Catalogue::Listing(runs);
    }
    let topics: Vec<At> = keys.take("catalogue");
    for topic in &topics {
        if pattern.is_some_and(|pattern| !pattern.matches(topic.text.as_bytes())) {
            let why = format!("`{}` is not a topic of the route; remove or correct it", topic.text);
            keys.refuse(topic.at, "catalogue", why);
        }
    }
    Catalogue::Topics(texts(topics))
}

/// The keys about a program. The program of a catalogue has fewer.
fn program(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>, user: Option<&User>) -> Program {
    if let Some(why) = pattern.and_then(|pattern| guard::same_variable(pattern.names())) {
        keys.problems.add(keys.at, format!("{}: {why}", keys.name));
    }
    let is_producer = keys.places & PROGRAM != 0;
    let (env, at) = (env(keys), keys.at("cwd"));
    let directory = keys.problems.directory;
    let cwd = keys.take::<Option<String>>("cwd").map_or(directory.to_owned(), |given| {
        let cwd = within(directory, given);
        keys.need(at, "cwd", Needed::Directory(cwd.clone()));
        cwd
    });
    Program {
        command: command(keys, pattern, env.get("PATH")),
        directory: directory.to_owned(),
        cwd,
        env,
        stop_after: if keys.places & SHARED != 0 { keys.take("stop_after") } else { Duration::ZERO },
        kill_after: keys.take("kill_after"),
        allow_dash: is_producer && keys.take("allow_dash"),
        backoff: if is_producer {
            backoff(keys)
        } else {
            Backoff { min: Duration::ZERO, max: Duration::ZERO }
        },
        confinement: confinement(keys, user).into(),
    }
}

/// What the program may not do, and may not take. `user`: as whom it runs unless its table says so.
fn confinement(keys: &mut Keys<'_, '_>, user: Option<&User>) -> Confinement {
    let at = keys.at("user");
    let given = keys.take::<Option<String>>("user").map(|text| User::named(&text));
    let user = given.map_or(user.cloned(), |user| user.map_err(|why| keys.refuse(at, "user", why)).ok());
    Confinement {
        user,
        memory_max: keys.take("memory_max"),
        cpu_max: keys.take("cpu_max"),
        files_max: keys.take("files_max"),
        new_privileges: keys.take("new_privileges"),
        clean_environment: keys.take("clean_environment"),
    }
}

/// The program and its arguments. `path` is the program's own variable PATH.
fn command(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>, path: Option<&String>) -> Vec<Template> {
    let at = keys.at("command");
    let Some(words) = keys.take::<Option<Vec<At>>>("command") else { return Vec::new() };
    if words.is_empty() {
        keys.refuse(at, "command", "it is empty; write the program and its arguments");
    }
    let found = keys.problems.count();
    let mut command = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
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
                keys.refuse(word.at, "command", format_args!("`{}` has a parameter, but {why}", word.text));
            }
        }
        command.push(template);
    }
    if keys.problems.count() == found {
        for (index, why) in guard::scripts(&command) {
            keys.refuse(words.get(index).map_or(at, |word| word.at), "command", why);
        }
    }
    if let (Some(program), Some(word)) = (command.first(), words.first()) {
        let name = OsString::from_vec(program.fill(|_| &[]));
        let path = (located(keys.problems.directory, &name), path.cloned());
        keys.need(word.at, "command", Needed::Program { path: path.0, directories: path.1 });
    }
    command
}

fn env(keys: &mut Keys<'_, '_>) -> BTreeMap<String, String> {
    let variables: Vec<(At, String)> = keys.take("env");
    for (name, value) in &variables {
        if name.text.is_empty() || name.text.contains(['=', '\0']) || value.contains('\0') {
            let name_shown = name.text.escape_debug();
            keys.refuse(
                name.at,
                "env",
                format_args!(
                    "`{name_shown}` is not possible: no name is empty or has `=`, and neither has NUL"
                ),
            );
        }
    }
    variables.into_iter().map(|(name, value)| (name.text, value)).collect()
}

fn backoff(keys: &mut Keys<'_, '_>) -> Backoff {
    let given = keys.has("backoff_max");
    let (min, max): (Duration, Duration) = (keys.take("backoff_min"), keys.take("backoff_max"));
    if given && max < min {
        keys.refuse(keys.at, "backoff_max", "it is shorter than `backoff_min`; make it at least as long");
    }
    Backoff { min, max: max.max(min) }
}

/// Splits the path of a file: the directory before the first parameter is the one that is never left.
fn file_path(keys: &mut Keys<'_, '_>, pattern: Option<&Pattern>) -> Option<FilePath> {
    let file: At = keys.take::<Option<_>>("file")?;
    let whole = template(keys, "file", &file, pattern)?;
    let refuse = |why: &str| {
        keys.refuse(file.at, "file", why);
        None
    };
    if file.text.contains('\0') {
        return refuse("no path has a NUL byte; remove it");
    }
    let (directory, rest) = match whole.head().rfind('/') {
        Some(at) => file.text.split_at(at + 1),
        None => ("", file.text.as_str()),
    };
    // `split_at` would be wrong where braces are doubled in the text.
    if directory.contains(['{', '}']) {
        return refuse("a directory with braces in its name is not supported; rename it");
    }
    if rest.is_empty() {
        return refuse("it names a directory; add the name of a file");
    }
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("after the first parameter, no part of the path may be empty, `.` or `..`; remove it");
    }
    let directory = within(keys.problems.directory, directory);
    keys.need(file.at, "file", Needed::Directory(directory.clone()));
    Some(FilePath { directory, path: Template::parse(rest).ok()? })
}

/// Reads a text with parameters, all of which the topic must have.
fn template(keys: &Keys<'_, '_>, key: &str, text: &At, pattern: Option<&Pattern>) -> Option<Template> {
    let template = Template::parse(&text.text)
        .map_err(|error| {
            let (at, problem) = (error.at(), error.problem());
            keys.refuse(text.at, key, format_args!("`{}`, at byte {at}: {problem}", text.text));
        })
        .ok()?;
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
