//! What the receiver of a stream keeps: which numbers it has seen.

use super::data::Head;

/// The batches of one other site, as they come: what is new in each, and what was lost before it.
///
/// Numbers only go up: what comes again, or after later ones, is discarded. What is lost is counted when a later number comes.
/// A message that was lost and comes too late stays counted as lost.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// None until the first batch.
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    stream: u64,
    /// The number that is due.
    next: u64,
    missed: u64,
}

/// What to make of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many of its messages and states, from its beginning, are to be discarded: they were seen, or are too late.
    pub skip: u64,
    /// How many were lost on the way between what was seen and this batch.
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
        let seen = match &mut self.seen {
            Some(seen) if head.stream < seen.stream => {
                return Verdict { skip: head.count, ..Verdict::default() };
            }
            Some(seen) if head.stream == seen.stream => seen,
            seen => {
                let middle = seen.is_none() && head.first > 1;
                let (next, missed) = if middle { (head.first, head.missed) } else { (1, 0) };
                seen.insert(Seen { stream: head.stream, next, missed })
            }
        };
        let end = head.first.saturating_add(head.count);
        let verdict = Verdict {
            skip: seen.next.saturating_sub(head.first).min(head.count),
            lost: head.first.saturating_sub(seen.next),
            missed: head.missed.saturating_sub(seen.missed),
        };
        seen.next = seen.next.max(end);
        seen.missed = seen.missed.max(head.missed);
        verdict
    }
}
