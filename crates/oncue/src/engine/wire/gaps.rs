//! What a peer misses, until it is told: how many messages, and where in its queue. A peer that is not told of it has none of
//! this, and a queue that misses nothing has one pointer that is empty.

use oncue_core::command::put_missed;

use super::chunk::Run;

/// How many topics are named for one gap, and the longest of them in bytes.
const TOPICS_MAX: usize = 8;
const TOPIC_BYTES_MAX: usize = 255;
/// How many messages of one gap are looked at for their topics; the others are only counted.
const LOOKS_MAX: usize = 64;

/// The gaps of one queue that are not told yet.
#[derive(Default)]
pub(crate) struct Gaps {
    /// Messages that gave way while they waited: told before the first message that is not partly written.
    pub(super) before: Gap,
    /// Messages that did not fit: told behind what waits.
    pub(super) behind: Gap,
}

/// Messages that were missed at one place.
#[derive(Default)]
pub(crate) struct Gap {
    messages: u64,
    /// Dropped before it was known who wants them.
    unseen: u64,
    topics: Vec<(Box<[u8]>, u32)>,
    looks: usize,
}

impl Gap {
    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0 && self.unseen == 0
    }

    /// This number of messages is missed, with these topics.
    pub(super) fn miss<'a>(&mut self, topics: impl Iterator<Item = &'a [u8]>, count: u64) {
        self.messages = self.messages.saturating_add(count);
        for topic in topics.take(LOOKS_MAX - self.looks) {
            self.looks += 1;
            let known = self.topics.iter().position(|(known, _)| **known == *topic);
            match known {
                Some(at) => self.topics[at].1 += 1,
                None if self.topics.len() < TOPICS_MAX && topic.len() <= TOPIC_BYTES_MAX => {
                    self.topics.push((topic.into(), 1));
                }
                None => {}
            }
        }
    }

    /// Messages were missed that were not looked at, and others of which it is not known who wanted them. A proxy's publishers
    /// say any number of these.
    pub(super) fn count(&mut self, messages: u64, unseen: u64) {
        self.messages = self.messages.saturating_add(messages);
        self.unseen = self.unseen.saturating_add(unseen);
    }

    /// The notice of it. Then nothing is left to be told.
    pub(super) fn take(&mut self) -> Run {
        let Gap { messages, unseen, topics, .. } = std::mem::take(self);
        let mut notice = Vec::new();
        put_missed(&mut notice, messages, unseen, topics.iter().map(|(topic, count)| (&topic[..], *count)));
        Run::control(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_may_be_missed_again() {
        let mut gap = Gap::default();
        for (messages, unseen) in [(1, u64::MAX), (u64::MAX, 7)] {
            gap.count(messages, unseen);
        }
        gap.miss([&b"a"[..]].into_iter(), 1);
        assert_eq!((gap.messages, gap.unseen), (u64::MAX, u64::MAX));
    }
}
