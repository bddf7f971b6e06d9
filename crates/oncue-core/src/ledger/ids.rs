//! The numbers of peers and audiences.

/// A peer of the ledger: a small number, valid from `attach` to `detach`, then reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub(super) u32);

impl PeerId {
    /// The number itself, for dense tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An audience: a small number, valid while the audience has peers, then reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AudienceId(pub(super) u32);

impl AudienceId {
    /// The number itself, below [`Ledger::audiences_end`](super::Ledger::audiences_end), for dense tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
