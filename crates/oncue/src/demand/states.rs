//! What subscribers are told of a topic beside its values.

use std::sync::Arc;

use oncue_core::demand::TopicState;

use crate::socket::XPub;

/// Where states go.
pub(super) struct States {
    socket: XPub,
    prefix: Option<Arc<[u8]>>,
}

impl States {
    pub(super) fn new(socket: XPub, prefix: Option<Arc<[u8]>>) -> States {
        States { socket, prefix }
    }

    pub(super) fn tell(&self, topic: &[u8], state: TopicState) {
        let Some(prefix) = &self.prefix else { return };
        let status = [prefix, topic].concat();
        let Some(text) = text(state) else {
            self.socket.forget_last(status);
            return;
        };
        // A socket that is closed or full takes it as it takes values.
        let _ = self.socket.send_last((status, text));
    }
}

fn text(state: TopicState) -> Option<&'static str> {
    match state {
        TopicState::Idle => None,
        TopicState::Active => Some("active"),
        TopicState::Stale => Some("stale"),
        TopicState::Closed => Some("closed"),
    }
}
