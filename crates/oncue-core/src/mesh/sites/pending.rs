//! Deltas that wait for a snapshot.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::mesh::codec::Delta;

/// What a buffered delta is counted with beside its bytes.
const ENTRY_BYTES: usize = 64;

/// Deltas that wait for a snapshot, by their first sequence number. Beyond the bound the earliest are dropped: the snapshot most
/// likely contains them, and otherwise their gap is found.
#[derive(Default)]
pub(super) struct Pending {
    deltas: BTreeMap<u64, Box<[u8]>>,
    bytes: usize,
}

impl Pending {
    /// Keeps a delta, which was decoded from `payload`.
    pub(super) fn keep(&mut self, delta: &Delta<'_>, payload: &[u8], bytes_max: usize) {
        let known = self.deltas.get(&delta.first).is_some_and(|known| known.len() >= payload.len());
        if known {
            return;
        }
        self.bytes += payload.len() + ENTRY_BYTES;
        if let Some(shorter) = self.deltas.insert(delta.first, payload.into()) {
            self.bytes -= shorter.len() + ENTRY_BYTES;
        }
        while self.bytes > bytes_max && self.pop().is_some() {}
    }

    /// The earliest.
    pub(super) fn pop(&mut self) -> Option<Box<[u8]>> {
        let (_, payload) = self.deltas.pop_first()?;
        self.bytes -= payload.len() + ENTRY_BYTES;
        Some(payload)
    }

    pub(super) fn clear(&mut self) {
        *self = Pending::default();
    }

    /// The bytes that are counted.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
