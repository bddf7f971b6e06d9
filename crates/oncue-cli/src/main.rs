//! The `oncue` command: it picks the subcommand and the exit status. What a subcommand does is in its own file.

mod args;
mod commands;
mod fail;
mod lines;
mod output;
mod publisher;
mod signals;
mod ticks;
mod wait;

use std::process::ExitCode;

use clap::Command;

use crate::commands::{SUBCOMMANDS, become_guardian};
use crate::fail::Fail;
use crate::output::say;
use crate::signals::Stop;

/// Exit status when `--timeout` has passed.
const STATUS_TIMEOUT: u8 = 3;
/// Exit status for wrong usage, the same as clap's.
const STATUS_USAGE: u8 = 2;
/// Exit status for any other failure.
const STATUS_FAILURE: u8 = 1;

fn main() -> ExitCode {
    if let Some(status) = become_guardian() {
        return status;
    }
    let matches = cli().get_matches();
    let Some((name, args)) = matches.subcommand() else { return ExitCode::from(STATUS_USAGE) };
    let ran = Stop::on_signals().and_then(|stop| {
        let (_, run) = SUBCOMMANDS
            .iter()
            .find(|(command, _)| command().get_name() == name)
            .expect("clap knows only these subcommands");
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
    let about = "Publish/subscribe on cue: a value is produced only while somebody subscribes to it.";
    let endpoints = "Endpoints are tcp://HOST:PORT (bind tcp://*:0 for any free port), ipc://PATH and ipc://@NAME.\n\
                     They speak ZeroMQ's protocol: the other side may be any ZeroMQ SUB, XSUB, PUB or XPUB.";
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
