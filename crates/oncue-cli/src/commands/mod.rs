//! The subcommands, each in a file or a folder of its own. None imports another.

use clap::{ArgMatches, Command};

use crate::fail::Fail;
use crate::signals::Stop;

mod demand;
mod demo;
mod pub_;
mod serve;
mod sub;

pub(crate) use self::serve::become_program;

type Run = fn(&ArgMatches, &Stop) -> Result<(), Fail>;

/// Each subcommand: how it is described, and what runs it.
pub(crate) const SUBCOMMANDS: [(fn() -> Command, Run); 5] = [
    (demo::command, demo::run),
    (sub::command, sub::run),
    (pub_::command, pub_::run),
    (demand::command, demand::run),
    (serve::command, serve::run),
];
