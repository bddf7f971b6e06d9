//! What was received and waits for the user: cut by the shard, taken on any thread. The room is accounted per peer and
//! for the whole socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::task::Waker;

use oncue_core::subscriptions::Subscriptions;

use crate::batch::Received;
use crate::buffer::Buffer;
use crate::missed::Missed;
use crate::msg::Msg;
use crate::op::Waiters;
use crate::sync::{QuickGuard, QuickLock, read_lock};

pub(crate) mod flow;
pub(crate) mod latest;

use flow::{Flow, Source};
use latest::{Latest, LatestBound, MESSAGES_AT_A_TIME, topic};

/// How many gaps wait for the user. Beyond it the oldest are dropped, or the newest of one publisher added up.
const MISSED_MAX: usize = 1000;

/// Messages that one read of one peer brought: where each starts and ends in the shared bytes.
pub(crate) struct Arrival {
    pub(crate) bytes: Buffer,
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) flow: Arc<Flow>,
    /// The version of the subscriptions that the messages were filtered by.
    pub(crate) version: u64,
    /// What was missed before them. There may be no messages.
    pub(crate) gap: Option<Box<Gap>>,
}

/// Messages of a publisher that were missed, before those of an arrival.
#[derive(Clone)]
pub(crate) struct Gap {
    pub(crate) missed: Missed,
    /// An arrival without messages before has told it.
    pub(crate) told: bool,
}

impl Arrival {
    /// The memory that it takes.
    fn cost(&self) -> u64 {
        let gap = self.gap.as_ref().map_or(0, |_| size_of::<Gap>());
        let spans = self.spans.capacity() * size_of::<(u32, u32)>();
        (size_of::<Arrival>() + self.bytes.memory() + spans + gap) as u64
    }

    /// How many messages it counts as: one if it only tells a gap that the publisher has told.
    fn messages(&self) -> u64 {
        let told = self.gap.as_ref().is_some_and(|gap| !gap.missed.reconnected);
        (self.spans.len() as u64).max(u64::from(told))
    }
}

/// The arrivals of one socket.
pub(crate) struct Inbound {
    state: QuickLock<State>,
    pub(crate) waiters: Arc<Waiters>,
    /// What the user may receive, where that is checked here.
    subscriptions: Arc<RwLock<Subscriptions>>,
    /// The memory that waits: changed under the lock, read without it.
    bytes: AtomicU64,
    bytes_max: u64,
    /// Messages replaced by a newer one of their topic, and messages dropped in favour of other topics.
    pub(crate) replaced: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// Only the newest message of each topic waits. Then reading never pauses.
    pub(crate) keeps_latest: bool,
}

/// The first message of an arrival, and what was missed before it.
type Next = ((u32, u32), Option<Box<Missed>>);

struct State {
    queue: VecDeque<Arrival>,
    /// The arrival that is being handed out. Its room is already released.
    bytes: Option<Buffer>,
    spans: std::vec::IntoIter<(u32, u32)>,
    source: Option<Source>,
    /// Arrivals of an earlier version may hold topics that were unsubscribed since.
    stale_before: u64,
    /// What was missed before the messages that were handed out, and the user has not taken.
    missed: VecDeque<Missed>,
    /// Peers that are not read because the socket's bound is reached.
    paused: Vec<Arc<Flow>>,
    /// In place of the queue under [`Keep::Latest`](crate::Keep::Latest).
    latest: Option<Latest>,
}

impl Inbound {
    /// An empty inbox. About `bytes_max` wait at most; with `latest`, only the newest message of each topic.
    pub(crate) fn new(
        subscriptions: Arc<RwLock<Subscriptions>>,
        bytes_max: u64,
        latest: Option<LatestBound>,
    ) -> Inbound {
        let (queue, bytes, source, stale_before, missed, paused) = Default::default();
        let (keeps_latest, latest) = (latest.is_some(), latest.map(Latest::new));
        let spans = Vec::new().into_iter();
        let state = State { queue, bytes, spans, source, stale_before, missed, paused, latest };
        let (waiters, bytes, replaced, dropped) = Default::default();
        let state = QuickLock::new(state);
        Inbound { state, waiters, subscriptions, bytes, bytes_max, replaced, dropped, keeps_latest }
    }

