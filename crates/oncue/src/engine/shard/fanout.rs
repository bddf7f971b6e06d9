//! From messages to audiences: each message is matched once, and consecutive messages for one audience become one piece.
//! What an audience gets is gathered when its peers are written to, one audience at a time. It touches no stream.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use oncue_core::frame;
use oncue_core::ledger::{AudienceId, Ledger};
use oncue_core::topic::index::EntryId;

use crate::engine::wire::chunk::{Chunk, Run};
use crate::engine::wire::gather::Gather;
use crate::engine::wire::pieces::{BLOCKS_MAX, List, Piece, Pieces};

/// How many messages are prefetched together.
const WARM_MESSAGES: u32 = 16;

/// Matches the messages of a batch, one pass at a time.
#[derive(Default)]
pub(crate) struct Fanout {
    shard: u16,
    /// The audiences of a message; one may be there several times.
    hits: Vec<AudienceId>,
    /// The entries of the ledger that decide them, and those of the next message that has others.
    entries: Vec<EntryId>,
    next_entries: Vec<EntryId>,
    /// An audience with this many bytes of one pass gets no more of it.
    pub(crate) bytes_max: u64,
    /// A pass ends when this many blocks of pieces are in use, unless one message alone needs more.
    blocks_max: usize,
    routed: Routed,
}

/// What one pass has for each audience of one shard.
#[derive(Default)]
pub(crate) struct Routed {
    /// The number of the pass.
    pass: u64,
    /// By audience id.
    parcels: Vec<Parcel>,
    /// The audiences that the pass reaches.
    touched: Vec<AudienceId>,
    pieces: Pieces,
    /// The chunk where the pass began, and by chunk from there on, the number of its first message.
    first_chunk: usize,
    starts: Vec<u32>,
}

/// What one pass holds for one audience.
#[derive(Default)]
struct Parcel {
    /// The pass that it belongs to; older ones are empty.
    pass: u64,
    /// Its peers belong to another shard.
    foreign: bool,
    /// The number of the message behind its last one.
    until: u32,
    list: List,
    /// How many messages may be added in all, and those that are, with their bytes.
    room: u64,
    messages: u64,
    bytes: u64,
}

/// A position among the messages of a batch: the next one to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: usize,
    pub(crate) message: u32,
}

impl Fanout {
    pub(crate) fn new(shard: u16) -> Fanout {
        Fanout { shard, bytes_max: u64::MAX, blocks_max: BLOCKS_MAX, ..Fanout::default() }
    }

    /// Matches the messages from `place` on, up to the first one that an audience has no `room` for (asked once per
    /// audience), or that there is no memory for in this pass. Returns that message's place; `chunks.len()` when all are
    /// matched.
    pub(crate) fn route(
        &mut self,
        ledger: &Ledger,
        chunks: &[Arc<Chunk>],
        mut place: Place,
        mut room: impl FnMut(AudienceId) -> u64,
    ) -> Place {
        self.routed.begin(place.chunk, ledger.audiences_end() as usize);
        let mut start = 0u32;
        while place.chunk < chunks.len() {
            let chunk = &chunks[place.chunk];
            let Some(end) = start.checked_add(chunk.len()) else { break };
            self.routed.starts.push(start);
            place.message = self.route_chunk(ledger, chunk, place.message, start, &mut room);
            if place.message < chunk.len() {
                break;
            }
            place = Place { chunk: place.chunk + 1, message: 0 };
            start = end;
        }
        place
    }

