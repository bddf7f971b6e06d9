//! From messages to audiences: each message is matched once, and consecutive messages for one audience become one run.
//! It touches no stream.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use oncue_core::frame;
use oncue_core::ledger::{AudienceId, Ledger};

use crate::engine::wire::chunk::{Chunk, Run};
use crate::engine::wire::gather::Gather;

/// How many messages are prefetched together.
const WARM_MESSAGES: u32 = 16;

/// The runs of one batch, per audience of one shard.
#[derive(Default)]
pub(crate) struct Fanout {
    shard: u16,
    /// By audience id.
    parcels: Vec<Parcel>,
    /// The audiences that the batch reaches.
    touched: Vec<AudienceId>,
    /// The audiences of a message, and those of the next message that has others.
    hits: Vec<AudienceId>,
    next_hits: Vec<AudienceId>,
    batch: u64,
    /// An audience with this many bytes of one batch gets no more of it.
    pub(crate) bytes_max: u64,
}

/// What one batch holds for one audience.
#[derive(Default)]
struct Parcel {
    /// The batch that it belongs to; older ones are empty.
    batch: u64,
    /// Messages that may still be added, and the bytes added so far.
    room: u64,
    bytes: u64,
    gather: Gather,
    /// Consecutive messages of `chunk` that are not gathered yet.
    open: Range<u32>,
    chunk: u32,
}

/// A position among the messages of a batch: the next one to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: usize,
    pub(crate) message: u32,
}

impl Fanout {
    pub(crate) fn new(shard: u16) -> Fanout {
        Fanout { shard, bytes_max: u64::MAX, ..Fanout::default() }
    }

    /// Matches the messages from `place` on, up to the first one that an audience has no `room` for (asked once per
    /// audience). Returns that message's place; `chunks.len()` when all are matched.
    pub(crate) fn route(
        &mut self,
        ledger: &Ledger,
        chunks: &[Arc<Chunk>],
        mut place: Place,
        mut room: impl FnMut(AudienceId) -> u64,
    ) -> Place {
        self.batch += 1;
        self.touched.clear();
        let end = ledger.audiences_end() as usize;
        if self.parcels.len() < end {
            self.parcels.resize_with(end, Parcel::default);
        }
        while place.chunk < chunks.len() {
            let chunk = &chunks[place.chunk];
            place.message = self.route_chunk(ledger, chunks, place, &mut room);
            if place.message < chunk.len() {
                break;
            }
            place = Place { chunk: place.chunk + 1, message: 0 };
        }
        for &id in &self.touched {
            self.parcels[id.index()].close(chunks);
        }
        place
    }

    /// Matches the rest of one chunk. Returns the first message that was not added. The cost of a message is one
    /// comparison of the beginning of its topic with the previous topic's; only a message for other audiences costs
    /// more.
    fn route_chunk(
        &mut self,
        ledger: &Ledger,
        chunks: &[Arc<Chunk>],
        place: Place,
        room: &mut impl FnMut(AudienceId) -> u64,
    ) -> u32 {
        let (chunk, decisive) = (&chunks[place.chunk], ledger.longest_prefix_bytes());
        let head = |message| {
            let topic = frame::topic(chunk.message(message));
            &topic[..topic.len().min(decisive)]
        };
        let (mut hits, mut next_hits) = (std::mem::take(&mut self.hits), std::mem::take(&mut self.next_hits));
        let mut warm_until = if ledger.is_large() { place.message } else { u32::MAX };
        let mut warm = |message| {
            if message >= warm_until {
                warm_until = chunk.len().min(message + WARM_MESSAGES);
                ledger.warm((message..warm_until).map(head));
            }
        };
        let mut first = place.message;
        let mut known = head(first);
        warm(first);
        find(ledger, self.shard, known, &mut hits);
        while first < chunk.len() {
            let mut last = first + 1;
            let mut others = false;
            if decisive == 0 {
                last = chunk.len();
            }
            while last < chunk.len() {
                let next = head(last);
                if next != known {
                    known = next;
                    warm(last);
                    find(ledger, self.shard, known, &mut next_hits);
                    others = next_hits != hits;
                    if others {
                        break;
                    }
                }
                last += 1;
            }
            let added = self.add(&hits, chunks, Place { chunk: place.chunk, message: first }, last, room);
            first = added;
            if added < last {
                break;
            }
            if others {
                std::mem::swap(&mut hits, &mut next_hits);
            }
        }
        (self.hits, self.next_hits) = (hits, next_hits);
        first
    }

    /// The audiences of a topic that this shard serves, each once.
    pub(crate) fn audiences(&mut self, ledger: &Ledger, topic: &[u8]) -> &[AudienceId] {
        find(ledger, self.shard, topic, &mut self.hits);
        &self.hits
    }

    /// Adds messages up to `last` for these audiences. Returns the first one that was not added.
    fn add(
        &mut self,
        hits: &[AudienceId],
        chunks: &[Arc<Chunk>],
        place: Place,
        last: u32,
        room: &mut impl FnMut(AudienceId) -> u64,
    ) -> u32 {
        let chunk = &chunks[place.chunk];
        let mut count = u64::from(last - place.message);
        for &id in hits {
            let parcel = &mut self.parcels[id.index()];
            if parcel.batch != self.batch {
                *parcel = Parcel { batch: self.batch, room: room(id), ..Parcel::default() };
                self.touched.push(id);
            }
            // The message that reaches the limit is the last one.
            let bytes = self.bytes_max.saturating_sub(parcel.bytes);
            count = count.min(parcel.room).min(chunk.reaching(place.message, bytes));
        }
        let last = place.message + count as u32;
        if count > 0 {
            for &id in hits {
                self.parcels[id.index()].add(chunks, place.chunk as u32, place.message..last);
            }
        }
        last
    }

    /// The audiences that the batch reaches, with their runs; nothing is left behind.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (AudienceId, Vec<Run>)> {
        let parcels = &mut self.parcels;
        self.touched.drain(..).map(|id| (id, parcels[id.index()].gather.finish()))
    }
}

/// Puts the audiences of a topic that a shard serves into `hits`, each once.
fn find(ledger: &Ledger, shard: u16, topic: &[u8], hits: &mut Vec<AudienceId>) {
    hits.clear();
    ledger.for_each_audience(topic, |audience| {
        if ledger.shard_of(audience) == shard {
            hits.push(audience);
        }
    });
    if hits.len() > 1 {
        hits.sort_unstable();
        hits.dedup();
    }
}

impl Parcel {
    fn add(&mut self, chunks: &[Arc<Chunk>], chunk: u32, messages: Range<u32>) {
        self.room -= u64::from(messages.end - messages.start);
        let sent = &chunks[chunk as usize];
        self.bytes += u64::from(sent.start(messages.end) - sent.start(messages.start));
        if self.chunk == chunk && self.open.end == messages.start {
            self.open.end = messages.end;
        } else {
            self.close(chunks);
            self.chunk = chunk;
            self.open = messages;
        }
    }

    /// Gathers the open messages.
    fn close(&mut self, chunks: &[Arc<Chunk>]) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.gather.add(&chunks[self.chunk as usize], open);
        }
    }
}
