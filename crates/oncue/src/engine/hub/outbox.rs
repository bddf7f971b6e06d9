//! Between `send` and the shards: messages are encoded once, into the open chunk; each shard takes whole chunks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::batch::Batch;
use crate::engine::wire::chunk::{CHUNK_BYTES, Chunk, Spares};
use crate::home::Home;
use crate::msg::{Frames, MESSAGE_BYTES_MAX, Msg, put_whole};
use crate::options::OnFull;
use crate::permission::PeerKey;
use crate::sync::{QuickGuard, QuickLock};

/// From this size on, a message that exists in wire encoding is shared instead of copied.
const SHARE_BYTES_MIN: usize = 16 << 10;

/// The messages of one socket that its shards have not taken yet.
pub(crate) struct Outbox {
    state: QuickLock<State>,
    /// Whether a shard reads and the socket is open; read without the lock.
    active: AtomicBool,
    /// In a fork nothing is let in, and the lock is not taken: a thread that is not there may hold it.
    home: Home,
    bound: Bound,
    /// Those of the state too.
    spares: Spares,
}

/// An outbox is full at `bytes_most`, and at `bytes_max` if it holds `messages_min` messages by then.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) bytes_max: u64,
    pub(crate) messages_min: u64,
    pub(crate) bytes_most: u64,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// The policy of the messages in the open chunk, if they have one of their own.
    on_full: Option<OnFull>,
    /// Closed chunks that a shard has still to take; the first one has number `base`.
    closed: VecDeque<Arc<Chunk>>,
    base: u64,
    closed_bytes: u64,
    closed_messages: u64,
    readers: Vec<Reader>,
    spares: Spares,
    /// Whether a shard exists that has not been signalled and sleeps.
    quiet: bool,
    /// The open chunk is closed at this size, and resting shards are signalled.
    close_at: usize,
    /// How many messages were let in since the start.
    pushed: u64,
    /// The socket is closed: nothing is let in.
    closed_for_good: bool,
    /// A sender was refused and may wait for room.
    refused: bool,
}

/// The number of a message: that of its chunk, and its place in it. Ascending in the order of sending.
pub(crate) type Number = (u64, u32);

struct Reader {
    shard: u16,
    /// The number of the next chunk to take.
    next: u64,
    /// Whether the shard was signalled and has not found the outbox empty since.
    signalled: bool,
    /// Write coalescing: the shard lets messages gather; it looks again after a pause, or when it is signalled.
    resting: bool,
}

/// What happened to a message.
pub(crate) enum Pushed {
    /// It is queued. The shards of this bit set must be signalled.
    Queued { tell: u64 },
    /// Nothing is queued or under way in the only shard: the message is not queued, and may be sent at once.
    Idle { shard: u16 },
    /// No shard has a peer.
    Nobody,
    /// There is no room.
    Full,
    /// It is larger than [`MESSAGE_BYTES_MAX`].
    TooLarge,
}

/// What a shard took.
pub(crate) struct Taken {
    /// The number of the first chunk.
    pub(crate) first: u64,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// Senders that were refused can be woken.
    pub(crate) room: bool,
}

impl Outbox {
    pub(crate) fn new(bound: Bound) -> Outbox {
        let state = State { close_at: CHUNK_BYTES, ..State::default() };
        let (active, spares) = (AtomicBool::new(false), state.spares.clone());
        Outbox { state: QuickLock::new(state), active, home: Home::default(), bound, spares }
    }

    /// Where the buffers of chunks return.
    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    pub(crate) fn pushed(&self) -> u64 {
        self.state.lock().pushed
    }

    /// From now on nothing is let in.
    pub(crate) fn shut(&self) {
        self.state.lock().closed_for_good = true;
        self.deactivate();
    }

    /// Lets nothing in, for a process in which another thread may hold the lock for ever.
    pub(crate) fn deactivate(&self) {
        self.active.store(false, Ordering::Release);
    }

    /// A message was sent the short way, past this outbox.
    pub(crate) fn count_direct(&self) {
        self.state.lock().pushed += 1;
    }

    /// Encodes a message behind those that wait. If none waits and `may_idle`, returns [`Pushed::Idle`] instead.
    #[inline]
    pub(crate) fn push(
        &self,
        frames: &(impl Frames + ?Sized),
        may_idle: bool,
        on_full: Option<OnFull>,
    ) -> Pushed {
        match self.enter(may_idle) {
            Ok(mut state) => state.encode(frames, on_full),
            Err(pushed) => pushed,
        }
    }

