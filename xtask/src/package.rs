//! `cargo xtask package`: the Python package. Builds its wheel, installs it into environments of its own, and runs its tests
//! there: its own, pyzmq's, and the checks of its types.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::{self, install};
use crate::step::{self, Counts, Tally};
use crate::workspace::{root, target};
use crate::{Trouble, nothing_left, take_flag};

/// What the tests need beside the package.
const NEEDS: &[&str] = &[
    "pytest>=8,<10",
    "pytest-asyncio>=1,<2",
    "numpy>=1.26,<3",
    "pyzmq==27.3.0",
    "tornado>=6.4,<7",
    "typing_extensions>=4.15",
];
/// What checks the types.
const TYPES: &str = "mypy>=1.19,<3";
/// The tests of one interpreter; the others run those of these files.
const FEW: &[&str] = &[
    "test_sockets.py",
    "test_on_demand.py",
    "test_asyncio.py",
    "test_async_routes.py",
    "test_values.py",
    "test_zmq.py",
    "test_security.py",
    "test_zmq_security.py",
];

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    if take_flag(&mut args, "--bench") {
        return bench(&args);
    }
    nothing_left(&args)?;
    steps().finish()
}

/// The steps from the wheel to the tests of each interpreter. A step that cannot be prepared counts as failed.
pub(crate) fn steps() -> Tally {
    let Ok(first) = python::system_python() else {
        println!("== package: FAILED, there is no python3");
        return Tally::ONE_FAILED;
    };
    let mut tally = Tally::default();
    let wheel = match wheel(&first, &mut tally) {
        Some(wheel) => wheel,
        None => return tally,
    };
    for python in chosen(&first) {
        let is_first = python.program == first;
        let environment = match environment(&python, &wheel, is_first) {
            Ok(environment) => environment,
            Err(why) => {
                println!("== package: FAILED, no environment for Python {}: {why}", python.version);
                tally.add(Tally::ONE_FAILED);
                continue;
            }
        };
        tally.add(tests(&environment, &python.version, is_first));
        if is_first {
            tally.add(types(&environment));
            tally.add(of_pyzmq(&environment));
        }
    }
    tally
}

/// An interpreter, and its version as `3.11`.
pub(crate) struct Interpreter {
    pub(crate) program: PathBuf,
    version: String,
}

impl Interpreter {
    /// 11 of `3.11`.
    pub(crate) fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
    }
}

/// This one, and the oldest and the newest of the others: the wheel is the same for all.
fn chosen(first: &Path) -> Vec<Interpreter> {
    let mut all = interpreters(first);
    let mut others = all.split_off(1);
    others.sort_by_key(Interpreter::minor);
    let newest = (others.len() > 1).then(|| others.pop()).flatten();
    all.extend(others.into_iter().take(1).chain(newest));
    all
}

/// This one, and the others from 3.10 on that are here: on the PATH, or of pyenv. One of each version.
pub(crate) fn interpreters(first: &Path) -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    let names = (10..=15).map(|minor| PathBuf::from(format!("python3.{minor}")));
    let home = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    let versions = home.and_then(|home| std::fs::read_dir(home.join("versions")).ok());
    let of_pyenv =
        versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin").join("python3"));
    for program in [first.to_owned()].into_iter().chain(names).chain(of_pyenv) {
        let script =
            "import sys, venv; assert sys.version_info >= (3, 10); print('%d.%d' % sys.version_info[:2])";
        let Ok(output) = Command::new(&program).args(["-c", script]).output() else { continue };
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && found.iter().all(|other| other.version != version) {
            found.push(Interpreter { program, version });
        }
    }
    found
}

