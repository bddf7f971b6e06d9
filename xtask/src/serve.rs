//! Long measurements of `oncue serve`, each a binary of lab/interop: `cargo xtask shared`, what a value of a shared program
//! costs beside pyzmq's PUB; `cargo xtask soak [MINUTES]`, whether anything wears out.

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

/// Builds everything for release, and runs the binary.
fn run(name: &str, arg: Option<&String>) -> Result<(), Trouble> {
    let python = python::with_pyzmq().map_err(Trouble::Cannot)?;
    let build = ["build", "--release", "--package", "oncue-cli", "--package", "oncue-interop", "--bins"];
    let mut measure = std::process::Command::new(target().join("release").join(name));
    measure.args(arg);
    measure.env("ONCUE_PYTHON", &python.program).env("ONCUE_BIN", target().join("release").join("oncue"));
    if let Some(packages) = &python.packages {
        measure.env("PYTHONPATH", packages);
    }
    println!("== {name}: {}", python.versions);
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
