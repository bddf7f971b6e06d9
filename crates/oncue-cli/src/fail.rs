//! Why a subcommand failed.

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
    /// Nobody reads standard output any more: the subcommand ends, and that is a success.
    OutputClosed,
}

impl From<oncue::Error> for Fail {
    fn from(error: oncue::Error) -> Fail {
        match error.kind() {
            ErrorKind::Misuse => Fail::Usage(error.to_string()),
            _ => Fail::Runtime(error.to_string()),
        }
    }
}
