//! Shared buffers, and stocks of empty ones to be reused. Nothing here knows what the bytes mean.

use std::sync::Arc;

use crate::sync::QuickLock;

/// The size of the buffers that shards read into.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Larger buffers than this are not reused.
const LARGE_BYTES_MAX: usize = 8 << 20;

/// The most that a stock keeps.
const KEPT_BYTES_MAX: usize = 16 << 20;
const KEPT_MAX: usize = 4096;
/// After how many takes half of what was not needed meanwhile is freed.
const LOOK_INTERVAL: u32 = 1024;

/// Something whose memory can be reused.
pub(crate) trait Reusable {
    /// Empties it.
    fn clear(&mut self);

    /// The memory that it holds.
    fn bytes(&self) -> usize;
}

impl<T> Reusable for Vec<T> {
    fn clear(&mut self) {
        self.clear();
    }

    fn bytes(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<A: Reusable, B: Reusable> Reusable for (A, B) {
    fn clear(&mut self) {
        self.0.clear();
        self.1.clear();
    }

    fn bytes(&self) -> usize {
        self.0.bytes() + self.1.bytes()
    }
}

/// Empty buffers to be filled again: fresh memory from the system costs as much as copying into it. Cheap to clone; all
/// clones are one stock.
pub(crate) struct Stock<T>(Arc<QuickLock<Kept<T>>>);

struct Kept<T> {
    /// The one emptied last is at the end: it is probably still in a cache.
    items: Vec<T>,
    bytes: usize,
    /// How many were taken since the last check, and the fewest that were left meanwhile.
    taken: u32,
    fewest: usize,
}

impl<T> Default for Stock<T> {
    fn default() -> Stock<T> {
        Stock(Arc::new(QuickLock::new(Kept { items: Vec::new(), bytes: 0, taken: 0, fewest: 0 })))
    }
}

impl<T> Clone for Stock<T> {
    fn clone(&self) -> Stock<T> {
        Stock(self.0.clone())
    }
}

impl<T: Reusable> Stock<T> {
    /// Takes one, if there is any.
    pub(crate) fn take(&self) -> Option<T> {
        let mut kept = self.0.lock();
        let item = kept.items.pop();
        kept.bytes -= item.as_ref().map_or(0, T::bytes);
        kept.taken += 1;
        kept.fewest = kept.fewest.min(kept.items.len());
        if kept.taken < LOOK_INTERVAL {
            return item;
        }
        let needless = kept.fewest.div_ceil(2);
        let surplus: Vec<_> = kept.items.drain(..needless).collect();
        kept.bytes -= surplus.iter().map(T::bytes).sum::<usize>();
        (kept.taken, kept.fewest) = (0, kept.items.len());
        drop(kept);
        item
    }

    /// Empties one and keeps it, if there is room for it.
    pub(crate) fn put(&self, mut item: T) {
        item.clear();
        let bytes = item.bytes();
        let mut kept = self.0.lock();
        if bytes > 0 && kept.bytes + bytes <= KEPT_BYTES_MAX && kept.items.len() < KEPT_MAX {
            kept.bytes += bytes;
            kept.items.push(item);
        }
    }
}

/// Bytes that do not change any more. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Buffer(Arc<Filled>);

struct Filled {
    bytes: Vec<u8>,
    /// Where the allocation goes with the last reference.
    home: Option<Pool>,
}

/// The spare buffers of one shard, or of what a socket's users send: taken, filled, shared with what they hold, and returned
/// when the last message in them is dropped, on any thread.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    /// Of the size that is read into.
    read: Stock<Vec<u8>>,
    /// Larger ones, for one large message each.
    large: Stock<Vec<u8>>,
}

impl Pool {
    /// An empty buffer with room for [`READ_BYTES`].
    pub(crate) fn get(&self) -> Vec<u8> {
        self.read.take().unwrap_or_else(|| Vec::with_capacity(READ_BYTES))
    }

    /// An empty buffer with room for at least this many bytes, if a spare one has it. One that is too small is freed.
    pub(crate) fn get_large(&self, bytes: usize) -> Option<Vec<u8>> {
        self.large.take().filter(|buffer| buffer.capacity() >= bytes)
    }

    /// Takes a buffer back; one that is smaller than those that are read into, or very large, is freed.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        match buffer.capacity() {
            READ_BYTES => self.read.put(buffer),
            capacity if (READ_BYTES..=LARGE_BYTES_MAX).contains(&capacity) => self.large.put(buffer),
            _ => {}
        }
    }

    /// Shares what a buffer holds; it returns here with the last reference.
    pub(crate) fn share(&self, bytes: Vec<u8>) -> Buffer {
        Buffer(Arc::new(Filled { bytes, home: Some(self.clone()) }))
    }
}

impl Buffer {
    /// The memory that it keeps alive, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.0.bytes.capacity()
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer(Arc::new(Filled { bytes, home: None }))
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_message() {
        let pool = Pool::default();
        let mut bytes = pool.get();
        bytes.extend_from_slice(b"hello");
        let address = bytes.as_ptr();
        let all = pool.share(bytes);
        let part = all.clone();
        drop(all);
        assert!(pool.read.0.lock().items.is_empty() && part[..] == b"hello"[..]);
        drop(part);
        let again = pool.get();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, READ_BYTES));
        pool.put(Vec::with_capacity(7));
        pool.put(Vec::with_capacity(LARGE_BYTES_MAX + 1));
        assert!(pool.get_large(1).is_none());
        pool.put(Vec::with_capacity(LARGE_BYTES_MAX));
        assert!(pool.get_large(LARGE_BYTES_MAX).is_some_and(|buffer| buffer.is_empty()));
        pool.put(Vec::with_capacity(READ_BYTES + 1));
        assert!(pool.get_large(READ_BYTES + 2).is_none(), "too small");
        assert!(pool.get_large(1).is_none(), "and freed");
        assert!(pool.read.0.lock().items.is_empty());
    }

    #[test]
    fn a_stock_is_bounded_and_frees_what_is_not_needed() {
        let stock = Stock::default();
        let count = || stock.0.lock().items.len();
        let bytes = || {
            let kept = stock.0.lock();
            assert_eq!(kept.bytes, kept.items.iter().map(Vec::capacity).sum::<usize>());
            kept.bytes
        };
        for _ in 0..100 {
            stock.put(Vec::<u8>::with_capacity(READ_BYTES));
        }
        assert_eq!((count(), bytes()), (64, KEPT_BYTES_MAX));
        // Two are in use at a time; half of the others are freed at each check.
        let mut left = vec![];
        for round in 0..5 * LOOK_INTERVAL {
            let two = [stock.take().unwrap(), stock.take().unwrap()];
            two.into_iter().for_each(|buffer| stock.put(buffer));
            if round % LOOK_INTERVAL == 0 {
                left.push(count());
            }
        }
        assert!(left.is_sorted_by(|a, b| a > b) && count() < 8, "{left:?}");
        let before = bytes();
        stock.put(Vec::new());
        assert_eq!(bytes(), before);
    }
}
