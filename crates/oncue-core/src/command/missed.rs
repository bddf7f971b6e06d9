//! A notice of Oncue: messages that a peer does not get, at their place among those that it gets.

use alloc::vec::Vec;

use super::extension::{KIND_MISSED, ONCUE_COMMAND};
use super::wire::put_command;

/// The most bytes that the topics of a notice take, each with six bytes more.
pub const MISSED_TOPICS_BYTES_MAX: usize = 1024;
/// What precedes each topic: how many of its messages, and its length.
const TOPIC_OVERHEAD_BYTES: usize = 6;

/// What a peer has missed before the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedNews<'a> {
    /// How many messages that it wanted.
    pub messages: u64,
    /// How many more were dropped before it was known who wants them.
    pub unseen: u64,
    /// The topics of some of `messages`.
    pub topics: MissedTopics<'a>,
}

/// Topics, each with how many of its messages were missed at least: an iterator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissedTopics<'a>(&'a [u8]);

impl<'a> Iterator for MissedTopics<'a> {
    type Item = (&'a [u8], u32);

    fn next(&mut self) -> Option<(&'a [u8], u32)> {
        let (count, rest) = self.0.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        self.0 = rest;
        Some((topic, u32::from_be_bytes(*count)))
    }
}

/// Parses what follows the kind; `None` for malformed data. Topics that are cut off are ignored.
pub(super) fn parse(data: &[u8]) -> Option<MissedNews<'_>> {
    let (messages, rest) = data.split_first_chunk()?;
    let (unseen, topics) = rest.split_first_chunk()?;
    let topics = MissedTopics(topics.get(..MISSED_TOPICS_BYTES_MAX).unwrap_or(topics));
    Some(MissedNews { messages: u64::from_be_bytes(*messages), unseen: u64::from_be_bytes(*unseen), topics })
}

/// Appends a notice. Topics beyond [`MISSED_TOPICS_BYTES_MAX`] are left out.
pub fn put_missed<'a>(
    out: &mut Vec<u8>,
    messages: u64,
    unseen: u64,
    topics: impl IntoIterator<Item = (&'a [u8], u32)>,
) {
    let mut list = Vec::new();
    for (topic, count) in topics {
        if list.len() + TOPIC_OVERHEAD_BYTES + topic.len() <= MISSED_TOPICS_BYTES_MAX {
            list.extend_from_slice(&count.to_be_bytes());
            list.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            list.extend_from_slice(topic);
        }
    }
    let (messages, unseen) = (messages.to_be_bytes(), unseen.to_be_bytes());
    put_command(out, ONCUE_COMMAND, &[&[KIND_MISSED], &messages, &unseen, &list]);
}