    /// Matches the rest of one chunk, whose first message has number `start`. Returns the first message that was not
    /// added. The cost of a message is one comparison of the beginning of its topic with the previous topic's; a look at
    /// the prefixes in force if that differs; and only if others match, one look at each audience.
    fn route_chunk(
        &mut self,
        ledger: &Ledger,
        chunk: &Chunk,
        mut first: u32,
        start: u32,
        room: &mut impl FnMut(AudienceId) -> u64,
    ) -> u32 {
        let decisive = ledger.longest_prefix_bytes();
        let head = |message| {
            let topic = frame::topic(chunk.message(message));
            &topic[..topic.len().min(decisive)]
        };
        let mut warm_until = if ledger.is_large() { first } else { u32::MAX };
        let mut warm = |message| {
            if message >= warm_until {
                warm_until = chunk.len().min(message + WARM_MESSAGES);
                ledger.warm((message..warm_until).map(head));
            }
        };
        let mut known = head(first);
        warm(first);
        ledger.match_entries(known, &mut self.entries);
        self.find(ledger);
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
                    ledger.match_entries(known, &mut self.next_entries);
                    others = self.next_entries != self.entries;
                    if others {
                        break;
                    }
                }
                last += 1;
            }
            let added = self.add(ledger, chunk, first..last, start, room);
            first = added;
            if added < last {
                break;
            }
            if others {
                std::mem::swap(&mut self.entries, &mut self.next_entries);
                self.find(ledger);
            }
        }
        first
    }

    /// Finds the audiences of what matches these entries.
    fn find(&mut self, ledger: &Ledger) {
        let Fanout { hits, entries, .. } = self;
        hits.clear();
        ledger.for_each_audience_of(entries, |audience| hits.push(audience));
    }

    /// The audiences of a topic that this shard serves, each once.
    pub(crate) fn audiences(&mut self, ledger: &Ledger, topic: &[u8]) -> &[AudienceId] {
        let Fanout { hits, shard, .. } = self;
        hits.clear();
        ledger.for_each_audience(topic, |audience| {
            if ledger.shard_of(audience) == *shard {
                hits.push(audience);
            }
        });
        if hits.len() > 1 {
            hits.sort_unstable();
            hits.dedup();
        }
        hits
    }

    /// Adds messages of a chunk for the audiences that were found. Returns the first one that was not added.
    fn add(
        &mut self,
        ledger: &Ledger,
        chunk: &Chunk,
        messages: Range<u32>,
        start: u32,
        room: &mut impl FnMut(AudienceId) -> u64,
    ) -> u32 {
        let Fanout { hits, routed, bytes_max, blocks_max, shard, .. } = self;
        let Routed { pass, parcels, touched, pieces, .. } = routed;
        // Each audience takes one block at most.
        if pieces.blocks() > 0 && pieces.blocks() + hits.len() > *blocks_max {
            return messages.start;
        }
        let size = |last| u64::from(chunk.start(last) - chunk.start(messages.start));
        let (mut count, mut bytes) = (u64::from(messages.end - messages.start), size(messages.end));
        for &id in &*hits {
            let parcel = &mut parcels[id.index()];
            if parcel.pass != *pass {
                let foreign = ledger.shard_of(id) != *shard;
                let room = if foreign { u64::MAX } else { room(id) };
                *parcel = Parcel { pass: *pass, foreign, room, ..Parcel::default() };
                if !foreign {
                    touched.push(id);
                }
            }
            if parcel.foreign {
                continue;
            }
            count = count.min(parcel.room - parcel.messages);
            // The message that reaches the limit is the last one.
            let left = bytes_max.saturating_sub(parcel.bytes);
            if bytes >= left {
                count = count.min(chunk.reaching(messages.start, left));
            }
        }
        let last = messages.start + count as u32;
        if last < messages.end {
            bytes = size(last);
        }
        if count > 0 {
            let piece = Piece { first: start + messages.start, last: start + last };
            for &id in &*hits {
                let parcel = &mut parcels[id.index()];
                // An audience comes once for each of its prefixes that match.
                if parcel.foreign || parcel.until == piece.last {
                    continue;
                }
                parcel.until = piece.last;
                parcel.messages += count;
                parcel.bytes += bytes;
                pieces.add(&mut parcel.list, piece);
            }
        }
        last
    }

    /// What the last pass has routed. To be given [`back`](Self::put_back), since its memory is used again.
    pub(crate) fn take(&mut self) -> Routed {
        std::mem::take(&mut self.routed)
    }

    /// Takes back what [`take`](Self::take) returned.
    pub(crate) fn put_back(&mut self, mut routed: Routed) {
        // A pass may have been made meanwhile.
        routed.pass = routed.pass.max(self.routed.pass);
        self.routed = routed;
    }
}

impl Routed {
    /// Begins a pass.
    fn begin(&mut self, first_chunk: usize, audiences: usize) {
        self.pass += 1;
        self.touched.clear();
        self.pieces.clear();
        self.starts.clear();
        self.first_chunk = first_chunk;
        if self.parcels.len() < audiences {
            self.parcels.resize_with(audiences, Parcel::default);
        }
    }

    /// The audiences that the pass reaches.
    pub(crate) fn touched(&self) -> &[AudienceId] {
        &self.touched
    }

    /// How many messages an audience gets.
    pub(crate) fn messages(&self, audience: AudienceId) -> u64 {
        self.parcels[audience.index()].messages
    }

    /// What an audience gets of these chunks, which are those of the pass.
    pub(crate) fn runs(&self, audience: AudienceId, chunks: &[Arc<Chunk>], gather: &mut Gather) -> Vec<Run> {
        let parcel = &self.parcels[audience.index()];
        gather.expect(parcel.bytes, parcel.messages);
        let mut at = 0;
        for mut piece in self.pieces.of(parcel.list) {
            while piece.first < piece.last {
                while self.starts.get(at + 1).is_some_and(|&next| next <= piece.first) {
                    at += 1;
                }
                let (chunk, start) = (&chunks[self.first_chunk + at], self.starts[at]);
                let last = piece.last.min(start + chunk.len());
                gather.add(chunk, piece.first - start..last - start);
                piece.first = last;
            }
        }
        gather.finish()
    }
}
