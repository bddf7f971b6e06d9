//! `oncue mesh`: a node that joins the publishers and subscribers of a site with those of others, and the mesh as a site sees it.

#[cfg(feature = "mesh")]
mod node;
mod status;

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, arg, value_parser};

use crate::config;
use crate::fail::Fail;
use crate::signals::Stop;
use crate::stdio;

pub(crate) fn command() -> Command {
    Command::new("mesh")
        .about("Join this site's publishers and subscribers with those of other sites")
        .after_help(HELP)
        .after_long_help(format!("{HELP}\n\n{}", config::mesh_help()))
        .override_usage("oncue mesh CONFIG [--check]\n       oncue mesh status ENDPOINT [--watch] [--json]")
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .arg(arg!(config: <CONFIG> "The site: a TOML file").value_parser(value_parser!(PathBuf)))
        .arg(arg!(--check "Check CONFIG, print its mistakes, and end"))
        .subcommand(status::command())
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    if let Some(("status", args)) = args.subcommand() {
        stop.on_hangup()?;
        stdio::only_prints();
        return status::run(args, stop);
    }
    let path = args.get_one::<PathBuf>("config").expect("clap checks that the value is there");
    node(path, args.get_flag("check"), stop)
}

#[cfg(feature = "mesh")]
fn node(path: &Path, only_check: bool, stop: &Stop) -> Result<(), Fail> {
    if only_check {
        stop.on_hangup()?;
        return node::check(path);
    }
    node::run(path, stop)
}

#[cfg(not(feature = "mesh"))]
fn node(_: &Path, _: bool, _: &Stop) -> Result<(), Fail> {
    let why =
        "this oncue was built without the feature `mesh`, which has Zenoh; install it with --features full";
    Err(Fail::Runtime(why.to_owned()))
}

const HELP: &str = "\
Subscribers of each site get what publishers of all sites publish. A publisher is told the union of what is wanted everywhere, and a \
value crosses the network once for each site that wants it. Sites are linked by Zenoh; on both local sides there is ZeroMQ's protocol.

  site = \"paris\"
  publishers = \"tcp://127.0.0.1:8888\"     # such as oncue serve
  subscribers = \"tcp://127.0.0.1:9999\"    # where oncue sub and others connect
  [link]
  role = \"edge\"                           # or router, or peer
  routers = \"tcp/10.0.0.1:7447\"

An oncue serve can be a site itself, by a section [mesh] of its config with the same keys. docs/MESH.md has examples, and what is promised.

On SIGHUP the config and the files of [link] are read again: if something has changed there, the site leaves the mesh and joins again; its \
subscribers and publishers stay. On SIGUSR1 what has passed is printed.

Examples:
  oncue mesh mesh.toml
  oncue mesh status tcp://127.0.0.1:9999";
