//! Last values of a route: kept by the socket, which gives them to new subscribers alone; here is what bounds them by
//! route and lets go of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::Result;
use crate::socket::XPub;
use crate::sync::lock;

/// What the values that outlive their feeds may take up, where the route does not say.
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
    /// A value older than this is given to nobody; no bound by default.
    pub age_max: Option<Duration>,
    /// The most bytes of the values of this route, their topics included. Beyond it those longest without a newer value
    /// go; a value larger than this is not kept. Without it the socket's
    /// [`last_values_bytes_max`](crate::Options::last_values_bytes_max) alone is the bound, and 64 MiB where values
    /// outlive their feeds.
    pub bytes_max: Option<u64>,
    /// Whether a value is kept when its feed has stopped, for whoever subscribes to the topic next. It is as old then
    /// as the feed is gone: bound its age. Otherwise it goes with the feed. A feed that failed keeps its value while
    /// it waits for its next start.
    pub outlive: bool,
}

/// The last values of one route.
pub(crate) struct Keep {
    limits: LastLimits,
    book: Mutex<Book>,
}

/// Which values are kept, where that must be known.
#[derive(Default)]
struct Book {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// By turn: those longest without a newer value first.
    turns: BTreeMap<u64, Arc<[u8]>>,
    bytes: u64,
    last_turn: u64,
}

struct Entry {
    turn: u64,
    bytes: u64,
}

impl Keep {
    pub(crate) fn new(limits: LastLimits) -> Keep {
        Keep { limits, book: Mutex::default() }
    }

    /// Sends a value and keeps it.
    pub(crate) fn send(&self, socket: &XPub, topic: &Arc<[u8]>, value: &[u8]) -> Result<()> {
        let Some(bytes_max) = self.bytes_max() else { return self.pass(socket, topic, value) };
        let bytes = topic.len() as u64 + value.len() as u64 + ENTRY_BYTES;
        // Held meanwhile: what is in the book is in the socket, unless the socket has given it up.
        let mut book = lock(&self.book);
        book.remove(topic);
        if bytes > bytes_max {
            socket.forget_last(topic);
            return socket.send((&**topic, value));
        }
        self.pass(socket, topic, value)?;
        book.insert(topic.clone(), bytes);
        while book.bytes > bytes_max
            && let Some(oldest) = book.oldest()
        {
            book.remove(&oldest);
            socket.forget_last(&oldest);
        }
        Ok(())
    }

    fn pass(&self, socket: &XPub, topic: &[u8], value: &[u8]) -> Result<()> {
        match self.limits.age_max {
            None => socket.send_last((topic, value)),
            Some(age) => socket.send_last_for((topic, value), age),
        }
    }

    /// The bound of the book; without one there is none to keep.
    fn bytes_max(&self) -> Option<u64> {
        self.limits.bytes_max.or(self.limits.outlive.then_some(OUTLIVING_BYTES_MAX))
    }

    /// Nobody wants the topic any more.
    pub(crate) fn leave(&self, socket: &XPub, topic: &[u8]) {
        if !self.limits.outlive {
            lock(&self.book).remove(topic);
            socket.forget_last(topic);
        }
    }

    /// The route is gone.
    pub(crate) fn forget_all(&self, socket: &XPub) {
        for (_, topic) in std::mem::take(&mut *lock(&self.book)).turns {
            socket.forget_last(&topic);
        }
    }
}

impl Book {
    fn oldest(&self) -> Option<Arc<[u8]>> {
        self.turns.first_key_value().map(|(_, topic)| topic.clone())
    }

    fn insert(&mut self, topic: Arc<[u8]>, bytes: u64) {
        self.last_turn += 1;
        self.bytes += bytes;
        self.turns.insert(self.last_turn, topic.clone());
        self.entries.insert(topic, Entry { turn: self.last_turn, bytes });
    }

    fn remove(&mut self, topic: &[u8]) {
        if let Some(entry) = self.entries.remove(topic) {
            self.turns.remove(&entry.turn);
            self.bytes -= entry.bytes;
        }
    }
}
