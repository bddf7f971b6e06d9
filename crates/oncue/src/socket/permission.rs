//! Decisions about subscriptions that were deferred, or are in force.

use super::{Pub, XPub};
use crate::engine::Verdict;
use crate::permission::{PeerKey, Reason};

macro_rules! admitting {
    ($name:ident) => {
        /// Decisions after those of [`Options::admission`](crate::Options::admission). Each reaches the peer's I/O thread
        /// in the order of these calls; where the peer has gone, or has cancelled meanwhile, it does nothing.
        impl $name {
            /// Puts a subscription in force that was deferred.
            pub fn admit(&self, peer: PeerKey, prefix: impl AsRef<[u8]>) {
                self.0.hub.decide(peer, prefix.as_ref(), Verdict::Admit);
            }

            /// Refuses a subscription that was deferred.
            pub fn reject(&self, peer: PeerKey, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
                self.0.hub.decide(peer, prefix.as_ref(), Verdict::Reject(status.into()));
            }

            /// Ends a subscription of one peer, be it in force or deferred. Others of the peer that cover the same topics
            /// stay. It is asked for anew when the peer subscribes again.
            pub fn revoke(&self, peer: PeerKey, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
                self.0.hub.decide(peer, prefix.as_ref(), Verdict::Revoke(status.into()));
            }

            /// Ends the subscriptions of all peers to exactly this prefix, as [`revoke`](Self::revoke) does.
            pub fn revoke_all(&self, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
                self.0.hub.revoke_all(prefix.as_ref(), &status.into());
            }
        }
    };
}

admitting!(Pub);
admitting!(XPub);