    /// As [`push`](Self::push), with the message's number if it is queued.
    pub(crate) fn push_numbered(
        &self,
        message: &Msg,
        may_idle: bool,
        on_full: Option<OnFull>,
    ) -> (Pushed, Option<Number>) {
        let mut state = match self.enter(may_idle) {
            Ok(state) => state,
            Err(pushed) => return (pushed, None),
        };
        let pushed = state.encode(message, on_full);
        let number = matches!(pushed, Pushed::Queued { .. }).then(|| state.newest());
        (pushed, number)
    }

    /// Queues a message for one peer behind those that wait.
    pub(crate) fn push_to(&self, peer: PeerKey, message: Msg) -> Pushed {
        let mut state = match self.enter(false) {
            Ok(state) => state,
            Err(pushed) => return pushed,
        };
        state.close();
        state.push_closed(Chunk::shared(message).for_peer(peer));
        state.rouse_for_closed();
        state.let_in(1)
    }

    /// The state, if some shard takes messages and there is room; otherwise what happens to a message. Inlined by
    /// force: as a call it costs 23 instructions a message.
    #[inline(always)]
    fn enter(&self, may_idle: bool) -> Result<QuickGuard<'_, State>, Pushed> {
        if !self.active.load(Ordering::Acquire) || self.home.is_left() {
            return Err(Pushed::Nobody);
        }
        let mut state = self.state.lock();
        if state.readers.is_empty() || state.closed_for_good {
            return Err(Pushed::Nobody);
        }
        if may_idle && let Some(shard) = state.idle() {
            return Err(Pushed::Idle { shard });
        }
        if state.is_full(self.bound) {
            state.refused = true;
            return Err(Pushed::Full);
        }
        Ok(state)
    }

    /// What would happen to a message now, if it is not [`Pushed::Queued`].
    pub(crate) fn refusal(&self) -> Option<Pushed> {
        self.enter(false).err()
    }

    /// Whether `shard` alone takes messages and has taken all.
    pub(crate) fn is_idle(&self, shard: u16) -> bool {
        let state = self.state.lock();
        !state.closed_for_good && state.idle() == Some(shard)
    }

    /// The one shard that takes messages, if it has taken all.
    pub(crate) fn idle(&self) -> Option<u16> {
        match self.enter(true) {
            Err(Pushed::Idle { shard }) => Some(shard),
            _ => None,
        }
    }

    /// The number of the next chunk that `shard` takes, if it takes messages.
    pub(crate) fn next(&self, shard: u16) -> Option<u64> {
        self.state.lock().readers.iter().find(|r| r.shard == shard).map(|r| r.next)
    }

    /// Queues a batch behind what waits, and leaves an empty one. Refused, the batch stays as it is.
    pub(crate) fn push_many(&self, batch: &mut Batch, on_full: Option<OnFull>) -> Pushed {
        if batch.is_empty() {
            return Pushed::Queued { tell: 0 };
        }
        let mut state = match self.enter(false) {
            Ok(state) => state,
            Err(pushed) => {
                if matches!(pushed, Pushed::Nobody) {
                    batch.clear();
                }
                return pushed;
            }
        };
        state.close();
        let (bytes, ends) = state.spares.take().unwrap_or_default();
        let bytes = std::mem::replace(&mut batch.bytes, bytes);
        let ends = std::mem::replace(&mut batch.ends, ends);
        let messages = ends.len() as u64;
        let chunk = Chunk::of_spares(bytes, ends, &state.spares).with_policy(on_full);
        state.push_closed(chunk);
        state.rouse_for_closed();
        state.let_in(messages)
    }

    /// Queues chunks that another socket has received, all or none, behind what waits: large ones by reference. `queued`
    /// gets the number of the first message of each.
    pub(crate) fn push_chunks(&self, chunks: &[Arc<Chunk>], mut queued: impl FnMut(Number)) -> Pushed {
        let mut state = match self.enter(false) {
            Ok(state) => state,
            Err(pushed) => return pushed,
        };
        let mut messages = 0;
        for chunk in chunks {
            messages += u64::from(chunk.len());
            queued(state.append(chunk));
        }
        state.let_in(messages)
    }

    /// `shard` has a new peer and takes what is pushed from now on. Returns the number of the first chunk that is for
    /// the peer: it gets nothing that was pushed before it came.
    pub(crate) fn join(&self, shard: u16) -> u64 {
        let mut state = self.state.lock();
        state.close();
        let next = state.base + state.closed.len() as u64;
        if state.readers.iter().all(|r| r.shard != shard) {
            state.readers.push(Reader { shard, next, signalled: false, resting: false });
            state.quiet = true;
        }
        state.trim();
        self.active.store(!state.closed_for_good, Ordering::Release);
        next
    }

    /// `shard` has no peer any more.
    pub(crate) fn leave(&self, shard: u16) {
        let mut state = self.state.lock();
        state.readers.retain(|r| r.shard != shard);
        if state.readers.is_empty() {
            self.active.store(false, Ordering::Release);
            state.close();
        }
        state.trim();
    }

    /// Takes all that `shard` has not taken yet. `None`: there is little and it may rest; it looks again after a pause,
    /// or when it is signalled. A shard that took something polls again until it finds nothing, and is not signalled
    /// meanwhile.
    pub(crate) fn take(&self, shard: u16, may_rest: bool) -> Option<Taken> {
        let mut state = self.state.lock();
        if may_rest && state.rest(shard, self.bound) {
            return None;
        }
        state.close();
        let (base, end) = (state.base, state.base + state.closed.len() as u64);
        let alone = state.readers.len() == 1;
        let state = &mut *state;
        let Some(reader) = state.readers.iter_mut().find(|r| r.shard == shard) else {
            return Some(Taken { first: end, chunks: Vec::new(), room: false });
        };
        let first = reader.next;
        let skip = (first - base) as usize;
        reader.next = end;
        reader.signalled = first < end;
        reader.resting = false;
        state.quiet |= first == end;
        state.close_at = CHUNK_BYTES;
        let chunks = match alone {
            true => {
                state.base = end;
                (state.closed_bytes, state.closed_messages) = (0, 0);
                state.closed.drain(..).skip(skip).collect()
            }
            false => state.closed.iter().skip(skip).cloned().collect(),
        };
        state.trim();
        let room = state.refused && !state.is_full(self.bound);
        state.refused &= !room;
        Some(Taken { first, chunks, room })
    }
}

