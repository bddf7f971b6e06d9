//! The keys of a route.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oncue::demand::{LastLimits, Pattern};

use super::guard;
use super::model::{Backoff, Catalogue, FilePath, Listing, Program, Restart, Route, Source};
use super::nearest::nearest;
use super::reader::{At, BYTES_MAX, COUNT_MAX, Found, Keys, Problems};
use super::template::Template;

const LINE_BYTES_MAX_DEFAULT: usize = 1 << 20;
const OUTPUT_BYTES_MAX_DEFAULT: usize = 16 << 20;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const KILL_AFTER_DEFAULT: Duration = Duration::from_secs(2);
/// How often a file is looked at.
const LOOK_DEFAULT: Duration = Duration::from_millis(250);

/// Feeds of a route that takes a thread for each.
const FEEDS_MAX_DEFAULT: usize = 1000;
const BACKOFF_DEFAULT: Backoff = Backoff { min: Duration::from_millis(200), max: Duration::from_secs(30) };

/// The keys of routes, and what each is for.
pub(super) const KEYS: [(&str, &str); 21] = [
    ("topic", "it names the topics of the route"),
    ("grace", "it says how long a feed outlives its last subscriber"),
    ("min_run", "it says how long a feed runs at least"),
    ("min_interval", "it says how far apart the values of a topic are"),
    ("feeds_max", "it bounds the feeds of the route"),
    ("keep_last", "it keeps the last value of each topic"),
    ("catalogue", "it lists topics of the route"),
    ("command", "it is the program of the route"),
    ("file", "it is the file of the route"),
    ("every", "it is for a route with `file`, or with `command` and no `mode`"),
    ("mode", "it is for a route with `command` and no `every`, or with `file`"),
    ("cwd", FOR_PROGRAMS),
    ("env", FOR_PROGRAMS),
    ("allow_dash", FOR_PROGRAMS),
    ("kill_after", FOR_PROGRAMS),
    ("timeout", "it is for a route with `command` and `every`"),
    (
        "output_bytes_max",
        "it is for a route with `command` and `every`, or with `file` and mode = \"content\"",
    ),
    ("line_bytes_max", "it is for a route whose values are lines"),
    ("restart", "it is for a route with mode = \"stream\" or mode = \"shared\""),
    ("backoff_min", FOR_PROGRAMS),
    ("backoff_max", FOR_PROGRAMS),
];
const FOR_PROGRAMS: &str = "it is for a route with `command`";

/// The keys of a catalogue that is a program.
pub(super) const CATALOGUE_KEYS: [(&str, &str); 7] = [
    ("command", "it is the program that lists"),
    ("every", "it says how often the program lists"),
    ("timeout", "it bounds the time of a run"),
    ("output_bytes_max", "it bounds what a run writes"),
    ("cwd", FOR_PROGRAMS),
    ("env", FOR_PROGRAMS),
    ("kill_after", FOR_PROGRAMS),
];

/// The keys of what is kept.
pub(super) const LAST_KEYS: [(&str, &str); 3] = [
    ("age_max", "it bounds the age of a last value"),
    ("bytes_max", "it bounds what is kept for the route"),
    ("outlive", "it keeps a last value when nobody wants its topic any more"),
];

/// Reads a route; also where its topic stands. None with a problem, and maybe something with a problem too.
pub(super) fn read(mut keys: Keys<'_>, problems: &mut Problems) -> Option<(usize, Route)> {
    let topic = keys.text("topic", problems);
    let pattern = topic.as_ref().and_then(|topic| {
        keys.name = format!("{} (`{}`)", keys.name, topic.value);
        Pattern::parse(&topic.value)
            .map_err(|error| problems.add(topic.at, format!("`topic` of {}: {error}", keys.name)))
            .ok()
    });
    if topic.is_none() {
        problems.add(
            keys.at,
            format!("{} has no `topic`; give it one, such as \"prices/{{symbol}}\"", keys.name),
        );
    }
    // Read on without a pattern: every mistake is shown at once.
    let place = topic.map_or(keys.at, |topic| topic.at);
    let grace = keys.duration("grace", problems);
    let min_run = keys.duration("min_run", problems).unwrap_or_default();
    let min_interval = keys.duration("min_interval", problems).unwrap_or_default();
    let feeds_max = keys.number("feeds_max", 1..=COUNT_MAX, problems);
    let keep_last = keep_last(&mut keys, problems);
    let catalogue = catalogue(&mut keys, pattern.as_ref(), problems);
    let source = source(&mut keys, pattern.as_ref(), problems);
    keys.finish(&KEYS, problems);
    let (pattern, source) = (pattern?, source?);
    let has_threads = !matches!(source, Source::Shared { .. });
    let feeds_max = feeds_max.or(has_threads.then_some(FEEDS_MAX_DEFAULT));
    Some((
        place,
        Route { pattern, grace, min_run, min_interval, feeds_max, keep_last, catalogue: catalogue?, source },
    ))
}

