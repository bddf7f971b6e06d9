//! What waits for one peer, within its marks, and what gives way when a mark is reached: the newest, the oldest, or
//! the previous message of the same topic. A message that is partly written never gives way, and counts towards no
//! mark here.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::Run;
use super::gaps::Gaps;
use super::mixed::Mixed;
use super::topics::{ByTopic, Topics};

/// A backlog is compacted when its dropped runs outnumber its live ones by this.
const HOLES_SPARE: usize = 64;

/// The high-water marks of a peer's queue.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Mark {
    pub(crate) const NONE: Mark = Mark { messages: u64::MAX, bytes: u64::MAX };
}

/// The runs that one peer has still to be sent.
#[derive(Default)]
pub(crate) struct Backlog {
    pub(super) runs: VecDeque<Run>,
    /// What gives way when it is full.
    pub(super) yields: Yields,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Bytes that are not messages.
    pub(crate) control_bytes: u64,
    /// Something was missed since the last time that no message waited: the rest of a large message may be below the
    /// mark while no other such message fits.
    pub(super) crowded: bool,
    /// The peer is told what it misses.
    tells_gaps: bool,
    /// What it has not been told of that.
    pub(super) gaps: Option<Box<Gaps>>,
}

/// What gives way when a queue is full.
#[derive(Default)]
pub(crate) enum Yields {
    /// The message that does not fit.
    #[default]
    Newest,
    /// The messages that have waited longest.
    Oldest,
    /// The previous message of the same topic; if the marks are reached even so, the oldest. Each run is one message.
    SameTopic(Box<ByTopic>),
    /// Each message has a policy of its own.
    Mixed(Box<Mixed>),
}

impl Yields {
    /// The positions of runs, where they are known.
    fn places(&mut self) -> Option<&mut ByTopic> {
        match self {
            Yields::Newest | Yields::Oldest => None,
            Yields::SameTopic(places) => Some(places),
            Yields::Mixed(mixed) => Some(&mut mixed.places),
        }
    }
}

impl Backlog {
    pub(crate) fn new(yields: Yields) -> Backlog {
        Backlog { yields, ..Backlog::default() }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.gaps.is_none()
    }

    /// From now on the peer is told what it misses.
    pub(crate) fn tell_gaps(&mut self) {
        self.tells_gaps = true;
    }

    /// A whole run does not fit.
    #[inline]
    pub(super) fn miss_newest(&mut self, run: &Run) {
        if self.tells_gaps {
            self.gaps.get_or_insert_default().behind.miss(run.topics(), run.messages());
        }
    }

    /// Messages do not fit that were cut off of this run, which is queued.
    pub(super) fn miss_cut_off(&mut self, run: Option<Run>, messages: u64) {
        if let Some(run) = run {
            self.gaps.get_or_insert_default().behind.miss(run.topics_cut_off(messages), messages);
        }
    }

    /// The run for [`miss_cut_off`](Self::miss_cut_off), if that is told.
    #[inline]
    pub(super) fn to_be_told(&self, run: &Run, missed: u64) -> Option<Run> {
        (missed > 0 && self.tells_gaps).then(|| run.clone())
    }

    /// A whole run gave way while it waited.
    #[inline]
    fn miss_waiting(&mut self, run: &Run) {
        if self.tells_gaps {
            self.gaps.get_or_insert_default().before.miss(run.topics(), run.messages());
        }
    }

    /// Messages that were not offered, and messages that were dropped before it was known who wants them.
    pub(crate) fn miss_unoffered(&mut self, messages: u64, unseen: u64) {
        if self.tells_gaps && (messages > 0 || unseen > 0) {
            self.gaps.get_or_insert_default().behind.count(messages, unseen);
        }
    }

