//! Where the values of one feed go out: at once, or when their time has come.

use std::time::{Duration, Instant};

use crate::error::ErrorKind;
use crate::socket::XPub;

pub(super) struct Outlet {
    /// Where to send, while the feed is active.
    socket: Option<XPub>,
    pace: Option<Pace>,
}

/// At most one value every so often: the latest.
struct Pace {
    spacing: Duration,
    /// When the next value may be sent.
    next: Option<Instant>,
    held: Option<Vec<u8>>,
}

/// What became of a value.
pub(super) enum Put {
    Sent,
    /// To be released then.
    Held {
        until: Instant,
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
    pub(super) fn new(socket: XPub, spacing: Option<Duration>) -> Outlet {
        let pace = spacing.map(|spacing| Pace { spacing, next: None, held: None });
        Outlet { socket: Some(socket), pace }
    }

    /// Sends a value, or holds it until its time has come.
    pub(super) fn put(&mut self, topic: &[u8], value: &[u8], now: impl FnOnce() -> Instant) -> Put {
        let Some(socket) = &self.socket else { return Put::Late };
        let Some(pace) = &mut self.pace else { return send(socket, topic, value) };
        if let Some(held) = &mut pace.held {
            held.clear();
            held.extend_from_slice(value);
            return Put::Superseded;
        }
        let now = now();
        match pace.next.filter(|next| *next > now) {
            Some(until) => {
                pace.held = Some(value.to_vec());
                Put::Held { until }
            }
            None => {
                pace.next = now.checked_add(pace.spacing);
                send(socket, topic, value)
            }
        }
    }

    /// Sends what is held, if anything.
    pub(super) fn release(&mut self, topic: &[u8], now: impl FnOnce() -> Instant) -> Option<Put> {
        let (socket, pace) = (self.socket.as_ref()?, self.pace.as_mut()?);
        let value = pace.held.take()?;
        pace.next = now().checked_add(pace.spacing);
        Some(send(socket, topic, &value))
    }

    /// Nothing is sent any more.
    pub(super) fn close(&mut self) -> Option<XPub> {
        if let Some(pace) = &mut self.pace {
            pace.held = None;
        }
        self.socket.take()
    }
}

fn send(socket: &XPub, topic: &[u8], value: &[u8]) -> Put {
    match socket.send((topic, value)) {
        Ok(()) => Put::Sent,
        Err(error) if error.kind() == ErrorKind::Closed => Put::Closed,
        Err(_) => Put::Refused,
    }
}
