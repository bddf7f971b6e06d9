//! What was received and waits for the user: cut by the shard, taken by any thread, with the room that it takes
//! accounted per peer and for the whole socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::task::Waker;

use oncue_core::frame;
use oncue_core::subscriptions::Subscriptions;

use crate::batch::Received;
use crate::buffer::Buffer;
use crate::engine::hub::{Note, Port};
use crate::msg::Msg;
use crate::op::Waiters;
use crate::sync::{QuickLock, read_lock};

mod latest;

use latest::Latest;
pub(crate) use latest::LatestBound;

/// Messages that one read of one peer brought: where each starts and ends in the shared bytes.
pub(crate) struct Delivery {
    pub(crate) bytes: Buffer,
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) flow: Arc<Flow>,
    /// The version of the subscriptions that the messages have passed.
    pub(crate) version: u64,
}

impl Delivery {
    /// The memory that it takes.
    fn cost(&self) -> u64 {
        (size_of::<Delivery>() + self.bytes.memory() + self.spans.capacity() * size_of::<(u32, u32)>()) as u64
    }
}

/// Where messages come from: a dialer or listener of a shard, whatever connection of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) shard: u16,
    /// The link's uid.
    pub(crate) link: u64,
}

/// How much of one peer waits for the user; the shard stops reading at the mark.
pub(crate) struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
    paused: AtomicBool,
    messages_max: u64,
    bytes_max: u64,
    pub(crate) source: Source,
    /// Who reads the peer.
    port: Arc<dyn Port>,
    slot: usize,
    uid: u64,
}

impl Flow {
    pub(crate) fn new(
        (messages_max, bytes_max): (u64, u64),
        source: Source,
        port: Arc<dyn Port>,
        slot: usize,
        uid: u64,
    ) -> Flow {
        let (messages, bytes, paused) = Default::default();
        Flow { messages, bytes, paused, messages_max, bytes_max, source, port, slot, uid }
    }

    /// How many messages there is room for, if there is room for bytes as well.
    pub(crate) fn room(&self) -> u64 {
        match self.bytes.load(Ordering::SeqCst) < self.bytes_max {
            true => self.messages_max.saturating_sub(self.messages.load(Ordering::SeqCst)),
            false => 0,
        }
    }

    /// Whether the shard has to stop reading. If so, the user's taking makes it go on.
    fn pause(&self) -> bool {
        if self.room() > 0 {
            return false;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The user may have made room between the look and the store; then one of us two takes the flag back.
        self.room() == 0 || !self.paused.swap(false, Ordering::SeqCst)
    }

    fn release(&self, messages: u64, bytes: u64) {
        self.messages.fetch_sub(messages, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if self.room() > 0 && self.paused.swap(false, Ordering::SeqCst) {
            self.resume();
        }
    }

    fn resume(&self) {
        self.port.mail(Note::Resume { slot: self.slot, uid: self.uid });
    }
}

/// The deliveries of one socket.
pub(crate) struct Inbound {
    state: QuickLock<State>,
    pub(crate) waiters: Arc<Waiters>,
    /// What the user may have, where that is checked here at all.
    subscriptions: Arc<RwLock<Subscriptions>>,
    /// The memory that waits: changed under the lock, and looked at without it.
    bytes: AtomicU64,
    bytes_max: u64,
    /// Messages of a topic that gave way to a newer one, and those that gave way to other topics.
    pub(crate) replaced: AtomicU64,
    pub(crate) dropped: AtomicU64,
    keeps_latest: bool,
}

struct State {
    queue: VecDeque<Delivery>,
    /// The delivery being handed out; its room is given back already.
    bytes: Option<Buffer>,
    spans: std::vec::IntoIter<(u32, u32)>,
    source: Option<Source>,
    /// Deliveries that have passed an earlier version may hold what is not subscribed to any more.
    stale_before: u64,
    /// Peers that are not read since the socket's bound is reached.
    paused: Vec<Arc<Flow>>,
    /// In place of the queue, where only the newest message of each topic is kept.
    latest: Option<Latest>,
}

impl Inbound {
    /// Nothing yet, of a socket with these subscriptions. At most about `bytes_max` wait. With `latest`, only the newest
    /// message of each topic does.
    pub(crate) fn new(
        subscriptions: Arc<RwLock<Subscriptions>>,
        bytes_max: u64,
        latest: Option<LatestBound>,
    ) -> Inbound {
        let (queue, bytes, source, stale_before, paused) = Default::default();
        let (keeps_latest, latest) = (latest.is_some(), latest.map(Latest::new));
        let spans = Vec::new().into_iter();
        let state = State { queue, bytes, spans, source, stale_before, paused, latest };
        let (waiters, bytes, replaced, dropped) = Default::default();
        let state = QuickLock::new(state);
        Inbound { state, waiters, subscriptions, bytes, bytes_max, replaced, dropped, keeps_latest }
    }

    /// Whether only the newest message of each topic waits: then nothing has to be paused.
    pub(crate) fn keeps_latest(&self) -> bool {
        self.keeps_latest
    }

    /// Whether the bound of the socket is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= self.bytes_max
    }

    /// Whether the shard has to stop reading a peer: its own mark or the socket's bound is reached. If so, the user's
    /// taking makes it go on.
    pub(crate) fn pause(&self, flow: &Arc<Flow>) -> bool {
        if self.keeps_latest {
            return false;
        }
        if flow.pause() {
            return true;
        }
        if !self.is_full() {
            return false;
        }
        let mut state = self.state.lock();
        let full = self.is_full();
        if full {
            state.paused.push(flow.clone());
        }
        full
    }

    /// Queues a delivery; those to be woken are appended to `wakes`.
    pub(crate) fn push(&self, delivery: Delivery, wakes: &mut Vec<Waker>) {
        let flow = &delivery.flow;
        flow.messages.fetch_add(delivery.spans.len() as u64, Ordering::SeqCst);
        flow.bytes.fetch_add(delivery.bytes.len() as u64, Ordering::SeqCst);
        let cost = delivery.cost();
        let mut state = self.state.lock();
        self.bytes.fetch_add(cost, Ordering::SeqCst);
        state.queue.push_back(delivery);
        drop(state);
        self.waiters.take(wakes);
    }

    /// The next message.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Msg> {
        let mut state = self.state.lock();
        let span = match state.spans.next() {
            Some(span) => span,
            None => self.next_delivery(&mut state, false)?,
        };
        Some(state.message(span))
    }

