//! How the end of a program is judged.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to end, because it is not needed any more.
    Stopped,
    /// It ended by itself, with success.
    Done,
    /// It failed, or was told to end, for this reason.
    Failed(String),
}

/// What its exit status means.
pub(super) fn judge(status: ExitStatus) -> End {
    match (status.success(), status.signal()) {
        (true, _) => End::Done,
        (false, Some(signal)) => End::Failed(format!("ended by signal {signal}")),
        (false, None) => End::Failed(format!("ended with status {}", status.code().unwrap_or_default())),
    }
}
