//! A command of Oncue beside those of RFC 37: the state of a topic, for peers that sent `X-Oncue` in their READY.

use alloc::vec::Vec;
use core::fmt;

use super::wire::put_command;

/// The READY property by which a peer says that it understands [`STATE_COMMAND`]s, and its value.
pub const ONCUE_PROPERTY: (&str, &[u8]) = ("X-Oncue", b"1");
/// The name of the command. RFC 37 allows letters only.
pub const STATE_COMMAND: &str = "ONCUE";
/// The longest text of a state, in bytes.
pub const STATE_TEXT_BYTES_MAX: usize = 255;
/// The longest topic whose state can be sent, in bytes.
pub const STATE_TOPIC_BYTES_MAX: usize = 60_000;

/// The first byte of the data: the kind of news. Other values are reserved.
const KIND_STATE: u8 = 1;

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

/// Parses the data of a [`STATE_COMMAND`]; `None` for the kinds of later versions and for malformed data.
pub(super) fn parse(data: &[u8]) -> Option<StateNews<'_>> {
    let [KIND_STATE, state, high, low, rest @ ..] = data else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (topic, text) = rest.split_at_checked(len).filter(|_| len <= STATE_TOPIC_BYTES_MAX)?;
    let text = text.get(..STATE_TEXT_BYTES_MAX).unwrap_or(text);
    Some(StateNews { state: State::from_number(*state)?, topic, text })
}

/// Appends a [`STATE_COMMAND`].
///
/// # Panics
/// When the topic is longer than [`STATE_TOPIC_BYTES_MAX`] or the text than [`STATE_TEXT_BYTES_MAX`].
pub fn put_state(out: &mut Vec<u8>, news: &StateNews<'_>) {
    assert!(news.topic.len() <= STATE_TOPIC_BYTES_MAX, "the topic is too long for its state to be sent");
    assert!(news.text.len() <= STATE_TEXT_BYTES_MAX, "the text of a state is too long");
    let [high, low] = (news.topic.len() as u16).to_be_bytes();
    let head = [KIND_STATE, news.state.number(), high, low];
    put_command(out, STATE_COMMAND, &[&head, news.topic, news.text]);
}
