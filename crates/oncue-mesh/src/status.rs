//! What a site knows of the mesh, and what it has counted: plain data.

use std::time::Duration;

pub use oncue_core::mesh::Phase as SitePhase;

/// The mesh as one site sees it, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeshStatus {
    /// The name of this site.
    pub site: String,
    /// The name of the mesh.
    pub mesh: String,
    /// `edge`, `router` or `peer`.
    pub role: &'static str,
    /// This process of the site: larger than that of each earlier one.
    pub epoch: u64,
    /// Changes of this site's demand since it began.
    pub sequence: u64,
    /// Prefixes that this site's subscribers want from the mesh.
    pub prefixes: usize,
    /// Links of this process to other Zenoh sessions: a router's or an edge's neighbours, or the sites of a small mesh.
    pub links: usize,
    /// How often a site was refused since [`Quotas::sites`](crate::Quotas::sites) was reached: one that stays counts again with each
    /// heartbeat.
    pub sites_refused: u64,
    /// Payloads of demand logs that were not in the format. Nothing came of them.
    pub malformed: u64,
    /// The other sites, by name. A site that is gone stays here until another one needs its place.
    pub sites: Vec<SiteStatus>,
}

/// What is known of another site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteStatus {
    /// Its name.
    pub name: String,
    /// Its newest epoch that is known.
    pub epoch: u64,
    /// Whether it lives, and its demand is known.
    pub phase: SitePhase,
    /// How long it has been in this phase.
    pub since: Duration,
    /// How long ago anything of its demand log came: a change or a heartbeat. None: never.
    pub heard: Option<Duration>,
    /// How long a question to it and its answer took last. None: it was not asked yet.
    pub round_trip: Option<Duration>,
    /// Its changes of demand that are known.
    pub sequence: u64,
    /// Prefixes that it wants from here, as far as they are permitted and within its quota.
    pub prefixes: usize,
    /// Prefixes of it that are beyond its quota, or not permitted, at this moment.
    pub prefixes_refused: usize,
    /// Snapshots of its demand that were asked for: one when it appears, another after each gap.
    pub snapshots: u64,
    /// Gaps in its demand log: changes were lost, and a snapshot has replaced them.
    pub log_gaps: u64,
    /// What was sent to it.
    pub sent: Flow,
    /// Messages that it missed since its queue was full, or since they were too large.
    pub missed: u64,
    /// What came from it.
    pub received: Flow,
    /// Messages that it had sent and that were lost on the way, by their sequence numbers, or that it missed before they were sent.
    pub lost: u64,
    /// Places among the messages from it where some were lost.
    pub gaps: u64,
    /// Messages from it that came again, or too late, and were discarded.
    pub duplicates: u64,
    /// Messages to it or from it that were discarded since their topics are not permitted.
    pub forbidden: u64,
    /// Batches from it that were not in the format. Nothing came of them.
    pub malformed: u64,
}

/// Messages that went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Messages.
    pub messages: u64,
    /// Bytes of messages, in wire encoding.
    pub bytes: u64,
    /// Batches that they were put together into.
    pub batches: u64,
}
