//! Buffers that many refer to, and the pool that those come from which are read into. Nothing here knows what the bytes
//! mean.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The size of the buffers that shards read into.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// How many buffers a pool keeps.
const KEPT_MAX: usize = 8;

/// Bytes that do not change any more. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Buffer(Arc<Filled>);

struct Filled {
    bytes: Vec<u8>,
    /// Where the allocation goes when nobody refers to it any more.
    home: Option<Pool>,
}

/// The spare buffers of one shard: fetched, filled, handed to the user with what they hold, and fetched again when the
/// last message in them is dropped, on whatever thread.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// An empty buffer with room for [`READ_BYTES`].
    pub(crate) fn get(&self) -> Vec<u8> {
        lock(&self.0).pop().unwrap_or_else(|| Vec::with_capacity(READ_BYTES))
    }

    /// Takes a buffer back; one of an unusual size goes.
    pub(crate) fn put(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() != READ_BYTES {
            return;
        }
        buffer.clear();
        let mut spares = lock(&self.0);
        if spares.len() < KEPT_MAX {
            spares.push(buffer);
        }
    }

    /// Shares what a buffer holds; it comes back by itself.
    pub(crate) fn share(&self, bytes: Vec<u8>) -> Buffer {
        Buffer(Arc::new(Filled { bytes, home: Some(self.clone()) }))
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
        assert!(lock(&pool.0).is_empty() && part[..] == b"hello"[..]);
        drop(part);
        let again = pool.get();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, READ_BYTES));
        pool.put(Vec::with_capacity(7));
        assert!(lock(&pool.0).is_empty());
    }
}
