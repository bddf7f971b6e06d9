//! `cargo xtask bench`: builds and runs the laboratory in lab/bench, which is outside of the workspace.

use crate::Trouble;
use crate::workspace::{cargo, root};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let place = root().join("lab").join("bench");
    let mut build = cargo(&["build", "--release", "--locked"]);
    // A separate directory, so that cleaning the workspace's one does not rebuild the rivals.
    let built = place.join("target");
    build.current_dir(&place).arg("--target-dir").arg(&built);
    // The first build of the rivals takes minutes, so its progress is shown.
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
