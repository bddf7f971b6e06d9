//! Chunks and runs: messages in wire encoding, written once and shared by all peers that they go to.

use std::sync::Arc;

use oncue_core::frame;

use crate::buffer::{Buffer, Stock};
use crate::msg::Msg;
use crate::options::OnFull;
use crate::permission::PeerKey;

/// A chunk is closed at this size: large enough for a write, small enough to stay in a processor's cache.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// A run that is at least 1/8 of its chunk is referenced. A shorter one is copied, so that a slow peer which waits for
/// a few messages does not keep whole chunks alive.
pub(crate) const REFERENCE_PART: usize = 8;

/// Consecutive messages in wire encoding, and where each ends. A chunk without messages carries a connection's own
/// bytes: a greeting, commands.
pub(crate) struct Chunk {
    bytes: Bytes,
    /// Where its first message starts.
    start: u32,
    ends: Vec<u32>,
    /// What gives way when there is no room for its messages; `None`: as their socket says.
    on_full: Option<OnFull>,
    /// The only peer that its messages are for, if they are for one.
    to: Option<PeerKey>,
    /// Where its buffers return when the last reference is gone.
    home: Option<Spares>,
}

/// A stock of emptied buffers of chunks.
pub(crate) type Spares = Stock<(Vec<u8>, Vec<u32>)>;

enum Bytes {
    Own(Vec<u8>),
    Shared(Msg),
    Received(Buffer),
}

impl Chunk {
    /// `ends` ascend, and the last one is the length of `bytes`.
    pub(crate) fn new(bytes: Vec<u8>, ends: Vec<u32>) -> Chunk {
        debug_assert_eq!(ends.last().copied().unwrap_or(bytes.len() as u32) as usize, bytes.len());
        Chunk { bytes: Bytes::Own(bytes), start: 0, ends, on_full: None, to: None, home: None }
    }

    /// As [`new`](Self::new), of buffers that return to `home`.
    pub(crate) fn of_spares(bytes: Vec<u8>, ends: Vec<u32>, home: &Spares) -> Chunk {
        let mut chunk = Chunk::new(bytes, ends);
        chunk.home = Some(home.clone());
        chunk
    }

    /// One message, shared instead of copied.
    pub(crate) fn shared(message: Msg) -> Chunk {
        let end = message.wire().len() as u32;
        Chunk {
            bytes: Bytes::Shared(message),
            start: 0,
            ends: vec![end],
            on_full: None,
            to: None,
            home: None,
        }
    }

    /// Messages as they were received: the first one begins at `start`, and each ends where the next one begins.
    pub(crate) fn received(buffer: Buffer, start: u32, ends: Vec<u32>) -> Chunk {
        debug_assert!(ends.is_sorted() && ends.last().is_some_and(|end| *end as usize <= buffer.len()));
        Chunk { bytes: Bytes::Received(buffer), start, ends, on_full: None, to: None, home: None }
    }

    /// Its messages have a policy of their own, if any.
    pub(crate) fn with_policy(mut self, on_full: Option<OnFull>) -> Chunk {
        self.on_full = on_full;
        self
    }

    /// Its messages are for one peer.
    pub(crate) fn for_peer(mut self, peer: PeerKey) -> Chunk {
        self.to = Some(peer);
        self
    }

    /// The only peer that its messages are for, if they are for one.
    pub(crate) fn to(&self) -> Option<PeerKey> {
        self.to
    }

    /// The policy of its messages, if they have one of their own.
    pub(crate) fn on_full(&self) -> Option<OnFull> {
        self.on_full
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(message) => message.wire(),
            Bytes::Received(buffer) => buffer,
        }
    }

    /// The memory that it keeps alive.
    pub(crate) fn memory(&self) -> u64 {
        let bytes = match &self.bytes {
            Bytes::Own(bytes) => bytes.capacity(),
            Bytes::Shared(message) => message.memory(),
            Bytes::Received(buffer) => buffer.memory(),
        };
        (bytes + self.ends.capacity() * size_of::<u32>()) as u64
    }

    /// How many bytes its messages have.
    pub(crate) fn message_bytes(&self) -> u64 {
        u64::from(self.start(self.len()) - self.start)
    }

    /// The bytes of its messages.
    pub(crate) fn messages(&self) -> &[u8] {
        &self.bytes()[self.start as usize..self.start(self.len()) as usize]
    }

    /// Where its messages end, from the start of the first one.
    pub(crate) fn ends(&self) -> impl Iterator<Item = u32> {
        self.ends.iter().map(|end| end - self.start)
    }

    /// How many messages it holds.
    pub(crate) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Where message `index` starts; for `len()` the end of the chunk.
    pub(crate) fn start(&self, index: u32) -> u32 {
        match index {
            0 => self.start,
            i => self.ends[i as usize - 1],
        }
    }

    pub(crate) fn message(&self, index: u32) -> &[u8] {
        &self.bytes()[self.start(index) as usize..self.ends[index as usize] as usize]
    }

    /// The first message, at or after `from`, that ends after byte `at`.
    fn message_at(&self, from: u32, at: u32) -> u32 {
        from + self.ends[from as usize..].partition_point(|&end| end <= at) as u32
    }

    /// How many messages from `first` on it takes to reach `bytes`; all of them if they have fewer.
    pub(crate) fn reaching(&self, first: u32, bytes: u64) -> u64 {
        let end = u64::from(self.start(first)).saturating_add(bytes);
        match bytes {
            0 => 0,
            _ if end > u64::from(self.start(self.len())) => u64::from(self.len() - first),
            _ => u64::from(self.message_at(first, end as u32 - 1) + 1 - first),
        }
    }
}

