//! Messages on their way from one socket to another: what one read brought, referenced where it was received.

use std::mem::replace;
use std::ops::Range;
use std::sync::Arc;

use oncue_core::frame;
use oncue_core::topic::index::Decisive;
use oncue_core::topic::same;

use super::chunk::{Chunk, Spares};
use crate::batch::{Batch, Received};
use crate::msg::Msg;

/// Messages that one socket has received and another one is to send.
pub(crate) struct Load {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// The message, if it is one: then there is no chunk.
    pub(crate) single: Option<Msg>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Load {
    /// The messages of a batch, which is empty then, with buffers of `spares`.
    pub(crate) fn of_batch(batch: &mut Batch, spares: &Spares) -> Load {
        let (messages, len) = (batch.len() as u64, batch.wire_bytes() as u64);
        if messages == 1 {
            let single = Some(Msg::from_wire(batch.bytes.clone()));
            batch.clear();
            return Load { chunks: Vec::new(), single, messages, bytes: len };
        }
        let (bytes, ends) = spares.take().unwrap_or_default();
        let (bytes, ends) = (replace(&mut batch.bytes, bytes), replace(&mut batch.ends, ends));
        let chunks = vec![Arc::new(Chunk::of_spares(bytes, ends, spares))];
        Load { chunks, single: None, messages, bytes: len }
    }

    /// Runs of its messages whose topics are wanted, each with the number of its chunk, 0 for a single message. `decisive`: which
    /// bytes of a topic decide that.
    pub(crate) fn wanted(
        &self,
        decisive: Decisive<'_>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<(usize, Range<u32>)> {
        if let Some(message) = &self.single {
            return if wanted(message.topic()) { vec![(0, 0..1)] } else { Vec::new() };
        }
        let mut runs: Vec<(usize, Range<u32>)> = Vec::new();
        let mut known: Option<(&[u8], bool)> = None;
        for (nth, chunk) in self.chunks.iter().enumerate() {
            for message in 0..chunk.len() {
                let topic = frame::topic(chunk.message(message));
                let head = decisive.of(topic);
                let wanted = match known {
                    Some((of, wanted)) if same(of, head) => wanted,
                    _ => known.insert((head, wanted(topic))).1,
                };
                match runs.last_mut() {
                    _ if !wanted => {}
                    Some((last, run)) if *last == nth && run.end == message => run.end += 1,
                    _ => runs.push((nth, message..message + 1)),
                }
            }
        }
        runs
    }
}

impl From<Received> for Load {
    fn from(received: Received) -> Load {
        let (buffer, mut spans) = received.into_spans();
        if spans.len() == 1
            && let Some((start, end)) = spans.next()
        {
            let single = Some(Msg::within(buffer, start, end));
            return Load { chunks: Vec::new(), single, messages: 1, bytes: u64::from(end - start) };
        }
        let (mut chunks, mut ends) = (Vec::new(), Vec::with_capacity(spans.len()));
        let (mut start, mut messages, mut bytes) = (None, 0, 0);
        for (from, to) in spans {
            // Between two messages there may be a command, or one that this socket does not want.
            if ends.last().is_some_and(|last| *last != from) {
                let start = start.replace(from).unwrap_or(from);
                chunks.push(Arc::new(Chunk::received(buffer.clone(), start, std::mem::take(&mut ends))));
            }
            start.get_or_insert(from);
            ends.push(to);
            messages += 1;
            bytes += u64::from(to - from);
        }
        if let Some(start) = start {
            chunks.push(Arc::new(Chunk::received(buffer, start, ends)));
        }
        Load { chunks, single: None, messages, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;

    fn received(topics: &[&str]) -> (Buffer, Vec<(u32, u32)>) {
        let (mut wire, mut spans) = (Vec::new(), Vec::new());
        for topic in topics {
            let start = wire.len() as u32;
            frame::put_message(&mut wire, [topic.as_bytes(), b"body"]);
            spans.push((start, wire.len() as u32));
        }
        (wire.into(), spans)
    }

    fn load(buffer: &Buffer, spans: &[(u32, u32)]) -> Load {
        let rest: Vec<_> = spans[1..].into();
        Load::from(Received::new(buffer.clone(), spans[0], rest.into_iter()))
    }

    fn topics(load: &Load) -> Vec<String> {
        let of = |chunk: &Chunk| {
            let topic = |i| String::from_utf8(frame::topic(chunk.message(i)).to_vec()).unwrap();
            (0..chunk.len()).map(topic).collect::<Vec<_>>()
        };
        load.chunks.iter().flat_map(|chunk| of(chunk)).collect()
    }

    #[test]
    fn messages_are_referenced_where_they_were_received_and_gaps_part_them() {
        let (buffer, spans) = received(&["a", "bb", "ccc", "dddd", "e"]);
        let all = load(&buffer, &spans);
        assert_eq!((all.messages, all.bytes, all.chunks.len()), (5, buffer.len() as u64, 1));
        assert_eq!(all.chunks[0].bytes().as_ptr(), buffer.as_ptr());
        assert!(all.single.is_none());
        let parts = load(&buffer, &[spans[1], spans[2], spans[4]]);
        assert_eq!((parts.messages, parts.chunks.len()), (3, 2));
        assert_eq!(topics(&parts), ["bb", "ccc", "e"]);
        assert_eq!(parts.chunks.iter().map(|chunk| chunk.message_bytes()).sum::<u64>(), parts.bytes);
        assert_eq!(parts.chunks[0].messages(), &buffer[spans[1].0 as usize..spans[2].1 as usize]);
        let ends: Vec<_> = parts.chunks[0].ends().collect();
        assert_eq!(ends, [spans[1].1 - spans[1].0, spans[2].1 - spans[1].0]);
        let one = load(&buffer, &spans[3..4]);
        assert_eq!(one.single.as_ref().map(Msg::topic), Some(&b"dddd"[..]));
        assert_eq!((one.messages, one.chunks.len()), (1, 0));
    }
}
