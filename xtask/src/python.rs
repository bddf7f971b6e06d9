//! A Python that can `import zmq`: target/venv, which is created once and reused.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::target;

/// The releases for which the tests were written; all of them contain libzmq 4.3.5.
const PYZMQ: &str = "pyzmq>=26,<28";

/// A Python interpreter with pyzmq.
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    /// The value of PYTHONPATH, if its packages are not in the default place.
    pub(crate) packages: Option<PathBuf>,
    pub(crate) versions: String,
}

/// Finds or creates one. The error says what is missing and how to get it.
pub(crate) fn with_pyzmq() -> Result<Python, String> {
    let home = target().join("venv");
    if let Some(python) = working(&home) {
        return Ok(python);
    }
    println!("== venv: creating {} with {PYZMQ}", home.display());
    let system = system_python()?;
    // The rest of an earlier attempt.
    let _ = std::fs::remove_dir_all(&home);
    let attempts: [(&str, Attempt); 3] =
        [("venv", make_venv), ("virtualenv", make_virtualenv), ("pip install --target", make_directory)];
    let mut reasons = Vec::new();
    for (name, attempt) in attempts {
        match attempt(&system, &home) {
            Ok(()) => match working(&home) {
                Some(python) => return Ok(python),
                None => reasons.push(format!("{name}: created, but `import zmq` fails in it")),
            },
            Err(why) => reasons.push(format!("{name}: {why}")),
        }
        let _ = std::fs::remove_dir_all(&home);
    }
    Err(format!(
        "{PYZMQ} could not be installed. This needs network access to the Python package index once; on Debian, \
         `apt-get install python3-venv` enables the first method.\n  {}",
        reasons.join("\n  ")
    ))
}

type Attempt = fn(&Path, &Path) -> Result<(), String>;

fn make_venv(system: &Path, home: &Path) -> Result<(), String> {
    succeed(Command::new(system).args(["-m", "venv"]).arg(home))?;
    install(&interpreter(home), None, PYZMQ)
}

fn make_virtualenv(system: &Path, home: &Path) -> Result<(), String> {
    succeed(Command::new(system).args(["-m", "virtualenv", "--quiet"]).arg(home))?;
    install(&interpreter(home), None, PYZMQ)
}

/// Without a virtual environment: the packages in a separate directory, for the system's interpreter.
fn make_directory(system: &Path, home: &Path) -> Result<(), String> {
    install(system, Some(&home.join("packages")), PYZMQ)
}

/// Installs a package of the index for `python`, or into `directory`.
pub(crate) fn install(python: &Path, directory: Option<&Path>, package: &str) -> Result<(), String> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    if let Some(directory) = directory {
        command.arg("--target").arg(directory);
    }
    succeed(&mut command)
}

fn interpreter(home: &Path) -> PathBuf {
    home.join("bin").join("python")
}

/// The Python in `home`, if it exists and can import zmq.
fn working(home: &Path) -> Option<Python> {
    let own = interpreter(home);
    if let Some(versions) = versions(&own, None) {
        return Some(Python { program: own, packages: None, versions });
    }
    let packages = home.join("packages");
    if !packages.is_dir() {
        return None;
    }
    let program = system_python().ok()?;
    let versions = versions(&program, Some(&packages))?;
    Some(Python { program, packages: Some(packages), versions })
}

fn versions(program: &Path, packages: Option<&Path>) -> Option<String> {
    let script = "import sys, zmq; \
                  print(f'Python {sys.version.split()[0]}, pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}')";
    let mut command = Command::new(program);
    command.args(["-c", script]);
    if let Some(packages) = packages {
        command.env("PYTHONPATH", packages);
    }
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The system's own interpreter.
pub(crate) fn system_python() -> Result<PathBuf, String> {
    for name in ["python3", "python"] {
        let script = "import sys; assert sys.version_info >= (3, 8); print(sys.executable)";
        if let Ok(output) = Command::new(name).args(["-c", script]).output()
            && output.status.success()
        {
            return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        }
    }
    Err("there is no Python 3.8 or newer on the PATH; install one".to_owned())
}

pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|why| why.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let text = if text.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { text };
    let last = text.trim().lines().last().unwrap_or("no message").to_owned();
    Err(format!("{} ({last})", output.status))
}
