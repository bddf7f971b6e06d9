//! What the receiver of a stream keeps: which numbers it has seen.

use super::data::{Ended, Head};

/// The batches of one other site, as they come: what is new in each, and what was lost before it.
///
/// Numbers only go up: what comes again, or after later ones, is discarded. What is lost is counted when a later number comes.
/// A message that was lost and comes too late stays counted as lost.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// None until the first batch.
    seen: Option<Ended>,
}

/// What to make of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many of its messages and states, from its beginning, are to be discarded: they were seen, or are too late.
    pub skip: u64,
    /// How many were lost on the way between what was seen and this batch, at the end of the stream before as well.
    pub lost: u64,
    /// How many messages the sender has discarded since its queue for this site was full, and were not reported before.
    pub missed: u64,
}

impl Stream {
    /// Nothing seen.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Notes a batch. Of an earlier stream than the last one nothing is taken. If the very first batch begins after number 1, it is
    /// not known whether the earlier ones were meant for this process, and they are not counted as lost.
    pub fn accept(&mut self, head: &Head) -> Verdict {
        let (mut lost_before, mut missed_before) = (0, 0);
        let seen = match &mut self.seen {
            Some(seen) if head.stream < seen.stream => {
                return Verdict { skip: head.count, ..Verdict::default() };
            }
            Some(seen) if head.stream == seen.stream => seen,
            seen => {
                if let Some(seen) = seen.as_ref().filter(|seen| seen.stream == head.earlier.stream) {
                    lost_before = head.earlier.next.saturating_sub(seen.next);
                    missed_before = head.earlier.missed.saturating_sub(seen.missed);
                }
                let middle = seen.is_none() && head.first > 1;
                let (next, missed) = if middle { (head.first, head.missed) } else { (1, 0) };
                seen.insert(Ended { stream: head.stream, next, missed })
            }
        };
        let end = head.first.saturating_add(head.count);
        let verdict = Verdict {
            skip: seen.next.saturating_sub(head.first).min(head.count),
            lost: head.first.saturating_sub(seen.next).saturating_add(lost_before),
            missed: head.missed.saturating_sub(seen.missed).saturating_add(missed_before),
        };
        seen.next = seen.next.max(end);
        seen.missed = seen.missed.max(head.missed);
        verdict
    }
}
