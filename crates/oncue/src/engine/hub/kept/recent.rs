//! Messages that were sent together, and of which the newest of each topic is to be kept.

use std::ops::Range;
use std::sync::Arc;

use oncue_core::frame;

use super::{Keeping, Store};
use crate::engine::hub::outbox::Number;
use crate::engine::wire::chunk::Chunk;
use crate::msg::Msg;

/// They are looked through when there are this many, or when they keep this much memory alive.
const MESSAGES_MAX: u64 = 4096;
const BYTES_MAX: u64 = 1 << 20;

/// Consecutive messages of one chunk.
pub(crate) struct Sent {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) messages: Range<u32>,
    /// The number of the chunk's first message, if it is queued.
    pub(crate) number: Option<Number>,
    /// See [`Keeping::origin`].
    pub(crate) origin: u64,
}

#[derive(Default)]
pub(super) struct Recent {
    sent: Vec<Sent>,
    messages: u64,
    /// The memory that they keep alive. What several of them share is counted for each.
    bytes: u64,
}

impl Store {
    /// Notes messages that were sent.
    pub(crate) fn note(&mut self, sent: Sent) {
        let recent = &mut self.recent;
        recent.messages += u64::from(sent.messages.end - sent.messages.start);
        recent.bytes += sent.chunk.memory() + size_of::<Sent>() as u64;
        recent.sent.push(sent);
        if recent.messages >= MESSAGES_MAX || recent.bytes >= BYTES_MAX.min(self.bytes_max) {
            self.take_in();
        }
    }

    /// Keeps the newest of the messages that were noted, of each topic.
    pub(super) fn take_in(&mut self) {
        if self.recent.sent.is_empty() {
            return;
        }
        let mut recent = std::mem::take(&mut self.recent);
        // The n-th of them, from 1 on, has the n-th stamp from here on.
        let stamps = self.next_stamp - 1;
        let (mut nth, mut topics) = (0, Vec::new());
        for sent in &recent.sent {
            for message in sent.messages.clone() {
                nth += 1;
                match self.place(frame::topic(sent.chunk.message(message))) {
                    Some(id) => {
                        let newest = &mut self.values[id.index()].newest;
                        if *newest == 0 {
                            topics.push(id);
                        }
                        *newest = nth;
                    }
                    None => self.dropped += 1,
                }
            }
        }
        self.next_stamp += nth;
        let ends: Vec<u64> = recent
            .sent
            .iter()
            .scan(0, |end, sent| {
                *end += u64::from(sent.messages.end - sent.messages.start);
                Some(*end)
            })
            .collect();
        for id in topics {
            let nth = std::mem::take(&mut self.values[id.index()].newest);
            let at = ends.partition_point(|end| *end < nth);
            let Sent { chunk, messages, number, origin } = &recent.sent[at];
            let message = messages.end - 1 - (ends[at] - nth) as u32;
            let value = Msg::from_wire(chunk.message(message).to_vec());
            let number = number.map(|(chunk, first)| (chunk, first + message));
            self.put(id, Keeping { origin: *origin, ..Keeping::of(value) }, number, stamps + nth);
        }
        self.make_room();
        recent.sent.clear();
        self.recent.sent = recent.sent;
    }
}
