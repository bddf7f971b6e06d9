//! What the user of a publisher does: messages are queued, kept for later subscribers, or written on this thread.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::kept::{Keeping, Sent, stand_alone};
use super::outbox::{Number, Pushed};
use super::{Hub, Note};
use crate::batch::Batch;
use crate::engine::wire::load::Load;
use crate::engine::wire::slices::Direct;
use crate::error::{Error, ErrorKind, Result};
use crate::msg::{COPIED_BYTES_MAX, Frames, MESSAGE_BYTES_MAX, Msg};
use crate::options::OnFull;
use crate::permission::{PeerKey, Reason};
use oncue_core::command::{STATE_TOPIC_BYTES_MAX, State};

/// A larger message is not written by the sender's thread straight from the user's memory: what the stream does not take is
/// copied under the shard's lock.
const DIRECT_BYTES_MAX: usize = 8 << 20;
/// The headers of a few frames, in bytes.
const HEADERS_BYTES: usize = 64;
/// What happens to a message when the outbox has no room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// It is dropped and counted.
    Drop,
    /// `send` returns [`Full`](crate::ErrorKind::Full).
    Refuse,
}

impl Hub {
    /// Queues a message for the peers that want it.
    #[inline]
    pub(crate) fn send(self: &Arc<Self>, frames: &(impl Frames + ?Sized)) -> Result<()> {
        self.push(frames, self.no_room(), None)
    }

    /// As [`send`](Self::send), with a policy of its own, if it has one.
    #[inline]
    pub(crate) fn push(
        self: &Arc<Self>,
        frames: &(impl Frames + ?Sized),
        no_room: NoRoom,
        on_full: Option<OnFull>,
    ) -> Result<()> {
        self.push_alone(frames, no_room, on_full, false)
    }

    /// As [`push`](Self::push). `alone`: no others are about to follow, so that it does not wait for them.
    #[inline]
    fn push_alone(
        self: &Arc<Self>,
        frames: &(impl Frames + ?Sized),
        no_room: NoRoom,
        on_full: Option<OnFull>,
        alone: bool,
    ) -> Result<()> {
        if frames.copied_bytes() >= COPIED_BYTES_MAX {
            return self.push_large(frames, no_room, on_full);
        }
        match self.outbox.push(frames, true, on_full) {
            Pushed::Idle { shard } if self.send_now(shard, frames, None, on_full, alone) => Ok(()),
            Pushed::Idle { .. } => self.pushed(self.outbox.push(frames, false, on_full), no_room),
            pushed => self.pushed(pushed, no_room),
        }
    }

    /// Writes a large message at once, if nothing is queued; otherwise encodes it before any lock is taken, so that no other
    /// thread waits for the copy.
    #[cold]
    fn push_large(
        self: &Arc<Self>,
        frames: &(impl Frames + ?Sized),
        no_room: NoRoom,
        on_full: Option<OnFull>,
    ) -> Result<()> {
        if let Some(pushed) = self.outbox.refusal() {
            return self.pushed(pushed, no_room);
        }
        let bytes = frames.copied_bytes();
        if bytes > MESSAGE_BYTES_MAX {
            return self.pushed(Pushed::TooLarge, no_room);
        }
        if bytes <= DIRECT_BYTES_MAX
            && let Some(shard) = self.outbox.idle()
            && self.send_now(shard, frames, None, on_full, true)
        {
            return Ok(());
        }
        let room = bytes + HEADERS_BYTES;
        let mut wire = self.copies.get_large(room).unwrap_or_else(|| Vec::with_capacity(room));
        frames.put(&mut wire);
        if wire.len() > MESSAGE_BYTES_MAX {
            return self.pushed(Pushed::TooLarge, no_room);
        }
        let end = wire.len() as u32;
        self.push(&Msg::within(self.copies.share(wire), 0, end), no_room, on_full)
    }

    /// Queues a batch and leaves an empty one.
    pub(crate) fn send_many(
        self: &Arc<Self>,
        batch: &mut Batch,
        no_room: NoRoom,
        on_full: Option<OnFull>,
    ) -> Result<()> {
        match self.outbox.push_many(batch, on_full) {
            Pushed::Full if no_room == NoRoom::Drop => {
                self.counters.outbox_full.fetch_add(batch.len() as u64, Ordering::Relaxed);
                batch.clear();
                Ok(())
            }
            pushed => self.pushed(pushed, NoRoom::Refuse),
        }
    }

