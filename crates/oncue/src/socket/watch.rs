//! Watching demand, or each peer: a snapshot, and every change after it.

use std::sync::Arc;

use oncue_core::edges::{Edge, Prefix};

use super::inner::Inner;
use crate::engine::hub::watches::{Holding, PeerWatch, Watch};
use crate::error::Result;
use crate::op::Op;
use crate::peers::PeerProfile;

/// A change of demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DemandEvent {
    /// The prefix has its first subscriber; its subscription is in force.
    Wanted(Prefix),
    /// The last subscriber of the prefix has gone.
    Unwanted(Prefix),
}

/// The demand at one moment and the changes after it, without a gap and without an overlap.
///
/// Changes that are not taken are kept one by one up to 65,536 changes and up to 4 MiB of prefixes. Beyond that, two
/// changes of one prefix that cancel out are both dropped, so that what is kept is bounded by what was wanted and what is.
pub struct DemandWatch {
    socket: Arc<Inner>,
    snapshot: Vec<Prefix>,
    watch: Arc<Watch>,
}

impl DemandWatch {
    pub(super) fn new(socket: &Arc<Inner>) -> DemandWatch {
        let (snapshot, watch) = socket.hub.demand.watch(Arc::default());
        DemandWatch { socket: socket.clone(), snapshot, watch }
    }

    /// The prefixes that were wanted when the watch began, in no particular order.
    pub fn snapshot(&self) -> &[Prefix] {
        &self.snapshot
    }

    /// The next change.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all changes are taken.
    pub fn next(&self) -> Op<impl Future<Output = Result<DemandEvent>> + Send + Unpin + '_> {
        self.socket.wait_for(&self.watch.waiters, || self.pop())
    }

    /// The next change if there is one now.
    ///
    /// # Errors
    /// As [`next`](DemandWatch::next).
    pub fn try_next(&self) -> Result<Option<DemandEvent>> {
        self.socket.try_now(|| self.pop())
    }

    fn pop(&self) -> Option<DemandEvent> {
        self.watch.pop().map(|edge| match edge.wanted {
            true => DemandEvent::Wanted(edge.prefix),
            false => DemandEvent::Unwanted(edge.prefix),
        })
    }
}

impl Drop for DemandWatch {
    fn drop(&mut self) {
        if !self.socket.hub.is_forked() {
            self.socket.hub.demand.unwatch(&self.watch);
        }
    }
}

/// What one peer has done about one prefix, or the socket's owner for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionEvent {
    /// The peer has the prefix: its subscription is in force.
    Subscribed {
        /// The peer.
        peer: Arc<PeerProfile>,
        /// What it has.
        prefix: Prefix,
    },
    /// The peer no longer has the prefix: it has cancelled it or is gone, or it was revoked.
    Unsubscribed {
        /// The peer.
        peer: Arc<PeerProfile>,
        /// What it had.
        prefix: Prefix,
    },
    /// The peer has subscribed once more to a prefix that it has. Nothing has changed; a publisher that answers each
    /// subscription, as with the last value, may answer again. Only [`XPub::event`](crate::XPub::event) tells it, with
    /// [`Options::verbose`](crate::Options::verbose).
    Repeated {
        /// The peer.
        peer: Arc<PeerProfile>,
        /// What it has.
        prefix: Prefix,
    },
    /// The peer asks for the prefix, and waits for a decision: [`admit`](crate::XPub::admit),
    /// [`reject`](crate::XPub::reject), or [`subscribe_for`](crate::XPub::subscribe_for) another one
    /// ([`Admission::Defer`](crate::Admission::Defer), [`Options::manual`](crate::Options::manual)).
    Requested {
        /// The peer.
        peer: Arc<PeerProfile>,
        /// What it asks for.
        prefix: Prefix,
    },
    /// A request ends without a decision: the peer has cancelled it, or is gone.
    Withdrawn {
        /// The peer.
        peer: Arc<PeerProfile>,
        /// What it had asked for.
        prefix: Prefix,
    },
}

