//! From messages to audiences: each message is matched once, and consecutive messages for one audience become one piece.
//! What an audience gets is gathered when its peers are written to, one audience at a time. It touches no stream.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use oncue_core::frame;
use oncue_core::ledger::{AudienceId, Ledger};
use oncue_core::topic::index::EntryId;
use oncue_core::topic::same;

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
    /// Whether the room of audiences is limited: in messages, as the caller says, and to this number of bytes in one pass.
    limited: bool,
    bytes_max: u64,
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

/// What one pass holds for one audience: a cache line.
#[derive(Default)]
#[repr(align(64))]
struct Parcel {
    /// The pass that it belongs to; older ones are empty.
    pass: u64,
    /// Closed if its peers belong to another shard.
    list: List,
    /// How many messages there may be, and how many bytes until there is another message.
    room: u64,
    bytes_room: u64,
    /// What there is.
    messages: u64,
    bytes: u64,
}

impl Parcel {
    /// It belongs to this pass from now on, with this room in messages and bytes. `None`: its peers belong to another shard.
    fn open(&mut self, pass: u64, rooms: Option<(u64, u64)>) {
        let list = if rooms.is_some() { List::EMPTY } else { List::CLOSED };
        let (room, bytes_room) = rooms.unwrap_or((u64::MAX, u64::MAX));
        *self = Parcel { pass, list, room, bytes_room, ..Parcel::default() };
    }
}

/// A position among the messages of a batch: the next one to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: usize,
    pub(crate) message: u32,
}

impl Fanout {
    pub(crate) fn new(shard: u16) -> Fanout {
        Fanout { shard, blocks_max: BLOCKS_MAX, ..Fanout::default() }
    }

    /// Matches the messages from `place` on, until the memory of a pass is used up. Returns the place of the first message
    /// that is not matched; `chunks.len()` when all are.
    pub(crate) fn route(&mut self, ledger: &Ledger, chunks: &[Arc<Chunk>], place: Place) -> Place {
        self.limited = false;
        self.route_all(ledger, chunks, place, |_| u64::MAX)
    }

    /// As [`route`](Self::route), up to the first message that an audience has no `room` for, which is asked once per
    /// audience. The pass adds no message for an audience that already has `bytes_max`.
    pub(crate) fn route_limited(
        &mut self,
        ledger: &Ledger,
        chunks: &[Arc<Chunk>],
        place: Place,
        bytes_max: u64,
        room: impl FnMut(AudienceId) -> u64,
    ) -> Place {
        (self.limited, self.bytes_max) = (true, bytes_max);
        self.route_all(ledger, chunks, place, room)
    }

    fn route_all(
        &mut self,
        ledger: &Ledger,
        chunks: &[Arc<Chunk>],
        mut place: Place,
        mut room: impl FnMut(AudienceId) -> u64,
    ) -> Place {
        self.routed.begin(place.chunk, ledger.audiences_end() as usize);
        let mut start = 1u32;
        while place.chunk < chunks.len() {
            let chunk = &chunks[place.chunk];
            let Some(next) = chunk.len().checked_add(1).and_then(|len| start.checked_add(len)) else { break };
            self.routed.starts.push(start);
            place.message = self.route_chunk(ledger, chunk, place.message, start, &mut room);
            if place.message < chunk.len() {
                break;
            }
            place = Place { chunk: place.chunk + 1, message: 0 };
            start = next;
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
        let decisive = ledger.decisive();
        let head = |message| decisive.of(frame::topic(chunk.message(message)));
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
        ledger.audiences_of(&self.entries, &mut self.hits);
        while first < chunk.len() {
            let mut last = first + 1;
            let mut others = false;
            if decisive.is_nothing() {
                last = chunk.len();
            }
            while last < chunk.len() {
                let next = head(last);
                if !same(next, known) {
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
                ledger.audiences_of(&self.entries, &mut self.hits);
            }
        }
        first
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
        // Each audience takes one block at most.
        let blocks = self.routed.pieces.blocks();
        if blocks > 0 && blocks + self.hits.len() > self.blocks_max {
            return messages.start;
        }
        let last = match self.limited {
            true => messages.start + self.room_for(ledger, chunk, &messages, room) as u32,
            false => messages.end,
        };
        if last == messages.start {
            return last;
        }
        let (at, end) = (chunk.start(messages.start), chunk.start(last));
        let piece = Piece::new(start + messages.start..start + last, at..end);
        let (count, bytes) = (u64::from(last - messages.start), u64::from(end - at));
        let Fanout { hits, routed, shard, .. } = self;
        let Routed { pass, parcels, touched, pieces, .. } = routed;
        for &id in &*hits {
            let parcel = &mut parcels[id.index()];
            if parcel.pass != *pass {
                let ours = ledger.shard_of(id) == *shard;
                parcel.open(*pass, ours.then_some((u64::MAX, u64::MAX)));
                touched.extend(ours.then_some(id));
            }
            // An audience comes once for each of its prefixes that match.
            if pieces.add(&mut parcel.list, piece) {
                parcel.messages += count;
                parcel.bytes += bytes;
            }
        }
        last
    }

    /// How many of these messages all audiences that were found have room for.
    fn room_for(
        &mut self,
        ledger: &Ledger,
        chunk: &Chunk,
        messages: &Range<u32>,
        room: &mut impl FnMut(AudienceId) -> u64,
    ) -> u64 {
        let mut count = u64::from(messages.end - messages.start);
        let bytes = u64::from(chunk.start(messages.end) - chunk.start(messages.start));
        let Fanout { hits, routed, bytes_max, shard, .. } = self;
        let Routed { pass, parcels, touched, .. } = routed;
        for &id in &*hits {
            let parcel = &mut parcels[id.index()];
            if parcel.pass != *pass {
                let ours = ledger.shard_of(id) == *shard;
                parcel.open(*pass, ours.then(|| (room(id), *bytes_max)));
                touched.extend(ours.then_some(id));
            }
            let (room, bytes_room) =
                (parcel.room - parcel.messages, parcel.bytes_room.saturating_sub(parcel.bytes));
            if count > room || bytes > bytes_room {
                // The message that reaches the limit in bytes is the last one.
                count = count.min(room).min(chunk.reaching(messages.start, bytes_room));
            }
        }
        count
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
        gather.add(&chunks[self.first_chunk..], &self.starts, self.pieces.of(parcel.list));
        gather.finish()
    }
}
