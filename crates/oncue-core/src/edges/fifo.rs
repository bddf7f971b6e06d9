//! A queue that is read in order. It grows and shrinks in segments, so no operation takes long.
use alloc::collections::VecDeque;

/// How many entries are allocated together, at most.
const SEGMENT: usize = 1024;

pub(super) struct Fifo<T> {
    /// Only the first and the last one may have fewer than [`SEGMENT`] entries.
    segments: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Fifo<T> {
    pub(super) fn new() -> Fifo<T> {
        Fifo { segments: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, entry: T) {
        self.len += 1;
        match self.segments.back_mut() {
            Some(last) if last.len() < SEGMENT => last.push_back(entry),
            _ => self.segments.push_back(VecDeque::from([entry])),
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let entry = self.segments.front_mut()?.pop_front()?;
        self.len -= 1;
        // The last one stays, for what comes next.
        if self.segments.len() > 1 && self.segments[0].is_empty() {
            self.segments.pop_front();
        }
        Some(entry)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flatten()
    }

    /// For how many entries memory is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.segments.iter().map(VecDeque::capacity).sum()
    }
}
