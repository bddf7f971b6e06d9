//! `cargo xtask miri`: the tests of the packages without I/O under Miri, which finds undefined behaviour in them and in the crates
//! that they use. It needs a nightly toolchain with the component miri.

use std::process::{Command, Stdio};

use crate::step::{self, Counts, Tally};
use crate::workspace::root;
use crate::{Trouble, nothing_left};

const PACKAGES: &[&str] = &["oncue-pattern", "oncue-core"];
/// What `cargo xtask test` has time for: the package and the modules.
const IN_TEST: (&str, &[&str]) = ("oncue-core", &["backoff::", "command::"]);

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let filter = if args.is_empty() { None } else { Some(args.remove(0)) };
    nothing_left(&args)?;
    if !is_there() {
        return Err(Trouble::Cannot(
            "Miri is missing: `rustup toolchain install nightly --component miri,rust-src`".to_owned(),
        ));
    }
    let mut tally = Tally::default();
    let filters: Vec<&str> = filter.iter().map(String::as_str).collect();
    PACKAGES.iter().for_each(|package| tally.add(test(package, &filters)));
    tally.finish()
}

/// The modules that are quick enough, if Miri is there.
pub(crate) fn steps() -> Tally {
    if is_there() {
        return test(IN_TEST.0, IN_TEST.1);
    }
    println!("== miri: SKIPPED, there is no nightly toolchain with the component miri");
    Tally { skipped: 1, ..Tally::default() }
}

fn test(package: &str, filters: &[&str]) -> Tally {
    let mut command = cargo();
    command.args(["miri", "test", "--package", package, "--lib", "--no-fail-fast", "--"]).args(filters);
    // A filter may find nothing in one of the packages.
    let counts = if filters.len() == 1 { Counts::AsOne } else { Counts::TestResults };
    step::run(&format!("miri {package}"), command, counts)
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
