//! `cargo xtask bench`: builds the laboratory in lab/bench, which nothing else builds, and runs it. What is measured and
//! how stands there.

use crate::Trouble;
use crate::workspace::{cargo, root};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let place = root().join("lab").join("bench");
    let mut build = cargo(&["build", "--release", "--locked"]);
    // A directory of its own: the rivals are not to be built again whenever the workspace's one is cleaned.
    let built = place.join("target");
    build.current_dir(&place).arg("--target-dir").arg(&built);
    // Progress and errors of the build belong to whoever waits for it: the rivals take minutes the first time.
    if !build.status().map_err(cannot("cargo"))?.success() {
        return Err(Trouble::Cannot("the laboratory does not build".to_owned()));
    }
    let program = built.join("release").join("bench");
    let mut bench = std::process::Command::new(&program);
    bench.arg("run").args(args).current_dir(root());
    match bench.status().map_err(cannot("the laboratory"))?.success() {
        true => Ok(()),
        false => Err(Trouble::Failed),
    }
}

fn cannot(what: &str) -> impl Fn(std::io::Error) -> Trouble {
    move |error| Trouble::Cannot(format!("{what} cannot be run: {error}"))
}
