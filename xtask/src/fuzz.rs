//! `cargo xtask fuzz`: the targets in fuzz/, by cargo-fuzz.

use std::process::{Command, Stdio};

use crate::step::shown;
use crate::workspace::root;
use crate::{Trouble, nothing_left, take_number};

const SECONDS_DEFAULT: u64 = 60;

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
    if !runs(cargo_fuzz().arg("--version")) {
        return Err(Trouble::Cannot("cargo-fuzz is missing: `cargo install cargo-fuzz`".to_owned()));
    }
    for target in chosen {
        fuzz_one(&target, seconds)?;
    }
    Ok(())
}

fn fuzz_one(target: &str, seconds: u64) -> Result<(), Trouble> {
    let mut command = cargo_fuzz();
    command.args(["run", target, "--", &format!("-max_total_time={seconds}")]);
    println!("== fuzz: {}", shown(&command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("cargo could not be started: {why}"))),
    }
}

/// The names of the targets, which are those of their files.
fn targets() -> Result<Vec<String>, Trouble> {
    let directory = root().join("fuzz").join("fuzz_targets");
    let entries = std::fs::read_dir(&directory)
        .map_err(|why| Trouble::Cannot(format!("{}: {why}", directory.display())))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        rust.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

/// Fuzzing needs unstable compiler flags: from a nightly toolchain, or from this one with RUSTC_BOOTSTRAP.
fn cargo_fuzz() -> Command {
    // Not the cargo that runs this: only rustup's proxy on the PATH accepts `+nightly`.
    let mut command = Command::new("cargo");
    command.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if runs(Command::new("cargo").env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "--version"])) {
        command.arg("+nightly");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command.arg("fuzz");
    command
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
