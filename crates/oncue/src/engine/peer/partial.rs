//! Received bytes that are not a complete item yet, and since when they have been coming.

use std::time::Duration;

use crate::buffer::{Pool, READ_BYTES};
use crate::sync::Moment;

/// The slowest rate at which a peer may send an item once its time is over, in bytes a second.
const RATE_MIN: u64 = 4 << 10;

/// What of the received bytes is left for later although it is complete.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// The peer's share of work was used up.
    Items,
    /// It is not read for a while, since it has changed its subscriptions too fast.
    Resting,
}

/// The beginning of an item.
#[derive(Default)]
pub(crate) struct Partial {
    bytes: Vec<u8>,
    /// When its first byte arrived.
    begun: Moment,
    /// How many bytes the item has at least, if that is known.
    need_min: Option<usize>,
    /// How many bytes of it are sealed, and kept elsewhere.
    sealed: usize,
    /// Whether a timer is set that checks it.
    watched: bool,
}

impl Partial {
    /// A buffer that holds what is there and has room to read into.
    pub(crate) fn take(&mut self, pool: &Pool) -> Vec<u8> {
        if self.bytes.len() >= READ_BYTES / 2 {
            // A large item grows in place, by as much as has arrived already, and not beyond what was announced: so it has its
            // buffer for itself, and nothing of the next item is moved.
            let mut buffer = std::mem::take(&mut self.bytes);
            let larger = self.need_min.filter(|&need| need > buffer.capacity());
            if let Some(mut large) = larger.and_then(|need| pool.get_large(need)) {
                // Memory that is there already, and whose pages are: no more is taken for what was only announced.
                large.extend_from_slice(&buffer);
                pool.put(buffer);
                return large;
            }
            let missing = self.need_min.map_or(usize::MAX, |need| need.saturating_sub(buffer.len()));
            buffer.reserve_exact(buffer.len().max(READ_BYTES).min(missing.max(1)));
            return buffer;
        }
        let mut buffer = pool.get();
        buffer.extend_from_slice(&self.bytes);
        self.bytes = Vec::new();
        buffer
    }

    /// Keeps what follows the first `consumed` bytes of a buffer, for the next read.
    pub(crate) fn keep(&mut self, mut buffer: Vec<u8>, consumed: usize, now: Duration, pool: &Pool) {
        if buffer.len() - consumed >= READ_BYTES / 2 {
            buffer.drain(..consumed);
            self.bytes = buffer;
        } else {
            self.bytes = buffer[consumed..].to_vec();
            pool.put(buffer);
        }
        self.date(consumed, now);
    }

    /// Keeps the rest of a buffer whose first `consumed` bytes are complete items.
    pub(crate) fn keep_rest(&mut self, rest: Vec<u8>, consumed: usize, now: Duration) {
        self.bytes = rest;
        self.date(consumed, now);
    }

    fn date(&mut self, consumed: usize, now: Duration) {
        self.begun = match (self.bytes.is_empty(), consumed) {
            (true, 0) if self.sealed > 0 => self.begun,
            (true, _) => Moment::NONE,
            (false, 0) if self.begun.is_some() => self.begun,
            (false, _) => now.into(),
        };
    }

    /// Below what is kept here, this many bytes of a sealed frame wait.
    pub(crate) fn lies_on(&mut self, sealed: usize, now: Duration) {
        self.sealed = sealed;
        if sealed > 0 && !self.begun.is_some() {
            self.begun = now.into();
        }
    }

    /// The scanner has told how many bytes the item has at least.
    pub(crate) fn needs(&mut self, need_min: Option<usize>) {
        self.need_min = need_min;
    }

    /// It was not read for a while; that is not held against the peer.
    pub(crate) fn resume(&mut self, now: Duration) {
        if self.begun.is_some() {
            self.begun = now.into();
        }
    }

    /// When it must be complete; `None` if there is nothing.
    pub(crate) fn due(&self, timeout: Duration) -> Option<Duration> {
        let earned = Duration::from_secs((self.bytes.len() + self.sealed) as u64 / RATE_MIN);
        self.begun.get()?.checked_add(timeout)?.checked_add(earned)
    }

    /// When to check it, unless a timer is set.
    pub(crate) fn watch(&mut self, timeout: Duration) -> Option<Duration> {
        let due = self.due(timeout).filter(|_| !self.watched);
        self.watched |= due.is_some();
        due
    }

    /// The memory that it takes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The timer has fired.
    pub(crate) fn unwatch(&mut self) {
        self.watched = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_item_has_its_time_and_what_its_bytes_earn() {
        let (pool, mut partial) = (Pool::default(), Partial::default());
        assert_eq!(partial.due(30 * SECOND), None);
        partial.keep(vec![1; 10], 0, SECOND, &pool);
        assert_eq!(partial.due(30 * SECOND), Some(31 * SECOND));
        assert_eq!(partial.watch(30 * SECOND), Some(31 * SECOND));
        assert_eq!(partial.watch(30 * SECOND), None);
        // More bytes of the same item earn time; its first byte still counts.
        let mut buffer = partial.take(&pool);
        buffer.extend_from_slice(&[1; 3 << 12]);
        partial.keep(buffer, 0, 20 * SECOND, &pool);
        assert_eq!(partial.due(30 * SECOND), Some(34 * SECOND));
        // The next item begins anew.
        let buffer = partial.take(&pool);
        partial.keep(buffer, 3 << 12, 25 * SECOND, &pool);
        assert_eq!(partial.due(30 * SECOND), Some(55 * SECOND));
        partial.resume(40 * SECOND);
        assert_eq!(partial.due(30 * SECOND), Some(70 * SECOND));
        assert_eq!(partial.due(Duration::MAX), None);
        let buffer = partial.take(&pool);
        partial.keep(buffer, 10, 41 * SECOND, &pool);
        assert_eq!(partial.due(SECOND), None);
    }

    #[test]
    fn a_buffer_is_not_much_larger_than_what_was_sent_nor_than_what_was_announced() {
        let (pool, mut partial) = (Pool::default(), Partial::default());
        let announced = 10 << 20;
        partial.needs(Some(announced));
        let mut sent = 0;
        while sent < announced {
            let mut buffer = partial.take(&pool);
            let room = buffer.capacity() - buffer.len();
            assert!(room > 0 && buffer.capacity() <= 2 * sent.max(READ_BYTES / 2) + READ_BYTES);
            assert!(buffer.capacity() <= announced + READ_BYTES);
            let read = room.min(100_000).min(announced - sent);
            buffer.resize(buffer.len() + read, 7);
            sent += read;
            partial.keep(buffer, 0, SECOND, &pool);
            assert!(sent >= READ_BYTES / 2 || partial.bytes.capacity() == sent);
        }
    }
}
