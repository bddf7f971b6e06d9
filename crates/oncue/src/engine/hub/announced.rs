//! The states of topics: what a publisher tells peers that understand states (docs/WIRE.md), and what a subscriber has
//! heard.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::command::{STATE_TEXT_BYTES_MAX, State, StateNews, put_state};
use oncue_core::edges::Prefix;

use super::kept::LastValues;
use crate::msg::Msg;
use crate::op::Waiters;
use crate::sync::lock;

/// How many bytes of states a publisher keeps for new subscribers.
const PUBLISHED_BYTES_MAX: u64 = 16 << 20;
/// How many states, and how many bytes of them, wait for a subscriber's user. Beyond it the oldest are dropped.
const HEARD_MAX: usize = 10_000;
const HEARD_BYTES_MAX: usize = 4 << 20;

/// What a publisher has said about a topic.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicState {
    /// The topic, or a prefix that this socket has subscribed to, see [`State::is_of_prefix`].
    pub topic: Prefix,
    /// Its state.
    pub state: State,
    /// The reason, for people; often empty.
    pub text: String,
}

impl fmt::Debug for TopicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is {} ({:?})", self.topic, self.state, self.text)
    }
}

/// The states of one socket's topics.
pub(crate) struct States {
    /// By topic: a message of the topic, the number of the state, and the text.
    pub(crate) published: LastValues,
    heard: Mutex<Heard>,
    pub(crate) waiters: Waiters,
    pub(crate) heard_missed: AtomicU64,
    /// How many peers understand states.
    listeners: Arc<AtomicUsize>,
}

/// A peer that understands states, while it is connected.
pub(crate) struct Listener(Arc<AtomicUsize>);

#[derive(Default)]
struct Heard {
    queue: VecDeque<TopicState>,
    bytes: usize,
}

impl States {
    pub(crate) fn new() -> States {
        let (heard, waiters, heard_missed, listeners) = Default::default();
        States { published: LastValues::new(PUBLISHED_BYTES_MAX), heard, waiters, heard_missed, listeners }
    }

    /// Counts a peer that understands states, before it may subscribe.
    pub(crate) fn listener(&self) -> Listener {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listener(self.listeners.clone())
    }

    /// Whether a peer may have to be told a state that is kept already. One that comes later finds it there when it subscribes.
    pub(crate) fn have_listeners(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// Takes in what a publisher says.
    pub(crate) fn hear(&self, news: &StateNews<'_>, wakes: &mut Vec<Waker>) {
        let text = String::from_utf8_lossy(news.text).into_owned();
        let heard = TopicState { topic: Prefix::from(news.topic), state: news.state, text };
        let mut all = lock(&self.heard);
        all.bytes += heard.bytes();
        all.queue.push_back(heard);
        while all.queue.len() > HEARD_MAX || all.bytes > HEARD_BYTES_MAX {
            all.pop();
            self.heard_missed.fetch_add(1, Ordering::Relaxed);
        }
        self.waiters.take(wakes);
    }

    pub(crate) fn pop(&self) -> Option<TopicState> {
        lock(&self.heard).pop()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Heard {
    fn pop(&mut self) -> Option<TopicState> {
        let oldest = self.queue.pop_front()?;
        self.bytes -= oldest.bytes();
        Some(oldest)
    }
}

impl TopicState {
    fn bytes(&self) -> usize {
        size_of::<TopicState>() + self.topic.len() + self.text.len()
    }
}

/// Whether a kept state is about a prefix, and only for peers that have subscribed to exactly this one.
pub(crate) fn is_of_prefix(value: &Msg) -> bool {
    state_of(value).is_some_and(State::is_of_prefix)
}

/// What a kept state says.
pub(crate) fn state_of(value: &Msg) -> Option<State> {
    State::from_number(*value.frame(1)?.first()?)
}

/// Encodes a kept state as a command.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Msg) {
    let mut frames = value.frames();
    let (Some(topic), Some(&[number]), Some(text)) = (frames.next(), frames.next(), frames.next()) else {
        unreachable!("a state is kept as a topic, a number and a text");
    };
    let state = State::from_number(number).expect("as it was kept");
    put_state(out, &StateNews { state, topic, text: &text[..text.len().min(STATE_TEXT_BYTES_MAX)] });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_listeners_while_a_peer_is_there_that_understands_states() {
        let states = States::new();
        assert!(!states.have_listeners());
        let (one, two) = (states.listener(), states.listener());
        drop(one);
        assert!(states.have_listeners());
        drop(two);
        assert!(!states.have_listeners());
    }
}
