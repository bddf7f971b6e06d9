//! The queue of one peer and the writing of it. Nothing here knows what the bytes mean.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};

use super::backlog::{Backlog, Mark, Yields};
use crate::engine::wire::chunk::Run;
use crate::net::Stream;

/// How many runs one gathered write has at most.
const SLICES_MAX: usize = 64;
/// More than the systems of both sides can hold unread, while ours is told to hold little.
const UNREAD_BYTES_MAX: u64 = 1 << 20;
/// A peer that leaves this many control bytes unread gets no more answers.
pub(crate) const ANSWERS_BYTES_MAX: u64 = 64 << 10;

/// A run of this size is written in pieces, one a turn, so that other peers are served between them. A batch of
/// smaller messages does not reach it.
const LARGE_RUN_BYTES_MIN: u64 = 4 << 20;
const PIECE_BYTES_MAX: usize = 256 << 10;
/// How much of what is queued is written in one turn.
pub(crate) const FLUSH_BYTES_MAX: u64 = 1 << 20;

/// What one peer has still to be sent.
#[derive(Default)]
pub(crate) struct WriteQueue {
    pub(crate) backlog: Backlog,
    /// The stream took less than it was given; it will report when it takes more.
    blocked: bool,
    /// How many bytes the stream has taken, and whether [`unblock`](Self::unblock) has reported that the peer reads.
    written: u64,
    reads: bool,
    /// Why the stream takes nothing any more, until it is taken.
    failed: Option<io::Error>,
}