    /// Queues messages that another socket has received, all or none. If there is no room, they are
    /// [`Full`](crate::ErrorKind::Full) whatever the socket's policy is. `alone`: no others are about to follow.
    pub(crate) fn forward(self: &Arc<Self>, load: &Load, alone: bool) -> Result<()> {
        match &load.single {
            Some(message) => self.push_alone(message, NoRoom::Refuse, None, alone),
            None => self.pushed(self.outbox.push_chunks(&load.chunks, |_| {}), NoRoom::Refuse),
        }
    }

    /// As [`send_many`](Self::send_many), and keeps the newest message of each topic that is wanted for later subscribers. What there
    /// is no room for is dropped, and counted.
    pub(crate) fn send_many_last(self: &Arc<Self>, batch: &mut Batch, origin: u64) -> Result<()> {
        if batch.is_empty() {
            return self.check_open();
        }
        let load = Load::of_batch(batch, self.outbox.spares());
        let wanted = {
            let ledger = self.demand.read();
            load.wanted(ledger.decisive(), |topic| ledger.wanted(topic))
        };
        match self.forward_and_keep(&load, &wanted, origin) {
            Err(full) if full.kind() == ErrorKind::Full => {
                self.counters.outbox_full.fetch_add(load.messages, Ordering::Relaxed);
                Ok(())
            }
            sent => sent,
        }
    }

    /// As [`forward`](Self::forward), and keeps the newest message of each topic of those that are [`wanted`](Load::wanted) for later
    /// subscribers.
    pub(crate) fn forward_and_keep(
        self: &Arc<Self>,
        load: &Load,
        wanted: &[(usize, Range<u32>)],
        origin: u64,
    ) -> Result<()> {
        if wanted.is_empty() {
            return self.forward(load, false);
        }
        if let Some(message) = &load.single {
            if let Some(pushed @ Pushed::Full) = self.outbox.refusal() {
                return self.pushed(pushed, NoRoom::Refuse);
            }
            let keeping = Keeping { origin, ..Keeping::of(stand_alone(message)?) };
            return self.pushed(self.push_and_keep(&keeping, false, None), NoRoom::Refuse);
        }
        let mut numbers: Vec<Number> = Vec::with_capacity(load.chunks.len());
        let mut store = self.last.open_to_note();
        let pushed = self.outbox.push_chunks(&load.chunks, |number| numbers.push(number));
        if matches!(pushed, Pushed::Queued { .. } | Pushed::Nobody) {
            for (nth, messages) in wanted {
                let (chunk, number) = (load.chunks[*nth].clone(), numbers.get(*nth).copied());
                store.note(Sent { chunk, messages: messages.clone(), number, origin });
            }
        }
        drop(store);
        self.pushed(pushed, NoRoom::Refuse)
    }

    /// What the socket's policy does when the outbox has no room.
    pub(crate) fn no_room(&self) -> NoRoom {
        if self.options.on_full == OnFull::Refuse { NoRoom::Refuse } else { NoRoom::Drop }
    }

    /// Sends a message on this thread if that can be done at once.
    fn send_now(
        self: &Arc<Self>,
        shard: u16,
        frames: &(impl Frames + ?Sized),
        last: Option<&Keeping>,
        on_full: Option<OnFull>,
        alone: bool,
    ) -> bool {
        let port = &self.ports[usize::from(shard)];
        let send = |message: &Direct<'_>| port.send_now(self, &message.with_alone(alone), last);
        let sent = Direct::with(frames, on_full, send);
        if sent {
            self.outbox.count_direct();
        }
        sent
    }

