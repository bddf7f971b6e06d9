//! A short fault run: what producers of a mesh are told is true after each fault.

use std::process::Command;

/// Enough for a few faults of either topology; the time that it takes is bounded.
const FAULTS: &str = "6";

#[test]
fn demand_is_true_after_faults() {
    for system in ["peers", "routers"] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_mesh-lab"));
        run.args(["faults", "--system", system, "--faults", FAULTS, "--seconds", "20", "--verbose"]);
        let output = run.output().expect("the laboratory starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{system}: {said}\n{errors}");
        assert!(said.contains("| mesh, "), "{said}");
    }
}
