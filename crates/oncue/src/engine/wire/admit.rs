//! A backlog whose messages have policies of their own. Some are firm: once queued, they stay until they are written
//! (`DropNewest`, `Disconnect`). The others may give way to any message that does not fit, the oldest first
//! (`DropOldest`, `Latest`). A message fits if the firm ones leave room for it.

use std::collections::VecDeque;

use super::backlog::{Backlog, Mark, Yields};
use super::chunk::Run;
use super::mixed::Mixed;
use super::topics::ByTopic;
use crate::options::OnFull;

impl Backlog {
    /// From now on messages may have policies of their own; `own` is that of the others.
    pub(crate) fn mix(&mut self, own: OnFull) {
        if matches!(self.yields, Yields::Mixed(_)) {
            return;
        }
        let mut places = match std::mem::take(&mut self.yields) {
            Yields::SameTopic(places) => *places,
            _ => ByTopic::new(),
        };
        places.holes = 0;
        let soft = matches!(own, OnFull::DropOldest | OnFull::Latest);
        let (soft_messages, soft_bytes) = if soft { (self.messages, self.bytes) } else { (0, 0) };
        let mut mixed = Mixed {
            places,
            own,
            soft_messages,
            soft_bytes,
            soft: VecDeque::new(),
            crowded: self.crowded && !soft,
            too_slow: false,
        };
        for mut run in std::mem::take(&mut self.runs) {
            while soft && run.messages() > 1 {
                self.runs.push_back(run.split_first());
            }
            if run.bytes_left() > 0 {
                self.runs.push_back(run);
            }
        }
        mixed.renumber(&self.runs);
        self.yields = Yields::Mixed(Box::new(mixed));
        self.admitted(0);
    }

    pub(crate) fn is_mixed(&self) -> bool {
        matches!(self.yields, Yields::Mixed(_))
    }

    /// Whether a message that disconnects the peer had no room since the last call.
    pub(crate) fn take_too_slow(&mut self) -> bool {
        match &mut self.yields {
            Yields::Mixed(mixed) => std::mem::take(&mut mixed.too_slow),
            _ => false,
        }
    }

    /// Whether firm messages leave no room; with hysteresis, as [`is_full`](Self::is_full).
    pub(crate) fn lacks_room(&self, mark: Mark, was: bool) -> bool {
        let Yields::Mixed(mixed) = &self.yields else { return self.is_full(mark, was) };
        let (messages, bytes) = (self.messages - mixed.soft_messages, self.bytes - mixed.soft_bytes);
        mixed.crowded
            || match was {
                false => messages >= mark.messages || bytes >= mark.bytes,
                true => messages > mark.messages / 2 || bytes > mark.bytes / 2,
            }
    }

    /// Queues a run as far as the firm messages leave room, and makes way for it. Returns how many messages were missed.
    pub(super) fn admit(&mut self, mut run: Run, mark: Mark) -> u64 {
        let Yields::Mixed(mixed) = &self.yields else { return self.append(run) };
        if !mixed.is_soft(&run) {
            return self.admit_firm(run, mark);
        }
        let mut missed = 0;
        while run.messages() > 0 {
            let message = run.split_first();
            missed += self.admit_soft(message, mark);
        }
        missed
    }

    /// What does not give way. A partly written message does not; where one that may give way is to be queued, it counts
    /// towards no mark.
    fn firm(&self, mixed: &Mixed, with_begun: bool) -> (u64, u64) {
        let (messages, bytes) = (self.messages - mixed.soft_messages, self.bytes - mixed.soft_bytes);
        let Some(run) = self.runs.front().filter(|run| run.is_begun()) else { return (messages, bytes) };
        match (mixed.is_soft(run), with_begun) {
            (true, true) => (messages + 1, bytes + run.first_message_bytes()),
            (false, false) => (messages - 1, bytes - run.first_message_bytes()),
            _ => (messages, bytes),
        }
    }

