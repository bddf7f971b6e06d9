//! `cargo xtask interop`: the tests of lab/interop against libzmq through pyzmq, against pyomq and zeromq.js, against libzmq, omq
//! and jszmq over WebSocket, and against raw sockets.

use std::process::Command;

use crate::step::{self, Counts, Tally};
use crate::workspace::cargo;
use crate::{Trouble, command, libraries, nothing_left, python};

/// The tests of lab/interop need a Python with pyzmq. They are behind this feature, so that a plain `cargo test` does not
/// run them.
const FEATURE: &str = "oncue-interop/foreign";

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let filter = args.first();
    nothing_left(args.get(1..).unwrap_or_default())?;
    steps(filter.map(String::as_str)).finish()
}

/// The steps from the virtual environment to the tests. A step that cannot be prepared counts as failed, since its tests
/// did not run.
fn steps(filter: Option<&str>) -> Tally {
    let build = command::build();
    if build.failed > 0 {
        return build;
    }
    let mut tests = cargo(&["test", "--package", "oncue-interop", "--features", FEATURE, "--no-fail-fast"]);
    tests.args(filter);
    let mut tally = provide(&mut tests);
    if tally.failed == 0 {
        tally.add(step::run("interop", tests, Counts::TestResults));
    }
    tally
}

/// Gives the tests what they need, and says what this machine lacks.
pub(crate) fn provide(tests: &mut Command) -> Tally {
    let python = match python::with_pyzmq() {
        Ok(python) => python,
        Err(why) => {
            println!("== interop: FAILED, no Python with pyzmq: {why}");
            return Tally::ONE_FAILED;
        }
    };
    println!("== interop: {} ({})", python.program.display(), python.versions);
    tests.env("ONCUE_PYTHON", &python.program).env(command::VARIABLE, command::program());
    if let Some(packages) = &python.packages {
        tests.env("PYTHONPATH", packages);
    }
    let mut tally = Tally::default();
    let others = [
        ("ONCUE_PYOMQ", "pyomq", libraries::pyomq()),
        ("ONCUE_ZEROMQ_JS", "zeromq.js", libraries::zeromq_js()),
        ("ONCUE_LIBZMQ_WS", "libzmq with WebSocket", libraries::libzmq_with_websocket()),
        ("ONCUE_OMQ", "omq with WebSocket", libraries::omq()),
        ("ONCUE_JSZMQ", "jszmq", libraries::jszmq()),
    ];
    for (variable, name, found) in others {
        if let Err(why) = &found {
            println!("== interop: SKIPPED {name}: {why}");
            tally.skipped += 1;
        }
        tests.env(variable, found.unwrap_or_default());
    }
    tally
}
