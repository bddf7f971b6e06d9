//! A queue from which any entry can be removed at any time. Each operation takes constant time. What netting means is not
//! known here.
use alloc::vec::Vec;

use super::edge::Edge;
use crate::topic::index::shrink;

/// How many slots are allocated together, at most.
const SEGMENT: usize = 1024;
/// Stands for no slot.
const NONE: u32 = u32::MAX;

/// Edges in the order of arrival: a doubly linked list whose slots are numbered without gaps. When an edge is removed, the
/// slot with the highest number takes its number.
pub(super) struct Queue<S> {
    /// Each has [`SEGMENT`] slots, except for the last one that has any, and perhaps an empty one after it.
    segments: Vec<Vec<Slot<S>>>,
    len: usize,
    oldest: u32,
    newest: u32,
}

pub(super) struct Slot<S> {
    pub(super) edge: Edge<S>,
    /// The owner's.
    pub(super) hash: u64,
    /// The next older slot, and the next newer one.
    older: u32,
    newer: u32,
}

impl<S> Queue<S> {
    pub(super) fn new() -> Queue<S> {
        Queue { segments: Vec::new(), len: 0, oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many slots are allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.segments.iter().map(Vec::capacity).sum()
    }

    /// The number of the oldest slot, if there is one.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// The edges, the oldest first.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Edge<S>> {
        let next = |&at: &u32| Some(self.slot(at).newer).filter(|&at| at != NONE);
        core::iter::successors(self.oldest(), next).map(|at| &self.slot(at).edge)
    }

    /// The highest number.
    pub(super) fn last(&self) -> u32 {
        self.len as u32 - 1
    }

    pub(super) fn slot(&self, at: u32) -> &Slot<S> {
        &self.segments[at as usize / SEGMENT][at as usize % SEGMENT]
    }

    pub(super) fn slot_mut(&mut self, at: u32) -> &mut Slot<S> {
        &mut self.segments[at as usize / SEGMENT][at as usize % SEGMENT]
    }

    /// Appends an edge and returns its number, the highest.
    pub(super) fn push(&mut self, edge: Edge<S>, hash: u64) -> u32 {
        let at = u32::try_from(self.len).ok().filter(|&at| at != NONE).expect("fewer than 2^32 edges");
        if self.len == self.segments.len() * SEGMENT {
            self.segments.push(Vec::new());
        }
        let slot = Slot { edge, hash, older: self.newest, newer: NONE };
        self.segments[self.len / SEGMENT].push(slot);
        self.len += 1;
        self.link(self.newest, at);
        self.link(at, NONE);
        at
    }

    /// Removes an edge. The slot with the highest number gets this number.
    pub(super) fn remove(&mut self, at: u32) -> Edge<S> {
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

    /// Links two neighbours, or makes one of them an end.
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

    /// Frees the empty segment at the end once the one before it is half empty too (hysteresis).
    fn free_segment(&mut self) {
        if self.len + SEGMENT + SEGMENT / 2 <= self.segments.len() * SEGMENT && self.segments.len() > 1 {
            self.segments.pop();
            shrink(&mut self.segments);
        }
    }
}