    #[inline]
    pub(crate) fn pushed(self: &Arc<Self>, pushed: Pushed, no_room: NoRoom) -> Result<()> {
        match pushed {
            Pushed::Queued { tell: 0 } => Ok(()),
            Pushed::Queued { tell } => self.tell(tell),
            Pushed::Nobody | Pushed::Idle { .. } => self.check_open(),
            Pushed::Full if no_room == NoRoom::Refuse => Err(Error::full()),
            Pushed::Full => {
                self.counters.outbox_full.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Pushed::TooLarge => Err(Error::misuse("the message is larger than 2 GiB; send it in parts")),
        }
    }

    #[cold]
    fn tell(self: &Arc<Self>, mut shards: u64) -> Result<()> {
        if self.is_forked() {
            return self.check_open();
        }
        while shards != 0 {
            let shard = shards.trailing_zeros() as usize;
            self.ports[shard].mail(Note::Outbox(self.clone()));
            shards &= shards - 1;
        }
        Ok(())
    }

    /// Queues a message for the peers that want it now, and keeps it for later subscribers, for `age` at most. If the
    /// outbox has no room, it is not kept either. `topic`: what it is kept under, if that is not its first frame.
    pub(crate) fn send_last(
        self: &Arc<Self>,
        topic: Option<&[u8]>,
        frames: &impl Frames,
        age: Option<Duration>,
        on_full: Option<OnFull>,
    ) -> Result<()> {
        let last = self.keeping(topic, frames, age)?;
        match self.push_and_keep(&last, true, on_full) {
            Pushed::Idle { shard } if self.send_now(shard, &last.value, Some(&last), on_full, false) => {
                Ok(())
            }
            Pushed::Idle { .. } => self.pushed(self.push_and_keep(&last, false, on_full), self.no_room()),
            pushed => self.pushed(pushed, self.no_room()),
        }
    }

    fn push_and_keep(&self, keeping: &Keeping, may_idle: bool, on_full: Option<OnFull>) -> Pushed {
        let mut store = self.last.open();
        let (pushed, number) = self.outbox.push_numbered(&keeping.value, may_idle, on_full);
        if matches!(pushed, Pushed::Queued { .. } | Pushed::Nobody) {
            store.keep(keeping.clone(), number);
        }
        pushed
    }

    /// Keeps a value that a shard is about to write to all peers that want it. Refused if another shard has peers by
    /// now, which would miss it, or if something else is queued, which may be a later value.
    pub(crate) fn keep_direct(&self, shard: u16, keeping: &Keeping) -> bool {
        let mut store = self.last.open();
        let idle = self.outbox.is_idle(shard);
        if idle {
            store.keep(keeping.clone(), None);
        }
        idle
    }

    /// Keeps a message for those that subscribe from now on.
    pub(crate) fn keep_last(
        &self,
        topic: Option<&[u8]>,
        frames: &impl Frames,
        age: Option<Duration>,
    ) -> Result<()> {
        let last = self.keeping(topic, frames, age)?;
        self.last.open().keep(last, None);
        Ok(())
    }

    fn keeping(&self, topic: Option<&[u8]>, frames: &impl Frames, age: Option<Duration>) -> Result<Keeping> {
        self.check_open()?;
        self.options.check_matching("a last value")?;
        let expires = age.and_then(|age| self.now().checked_add(age));
        let value = stand_alone(frames)?;
        let key = topic.filter(|topic| *topic != value.topic());
        if key.is_some_and(|key| !value.topic().starts_with(key)) {
            return Err(Error::misuse(
                "the message does not begin with the topic; begin its first frame with it",
            ));
        }
        Ok(Keeping { expires, key: key.map(Arc::from), ..Keeping::of(value) })
    }

    /// Queues a message for one peer.
    pub(crate) fn send_to(self: &Arc<Self>, peer: PeerKey, frames: &impl Frames) -> Result<()> {
        self.check_open()?;
        let pushed = self.outbox.push_to(peer, stand_alone(frames)?);
        self.pushed(pushed, self.no_room())
    }

    /// Tells all peers that want the topic and understand states, and later subscribers. What is about a prefix reaches only
    /// those that have subscribed to exactly this one.
    pub(crate) fn set_state(self: &Arc<Self>, topic: &[u8], state: State, text: &Reason) -> Result<()> {
        self.check_open()?;
        self.options.check_matching("a state of a topic")?;
        if topic.len() > STATE_TOPIC_BYTES_MAX {
            let len = topic.len();
            return Err(Error::misuse(format!(
                "cannot tell a state: the topic is {len} bytes long; {STATE_TOPIC_BYTES_MAX} is the most"
            )));
        }
        let value = Msg::from_frames([topic, &[state.number()], text.text().as_bytes()]);
        // All shards get the states in the order in which they are kept.
        let mut store = self.states.published.open();
        store.keep(Keeping { exact: state.is_of_prefix(), ..Keeping::of(value.clone()) }, None);
        // A shard that is rung wakes its thread.
        if self.states.have_listeners() {
            self.mail_all(|| Note::State { hub: self.clone(), value: value.clone() });
        }
        Ok(())
    }
}
