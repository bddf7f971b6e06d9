//! `cargo xtask ship`: the command as it is shipped, and what operators use beside it. A static program in an empty root, the
//! Debian package, the page of metrics before Prometheus. A machine that lacks something skips it, and says so.

use std::path::PathBuf;
use std::process::Command;

use crate::step::{self, Counts, Tally};
use crate::tools::{Origin, tool};
use crate::workspace::{cargo, root, target};
use crate::{Trouble, command, nothing_left};

/// The tests of lab/interop that need these things are behind this feature.
const FEATURE: &str = "oncue-interop/shipped";

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let build = command::build();
    if build.failed > 0 {
        return build.finish();
    }
    let mut tests = cargo(&["test", "--package", "oncue-interop", "--features", FEATURE, "--no-fail-fast"]);
    tests.args(["--test", "shipped"]).env(command::VARIABLE, command::program());
    let mut tally = provide(&mut tests);
    let metrics = metrics(cargo(&["test", "--package", "oncue-cli", "--features", command::FULL]), &tests);
    tally.add(step::run("ship", tests, Counts::TestResults));
    tally.add(step::run("metrics", metrics, Counts::TestResults));
    tally.finish()
}

/// Makes what the tests need, and says what this machine lacks.
pub(crate) fn provide(tests: &mut Command) -> Tally {
    let mut tally = Tally::default();
    tests.env("ONCUE_ROOT", root());
    let program = static_program(&mut tally);
    let made = program.as_ref().map_err(Clone::clone).and_then(|_| debian_package(&mut tally));
    let tool = |name| tool(name, Origin::Debian("prometheus"));
    for (variable, name, found) in [
        ("ONCUE_STATIC", "the static program", program),
        ("ONCUE_DEB", "the Debian package", made),
        ("ONCUE_PROMETHEUS", "prometheus", tool("prometheus")),
        ("ONCUE_PROMTOOL", "promtool", tool("promtool")),
    ] {
        if let Err(why) = &found {
            println!("== ship: SKIPPED {name}: {why}");
            tally.skipped += 1;
        }
        tests.env(variable, found.unwrap_or_default());
    }
    tally
}

/// The page of metrics before Prometheus: tests that a plain `cargo test` ignores. They need what `provided` was given.
pub(crate) fn metrics(mut tests: Command, provided: &Command) -> Command {
    tests.args(["--bin", "oncue", "scraped", "--", "--ignored"]);
    for (variable, value) in provided.get_envs() {
        tests.env(variable, value.unwrap_or_default());
    }
    tests
}

/// Linux with a C library that can be linked in.
fn triple() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Builds the command so that it needs no library.
fn static_program(tally: &mut Tally) -> Result<PathBuf, String> {
    let triple = triple();
    let has = |output: &str| output.lines().any(|line| line == triple);
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let listed = listed.map_err(|why| format!("rustup could not be started: {why}"))?;
    if !has(&String::from_utf8_lossy(&listed.stdout)) {
        let added = Command::new("rustup").args(["target", "add", &triple]).status();
        if !added.is_ok_and(|status| status.success()) {
            return Err(format!("rustup target add {triple} has failed"));
        }
    }
    // Releases have all that is heavy to build.
    let build =
        ["build", "--release", "--locked", "--package", "oncue-cli", "--all-features", "--target", &triple];
    let mut build = cargo(&build);
    // Line tables are five times as large as the code. Where a panic came from is told without them.
    build.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo").env("CARGO_PROFILE_RELEASE_DEBUG", "none");
    // TLS has sources in C, which need nothing of a C library: the compiler of this system will do.
    build.env(format!("CC_{}", triple.replace('-', "_")), "cc");
    let built = step::run("static program", build, Counts::AsOne);
    let failed = built.failed;
    tally.add(built);
    match failed {
        0 => Ok(target().join(&triple).join("release").join("oncue")),
        _ => Err("it was not built".to_owned()),
    }
}

/// Makes a package of the static program.
fn debian_package(tally: &mut Tally) -> Result<PathBuf, String> {
    let program = tool("cargo-deb", Origin::Cargo)?;
    let package = target().join("oncue.deb");
    let _ = std::fs::remove_file(&package);
    let mut make = Command::new(program);
    make.current_dir(root()).args(["deb", "--no-build", "--package", "oncue-cli", "--target", &triple()]);
    make.arg("--output").arg(&package);
    let made = step::run("cargo deb", make, Counts::AsOne);
    let failed = made.failed;
    tally.add(made);
    if failed == 0 { Ok(package) } else { Err("it was not made".to_owned()) }
}
