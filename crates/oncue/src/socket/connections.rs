//! Watching the connections of a socket.

use std::sync::Arc;

use super::inner::Inner;
use crate::connection::ConnectionEvent;
use crate::engine::hub::connections::ConnectionWatch;
use crate::error::Result;
use crate::op::Op;

/// What happens to the connections of one socket, from the moment it is made (see [`Pub::events`](crate::Pub::events)).
///
/// At most 1,024 events wait to be taken. Beyond that the older events of an endpoint give way to its newest one, a peer that
/// came and went is left out altogether, and after these the oldest events about accepted peers are; the newest event of an
/// endpoint that the socket is bound or connected to stays. [`missed`](ConnectionEvents::missed) counts them.
pub struct ConnectionEvents {
    socket: Arc<Inner>,
    watch: Arc<ConnectionWatch>,
}

impl ConnectionEvents {
    pub(super) fn new(socket: &Arc<Inner>) -> ConnectionEvents {
        ConnectionEvents { socket: socket.clone(), watch: socket.hub.connections.watch() }
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all events are taken. What the close itself does to
    /// endpoints and peers is not told.
    pub fn next(&self) -> Op<impl Future<Output = Result<ConnectionEvent>> + Send + Unpin + '_> {
        self.socket.wait_for(&self.watch.waiters, || self.watch.pop())
    }

    /// The next event if there is one now.
    ///
    /// # Errors
    /// As [`next`](ConnectionEvents::next).
    pub fn try_next(&self) -> Result<Option<ConnectionEvent>> {
        self.socket.try_now(|| self.watch.pop())
    }

    /// How many events were left out because they were not taken in time.
    pub fn missed(&self) -> u64 {
        self.watch.missed()
    }
}

impl Drop for ConnectionEvents {
    fn drop(&mut self) {
        if !self.socket.hub.is_forked() {
            self.socket.hub.connections.unwatch(&self.watch);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Options, Sub};

    #[test]
    fn events_are_made_only_while_somebody_watches() {
        let subscriber = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let connections = &subscriber.0.hub.connections;
        assert!(!connections.are_watched());
        let (first, second) = (subscriber.events(), subscriber.events());
        drop(first);
        assert!(connections.are_watched());
        drop(second);
        assert!(!connections.are_watched());
        for _ in 0..1000 {
            drop(subscriber.events());
        }
        assert!(!connections.are_watched());
    }
}
