//! What was received and waits for the user: cut by the shard, taken by any thread, with the room that it takes
//! accounted per peer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use super::mailbox::{Note, Port};
use crate::batch::Received;
use crate::buffer::Buffer;
use crate::msg::Msg;
use crate::op::Waiters;
use crate::sync::QuickLock;

/// Messages that one read of one peer brought: where each starts and ends in the shared bytes.
pub(crate) struct Delivery {
    pub(crate) bytes: Buffer,
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) flow: Arc<Flow>,
}

/// How much of one peer waits for the user; the shard stops reading at the mark.
pub(crate) struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
    paused: AtomicBool,
    messages_max: u64,
    bytes_max: u64,
    /// Who reads the peer.
    port: Arc<dyn Port>,
    slot: usize,
    uid: u64,
}

impl Flow {
    pub(crate) fn new(messages_max: u64, bytes_max: u64, port: Arc<dyn Port>, slot: usize, uid: u64) -> Flow {
        let (messages, bytes, paused) = Default::default();
        Flow { messages, bytes, paused, messages_max, bytes_max, port, slot, uid }
    }

    /// Whether the mark is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.messages.load(Ordering::SeqCst) >= self.messages_max
            || self.bytes.load(Ordering::SeqCst) >= self.bytes_max
    }

    /// Whether the shard has to stop reading. If so, the user's taking makes it go on.
    pub(crate) fn pause(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The user may have made room between the look and the store; then one of us two takes the flag back.
        self.is_full() || !self.paused.swap(false, Ordering::SeqCst)
    }

    fn release(&self, messages: u64, bytes: u64) {
        self.messages.fetch_sub(messages, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if !self.is_full() && self.paused.swap(false, Ordering::SeqCst) {
            self.port.mail(Note::Resume { slot: self.slot, uid: self.uid });
        }
    }
}

/// The deliveries of one socket.
#[derive(Default)]
pub(crate) struct Inbound {
    state: QuickLock<State>,
    pub(crate) waiters: Arc<Waiters>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// The delivery being handed out; its room is given back already.
    bytes: Option<Buffer>,
    spans: std::vec::IntoIter<(u32, u32)>,
}

impl Inbound {
    /// Queues a delivery; those to be woken are appended to `wakes`.
    pub(crate) fn push(&self, delivery: Delivery, wakes: &mut Vec<Waker>) {
        let flow = &delivery.flow;
        flow.messages.fetch_add(delivery.spans.len() as u64, Ordering::SeqCst);
        flow.bytes.fetch_add(delivery.bytes.len() as u64, Ordering::SeqCst);
        self.state.lock().queue.push_back(delivery);
        self.waiters.take(wakes);
    }

    /// The next message.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Msg> {
        let mut state = self.state.lock();
        let span = state.next_span()?;
        Some(state.message(span))
    }

    /// What is left of the delivery being handed out, or the next one.
    pub(crate) fn pop_many(&self) -> Option<Received> {
        let mut state = self.state.lock();
        let first = state.next_span()?;
        let buffer = state.bytes.take().expect("spans come with bytes");
        Some(Received::new(buffer, first, std::mem::take(&mut state.spans)))
    }
}

impl State {
    #[inline(always)]
    fn next_span(&mut self) -> Option<(u32, u32)> {
        self.spans.next().or_else(|| self.next_delivery())
    }

    /// Goes on to the next delivery.
    #[cold]
    fn next_delivery(&mut self) -> Option<(u32, u32)> {
        loop {
            if let Some(span) = self.spans.next() {
                return Some(span);
            }
            let Some(delivery) = self.queue.pop_front() else {
                self.bytes = None;
                return None;
            };
            delivery.flow.release(delivery.spans.len() as u64, delivery.bytes.len() as u64);
            self.bytes = Some(delivery.bytes);
            self.spans = delivery.spans.into_iter();
        }
    }

    #[inline(always)]
    fn message(&self, (start, end): (u32, u32)) -> Msg {
        Msg::within(self.bytes.clone().expect("spans come with bytes"), start, end)
    }
}
