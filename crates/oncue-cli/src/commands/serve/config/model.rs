//! What a config says, once it has been read and checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oncue::demand::{Backoff, LastLimits, Pattern};

use super::rule::Rule;
use super::template::Template;
use crate::args::Heartbeat;

/// What to serve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) bind: Vec<String>,
    pub(crate) connect: Vec<String>,
    pub(crate) feeds_max: usize,
    pub(crate) catalogue_topics_max: usize,
    pub(crate) processes_max: usize,
    /// What the topics begin with that tell the states of topics.
    pub(crate) status_prefix: Option<String>,
    pub(crate) socket: Socket,
    pub(crate) rules: Vec<Rule>,
    pub(crate) routes: Vec<Route>,
}

/// What is settled when the socket is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Socket {
    pub(crate) send_hwm: u32,
    pub(crate) queue_bytes_max: u64,
    pub(crate) peers_max: u32,
    /// None for no bound.
    pub(crate) peers_per_address_max: Option<u32>,
    pub(crate) prefixes_max: u32,
    /// None for never.
    pub(crate) evict_after: Option<Duration>,
    pub(crate) last_values_bytes_max: u64,
    pub(crate) heartbeat: Heartbeat,
}

/// Topics and where their values come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(crate) pattern: Pattern,
    pub(crate) grace: Duration,
    pub(crate) min_run: Duration,
    /// The least time between two values of a topic.
    pub(crate) min_interval: Duration,
    /// None for no bound but that of all routes together.
    pub(crate) feeds_max: Option<usize>,
    pub(crate) keep_last: Option<LastLimits>,
    pub(crate) catalogue: Catalogue,
    pub(crate) source: Source,
}

/// The topics that prefixes such as `prices/` start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Catalogue {
    Topics(Vec<String>),
    Listing(Runs),
}

/// Where the values of a route come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// A run of a program for each value.
    Runs(Runs),
    /// A program for each topic; its lines are the values.
    Stream(Running),
    /// One program for all topics of the route.
    Shared(Running),
    /// The lines that are appended to a file.
    Lines(Watched),
    /// The whole content of a file, whenever it changes.
    Content(Watched),
}

/// A program that is run again and again: its output is a value, or its lines are the topics of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs {
    pub(crate) program: Program,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) output_bytes_max: usize,
}

/// A program that runs on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) restart: Restart,
    pub(crate) line_bytes_max: usize,
}

/// A file that is looked at again and again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Watched {
    pub(crate) path: FilePath,
    pub(crate) every: Duration,
    /// Of a line, or of the content.
    pub(crate) bytes_max: usize,
}

/// A program and how it is run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    /// The program itself comes first, and has no parameters.
    pub(crate) command: Vec<Template>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    /// Whether a value may begin an argument with a dash.
    pub(crate) allow_dash: bool,
    /// The time that it has to end by itself when it is told to.
    pub(crate) kill_after: Duration,
    pub(crate) backoff: Backoff,
}

/// When a program that has ended is started again, while somebody wants what it produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    Failure,
    Never,
}

/// A file that is named by parameters. It lies in the directory, or below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilePath {
    pub(crate) directory: PathBuf,
    /// Relative to the directory.
    pub(crate) path: Template,
}
