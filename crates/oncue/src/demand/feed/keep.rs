//! The last values of a route. The socket keeps them and gives them to new subscribers alone; the route bounds them, and
//! has them forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::Result;
use crate::msg::Frames;
use crate::options::OnFull;
use crate::socket::XPub;
use crate::sync::lock;

/// The default of [`LastLimits::bytes_max`] where values outlive their feeds.
const OUTLIVING_BYTES_MAX: u64 = 64 << 20;
/// What an entry costs here beside its topic and its value, in bytes.
const ENTRY_BYTES: u64 = 128;

/// How long, and how many, last values of a route are kept. See
/// [`RouteBuilder::keep_last_with`](crate::demand::RouteBuilder::keep_last_with).
///
/// ```
/// use oncue::demand::LastLimits;
/// use std::time::Duration;
/// let limits = LastLimits { age_max: Some(Duration::from_secs(60)), outlive: true, ..LastLimits::default() };
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastLimits {
    /// No subscriber gets a value older than this; no bound by default.
    pub age_max: Option<Duration>,
    /// The most bytes of the values of this route, their topics included. Beyond it, the values that are longest without a
    /// newer one are forgotten; a value larger than this is not kept. By default the bound is the socket's
    /// [`last_values_bytes_max`](crate::Options::last_values_bytes_max), and 64 MiB where values outlive their feeds.
    pub bytes_max: Option<u64>,
    /// Whether a value is kept when its feed has stopped, for the next subscriber of the topic. It is then as old as the
    /// feed is gone: bound its age. Otherwise it is forgotten with the feed. A feed that failed keeps its value while it
    /// waits for its next start.
    pub outlive: bool,
}

pub(crate) struct Keep {
    limits: LastLimits,
    /// How long a value is fresh.
    fresh: Option<Duration>,
    book: Mutex<Book>,
}

/// A value that is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fresh {
    /// When it was sent.
    pub(crate) at: Duration,
    /// Until when it is fresh.
    pub(crate) until: Duration,
}

/// Which values are kept, where that must be known.
#[derive(Default)]
struct Book {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// By turn: the values that are longest without a newer one first.
    turns: BTreeMap<u64, Arc<[u8]>>,
    bytes: u64,
    last_turn: u64,
}

struct Entry {
    turn: u64,
    bytes: u64,
    /// When the value was sent.
    at: Duration,
}

impl Fresh {
    /// What is fresh for `time` from `at` on, if it is still so now.
    pub(crate) fn new(at: Duration, time: Duration, now: Duration) -> Option<Fresh> {
        let until = at.saturating_add(time);
        (until > now).then_some(Fresh { at, until })
    }
}

impl Keep {
    pub(crate) fn new(limits: LastLimits, fresh: Option<Duration>) -> Keep {
        Keep { limits, fresh, book: Mutex::default() }
    }

    /// How long a value is fresh, if the route says that.
    pub(super) fn fresh_for(&self) -> Option<Duration> {
        self.fresh
    }

    /// Sends a message of a topic and keeps it.
    pub(super) fn send(
        &self,
        socket: &XPub,
        topic: &Arc<[u8]>,
        message: &(impl Frames + ?Sized),
        on_full: Option<OnFull>,
        now: impl Fn() -> Duration,
    ) -> Result<()> {
        let outlives = self.limits.outlive || self.fresh.is_some();
        let bytes_max = self.limits.bytes_max.or(outlives.then_some(OUTLIVING_BYTES_MAX));
        let Some(bytes_max) = bytes_max else { return self.send_last(socket, topic, message, on_full) };
        let mut bytes = ENTRY_BYTES;
        message.visit(&mut |frame, _| bytes += frame.len() as u64);
        // Locked meanwhile: the socket has what is in the book, unless it has dropped it for its own bound.
        let mut book = lock(&self.book);
        if bytes > bytes_max {
            book.remove(topic);
            socket.forget_last(topic);
            return send(socket, message, on_full);
        }
        // If the socket refuses, it keeps the value that it has, and so does the book.
        self.send_last(socket, topic, message, on_full)?;
        book.remove(topic);
        book.insert(topic.clone(), bytes, now());
        while book.bytes > bytes_max
            && let Some((_, oldest)) = book.turns.first_key_value()
        {
            let oldest = oldest.clone();
            book.remove(&oldest);
            socket.forget_last(&oldest);
        }
        Ok(())
    }

    fn send_last(
        &self,
        socket: &XPub,
        topic: &[u8],
        message: &(impl Frames + ?Sized),
        on_full: Option<OnFull>,
    ) -> Result<()> {
        match on_full {
            Some(on_full) => socket.send_last_on_full(topic, message, self.limits.age_max, on_full),
            None => socket.send_last_as(topic, message, self.limits.age_max),
        }
    }

    /// The value of a topic, if it is kept and still fresh.
    pub(super) fn fresh(&self, socket: &XPub, topic: &[u8], now: Duration) -> Option<Fresh> {
        let time = self.fresh?;
        let at = lock(&self.book).entries.get(topic)?.at;
        // The socket may have dropped it for its own bound.
        Fresh::new(at, time, now).filter(|_| socket.last(topic).is_some())
    }

    /// Nobody wants the topic any more: its value is kept only as long as it outlives its feed, or is fresh.
    pub(super) fn leave(&self, socket: &XPub, topic: &[u8], now: Duration) {
        if self.limits.outlive {
            return;
        }
        if let Some(Fresh { until, .. }) = self.fresh(socket, topic, now)
            && let Some(value) = socket.last(topic)
        {
            // A closed socket keeps nothing.
            let _ = socket.keep_last_as(topic, value, Some(until.saturating_sub(now)));
            return;
        }
        lock(&self.book).remove(topic);
        socket.forget_last(topic);
    }

    /// The route has been removed.
    pub(crate) fn forget_all(&self, socket: &XPub) {
        for (_, topic) in std::mem::take(&mut *lock(&self.book)).turns {
            socket.forget_last(&topic);
        }
    }
}

impl Book {
    fn insert(&mut self, topic: Arc<[u8]>, bytes: u64, at: Duration) {
        self.last_turn += 1;
        self.bytes += bytes;
        self.turns.insert(self.last_turn, topic.clone());
        self.entries.insert(topic, Entry { turn: self.last_turn, bytes, at });
    }

    fn remove(&mut self, topic: &[u8]) {
        if let Some(Entry { turn, bytes, .. }) = self.entries.remove(topic) {
            self.turns.remove(&turn);
            self.bytes -= bytes;
        }
    }
}

/// Sends a message without keeping it.
pub(super) fn send(socket: &XPub, message: &(impl Frames + ?Sized), on_full: Option<OnFull>) -> Result<()> {
    match on_full {
        Some(on_full) => socket.send_on_full(message, on_full),
        None => socket.send(message),
    }
}
