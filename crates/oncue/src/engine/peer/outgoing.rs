//! The way out to one peer: its stream, and the queue of what the stream has not taken.
//!
//! It applies [`OnFull`] to one peer; this file is the only one that counts what became of a message that was offered to
//! a peer: it is `delivered`, `missed` or `undelivered`, or still queued. Its peer calls it, and the shard through the peer, under the shard's lock. The order: `offer`, or
//! `write_now` if the queue is empty; `queue` tells why something is left (`is_blocked`, `has_more`); `unblock` when the
//! network reports room; `flush`; `give_up` at the end. Control bytes go in between by `control` and `answer`; they count towards no mark.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncue_core::mechanism::curve::Session;

use crate::engine::hub::Hub;
use crate::engine::hub::kept::{PORTION, Portion};
use crate::engine::peer::end::End;
use crate::engine::wire::backlog::{Mark, Yields};
use crate::engine::wire::chunk::Run;
use crate::engine::wire::link::Link;
use crate::engine::wire::queue::{ANSWERS_BYTES_MAX, Offered, WriteQueue};
use crate::engine::wire::topics::{ByTopic, Topics};
use crate::net::Stream;
use crate::options::OnFull;

/// The way out to one peer.
pub(crate) struct Outgoing<S> {
    pub(crate) stream: Link<S>,
    queue: WriteQueue,
    /// Under [`OnFull::Refuse`]: there was no room at the last look.
    choked: bool,
    pub(crate) hub: Arc<Hub>,
    /// How many messages were completely written, and missed. What this peer missed as it was blocked and full is added by
    /// its shard.
    pub(crate) delivered: u64,
    pub(crate) missed: u64,
}

impl<S: Stream> Outgoing<S> {
    pub(crate) fn new(stream: S, hub: Arc<Hub>) -> Outgoing<S> {
        let yields = match hub.options.on_full {
            OnFull::DropNewest | OnFull::Refuse | OnFull::Disconnect => Yields::Newest,
            OnFull::DropOldest => Yields::Oldest,
            OnFull::Latest => Yields::SameTopic(Box::new(ByTopic::new())),
        };
        Outgoing {
            stream: Link::new(stream),
            queue: WriteQueue::new(yields),
            choked: false,
            hub,
            delivered: 0,
            missed: 0,
        }
    }

    /// The handshake has made keys: from now on everything is sealed, but for what is queued already.
    pub(crate) fn put_on(&mut self, session: Session) {
        let clear = self.queue.backlog.control_bytes;
        self.stream.put_on(session, clear, self.hub.frame_bytes_max());
    }

    /// What waits, for a look.
    pub(crate) fn queue(&self) -> &WriteQueue {
        &self.queue
    }

    /// How many messages may be offered under [`OnFull::Refuse`]: any number while none waits, then as many as fit
    /// below the mark. Hysteresis: a queue that reached its mark has no room until it is half empty, so that each pass brings many
    /// messages.
    pub(crate) fn room_to_offer(&mut self) -> u64 {
        let (backlog, mark) = (&self.queue.backlog, self.hub.mark());
        self.choked = backlog.messages > 0 && backlog.is_full(mark, self.choked);
        match backlog.messages {
            0 => u64::MAX,
            _ if self.choked => 0,
            _ => backlog.room(mark),
        }
    }

    /// The marks have changed: whether there is room depends on the new ones alone.
    pub(crate) fn marks_changed(&mut self) {
        self.choked = false;
    }

    /// Whether everything that is offered is missed until the stream takes bytes again.
    pub(crate) fn is_stuck(&self) -> bool {
        self.hub.options.on_full == OnFull::DropNewest
            && !self.hub.is_mixed()
            && self.queue.is_stuck(self.hub.mark())
    }

    /// Whether the queue is full; `was`: whether it was full at the last call.
    pub(crate) fn is_full(&self, was: bool) -> bool {
        self.queue.backlog.is_full(self.hub.mark(), was)
    }

    /// Whether messages that give way to none leave no room: the same, where all messages have one policy.
    pub(crate) fn lacks_room(&self, was: bool) -> bool {
        self.queue.backlog.lacks_room(self.hub.mark(), was)
    }

    /// Under [`OnFull::Latest`], the topics of queued messages, if they have changed since the last call.
    pub(crate) fn changed_topics(&mut self) -> Option<&Arc<Topics>> {
        self.queue.backlog.changed_topics()
    }