/// Reads true, false, or a table of limits.
fn keep_last(keys: &mut Keys<'_>, problems: &mut Problems) -> Option<LastLimits> {
    let mut limits = match keys.flag_or_table("keep_last", problems)? {
        Found::Value(keeps) => return keeps.then(LastLimits::default),
        Found::Table(limits) => limits,
    };
    let last = LastLimits {
        age_max: limits.duration("age_max", problems),
        bytes_max: limits
            .number("bytes_max", 1..=BYTES_MAX, problems)
            .and_then(|bytes| u64::try_from(bytes).ok()),
        outlive: limits.flag("outlive", problems).unwrap_or_default(),
    };
    limits.finish(&LAST_KEYS, problems);
    Some(last)
}

fn catalogue(keys: &mut Keys<'_>, pattern: Option<&Pattern>, problems: &mut Problems) -> Option<Catalogue> {
    match keys.texts_or_table("catalogue", problems) {
        None => Some(Catalogue::Topics(Vec::new())),
        Some(Found::Table(table)) => listing(table, problems).map(Catalogue::Listing),
        Some(Found::Value(topics)) => {
            for topic in &topics {
                if pattern.is_some_and(|pattern| !pattern.matches(topic.value.as_bytes())) {
                    let text = format!(
                        "`catalogue` of {} has `{}`, which is no topic of it; remove it or correct it",
                        keys.name, topic.value
                    );
                    problems.add(topic.at, text);
                }
            }
            Some(Catalogue::Topics(topics.into_iter().map(|topic| topic.value).collect()))
        }
    }
}

/// A program that lists topics is run for the route, not for a topic: it has no parameters.
fn listing(mut keys: Keys<'_>, problems: &mut Problems) -> Option<Listing> {
    let every = keys.tick("every", problems);
    if every.is_none() {
        let text = format!("{} does not say how often it is listed; give it `every`", keys.name);
        problems.add(keys.at, text);
    }
    let timeout = keys.duration("timeout", problems).unwrap_or(TIMEOUT_DEFAULT);
    let output_bytes_max = output_bytes_max(&mut keys, problems);
    let kill_after = keys.duration("kill_after", problems).unwrap_or(KILL_AFTER_DEFAULT);
    let (cwd, env) = surroundings(&mut keys, problems);
    if !keys.has("command") {
        problems.add(keys.at, format!("{} has no `command`; give it one", keys.name));
    }
    let command = command(&mut keys, Some(&Pattern::literal("")), None, problems);
    keys.finish(&CATALOGUE_KEYS, problems);
    let program =
        Program { command: command?, cwd, env, allow_dash: false, kill_after, backoff: BACKOFF_DEFAULT };
    Some(Listing { program, every: every?, timeout, output_bytes_max })
}

fn source(keys: &mut Keys<'_>, pattern: Option<&Pattern>, problems: &mut Problems) -> Option<Source> {
    match (keys.has("command"), keys.has("file")) {
        (true, false) => program_source(keys, pattern, problems),
        (false, true) => file_source(keys, pattern, problems),
        (both, _) => {
            let text = if both {
                "has both `command` and `file`; remove one"
            } else {
                "has no producer; give it `command` or `file`"
            };
            problems.add(keys.at, format!("{} {text}", keys.name));
            forget(keys, problems);
            None
        }
    }
}

