//! Why a subcommand ended otherwise than it was asked to.

use oncue::ErrorKind;

/// Why a subcommand ended otherwise than it was asked to.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// Something went wrong while running.
    Runtime(String),
    /// The time given was over.
    Timeout(String),
    /// Nobody reads standard output any more: time to go, and no failure.
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
