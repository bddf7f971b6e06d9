//! What is known of a site, as plain data.

use core::time::Duration;

/// How far a site is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is up, and a snapshot is awaited. In force is nothing, or what was before a gap.
    Joining,
    /// It is up, and its demand is in force.
    Live,
    /// It has said nothing for the timeout.
    Silent,
    /// It has left.
    Gone,
}

impl Phase {
    /// As it is written: `joining`, `live`, `silent` or `gone`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Joining => "joining",
            Phase::Live => "live",
            Phase::Silent => "silent",
            Phase::Gone => "gone",
        }
    }
}

/// What is known of a site. Times are those that the caller has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its newest process that is known.
    pub epoch: u64,
    /// How far it is known.
    pub phase: Phase,
    /// When it came up, or went down.
    pub since: Duration,
    /// When anything of its log came last, of this process.
    pub heard: Option<Duration>,
    /// Its changes that are known.
    pub sequence: u64,
    /// Its prefixes in force.
    pub prefixes: usize,
    /// Its prefixes beyond the quotas.
    pub prefixes_refused: u64,
    /// How often it was asked for a snapshot.
    pub snapshots: u64,
    /// Gaps in its log.
    pub log_gaps: u64,
    /// The bytes of deltas that wait for a snapshot, as they are counted for [`Quotas::pending_bytes`](super::Quotas::pending_bytes).
    pub pending_bytes: usize,
    /// The memory of all that is known of it, in bytes.
    pub allocated_bytes: usize,
}
