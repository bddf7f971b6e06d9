//! The subcommands, each in its own file or folder. None imports another.

use clap::{ArgMatches, Command};

use crate::fail::Fail;
use crate::signals::Stop;
use crate::stdio::Reader;

mod demand;
mod demo;
mod keygen;
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
    pub(crate) run: fn(&ArgMatches, &Stop) -> Result<(), Fail>,
    pub(crate) reader: Reader,
    /// Whether SIGHUP ends it, as when its terminal is closed.
    pub(crate) ends_on_hangup: bool,
}

#[rustfmt::skip]
pub(crate) const SUBCOMMANDS: [Subcommand; 11] = [
    Subcommand { name: "demo", command: demo::command, run: demo::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "sub", command: sub::command, run: sub::run, reader: Reader::Everything, ends_on_hangup: true },
    Subcommand { name: "pub", command: pub_::command, run: pub_::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "demand", command: demand::command, run: demand::run, reader: Reader::Everything, ends_on_hangup: true },
    Subcommand { name: "routes", command: routes::command, run: routes::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "top", command: top::command, run: top::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "proxy", command: proxy::command, run: proxy::run, reader: Reader::Optional, ends_on_hangup: true },
    Subcommand { name: "relay", command: proxy::relay, run: proxy::run_relay, reader: Reader::Optional, ends_on_hangup: true },
    Subcommand { name: "keygen", command: keygen::command, run: keygen::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "passwd", command: passwd::command, run: passwd::run, reader: Reader::Wanted, ends_on_hangup: true },
    Subcommand { name: "serve", command: serve::command, run: serve::run, reader: Reader::Optional, ends_on_hangup: false },
];
