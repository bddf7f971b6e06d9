//! Three sites in network namespaces: partitions of each in turn.

use std::process::Command;

/// Where namespaces cannot be made, the run says so and passes: `cargo test -p oncue-mesh-lab --test namespaces -- --nocapture`.
#[test]
fn demand_is_true_after_partitions() {
    let output = Command::new(env!("CARGO_BIN_EXE_mesh-lab")).args(["namespaces", "1"]).output();
    let output = output.expect("the laboratory starts");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("skipped: ") || said.contains("c is back"), "{said}");
}
