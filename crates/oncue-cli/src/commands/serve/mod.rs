//! `oncue serve`: produces values with the programs and files of a config; without a config it counts.

mod count;
mod metrics;
mod missing;
#[cfg(not(feature = "mesh"))]
mod no_site;
mod passed;
mod produce;
mod program;
mod report;
mod routes;
mod server;
#[cfg(feature = "mesh")]
mod site;
mod unserved;
mod web;

use std::path::PathBuf;

use clap::{ArgMatches, Command, arg, value_parser};

pub(crate) use self::program::confine::become_program;
pub(crate) use self::program::guardian::become_guardian;
use crate::fail::Fail;
use crate::signals::Stop;
use crate::{args, security};

pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Produce what is wanted with programs and files, as a config says")
        .after_help(HELP)
        .after_long_help(format!("{HELP}\n\n{}", crate::config::help()))
        .override_usage("oncue serve CONFIG [--check]\n       oncue serve --bind ENDPOINT --every DUR")
        .arg(
            arg!(config: [CONFIG] "The routes: a TOML file")
                .required_unless_present_any(["bind", "every"])
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(arg!(--check "Check CONFIG, print its mistakes and what it names and is missing, and end").requires("config"))
        .arg(
            arg!(--bind <ENDPOINT> "Without CONFIG: where to wait for subscribers; they get a counter on every topic that they want [env: ONCUE_ENDPOINT]")
                .conflicts_with("config")
                .value_parser(args::endpoint),
        )
        .arg(
            args::every_option()
                .conflicts_with("config")
                .required_unless_present("config")
                .help("Without CONFIG: the time between two ticks of the counter"),
        )
        .args(args::heartbeat_options().into_iter().chain(security::options()).map(|arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.conflicts_with("config").help(format!("Without CONFIG (which has keys for it): {help}"))
        }))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    match args.get_one::<PathBuf>("config") {
        Some(path) if args.get_flag("check") => server::check(path),
        Some(path) => server::run(path, stop),
        None => count::run(args, stop),
    }
}

const HELP: &str = "\
A route names topics and says where their values come from. Nothing runs for a topic without a subscriber.

  bind = \"tcp://127.0.0.1:8888\"
  [[route]]                                   # one run of a program for each value
  topic = \"proc/{pid:int}/rss\"
  command = [\"ps\", \"-o\", \"rss=\", \"-p\", \"{pid}\"]
  every = \"500ms\"
  [[route]]                                   # one program for each topic; its lines are the values
  topic = \"answer/{question:word}\"
  command = [\"python3\", \"model.py\", \"{question}\"]
  mode = \"stream\"
  [[route]]                                   # one program for all topics; it reads lines +TOPIC and -TOPIC,
  topic = \"prices/{symbol:word}\"              # and writes lines TOPIC<TAB>VALUE
  command = [\"python3\", \"prices.py\"]
  mode = \"shared\"
  [[route]]                                   # the lines appended to a file; mode = \"content\" for all of it
  topic = \"log/{name:word}\"
  file = \"logs/{name}.log\"

A message has two frames, the topic and the value; with `framing` a value holds any bytes. Programs run without a shell. \
They run in the directory of CONFIG unless they have `cwd`, and relative paths begin there. Prints `+ TOPIC` when a topic \
begins to be produced and `- TOPIC` when that ends.

On SIGHUP the config is read again; what has not changed is not disturbed. On SIGUSR1 the counts of each route are printed.

Example:
  oncue serve examples/host.toml";

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_config_of_the_help_is_one() {
        let indented = super::HELP.split("A message").next().expect("what comes before");
        let text: String = indented
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = Config::parse(&text, std::path::Path::new("/"))
            .unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
        assert_eq!(config.routes.len(), 4);
    }
}