    /// What is left of the delivery being handed out, or the next one.
    pub(crate) fn pop_many(&self) -> Option<Received> {
        let mut state = self.state.lock();
        let first = match state.spans.next() {
            Some(span) => span,
            None => self.next_delivery(&mut state, true)?,
        };
        let buffer = state.bytes.take().expect("spans come with bytes");
        Some(Received::new(buffer, first, std::mem::take(&mut state.spans)))
    }

    /// Goes on to the next delivery.
    #[cold]
    fn next_delivery(&self, state: &mut State, many: bool) -> Option<(u32, u32)> {
        if let Some(latest) = &mut state.latest {
            let taken = latest.take(many);
            (state.bytes, state.spans) =
                taken.map_or_else(Default::default, |(bytes, spans)| (Some(bytes), spans.into_iter()));
            return state.spans.next();
        }
        loop {
            let Some(mut delivery) = state.queue.pop_front() else {
                (state.bytes, state.source) = (None, None);
                return None;
            };
            self.release(state, &delivery);
            if delivery.version < state.stale_before {
                let subscriptions = read_lock(&self.subscriptions);
                delivery.spans.retain(|&span| subscriptions.matches(topic(&delivery.bytes, span)));
            }
            state.source = Some(delivery.flow.source);
            state.bytes = Some(delivery.bytes);
            state.spans = delivery.spans.into_iter();
            if let Some(span) = state.spans.next() {
                return Some(span);
            }
        }
    }

    /// Gives the room of a delivery back.
    fn release(&self, state: &mut State, delivery: &Delivery) {
        delivery.flow.release(delivery.spans.len() as u64, delivery.bytes.len() as u64);
        let left = self.bytes.fetch_sub(delivery.cost(), Ordering::SeqCst) - delivery.cost();
        // Only once there is room for many: those that are read again are looked at one by one.
        if left <= self.bytes_max / 2 {
            state.paused.drain(..).for_each(|flow| flow.resume());
        }
    }

    /// The user has unsubscribed: of what waits, nothing comes out that is not subscribed to any more, nor of what a
    /// shard is just cutting. Only for sockets whose messages are checked against their subscriptions.
    pub(crate) fn unsubscribed(&self) {
        let mut state = self.state.lock();
        let subscriptions = read_lock(&self.subscriptions);
        state.stale_before = subscriptions.version();
        let State { bytes, spans, latest, .. } = &mut *state;
        if let Some(latest) = latest {
            latest.retain(|topic, _| subscriptions.matches(topic));
        }
        if let Some(bytes) = bytes {
            let wanted = |&span: &(u32, u32)| subscriptions.matches(topic(bytes, span));
            *spans = std::mem::take(spans).filter(wanted).collect::<Vec<_>>().into_iter();
        }
    }

    /// Throws away what waits of a source.
    pub(crate) fn forget(&self, source: Source) {
        let mut state = self.state.lock();
        if state.source == Some(source) {
            (state.bytes, state.spans) = Default::default();
        }
        if let Some(latest) = &mut state.latest {
            latest.retain(|_, of| of != source);
        }
        for delivery in std::mem::take(&mut state.queue) {
            if delivery.flow.source == source {
                self.release(&mut state, &delivery);
            } else {
                state.queue.push_back(delivery);
            }
        }
    }
}

impl State {
    #[inline(always)]
    fn message(&self, (start, end): (u32, u32)) -> Msg {
        Msg::within(self.bytes.clone().expect("spans come with bytes"), start, end)
    }
}

fn topic(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    frame::topic(&bytes[start as usize..end as usize])
}
