//! A notice of Oncue: the state of a topic.

use alloc::vec::Vec;
use core::fmt;

use super::extension::{KIND_STATE, ONCUE_COMMAND};
use super::wire::put_command;

/// The longest text of a state, in bytes.
pub const STATE_TEXT_BYTES_MAX: usize = 255;
/// The longest topic whose state can be sent, in bytes.
pub const STATE_TOPIC_BYTES_MAX: usize = 60_000;

/// What a publisher announces about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Values are published.
    Active,
    /// Values should be published, but are not: the last one may be out of date.
    Stale,
    /// The subscriber is not permitted to receive the values.
    Rejected,
    /// No more values are published.
    Closed,
    /// Nothing that the publisher produces answers this subscription. Older versions ignore it.
    Unserved,
}

impl State {
    /// Whether it is about a subscription, and so about a prefix, rather than about a topic.
    pub fn is_of_prefix(self) -> bool {
        matches!(self, State::Rejected | State::Unserved)
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            State::Active => 1,
            State::Stale => 2,
            State::Rejected => 3,
            State::Closed => 4,
            State::Unserved => 5,
        }
    }

    /// The state with this number.
    pub fn from_number(number: u8) -> Option<State> {
        [State::Active, State::Stale, State::Rejected, State::Closed, State::Unserved]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Active => "active",
            State::Stale => "stale",
            State::Rejected => "rejected",
            State::Closed => "closed",
            State::Unserved => "unserved",
        })
    }
}

/// The state of a topic, or of a prefix ([`State::is_of_prefix`]), as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateNews<'a> {
    /// The state.
    pub state: State,
    /// The topic, or the prefix.
    pub topic: &'a [u8],
    /// Bytes of any value, cut to [`STATE_TEXT_BYTES_MAX`], meant as text.
    pub text: &'a [u8],
}

/// Parses what follows the kind; `None` for malformed data.
pub(super) fn parse(data: &[u8]) -> Option<StateNews<'_>> {
    let [state, high, low, rest @ ..] = data else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (topic, text) = rest.split_at_checked(len).filter(|_| len <= STATE_TOPIC_BYTES_MAX)?;
    let text = text.get(..STATE_TEXT_BYTES_MAX).unwrap_or(text);
    Some(StateNews { state: State::from_number(*state)?, topic, text })
}

/// Appends an [`ONCUE_COMMAND`] that tells a state.
///
/// # Panics
/// When the topic is longer than [`STATE_TOPIC_BYTES_MAX`] or the text than [`STATE_TEXT_BYTES_MAX`].
pub fn put_state(out: &mut Vec<u8>, news: &StateNews<'_>) {
    assert!(news.topic.len() <= STATE_TOPIC_BYTES_MAX, "the topic is too long for its state to be sent");
    assert!(news.text.len() <= STATE_TEXT_BYTES_MAX, "the text of a state is too long");
    let [high, low] = (news.topic.len() as u16).to_be_bytes();
    let head = [KIND_STATE, news.state.number(), high, low];
    put_command(out, ONCUE_COMMAND, &[&head, news.topic, news.text]);
}
