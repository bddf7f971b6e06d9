//! Programs that chores use: those on the PATH, or those in target/tools, which are installed once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python;
use crate::workspace::{cargo, target};

/// From where a program is installed.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// The Python package index has a binary, and to compile it takes minutes.
    Python(&'static str),
    /// It is compiled.
    Cargo,
}

/// The program of this name. The error says how to get it.
pub(crate) fn tool(name: &str, origin: Origin) -> Result<PathBuf, String> {
    // Each has a directory of its own: pip adds nothing to one that is there.
    let place = target().join("tools").join(name);
    let own = place.join("bin").join(name);
    let runs = |program: &PathBuf| Command::new(program).arg("--version").output().is_ok();
    if let Some(program) = [PathBuf::from(name), own.clone()].into_iter().find(runs) {
        return Ok(program);
    }
    println!("== {name}: installing it into {}", place.display());
    let installed = match origin {
        Origin::Python(package) => {
            python::system_python().and_then(|python| python::install(&python, Some(&place), package))
        }
        Origin::Cargo => compile(name, &place),
    };
    match installed {
        Ok(()) => Ok(own),
        Err(why) => Err(format!("no {name}: {why}; install it with `cargo install {name} --locked`")),
    }
}

fn compile(name: &str, place: &Path) -> Result<(), String> {
    let mut install = cargo(&["install", "--quiet", "--locked", name, "--root"]);
    match install.arg(place).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo install has failed ({status})")),
        Err(why) => Err(why.to_string()),
    }
}
