//! What waits to be written to one peer, and the writing of it. Nothing here knows what the bytes mean.

#[cfg(test)]
mod tests;
mod yielding;

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::engine::wire::chunk::Run;
use crate::net::Stream;
pub(crate) use yielding::{ByTopic, Topics, Yields};

/// How many runs one write gathers at the most.
const SLICES_MAX: usize = 64;
/// More than the systems of both sides hold of what nobody reads, while ours is told to hold little.
const UNREAD_BYTES_MAX: u64 = 1 << 20;
/// From so many bytes on that are no message, a peer that does not read them is answered no more.
const ANSWERS_BYTES_MAX: u64 = 64 << 10;

/// A run of so many bytes or more is written in pieces, each in its own turn, so that others get in between. A batch of
/// smaller messages is not as large.
const LARGE_RUN_BYTES_MIN: u64 = 4 << 20;
const PIECE_BYTES_MAX: usize = 256 << 10;
/// How much of what is queued is written before others get their turn.
pub(crate) const FLUSH_BYTES_MAX: u64 = 1 << 20;

/// The runs that one peer has still to be sent.
#[derive(Default)]
pub(crate) struct WriteQueue {
    runs: VecDeque<Run>,
    /// What it gives up when it is full.
    yields: Yields,
    messages: u64,
    bytes: u64,
    /// Bytes that are no message.
    control_bytes: u64,
    /// Whether the stream took less than it was given; it will report when it takes more.
    blocked: bool,
    /// Whether something was missed since the queue was last empty of messages: what is left of a large message may be
    /// below the mark while no other such message fits.
    crowded: bool,
    /// How many bytes the stream has taken, and whether that was said to be more than can be unread.
    written: u64,
    reads: bool,
}

/// The bounds of a queue.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Mark {
    pub(crate) const NONE: Mark = Mark { messages: u64::MAX, bytes: u64::MAX };
}

impl WriteQueue {
    pub(crate) fn new(yields: Yields) -> WriteQueue {
        WriteQueue { yields, ..WriteQueue::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many messages may be offered where nothing may be missed: any number while nothing is queued, and then those
    /// that fit before the mark is reached.
    pub(crate) fn room_to_offer(&self, mark: Mark) -> u64 {
        if self.messages == 0 { u64::MAX } else { self.room(mark) }
    }

    /// How many messages fit before the mark is reached.
    fn room(&self, mark: Mark) -> u64 {
        if self.bytes >= mark.bytes { 0 } else { mark.messages.saturating_sub(self.messages) }
    }

    /// Whether the stream takes more, and no message waits.
    pub(crate) fn takes_messages(&self) -> bool {
        self.messages == 0 && !self.blocked
    }

    /// Whether the stream may take more of what is queued, which is written in the next turn.
    pub(crate) fn has_more(&self) -> bool {
        !self.runs.is_empty() && !self.blocked
    }

    /// How many bytes wait that are no message.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn control_bytes(&self) -> u64 {
        self.control_bytes
    }

    /// How many messages wait.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether nothing can be queued or written before the stream takes bytes again.
    pub(crate) fn is_stuck(&self, mark: Mark) -> bool {
        self.blocked && self.room(mark) == 0
    }

    /// Whether the mark is reached, or something did not fit below it; where that was so before, whether less than half of
    /// the mark has been written since, or something is left of what nothing fitted beside.
    pub(crate) fn is_full(&self, mark: Mark, was: bool) -> bool {
        match was {
            false => self.room(mark) == 0 || self.crowded,
            true => self.messages > mark.messages / 2 || self.bytes > mark.bytes / 2 || self.crowded,
        }
    }

    /// Whether the stream took less than it was given.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The stream takes bytes again. Yields, once, whether it has taken so many that somebody must have read them.
    pub(crate) fn unblock(&mut self) -> bool {
        self.blocked = false;
        let reads = !self.reads && self.written >= UNREAD_BYTES_MAX;
        self.reads |= reads;
        reads
    }

    /// Queues bytes that are no message, behind what is queued already. They count towards no mark.
    pub(crate) fn control(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.control_bytes += bytes.len() as u64;
            self.runs.push_back(Run::control(bytes));
        }
    }

    /// Queues answers to what the peer has sent, unless so much waits already that it evidently does not read: a peer
    /// that only asks must not fill our memory. It loses nothing by it, as what it asks is whether we are there. Yields
    /// whether they are queued.
    pub(crate) fn answer(&mut self, bytes: Vec<u8>) -> bool {
        let takes = self.control_bytes < ANSWERS_BYTES_MAX;
        if takes {
            self.control(bytes);
        }
        takes
    }

