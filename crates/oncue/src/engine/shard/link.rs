//! One endpoint that a socket is bound or connected to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::engine::hub::{Hub, Shut};
use crate::sync::lock;

/// What a dialer's try came to.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// No connection was made.
    Nothing,
    /// One was made, and is over. Since when its handshake was done, if it ever was.
    Connection { since: Option<Duration> },
}

/// One endpoint that a socket is bound or connected to.
pub(crate) struct Link<L> {
    pub(crate) uid: u64,
    pub(crate) hub: Arc<Hub>,
    /// As the user wrote it, and as it came out.
    pub(crate) asked: Endpoint,
    pub(crate) resolved: Endpoint,
    pub(crate) kind: Kind<L>,
}

pub(crate) enum Kind<L> {
    Listener(Arc<Door<L>>),
    Dialer {
        /// Tries in a row that came to nothing, or to a connection that did not last.
        failures: u32,
        /// How many places behind the first of its host's addresses it begins: one more for each connection that was made
        /// and did not last. Somebody else may be there.
        turn: u32,
    },
}

/// A listener that its socket shuts as soon as it is closed, on the closing thread: whoever binds the endpoint next must
/// not find it taken.
pub(crate) struct Door<L>(pub(crate) Mutex<Option<L>>);

impl<L: Send> Shut for Door<L> {
    fn shut(&self) {
        let listener = lock(&self.0).take();
        drop(listener);
    }
}

impl<L> Link<L> {
    pub(crate) fn is(&self, hub: &Hub, endpoint: &Endpoint, listener: bool) -> bool {
        self.hub.id == hub.id
            && (self.asked == *endpoint || self.resolved == *endpoint)
            && matches!(self.kind, Kind::Listener(_)) == listener
    }
}

impl<L: Send> Link<L> {
    /// Listens no more, if it did.
    pub(crate) fn shut(self) {
        if let Kind::Listener(door) = self.kind {
            door.shut();
        }
    }
}
