//! Messages that were sent together, and of which the newest of each topic is to be kept.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::hub::outbox::Number;
use crate::engine::wire::chunk::Chunk;

/// They are looked through when there are this many, or when they keep this much memory alive.
const MESSAGES_MAX: u64 = 4096;
const BYTES_MAX: u64 = 1 << 20;

/// Consecutive messages of one chunk.
pub(crate) struct Sent {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) messages: Range<u32>,
    /// The number of the chunk's first message, if it is queued.
    pub(crate) number: Option<Number>,
    /// Where they came from, a number that their user chose, or 0.
    pub(crate) origin: u64,
}

#[derive(Default)]
pub(super) struct Recent {
    sent: Vec<Sent>,
    messages: u64,
    /// The memory that they keep alive. What several of them share is counted for each.
    bytes: u64,
}

impl Recent {
    /// Adds messages. Returns whether those that are there are many.
    pub(super) fn add(&mut self, sent: Sent, bytes_max: u64) -> bool {
        self.messages += u64::from(sent.messages.end - sent.messages.start);
        self.bytes += sent.chunk.memory() + size_of::<Sent>() as u64;
        self.sent.push(sent);
        self.messages >= MESSAGES_MAX || self.bytes >= BYTES_MAX.min(bytes_max)
    }

    /// All of them; none is left.
    pub(super) fn take(&mut self) -> Vec<Sent> {
        std::mem::take(self).sent
    }
}