    /// Writes what is queued, then `runs`, as far as the stream takes them, and queues the rest of `runs` up to the
    /// mark, or in place of what yields. Yields how many messages were missed.
    pub(crate) fn offer(
        &mut self,
        stream: &mut impl Stream,
        runs: &[Run],
        mark: Mark,
    ) -> io::Result<Offered> {
        let mut offered = Offered { written: self.flush(stream)?, missed: 0 };
        let (known, mut rest) = (self.runs.len(), runs.iter());
        if self.runs.is_empty() && !self.blocked {
            let (mut next, mut head, mut large) = (0, None, false);
            while next < runs.len() && !self.blocked && !large {
                let first: &Run = head.as_ref().unwrap_or(&runs[next]);
                large = first.bytes_left() >= LARGE_RUN_BYTES_MIN;
                let window = &runs[next + 1..runs.len().min(next + SLICES_MAX)];
                let window = std::iter::once(first).chain(window);
                let Some(mut n) = self.write(stream, window, u64::MAX)? else { break };
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
                offered.missed += self.push(run, mark);
            }
        }
        if !self.yields_newest() {
            offered.missed += rest.map(|run| self.append(run.clone())).sum::<u64>();
            offered.missed += self.make_room(known, mark);
            return Ok(offered);
        }
        for run in rest {
            // A full queue is the common case of many slow peers: it must not cost a reference.
            offered.missed += match self.room(mark) {
                0 => run.messages(),
                _ => self.push(run.clone(), mark),
            };
        }
        Ok(offered)
    }

    /// Writes the message that `slices` make up, for which nothing may be queued; what the stream does not take is
    /// queued, as `rest` encodes it. Yields how many messages were written whole.
    pub(crate) fn write_now(
        &mut self,
        stream: &mut impl Stream,
        slices: &[IoSlice<'_>],
        rest: impl FnOnce() -> Run,
    ) -> io::Result<u64> {
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let piece = match slices {
            [shared] if shared.len() as u64 >= LARGE_RUN_BYTES_MIN => {
                &[IoSlice::new(&shared[..PIECE_BYTES_MAX])]
            }
            all => all,
        };
        let written = match stream.write(piece) {
            Ok(n) => n as u64,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                0
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        self.written += written;
        if written == bytes {
            return Ok(1);
        }
        let mut run = rest();
        run.advance(written);
        self.push(run, Mark::NONE);
        self.flush(stream)
    }

    /// Queues a run as far as the mark allows; yields how many of its messages were missed.
    fn push(&mut self, mut run: Run, mark: Mark) -> u64 {
        if !self.yields_newest() {
            return self.append(run);
        }
        let bytes_room = if self.messages == 0 {
            // A message larger than the mark still passes alone.
            run.bytes_left().min(mark.bytes.max(run.first_message_bytes()))
        } else {
            mark.bytes.saturating_sub(self.bytes)
        };
        let missed = run.truncate(self.room(mark), bytes_room);
        self.crowded |= missed > 0;
        if run.bytes_left() > 0 {
            self.messages += run.messages();
            self.bytes += run.bytes_left();
            self.runs.push_back(run);
        }
        missed
    }

    /// Writes what is queued, as far as the stream takes it and up to [`FLUSH_BYTES_MAX`]; yields how many messages were
    /// written whole.
    pub(crate) fn flush(&mut self, stream: &mut impl Stream) -> io::Result<u64> {
        let (mut written, mut share) = (0, FLUSH_BYTES_MAX);
        while !self.runs.is_empty() && !self.blocked && share > 0 {
            let runs = std::mem::take(&mut self.runs);
            let left = runs.iter().filter(|run| run.bytes_left() > 0).take(SLICES_MAX);
            let result = self.write(stream, left, share);
            self.runs = runs;
            let Some(n) = result? else { break };
            written += self.advance(n);
            share -= n;
        }
        Ok(written)
    }

    fn advance(&mut self, mut n: u64) -> u64 {
        let mut written = 0;
        while n > 0 {
            let run = self.runs.front_mut().expect("no more is written than was queued");
            let step = n.min(run.bytes_left());
            match run.messages() {
                0 => self.control_bytes -= step,
                _ => self.bytes -= step,
            }
            let done = run.advance(step);
            self.messages -= done;
            self.crowded &= self.messages > 0;
            written += done;
            n -= step;
            if run.bytes_left() == 0 {
                self.pop_front();
            }
        }
        written
    }

    /// One gathered write of up to `share` bytes, and of no more than a piece of a large run; `None` where the stream takes
    /// nothing now.
    fn write<'a>(
        &mut self,
        stream: &mut impl Stream,
        runs: impl Iterator<Item = &'a Run>,
        mut share: u64,
    ) -> io::Result<Option<u64>> {
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
        match stream.write(&slices[..count]) {
            Ok(n) => {
                self.written += n as u64;
                Ok(Some(n as u64))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(None)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
            Err(e) => Err(e),
        }
    }
}

/// What became of an offer.
pub(crate) struct Offered {
    /// Messages that the stream took whole, those queued before included.
    pub(crate) written: u64,
    /// Messages that there was no room for.
    pub(crate) missed: u64,
}
