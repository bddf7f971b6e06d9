//! Where the values of one feed go out: at once, or when their time has come.

use std::sync::Arc;
use std::time::Duration;

use super::keep::Keep;
use crate::error::ErrorKind;
use crate::socket::XPub;

pub(crate) struct Outlet {
    /// Where to send, while the feed is active.
    socket: Option<XPub>,
    pace: Option<Pace>,
}

/// At most one value every so often: the latest.
struct Pace {
    spacing: Duration,
    /// When the next value may be sent.
    next: Duration,
    held: Option<Vec<u8>>,
}

/// Where a value goes, and whether it is kept there.
pub(crate) struct Address<'a> {
    pub(crate) topic: &'a Arc<[u8]>,
    pub(crate) keep: Option<&'a Keep>,
}

/// What became of a value.
pub(crate) enum Put {
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
    pub(crate) fn new(socket: XPub, spacing: Option<Duration>) -> Outlet {
        let pace = spacing.map(|spacing| Pace { spacing, next: Duration::ZERO, held: None });
        Outlet { socket: Some(socket), pace }
    }

    pub(crate) fn socket(&self) -> Option<&XPub> {
        self.socket.as_ref()
    }

    /// Sends a value, or holds it until its time has come.
    pub(crate) fn put(&mut self, to: &Address<'_>, value: &[u8], now: impl FnOnce() -> Duration) -> Put {
        let Some(socket) = &self.socket else { return Put::Late };
        let Some(pace) = &mut self.pace else { return to.send(socket, value) };
        if let Some(held) = &mut pace.held {
            held.clear();
            held.extend_from_slice(value);
            return Put::Superseded;
        }
        let now = now();
        if pace.next > now {
            pace.held = Some(value.to_vec());
            return Put::Held { until: pace.next };
        }
        pace.next = now.saturating_add(pace.spacing);
        to.send(socket, value)
    }

    /// Sends what is held, if anything.
    pub(crate) fn release(&mut self, to: &Address<'_>, now: Duration) -> Option<Put> {
        let (socket, pace) = (self.socket.as_ref()?, self.pace.as_mut()?);
        let value = pace.held.take()?;
        pace.next = now.saturating_add(pace.spacing);
        Some(to.send(socket, &value))
    }

    /// Nothing is sent any more.
    pub(crate) fn close(&mut self) -> Option<XPub> {
        if let Some(pace) = &mut self.pace {
            pace.held = None;
        }
        self.socket.take()
    }
}

impl Address<'_> {
    fn send(&self, socket: &XPub, value: &[u8]) -> Put {
        let sent = match self.keep {
            Some(keep) => keep.send(socket, self.topic, value),
            None => socket.send((&**self.topic, value)),
        };
        match sent {
            Ok(()) => Put::Sent,
            Err(error) if error.kind() == ErrorKind::Closed => Put::Closed,
            Err(_) => Put::Refused,
        }
    }
}
