//! What a full queue gives up so that newer messages have room: the oldest ones, or the one before of the same topic.
//! Messages whose writing has begun are never given up, and count towards no mark here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Mark, WriteQueue};
use crate::engine::wire::chunk::Run;
use crate::sync::lock;

/// The number of dropped runs, beyond the number of live ones, at which a queue is compacted.
const HOLES_SPARE: usize = 64;
/// A list of topics that is empty keeps room for so many at the most.
const TOPICS_KEPT_MAX: usize = 64;

/// What a queue gives up.
#[derive(Default)]
pub(crate) enum Yields {
    /// What does not fit any more.
    #[default]
    Newest,
    /// The messages that wait for the longest time.
    Oldest,
    /// The message before of the same topic; where the marks are reached even so, the oldest. Each run is one message.
    SameTopic(ByTopic),
}

/// The messages of a queue that holds one of each topic, and begun ones.
pub(crate) struct ByTopic {
    pub(crate) topics: Arc<Topics>,
    /// The place of the queue's first run: places are counted from the queue's beginning.
    first: u64,
    /// Runs that were given up and still lie in the queue, empty. The first run of a queue is never one.
    holes: usize,
    hole: Run,
    /// Whether there are other topics than when this was asked last.
    changed: bool,
}

/// Of which topics a queue holds a message, begun ones too, and the place of the newest.
#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<Vec<u8>, u64>>);

impl Topics {
    pub(crate) fn contain(&self, topic: &[u8]) -> bool {
        lock(&self.0).contains_key(topic)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Yields where the message before was.
    fn put(&self, topic: &[u8], place: u64) -> Option<u64> {
        let mut topics = lock(&self.0);
        match topics.get_mut(topic) {
            Some(known) => Some(std::mem::replace(known, place)),
            None => topics.insert(topic.to_vec(), place),
        }
    }

    /// The message of this place has gone. Yields whether it was its topic's newest.
    fn remove(&self, topic: &[u8], place: u64) -> bool {
        let mut topics = lock(&self.0);
        let newest = topics.get(topic) == Some(&place);
        if newest {
            topics.remove(topic);
            if topics.is_empty() && topics.capacity() > TOPICS_KEPT_MAX {
                *topics = HashMap::new();
            }
        }
        newest
    }
}

impl ByTopic {
    pub(crate) fn new() -> ByTopic {
        let hole = Run::control(Vec::new());
        ByTopic { topics: Arc::default(), first: 0, holes: 0, hole, changed: false }
    }

    /// The message of this place has gone.
    fn gone(&mut self, run: &Run, place: u64) {
        if let Some(topic) = run.last_topic() {
            self.changed |= self.topics.remove(topic, place);
        }
    }
}

impl WriteQueue {
    /// The topics of what is queued, if these have changed since this was asked last.
    pub(crate) fn changed_topics(&mut self) -> Option<&Arc<Topics>> {
        let Yields::SameTopic(latest) = &mut self.yields else { return None };
        std::mem::take(&mut latest.changed).then_some(&latest.topics)
    }

    /// Whether what does not fit is not queued.
    pub(crate) fn yields_newest(&self) -> bool {
        matches!(self.yields, Yields::Newest)
    }

    /// Queues a run whatever the marks. Yields how many messages gave way.
    pub(crate) fn append(&mut self, mut run: Run) -> u64 {
        if run.bytes_left() == 0 {
            return 0;
        }
        self.messages += run.messages();
        self.bytes += run.bytes_left();
        let Yields::SameTopic(latest) = &mut self.yields else {
            self.runs.push_back(run);
            return 0;
        };
        let mut missed = 0;
        while run.messages() > 0 {
            let message = run.split_first();
            let place = latest.first + self.runs.len() as u64;
            let before = latest.topics.put(message.topic(), place);
            self.runs.push_back(message);
            latest.changed |= before.is_none();
            let before = before.map(|place| (place - latest.first) as usize);
            if let Some(at) = before.filter(|&at| !self.runs[at].is_begun()) {
                let gone = std::mem::replace(&mut self.runs[at], latest.hole.clone());
                latest.holes += 1;
                self.messages -= 1;
                self.bytes -= gone.bytes_left();
                missed += 1;
            }
        }
        missed
    }

