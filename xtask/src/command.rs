//! The command `oncue`, as tests that start it need it.

use std::path::PathBuf;

use crate::step::{self, Counts, Tally};
use crate::workspace::{cargo, target};

/// The command with all that it has, as it is released: one build for all tests.
pub(crate) const FULL: &str = "oncue-cli/full";
/// All packages with all that their tests need: one choice, since each other one builds much of it anew.
pub(crate) const EVERYTHING: &[&str] =
    &["--workspace", "--features", "oncue-cli/full,oncue-interop/foreign,oncue-interop/shipped"];
/// The variable that tells tests where it is.
pub(crate) const VARIABLE: &str = "ONCUE_BIN";

/// Builds it.
pub(crate) fn build() -> Tally {
    step::run("oncue", cargo(&["build", "--package", "oncue-cli", "--features", FULL]), Counts::AsOne)
}

/// Where it is built.
pub(crate) fn program() -> PathBuf {
    target().join("debug").join("oncue")
}
