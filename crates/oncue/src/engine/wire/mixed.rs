//! Which of the messages of a queue may give way, where they have policies of their own.

use std::collections::VecDeque;

use super::chunk::Run;
use super::topics::ByTopic;
use crate::options::OnFull;

/// The bookkeeping of such a backlog. Each run of messages that may give way is one message.
pub(crate) struct Mixed {
    pub(super) places: ByTopic,
    /// The policy of messages without one of their own.
    pub(super) own: OnFull,
    /// The messages that may give way, and their bytes; a partly written one is among them, and gives way no more.
    pub(super) soft_messages: u64,
    pub(super) soft_bytes: u64,
    /// Their positions, in order; those that have left are skipped.
    pub(super) soft: VecDeque<u64>,
    /// A firm message was missed since the last time that no firm message waited.
    pub(super) crowded: bool,
    /// A message was missed whose policy is to disconnect the peer.
    pub(super) too_slow: bool,
}

impl Mixed {
    pub(super) fn policy(&self, run: &Run) -> OnFull {
        run.on_full().unwrap_or(self.own)
    }

    pub(super) fn is_soft(&self, run: &Run) -> bool {
        matches!(self.policy(run), OnFull::DropOldest | OnFull::Latest)
    }

    /// Whether the newest message of its topic takes the place of this one.
    pub(super) fn is_latest(&self, run: &Run) -> bool {
        self.policy(run) == OnFull::Latest
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> &super::topics::Topics {
        &self.places.topics
    }

    /// `bytes` of a run were written, and with them this number of messages. `left`: how many messages wait.
    pub(super) fn wrote(&mut self, run: &Run, bytes: u64, messages: u64, left: u64) {
        if self.is_soft(run) {
            self.soft_bytes -= bytes;
            self.soft_messages -= messages;
        }
        self.crowded &= left > self.soft_messages;
    }

    /// Forgets the positions of messages that have left at the front.
    pub(super) fn forget_left(&mut self) {
        while self.soft.front().is_some_and(|&place| place < self.places.first) {
            self.soft.pop_front();
        }
    }

    /// The runs have other positions.
    pub(super) fn renumber(&mut self, runs: &VecDeque<Run>) {
        self.soft.clear();
        for (place, run) in (self.places.first..).zip(runs).filter(|(_, run)| run.messages() > 0) {
            if self.is_soft(run) {
                self.soft.push_back(place);
            }
            if self.is_latest(run) {
                self.places.topics.put(run.topic(), place);
            }
        }
    }
}