fn program_source(keys: &mut Keys<'_>, pattern: Option<&Pattern>, problems: &mut Problems) -> Option<Source> {
    let mode = keys.text("mode", problems);
    let shared = mode.as_ref().is_some_and(|mode| mode.value == "shared");
    let program = program(keys, pattern, shared, problems);
    match mode.as_ref().map(|mode| (mode.at, mode.value.as_str())) {
        None if keys.has("every") => {
            let every = keys.tick("every", problems);
            let timeout = keys.duration("timeout", problems).unwrap_or(TIMEOUT_DEFAULT);
            let output_bytes_max = output_bytes_max(keys, problems);
            Some(Source::Runs { program: program?, every: every?, timeout, output_bytes_max })
        }
        None => {
            let text = format!(
                "{} does not say when `command` runs; give it `every`, mode = \"stream\" or mode = \"shared\"",
                keys.name
            );
            problems.add(keys.at, text);
            forget(keys, problems);
            None
        }
        Some((_, kind @ ("stream" | "shared"))) => {
            let restart = restart(keys, problems);
            let line_bytes_max = line_bytes_max(keys, problems);
            let program = program?;
            Some(if kind == "stream" {
                Source::Stream { program, restart, line_bytes_max }
            } else {
                Source::Shared { program, restart, line_bytes_max }
            })
        }
        Some((at, other)) => {
            unknown_mode(keys, at, other, &["stream", "shared"], problems);
            None
        }
    }
}

fn file_source(keys: &mut Keys<'_>, pattern: Option<&Pattern>, problems: &mut Problems) -> Option<Source> {
    let file = keys.text("file", problems);
    let path = file.and_then(|file| file_path(keys, &file, pattern, problems));
    let every = keys.tick("every", problems).unwrap_or(LOOK_DEFAULT);
    let mode = keys.text("mode", problems);
    match mode.as_ref().map_or((0, "lines"), |mode| (mode.at, mode.value.as_str())) {
        (_, "lines") => {
            let line_bytes_max = line_bytes_max(keys, problems);
            Some(Source::Lines { path: path?, every, line_bytes_max })
        }
        (_, "content") => {
            let output_bytes_max = output_bytes_max(keys, problems);
            Some(Source::Content { path: path?, every, output_bytes_max })
        }
        (at, other) => {
            unknown_mode(keys, at, other, &["lines", "content"], problems);
            None
        }
    }
}

/// Takes the keys that cannot be judged, since what the route is has not been said well enough.
fn forget(keys: &mut Keys<'_>, problems: &mut Problems) {
    for (key, _) in KEYS {
        keys.take(key, problems, |_| Ok(()));
    }
}

fn unknown_mode(keys: &mut Keys<'_>, at: usize, mode: &str, known: &[&str], problems: &mut Problems) {
    let list = known.iter().map(|mode| format!("\"{mode}\"")).collect::<Vec<_>>().join(" or ");
    problems.add(at, format!("`mode` of {} is \"{mode}\"; write {list}", keys.name));
    forget(keys, problems);
}

fn program(
    keys: &mut Keys<'_>,
    pattern: Option<&Pattern>,
    shared: bool,
    problems: &mut Problems,
) -> Option<Program> {
    let (cwd, env) = surroundings(keys, problems);
    let allow_dash = keys.flag("allow_dash", problems).unwrap_or_default();
    let kill_after = keys.duration("kill_after", problems).unwrap_or(KILL_AFTER_DEFAULT);
    let backoff = backoff(keys, problems);
    let no_params = shared.then_some("one program serves all topics, and is told them on standard input");
    let command = command(keys, pattern, no_params, problems)?;
    if let Some(why) = pattern.and_then(|pattern| guard::same_variable(pattern.names())) {
        problems.add(keys.at, format!("{}: {why}", keys.name));
    }
    Some(Program { command, cwd, env, allow_dash, kill_after, backoff })
}

/// Where a program runs, and what is added to its environment.
fn surroundings(keys: &mut Keys<'_>, problems: &mut Problems) -> (Option<PathBuf>, BTreeMap<String, String>) {
    (keys.text("cwd", problems).map(|cwd| PathBuf::from(cwd.value)), env(keys, problems))
}

/// The program and its arguments; `no_params` says why they have no parameters, if they must not.
fn command(
    keys: &mut Keys<'_>,
    pattern: Option<&Pattern>,
    no_params: Option<&str>,
    problems: &mut Problems,
) -> Option<Vec<Template>> {
    let words = keys.texts("command", problems)?;
    if words.value.is_empty() {
        let text = format!("`command` of {} is empty; write the program and its arguments", keys.name);
        problems.add(words.at, text);
        return None;
    }
    let found = problems.0.len();
    let mut command = Vec::with_capacity(words.value.len());
    for (index, word) in words.value.iter().enumerate() {
        let Some(template) = template(keys, "command", word, pattern, problems) else { continue };
        if template.names().next().is_some() {
            let first =
                (index == 0).then_some("a stranger must not choose the program; name it without parameters");
            if let Some(why) = first.or(no_params) {
                let text = format!("`command` of {} has a parameter in `{}`: {why}", keys.name, word.value);
                problems.add(word.at, text);
            }
        }
        command.push(template);
    }
    if problems.0.len() == found {
        for (index, why) in guard::scripts(&command) {
            let at = words.value.get(index).map_or(words.at, |word| word.at);
            problems.add(at, format!("`command` of {}: {why}", keys.name));
        }
    }
    Some(command)
}

