//! A short storm of subscribers; `cargo xtask storm` runs a long one.

use std::time::Duration;

use oncue_interop::storm::storm;

#[test]
fn subscribers_that_come_and_go_by_the_thousand_leave_nothing() {
    let figures = storm(env!("CARGO_BIN_EXE_oncue"), Duration::from_secs(10), 10_000);
    println!("{figures}");
    assert!(figures.are_good(8 << 20), "{figures}");
}
