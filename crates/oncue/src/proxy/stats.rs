//! What a proxy counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::engine::Load;

/// What a [`Proxy`](crate::Proxy) has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// From publishers to subscribers.
    pub down: Passed,
    /// From subscribers to publishers.
    pub up: Passed,
    /// Messages of subscribers that were dropped because the frontend is a SUB, which cannot send.
    pub up_dropped: u64,
    /// Messages that the capture socket had no room for.
    pub capture_missed: u64,
    /// Messages that publishers of this library have dropped for the frontend. The backend's subscribers are told, as
    /// [`unseen`](crate::Missed::unseen): it is not known who of them wanted them.
    pub missed: u64,
    /// How often messages waited because the backend had no room.
    pub waits: u64,
    /// Subscriptions that were passed on to publishers.
    pub subscribed: u64,
    /// Cancellations that were passed on to publishers.
    pub unsubscribed: u64,
    /// Subscriptions that the frontend cannot make, such as one with a prefix that is too long for it.
    pub prefixes_refused: u64,
    /// Prefixes that nobody wants now and that are kept for their [`grace`](super::ProxyOptions::grace).
    pub prefixes_in_grace: u64,
    /// States of topics that were passed on.
    pub states: u64,
}

/// What has passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// Messages.
    pub messages: u64,
    /// Their bytes, with frame headers.
    pub bytes: u64,
    /// In how many batches they came: what one read of one peer brought is passed on together.
    pub batches: u64,
}

/// The counters behind [`ProxyStats`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) down: Counter,
    pub(super) up: Counter,
    pub(super) up_dropped: AtomicU64,
    pub(super) capture_missed: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) waits: AtomicU64,
    pub(super) subscribed: AtomicU64,
    pub(super) unsubscribed: AtomicU64,
    pub(super) prefixes_refused: AtomicU64,
    pub(super) grace: AtomicU64,
    pub(super) states: AtomicU64,
}

#[derive(Default)]
pub(super) struct Counter {
    messages: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
}

impl Counter {
    pub(super) fn count(&self, load: &Load) {
        self.messages.fetch_add(load.messages, Relaxed);
        self.bytes.fetch_add(load.bytes, Relaxed);
        self.batches.fetch_add(1, Relaxed);
    }

    fn read(&self) -> Passed {
        let [messages, bytes, batches] =
            [&self.messages, &self.bytes, &self.batches].map(|count| count.load(Relaxed));
        Passed { messages, bytes, batches }
    }
}

impl Counters {
    pub(super) fn read(&self) -> ProxyStats {
        let get = |count: &AtomicU64| count.load(Relaxed);
        ProxyStats {
            down: self.down.read(),
            up: self.up.read(),
            up_dropped: get(&self.up_dropped),
            capture_missed: get(&self.capture_missed),
            missed: get(&self.missed),
            waits: get(&self.waits),
            subscribed: get(&self.subscribed),
            unsubscribed: get(&self.unsubscribed),
            prefixes_refused: get(&self.prefixes_refused),
            prefixes_in_grace: get(&self.grace),
            states: get(&self.states),
        }
    }
}