/// Builds the wheel as `pip install .` does.
fn wheel(python: &Path, tally: &mut Tally) -> Option<PathBuf> {
    let place = target().join("wheels");
    let _ = std::fs::remove_dir_all(&place);
    let mut build = Command::new(python);
    build.current_dir(root()).args([
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--disable-pip-version-check",
        "--wheel-dir",
    ]);
    build.arg(&place);
    let built = step::run("package, built", build, Counts::AsOne);
    tally.add(built);
    if built.failed > 0 {
        return None;
    }
    let files = std::fs::read_dir(&place).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// An environment of this interpreter with the wheel, and what the tests need. Kept, but for the wheel.
fn environment(python: &Interpreter, wheel: &Path, is_first: bool) -> Result<PathBuf, String> {
    let home = target().join(format!("python-{}", python.version));
    let own = home.join("bin").join("python");
    if !own.exists() {
        println!("== package: creating {}", home.display());
        python::succeed(Command::new(&python.program).args(["-m", "venv"]).arg(&home))?;
    }
    for package in NEEDS.iter().copied().chain(is_first.then_some(TYPES)) {
        install(&own, None, package)?;
    }
    let mut command = Command::new(&own);
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--force-reinstall",
        "--no-deps",
    ]);
    python::succeed(command.arg(wheel))?;
    Ok(own)
}

fn folder() -> PathBuf {
    root().join("crates").join("oncue-py").join("tests")
}

/// The package's own tests, on the wheel: from another folder than the sources.
fn tests(python: &Path, version: &str, all: bool) -> Tally {
    let mut command = Command::new(python);
    command.current_dir(folder()).args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]);
    if !all {
        command.args(FEW);
    }
    step::run(&format!("package, Python {version}"), command, Counts::Pytest)
}

/// The package by `mypy --strict`, its stub against what is there, and the examples.
fn types(python: &Path) -> Tally {
    let mut tally = Tally::default();
    let mut strict = Command::new(python);
    strict.current_dir(folder()).args(["-m", "mypy", "--strict", "--package", "oncue"]);
    tally.add(step::run("package, mypy", strict, Counts::AsOne));
    let mut stubs = Command::new(python);
    stubs.current_dir(folder()).args(["-m", "mypy.stubtest", "oncue._oncue", "--ignore-unused-allowlist"]);
    stubs.args(["--allowlist", "stubtest-allowlist.txt"]);
    tally.add(step::run("package, stubs", stubs, Counts::AsOne));
    let mut examples = Command::new(python);
    examples.current_dir(root()).args(["-m", "mypy", "--strict"]).args(EXAMPLES);
    tally.add(step::run("package, examples", examples, Counts::AsOne));
    tally
}

/// The examples that use the package.
const EXAMPLES: &[&str] = &["examples/classic.py", "examples/on_demand.py", "lab/python/w12.py"];

/// pyzmq's own tests against `oncue.zmq`.
fn of_pyzmq(python: &Path) -> Tally {
    let mut command = Command::new(python);
    command.current_dir(folder()).arg("pyzmq/run.py").arg(target().join("pyzmq"));
    step::run("package, pyzmq's tests", command, Counts::Pytest)
}

/// W12, with the newest interpreter that is here: pyomq needs 3.12.
fn bench(args: &[String]) -> Result<(), Trouble> {
    let cannot = |why: String| Trouble::Cannot(why);
    let first = python::system_python().map_err(cannot)?;
    let mut tally = Tally::default();
    let Some(wheel) = wheel(&first, &mut tally) else { return Err(Trouble::Failed) };
    let mut all = interpreters(&first);
    all.sort_by_key(|python| {
        python.version.split('.').filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
    });
    let newest = all.pop().ok_or_else(|| Trouble::Cannot("there is no Python 3.10 or newer".to_owned()))?;
    let own = environment(&newest, &wheel, false).map_err(cannot)?;
    if let Err(why) = install(&own, None, "pyomq") {
        println!("== bench: without pyomq: {why}");
    }
    println!("== bench: Python {}", newest.version);
    let script = root().join("lab").join("python").join("w12.py");
    match Command::new(own).arg(script).args(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(why.to_string())),
    }
}