impl SubscriptionEvent {
    pub(super) fn of(edge: Edge<Holding>) -> SubscriptionEvent {
        let Edge { subject: Holding { peer, asks, .. }, prefix, wanted, repeated } = edge;
        match (repeated, asks, wanted) {
            (true, ..) => SubscriptionEvent::Repeated { peer, prefix },
            (false, false, true) => SubscriptionEvent::Subscribed { peer, prefix },
            (false, false, false) => SubscriptionEvent::Unsubscribed { peer, prefix },
            (false, true, true) => SubscriptionEvent::Requested { peer, prefix },
            (false, true, false) => SubscriptionEvent::Withdrawn { peer, prefix },
        }
    }

    /// The peer.
    pub fn peer(&self) -> &Arc<PeerProfile> {
        self.parts().0
    }

    /// The prefix.
    pub fn prefix(&self) -> &Prefix {
        self.parts().1
    }

    fn parts(&self) -> (&Arc<PeerProfile>, &Prefix) {
        match self {
            SubscriptionEvent::Subscribed { peer, prefix }
            | SubscriptionEvent::Unsubscribed { peer, prefix }
            | SubscriptionEvent::Repeated { peer, prefix }
            | SubscriptionEvent::Requested { peer, prefix }
            | SubscriptionEvent::Withdrawn { peer, prefix } => (peer, prefix),
        }
    }
}

/// The subscriptions of each peer at one moment and the changes after it, without a gap and without an overlap: for each peer
/// and prefix `Subscribed` and `Unsubscribed` alternate, and so do `Requested` and its end, however the subscription ends.
/// When the connection of a peer with very many prefixes ends, nothing more goes out to it, and its `Unsubscribed` events
/// follow little by little.
///
/// Changes that are not taken are kept one by one up to 65,536 changes and up to 4 MiB of prefixes. Beyond that, two changes of
/// one peer and prefix that cancel out are both dropped, so that what is kept is bounded by what the reader was told of and by
/// what the peers have, which [`Options::prefixes_max`](crate::Options::prefixes_max) and its like bound.
pub struct SubscriptionWatch {
    socket: Arc<Inner>,
    snapshot: Vec<(Arc<PeerProfile>, Prefix)>,
    watch: Arc<PeerWatch>,
}

impl SubscriptionWatch {
    pub(super) fn new(socket: &Arc<Inner>) -> SubscriptionWatch {
        let (snapshot, watch) = socket.hub.demand.watch_peers(Arc::default());
        SubscriptionWatch { socket: socket.clone(), snapshot, watch }
    }

    /// What each peer had when the watch began, in no particular order. Requests that were open then come as the first
    /// events.
    pub fn snapshot(&self) -> &[(Arc<PeerProfile>, Prefix)] {
        &self.snapshot
    }

    /// The next change.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all changes are taken.
    pub fn next(&self) -> Op<impl Future<Output = Result<SubscriptionEvent>> + Send + Unpin + '_> {
        self.socket.wait_for(&self.watch.waiters, || self.pop())
    }

    /// The next change if there is one now.
    ///
    /// # Errors
    /// As [`next`](SubscriptionWatch::next).
    pub fn try_next(&self) -> Result<Option<SubscriptionEvent>> {
        self.socket.try_now(|| self.pop())
    }

    fn pop(&self) -> Option<SubscriptionEvent> {
        self.watch.pop_undecided().map(SubscriptionEvent::of)
    }
}

impl Drop for SubscriptionWatch {
    fn drop(&mut self) {
        if !self.socket.hub.is_forked() {
            self.socket.hub.demand.unwatch_peers(&self.watch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use crate::{Engine, Options, XPub};

    #[test]
    fn a_watch_is_gone_when_it_is_dropped() {
        let x = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        for _ in 0..1000 {
            drop(x.demand());
        }
        assert_eq!(x.0.hub.demand.watches(), 0);
        let watch = x.demand();
        assert_eq!(x.0.hub.demand.watches(), 1);
        let of_peers = x.subscriptions();
        assert_eq!(x.0.hub.demand.watches(), 2);
        drop(watch);
        drop(of_peers);
        assert_eq!(x.0.hub.demand.watches(), 0);
    }

    #[test]
    fn to_watch_and_to_stop_it_keeps_no_reader_of_the_ledger_waiting() {
        let x = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let reading = x.0.hub.demand.read();
        let (sender, done) = channel();
        let other = x.clone();
        std::thread::spawn(move || {
            drop(other.demand());
            sender.send(()).unwrap();
        });
        done.recv_timeout(Duration::from_secs(20)).expect("it reads beside us");
        drop(reading);
    }
}
