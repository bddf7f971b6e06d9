//! Many messages at a time, in either direction: a lock, a reference count or a wake-up is paid for once.

use oncue_core::frame::{Scanner, Version};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::missed::Missed;
use crate::msg::{Frames, MESSAGE_BYTES_MAX, Msg, MsgRef, put_whole};

/// Messages to be sent together by [`Pub::send_many`](crate::Pub::send_many). They are encoded as they are added.
///
/// ```
/// use oncue::Batch;
/// let mut batch = Batch::new();
/// batch.push(("prices/AAPL", "187.20"))?;
/// batch.push(("prices/MSFT", "402.10"))?;
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Default)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// An empty batch with room for this number of messages, which take this number of bytes together.
    pub(crate) fn with_capacity(bytes: usize, messages: usize) -> Batch {
        Batch { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(messages) }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the batch would exceed 2 GiB; it is then unchanged.
    #[inline]
    pub fn push(&mut self, message: impl Frames) -> Result<()> {
        let start = self.bytes.len();
        put_whole(&message, &mut self.bytes);
        if self.bytes.len() > MESSAGE_BYTES_MAX {
            self.bytes.truncate(start);
            return Err(Error::misuse("the batch would be larger than 2 GiB; send what it holds first"));
        }
        self.ends.push(self.bytes.len() as u32);
        Ok(())
    }

    /// Adds messages in the wire encoding of ZMTP 3.1 (RFC 37), one after the other, as [`MsgRef::wire`] gives them: for
    /// messages that have come some other way. Returns how many there are.
    ///
    /// ```
    /// use oncue::Batch;
    /// let mut batch = Batch::new();
    /// assert_eq!(batch.push_wire(b"\x01\x01a\x00\x02hi\x00\x01b")?, 2); // ("a", "hi") and ("b")
    /// assert!(batch.push_wire(b"\x00\x05cut").is_err());
    /// assert_eq!(batch.len(), 2);
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the bytes are not whole messages, or have commands, or the batch would exceed
    /// 2 GiB; it is then unchanged.
    pub fn push_wire(&mut self, messages: &[u8]) -> Result<usize> {
        self.push_wire_if(messages, |_| true)
    }

    /// As [`push_wire`](Self::push_wire), without the messages that are not to be `taken`. It is asked for each in order, also if an error
    /// follows. Returns how many messages there are in all.
    ///
    /// ```
    /// use oncue::Batch;
    /// let mut batch = Batch::new();
    /// assert_eq!(batch.push_wire_if(b"\x00\x01a\x00\x01b\x00\x01c", |message| message.topic() != b"b")?, 3);
    /// assert_eq!(batch.iter().map(|message| message.topic()).collect::<Vec<_>>(), [b"a", b"c"]);
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`push_wire`](Self::push_wire).
    #[inline]
    pub fn push_wire_if(
        &mut self,
        messages: &[u8],
        mut taken: impl FnMut(MsgRef<'_>) -> bool,
    ) -> Result<usize> {
        let (bytes_before, before) = (self.bytes.len(), self.ends.len());
        if bytes_before + messages.len() > MESSAGE_BYTES_MAX {
            return Err(Error::misuse("the batch would be larger than 2 GiB; send what it holds first"));
        }
        let mut scanner = Scanner::new(Version::V3_1, MESSAGE_BYTES_MAX as u64);
        let Batch { bytes, ends } = self;
        // Where the messages begin that are not copied yet, and how much less a byte's place is in the batch.
        let (mut from, mut less) = (0, 0);
        let found = scanner.scan_messages(messages, usize::MAX, |start, end| {
            if taken(MsgRef::new(&messages[start..end])) {
                ends.push((bytes_before + end - less) as u32);
            } else {
                bytes.extend_from_slice(&messages[from..start]);
                (from, less) = (end, less + end - start);
            }
        });
        if found.consumed != messages.len() {
            bytes.truncate(bytes_before);
            ends.truncate(before);
            let at = found.consumed;
            return Err(Error::misuse(format!("the bytes are not whole messages from byte {at} on")));
        }
        bytes.extend_from_slice(&messages[from..]);
        Ok(found.messages)
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds no messages.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Its messages.
    pub fn iter(&self) -> impl Iterator<Item = MsgRef<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let message = MsgRef::new(&self.bytes[start..end as usize]);
            start = end as usize;
            message
        })
    }

    /// How many bytes its messages take on the wire.
    pub fn wire_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Drops its messages but for the first ones.
    pub fn truncate(&mut self, messages: usize) {
        self.ends.truncate(messages);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Drops its messages.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.len())
            .field("wire_bytes", &self.wire_bytes())
            .finish()
    }
}

