//! The subcommands, each in its own file or folder. None imports another.

use clap::{ArgMatches, Command};

use crate::fail::Fail;
use crate::signals::Stop;

mod demand;
mod demo;
mod pub_;
mod serve;
mod sub;

pub(crate) use self::serve::become_guardian;

type Run = fn(&ArgMatches, &Stop) -> Result<(), Fail>;

/// For each subcommand its description for clap, and the function that runs it.
pub(crate) const SUBCOMMANDS: [(fn() -> Command, Run); 5] = [
    (demo::command, demo::run),
    (sub::command, sub::run),
    (pub_::command, pub_::run),
    (demand::command, demand::run),
    (serve::command, serve::run),
];
