//! How many descriptors a process may have: it limits the number of peers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Outcome;

/// The most peers of any case.
pub const PEERS_MAX: u64 = 50_000;
/// Descriptors that a process has beside its connections, with a margin.
const OTHER_DESCRIPTORS: u64 = 500;

/// Lets this process, and those that it starts, have as many descriptors as the system permits.
pub fn raise() -> Outcome {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many descriptors a process may have at most.
pub fn descriptors_max() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// How many peers a process can have here, in hundreds.
pub fn peers_max() -> u64 {
    PEERS_MAX.min(descriptors_max().saturating_sub(OTHER_DESCRIPTORS) / 100 * 100)
}