/// Messages that were received together: an iterator over them. [`iter`](Received::iter) borrows them instead, which is the
/// fastest.
pub struct Received {
    buffer: Buffer,
    spans: Spans,
    missed: Option<Box<Missed>>,
}

/// Where messages start and end.
pub(crate) struct Spans {
    first: Option<(u32, u32)>,
    rest: std::vec::IntoIter<(u32, u32)>,
}

impl Iterator for Spans {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<(u32, u32)> {
        self.first.take().or_else(|| self.rest.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.first.is_some()) + self.rest.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Spans {}

impl Received {
    /// Each span of the buffer must hold exactly one complete message.
    pub(crate) fn new(buffer: Buffer, first: (u32, u32), rest: std::vec::IntoIter<(u32, u32)>) -> Received {
        Received { buffer, spans: Spans { first: Some(first), rest }, missed: None }
    }

    /// The same, behind messages that were missed.
    pub(crate) fn behind(mut self, missed: Option<Box<Missed>>) -> Received {
        self.missed = missed;
        self
    }

    /// What was missed of their publisher before the first of them, if that is known: publishers of this library tell it. All
    /// of these messages are of one publisher, and nothing was missed between them.
    pub fn missed(&self) -> Option<&Missed> {
        self.missed.as_deref()
    }

    /// The buffer, and where the messages that have not been taken yet start and end in it.
    pub(crate) fn into_spans(self) -> (Buffer, Spans) {
        (self.buffer, self.spans)
    }

    /// The messages that have not been taken yet.
    pub fn iter(&self) -> impl Iterator<Item = MsgRef<'_>> {
        let wire: &[u8] = &self.buffer;
        let message = move |&(start, end): &(u32, u32)| MsgRef::new(&wire[start as usize..end as usize]);
        self.spans.first.iter().chain(self.spans.rest.as_slice()).map(message)
    }
}

impl Received {
    /// The messages that have not been taken yet, in runs that lie together in memory: how many each has, and its bytes as
    /// [`MsgRef::wire`] of each would give them. A run has at most this many bytes, or one message: for a program that copies messages
    /// elsewhere, since one long copy costs less than many short ones.
    pub fn runs(&self, bytes_max: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let wire: &[u8] = &self.buffer;
        let mut spans = self.spans.first.iter().chain(self.spans.rest.as_slice()).peekable();
        std::iter::from_fn(move || {
            let &(start, mut end) = spans.next()?;
            let mut messages = 1;
            let most = start as usize + bytes_max;
            while let Some(&(_, next)) = spans.next_if(|(from, to)| *from == end && *to as usize <= most) {
                (messages, end) = (messages + 1, next);
            }
            Some((messages, &wire[start as usize..end as usize]))
        })
    }
}

impl Iterator for Received {
    type Item = Msg;

    #[inline]
    fn next(&mut self) -> Option<Msg> {
        let (start, end) = self.spans.next()?;
        Some(Msg::within(self.buffer.clone(), start, end))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Received {}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_can_be_looked_at_and_taken() {
        let mut batch = Batch::new();
        for text in ["one", "two", "three"] {
            batch.push((text, "x")).unwrap();
        }
        let spans: Vec<_> = [0].iter().chain(&batch.ends).copied().zip(batch.ends.clone()).collect();
        let rest = spans[1..].to_vec();
        let mut received = Received::new(batch.bytes.into(), spans[0], rest.into_iter());
        assert_eq!(received.len(), 3);
        assert_eq!(received.iter().map(|m| m.topic().len()).collect::<Vec<_>>(), [3, 3, 5]);
        let runs =
            |bytes| received.runs(bytes).map(|(messages, wire)| (messages, wire.len())).collect::<Vec<_>>();
        assert_eq!(runs(26), [(3, 26)]);
        assert_eq!(runs(25), [(2, 16), (1, 10)]);
        assert_eq!(runs(1), [(1, 8), (1, 8), (1, 10)]);
        assert_eq!(received.next(), Some(Msg::from_frames(["one", "x"])));
        assert_eq!(received.iter().map(|m| m.to_msg()).collect::<Vec<_>>().len(), 2);
        assert_eq!(received.last(), Some(Msg::from_frames(["three", "x"])));
    }
}
