//! Last values: what PUB and XPUB keep for those who subscribe later.

use std::time::Duration;

use super::{Pub, XPub};
use crate::error::Result;
use crate::msg::{Frames, Msg};

macro_rules! keeping {
    ($name:ident) => {
        /// Last values. A peer that subscribes gets the kept message of each topic that it did not want before, it
        /// alone, at once, and ahead of what is sent of that topic afterwards: nothing is lost or comes twice between the
        /// two. Values that its connection does not take wait until it does, whatever [`OnFull`](crate::OnFull) says, while
        /// what is sent meanwhile passes; a value whose topic has had a newer message by then is left out. Where it
        /// cancels a prefix meanwhile that shares topics with another one of these, or has asked for thousands, those
        /// for which its queue has no room are missed, and counted.
        impl $name {
            /// Sends a message as [`send`](Self::send) does, and keeps a copy of it as the last value of its topic, also
            /// while nobody is connected. Where `send` would drop or refuse it for want of room in this socket, it is
            /// not kept either: what new subscribers see is what the others saw.
            ///
            /// [`Options::last_values_bytes_max`](crate::Options::last_values_bytes_max) bounds what is kept.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn send_last(&self, message: impl Frames) -> Result<()> {
                self.0.hub.send_last(&message, None)
            }

            /// As [`send_last`](Self::send_last); the value is kept for `age` at the most.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn send_last_for(&self, message: impl Frames, age: Duration) -> Result<()> {
                self.0.hub.send_last(&message, Some(age))
            }

            /// Keeps a message as the last value of its topic for those who subscribe from now on, without sending it.
            /// It waits for nothing: earlier messages of the topic that are still on their way reach a new subscriber
            /// after it.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn keep_last(&self, message: impl Frames) -> Result<()> {
                self.0.hub.keep_last(&message, None)
            }

            /// As [`keep_last`](Self::keep_last), for `age` at the most.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn keep_last_for(&self, message: impl Frames, age: Duration) -> Result<()> {
                self.0.hub.keep_last(&message, Some(age))
            }

            /// Keeps the last value of a topic no longer. Yields whether there was one.
            pub fn forget_last(&self, topic: impl AsRef<[u8]>) -> bool {
                self.0.hub.forget_last(topic.as_ref())
            }

            /// The last value of a topic, if one is kept and not too old.
            pub fn last(&self, topic: impl AsRef<[u8]>) -> Option<Msg> {
                self.0.hub.last_value(topic.as_ref())
            }
        }
    };
}

keeping!(Pub);
keeping!(XPub);
