//! Why a subcommand failed.

use std::ffi::c_int;

use oncue::ErrorKind;

/// Why a subcommand failed: the text for standard error.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The command line or the config is wrong.
    Usage(String),
    /// Something failed while the subcommand ran.
    Runtime(String),
    /// `--timeout` has passed.
    Timeout(String),
    /// This signal has come before the work was done.
    Signal(c_int),
}

impl From<oncue::Error> for Fail {
    fn from(error: oncue::Error) -> Fail {
        match error.kind() {
            ErrorKind::Misuse => Fail::Usage(error.to_string()),
            _ => Fail::Runtime(error.to_string()),
        }
    }
}
