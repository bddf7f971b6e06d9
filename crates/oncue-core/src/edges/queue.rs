//! A queue that yields any of its entries at any time, in whatever order they came. No operation takes longer because the
//! queue is long. Knows nothing of what netting out means.
use alloc::vec::Vec;

use super::edge::Edge;
use crate::topic::index::shrink;

/// How many slots are allocated together, at the most.
const SEGMENT: usize = 1024;
/// The number of no slot.
pub(super) const NONE: u32 = u32::MAX;

/// Edges in the order in which they came: a list, whose slots are numbered without a gap. When one goes, the one of the
/// highest number takes its place.
pub(super) struct Queue {
    /// All of [`SEGMENT`] slots, but for the last one that has any, and perhaps an empty one behind it.
    segments: Vec<Vec<Slot>>,
    len: usize,
    oldest: u32,
    newest: u32,
}

pub(super) struct Slot {
    pub(super) edge: Edge,
    /// For the owner; 0 at first: the hash of the prefix, and a mark.
    pub(super) hash: u64,
    pub(super) mark: u32,
    /// The next older one, and the next newer one.
    older: u32,
    newer: u32,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue { segments: Vec::new(), len: 0, oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many slots there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.segments.iter().map(Vec::capacity).sum()
    }

    /// The number of the oldest one.
    pub(super) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The number of the next newer one than that of this number.
    pub(super) fn newer(&self, at: u32) -> u32 {
        self.slot(at).newer
    }

    /// The highest number.
    pub(super) fn last(&self) -> u32 {
        self.len as u32 - 1
    }

    pub(super) fn slot(&self, at: u32) -> &Slot {
        &self.segments[at as usize / SEGMENT][at as usize % SEGMENT]
    }

    pub(super) fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.segments[at as usize / SEGMENT][at as usize % SEGMENT]
    }

    /// Appends the newest one, and yields its number: the highest.
    pub(super) fn push(&mut self, edge: Edge) -> u32 {
        let at = u32::try_from(self.len).ok().filter(|&at| at != NONE).expect("fewer than 2^32 edges");
        if self.len == self.segments.len() * SEGMENT {
            self.segments.push(Vec::new());
        }
        let slot = Slot { edge, hash: 0, mark: 0, older: self.newest, newer: NONE };
        self.segments[self.len / SEGMENT].push(slot);
        self.len += 1;
        self.link(self.newest, at);
        self.link(at, NONE);
        at
    }

    /// Takes one out. That of the highest number has this number from now on.
    pub(super) fn remove(&mut self, at: u32) -> Edge {
        let Slot { older, newer, .. } = *self.slot(at);
        self.link(older, newer);
        let segment = self.last() as usize / SEGMENT;
        let last = self.segments[segment].pop().expect("the last one has the number");
        self.len -= 1;
        self.free_segment();
        if at as usize == self.len {
            return last.edge;
        }
        let Slot { older, newer, .. } = last;
        let removed = core::mem::replace(self.slot_mut(at), last);
        self.link(older, at);
        self.link(at, newer);
        removed.edge
    }

    /// Makes two neighbours, or one of them an end.
    fn link(&mut self, older: u32, newer: u32) {
        match older {
            NONE => self.oldest = newer,
            _ => self.slot_mut(older).newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.slot_mut(newer).older = older,
        }
    }

    /// Gives the empty segment at the end back once the one before it is half empty too.
    fn free_segment(&mut self) {
        if self.len + SEGMENT + SEGMENT / 2 <= self.segments.len() * SEGMENT && self.segments.len() > 1 {
            self.segments.pop();
            shrink(&mut self.segments);
        }
    }
}
