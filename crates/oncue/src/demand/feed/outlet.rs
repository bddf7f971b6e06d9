//! Where the values of one feed go out: at once, or when their time has come.

use std::sync::Arc;
use std::time::Duration;

use oncue_pattern::Params;

use super::route::FeedRoute;
use super::value::{Held, Value};
use crate::batch::Batch;
use crate::error::{ErrorKind, Result};
use crate::socket::XPub;

pub(super) struct Outlet {
    /// Where to send, while the feed is active.
    socket: Option<XPub>,
    /// When the next value may be sent, if the route spaces them.
    next: Duration,
    /// The latest of the values that came before then.
    held: Option<Held>,
    /// How many messages the topic has had, if the route counts them.
    count: u64,
    /// When the last value was sent, if the route rests after one.
    last: Option<Duration>,
    /// How many subscribers the topic had when they were counted last, and the version of demand then.
    counted: Option<(u64, u64)>,
}

/// The topic that values are of.
pub(super) struct Subject<'a> {
    pub(super) route: &'a FeedRoute,
    pub(super) topic: &'a Arc<[u8]>,
    pub(super) params: &'a Params,
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
    /// `count`: how many messages the topic has had.
    pub(super) fn new(socket: XPub, count: u64) -> Outlet {
        Outlet { socket: Some(socket), next: Duration::ZERO, held: None, count, last: None, counted: None }
    }

    pub(super) fn socket(&self) -> Option<&XPub> {
        self.socket.as_ref()
    }

    /// How many subscribers the topic has. They are counted again only if demand has changed.
    pub(super) fn subscribers(&mut self, topic: &[u8]) -> u64 {
        let Some(socket) = &self.socket else { return 0 };
        // Before they are counted.
        let version = socket.demand_version();
        match self.counted {
            Some((subscribers, at)) if at == version => subscribers,
            _ => {
                let subscribers = socket.subscribers(topic) as u64;
                self.counted = Some((subscribers, version));
                subscribers
            }
        }
    }

    /// When the last value was sent, if the route rests after one.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Sends a value, or holds it until its time has come.
    pub(super) fn put(&mut self, of: &Subject<'_>, value: Value<'_>, now: impl Fn() -> Duration) -> Put {
        if self.socket.is_none() {
            return Put::Late;
        }
        let Some(spacing) = of.route.spacing else { return self.send(of, value, now) };
        if let Some(held) = &mut self.held {
            held.replace(value);
            return Put::Superseded;
        }
        let at = now();
        if self.next > at {
            self.held = Some(Held::new(value));
            return Put::Held { until: self.next };
        }
        self.next = at.saturating_add(spacing);
        self.send(of, value, now)
    }

    /// Sends the value that is held, if any.
    pub(super) fn release(&mut self, of: &Subject<'_>, now: impl Fn() -> Duration) -> Option<Put> {
        let held = self.held.take()?;
        self.next = now().saturating_add(of.route.spacing?);
        Some(held.with(|value| self.send(of, value, now)))
    }

    fn send(&mut self, of: &Subject<'_>, value: Value<'_>, now: impl Fn() -> Duration) -> Put {
        let Some(socket) = &self.socket else { return Put::Late };
        let sent = match (value, &of.route.layout) {
            (Value::One(value), None) => of.route.send(socket, of.topic, &(&**of.topic, value), &now),
            (Value::One(value), Some(layout)) => {
                let frames = layout.fill(of.topic, of.params, value, self.count + 1);
                let sent = of.route.send(socket, of.topic, &frames[..], &now);
                self.count += u64::from(sent.is_ok());
                sent
            }
            (Value::Frames(frames), _) => {
                let frames = [&[&**of.topic], frames].concat();
                of.route.send(socket, of.topic, &frames[..], &now)
            }
        };
        if of.route.once && sent.is_ok() {
            self.last = Some(now());
        }
        sent.into()
    }

    /// Adds the message of a value to a batch, which holds the messages of this number of values before it.
    pub(super) fn add_to(
        &self,
        batch: &mut Batch,
        of: &Subject<'_>,
        value: &[u8],
        before: u64,
    ) -> Result<()> {
        match &of.route.layout {
            None => batch.push((&**of.topic, value)),
            Some(layout) => batch.push(&layout.fill(of.topic, of.params, value, self.count + before + 1)[..]),
        }
    }

    /// Counts the messages of a batch that was sent.
    pub(super) fn count(&mut self, of: &Subject<'_>, messages: u64) {
        self.count += if of.route.layout.is_some() { messages } else { 0 };
    }

    /// Nothing is sent any more. Returns the socket, to be dropped outside of locks, and how many messages the topic has had.
    pub(super) fn close(&mut self) -> Option<(XPub, u64)> {
        self.held = None;
        self.socket.take().map(|socket| (socket, self.count))
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
