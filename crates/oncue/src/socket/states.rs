//! The states of topics: said by PUB and XPUB, heard by SUB and XSUB.

use oncue_core::command::State;

use super::{Pub, Sub, XPub, XSub, try_now, wait_for};
use crate::engine::TopicState;
use crate::error::Result;
use crate::op::Op;
use crate::permission::Reason;

macro_rules! saying {
    ($name:ident) => {
        /// States of topics. They reach the subscribers that understand them, which are those of this library and whoever
        /// else says `X-Oncue` in its handshake; all others are spared them.
        impl $name {
            /// Tells whoever wants the topic its state, behind the messages that were sent before, and keeps it for
            /// those who subscribe later, who may hear it twice. Kept are at most 16 MiB; the topics longest without a
            /// new state make room. A peer that leaves more than 64 KiB of commands unread misses what is said
            /// meanwhile, which is counted.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) when the topic is longer than 60,000 bytes;
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn set_state(
                &self,
                topic: impl AsRef<[u8]>,
                state: State,
                text: impl Into<Reason>,
            ) -> Result<()> {
                self.0.hub.set_state(topic.as_ref(), state, &text.into())
            }

            /// Keeps the state of a topic no longer for those who subscribe later. Yields whether there was one.
            pub fn clear_state(&self, topic: impl AsRef<[u8]>) -> bool {
                self.0.hub.clear_state(topic.as_ref())
            }
        }
    };
}

saying!(Pub);
saying!(XPub);

macro_rules! hearing {
    ($name:ident) => {
        impl $name {
            /// The next state of a topic that a publisher has told, or that it rejects a subscription. Only publishers of
            /// this library tell any. Those that nobody takes are kept up to 10,000 of them or 4 MiB; beyond it the
            /// oldest go. Messages do not wait for states, nor states for messages.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all states are taken.
            pub fn state(&self) -> Op<impl Future<Output = Result<TopicState>> + Send + Unpin + '_> {
                wait_for(&self.0.hub, &self.0.hub.states.waiters, || self.0.hub.states.pop())
            }

            /// The next state if there is one now.
            ///
            /// # Errors
            /// As [`state`](Self::state).
            pub fn try_state(&self) -> Result<Option<TopicState>> {
                try_now(&self.0.hub, || self.0.hub.states.pop())
            }
        }
    };
}

hearing!(Sub);
hearing!(XSub);
