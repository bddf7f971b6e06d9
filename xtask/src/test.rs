//! `cargo xtask test`: all checks and tests, the cheapest first.

use std::time::Instant;

use crate::command::EVERYTHING;
use crate::step::{self, Counts, Tally, seconds};
use crate::workspace::cargo;
use crate::{Trouble, costs, deny, fuzz, interop, js, miri, nothing_left, package, ship};

/// The least events in the simulations of one run.
const SIMULATED_EVENTS_MIN: u64 = 10_000_000;

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    nothing_left(args)?;
    let start = Instant::now();
    let mut tally = Tally::default();
    tally.add(step::run("fmt", cargo(&["fmt", "--all", "--check"]), Counts::AsOne));
    let mut clippy = cargo(&["clippy"]);
    clippy.args(EVERYTHING).args(["--all-targets", "--", "-D", "warnings"]);
    tally.add(step::run("clippy", clippy, Counts::AsOne));
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    tally.add(step::run("doc", doc, Counts::AsOne));
    tally.add(deny::steps());
    // Those against foreign peers and of what is shipped too: in one run, all is built once.
    let mut tests = cargo(&["test"]);
    tests.args(EVERYTHING).arg("--no-fail-fast");
    tally.add(interop::provide(&mut tests));
    tally.add(ship::provide(&mut tests));
    let mut metrics = cargo(&["test"]);
    metrics.args(EVERYTHING);
    let metrics = ship::metrics(metrics, &tests);
    tally.add(step::run("tests", tests, Counts::TestResults));
    tally.add(step::run("metrics", metrics, Counts::TestResults));
    tally.add(js::steps(None));
    tally.add(package::steps());
    tally.add(fuzz::steps());
    tally.add(miri::steps());
    tally.add(costs::steps());
    println!("== simulated: {} events", tally.events);
    if tally.events < SIMULATED_EVENTS_MIN {
        println!(
            "== simulated: FAILED, {SIMULATED_EVENTS_MIN} are the least; give the simulations more seeds"
        );
        tally.add(Tally::ONE_FAILED);
    }
    println!("== all in {}", seconds(start.elapsed()));
    tally.finish()
}
