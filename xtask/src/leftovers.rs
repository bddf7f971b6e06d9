//! `cargo xtask leftovers`: checks in many rounds that nothing leaks (descriptors, threads, memory), or soaks an example and
//! observes its process.

use std::process::Command;

use crate::step::shown;
use crate::workspace::cargo;
use crate::{Trouble, nothing_left, take_number};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let rounds = take_number(&mut args, "--rounds")?;
    let minutes = take_number(&mut args, "--soak")?;
    nothing_left(&args)?;
    if let Some(minutes) = minutes {
        step(cargo(&["build", "--release", "--package", "oncue-cli"]))?;
        let minutes = minutes.to_string();
        return step(cargo(&[
            "run",
            "--release",
            "--package",
            "oncue-interop",
            "--bin",
            "soak",
            "--",
            &minutes,
        ]));
    }
    let packages = ["--package", "oncue", "--package", "oncue-cli", "--package", "oncue-mesh"];
    let mut command = cargo(&["test", "--test", "leftovers", "--no-fail-fast"]);
    command.args(packages).args(["--", "--nocapture", "--test-threads", "1"]);
    if let Some(rounds) = rounds {
        command.env("ONCUE_LEFTOVERS_ROUNDS", rounds.to_string());
    }
    step(command)
}

fn step(mut command: Command) -> Result<(), Trouble> {
    println!("== leftovers: {}", shown(&command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("cargo could not be started: {why}"))),
    }
}