    /// The stream takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.stream.flush();
        if self.queue.unblock() {
            self.stream.trust();
        }
    }

    /// Writes what is queued.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        let written = self.queue.flush(&mut self.stream);
        self.wrote(written)
    }

    /// Counts messages that are completely written, and says whether the stream has failed.
    #[inline]
    fn wrote(&mut self, messages: u64) -> Result<(), End> {
        self.hub.counters.delivered.fetch_add(messages, Ordering::Relaxed);
        self.delivered += messages;
        self.queue.failure().map_or(Ok(()), |error| Err(End::Failed(error)))
    }

    /// Nothing more goes out: what is queued is not delivered.
    pub(crate) fn give_up(&mut self) {
        let messages = self.queue.clear();
        self.hub.counters.undelivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// Queues the control bytes that `put` appends.
    pub(crate) fn control<T>(&mut self, put: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut bytes = Vec::new();
        let result = put(&mut bytes);
        self.queue.backlog.control(bytes);
        result
    }

    /// How many bytes of control frames may be queued until `bytes_max` wait.
    pub(crate) fn control_room(&self, bytes_max: u64) -> usize {
        bytes_max.saturating_sub(self.queue.backlog.control_bytes) as usize
    }

    /// As [`answer`](Self::answer), for states of topics: those that are not queued count as missed.
    pub(crate) fn tell_states(&mut self, bytes: Vec<u8>, states: u64) {
        if !self.answer(bytes) {
            self.hub.counters.states_missed.fetch_add(states, Ordering::Relaxed);
        }
    }

    /// Queues control bytes, unless the peer evidently does not read. Returns whether they are queued.
    pub(crate) fn answer(&mut self, bytes: Vec<u8>) -> bool {
        self.queue.answer(bytes, ANSWERS_BYTES_MAX)
    }

    /// As [`answer`](Self::answer), for answers about subscriptions. They do not give way to others: the peer waits for
    /// them, and asks only so much at a time.
    pub(crate) fn answer_questions(&mut self, bytes: Vec<u8>) {
        self.queue.answer(bytes, 2 * ANSWERS_BYTES_MAX);
    }

    /// The peer is told what it misses.
    pub(crate) fn tell_gaps(&mut self) {
        self.queue.backlog.tell_gaps();
    }

    /// The peer has missed messages that were not offered to it, and others that were dropped before it was known who wants
    /// them.
    pub(crate) fn miss_unoffered(&mut self, messages: u64, unseen: u64) {
        self.queue.backlog.miss_unoffered(messages, unseen);
        self.missed += messages;
    }

    /// Messages may have policies of their own from now on, if the socket has sent such a message.
    #[inline]
    fn mix(&mut self) {
        if self.hub.is_mixed() {
            self.queue.backlog.mix(self.hub.options.on_full);
        }
    }

    /// Sends runs as far as there is room.
    pub(crate) fn offer(&mut self, runs: &[Run]) -> Result<Offered, End> {
        let mark = match self.hub.options.on_full {
            // No more is offered than there is room for; nothing may be missed.
            OnFull::Refuse => Mark::NONE,
            _ => self.hub.mark(),
        };
        let offered = self.offer_up_to(runs, mark)?;
        let too_slow = match self.queue.backlog.is_mixed() {
            false => offered.missed > 0 && self.hub.options.on_full == OnFull::Disconnect,
            true => self.queue.backlog.take_too_slow(),
        };
        match too_slow {
            true => Err(End::too_slow()),
            false => Ok(offered),
        }
    }

    /// How much of the last values may be sent now, if any: what is written at once, or waits below half of the marks,
    /// so that there is room for messages.
    pub(crate) fn room_for_values(&self) -> Option<Portion> {
        let Mark { messages, bytes } = self.hub.mark();
        let values = (messages / 2).clamp(1, PORTION.values);
        self.queue.takes_messages().then_some(Portion { values, bytes: PORTION.bytes.min(bytes / 2) })
    }

    /// Sends last values: all of them, or up to the mark under every policy. Returns how many were missed.
    pub(crate) fn offer_values(&mut self, runs: &[Run], to_the_mark: bool) -> Result<u64, End> {
        let mut mark = if to_the_mark { self.hub.mark() } else { Mark::NONE };
        if self.hub.options.on_full == OnFull::Refuse {
            // The sender cannot be made to wait here, so only the mark in bytes applies.
            mark.messages = u64::MAX;
        }
        let offered = self.offer_up_to(runs, mark)?;
        // A last value that is missed is no reason to disconnect the peer.
        self.queue.backlog.take_too_slow();
        Ok(offered.missed)
    }

    fn offer_up_to(&mut self, runs: &[Run], mark: Mark) -> Result<Offered, End> {
        #[cfg(test)]
        count_offered(&self.hub, runs.iter().map(Run::messages).sum());
        self.mix();
        let offered = self.queue.offer(&mut self.stream, runs, mark);
        if offered.missed > 0 {
            self.hub.counters.missed.fetch_add(offered.missed, Ordering::Relaxed);
            self.missed += offered.missed;
        }
        self.wrote(offered.written).map(|()| offered)
    }

    /// Writes a message while nothing is queued; `rest` encodes it if the stream does not take all of it.
    pub(crate) fn write_now(
        &mut self,
        slices: &[IoSlice<'_>],
        rest: impl FnOnce() -> Run,
    ) -> Result<(), End> {
        #[cfg(test)]
        count_offered(&self.hub, 1);
        self.mix();
        let written = self.queue.write_now(&mut self.stream, slices, rest);
        self.wrote(written)
    }
}

/// Counts messages for peers without room, which are not offered to them.
pub(crate) fn count_missed(hub: &Hub, messages: u64) {
    #[cfg(test)]
    count_offered(hub, messages);
    hub.counters.missed.fetch_add(messages, Ordering::Relaxed);
}

/// Counts messages for peers to which nothing more is sent; they are not offered to them.
pub(crate) fn count_abandoned(hub: &Hub, messages: u64) {
    #[cfg(test)]
    count_offered(hub, messages);
    hub.counters.undelivered.fetch_add(messages, Ordering::Relaxed);
}

/// Counts messages that are offered to peers: simulations check that each of them is counted once more.
#[cfg(test)]
fn count_offered(hub: &Hub, messages: u64) {
    hub.counters.offered.fetch_add(messages, Ordering::Relaxed);
}
