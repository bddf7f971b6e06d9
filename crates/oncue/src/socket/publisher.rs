//! PUB and XPUB.

use std::sync::Arc;

use oncue_core::edges::Prefix;

use super::{DemandWatch, Socket, common, try_now, wait_for};
use crate::batch::Batch;
use crate::error::Result;
use crate::msg::{Frames, Msg};
use crate::op::Op;

/// A publisher: each subscriber gets the messages whose first frame starts with one of its prefixes (RFC 29).
#[derive(Clone)]
pub struct Pub(pub(crate) Arc<Socket>);

/// A publisher that sees what its subscribers want, and what they send.
#[derive(Clone)]
pub struct XPub(pub(crate) Arc<Socket>);

/// What an [`XPub`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XPubEvent {
    /// A prefix has its first subscriber. Its subscription is in force: what is sent from now on reaches it.
    Wanted(Prefix),
    /// The last subscriber of a prefix has cancelled it or is gone.
    Unwanted(Prefix),
    /// A subscriber has sent a message that is no subscription.
    Message(Msg),
}

macro_rules! publishing {
    ($name:ident) => {
        impl $name {
            /// Sends a message to all who want its topic. Never waits. A subscriber whose queue is full misses it
            /// (see [`Options::on_full`](crate::Options::on_full)); with nobody connected it is dropped.
            /// Messages that follow one another within two microseconds may gather for fifty before they are written.
            ///
            /// # Errors
            /// [`Full`](crate::ErrorKind::Full) only with [`OnFull::Refuse`](crate::OnFull::Refuse): nothing was
            /// sent; [`Closed`](crate::ErrorKind::Closed).
            pub fn send(&self, message: impl Frames) -> Result<()> {
                self.0.hub.send(&message)
            }

            /// Sends a message, and waits for room where [`send`](Self::send) would drop or refuse it for want of
            /// room in this socket: whatever the policy, this socket never drops it. What becomes of it at a subscriber
            /// whose own queue is full is still for [`Options::on_full`](crate::Options::on_full) to say.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn send_wait<'a, F: Frames + Send + Unpin + 'a>(
                &'a self,
                message: F,
            ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
                self.0.send_when_room(move |hub| hub.send_if_room(&message))
            }

            /// Sends the messages of a batch as [`send`](Self::send) would one after the other, and leaves the batch
            /// empty, to be filled again. The fastest way to send.
            ///
            /// # Errors
            /// As [`send`](Self::send). The batch is as before then; wait for room with
            /// [`send_many_wait`](Self::send_many_wait).
            pub fn send_many(&self, batch: &mut Batch) -> Result<()> {
                self.0.hub.send_many(batch)
            }

            /// Sends the messages of a batch, and waits for room where [`send_many`](Self::send_many) would drop or
            /// refuse them for want of room in this socket, as [`send_wait`](Self::send_wait) does.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn send_many_wait<'a>(
                &'a self,
                batch: &'a mut Batch,
            ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
                self.0.send_when_room(|hub| hub.send_many_if_room(batch))
            }

            /// Whether a message of this topic would reach anybody now.
            pub fn wanted(&self, topic: impl AsRef<[u8]>) -> bool {
                self.0.hub.ledger().wanted(topic.as_ref())
            }

            /// Runs `produce` and sends what it yields as the second frame after `topic`, but only if the topic is
            /// wanted now. Yields whether it was.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn send_with<P: AsRef<[u8]>>(
                &self,
                topic: impl AsRef<[u8]>,
                produce: impl FnOnce() -> P,
            ) -> Result<bool> {
                let topic = topic.as_ref();
                self.0.hub.check_open()?;
                if !self.wanted(topic) {
                    return Ok(false);
                }
                self.0.hub.send(&(topic, produce())).map(|()| true)
            }
        }
    };
}

common!(Pub, Pub);
common!(XPub, XPub);
publishing!(Pub);
publishing!(XPub);

impl XPub {
    /// The next event. The first call begins with what is wanted then, prefix by prefix, and from then on all changes
    /// follow. Those that nobody takes are bounded as [`DemandWatch`] says; of messages, each subscriber may have
    /// [`recv_hwm`](crate::Options::recv_hwm) waiting and all together
    /// [`received_bytes_max`](crate::Options::received_bytes_max), and more of them are dropped and counted. Changes of
    /// demand come before messages that wait at the same time.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all events are taken.
    pub fn event(&self) -> Op<impl Future<Output = Result<XPubEvent>> + Send + Unpin + '_> {
        wait_for(&self.0.hub, &self.0.hub.inbound.waiters, || self.pop())
    }

    /// The next event if there is one now.
    ///
    /// # Errors
    /// As [`event`](XPub::event).
    pub fn try_event(&self) -> Result<Option<XPubEvent>> {
        try_now(&self.0.hub, || self.pop())
    }

    /// A snapshot of what is wanted now, and a stream of the changes after it.
    pub fn demand(&self) -> DemandWatch {
        DemandWatch::new(&self.0)
    }

    fn pop(&self) -> Option<XPubEvent> {
        let hub = &self.0.hub;
        match hub.pop_edge() {
            Some((prefix, true)) => Some(XPubEvent::Wanted(prefix)),
            Some((prefix, false)) => Some(XPubEvent::Unwanted(prefix)),
            None => hub.inbound.pop().map(XPubEvent::Message),
        }
    }
}
