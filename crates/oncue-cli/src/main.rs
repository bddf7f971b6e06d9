//! The `oncue` command: it picks the subcommand and the exit status. What a subcommand does is in its own file.

mod args;
mod asked;
mod commands;
mod config;
mod connections;
mod fail;
mod json;
mod lines;
#[cfg(feature = "mesh")]
mod mesh;
mod metrics;
mod nearest;
mod notify;
mod output;
mod pace;
mod page;
mod progress;
mod publisher;
mod record;
mod security;
mod signals;
mod stdio;
mod table;
mod ticks;
mod viewer;
mod wait;

use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::commands::{Run, SUBCOMMANDS, Subcommand, become_guardian, become_program};
use crate::fail::Fail;
use crate::nearest::nearest;
use crate::signals::{STATUS_SIGNAL, Stop};
use crate::stdio::complain;

/// Exit status when `--timeout` has passed.
const STATUS_TIMEOUT: u8 = 3;
/// Exit status for wrong usage, the same as clap's.
const STATUS_USAGE: u8 = 2;
/// Exit status for any other failure.
const STATUS_FAILURE: u8 = 1;

fn main() -> ExitCode {
    if let Some(status) = become_guardian().or_else(become_program) {
        return status;
    }
    let matches = cli().try_get_matches().unwrap_or_else(|error| suggesting(error).exit());
    let Some((name, args)) = matches.subcommand() else { return ExitCode::from(STATUS_USAGE) };
    let known = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name);
    let subcommand = known.expect("clap knows only these subcommands");
    let stop = Stop::default();
    let ran = start(subcommand, &stop).and_then(|()| match subcommand.run {
        Run::Work(run) => run(args, &stop),
        #[cfg(feature = "manual")]
        Run::Describe(run) => run(cli(), args, &stop),
    });
    stop.bid_farewell();
    let printed = stdio::finish(&stop, matches!(ran, Err(Fail::Timeout(_))));
    let mut status = 0;
    for failure in [ran, printed].into_iter().filter_map(Result::err) {
        let (failed, why) = judge(failure);
        status = if status == 0 { failed } else { status };
        why.into_iter().for_each(|why| complain(name, &why));
    }
    stdio::finish_errors();
    ExitCode::from(status)
}

/// Starts what every subcommand needs.
fn start(subcommand: &Subcommand, stop: &Stop) -> Result<(), Fail> {
    stop.on([SIGINT, SIGTERM])?;
    if subcommand.ends_on_hangup {
        stop.on_hangup()?;
    }
    stdio::start(subcommand.name, subcommand.reader, stop)
}

/// The exit status for a failure, and what is said about it.
fn judge(failure: Fail) -> (u8, Option<String>) {
    match failure {
        Fail::Usage(why) => (STATUS_USAGE, Some(why)),
        Fail::Runtime(why) => (STATUS_FAILURE, Some(why)),
        Fail::Timeout(why) => (STATUS_TIMEOUT, Some(why)),
        Fail::Signal(signal) => (u8::try_from(STATUS_SIGNAL + signal).unwrap_or(STATUS_FAILURE), None),
    }
}

/// An error that names the subcommand that may be meant. clap finds none for a short word with two letters exchanged.
fn suggesting(mut error: clap::Error) -> clap::Error {
    let known = SUBCOMMANDS.iter().map(|subcommand| subcommand.name);
    if error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(name) = nearest(typed, known)
    {
        let suggested = ContextValue::Strings(vec![name.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, suggested);
    }
    error
}

fn cli() -> Command {
    let about = "Publish/subscribe on cue: a value is produced only while somebody subscribes to it.";
    let endpoints = "Endpoints are tcp://HOST:PORT (bind tcp://*:0 for any free port), ipc://PATH and ipc://@NAME. \
                     They speak ZeroMQ's protocol: the other side may be any ZeroMQ SUB, XSUB, PUB or XPUB.\n\nONCUE_ENDPOINT is the endpoint of sub, pub, demand, routes, top and serve --bind \
                     if they are given none.";
    Command::new("oncue")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!("{endpoints}\n\nExample:\n  oncue demo"))
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }

    #[test]
    fn the_help_fits_a_terminal_of_80_columns() {
        for mut command in [cli()].into_iter().chain(SUBCOMMANDS.iter().map(|known| (known.command)())) {
            command = command.term_width(80);
            let help = command.render_long_help().to_string();
            // A word is never cut, and clap does not wrap the usage.
            let mut lines = help.lines().filter(|line| !line.starts_with("Usage:"));
            let wide = lines.find(|line| line.chars().count() > 80 && line.trim().contains(' '));
            assert_eq!(wide, None, "oncue {}", command.get_name());
        }
    }

    #[test]
    fn every_subcommand_explains_itself_with_an_example() {
        for subcommand in SUBCOMMANDS {
            let mut command = (subcommand.command)();
            let name = command.get_name().to_owned();
            assert_eq!(name, subcommand.name);
            let help = command.render_help().to_string();
            let example = help.split("Example").nth(1).expect("an example in the help");
            assert!(example.contains(&format!("oncue {name} ")), "{help}");
        }
    }
}
