//! The `oncue` command: which subcommand runs, and with which exit status it ends. What they do lives in their files.

mod args;
mod demand;
mod demo;
mod output;
mod pub_;
mod serve;
mod signals;
mod sub;
mod ticks;
mod turned_away;
mod wait;

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use oncue::ErrorKind;

use crate::output::say;
use crate::signals::Stop;

/// Exit status when `--timeout` passed.
const STATUS_TIMEOUT: u8 = 3;
/// Exit status of bad usage; clap ends with the same one.
const STATUS_USAGE: u8 = 2;
/// Exit status of whatever else went wrong.
const STATUS_FAILURE: u8 = 1;

/// Why a subcommand ended otherwise than it was asked to.
#[derive(Debug)]
enum Fail {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// Something went wrong while running.
    Runtime(String),
    /// The time given was over.
    Timeout(String),
    /// Nobody reads standard output any more: time to go, and no failure.
    OutputClosed,
}

impl From<oncue::Error> for Fail {
    fn from(error: oncue::Error) -> Fail {
        match error.kind() {
            ErrorKind::Misuse => Fail::Usage(error.to_string()),
            _ => Fail::Runtime(error.to_string()),
        }
    }
}

type Run = fn(&ArgMatches, &Stop) -> Result<(), Fail>;

/// Each subcommand: how it is described, and what runs it.
const SUBCOMMANDS: [(fn() -> Command, Run); 5] = [
    (demo::command, demo::run),
    (sub::command, sub::run),
    (pub_::command, pub_::run),
    (demand::command, demand::run),
    (serve::command, serve::run),
];

fn main() -> ExitCode {
    if let Some(status) = serve::become_program() {
        return status;
    }
    let matches = cli().get_matches();
    let Some((name, args)) = matches.subcommand() else { return ExitCode::from(STATUS_USAGE) };
    let ran = Stop::on_signals().and_then(|stop| {
        let (_, run) = SUBCOMMANDS
            .iter()
            .find(|(command, _)| command().get_name() == name)
            .expect("clap knows no subcommands but these");
        run(args, &stop)
    });
    let (status, why) = match ran {
        Ok(()) | Err(Fail::OutputClosed) => return ExitCode::SUCCESS,
        Err(Fail::Usage(why)) => (STATUS_USAGE, why),
        Err(Fail::Runtime(why)) => (STATUS_FAILURE, why),
        Err(Fail::Timeout(why)) => (STATUS_TIMEOUT, why),
    };
    say(name, &why);
    ExitCode::from(status)
}

fn cli() -> Command {
    let about = "Publish/subscribe on cue: values are produced only while somebody subscribes to them.";
    let endpoints = "Endpoints are tcp://HOST:PORT (bind tcp://*:0 for any free port), ipc://PATH and ipc://@NAME.\n\
                     They speak ZeroMQ's protocol: any ZeroMQ SUB, XSUB, PUB or XPUB can be the other side.";
    Command::new("oncue")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!("{endpoints}\n\nExample:\n  oncue demo"))
        .subcommands(SUBCOMMANDS.map(|(command, _)| command()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }

    #[test]
    fn every_subcommand_explains_itself_with_an_example() {
        for (command, _) in SUBCOMMANDS {
            let mut command = command();
            let name = command.get_name().to_owned();
            let help = command.render_help().to_string();
            let example = help.split("Example").nth(1).expect("an example in the help");
            assert!(example.contains(&format!("oncue {name} ")), "{help}");
        }
    }
}
