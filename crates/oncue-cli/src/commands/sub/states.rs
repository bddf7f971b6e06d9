//! The states of topics that publishers tell: what is said about them, and when all are closed.

use std::collections::BTreeSet;

use oncue::{Prefix, State, TopicState};

use crate::fail::Fail;
use crate::output;
use crate::stdio::say;

/// The memory for topics in trouble, which are remembered to say when the trouble is over.
const TROUBLES_BYTES_MAX: usize = 1 << 20;
/// What each of them takes beside its own bytes.
const TROUBLE_OVERHEAD_BYTES: usize = 64;

/// Which of some topics are closed.
pub(super) struct Closing {
    topics: BTreeSet<Vec<u8>>,
    closed: BTreeSet<Vec<u8>>,
}

impl Closing {
    pub(super) fn new(topics: Vec<Vec<u8>>) -> Closing {
        Closing { topics: topics.into_iter().collect(), closed: BTreeSet::new() }
    }

    /// Takes the state of any topic.
    ///
    /// # Errors
    /// When one of the topics is rejected: it will not be closed.
    pub(super) fn follow(&mut self, state: &TopicState) -> Result<(), Fail> {
        let Some(topic) = self.topics.get(&state.topic[..]) else { return Ok(()) };
        match state.state {
            State::Closed => drop(self.closed.insert(topic.clone())),
            State::Rejected => {
                return Err(Fail::Runtime(format!(
                    "{} will not be closed: it is rejected",
                    output::escaped(topic)
                )));
            }
            _ => drop(self.closed.remove(topic)),
        }
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.closed.len() == self.topics.len()
    }
}

/// The topics that were said to be stale, closed or rejected.
#[derive(Default)]
pub(super) struct Troubles {
    topics: BTreeSet<Prefix>,
    bytes: usize,
}

impl Troubles {
    /// Says that a topic is in trouble, or active again.
    pub(super) fn tell(&mut self, state: &TopicState) {
        let was = match state.state {
            State::Active => self.forget(&state.topic),
            _ => {
                self.remember(&state.topic);
                true
            }
        };
        if was {
            let mut text = format!("{} is {}", output::escaped(&state.topic), state.state);
            if !state.text.is_empty() {
                text.push_str(&format!(": {}", output::escaped(state.text.as_bytes())));
            }
            say("sub", &text);
        }
    }

    /// Remembers a topic, if there is room.
    fn remember(&mut self, topic: &Prefix) {
        let bytes = self.bytes + topic.len() + TROUBLE_OVERHEAD_BYTES;
        if bytes <= TROUBLES_BYTES_MAX && self.topics.insert(topic.clone()) {
            self.bytes = bytes;
        }
    }

    /// Returns whether the topic was remembered.
    fn forget(&mut self, topic: &Prefix) -> bool {
        let was = self.topics.remove(topic);
        if was {
            self.bytes -= topic.len() + TROUBLE_OVERHEAD_BYTES;
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_in_trouble_are_remembered_within_a_bound_in_bytes() {
        let mut troubles = Troubles::default();
        let long = |number: u32| Prefix::from([&number.to_be_bytes()[..], &[b'x'; 50_000]].concat());
        (0..1000).for_each(|number| troubles.remember(&long(number)));
        (0..1000).for_each(|number| troubles.remember(&long(number)));
        let held: usize = troubles.topics.iter().map(|topic| topic.len()).sum();
        assert!((TROUBLES_BYTES_MAX / 2..TROUBLES_BYTES_MAX).contains(&held), "{held} bytes");
        let known = (0..1000).filter(|number| troubles.forget(&long(*number))).count();
        assert!(known >= 10 && troubles.bytes == 0 && !troubles.forget(&long(0)));
    }
}
