//! What a config says, after it has been read and checked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oncue::demand::{Backoff, LastLimits, Pattern, Template};
use oncue::{OnFull, Options};

use super::mesh::{LinkPlaces, Site};
use super::reader::Need;
use super::rule::Rule;
use super::user::User;
use crate::record::Style;
use crate::security::Places;

/// How `bind` names sockets that were passed to this process: this and a name, or this alone for all of them.
pub(crate) const PASSED: &str = "fd://";

/// What to serve.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) bind: Vec<String>,
    pub(crate) connect: Vec<String>,
    pub(crate) feeds_max: usize,
    pub(crate) starts_per_minute_max: u32,
    pub(crate) catalogue_topics_max: usize,
    pub(crate) processes_max: usize,
    /// The prefix of the topics on which the states of topics are published.
    pub(crate) status_prefix: Option<String>,
    /// The prefix of the topics about the server itself. None: there are none.
    pub(crate) observe: Option<String>,
    /// Where the page about the server is, and what its URL must have.
    pub(crate) http: Option<String>,
    pub(crate) http_token: Option<String>,
    /// The origins of other pages that may subscribe.
    pub(crate) origins: Vec<String>,
    /// The files of the certificate for TLS, and of its key.
    pub(crate) tls: Option<[PathBuf; 2]>,
    /// Where its metrics are.
    pub(crate) metrics: Option<String>,
    /// As which site it is in a mesh.
    pub(crate) mesh: Option<Site>,
    /// Where the keys of its link stand. They are not a part of it.
    #[cfg_attr(
        not(feature = "mesh"),
        expect(dead_code, reason = "the library of the mesh finds what stands there")
    )]
    pub(crate) link_at: Option<LinkPlaces>,
    /// The options of the socket, which cannot change while it is open.
    pub(crate) options: Options,
    pub(crate) log: Logging,
    /// Where its keys are, and those of its subscribers.
    pub(crate) security: Places,
    pub(crate) rules: Vec<Rule>,
    pub(crate) routes: Vec<Route>,
    /// Where the topic of each route stands, in bytes from the start of the text.
    pub(crate) places: Vec<usize>,
    /// What must exist when the routes are at work. It is not a part of them: a route stays the same when it is moved.
    pub(crate) needs: Vec<Need>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) style: Style,
    /// Whether it tells which topics are produced.
    pub(crate) demand: bool,
}

/// Topics, and where their values come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(crate) pattern: Pattern,
    pub(crate) grace: Duration,
    pub(crate) min_run: Duration,
    /// The least time between two values of a topic.
    pub(crate) min_interval: Duration,
    /// None: only the bound of all routes together applies.
    pub(crate) feeds_max: Option<usize>,
    pub(crate) keep_last: Option<LastLimits>,
    /// None: that of the socket.
    pub(crate) on_full: Option<OnFull>,
    /// How long a value is good enough.
    pub(crate) fresh_for: Option<Duration>,
    /// Whether a topic rests after a value until that is too old.
    pub(crate) once: bool,
    /// The frames of a message.
    pub(crate) frames: Vec<String>,
    pub(crate) catalogue: Catalogue,
    pub(crate) source: Source,
}

/// The topics that a subscription to a prefix such as `prices/` starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Catalogue {
    Topics(Vec<String>),
    Listing(Runs),
}

/// Where the values of a route come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// One run of a program for each value.
    Runs(Runs),
    /// One program for each topic; its lines are the values.
    Stream(Running),
    /// One program for all topics of the route.
    Shared(Running),
    /// The lines that are appended to a file.
    Lines(Watched),
    /// The whole content of a file, each time it changes.
    Content(Watched),
}

impl Source {
    /// As whom its program runs, if the config says so.
    pub(super) fn user(&self) -> Option<&User> {
        let program = match self {
            Source::Runs(runs) => &runs.program,
            Source::Stream(running) | Source::Shared(running) => &running.program,
            Source::Lines(_) | Source::Content(_) => return None,
        };
        program.confinement.user.as_ref()
    }
}

/// A program that runs periodically: its output is a value, or its lines are the topics of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs {
    pub(crate) program: Program,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) output_bytes_max: usize,
    /// Whether the newline at the end of a value is removed.
    pub(crate) trim: bool,
}

/// A program that runs as long as it is needed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) restart: Restart,
    pub(crate) framing: Framing,
    /// The longest line, or the largest value with a length.
    pub(crate) line_bytes_max: usize,
    /// How long a shared program runs while nothing is wanted.
    pub(crate) idle: Duration,
}

/// How the output of a program is cut into values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A value is a line.
    Lines,
    /// A value follows its length: 4 bytes, big-endian.
    Length,
    /// A JSON object is a line.
    Json,
}

/// A file that is looked at periodically.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Watched {
    pub(crate) path: FilePath,
    pub(crate) every: Duration,
    /// The longest line, or the largest content.
    pub(crate) bytes_max: usize,
    /// Whether the newline at the end of a content is removed.
    pub(crate) trim: bool,
}

/// A program, and how it runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    /// The program, which has no parameters, and its arguments.
    pub(crate) command: Vec<Template>,
    /// The directory of the config, where a relative path to the program begins.
    pub(crate) directory: PathBuf,
    /// Where the program runs.
    pub(crate) cwd: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    /// Whether the value of a parameter may begin an argument with a dash.
    pub(crate) allow_dash: bool,
    /// The time between the end of its input and TERM, for a program that has an input.
    pub(crate) stop_after: Duration,
    /// The time between TERM and KILL.
    pub(crate) kill_after: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) confinement: Arc<Confinement>,
}

/// What a program may not do, and may not take.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Confinement {
    /// As whom it runs; None for the user of `oncue`.
    pub(crate) user: Option<User>,
    /// In bytes of address space, for each of its processes, as are the next two.
    pub(crate) memory_max: Option<u64>,
    /// In processor time, of whole seconds.
    pub(crate) cpu_max: Option<Duration>,
    /// Open files.
    pub(crate) files_max: Option<u64>,
    /// Whether it may gain privileges by what it executes.
    pub(crate) new_privileges: bool,
    /// Whether it gets only a few variables of the environment of `oncue`.
    pub(crate) clean_environment: bool,
}

impl Program {
    /// The program and its arguments, for people.
    pub(crate) fn shown(&self) -> String {
        let words: Vec<_> = self.command.iter().map(ToString::to_string).collect();
        words.join(" ")
    }

    /// The path of the program, if it is one; its name if it is searched for.
    pub(crate) fn located(&self, name: &OsStr) -> PathBuf {
        located(&self.directory, name)
    }
}

pub(super) fn located(directory: &Path, name: &OsStr) -> PathBuf {
    if name.as_encoded_bytes().contains(&b'/') { within(directory, name) } else { name.into() }
}

/// A path that begins in a directory, unless it is absolute; without `.` in it.
pub(super) fn within(directory: &Path, path: impl AsRef<Path>) -> PathBuf {
    directory.join(path).components().collect()
}

/// After which ends a program is started again, while a topic of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    Failure,
    Never,
}

/// A file whose path has parameters. It is in the directory, or below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilePath {
    pub(crate) directory: PathBuf,
    /// The rest of the path, relative to the directory.
    pub(crate) path: Template,
}
