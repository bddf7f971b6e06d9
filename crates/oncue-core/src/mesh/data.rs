//! The wire format of values on their way to a site: batches of one stream. Which site, and what it wants, is not known here.
//!
//! A *stream* is what a process sends to one other site from the moment that it knows it until it gives it up. Each message,
//! and each state of a topic, has the next number of its stream, from 1 on, so that the receiver can tell what was lost and what
//! has come again ([`Stream`](super::Stream)).
//!
//! | batch | |
//! |---|---|
//! | version, `u8` | 1 |
//! | kind, `u8` | 4 |
//! | stream, `u64` | greater than that of each earlier stream of this name to this site: the epoch, plus the number of streams that the process has begun |
//! | first, `u64` | the number of the first message or state in the batch |
//! | missed, `u64` | messages of this stream that the receiver has missed before they had a number, up to this batch: its queue was full |
//! | earlier, 3 `u64` | the stream to this site before this one, if the same process had one: its number, the number after its last message, and what it had missed; zeros otherwise |
//! | items, to the end | |
//!
//! | item of messages | |
//! |---|---|
//! | kind, `u8` | 0 |
//! | count, `u32` | messages, at least 1 |
//! | length, `u64` | of the bytes that follow |
//! | messages | in ZMTP's encoding ([`frame`]), without commands |
//!
//! | item of a state | |
//! |---|---|
//! | kind, `u8` | 1 |
//! | state, `u8` | [`State::number`]; numbers that are not known are to be ignored |
//! | length of the text, `u8` | |
//! | length of the topic, `u16` | |
//! | topic, text | |
//!
//! All numbers are big-endian. A batch refers to the payload; no message is copied.

use alloc::vec::Vec;
use core::ops::Range;

use super::codec::{BATCH, Reader, VERSION};
use super::error::Malformed;
use crate::command::{STATE_TEXT_BYTES_MAX, STATE_TOPIC_BYTES_MAX, State, StateNews};
use crate::frame;

const MESSAGES: u8 = 0;
const STATE: u8 = 1;
const HEADER_BYTES: usize = 50;
const RUN_HEADER_BYTES: usize = 1 + 4 + 8;

/// What a batch says of itself, and how many items it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The stream.
    pub stream: u64,
    /// The number of the first message or state.
    pub first: u64,
    /// How many messages of the stream were missed before they had a number.
    pub missed: u64,
    /// The stream before this one, so that what was lost at its end can be counted; zeros if there was none.
    pub earlier: Ended,
    /// How many messages and states the batch has.
    pub count: u64,
}

/// How far a stream has come that has ended, or has come so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The stream.
    pub stream: u64,
    /// The number after its last message or state.
    pub next: u64,
    /// What was missed of it before it had a number.
    pub missed: u64,
}

/// A batch as received.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// What it says of itself.
    pub head: Head,
    payload: &'a [u8],
}

/// A part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Messages in a row.
    Messages {
        /// How many, as the batch says.
        count: u64,
        /// Where they are in the payload. That these bytes are messages, and as many, is to be checked.
        wire: Range<usize>,
    },
    /// The state of a topic or prefix; none if this version does not know the state.
    State(Option<StateNews<'a>>),
}

impl<'a> Batch<'a> {
    /// Checks its structure; messages are to be checked as they are used.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn decode(payload: &'a [u8]) -> Result<Batch<'a>, Malformed> {
        let mut reader = Reader::new(payload, BATCH)?;
        let [stream, first, missed] = [reader.number()?, reader.number()?, reader.number()?];
        let earlier = Ended { stream: reader.number()?, next: reader.number()?, missed: reader.number()? };
        let mut count = 0;
        while !reader.is_at_end() {
            count += match read_item(&mut reader, payload.len())? {
                Item::Messages { count, wire } if count > 0 && 2 * count <= wire.len() as u64 => count,
                Item::Messages { .. } => return Err(Malformed::Count),
                Item::State(_) => 1,
            };
        }
        if first == 0 || first.checked_add(count).is_none() {
            return Err(Malformed::Sequence);
        }
        Ok(Batch { head: Head { stream, first, missed, earlier, count }, payload })
    }

    /// Its parts in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut reader = Reader::of(&self.payload[HEADER_BYTES..]);
        let len = self.payload.len();
        core::iter::from_fn(move || read_item(&mut reader, len).ok())
    }
}

/// Reads an item of a payload of `len` bytes.
fn read_item<'a>(reader: &mut Reader<'a>, len: usize) -> Result<Item<'a>, Malformed> {
    match reader.array()? {
        [MESSAGES] => {
            let count = u32::from_be_bytes(reader.array()?);
            let bytes = reader.number()?;
            let wire = reader.take(bytes)?;
            let end = len - reader.rest().len();
            Ok(Item::Messages { count: count.into(), wire: end - wire.len()..end })
        }
        [STATE] => {
            let [state, text_len] = reader.array()?;
            let topic = u16::from_be_bytes(reader.array()?);
            let (topic, text) = (reader.take(topic.into())?, reader.take(text_len.into())?);
            let fits = topic.len() <= STATE_TOPIC_BYTES_MAX;
            let known = State::from_number(state).filter(|_| fits);
            Ok(Item::State(known.map(|state| StateNews { state, topic, text })))
        }
        [kind] => Err(Malformed::Item(kind)),
    }
}