fn env(keys: &mut Keys<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let Some(found) = keys.text_table("env", problems) else { return BTreeMap::new() };
    for (name, value) in &found.value {
        if name.value.is_empty() || name.value.contains(['=', '\0']) || value.contains('\0') {
            let text = format!(
                "`env` of {} has `{}`, which no variable can be called",
                keys.name,
                name.value.escape_debug()
            );
            problems.add(name.at, text);
        }
    }
    found.value.into_iter().map(|(name, value)| (name.value, value)).collect()
}

fn restart(keys: &mut Keys<'_>, problems: &mut Problems) -> Restart {
    let when = keys.take("restart", problems, |value| match value.as_str() {
        Some("always") => Ok(Restart::Always),
        Some("failure") => Ok(Restart::Failure),
        Some("never") => Ok(Restart::Never),
        _ => Err("write \"always\", \"failure\" or \"never\"".to_owned()),
    });
    when.map_or(Restart::Failure, |found| found.value)
}

fn backoff(keys: &mut Keys<'_>, problems: &mut Problems) -> Backoff {
    let min = keys.tick("backoff_min", problems).unwrap_or(BACKOFF_DEFAULT.min);
    let max = keys.tick("backoff_max", problems).unwrap_or(BACKOFF_DEFAULT.max.max(min));
    if max < min {
        let text =
            format!("`backoff_max` of {} is shorter than `backoff_min`; make it as long at least", keys.name);
        problems.add(keys.at, text);
    }
    Backoff { min, max }
}

fn line_bytes_max(keys: &mut Keys<'_>, problems: &mut Problems) -> usize {
    keys.number("line_bytes_max", 1..=BYTES_MAX, problems).unwrap_or(LINE_BYTES_MAX_DEFAULT)
}

fn output_bytes_max(keys: &mut Keys<'_>, problems: &mut Problems) -> usize {
    keys.number("output_bytes_max", 1..=BYTES_MAX, problems).unwrap_or(OUTPUT_BYTES_MAX_DEFAULT)
}

/// Splits the path of a file where the first parameter decides: what comes before is the directory that is never left.
fn file_path(
    keys: &Keys<'_>,
    file: &At<String>,
    pattern: Option<&Pattern>,
    problems: &mut Problems,
) -> Option<FilePath> {
    let whole = template(keys, "file", file, pattern, problems)?;
    let mut wrong = |why: &str| {
        problems.add(file.at, format!("`file` of {}: {why}", keys.name));
        None
    };
    if file.value.contains('\0') {
        return wrong("no path has a NUL byte; remove it");
    }
    let (head, _) = whole.head();
    let (directory, rest) = match head.rfind('/') {
        Some(at) => file.value.split_at(at + 1),
        None => ("./", file.value.as_str()),
    };
    // The head's braces are doubled in the text: a directory with braces in its name is not worth a second parser.
    if directory.contains(['{', '}']) {
        return wrong("a directory with braces in its name cannot stand here; name it otherwise");
    }
    if rest.is_empty() {
        return wrong("it names a directory; add the name of a file");
    }
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return wrong("after the first parameter, no part of the path may be empty, `.` or `..`; remove it");
    }
    let path = Template::parse(rest).ok()?;
    Some(FilePath { directory: PathBuf::from(directory), path })
}

/// Reads a text with parameters, all of which the topic must have.
fn template(
    keys: &Keys<'_>,
    key: &str,
    text: &At<String>,
    pattern: Option<&Pattern>,
    problems: &mut Problems,
) -> Option<Template> {
    let template = match Template::parse(&text.value) {
        Ok(template) => template,
        Err(why) => {
            problems.add(text.at, format!("`{key}` of {}: {why}", keys.name));
            return None;
        }
    };
    let pattern = pattern?;
    for name in template.names() {
        if pattern.names().all(|known| known != name) {
            let remedy = match nearest(name, pattern.names()) {
                Some(known) => format!("did you mean `{{{known}}}`?"),
                None => "the topic has none of this name; write {{ and }} for braces".to_owned(),
            };
            problems.add(text.at, format!("`{key}` of {} uses `{{{name}}}`; {remedy}", keys.name));
        }
    }
    Some(template)
}
