//! Whether those who want a topic have room, and how many they are.

use super::{Pub, XPub, wait_for};
use crate::engine::Room;
use crate::error::Result;
use crate::op::Op;

macro_rules! gauged {
    ($name:ident) => {
        impl $name {
            /// Whether a message of this topic would find a place now. Costs what [`wanted`](Self::wanted) does while no
            /// peer is full.
            pub fn room(&self, topic: impl AsRef<[u8]>) -> Room {
                self.0.hub.room_for(topic.as_ref())
            }

            /// Done when the room for some topic may have changed since this call: a peer has become full or is so no
            /// longer, or one has come, gone or changed its mind while any was full. Ask for it before
            /// [`room`](Self::room), so that no change falls in between.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn room_changed(&self) -> Op<impl Future<Output = Result<()>> + Send + Unpin + '_> {
                let gauge = &self.0.hub.gauge;
                let seen = gauge.version();
                wait_for(&self.0.hub, &gauge.waiters, move || (gauge.version() != seen).then_some(()))
            }

            /// How many peers want this topic now.
            pub fn subscribers(&self, topic: impl AsRef<[u8]>) -> usize {
                self.0.hub.subscribers(topic.as_ref())
            }
        }
    };
}

gauged!(Pub);
gauged!(XPub);
