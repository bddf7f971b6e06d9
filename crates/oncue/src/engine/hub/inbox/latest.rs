//! The newest message of each topic, for a user that takes fewer than arrive.

use std::collections::{BTreeMap, HashMap};

use oncue_core::frame;

use super::flow::Source;
use crate::buffer::{Buffer, READ_BYTES};

/// What a waiting message takes besides its topic and its bytes, in bytes.
const MESSAGE_OVERHEAD_BYTES: u64 = 128;
/// How many messages are taken in under one lock.
pub(super) const MESSAGES_AT_A_TIME: usize = 256;

/// What may wait. Beyond it the topic that has waited longest is dropped.
#[derive(Clone, Copy)]
pub(crate) struct LatestBound {
    pub(crate) topics_max: u64,
    pub(crate) bytes_max: u64,
}

/// The newest message of each topic, in the order in which the topics began to wait. A newer message takes the place
/// of the older one, so that a busy topic does not push back the others.
pub(crate) struct Latest {
    waiting: BTreeMap<u64, Entry>,
    by_topic: HashMap<Box<[u8]>, u64>,
    next: u64,
    bytes: u64,
    pub(super) bound: LatestBound,
}

pub(super) struct Entry {
    wire: Vec<u8>,
    source: Source,
}

impl Entry {
    fn topic(&self) -> &[u8] {
        topic(&self.wire, (0, self.wire.len() as u32))
    }

    fn cost(&self) -> u64 {
        (self.wire.capacity() + self.topic().len()) as u64 + MESSAGE_OVERHEAD_BYTES
    }
}

impl Latest {
    pub(crate) fn new(bound: LatestBound) -> Latest {
        let (waiting, by_topic, next, bytes) = Default::default();
        Latest { waiting, by_topic, next, bytes, bound }
    }

    /// Takes a message in. Returns whether it replaced one.
    pub(super) fn put(&mut self, wire: &[u8], source: Source) -> bool {
        let topic = topic(wire, (0, wire.len() as u32));
        let known = self.by_topic.get(topic).and_then(|number| self.waiting.get_mut(number));
        if let Some(entry) = known {
            self.bytes -= entry.cost();
            // The allocation is reused unless more than half of it would be idle.
            if (wire.len()..=2 * wire.len()).contains(&entry.wire.capacity()) {
                entry.wire.clear();
                entry.wire.extend_from_slice(wire);
            } else {
                entry.wire = wire.to_vec();
            }
            entry.source = source;
            self.bytes += entry.cost();
            return true;
        }
        let entry = Entry { wire: wire.to_vec(), source };
        self.bytes += entry.cost();
        self.by_topic.insert(topic.into(), self.next);
        self.waiting.insert(self.next, entry);
        self.next += 1;
        false
    }

    /// Whether more waits than the bound allows. A single message may have any size.
    pub(super) fn is_over(&self) -> bool {
        let Latest { waiting, bytes, bound, .. } = self;
        waiting.len() > 1 && (waiting.len() as u64 > bound.topics_max || *bytes > bound.bytes_max)
    }

    /// Removes the topic that has waited longest.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let (_, entry) = self.waiting.pop_first()?;
        self.by_topic.remove(entry.topic());
        self.bytes -= entry.cost();
        if self.waiting.is_empty() {
            self.by_topic.shrink_to(MESSAGES_AT_A_TIME);
        }
        Some(entry)
    }

    /// The next message, or the next messages together.
    pub(crate) fn take(&mut self, many: bool) -> Option<(Buffer, Vec<(u32, u32)>)> {
        let mut bytes = self.pop()?.wire;
        let mut spans = vec![(0, bytes.len() as u32)];
        while many && bytes.len() < READ_BYTES {
            let Some(entry) = self.pop() else { break };
            let start = bytes.len() as u32;
            bytes.extend_from_slice(&entry.wire);
            spans.push((start, bytes.len() as u32));
        }
        Some((bytes.into(), spans))
    }

    /// Keeps the messages for which `keep` is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&[u8], Source) -> bool) {
        let Latest { waiting, by_topic, bytes, .. } = self;
        waiting.retain(|_, entry| {
            let stays = keep(entry.topic(), entry.source);
            if !stays {
                *bytes -= entry.cost();
                by_topic.remove(entry.topic());
            }
            stays
        });
    }
}

/// The topic of the message at this span.
pub(super) fn topic(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    frame::topic(&bytes[start as usize..end as usize])
}