impl Chunk {
    /// Its buffers, if it has some that do not return elsewhere.
    fn into_buffers(mut self) -> Option<(Vec<u8>, Vec<u32>)> {
        match &mut self.bytes {
            Bytes::Own(bytes) if self.home.is_none() => {
                Some((std::mem::take(bytes), std::mem::take(&mut self.ends)))
            }
            _ => None,
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let (Some(home), Bytes::Own(bytes)) = (self.home.take(), &mut self.bytes) {
            home.put((std::mem::take(bytes), std::mem::take(&mut self.ends)));
        }
    }
}

/// Consecutive messages of one chunk, and how far they are written.
#[derive(Clone)]
pub(crate) struct Run {
    chunk: Arc<Chunk>,
    /// The first message that is not completely written, and the one after the last.
    first: u32,
    last: u32,
    /// The next byte to write, and the one after the last.
    at: u32,
    end: u32,
}

impl Run {
    /// Messages `first..last` of a chunk.
    pub(crate) fn new(chunk: Arc<Chunk>, first: u32, last: u32) -> Run {
        let (at, end) = (chunk.start(first), chunk.start(last));
        Run { chunk, first, last, at, end }
    }

    /// The buffers of its chunk, if they are its own and nothing else refers to them.
    pub(crate) fn into_buffers(self) -> Option<(Vec<u8>, Vec<u32>)> {
        Arc::into_inner(self.chunk)?.into_buffers()
    }

    /// Bytes that are not a message.
    pub(crate) fn control(bytes: Vec<u8>) -> Run {
        let end = bytes.len() as u32;
        Run { chunk: Arc::new(Chunk::new(bytes, Vec::new())), first: 0, last: 0, at: 0, end }
    }

    /// The bytes that are not yet written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.chunk.bytes()[self.at as usize..self.end as usize]
    }

    pub(crate) fn bytes_left(&self) -> u64 {
        u64::from(self.end - self.at)
    }

    /// How many messages are not completely written.
    pub(crate) fn messages(&self) -> u64 {
        u64::from(self.last - self.first)
    }

    /// How many bytes are left of the first message.
    pub(crate) fn first_message_bytes(&self) -> u64 {
        match self.first < self.last {
            true => u64::from(self.chunk.start(self.first + 1) - self.at),
            false => self.bytes_left(),
        }
    }

    /// The policy of its messages, if they have one of their own.
    pub(crate) fn on_full(&self) -> Option<OnFull> {
        self.chunk.on_full
    }

    /// The same messages in a chunk of their own, with a policy of their own.
    #[cfg(test)]
    pub(crate) fn with_policy(&self, on_full: Option<OnFull>) -> Run {
        let chunk = Chunk::new(self.chunk.bytes().to_vec(), self.chunk.ends.clone()).with_policy(on_full);
        Run { chunk: Arc::new(chunk), ..self.clone() }
    }

    /// Whether its first message is partly written.
    pub(crate) fn is_begun(&self) -> bool {
        self.first < self.last && self.at != self.chunk.start(self.first)
    }

    /// Whether what it has is partly written, messages or not.
    pub(crate) fn is_cut(&self) -> bool {
        self.at != self.chunk.start(self.first)
    }

    /// The topic of the first message that is not completely written.
    pub(crate) fn topic(&self) -> &[u8] {
        frame::topic(self.chunk.message(self.first))
    }

    /// The topic of its last message, written or not; `None` if its bytes are not a message.
    pub(crate) fn last_topic(&self) -> Option<&[u8]> {
        (self.last > 0).then(|| frame::topic(self.chunk.message(self.last - 1)))
    }

