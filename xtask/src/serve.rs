//! Long measurements of the command, each a binary of lab/interop: `cargo xtask shared`, what a value of a shared program
//! costs beside pyzmq's PUB; `cargo xtask soak [MINUTES]`, whether anything wears out; `cargo xtask storm [MINUTES]`, whether
//! subscribers by the ten thousand leave anything.

use std::process::Command;

use crate::step::shown;
use crate::workspace::{cargo, target};
use crate::{Trouble, nothing_left, python};

pub(crate) fn shared(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    run("shared", None)
}

pub(crate) fn soak(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args.get(1..).unwrap_or_default())?;
    run("soak", args.first())
}

pub(crate) fn storm(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args.get(1..).unwrap_or_default())?;
    built("storm", measure("storm", args.first()))
}

/// Runs a binary that needs pyzmq.
fn run(name: &str, arg: Option<&String>) -> Result<(), Trouble> {
    let python = python::with_pyzmq().map_err(Trouble::Cannot)?;
    let mut measure = measure(name, arg);
    measure.env("ONCUE_PYTHON", &python.program);
    if let Some(packages) = &python.packages {
        measure.env("PYTHONPATH", packages);
    }
    println!("== {name}: {}", python.versions);
    built(name, measure)
}

fn measure(name: &str, arg: Option<&String>) -> Command {
    let release = target().join("release");
    let mut measure = Command::new(release.join(name));
    measure.args(arg).env("ONCUE_BIN", release.join("oncue"));
    measure
}

/// Builds everything for release, and runs the binary.
fn built(name: &str, measure: Command) -> Result<(), Trouble> {
    let build = ["build", "--release", "--package", "oncue-cli", "--package", "oncue-interop", "--bins"];
    println!("== {name}: {}", shown(&measure));
    for mut command in [cargo(&build), measure] {
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(Trouble::Failed),
            Err(why) => {
                return Err(Trouble::Cannot(format!("{command:?} could not be started: {why}")));
            }
        }
    }
    Ok(())
}
