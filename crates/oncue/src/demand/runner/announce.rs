//! The states of topics: subscribers that understand states are told them by commands, all others by messages under the
//! status prefix.

use std::sync::Arc;

use oncue_core::feeds::FeedState;
use oncue_pattern::Pattern;

use crate::State;
use crate::socket::XPub;

/// Where states go.
pub(crate) struct States {
    socket: XPub,
    prefix: Option<Arc<[u8]>>,
    /// Whether subscribers are told that a prefix is unserved.
    tells_unserved: bool,
}

impl States {
    pub(crate) fn new(socket: XPub, prefix: Option<Arc<[u8]>>, tells_unserved: bool) -> States {
        States { socket, prefix, tells_unserved }
    }

    /// Whether a subscription is to states, and so no demand for a topic.
    pub(crate) fn covers(&self, prefix: &[u8]) -> bool {
        self.prefix.as_ref().is_some_and(|states| prefix.starts_with(states))
    }

    pub(crate) fn tell(&self, topic: &[u8], state: FeedState) {
        // The text does not tell why a feed failed: that is for the operator alone.
        let (state, text) = match state {
            FeedState::Idle => return self.clear(topic),
            FeedState::Active => (State::Active, ""),
            FeedState::Stale => (State::Stale, "its producer starts again"),
            FeedState::Closed => (State::Closed, "its producer has ended"),
        };
        self.set(topic, state, text);
    }

    /// Tells why no feed comes of a prefix; `None` withdraws that.
    pub(crate) fn tell_unserved(&self, prefix: &[u8], why: Option<&str>) {
        match why {
            _ if !self.tells_unserved => {}
            Some(why) => self.set(prefix, State::Unserved, why),
            None => self.clear(prefix),
        }
    }

    fn set(&self, topic: &[u8], state: State, text: &str) {
        // A closed or full socket drops it as it drops values; a topic that is too long for a state has none.
        let _ = self.socket.set_state(topic, state, text.to_owned());
        if let Some(status) = self.status(topic) {
            let _ = self.socket.send_last((status, state.to_string()));
        }
    }

    fn clear(&self, topic: &[u8]) {
        self.socket.clear_state(topic);
        self.status(topic).map(|status| self.socket.forget_last(status));
    }

    /// Where the state of a topic is published.
    fn status(&self, topic: &[u8]) -> Option<Vec<u8>> {
        self.prefix.as_ref().map(|prefix| [prefix, topic].concat())
    }
}

/// Why no feed comes of a prefix, and the remedy. `route` is one whose topics begin with it.
pub(crate) fn why_unserved(route: Option<&Pattern>) -> String {
    match route {
        None => "no route serves this topic".to_owned(),
        Some(route) => format!(
            "topics of `{route}` begin with it; subscribe to whole topics, or give the route a catalogue"
        ),
    }
}