impl State {
    #[inline]
    fn is_full(&self, bound: Bound) -> bool {
        let bytes = self.closed_bytes + self.bytes.len() as u64;
        let messages = self.closed_messages + self.ends.len() as u64;
        bytes >= bound.bytes_most || bytes >= bound.bytes_max && messages >= bound.messages_min
    }

    /// The only shard that takes messages, if it has taken all.
    #[inline]
    fn idle(&self) -> Option<u16> {
        // In this order: under load a shard is under way, and nothing else is looked at.
        let idle = self.quiet && self.ends.is_empty() && self.closed.is_empty() && self.readers.len() == 1;
        idle.then(|| self.readers[0].shard)
    }

    /// Lets a message in.
    #[inline]
    fn encode(&mut self, frames: &(impl Frames + ?Sized), on_full: Option<OnFull>) -> Pushed {
        if self.on_full != on_full {
            self.close();
            self.on_full = on_full;
        }
        match frames.shared() {
            Some(message) if message.wire().len() > MESSAGE_BYTES_MAX => return Pushed::TooLarge,
            Some(message) if message.wire().len() >= SHARE_BYTES_MIN => {
                self.close();
                self.push_closed(Chunk::shared(message.clone()).with_policy(on_full));
                self.rouse_for_closed();
            }
            _ => {
                let start = self.bytes.len();
                put_whole(frames, &mut self.bytes);
                if self.bytes.len() - start > MESSAGE_BYTES_MAX {
                    self.bytes.truncate(start);
                    return Pushed::TooLarge;
                }
                let end = self.bytes.len() as u32;
                self.ends.push(end);
                if end as usize >= self.close_at {
                    self.close();
                    self.rouse();
                }
            }
        }
        self.let_in(1)
    }

    /// Adds the messages of a chunk. Returns the number of the first one.
    fn append(&mut self, chunk: &Arc<Chunk>) -> Number {
        if self.on_full != chunk.on_full() {
            self.close();
            self.on_full = chunk.on_full();
        }
        if chunk.message_bytes() >= SHARE_BYTES_MIN as u64 {
            self.close();
            let number = self.base + self.closed.len() as u64;
            self.push_closed(chunk.clone());
            self.rouse_for_closed();
            return (number, 0);
        }
        let first = (self.base + self.closed.len() as u64, self.ends.len() as u32);
        let shift = self.bytes.len() as u32;
        self.bytes.extend_from_slice(chunk.messages());
        self.ends.extend(chunk.ends().map(|end| shift + end));
        if self.bytes.len() >= self.close_at {
            self.close();
            self.rouse();
        }
        first
    }

