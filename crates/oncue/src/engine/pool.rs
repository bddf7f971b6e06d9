//! The buffers that shards read into: fetched, filled, handed to the user with what they hold, and fetched again when
//! the last message in them is dropped, on whatever thread.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::peer::READ_BYTES;
use crate::lock;

/// How many buffers are kept.
const KEPT_MAX: usize = 8;

/// The spare buffers of one shard.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

struct Filled {
    buffer: Vec<u8>,
    pool: Pool,
}

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
    pub(crate) fn share(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Filled { buffer, pool: self.clone() })
    }
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_message() {
        let pool = Pool::default();
        let mut buffer = pool.get();
        buffer.extend_from_slice(b"hello");
        let address = buffer.as_ptr();
        let all = pool.share(buffer);
        let part = all.slice(1..3);
        drop(all);
        assert!(lock(&pool.0).is_empty() && part == b"el"[..]);
        drop(part);
        let again = pool.get();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, READ_BYTES));
        pool.put(Vec::with_capacity(7));
        assert!(lock(&pool.0).is_empty());
    }
}
