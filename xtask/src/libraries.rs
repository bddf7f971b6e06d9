//! Other libraries with which the tests of lab/interop exchange messages, beside pyzmq. Each is installed once, into a directory
//! of the target directory. A machine that cannot install one runs the other tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::package::{Interpreter, interpreters};
use crate::python::{install, succeed, system_python};
use crate::workspace::{cargo, root, target};

const PYOMQ: &str = "0.27.3";
/// The oldest Python that it is for: 3.12.
const PYOMQ_PYTHON_MINOR: u32 = 12;
/// Contains libzmq 4.3.5.
const ZEROMQ_JS: &str = "6.8.0";
/// ZeroMQ over WebSocket alone.
pub(crate) const JSZMQ: &str = "0.1.2";

/// A Python that can `import pyomq`. The error says what is missing.
pub(crate) fn pyomq() -> Result<PathBuf, String> {
    let home = target().join(format!("pyomq-{PYOMQ}"));
    let own = home.join("bin").join("python");
    let works = || succeed(Command::new(&own).args(["-c", "import pyomq"]));
    if works().is_ok() {
        return Ok(own);
    }
    let all = interpreters(&system_python()?);
    let newest = all.into_iter().max_by_key(Interpreter::minor);
    let newest = newest.filter(|python| python.minor() >= PYOMQ_PYTHON_MINOR);
    let newest = newest.ok_or(format!("it needs Python 3.{PYOMQ_PYTHON_MINOR} or newer"))?;
    println!("== pyomq: creating {}", home.display());
    let _ = std::fs::remove_dir_all(&home);
    succeed(Command::new(&newest.program).args(["-m", "venv"]).arg(&home))?;
    install(&own, None, &format!("pyomq=={PYOMQ}"))?;
    works()?;
    Ok(own)
}

/// The directory of the package zeromq of npm. The error says what is missing.
pub(crate) fn zeromq_js() -> Result<PathBuf, String> {
    let home = target().join(format!("zeromq-js-{ZEROMQ_JS}"));
    let package = home.join("node_modules").join("zeromq");
    let works = || succeed(Command::new("node").args(["-e", "require(process.argv[1])"]).arg(&package));
    if works().is_ok() {
        return Ok(package);
    }
    println!("== zeromq.js: creating {}", home.display());
    npm_install(&home, &[("zeromq", ZEROMQ_JS)])?;
    works()?;
    Ok(package)
}

/// The directory of the package jszmq of npm. The error says what is missing.
pub(crate) fn jszmq() -> Result<PathBuf, String> {
    let home = target().join(format!("jszmq-{JSZMQ}"));
    let package = home.join("node_modules").join("jszmq");
    let works = || succeed(Command::new("node").args(["-e", "require(process.argv[1])"]).arg(&package));
    if works().is_ok() {
        return Ok(package);
    }
    println!("== jszmq: creating {}", home.display());
    npm_install(&home, &[("jszmq", JSZMQ)])?;
    works()?;
    Ok(package)
}

/// libzmq with WebSocket as a shared library, to be loaded before the one of pyzmq, which has none. The error says what is missing.
pub(crate) fn libzmq_with_websocket() -> Result<PathBuf, String> {
    let program = rival("interop-libzmq")?;
    let output = Command::new(program).output().map_err(|why| why.to_string())?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The driver of omq over WebSocket.
pub(crate) fn omq() -> Result<PathBuf, String> {
    rival("interop-omq")
}

/// Builds a package of lab/interop/rivals, and returns its program. The first build takes minutes.
fn rival(package: &str) -> Result<PathBuf, String> {
    let built = target().join("rivals");
    let mut build = cargo(&["build", "--locked", "--package", package, "--target-dir"]);
    build.arg(&built).current_dir(root().join("lab").join("interop").join("rivals"));
    succeed(&mut build)?;
    Ok(built.join("debug").join(package))
}

/// Installs packages of npm, by name and version, into a new directory `home`. No script of a package is run.
pub(crate) fn npm_install(home: &Path, packages: &[(&str, &str)]) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(home);
    std::fs::create_dir_all(home).map_err(|why| why.to_string())?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(home);
    succeed(npm.args(packages.iter().map(|(name, version)| format!("{name}@{version}"))))
}
