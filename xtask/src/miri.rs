//! `cargo xtask miri`: the tests of the packages without I/O under Miri, which finds undefined behaviour in them and in the crates
//! that they use. It needs a nightly toolchain with the component miri.

use std::process::{Command, Stdio};

use crate::step::{self, Counts, Tally};
use crate::workspace::root;
use crate::{Trouble, nothing_left};

const PACKAGES: [&str; 2] = ["oncue-pattern", "oncue-core"];
/// Tests that take more than minutes under Miri: they try all inputs of a kind, or measure work.
const SLOW: &[&str] = &[];

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    if !is_there() {
        return Err(Trouble::Cannot(
            "Miri is missing: `rustup toolchain install nightly --component miri,rust-src`".to_owned(),
        ));
    }
    steps().finish()
}

pub(crate) fn steps() -> Tally {
    if !is_there() {
        println!("== miri: SKIPPED, there is no nightly toolchain with the component miri");
        return Tally { skipped: 1, ..Tally::default() };
    }
    let mut tally = Tally::default();
    for package in PACKAGES {
        let mut command = cargo();
        command.args(["miri", "test", "--package", package, "--lib", "--no-fail-fast", "--"]);
        SLOW.iter().for_each(|test| _ = command.args(["--skip", test]));
        tally.add(step::run(&format!("miri {package}"), command, Counts::TestResults));
    }
    tally
}

fn is_there() -> bool {
    let mut command = cargo();
    command.args(["miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Not the cargo that runs this: only rustup's proxy on the PATH accepts `+nightly`.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").arg("+nightly");
    command
}