    #[inline(always)]
    fn let_in(&mut self, messages: u64) -> Pushed {
        self.pushed += messages;
        Pushed::Queued { tell: if self.quiet { self.signal() } else { 0 } }
    }

    /// The number of the newest message.
    fn newest(&self) -> Number {
        let end = self.base + self.closed.len() as u64;
        match (self.ends.len() as u32, self.closed.back()) {
            (0, Some(chunk)) => (end - 1, chunk.len() - 1),
            (messages, _) => (end, messages - 1),
        }
    }

    fn close(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        // A chunk of full size is usually followed by others; growing into it again would copy its content.
        let like_this = || (Vec::with_capacity(self.bytes.len()), Vec::with_capacity(self.ends.len()));
        let full = self.bytes.len() >= CHUNK_BYTES;
        let (bytes, ends) =
            self.spares.take().unwrap_or_else(|| if full { like_this() } else { <_>::default() });
        let bytes = std::mem::replace(&mut self.bytes, bytes);
        let ends = std::mem::replace(&mut self.ends, ends);
        let chunk = Chunk::of_spares(bytes, ends, &self.spares).with_policy(self.on_full);
        self.push_closed(chunk);
    }

    fn push_closed(&mut self, chunk: impl Into<Arc<Chunk>>) {
        let chunk = chunk.into();
        self.closed_bytes += chunk.message_bytes();
        self.closed_messages += u64::from(chunk.len());
        self.closed.push_back(chunk);
    }

    /// Drops the chunks that every shard has taken.
    fn trim(&mut self) {
        let end = self.base + self.closed.len() as u64;
        let until = self.readers.iter().map(|r| r.next).min().unwrap_or(end);
        while self.base < until {
            let chunk = self.closed.pop_front().expect("chunks are numbered from base");
            self.closed_bytes -= chunk.message_bytes();
            self.closed_messages -= u64::from(chunk.len());
            self.base += 1;
        }
    }

    /// Lets a shard rest if there is little to take.
    fn rest(&mut self, shard: u16, bound: Bound) -> bool {
        let enough = (CHUNK_BYTES as u64).min(bound.bytes_max / 2);
        if self.refused || self.closed_bytes + self.bytes.len() as u64 >= enough {
            return false;
        }
        let Some(reader) = self.readers.iter_mut().find(|r| r.shard == shard) else { return false };
        reader.resting = true;
        reader.signalled = true;
        self.close_at = enough as usize;
        true
    }

    /// Signals resting shards if the closed chunks are enough.
    fn rouse_for_closed(&mut self) {
        if self.closed_bytes >= self.close_at as u64 {
            self.rouse();
        }
    }

    /// There is enough: signals resting shards.
    #[cold]
    fn rouse(&mut self) {
        for reader in self.readers.iter_mut().filter(|r| r.resting) {
            (reader.resting, reader.signalled) = (false, false);
            self.quiet = true;
        }
        self.close_at = CHUNK_BYTES;
    }