    /// Queues the notice of what did not fit, before a message that does, or when all else is written.
    #[inline]
    pub(super) fn tell_behind(&mut self) {
        if let Some(gaps) = &mut self.gaps
            && !gaps.behind.is_empty()
        {
            let notice = gaps.behind.take();
            if gaps.before.is_empty() {
                self.gaps = None;
            }
            self.control_bytes += notice.bytes_left();
            self.runs.push_back(notice);
        }
    }

    /// Whether a notice is due before the first message that is not partly written.
    pub(super) fn tells_before(&self) -> bool {
        self.gaps.as_ref().is_some_and(|gaps| !gaps.before.is_empty())
    }

    /// Queues that notice in front; nothing may be partly written.
    pub(super) fn tell_before(&mut self) {
        let Some(gaps) = &mut self.gaps else { return };
        let notice = gaps.before.take();
        if gaps.behind.is_empty() {
            self.gaps = None;
        }
        self.control_bytes += notice.bytes_left();
        self.runs.push_front(notice);
        if let Some(places) = self.yields.places() {
            places.first -= 1;
        }
    }

    /// How many messages fit below the mark.
    pub(crate) fn room(&self, mark: Mark) -> u64 {
        if self.bytes >= mark.bytes { 0 } else { mark.messages.saturating_sub(self.messages) }
    }

    /// Hysteresis: full at the mark, or when a message did not fit; stays full until half empty and the oversized
    /// message is gone. `was`: whether it was full at the last call.
    pub(crate) fn is_full(&self, mark: Mark, was: bool) -> bool {
        match was {
            false => self.room(mark) == 0 || self.crowded,
            true => self.messages > mark.messages / 2 || self.bytes > mark.bytes / 2 || self.crowded,
        }
    }

