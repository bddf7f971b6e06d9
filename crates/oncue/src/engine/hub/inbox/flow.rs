//! How much of one peer waits for the user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Something that reads peers.
pub(crate) trait Resume: Send + Sync {
    /// The user has made room: reading of this peer goes on.
    fn resume(&self, slot: usize, uid: u64);
}

/// Where messages come from: a dialer or listener of a shard, over all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) shard: u16,
    /// The link's uid.
    pub(crate) link: u64,
}

/// How much of one peer waits for the user. The shard stops reading at the mark.
pub(crate) struct Flow {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    paused: AtomicBool,
    /// That of the socket, which may change.
    messages_max: Arc<AtomicU64>,
    bytes_max: u64,
    pub(crate) source: Source,
    reader: Arc<dyn Resume>,
    slot: usize,
    uid: u64,
}

impl Flow {
    pub(crate) fn new(
        (messages_max, bytes_max): (Arc<AtomicU64>, u64),
        source: Source,
        reader: Arc<dyn Resume>,
        slot: usize,
        uid: u64,
    ) -> Flow {
        let (messages, bytes, paused) = Default::default();
        Flow { messages, bytes, paused, messages_max, bytes_max, source, reader, slot, uid }
    }

    /// How many messages there is room for; 0 if there is no room in bytes.
    pub(crate) fn room(&self) -> u64 {
        match self.bytes.load(Ordering::SeqCst) < self.bytes_max {
            true => {
                let max = self.messages_max.load(Ordering::SeqCst);
                max.saturating_sub(self.messages.load(Ordering::SeqCst))
            }
            false => 0,
        }
    }

    /// Whether the shard must stop reading. If so, reading goes on when the user has made room.
    pub(super) fn pause(&self) -> bool {
        if self.room() > 0 {
            return false;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The user may have made room between the check and the store; then exactly one of the two sides clears the
        // flag.
        self.room() == 0 || !self.paused.swap(false, Ordering::SeqCst)
    }

    pub(super) fn release(&self, messages: u64, bytes: u64) {
        self.messages.fetch_sub(messages, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.resume_if_room();
    }

    /// There may be room: the user has taken something, or the mark has changed.
    pub(crate) fn resume_if_room(&self) {
        if self.room() > 0 && self.paused.swap(false, Ordering::SeqCst) {
            self.resume();
        }
    }

    pub(super) fn resume(&self) {
        self.reader.resume(self.slot, self.uid);
    }
}
