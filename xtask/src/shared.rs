//! `cargo xtask shared`: what a value of a shared program of `oncue serve` costs, beside pyzmq's PUB.

use crate::workspace::{cargo, target};
use crate::{Trouble, nothing_left, python};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let python = python::with_pyzmq().map_err(Trouble::Cannot)?;
    let build = ["build", "--release", "--package", "oncue-cli", "--package", "oncue-interop", "--bins"];
    let mut measure = std::process::Command::new(target().join("release").join("shared"));
    measure.env("ONCUE_PYTHON", &python.program).env("ONCUE_BIN", target().join("release").join("oncue"));
    if let Some(packages) = &python.packages {
        measure.env("PYTHONPATH", packages);
    }
    println!("== shared: {}", python.versions);
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