    /// Queues bytes that are not a message, behind what is queued. They count towards no mark.
    pub(crate) fn control(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.control_bytes += bytes.len() as u64;
            self.runs.push_back(Run::control(bytes));
        }
    }

    /// Queues a run as far as the mark allows. Returns how many of its messages were missed.
    pub(super) fn push(&mut self, mut run: Run, mark: Mark) -> u64 {
        match &self.yields {
            Yields::Newest => {}
            Yields::Mixed(_) => return self.admit(run, mark),
            Yields::Oldest | Yields::SameTopic(_) => return self.append(run),
        }
        let bytes_room = if self.messages == 0 {
            // A message larger than the mark still passes alone.
            run.bytes_left().min(mark.bytes.max(run.first_message_bytes()))
        } else {
            mark.bytes.saturating_sub(self.bytes)
        };
        let missed = run.truncate(self.room(mark), bytes_room);
        self.crowded |= missed > 0;
        let cut = self.to_be_told(&run, missed);
        if missed > 0 {
            // What is left may be a small part of what was gathered for the peer.
            run.stand_alone();
        }
        if run.bytes_left() > 0 {
            self.tell_behind();
            self.messages += run.messages();
            self.bytes += run.bytes_left();
            self.runs.push_back(run);
        }
        self.miss_cut_off(cut, missed);
        missed
    }

    pub(super) fn advance(&mut self, mut n: u64) -> u64 {
        let mut written = 0;
        while n > 0 {
            let run = self.runs.front_mut().expect("no more is written than was queued");
            let step = n.min(run.bytes_left());
            let messages = run.messages();
            match messages {
                0 => self.control_bytes -= step,
                _ => self.bytes -= step,
            }
            let done = run.advance(step);
            self.messages -= done;
            if let Yields::Mixed(mixed) = &mut self.yields
                && messages > 0
            {
                mixed.wrote(run, step, done, self.messages);
            }
            self.crowded &= self.messages > 0;
            written += done;
            n -= step;
            if run.bytes_left() == 0 {
                self.pop_front();
            }
        }
        if self.runs.is_empty() {
            // Most queues are empty most of the time, and one that was long once would keep its memory for ever.
            self.runs = VecDeque::new();
        }
        written
    }

    /// The topics of what is queued, if they have changed since the last call.
    pub(crate) fn changed_topics(&mut self) -> Option<&Arc<Topics>> {
        let latest = self.yields.places()?;
        std::mem::take(&mut latest.changed).then_some(&latest.topics)
    }

    /// Whether the newest message gives way.
    pub(crate) fn yields_newest(&self) -> bool {
        matches!(self.yields, Yields::Newest)
    }

    /// Queues a run whatever the marks. Returns how many messages gave way.
    pub(crate) fn append(&mut self, mut run: Run) -> u64 {
        if run.bytes_left() == 0 {
            return 0;
        }
        self.tell_behind();
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
                if self.tells_gaps {
                    self.gaps.get_or_insert_default().before.miss(gone.topics(), 1);
                }
            }
        }
        missed
    }

    /// Brings the queue below the marks, after the runs behind the first `known` were appended. Returns how many
    /// messages gave way.
    pub(crate) fn make_room(&mut self, known: usize, mark: Mark) -> u64 {
        let dropped = self.drop_oldest(mark);
        self.crowded |= dropped > 0;
        // The rest of a large chunk must not keep the chunk alive.
        let known = known.saturating_sub(dropped as usize).min(self.runs.len());
        self.runs.range_mut(known..).for_each(Run::stand_alone);
        self.tidy();
        dropped
    }

    /// Drops the oldest messages that are not partly written until the others are within the marks. The newest stays,
    /// whatever its size.
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
            self.miss_waiting(&gone);
        }
    }

    /// Removes the first run.
    pub(crate) fn pop_front(&mut self) {
        let run = self.runs.pop_front();
        if let (Some(latest), Some(run)) = (self.yields.places(), run) {
            latest.gone(&run, latest.first);
            latest.first += 1;
            self.tidy();
        }
    }

    /// Removes a run that is not partly written, and whose messages count as missed.
    pub(super) fn miss_at(&mut self, at: usize) {
        if self.tells_gaps {
            let run = self.runs[at].clone();
            self.miss_waiting(&run);
        }
        self.give_up(at);
    }

    /// Removes a run that is not partly written.
    fn give_up(&mut self, at: usize) {
        // Whether a message that is written now has a place among the topics.
        let has_place = match &self.yields {
            Yields::Mixed(mixed) => mixed.is_latest(&self.runs[0]),
            _ => true,
        };
        let Some(latest) = self.yields.places() else {
            self.runs.remove(at);
            return;
        };
        let run = std::mem::replace(&mut self.runs[at], latest.hole.clone());
        let newest = latest.gone(&run, latest.first + at as u64);
        latest.holes += 1;
        // The previous message of its topic may be partly written; it is the topic's newest again.
        if newest && has_place && self.runs[0].is_begun() && self.runs[0].topic() == run.topic() {
            latest.topics.put(run.topic(), latest.first);
        }
    }

    /// Removes dropped runs: those at the front, and all of them if they are many.
    pub(crate) fn tidy(&mut self) {
        let Some(latest) = self.yields.places() else { return };
        while self.runs.front().is_some_and(|run| run.bytes_left() == 0) {
            self.runs.pop_front();
            latest.first += 1;
            latest.holes -= 1;
        }
        if latest.holes > self.runs.len() - latest.holes + HOLES_SPARE {
            self.runs.retain(|run| run.bytes_left() > 0);
            latest.holes = 0;
            // The newest message of a topic comes last.
            match &mut self.yields {
                Yields::Newest | Yields::Oldest => {}
                Yields::SameTopic(latest) => {
                    for (place, run) in (latest.first..).zip(&self.runs).filter(|(_, run)| run.messages() > 0)
                    {
                        latest.topics.put(run.topic(), place);
                    }
                }
                Yields::Mixed(mixed) => mixed.renumber(&self.runs),
            }
        }
        if let Yields::Mixed(mixed) = &mut self.yields {
            mixed.forget_left();
        }
    }
}
