//! `cargo xtask js`: the tests of the JavaScript client and of the page, by Node's own test runner. Those of the page need a
//! Chromium, and are skipped without one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::libraries::{JSZMQ, npm_install};
use crate::python::succeed;
use crate::step::{self, Counts, Tally};
use crate::workspace::{root, target};
use crate::{Trouble, command, nothing_left};

/// What only the tests use; the client depends on nothing.
const PACKAGES: &[(&str, &str)] = &[("axe-core", "4.14.1"), ("jszmq", JSZMQ), ("typescript", "5.9.3")];

const FOLDERS: &[&str] = &["clients/js/test", "crates/oncue-cli/tests/page"];

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args.get(1..).unwrap_or_default())?;
    steps(args.first().map(String::as_str)).finish()
}

/// The tests whose name contains `filter`. A machine without Node or npm skips them.
pub(crate) fn steps(filter: Option<&str>) -> Tally {
    let modules = match modules() {
        Ok(modules) => modules,
        Err(why) => {
            println!("== js: SKIPPED, node or a package of npm is missing: {why}");
            return Tally { skipped: 1, ..Tally::default() };
        }
    };
    let tests: std::io::Result<Vec<_>> =
        FOLDERS.iter().map(|folder| test_files(&root().join(folder))).collect();
    let tests = match tests {
        Ok(tests) => tests.concat(),
        Err(why) => {
            println!("== js: FAILED, no tests: {why}");
            return Tally::ONE_FAILED;
        }
    };
    let build = command::build();
    if build.failed > 0 {
        return build;
    }
    let mut node = Command::new("node");
    // Node 20 has a WebSocket of its own behind the first option; later versions accept it. One file after the other, since one
    // measures frames.
    node.args(["--experimental-websocket", "--test", "--test-concurrency=1", "--test-reporter", "tap"]);
    if let Some(filter) = filter {
        node.args(["--test-name-pattern", filter]);
    }
    node.args(tests).current_dir(root()).env("ONCUE_JS_MODULES", modules);
    node.env(command::VARIABLE, command::program());
    step::run("js", node, Counts::Tap)
}

fn test_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    let is_test =
        |file: &PathBuf| [".test.js", ".test.mjs"].iter().any(|end| file.to_string_lossy().ends_with(end));
    files.retain(is_test);
    files.sort();
    Ok(files)
}

/// The directory into which the packages are installed, once for each set of versions.
fn modules() -> Result<PathBuf, String> {
    succeed(Command::new("node").arg("--version"))?;
    let versions: Vec<String> = PACKAGES.iter().map(|(name, version)| format!("{name}-{version}")).collect();
    let home = target().join(format!("js-{}", versions.join("-")));
    let is_there = |(name, _): &(&str, &str)| home.join("node_modules").join(name).is_dir();
    if !PACKAGES.iter().all(is_there) {
        println!("== js: creating {}", home.display());
        npm_install(&home, PACKAGES)?;
    }
    Ok(home)
}
