//! The last values of a route. The socket keeps them and gives them to new subscribers alone; the route bounds them, and
//! has them forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::Result;
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
    book: Mutex<Book>,
}

/// Which values are kept, where that must be known.
#[derive(Default)]
struct Book {
    /// By topic: the turn, and the bytes.
    entries: HashMap<Arc<[u8]>, (u64, u64)>,
    /// By turn: the values that are longest without a newer one first.
    turns: BTreeMap<u64, Arc<[u8]>>,
    bytes: u64,
    last_turn: u64,
}

impl Keep {
    pub(crate) fn new(limits: LastLimits) -> Keep {
        Keep { limits, book: Mutex::default() }
    }

    /// Sends a value and keeps it.
    pub(super) fn send(
        &self,
        socket: &XPub,
        topic: &Arc<[u8]>,
        value: &[u8],
        on_full: Option<OnFull>,
    ) -> Result<()> {
        let bytes_max = self.limits.bytes_max.or(self.limits.outlive.then_some(OUTLIVING_BYTES_MAX));
        let Some(bytes_max) = bytes_max else { return self.send_last(socket, topic, value, on_full) };
        let bytes = topic.len() as u64 + value.len() as u64 + ENTRY_BYTES;
        // Locked meanwhile: the socket has what is in the book, unless it has dropped it for its own bound.
        let mut book = lock(&self.book);
        book.remove(topic);
        if bytes > bytes_max {
            socket.forget_last(topic);
            return send(socket, topic, value, on_full);
        }
        self.send_last(socket, topic, value, on_full)?;
        book.insert(topic.clone(), bytes);
        while book.bytes > bytes_max
            && let Some((_, oldest)) = book.turns.first_key_value()
        {
            let oldest = oldest.clone();
            book.remove(&oldest);
            socket.forget_last(&oldest);
        }
        Ok(())
    }

    fn send_last(&self, socket: &XPub, topic: &[u8], value: &[u8], on_full: Option<OnFull>) -> Result<()> {
        match (self.limits.age_max, on_full) {
            (age, Some(on_full)) => socket.send_last_as((topic, value), age, on_full),
            (None, None) => socket.send_last((topic, value)),
            (Some(age), None) => socket.send_last_for((topic, value), age),
        }
    }

    pub(super) fn leave(&self, socket: &XPub, topic: &[u8]) {
        if !self.limits.outlive {
            lock(&self.book).remove(topic);
            socket.forget_last(topic);
        }
    }

    /// The route has been removed.
    pub(crate) fn forget_all(&self, socket: &XPub) {
        for (_, topic) in std::mem::take(&mut *lock(&self.book)).turns {
            socket.forget_last(&topic);
        }
    }
}

impl Book {
    fn insert(&mut self, topic: Arc<[u8]>, bytes: u64) {
        self.last_turn += 1;
        self.bytes += bytes;
        self.turns.insert(self.last_turn, topic.clone());
        self.entries.insert(topic, (self.last_turn, bytes));
    }

    fn remove(&mut self, topic: &[u8]) {
        if let Some((turn, bytes)) = self.entries.remove(topic) {
            self.turns.remove(&turn);
            self.bytes -= bytes;
        }
    }
}

/// Sends a value without keeping it.
pub(super) fn send(socket: &XPub, topic: &[u8], value: &[u8], on_full: Option<OnFull>) -> Result<()> {
    match on_full {
        Some(on_full) => socket.send_as((topic, value), on_full),
        None => socket.send((topic, value)),
    }
}
