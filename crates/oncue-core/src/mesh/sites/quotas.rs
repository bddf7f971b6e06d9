//! Bounds on what other sites may cause here.

/// Bounds on what other sites may cause here. What is beyond is refused and counted, and disturbs no other site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Sites that are up at once.
    pub sites: usize,
    /// Sites that are remembered although they are not up: their epochs, so that what comes late of them is ignored.
    pub gone: usize,
    /// Prefixes in force for each site.
    pub prefixes: usize,
    /// The bytes of these prefixes together.
    pub prefix_bytes: usize,
    /// The bytes of one prefix.
    pub prefix_len: usize,
    /// The bytes of deltas of one site that wait for its snapshot, each counted with 64 bytes more.
    pub pending_bytes: usize,
}

impl Default for Quotas {
    /// 256 sites and 256 that are gone; for each site 1,000,000 prefixes, 64 MiB of prefixes, 64 KiB per prefix, 8 MiB of
    /// deltas.
    fn default() -> Quotas {
        Quotas {
            sites: 256,
            gone: 256,
            prefixes: 1_000_000,
            prefix_bytes: 64 << 20,
            prefix_len: 64 << 10,
            pending_bytes: 8 << 20,
        }
    }
}
