//! The subcommands, each in its own file or folder. None imports another.

use clap::{ArgMatches, Command};

use crate::fail::Fail;
use crate::signals::Stop;
use crate::stdio::Reader;

mod demand;
mod demo;
mod keygen;
#[cfg(feature = "manual")]
mod manual;
mod mesh;
mod passwd;
mod proxy;
mod pub_;
mod routes;
mod serve;
mod sub;
mod top;

pub(crate) use self::serve::{become_guardian, become_program};

/// A subcommand.
pub(crate) struct Subcommand {
    pub(crate) name: &'static str,
    /// Describes it for clap.
    pub(crate) command: fn() -> Command,
    pub(crate) run: Run,
    pub(crate) reader: Reader,
    /// Whether SIGHUP ends it, as when its terminal is closed.
    pub(crate) ends_on_hangup: bool,
}

/// What a subcommand does.
pub(crate) enum Run {
    Work(fn(&ArgMatches, &Stop) -> Result<(), Fail>),
    /// Its subject is the whole command line.
    #[cfg(feature = "manual")]
    Describe(fn(Command, &ArgMatches, &Stop) -> Result<(), Fail>),
}

#[rustfmt::skip]
pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { name: "demo", command: demo::command, run: Run::Work(demo::run), reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "sub", command: sub::command, run: Run::Work(sub::run), reader: Reader::Everything, ends_on_hangup: true },
    Subcommand { name: "pub", command: pub_::command, run: Run::Work(pub_::run), reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "demand", command: demand::command, run: Run::Work(demand::run), reader: Reader::Everything, ends_on_hangup: true },
    Subcommand { name: "routes", command: routes::command, run: Run::Work(routes::run), reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "top", command: top::command, run: Run::Work(top::run), reader: Reader::Everything, ends_on_hangup: true },
    Subcommand { name: "proxy", command: proxy::command, run: Run::Work(proxy::run), reader: Reader::Optional, ends_on_hangup: true },
    Subcommand { name: "relay", command: proxy::relay, run: Run::Work(proxy::run_relay), reader: Reader::Optional, ends_on_hangup: true },
    Subcommand { name: "mesh", command: mesh::command, run: Run::Work(mesh::run), reader: Reader::Optional, ends_on_hangup: false },
    Subcommand { name: "keygen", command: keygen::command, run: Run::Work(keygen::run), reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "passwd", command: passwd::command, run: Run::Work(passwd::run), reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "serve", command: serve::command, run: Run::Work(serve::run), reader: Reader::Optional, ends_on_hangup: false },
    #[cfg(feature = "manual")]
    Subcommand { name: "completions", command: manual::completions, run: Run::Describe(manual::run_completions), reader: Reader::Everything, ends_on_hangup: true },
    #[cfg(feature = "manual")]
    Subcommand { name: "man", command: manual::man, run: Run::Describe(manual::run_man), reader: Reader::Everything, ends_on_hangup: true },
];
