//! Where the values of one feed go out: at once, or when their time has come.

use std::sync::Arc;
use std::time::Duration;

use super::route::FeedRoute;
use crate::error::{ErrorKind, Result};
use crate::socket::XPub;

pub(super) struct Outlet {
    /// Where to send, while the feed is active.
    socket: Option<XPub>,
    /// When the next value may be sent, if the route spaces them.
    next: Duration,
    /// The latest of the values that came before then.
    held: Option<Vec<u8>>,
}

/// What became of a value.
pub(super) enum Put {
    Sent,
    /// To be released then.
    Held {
        until: Duration,
    },
    /// It has taken the place of one that is held.
    Superseded,
    /// The socket did not take it.
    Refused,
    /// The socket is closed.
    Closed,
    /// The feed has stopped.
    Late,
}

impl Outlet {
    pub(super) fn new(socket: XPub) -> Outlet {
        Outlet { socket: Some(socket), next: Duration::ZERO, held: None }
    }

    pub(super) fn socket(&self) -> Option<&XPub> {
        self.socket.as_ref()
    }

    /// Sends a value of a topic of this route, or holds it until its time has come.
    pub(super) fn put(
        &mut self,
        route: &FeedRoute,
        topic: &Arc<[u8]>,
        value: &[u8],
        now: impl FnOnce() -> Duration,
    ) -> Put {
        let Some(socket) = &self.socket else { return Put::Late };
        let Some(spacing) = route.spacing else { return route.send(socket, topic, value).into() };
        if let Some(held) = &mut self.held {
            held.clear();
            held.extend_from_slice(value);
            return Put::Superseded;
        }
        let now = now();
        if self.next > now {
            self.held = Some(value.to_vec());
            return Put::Held { until: self.next };
        }
        self.next = now.saturating_add(spacing);
        route.send(socket, topic, value).into()
    }

    /// Sends the value that is held, if any.
    pub(super) fn release(&mut self, route: &FeedRoute, topic: &Arc<[u8]>, now: Duration) -> Option<Put> {
        let (socket, value) = (self.socket.as_ref()?, self.held.take()?);
        self.next = now.saturating_add(route.spacing?);
        Some(route.send(socket, topic, &value).into())
    }

    /// Nothing is sent any more. Returns the socket, to be dropped outside of locks.
    pub(super) fn close(&mut self) -> Option<XPub> {
        self.held = None;
        self.socket.take()
    }
}

impl From<Result<()>> for Put {
    fn from(sent: Result<()>) -> Put {
        match sent {
            Ok(()) => Put::Sent,
            Err(error) if error.kind() == ErrorKind::Closed => Put::Closed,
            Err(_) => Put::Refused,
        }
    }
}