    /// The topics of its messages.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &[u8]> {
        (self.first..self.last).map(|message| frame::topic(self.chunk.message(message)))
    }

    /// The topics of the messages that were cut off by [`truncate`](Self::truncate).
    pub(crate) fn topics_cut_off(&self, messages: u64) -> impl Iterator<Item = &[u8]> {
        (self.last..self.last + messages as u32).map(|message| frame::topic(self.chunk.message(message)))
    }

    /// How many of its messages it takes to reach `bytes`; all if they have fewer.
    pub(crate) fn reaching(&self, bytes: u64) -> u64 {
        self.chunk.reaching(self.first, bytes).min(self.messages())
    }

    /// Splits the first message off.
    pub(crate) fn split_first(&mut self) -> Run {
        let mut first = self.clone();
        first.last = self.first + 1;
        first.end = self.chunk.start(first.last);
        (self.first, self.at) = (first.last, first.end);
        first
    }

    /// Skips the first messages; none of them may be partly written.
    pub(crate) fn skip(&mut self, messages: u64) {
        self.first += messages as u32;
        self.at = self.chunk.start(self.first);
    }

    /// Whether it is so large a part of its chunk that it may keep the whole chunk alive.
    pub(crate) fn is_fair_part(&self) -> bool {
        self.bytes().len() * REFERENCE_PART >= self.chunk.bytes().len()
    }

    /// Copies its messages if it is a small part of a chunk and not partly written.
    pub(crate) fn stand_alone(&mut self) {
        if self.is_fair_part() || self.first == self.last || self.is_begun() {
            return;
        }
        let ends = self.chunk.ends[self.first as usize..self.last as usize].iter().map(|end| end - self.at);
        let chunk = Chunk::new(self.bytes().to_vec(), ends.collect()).with_policy(self.on_full());
        *self = Run::new(Arc::new(chunk), 0, self.last - self.first);
    }

    /// Notes that `bytes` more are written. Returns how many messages this completed.
    pub(crate) fn advance(&mut self, bytes: u64) -> u64 {
        debug_assert!(bytes <= self.bytes_left());
        self.at += bytes as u32;
        if self.first == self.last {
            return 0;
        }
        let first = if self.at == self.end { self.last } else { self.chunk.message_at(self.first, self.at) };
        let done = first - self.first;
        self.first = first;
        u64::from(done)
    }

    /// Shortens the run to at most `messages` and `bytes`, at a boundary between messages, and never to less than a
    /// partly written message. Returns how many messages were cut off.
    pub(crate) fn truncate(&mut self, messages: u64, bytes: u64) -> u64 {
        let all = self.messages();
        if all <= messages && self.bytes_left() <= bytes || all == 0 {
            return 0;
        }
        let mut keep = all.min(messages) as u32;
        let limit = u64::from(self.at).saturating_add(bytes);
        while keep > 0 && u64::from(self.chunk.start(self.first + keep)) > limit {
            // Few steps where messages are large; where they are small, halving finds the place.
            keep = if keep > 64 && u64::from(self.chunk.start(self.first + keep / 2)) > limit {
                keep / 2
            } else {
                keep - 1
            };
        }
        if self.is_begun() {
            keep = keep.max(1);
        }
        self.last = self.first + keep;
        self.end = self.chunk.start(self.last).max(self.at);
        all - u64::from(keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sizes: &[u32]) -> Run {
        let mut ends = Vec::new();
        let mut end = 0;
        for size in sizes {
            end += size;
            ends.push(end);
        }
        let last = sizes.len() as u32;
        Run::new(Arc::new(Chunk::new(vec![7; end as usize], ends)), 0, last)
    }

    #[test]
    fn the_message_that_reaches_so_many_bytes_is_found() {
        let chunk = run(&[3, 4, 5]).chunk;
        let reaching = |first| [0, 1, 3, 4, 7, 8, 12, 13, u64::MAX].map(|bytes| chunk.reaching(first, bytes));
        assert_eq!(reaching(0), [0, 1, 1, 2, 2, 3, 3, 3, 3]);
        assert_eq!(reaching(1), [0, 1, 1, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn advance_counts_whole_messages() {
        let mut r = run(&[3, 4, 5]);
        assert_eq!((r.advance(2), r.messages()), (0, 3));
        assert_eq!((r.advance(1), r.messages()), (1, 2));
        assert_eq!((r.advance(5), r.messages()), (1, 1));
        assert_eq!((r.advance(4), r.messages(), r.bytes_left()), (1, 0, 0));
    }

    #[test]
    fn truncate_cuts_at_borders_and_keeps_what_is_begun() {
        let mut r = run(&[3, 4, 5]);
        assert_eq!((r.truncate(2, 100), r.bytes_left()), (1, 7));
        let mut r = run(&[3, 4, 5]);
        assert_eq!((r.truncate(9, 6), r.bytes_left()), (2, 3));
        let mut r = run(&[3, 4, 5]);
        r.advance(1);
        assert_eq!((r.truncate(0, 0), r.bytes_left()), (2, 2));
        let mut r = run(&[3, 4, 5]);
        r.advance(3);
        assert_eq!((r.truncate(0, 100), r.messages(), r.bytes_left()), (2, 0, 0));
        let mut r = run(&[1; 1000]);
        assert_eq!((r.truncate(1000, 10), r.bytes_left()), (990, 10));
    }
}
