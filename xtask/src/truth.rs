//! `cargo xtask truth`: plays the same wire histories to other implementations and to ours, and prints what each told its
//! user against what was true. lab/truth has the histories, lab/truth/rivals the drivers of the Rust implementations.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::{self, Python};
use crate::workspace::{cargo, root, target};
use crate::{Trouble, nothing_left, take_flag, take_text};

/// A package of the Python index whose wheel carries JeroMQ 0.6.0 as Java classes: the index is the only place that every
/// machine of the project reaches.
const JEROMQ_CARRIER: &str = "kotlin-jupyter-kernel==0.19.0.944";
/// Where Debian's package libjeromq-java puts its jar, which is older.
const JEROMQ_OF_DEBIAN: &str = "/usr/share/java/jeromq.jar";

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let only = take_text(&mut args, "--only")?;
    let commands = take_flag(&mut args, "--commands");
    let save = take_flag(&mut args, "--save");
    nothing_left(&args)?;
    if save && only.is_some() {
        return Err(Trouble::Usage("--save needs all histories, without --only".to_owned()));
    }
    let python = python::with_pyzmq().map_err(Trouble::Cannot)?;
    let here = root().join("lab").join("truth");
    let rivals = here.join("rivals");
    build(cargo(&["build", "--package", "oncue-truth", "--bins"]))?;
    let mut rival_build = cargo(&["build", "--locked", "--bins"]);
    // A separate directory, so that cleaning the workspace's one does not rebuild the rivals.
    rival_build.current_dir(&rivals).arg("--target-dir").arg(rivals.join("target"));
    build(rival_build)?;

    let built = target().join("debug");
    let mut truth = Command::new(built.join("truth"));
    if let Some(only) = only {
        truth.args(["--only", &only]);
    }
    if commands {
        truth.arg("--commands");
    }
    if save {
        truth.arg("--save").arg(root().join("docs").join("TRUTH.md"));
    }
    let jeromq = jeromq(&python, &here.join("drivers").join("JeroMq.java"));
    if let Err(why) = &jeromq {
        println!("== truth: JeroMQ is left out: {why}");
        truth.arg("--missing").arg(format!("JeroMQ (left out: {why})"));
    }
    if let Some(packages) = &python.packages {
        truth.env("PYTHONPATH", packages);
    }
    truth.arg("--play").arg(built.join("truth-oncue"));
    truth.arg("--play").arg(&python.program).arg(here.join("drivers").join("libzmq.py"));
    for rival in ["omq", "zeromq"] {
        truth.arg("--play").arg(rivals.join("target").join("debug").join(rival));
    }
    if let Ok(classes) = jeromq {
        truth.args(["--play", "java", "-cp"]).arg(classes).arg("JeroMq");
    }
    match truth.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("the histories cannot be played: {why}"))),
    }
}

/// Builds with its progress shown: the rivals take minutes at first.
fn build(mut command: Command) -> Result<(), Trouble> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Cannot("a driver does not build".to_owned())),
        Err(why) => Err(Trouble::Cannot(format!("cargo cannot be run: {why}"))),
    }
}

/// The class path of JeroMQ and its driver. Whoever has no Java still gets the other columns.
fn jeromq(python: &Python, driver: &Path) -> Result<String, String> {
    for tool in ["java", "javac"] {
        let version = Command::new(tool).arg("-version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Err(format!("`{tool}` is not on the PATH; install a JDK, 11 or newer"));
        }
    }
    let home = target().join("jeromq");
    let jar = jeromq_jar(python, &home)?;
    let classes = home.join("classes");
    let mut compile = Command::new("javac");
    compile.arg("-cp").arg(&jar).arg("-d").arg(&classes).arg(driver);
    let compiled = compile.output().map_err(|why| why.to_string())?;
    if !compiled.status.success() {
        let errors = String::from_utf8_lossy(&compiled.stderr);
        return Err(format!(
            "{} does not compile: {}",
            driver.display(),
            errors.lines().next().unwrap_or("")
        ));
    }
    Ok(format!("{}:{}", jar.display(), classes.display()))
}

/// Installed once, into target/jeromq.
fn jeromq_jar(python: &Python, home: &Path) -> Result<PathBuf, String> {
    let package = home.join("package");
    let jars = package.join("run_kotlin_kernel").join("jars");
    if let Some(jar) = complete_jar(&jars) {
        return Ok(jar);
    }
    println!("== truth: installing {JEROMQ_CARRIER}, which carries JeroMQ, into {}", package.display());
    let mut install = Command::new(&python.program);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    install.arg(&package).arg(JEROMQ_CARRIER);
    let installed = install.output();
    if let Some(jar) = complete_jar(&jars) {
        return Ok(jar);
    }
    let debian = PathBuf::from(JEROMQ_OF_DEBIAN);
    if debian.is_file() {
        return Ok(debian);
    }
    let why = match installed {
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("").to_owned(),
        Err(why) => why.to_string(),
    };
    Err(format!("{JEROMQ_CARRIER} cannot be installed, and libjeromq-java is not: {why}"))
}

/// The jar that holds its dependencies too.
fn complete_jar(directory: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    files.into_iter().find(|path| path.to_string_lossy().ends_with("-all.jar"))
}
