//! Changes in order. They are in two pieces of memory, so none costs an allocation of its own.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Default)]
pub(super) struct Log {
    /// The prefixes one after the other, from byte `begin` on of all that were ever put here.
    bytes: Vec<u8>,
    begin: u64,
    /// Where the prefix of the first change starts.
    start: u64,
    /// Where the prefix of each change ends, and in the lowest bit whether it is a subscribe.
    changes: VecDeque<u64>,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn push(&mut self, subscribe: bool, prefix: &[u8]) {
        self.bytes.extend_from_slice(prefix);
        let end = self.begin + self.bytes.len() as u64;
        self.changes.push_back(end << 1 | u64::from(subscribe));
    }

    /// Calls `found` with each change but the first few.
    pub(super) fn for_each(&self, skipped: usize, mut found: impl FnMut(bool, &[u8])) {
        let before = skipped.checked_sub(1).map_or(self.start, |last| self.changes[last] >> 1);
        let mut start = (before - self.begin) as usize;
        for change in self.changes.range(skipped..) {
            let end = ((change >> 1) - self.begin) as usize;
            found(change & 1 == 1, &self.bytes[start..end]);
            start = end;
        }
    }

    /// Drops the first few changes.
    pub(super) fn trim(&mut self, dropped: usize) {
        let Some(last) = dropped.checked_sub(1) else { return };
        self.start = self.changes[last] >> 1;
        self.changes.drain(..dropped);
        // Moved only if that frees as much as is moved.
        let dead = (self.start - self.begin) as usize;
        if dead > self.bytes.len() / 2 {
            self.bytes.drain(..dead);
            self.begin = self.start;
        }
        // The memory of a burst is given back.
        if self.changes.capacity() / 4 > self.changes.len() {
            self.changes.shrink_to(2 * self.changes.len());
        }
        if self.bytes.capacity() / 4 > self.bytes.len() {
            self.bytes.shrink_to(2 * self.bytes.len());
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.changes.capacity().max(self.bytes.capacity() / 4)
    }
}
