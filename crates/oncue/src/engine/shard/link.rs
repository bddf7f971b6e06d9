//! One endpoint that a socket is bound or connected to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::engine::hub::{Hub, Shut};
use crate::engine::peer::end::End;
use crate::options::ReconnectStop;
use crate::sync::lock;

/// The outcome of a dialer's attempt.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// No connection was made.
    Nothing,
    /// A connection was made, and is over. `since`: when its handshake was done, if it was. `unnamed`: the peer left in the
    /// handshake when it had read our socket type, and before it told its own.
    Connection { since: Option<Duration>, unnamed: bool },
}

/// One endpoint that a socket is bound or connected to.
pub(crate) struct Link<L> {
    pub(crate) uid: u64,
    pub(crate) hub: Arc<Hub>,
    /// As the user wrote it, and with its wildcards resolved.
    pub(crate) asked: Arc<Endpoint>,
    pub(crate) resolved: Arc<Endpoint>,
    pub(crate) kind: Kind<L>,
}

pub(crate) enum Kind<L> {
    Listener(Arc<Door<L>>),
    Dialer {
        /// Attempts in a row that failed, or made a connection that did not last.
        failures: u32,
        /// Which of its host's addresses is tried first, counted from the first one: one further after each connection
        /// that did not last. Another program may be there.
        turn: u32,
        /// A peer has left unnamed: the next one is to tell its socket type before we do
        /// ([`HandshakeConfig::ready_last`](oncue_core::connection::HandshakeConfig::ready_last)), until one is connected.
        ready_last: bool,
    },
}

/// A listener that its socket shuts when it is closed, on the closing thread: the endpoint is free at once.
pub(crate) struct Door<L>(pub(crate) Mutex<Option<L>>);

impl<L: Send> Shut for Door<L> {
    fn shut(&self) {
        let listener = lock(&self.0).take();
        drop(listener);
    }
}

impl Outcome {
    /// Whether an attempt that has ended so is the last one of a socket that stops after these conditions.
    pub(crate) fn is_last(self, conditions: ReconnectStop, why: &End) -> bool {
        if conditions == ReconnectStop::NEVER {
            return false;
        }
        conditions.contains(match self {
            Outcome::Nothing if why.is_nothing_there() => ReconnectStop::CONNECTION_REFUSED,
            Outcome::Nothing => ReconnectStop::ALWAYS,
            Outcome::Connection { since: None, .. } => ReconnectStop::HANDSHAKE_FAILED,
            Outcome::Connection { since: Some(_), .. } => ReconnectStop::DISCONNECTED,
        })
    }
}

impl<L> Link<L> {
    pub(crate) fn is(&self, hub: &Hub, endpoint: &Endpoint, listener: bool) -> bool {
        self.hub.id == hub.id
            && (*self.asked == *endpoint || *self.resolved == *endpoint)
            && matches!(self.kind, Kind::Listener(_)) == listener
    }
}

impl<L: Send> Link<L> {
    /// Stops listening, if it is a listener.
    pub(crate) fn shut(self) {
        if let Kind::Listener(door) = self.kind {
            door.shut();
        }
    }
}
