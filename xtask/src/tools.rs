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
    /// This package of Debian has it, in `usr/bin`. It is unpacked, not installed: that needs no root and changes nothing.
    Debian(&'static str),
}

/// The program of this name. The error says how to get it.
pub(crate) fn tool(name: &str, origin: Origin) -> Result<PathBuf, String> {
    // Each has a directory of its own: pip adds nothing to one that is there.
    let place = target().join("tools").join(name);
    let own = match origin {
        Origin::Debian(_) => place.join("usr").join("bin").join(name),
        Origin::Python(_) | Origin::Cargo => place.join("bin").join(name),
    };
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
        Origin::Debian(package) => unpack(package, &place),
    };
    let remedy = match origin {
        Origin::Debian(package) => format!("apt-get install {package}"),
        Origin::Python(_) | Origin::Cargo => format!("cargo install {name} --locked"),
    };
    installed.map(|()| own).map_err(|why| format!("no {name}: {why}; install it with `{remedy}`"))
}

/// Downloads a package of Debian, and unpacks it there.
fn unpack(package: &str, place: &Path) -> Result<(), String> {
    std::fs::create_dir_all(place).map_err(|why| why.to_string())?;
    let download =
        || python::succeed(Command::new("apt-get").current_dir(place).args(["--quiet", "download", package]));
    // The list of packages may be missing or outdated; only root can renew it.
    download().or_else(|_| {
        let _ = Command::new("apt-get").arg("update").output();
        download()
    })?;
    let files = std::fs::read_dir(place).map_err(|why| why.to_string())?.filter_map(Result::ok);
    let mut archives =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "deb"));
    let archive = archives.next().ok_or("apt-get has downloaded nothing")?;
    python::succeed(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(place))?;
    std::fs::remove_file(archive).map_err(|why| why.to_string())
}

fn compile(name: &str, place: &Path) -> Result<(), String> {
    let mut install = cargo(&["install", "--quiet", "--locked", name, "--root"]);
    match install.arg(place).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo install has failed ({status})")),
        Err(why) => Err(why.to_string()),
    }
}