impl WriteQueue {
    pub(crate) fn new(yields: Yields) -> WriteQueue {
        WriteQueue { backlog: Backlog::new(yields), ..WriteQueue::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Whether the stream takes more, and no message waits.
    pub(crate) fn takes_messages(&self) -> bool {
        self.backlog.messages == 0 && !self.blocked
    }

    /// Whether the stream may take more of what is queued; that is written in the next turn.
    pub(crate) fn has_more(&self) -> bool {
        !self.backlog.is_empty() && !self.blocked
    }

    /// Whether nothing can be queued or written until the stream takes bytes again.
    pub(crate) fn is_stuck(&self, mark: Mark) -> bool {
        self.blocked && self.backlog.room(mark) == 0
    }

    /// The stream has failed since the last call. It then counts as one that takes nothing: what was offered to it is
    /// queued or missed.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// Drops what is queued. Returns how many messages that were, a partly written one included.
    pub(crate) fn clear(&mut self) -> u64 {
        std::mem::take(self).backlog.messages
    }

    /// Whether the stream took less than it was given.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The stream takes bytes again. Returns true once: when it has taken more than can be unread, so the peer reads.
    pub(crate) fn unblock(&mut self) -> bool {
        self.blocked = false;
        let reads = !self.reads && self.written >= UNREAD_BYTES_MAX;
        self.reads |= reads;
        reads
    }

    /// Queues answers to the peer, unless `bytes_max` wait, so that it evidently does not read: a peer that only asks must
    /// not fill our memory. It loses nothing, since it asks whether we are alive. Returns whether they are queued.
    pub(crate) fn answer(&mut self, bytes: Vec<u8>, bytes_max: u64) -> bool {
        let takes = self.backlog.control_bytes < bytes_max;
        if takes {
            self.backlog.control(bytes);
        }
        takes
    }

    /// Writes what is queued and then `runs`, as far as the stream takes them, and queues the rest of `runs` up to the
    /// mark, or in place of what gives way. Returns how many messages were written and missed.
    pub(crate) fn offer(&mut self, stream: &mut impl Stream, runs: &[Run], mark: Mark) -> Offered {
        let mut offered = Offered { written: self.flush(stream), missed: 0 };
        let (known, mut rest) = (self.backlog.runs.len(), runs.iter());
        if self.backlog.is_empty() && !self.blocked {
            let (mut next, mut head, mut large) = (0, None, false);
            while next < runs.len() && !self.blocked && !large {
                let first: &Run = head.as_ref().unwrap_or(&runs[next]);
                large = first.bytes_left() >= LARGE_RUN_BYTES_MIN;
                let window = &runs[next + 1..runs.len().min(next + SLICES_MAX)];
                let window = std::iter::once(first).chain(window);
                let Some(mut n) = self.write(stream, window, u64::MAX) else { break };
                while n > 0 {
                    let run = head.get_or_insert_with(|| runs[next].clone());
                    let step = n.min(run.bytes_left());
                    offered.written += run.advance(step);
                    n -= step;
                    if run.bytes_left() == 0 {
                        next += 1;
                        head = None;
                    }
                }
            }
            rest = runs[next..].iter();
            if let Some(run) = head {
                rest.next();
                offered.missed += self.backlog.push(run, mark);
            }
        }
        if self.backlog.is_mixed() {
            offered.missed += rest.map(|run| self.backlog.push(run.clone(), mark)).sum::<u64>();
            self.backlog.admitted(known);
            return offered;
        }
        if !self.backlog.yields_newest() {
            offered.missed += rest.map(|run| self.backlog.append(run.clone())).sum::<u64>();
            offered.missed += self.backlog.make_room(known, mark);
            return offered;
        }
        for run in rest {
            // A full queue is the common case of many slow peers: it must not cost a reference count.
            offered.missed += match self.backlog.room(mark) {
                0 => {
                    self.backlog.miss_newest(run);
                    run.messages()
                }
                _ => self.backlog.push(run.clone(), mark),
            };
        }
        offered
    }

    /// Writes the message that `slices` make up; nothing may be queued. What the stream does not take is queued, as
    /// `rest` encodes it. Returns how many messages were completely written.
    pub(crate) fn write_now(
        &mut self,
        stream: &mut impl Stream,
        slices: &[IoSlice<'_>],
        rest: impl FnOnce() -> Run,
    ) -> u64 {
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let piece = match slices {
            [shared] if shared.len() as u64 >= LARGE_RUN_BYTES_MIN => {
                &[IoSlice::new(&shared[..PIECE_BYTES_MAX])]
            }
            all => all,
        };
        let written = self.write_slices(stream, piece).unwrap_or(0);
        if written == bytes {
            return 1;
        }
        let mut run = rest();
        run.advance(written);
        self.backlog.push(run, Mark::NONE);
        self.flush(stream)
    }

    /// Writes what is queued, as far as the stream takes it, up to [`FLUSH_BYTES_MAX`]. Returns how many messages were
    /// completely written.
    pub(crate) fn flush(&mut self, stream: &mut impl Stream) -> u64 {
        let (mut written, mut share) = (0, FLUSH_BYTES_MAX);
        while !self.backlog.is_empty() && !self.blocked && share > 0 {
            if self.backlog.gaps.is_some() && !self.place_notice() {
                written += self.flush_cut(stream, &mut share);
                continue;
            }
            let runs = std::mem::take(&mut self.backlog.runs);
            let left = runs.iter().filter(|run| run.bytes_left() > 0).take(SLICES_MAX);
            let result = self.write(stream, left, share);
            self.backlog.runs = runs;
            let Some(n) = result else { break };
            written += self.backlog.advance(n);
            share -= n;
        }
        written
    }

    /// Queues a notice of what was missed, if its place has come. False: what is partly written is to be written before it.
    #[cold]
    fn place_notice(&mut self) -> bool {
        if self.backlog.tells_before() {
            if self.backlog.runs.front().is_some_and(Run::is_cut) {
                return false;
            }
            self.backlog.tell_before();
        }
        if self.backlog.runs.is_empty() {
            self.backlog.tell_behind();
        }
        true
    }

    /// Writes the rest of what is partly written, and no more.
    #[cold]
    fn flush_cut(&mut self, stream: &mut impl Stream, share: &mut u64) -> u64 {
        let Some(first) = self.backlog.runs.front() else { return 0 };
        let mut first = first.clone();
        if first.messages() > 1 {
            first = first.split_first();
        }
        let Some(n) = self.write(stream, std::iter::once(&first), *share) else { return 0 };
        *share -= n;
        self.backlog.advance(n)
    }

    /// One gathered write of up to `share` bytes, and of at most one piece of a large run. `None`: the stream takes
    /// nothing now.
    fn write<'a>(
        &mut self,
        stream: &mut impl Stream,
        runs: impl Iterator<Item = &'a Run>,
        mut share: u64,
    ) -> Option<u64> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, run) in slices.iter_mut().zip(runs) {
            let mut bytes = run.bytes();
            if bytes.len() as u64 >= LARGE_RUN_BYTES_MIN {
                bytes = &bytes[..PIECE_BYTES_MAX];
                share = share.min(PIECE_BYTES_MAX as u64);
            }
            bytes = &bytes[..bytes.len().min(usize::try_from(share).unwrap_or(usize::MAX))];
            share -= bytes.len() as u64;
            *slice = IoSlice::new(bytes);
            count += 1;
            if share == 0 {
                break;
            }
        }
        self.write_slices(stream, &slices[..count])
    }

    #[inline]
    fn write_slices(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> Option<u64> {
        match stream.write(slices) {
            Ok(n) => {
                self.written += n as u64;
                Some(n as u64)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Some(0),
            Err(e) => {
                self.blocked = true;
                if e.kind() != io::ErrorKind::WouldBlock {
                    self.failed = Some(e);
                }
                None
            }
        }
    }
}

/// The result of an offer.
pub(crate) struct Offered {
    /// Messages that were completely written, those queued before included.
    pub(crate) written: u64,
    /// Messages that had no room.
    pub(crate) missed: u64,
}