    #[cold]
    fn signal(&mut self) -> u64 {
        self.quiet = false;
        let mut tell = 0;
        for reader in self.readers.iter_mut().filter(|r| !r.signalled) {
            reader.signalled = true;
            tell |= 1 << reader.shard;
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use oncue_core::frame;

    use super::*;

    fn take(outbox: &Outbox, shard: u16) -> Taken {
        outbox.take(shard, false).expect("it may not rest")
    }

    fn tells(pushed: Pushed) -> u64 {
        match pushed {
            Pushed::Queued { tell } => tell,
            _ => panic!("it is queued"),
        }
    }

    fn texts(taken: Taken) -> Vec<String> {
        let messages = |c: &Arc<Chunk>| (0..c.len()).map(|i| c.message(i).to_vec()).collect::<Vec<_>>();
        let text = |wire: Vec<u8>| String::from_utf8(frame::topic(&wire).to_vec()).unwrap();
        taken.chunks.iter().flat_map(messages).map(text).collect()
    }

    #[test]
    fn every_shard_takes_what_came_after_it_joined() {
        let outbox = Outbox::new(Bound { bytes_max: 1 << 20, messages_min: 0, bytes_most: 1 << 20 });
        assert!(matches!(outbox.push("nobody", false, None), Pushed::Nobody));
        outbox.join(0);
        assert!(matches!(outbox.push("one", false, None), Pushed::Queued { tell: 1 }));
        outbox.join(3);
        assert!(matches!(outbox.push("two", false, None), Pushed::Queued { tell: 8 }));
        assert!(matches!(outbox.push("three", false, None), Pushed::Queued { tell: 0 }));
        assert_eq!(texts(take(&outbox, 0)), ["one", "two", "three"]);
        assert_eq!(texts(take(&outbox, 3)), ["two", "three"]);
        assert_eq!(texts(take(&outbox, 3)), Vec::<String>::new());
        assert_eq!(outbox.state.lock().closed_bytes, 0);
    }

    #[test]
    fn messages_of_one_policy_share_a_chunk() {
        let outbox = Outbox::new(Bound { bytes_max: 1 << 20, messages_min: 0, bytes_most: 1 << 20 });
        outbox.join(0);
        let latest = Some(OnFull::Latest);
        for (message, on_full) in [("a", None), ("b", None), ("c", latest), ("d", latest), ("e", None)] {
            outbox.push(message, false, on_full);
        }
        let taken = take(&outbox, 0);
        let policies: Vec<_> = taken.chunks.iter().map(|chunk| (chunk.len(), chunk.on_full())).collect();
        assert_eq!(policies, [(2, None), (2, latest), (1, None)]);
        assert_eq!(texts(taken), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn full_until_the_slowest_shard_has_taken() {
        let outbox = Outbox::new(Bound { bytes_max: 4, messages_min: 2, bytes_most: 100 });
        outbox.join(0);
        outbox.join(1);
        assert!(matches!(outbox.push("1234567", false, None), Pushed::Queued { .. }));
        assert!(
            matches!(outbox.push("x", false, None), Pushed::Queued { .. }),
            "a burst of few messages is let in"
        );
        assert!(matches!(outbox.push("x", false, None), Pushed::Full));
        assert!(!take(&outbox, 0).room);
        assert!(matches!(outbox.push("x", false, None), Pushed::Full));
        assert!(take(&outbox, 1).room);
        assert!(matches!(outbox.push("x", false, None), Pushed::Queued { .. }));
    }

    #[test]
    fn who_took_something_comes_again_untold_until_there_is_nothing() {
        let outbox = Outbox::new(Bound { bytes_max: 1 << 20, messages_min: 0, bytes_most: 1 << 20 });
        outbox.join(0);
        assert_eq!(tells(outbox.push("one", false, None)), 1);
        assert_eq!(texts(take(&outbox, 0)), ["one"]);
        assert_eq!(tells(outbox.push("two", true, None)), 0);
        assert_eq!(texts(take(&outbox, 0)), ["two"]);
        assert!(texts(take(&outbox, 0)).is_empty());
        assert!(matches!(outbox.push("three", true, None), Pushed::Idle { shard: 0 }));
        assert_eq!(tells(outbox.push("three", false, None)), 1);
    }

    #[test]
    fn who_rests_is_told_when_there_is_enough() {
        // An eighth of what is enough by itself, or half of the room: 64 KiB, or 32.
        let message = "x".repeat(CHUNK_BYTES / 8);
        for (bytes_max, enough) in [(1 << 20, 8), (1 << 16, 4)] {
            let outbox = Outbox::new(Bound { bytes_max, messages_min: 0, bytes_most: 1 << 20 });
            outbox.join(0);
            assert_eq!(tells(outbox.push("one", false, None)), 1);
            assert_eq!(texts(take(&outbox, 0)), ["one"]);
            assert!(outbox.take(0, true).is_none());
            let told: Vec<_> = (0..enough).map(|_| tells(outbox.push(&message, true, None))).collect();
            assert_eq!(told, [vec![0; enough - 1], vec![1]].concat());
            assert_eq!(texts(take(&outbox, 0)).len(), enough);
            assert!(outbox.take(0, true).is_none());
            let mut batch = Batch::new();
            (0..enough).for_each(|_| batch.push(&message).unwrap());
            assert_eq!(tells(outbox.push_many(&mut batch, None)), 1);
            assert!(outbox.take(0, true).is_some());
        }
    }
}