    /// Run by run, messages are queued up to the first that has no room.
    fn admit_firm(&mut self, mut run: Run, mark: Mark) -> u64 {
        let Yields::Mixed(mixed) = &self.yields else { return self.append(run) };
        let (messages, bytes) = self.firm(mixed, true);
        let disconnects = mixed.policy(&run) == OnFull::Disconnect;
        let (room, bytes_room) = match messages {
            // A message larger than the mark still passes alone.
            0 => (mark.messages, mark.bytes.max(run.first_message_bytes())),
            _ if bytes >= mark.bytes => (0, 0),
            _ => (mark.messages.saturating_sub(messages), mark.bytes - bytes),
        };
        let missed = run.truncate(room, bytes_room);
        self.crowded |= missed > 0;
        if let Yields::Mixed(mixed) = &mut self.yields {
            mixed.crowded |= missed > 0;
            mixed.too_slow |= missed > 0 && disconnects;
        }
        let cut = self.to_be_told(&run, missed);
        if run.bytes_left() == 0 {
            self.miss_cut_off(cut, missed);
            return missed;
        }
        self.tell_behind();
        self.messages += run.messages();
        self.bytes += run.bytes_left();
        self.runs.push_back(run);
        self.miss_cut_off(cut, missed);
        missed + self.make_way(mark, None)
    }

    fn admit_soft(&mut self, message: Run, mark: Mark) -> u64 {
        let Yields::Mixed(mixed) = &self.yields else { return self.append(message) };
        let (messages, bytes) = self.firm(mixed, false);
        let fits = messages < mark.messages && message.bytes_left() <= mark.bytes.saturating_sub(bytes);
        if !(fits || messages == 0 || message.is_begun()) {
            self.crowded = true;
            self.miss_newest(&message);
            return 1;
        }
        self.tell_behind();
        let Yields::Mixed(mixed) = &mut self.yields else { return 0 };
        let place = mixed.places.first + self.runs.len() as u64;
        let mut before = None;
        if mixed.is_latest(&message) {
            before = mixed.places.topics.put(message.topic(), place);
            mixed.places.changed |= before.is_none();
        }
        mixed.soft.push_back(place);
        mixed.soft_messages += 1;
        mixed.soft_bytes += message.bytes_left();
        let before = before.map(|before| (before - mixed.places.first) as usize);
        self.messages += 1;
        self.bytes += message.bytes_left();
        self.runs.push_back(message);
        let replaced = before.filter(|&at| !self.runs[at].is_begun());
        replaced.iter().for_each(|&at| self.give_up_soft(at));
        u64::from(replaced.is_some()) + self.make_way(mark, Some(place))
    }

    /// Gives up the oldest messages that may give way, but for the one at `newest`, until the others are within the
    /// marks. Returns how many that were.
    fn make_way(&mut self, mark: Mark, newest: Option<u64>) -> u64 {
        let mut dropped = 0;
        // A partly written message counts where firm messages are queued.
        let begun = self.runs.front().filter(|run| newest.is_some() && run.is_begun());
        let begun = begun.map_or((0, 0), |run| (1, run.first_message_bytes()));
        while self.messages - begun.0 > mark.messages || self.bytes - begun.1 > mark.bytes {
            let Yields::Mixed(mixed) = &mut self.yields else { break };
            let Some(&place) = mixed.soft.front().filter(|&&place| Some(place) != newest) else { break };
            mixed.soft.pop_front();
            let Some(at) = place.checked_sub(mixed.places.first) else { continue };
            let run = &self.runs[at as usize];
            if run.messages() > 0 && !run.is_begun() {
                self.give_up_soft(at as usize);
                dropped += 1;
            }
        }
        self.crowded |= dropped > 0;
        dropped
    }

    /// Removes a message that may give way.
    fn give_up_soft(&mut self, at: usize) {
        let (bytes, messages) = (self.runs[at].bytes_left(), self.runs[at].messages());
        self.miss_at(at);
        if let Yields::Mixed(mixed) = &mut self.yields {
            mixed.soft_messages -= messages;
            mixed.soft_bytes -= bytes;
        }
        self.messages -= messages;
        self.bytes -= bytes;
    }

    /// After runs were admitted behind the first `known`: the rest of a large chunk must not keep the chunk alive.
    pub(super) fn admitted(&mut self, known: usize) {
        self.runs.range_mut(known.min(self.runs.len())..).for_each(Run::stand_alone);
        self.tidy();
    }
}