    /// Whether the socket's bound is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= self.bytes_max
    }

    /// Whether nothing waits, but for what is being handed out.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) == 0
    }

    /// Whether the shard must stop reading a peer: its own mark or the socket's bound is reached. If so, reading goes
    /// on when the user has taken enough.
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

    /// Queues an arrival. The wakers of waiting operations are appended to `wakes`.
    pub(crate) fn push(&self, arrival: Arrival, wakes: &mut Vec<Waker>) {
        let flow = &arrival.flow;
        flow.messages.fetch_add(arrival.messages(), Ordering::SeqCst);
        flow.bytes.fetch_add(arrival.bytes.len() as u64, Ordering::SeqCst);
        let cost = arrival.cost();
        let mut state = self.state.lock();
        self.bytes.fetch_add(cost, Ordering::SeqCst);
        state.queue.push_back(arrival);
        drop(state);
        self.waiters.take(wakes);
    }

    /// Takes in messages of which only the newest of each topic waits, filtered by this version of the subscriptions.
    /// The wakers of waiting operations are appended to `wakes`.
    pub(crate) fn put_latest(
        &self,
        bytes: &[u8],
        spans: &[(u32, u32)],
        (source, version): (Source, u64),
        wakes: &mut Vec<Waker>,
    ) {
        let (mut replaced, mut dropped) = (0, 0);
        for spans in spans.chunks(MESSAGES_AT_A_TIME) {
            let mut state = self.state.lock();
            let stale = version < state.stale_before;
            let Some(latest) = &mut state.latest else { return };
            for &(start, end) in spans {
                if stale && !read_lock(&self.subscriptions).wants(topic(bytes, (start, end))) {
                    continue;
                }
                replaced += u64::from(latest.put(&bytes[start as usize..end as usize], source));
                while latest.is_over() {
                    latest.pop();
                    dropped += 1;
                }
            }
        }
        self.replaced.fetch_add(replaced, Ordering::Relaxed);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.waiters.take(wakes);
    }

    /// The next message.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Msg> {
        let mut state = self.state.lock();
        let (bytes, span) = match state.spans.next() {
            Some(span) => (state.bytes.clone().expect("spans come with bytes"), span),
            None => self.pop_next(state)?,
        };
        Some(Msg::within(bytes, span.0, span.1))
    }

    /// The first message of the next arrival.
    #[cold]
    #[inline(never)]
    fn pop_next(&self, mut state: QuickGuard<'_, State>) -> Option<(Buffer, (u32, u32))> {
        let known = state.missed.len();
        let next = self.next_arrival(&mut state, false);
        let message = next.map(|(span, _)| (state.bytes.clone().expect("spans come with bytes"), span));
        self.unlock(state, known);
        message
    }

    /// Wakes those who wait for what was missed, if there is more than `known` now.
    fn unlock(&self, state: QuickGuard<'_, State>, known: usize) {
        let more = state.missed.len() > known;
        drop(state);
        if more {
            self.waiters.wake();
        }
    }

    /// The rest of the arrival that is being handed out, or the next one.
    pub(crate) fn pop_many(&self) -> Option<Received> {
        let mut state = self.state.lock();
        let known = state.missed.len();
        let (first, missed) = match state.spans.next() {
            Some(span) => (Some(span), None),
            None => self.next_arrival(&mut state, true).unzip(),
        };
        let received = first.map(|first| {
            let buffer = state.bytes.take().expect("spans come with bytes");
            Received::new(buffer, first, std::mem::take(&mut state.spans)).behind(missed.flatten())
        });
        self.unlock(state, known);
        received
    }

    /// What was missed before the messages that were handed out, or before nothing if none waits.
    pub(crate) fn pop_missed(&self) -> Option<Missed> {
        let mut state = self.state.lock();
        while state.missed.is_empty() && state.spans.len() == 0 {
            if !state.queue.front().is_some_and(|arrival| arrival.spans.is_empty()) {
                break;
            }
            let Some(arrival) = state.queue.pop_front() else { break };
            self.release(&mut state, &arrival);
            state.tell(arrival.gap);
        }
        state.missed.pop_front()
    }

    /// How many topics may wait from now on, where only their newest messages do.
    pub(crate) fn set_topics_max(&self, topics: u64) {
        let mut dropped = 0;
        if let Some(latest) = &mut self.state.lock().latest {
            latest.bound.topics_max = topics;
            while latest.is_over() {
                latest.pop();
                dropped += 1;
            }
        }
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Takes in what was missed, where messages have no order.
    pub(crate) fn miss(&self, missed: Missed, wakes: &mut Vec<Waker>) {
        self.state.lock().note(missed);
        self.waiters.take(wakes);
    }

    /// Goes on to the next arrival.
    #[cold]
    fn next_arrival(&self, state: &mut State, many: bool) -> Option<Next> {
        if let Some(latest) = &mut state.latest {
            let taken = latest.take(many);
            (state.bytes, state.spans) =
                taken.map_or_else(Default::default, |(bytes, spans)| (Some(bytes), spans.into_iter()));
            return state.spans.next().map(|span| (span, None));
        }
        loop {
            let Some(mut arrival) = state.queue.pop_front() else {
                (state.bytes, state.source) = (None, None);
                return None;
            };
            self.release(state, &arrival);
            if arrival.version < state.stale_before {
                let subscriptions = read_lock(&self.subscriptions);
                arrival.spans.retain(|&span| subscriptions.wants(topic(&arrival.bytes, span)));
            }
            state.source = Some(arrival.flow.source);
            state.bytes = Some(arrival.bytes);
            state.spans = arrival.spans.into_iter();
            let missed = state.tell(arrival.gap);
            if let Some(span) = state.spans.next() {
                return Some((span, missed));
            }
        }
    }

    /// Releases the room of an arrival.
    fn release(&self, state: &mut State, arrival: &Arrival) {
        arrival.flow.release(arrival.messages(), arrival.bytes.len() as u64);
        let left = self.bytes.fetch_sub(arrival.cost(), Ordering::SeqCst) - arrival.cost();
        // Only once there is much room: otherwise each message taken would let every peer read a little.
        if left <= self.bytes_max / 2 {
            state.paused.drain(..).for_each(|flow| flow.resume());
        }
    }

    /// The user has unsubscribed: what waits, or is being cut by a shard, is filtered again before it is handed out.
    /// Only for sockets whose messages are checked against their subscriptions.
    pub(crate) fn unsubscribed(&self) {
        let mut state = self.state.lock();
        let subscriptions = read_lock(&self.subscriptions);
        state.stale_before = subscriptions.version();
        let State { bytes, spans, latest, .. } = &mut *state;
        if let Some(latest) = latest {
            latest.retain(|topic, _| subscriptions.wants(topic));
        }
        if let Some(bytes) = bytes {
            let wanted = |&span: &(u32, u32)| subscriptions.wants(topic(bytes, span));
            *spans = std::mem::take(spans).filter(wanted).collect::<Vec<_>>().into_iter();
        }
    }

    /// Drops what waits from a source.
    pub(crate) fn forget(&self, source: Source) {
        let mut state = self.state.lock();
        if state.source == Some(source) {
            (state.bytes, state.spans) = Default::default();
        }
        if let Some(latest) = &mut state.latest {
            latest.retain(|_, of| of != source);
        }
        for arrival in std::mem::take(&mut state.queue) {
            if arrival.flow.source == source {
                self.release(&mut state, &arrival);
            } else {
                state.queue.push_back(arrival);
            }
        }
    }
}

impl State {
    /// Tells the user of a gap, unless that was done.
    fn tell(&mut self, gap: Option<Box<Gap>>) -> Option<Box<Missed>> {
        let Gap { missed, told } = *gap?;
        if !told {
            self.note(missed.clone());
        }
        Some(Box::new(missed))
    }

    fn note(&mut self, missed: Missed) {
        let full = self.missed.len() >= MISSED_MAX;
        match self.missed.back_mut() {
            Some(known) if full && known.publisher == missed.publisher => return known.merge(missed),
            _ if full => _ = self.missed.pop_front(),
            _ => {}
        }
        self.missed.push_back(missed);
    }
}