    /// Brings the queue below the marks, once the runs after the first `known` have been appended. Yields how many
    /// messages gave way.
    pub(crate) fn make_room(&mut self, known: usize, mark: Mark) -> u64 {
        let dropped = self.drop_oldest(mark);
        self.crowded |= dropped > 0;
        // What is left of large chunks must not keep them alive.
        let known = known.saturating_sub(dropped as usize).min(self.runs.len());
        self.runs.range_mut(known..).for_each(Run::stand_alone);
        self.tidy();
        dropped
    }

    /// Drops the oldest messages that are not begun, until the others are within the marks. The newest stays, whatever its
    /// size.
    fn drop_oldest(&mut self, mark: Mark) -> u64 {
        let (mut begun, mut begun_bytes) = (0, 0);
        if let Some(run) = self.runs.front_mut().filter(|run| run.is_begun()) {
            if run.messages() > 1 {
                let message = run.split_first();
                self.runs.push_front(message);
            }
            (begun, begun_bytes) = (1, self.runs[0].bytes_left());
        }
        let (mut at, mut dropped) = (begun as usize, 0);
        loop {
            let (messages, bytes) = (self.messages - begun, self.bytes - begun_bytes);
            let too_many = messages.saturating_sub(mark.messages);
            let too_large = bytes.saturating_sub(mark.bytes);
            if messages <= 1 || too_many == 0 && too_large == 0 {
                return dropped;
            }
            while self.runs[at].messages() == 0 {
                at += 1;
            }
            let run = &mut self.runs[at];
            let count = too_many.max(run.reaching(too_large)).min(messages - 1);
            let mut gone = run.clone();
            if count < run.messages() {
                run.skip(count);
                gone.truncate(count, u64::MAX);
                run.stand_alone();
            } else {
                self.give_up(at);
            }
            self.messages -= gone.messages();
            self.bytes -= gone.bytes_left();
            dropped += gone.messages();
        }
    }

    /// Takes the first run out.
    pub(crate) fn pop_front(&mut self) {
        let run = self.runs.pop_front();
        if let (Yields::SameTopic(latest), Some(run)) = (&mut self.yields, run) {
            latest.gone(&run, latest.first);
            latest.first += 1;
            self.tidy();
        }
    }

    /// Takes a run out that has not begun.
    fn give_up(&mut self, at: usize) {
        let Yields::SameTopic(latest) = &mut self.yields else {
            self.runs.remove(at);
            return;
        };
        let run = std::mem::replace(&mut self.runs[at], latest.hole.clone());
        latest.gone(&run, latest.first + at as u64);
        latest.holes += 1;
        // The one before of its topic may have begun; it is the topic's newest again.
        if self.runs[0].is_begun() && self.runs[0].topic() == run.topic() {
            latest.topics.put(run.topic(), latest.first);
        }
    }

    /// Removes what was given up: what comes first, and all of it where it is too much.
    pub(crate) fn tidy(&mut self) {
        let Yields::SameTopic(latest) = &mut self.yields else { return };
        while self.runs.front().is_some_and(|run| run.bytes_left() == 0) {
            self.runs.pop_front();
            latest.first += 1;
            latest.holes -= 1;
        }
        if latest.holes > self.runs.len() - latest.holes + HOLES_SPARE {
            self.runs.retain(|run| run.bytes_left() > 0);
            latest.holes = 0;
            let places = latest.first..;
            for (run, place) in self.runs.iter().zip(places).filter(|(run, _)| run.messages() > 0) {
                // Of a topic's messages the newest comes last.
                latest.topics.put(run.topic(), place);
            }
        }
    }
}
