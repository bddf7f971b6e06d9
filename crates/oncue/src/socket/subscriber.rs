//! SUB and XSUB.

use std::sync::Arc;

use oncue_core::connection::SocketType;
use oncue_core::subscriptions::Unsubscribed;

use super::{Socket, common, try_now, wait_for};
use crate::batch::Received;
use crate::engine::Note;
use crate::error::{Error, Result};
use crate::msg::{Frames, Msg};
use crate::op::Op;
use crate::sync::write_lock;

/// A subscriber: it gets the messages whose first frame starts with one of its prefixes (RFC 29). A new one has none.
#[derive(Clone)]
pub struct Sub(pub(crate) Arc<Socket>);

/// A subscriber that can also send messages to its publishers (to their [`XPubEvent`](crate::XPubEvent)s), and that
/// does not filter again what they send.
#[derive(Clone)]
pub struct XSub(pub(crate) Arc<Socket>);

macro_rules! subscribing {
    ($name:ident) => {
        impl $name {
            /// Subscribes to all topics that start with `prefix`; `""` is all there are. It is told to every publisher,
            /// now, when one is connected later, and again after each reconnect. Subscriptions are counted: as many
            /// [`unsubscribe`](Self::unsubscribe) calls end it.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) when the prefix is longer than
            /// [`prefix_length_max`](crate::Options::prefix_length_max);
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<()> {
                self.0.subscribe(prefix.as_ref())
            }

            /// Takes one [`subscribe`](Self::subscribe) back. Yields whether there was one. When it was the last one of
            /// its prefix, a SUB receives nothing from then on that no other subscription asks for, of what waits
            /// already either. An XSUB does not look at topics, and still yields what its publishers send until they have
            /// heard of it.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<bool> {
                self.0.unsubscribe(prefix.as_ref())
            }

            /// The next message.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all messages are taken.
            pub fn recv(&self) -> Op<impl Future<Output = Result<Msg>> + Send + Unpin + '_> {
                wait_for(&self.0.hub, &self.0.hub.inbound.waiters, || self.0.hub.inbound.pop())
            }

            /// The next message if there is one now.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            pub fn try_recv(&self) -> Result<Option<Msg>> {
                try_now(&self.0.hub, || self.0.hub.inbound.pop())
            }

            /// Waits for a message and yields it with those that came in the same read: the fastest way to receive.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            pub fn recv_many(&self) -> Op<impl Future<Output = Result<Received>> + Send + Unpin + '_> {
                wait_for(&self.0.hub, &self.0.hub.inbound.waiters, || self.0.hub.inbound.pop_many())
            }
        }
    };
}

common!(Sub, Sub);
common!(XSub, XSub);
subscribing!(Sub);
subscribing!(XSub);

impl XSub {
    /// Sends a message to all publishers it is connected with. Never waits. XPUBs hand it to their user, PUBs drop it.
    /// A message whose frame starts with the byte 0 or 1 is taken for a subscription (RFC 29): refused here, use
    /// [`subscribe`](XSub::subscribe).
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for such a frame; else as [`Pub::send`](crate::Pub::send).
    pub fn send(&self, message: impl Frames) -> Result<()> {
        let mut wire = Vec::new();
        message.put(&mut wire);
        let message = Msg::from_wire(wire);
        if message.frames().any(|frame| matches!(frame, [0 | 1, ..])) {
            let why = "a frame of the message starts with the byte 0 or 1, which publishers take for a subscription; \
                       use subscribe and unsubscribe, or another first byte";
            return Err(Error::misuse(why));
        }
        self.0.hub.send(&message)
    }
}

impl Socket {
    pub(crate) fn subscribe(&self, prefix: &[u8]) -> Result<()> {
        self.hub.check_open()?;
        let (length, max) = (prefix.len(), self.hub.options.prefix_length_max);
        if length > max {
            return Err(Error::misuse(format!(
                "cannot subscribe: the prefix is {length} bytes long; {max} is the most (prefix_length_max)"
            )));
        }
        let changed = write_lock(&self.hub.subscriptions).subscribe(prefix);
        let changed = changed.map_err(|full| Error::misuse(format!("cannot subscribe: {full}")))?;
        self.tell(changed);
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, prefix: &[u8]) -> Result<bool> {
        self.hub.check_open()?;
        let done = write_lock(&self.hub.subscriptions).unsubscribe(prefix);
        if done == Unsubscribed::Gone {
            if self.hub.socket_type == SocketType::Sub {
                self.hub.inbound.unsubscribed();
            }
            self.tell(true);
        }
        Ok(done != Unsubscribed::Unknown)
    }

    fn tell(&self, changed: bool) {
        if changed {
            self.hub.mail_all(|| Note::Subscriptions(self.hub.clone()));
        }
    }
}
