//! What concerns those who build or ship the command: `cargo xtask reproduce` (two builds are the same), `sbom` (what is in it)
//! and `msrv` (the oldest compiler that it is said to need).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::FULL;
use crate::tools::{Origin, tool};
use crate::workspace::{cargo, root, target};
use crate::{Trouble, nothing_left};

/// What stands for the two directories that a build would otherwise name in its debug information and its panics.
const SOURCES_AS: &str = "/oncue";
const HOME_AS: &str = "/cargo";
/// The products for which `rust-version` is a promise.
const PRODUCTS: [&str; 4] = ["oncue-pattern", "oncue-core", "oncue", "oncue-cli"];

/// Builds the last commit twice, in two directories, and compares the commands.
pub(crate) fn reproduce(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let place = target().join("reproduce");
    let _ = std::fs::remove_dir_all(&place);
    // Paths of different lengths, so that no offset can be the same by chance.
    let builds = ["a", "another-directory-with-a-longer-name"].map(|name| place.join(name));
    let mut sums = Vec::new();
    for build in &builds {
        check_out(build)?;
        let command = build_in(build)?;
        let sum = said("sha256sum", Command::new("sha256sum").arg(command))?;
        println!("== reproduce: {sum}");
        sums.push(sum.split_whitespace().next().map(str::to_owned));
    }
    if sums[0].is_none() || sums[0] != sums[1] {
        return Err(Trouble::Failed);
    }
    println!("== reproduce: both builds are the same, byte for byte");
    Ok(())
}

/// The sources of the last commit.
fn check_out(place: &Path) -> Result<(), Trouble> {
    std::fs::create_dir_all(place).map_err(|why| Trouble::Cannot(format!("{}: {why}", place.display())))?;
    let mut git = Command::new("git");
    git.current_dir(root()).args(["archive", "HEAD"]).stdout(Stdio::piped());
    let mut archive =
        git.spawn().map_err(|why| Trouble::Cannot(format!("git could not be started: {why}")))?;
    let mut unpack = Command::new("tar");
    unpack.arg("-x").arg("-C").arg(place).stdin(archive.stdout.take().expect("it is piped"));
    succeed("tar", &mut unpack)?;
    match archive.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Trouble::Cannot("the sources are not in a git repository".to_owned())),
    }
}

/// A clean release build there. Returns the command.
fn build_in(place: &Path) -> Result<PathBuf, Trouble> {
    let out = place.join("target");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cargo"))
    });
    let home = home.ok_or_else(|| Trouble::Cannot("neither CARGO_HOME nor HOME is set".to_owned()))?;
    let as_of = said("git", Command::new("git").current_dir(root()).args(["log", "-1", "--format=%ct"]))?;
    let flags = [(place, SOURCES_AS), (&home, HOME_AS)]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let mut command =
        cargo(&["build", "--release", "--locked", "--package", "oncue-cli", "--features", FULL]);
    command.arg("--target-dir").arg(&out).current_dir(place);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("SOURCE_DATE_EPOCH", as_of);
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    println!("== reproduce: builds in {}", place.display());
    succeed("cargo", &mut command)?;
    Ok(out.join("release").join("oncue"))
}

/// Writes target/oncue.cdx.json: what the command is made of, for the Linux target, in CycloneDX 1.5.
pub(crate) fn sbom(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let program = tool("cargo-cyclonedx", Origin::Cargo).map_err(Trouble::Cannot)?;
    let mut command = Command::new(program);
    command.current_dir(root()).args(["cyclonedx", "--manifest-path", "crates/oncue-cli/Cargo.toml"]);
    command.args(["--format", "json", "--spec-version", "1.5", "--no-build-deps", "--features", "full"]);
    command.args(["--target", "x86_64-unknown-linux-gnu", "--override-filename", "oncue.cdx"]);
    succeed("cargo-cyclonedx", &mut command)?;
    // It writes one file beside each manifest of the workspace.
    let wanted = target().join("oncue.cdx.json");
    let folders = ["crates", "lab", ""].map(|folder| root().join(folder));
    let packages = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    for package in packages.filter_map(Result::ok) {
        let written = package.path().join("oncue.cdx.json");
        if package.file_name() == "oncue-cli" {
            std::fs::copy(&written, &wanted)
                .map_err(|why| Trouble::Cannot(format!("{}: {why}", written.display())))?;
        }
        // Most folders have none, and `target` has the one that is wanted.
        if package.file_name() != "target" {
            let _ = std::fs::remove_file(written);
        }
    }
    println!("== sbom: {}", wanted.display());
    Ok(())
}

/// Checks the products with the oldest compiler that their manifests allow.
pub(crate) fn msrv(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let manifest = root().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|why| Trouble::Cannot(why.to_string()))?;
    let stated = text.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let version = stated.ok_or_else(|| Trouble::Cannot("Cargo.toml states no rust-version".to_owned()))?;
    let mut command = Command::new("rustup");
    command.current_dir(root()).args(["run", "--install", version, "cargo", "check", "--locked"]);
    command.args(PRODUCTS.iter().flat_map(|package| ["--package", package]));
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.arg("--target-dir").arg(target().join("msrv"));
    succeed("rustup", &mut command)?;
    println!("== msrv: {version} is enough for {}", PRODUCTS.join(", "));
    Ok(())
}

fn succeed(name: &str, command: &mut Command) -> Result<(), Trouble> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("{name} could not be started: {why}"))),
    }
}

/// What a command prints, without the end of the line.
fn said(name: &str, command: &mut Command) -> Result<String, Trouble> {
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) => Err(Trouble::Cannot(format!("{name} has failed"))),
        Err(why) => Err(Trouble::Cannot(format!("{name} could not be started: {why}"))),
    }
}
