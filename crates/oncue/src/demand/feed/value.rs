//! The messages of a route's values: which frames they have.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use oncue_pattern::{Params, Template};

use crate::sync::lock;

/// How many topics without a feed have their counts remembered, of one route. The longest forgotten begin with 1 again.
const COUNTS_MAX: usize = 65_536;
/// The most bytes that these topics have together: peers choose them.
const COUNTS_BYTES_MAX: usize = 16 << 20;

/// A value as its producer has given it.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    /// The route determines the frames.
    One(&'v [u8]),
    /// The frames after the topic.
    Frames(&'v [&'v [u8]]),
}

/// A value that waits for its time.
pub(super) enum Held {
    One(Vec<u8>),
    Frames(Vec<Vec<u8>>),
}

/// The frames of a route's messages, where they are not topic and value.
pub(crate) struct Layout {
    frames: Vec<Template>,
    /// Whether a frame has the count.
    numbers: bool,
    counts: Mutex<Counts>,
}

/// How many messages topics without a feed have had.
#[derive(Default)]
struct Counts {
    /// With each count, when it was remembered.
    by_topic: HashMap<Arc<[u8]>, (u64, u64)>,
    turns: BTreeMap<u64, Arc<[u8]>>,
    /// The bytes of the topics.
    bytes: usize,
    last_turn: u64,
}

impl Held {
    pub(super) fn new(value: Value<'_>) -> Held {
        match value {
            Value::One(value) => Held::One(value.to_vec()),
            Value::Frames(frames) => Held::Frames(frames.iter().map(|frame| frame.to_vec()).collect()),
        }
    }

    /// Puts another value in the place of this one.
    pub(super) fn replace(&mut self, value: Value<'_>) {
        match (self, value) {
            (Held::One(held), Value::One(value)) => {
                held.clear();
                held.extend_from_slice(value);
            }
            (held, value) => *held = Held::new(value),
        }
    }

    /// Hands the value over.
    pub(super) fn with<T>(&self, take: impl FnOnce(Value<'_>) -> T) -> T {
        match self {
            Held::One(value) => take(Value::One(value)),
            Held::Frames(frames) => {
                let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                take(Value::Frames(&frames))
            }
        }
    }
}

impl Layout {
    /// The names that stand for something else than a parameter.
    pub(crate) const NAMES: [&str; 3] = ["topic", "value", "count"];

    pub(crate) fn new(frames: Vec<Template>) -> Layout {
        let numbers = frames.iter().any(|frame| frame.names().any(|name| name == "count"));
        Layout { frames, numbers, counts: Mutex::default() }
    }

    /// The frames of the message number `count` of a topic.
    pub(super) fn fill(&self, topic: &[u8], params: &Params, value: &[u8], count: u64) -> Vec<Vec<u8>> {
        let count = count.to_le_bytes();
        let fill = |frame: &Template| {
            frame.fill(|name| match name {
                "topic" => topic,
                "value" => value,
                "count" => &count,
                name => params.get(name).map_or(&[][..], |range: Range<usize>| &topic[range]),
            })
        };
        self.frames.iter().map(fill).collect()
    }

    /// How many messages a topic has had whose feed begins.
    pub(super) fn recall(&self, topic: &[u8]) -> u64 {
        let mut counts = lock(&self.counts);
        let Some((count, turn)) = counts.by_topic.remove(topic) else { return 0 };
        counts.turns.remove(&turn);
        counts.bytes -= topic.len();
        count
    }

    /// Remembers how many messages a topic has had whose feed has stopped.
    pub(super) fn remember(&self, topic: &Arc<[u8]>, count: u64) {
        if !self.numbers || count == 0 {
            return;
        }
        let mut counts = lock(&self.counts);
        counts.last_turn += 1;
        let turn = counts.last_turn;
        match counts.by_topic.insert(topic.clone(), (count, turn)) {
            Some((_, before)) => drop(counts.turns.remove(&before)),
            None => counts.bytes += topic.len(),
        }
        counts.turns.insert(turn, topic.clone());
        while (counts.turns.len() > COUNTS_MAX || counts.bytes > COUNTS_BYTES_MAX)
            && let Some((_, oldest)) = counts.turns.pop_first()
        {
            counts.by_topic.remove(&oldest);
            counts.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_topics_without_a_feed_are_bounded() {
        let numbers = || Layout::new(vec![Template::parse("{count}").unwrap()]);
        let layout = numbers();
        let topic = |i: usize| -> Arc<[u8]> { i.to_string().into_bytes().into() };
        for i in 0..COUNTS_MAX + 3 {
            layout.remember(&topic(i), i as u64 + 1);
            layout.remember(&topic(i), i as u64 + 2);
        }
        let counts = lock(&layout.counts);
        assert_eq!((counts.by_topic.len(), counts.turns.len()), (COUNTS_MAX, COUNTS_MAX));
        drop(counts);
        assert_eq!([2, 3, 4].map(|i| layout.recall(&topic(i))), [0, 5, 6]);
        assert_eq!(layout.recall(&topic(3)), 0, "it is taken");
        assert_eq!(lock(&layout.counts).turns.len(), COUNTS_MAX - 2);
        // A peer may choose long topics.
        let (layout, long) =
            (numbers(), |i: u32| Arc::from([&i.to_le_bytes()[..], &[b'x'; 60_000]].concat()));
        (0..1000).for_each(|i| layout.remember(&long(i), 1));
        let counts = lock(&layout.counts);
        assert_eq!(counts.by_topic.len(), COUNTS_BYTES_MAX / 60_004);
        assert_eq!(counts.bytes, counts.by_topic.len() * 60_004);
        drop(counts);
        // Without the count in a frame nothing is remembered.
        let layout = Layout::new(vec![Template::parse("{topic} {value}").unwrap()]);
        layout.remember(&topic(1), 1);
        assert!(lock(&layout.counts).by_topic.is_empty());
    }
}
