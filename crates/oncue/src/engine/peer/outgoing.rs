//! What goes out to one peer: its stream, and the queue of what the stream has not taken. This is the one place that says
//! what a full queue means ([`OnFull`]), and that counts what peers got and what they missed.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::hub::Hub;
use crate::engine::hub::kept::{PORTION, Portion};
use crate::engine::peer::end::End;
use crate::engine::wire::chunk::Run;
use crate::engine::wire::queue::{ByTopic, Mark, Offered, Topics, WriteQueue, Yields};
use crate::net::Stream;
use crate::options::OnFull;

/// The way out to one peer.
pub(crate) struct Outgoing<S> {
    pub(crate) stream: S,
    queue: WriteQueue,
    hub: Arc<Hub>,
}

impl<S: Stream> Outgoing<S> {
    pub(crate) fn new(stream: S, hub: Arc<Hub>) -> Outgoing<S> {
        let yields = match hub.options.on_full {
            OnFull::DropNewest | OnFull::Refuse | OnFull::Disconnect => Yields::Newest,
            OnFull::DropOldest => Yields::Oldest,
            OnFull::Latest => Yields::SameTopic(ByTopic::new()),
        };
        Outgoing { stream, queue: WriteQueue::new(yields), hub }
    }

    /// Whether the stream has taken all there was.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the stream may take more of what is queued, which is written in the next turn.
    pub(crate) fn has_more(&self) -> bool {
        self.queue.has_more()
    }

    /// What waits: bytes that are no message, and messages.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn holding(&self) -> (u64, u64) {
        (self.queue.control_bytes(), self.queue.messages())
    }

    /// How many messages may be offered under [`OnFull::Refuse`].
    pub(crate) fn room_to_offer(&self) -> u64 {
        self.queue.room_to_offer(self.hub.mark())
    }

    /// Whether all that is offered is missed until the stream takes bytes again.
    pub(crate) fn is_stuck(&self) -> bool {
        self.hub.options.on_full == OnFull::DropNewest && self.queue.is_stuck(self.hub.mark())
    }

    /// Whether the queue is full; `was`: whether it was when this was asked last.
    pub(crate) fn is_full(&self, was: bool) -> bool {
        self.queue.is_full(self.hub.mark(), was)
    }

    /// Whether something waits until the stream takes bytes again.
    pub(crate) fn is_blocked(&self) -> bool {
        self.queue.is_blocked()
    }

    /// Under [`OnFull::Latest`], of which topics messages are queued, if these have changed since this was asked last.
    pub(crate) fn changed_topics(&mut self) -> Option<&Arc<Topics>> {
        self.queue.changed_topics()
    }

    /// The stream takes bytes again.
    pub(crate) fn unblock(&mut self) {
        if self.queue.unblock() {
            self.stream.trust();
        }
    }

    /// Writes what is queued.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        let written = self.queue.flush(&mut self.stream)?;
        self.hub.counters.delivered.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }

    /// Queues bytes that are no message.
    pub(crate) fn control(&mut self, bytes: Vec<u8>) {
        self.queue.control(bytes);
    }

    /// As [`control`](Self::control), unless the peer evidently does not read. Yields whether they are queued.
    pub(crate) fn answer(&mut self, bytes: Vec<u8>) -> bool {
        self.queue.answer(bytes)
    }

    /// Sends runs, as far as there is room.
    pub(crate) fn offer(&mut self, runs: &[Run]) -> Result<Offered, End> {
        let mark = match self.hub.options.on_full {
            // What is offered was let through by the room there is; nothing may be missed.
            OnFull::Refuse => Mark::NONE,
            _ => self.hub.mark(),
        };
        let offered = self.offer_up_to(runs, mark)?;
        match offered.missed > 0 && self.hub.options.on_full == OnFull::Disconnect {
            true => Err(End::too_slow()),
            false => Ok(offered),
        }
    }

    /// How much of last values may be sent now, if any: what is written at once or waits below half of the marks, so that
    /// there is room for what else comes.
    pub(crate) fn room_for_values(&self) -> Option<Portion> {
        let Mark { messages, bytes } = self.hub.mark();
        let values = (messages / 2).clamp(1, PORTION.values);
        self.queue.takes_messages().then_some(Portion { values, bytes: PORTION.bytes.min(bytes / 2) })
    }

    /// Sends last values for which there is room.
    pub(crate) fn offer_values(&mut self, runs: &[Run]) -> Result<(), End> {
        self.offer_up_to(runs, Mark::NONE).map(drop)
    }

    /// Sends last values below the marks, and counts the others as missed, whatever the policy; yields how many these are.
    pub(crate) fn offer_values_to_the_mark(&mut self, runs: &[Run]) -> Result<u64, End> {
        let mut mark = self.hub.mark();
        if self.hub.options.on_full == OnFull::Refuse {
            // The sender cannot be made to wait here, so the bound in bytes alone holds.
            mark.messages = u64::MAX;
        }
        self.offer_up_to(runs, mark).map(|offered| offered.missed)
    }

    fn offer_up_to(&mut self, runs: &[Run], mark: Mark) -> Result<Offered, End> {
        let offered = self.queue.offer(&mut self.stream, runs, mark)?;
        self.hub.counters.delivered.fetch_add(offered.written, Ordering::Relaxed);
        if offered.missed > 0 {
            count_missed(&self.hub, offered.missed);
        }
        Ok(offered)
    }

    /// Writes a message for which nothing may be queued; `rest` encodes it if the stream does not take it whole.
    pub(crate) fn write_now(
        &mut self,
        slices: &[IoSlice<'_>],
        rest: impl FnOnce() -> Run,
    ) -> Result<(), End> {
        let written = self.queue.write_now(&mut self.stream, slices, rest)?;
        self.hub.counters.delivered.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }
}

/// Counts messages that were offered to peers without room.
pub(crate) fn count_missed(hub: &Hub, messages: u64) {
    hub.counters.missed.fetch_add(messages, Ordering::Relaxed);
}
