//! The states of topics: subscribers that understand states are told them by commands, all others by messages under the
//! status prefix.

use std::sync::Arc;

use oncue_core::feeds::FeedState;

use crate::State;
use crate::socket::XPub;

/// Where states go.
pub(crate) struct States {
    socket: XPub,
    prefix: Option<Arc<[u8]>>,
}

impl States {
    pub(crate) fn new(socket: XPub, prefix: Option<Arc<[u8]>>) -> States {
        States { socket, prefix }
    }

    pub(crate) fn tell(&self, topic: &[u8], state: FeedState) {
        let status = self.prefix.as_ref().map(|prefix| [prefix, topic].concat());
        // The text does not tell why a feed failed: that is for the operator alone.
        let (state, text) = match state {
            FeedState::Idle => {
                self.socket.clear_state(topic);
                status.map(|status| self.socket.forget_last(status));
                return;
            }
            FeedState::Active => (State::Active, ""),
            FeedState::Stale => (State::Stale, "its producer starts again"),
            FeedState::Closed => (State::Closed, "its producer has ended"),
        };
        // A closed or full socket drops it as it drops values; a topic that is too long for a state has none.
        let _ = self.socket.set_state(topic, state, text);
        if let Some(status) = status {
            let _ = self.socket.send_last((status, state.to_string()));
        }
    }
}