/// Puts a batch together. Its memory is used again for the next one if the payload is borrowed, not [taken](Writer::take).
///
/// ```
/// use oncue_core::frame::put_message;
/// use oncue_core::mesh::data::{Batch, Ended, Item, Writer};
///
/// let mut message = Vec::new();
/// put_message(&mut message, ["weather/de", "21 C"]);
/// let mut writer = Writer::new();
/// writer.messages(1, &message);
/// writer.messages(1, &message);
/// let payload = writer.finish(Ended { stream: 7, next: 100, missed: 0 }, Ended::default());
///
/// let batch = Batch::decode(payload).unwrap();
/// assert_eq!((batch.head.stream, batch.head.first, batch.head.count), (7, 100, 2));
/// let items: Vec<Item> = batch.items().collect();
/// assert_eq!(items, [Item::Messages { count: 2, wire: 63..63 + 2 * message.len() }]);
/// ```
pub struct Writer {
    out: Vec<u8>,
    count: u64,
    /// Where the header of the open run of messages is, and how many it has.
    run: Option<(usize, u32)>,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// An empty batch.
    pub fn new() -> Writer {
        Writer { out: [0; HEADER_BYTES].into(), count: 0, run: None }
    }

    /// The messages and states in the batch.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of the batch, so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Appends `count` complete messages in ZMTP's encoding.
    pub fn messages(&mut self, count: u32, wire: &[u8]) {
        self.open_run(count);
        self.out.extend_from_slice(wire);
    }

    /// Appends a message by its frames; without frames, nothing.
    pub fn message<F: AsRef<[u8]>>(&mut self, frames: impl IntoIterator<Item = F>) {
        let mut frames = frames.into_iter().peekable();
        if frames.peek().is_some() {
            self.open_run(1);
            frame::put_message(&mut self.out, frames);
        }
    }

    /// Appends the state of a topic.
    ///
    /// # Panics
    /// When the topic is longer than [`STATE_TOPIC_BYTES_MAX`] or the text than [`STATE_TEXT_BYTES_MAX`].
    pub fn state(&mut self, news: &StateNews<'_>) {
        assert!(news.topic.len() <= STATE_TOPIC_BYTES_MAX, "the topic is too long for its state to be sent");
        assert!(news.text.len() <= STATE_TEXT_BYTES_MAX, "the text of a state is too long");
        self.close_run();
        let [high, low] = (news.topic.len() as u16).to_be_bytes();
        self.out.extend_from_slice(&[STATE, news.state.number(), news.text.len() as u8, high, low]);
        self.out.extend_from_slice(news.topic);
        self.out.extend_from_slice(news.text);
        self.count += 1;
    }

    /// Completes the batch. `so_far`: its stream before it, so that the batch begins with the number `so_far.next`; `earlier`: the
    /// stream before that one. See the module's page.
    pub fn finish(&mut self, so_far: Ended, earlier: Ended) -> &[u8] {
        self.close_run();
        self.out[..2].copy_from_slice(&[VERSION, BATCH]);
        let numbers = [so_far, earlier].into_iter().flat_map(|of| [of.stream, of.next, of.missed]);
        for (place, number) in self.out[2..HEADER_BYTES].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        &self.out
    }

    /// As [`finish`](Self::finish), and begins the next batch in memory of the same size.
    pub fn take(&mut self, so_far: Ended, earlier: Ended) -> Vec<u8> {
        self.finish(so_far, earlier);
        let mut next = Vec::with_capacity(self.out.capacity());
        next.resize(HEADER_BYTES, 0);
        self.count = 0;
        core::mem::replace(&mut self.out, next)
    }

    /// Begins the next batch in the same memory.
    pub fn clear(&mut self) {
        self.out.truncate(HEADER_BYTES);
        self.count = 0;
        self.run = None;
    }

    /// Counts `count` messages into the open run, or into a new one.
    fn open_run(&mut self, count: u32) {
        let joined = self.run.and_then(|(at, have)| Some((at, have.checked_add(count)?)));
        self.run = joined.or_else(|| {
            self.close_run();
            let at = self.out.len();
            self.out.extend_from_slice(&[0; RUN_HEADER_BYTES]);
            Some((at, count))
        });
        self.count += u64::from(count);
    }

    /// Writes the header of the open run, now that its length is known.
    fn close_run(&mut self) {
        let Some((at, count)) = self.run.take() else { return };
        let bytes = (self.out.len() - at - RUN_HEADER_BYTES) as u64;
        self.out[at] = MESSAGES;
        self.out[at + 1..at + 5].copy_from_slice(&count.to_be_bytes());
        self.out[at + 5..at + RUN_HEADER_BYTES].copy_from_slice(&bytes.to_be_bytes());
    }
}
