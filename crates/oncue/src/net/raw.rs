//! Memory for what is read of a stream before it is translated. One thread needs it once.

use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::thread::LocalKey;

use super::Stream;
use crate::buffer::READ_BYTES;

/// Where the memory is, between two reads.
pub(super) type Home = LocalKey<Cell<Vec<u8>>>;

/// What was read: empty at the end of the stream. The memory goes home when this is dropped.
pub(super) struct Raw {
    home: &'static Home,
    memory: Vec<u8>,
    start: usize,
}

impl Raw {
    /// Reads up to `room` bytes of a stream, at most [`READ_BYTES`].
    pub(super) fn read(home: &'static Home, stream: &mut impl Stream, room: usize) -> io::Result<Raw> {
        let mut raw = Raw { home, memory: home.take(), start: 0 };
        if raw.memory.capacity() < READ_BYTES {
            raw.memory.reserve_exact(READ_BYTES - raw.memory.len());
        }
        // The rest of the capacity is what may be read. What lies before it stays as it is: filling it would cost time.
        raw.start = raw.memory.capacity() - room.min(READ_BYTES);
        raw.memory.truncate(raw.start);
        raw.memory.resize(raw.start, 0);
        stream.read(&mut raw.memory)?;
        Ok(raw)
    }
}

impl Deref for Raw {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.home.set(std::mem::take(&mut self.memory));
    }
}
