//! What a shard tells the watches of connections. While a socket has none, nothing is made for them.

use std::sync::Arc;
use std::time::Duration;

use super::Shard;
use crate::connection::{Cause, ConnectedPeer, ConnectionEvent, ConnectionEventKind};
use crate::endpoint::Endpoint;
use crate::engine::hub::Hub;
use crate::engine::hub::connections::Subject;
use crate::engine::peer::Phase;
use crate::engine::peer::end::End;
use crate::error::Error;
use crate::net::{Net, Stream};
use crate::peer_address::PeerAddress;

/// A connection that was not made, or has ended.
pub(crate) struct Departure {
    /// Where the peer is, if the stream was there.
    pub(crate) address: Option<PeerAddress>,
    /// The peer, if its handshake was done.
    pub(crate) peer: Option<ConnectedPeer>,
    pub(crate) cause: Cause,
    pub(crate) error: Error,
}

impl Departure {
    /// The event for a dialer, which tries again after a pause if there is one.
    pub(crate) fn of_dialer(self, retry_after: Option<Duration>) -> ConnectionEventKind {
        let Departure { address, peer, cause, error } = self;
        match peer {
            Some(peer) => ConnectionEventKind::Lost { peer, cause, error, retry_after },
            None => ConnectionEventKind::Failed { address, cause, error, retry_after },
        }
    }
}

impl<N: Net> Shard<N> {
    fn tell(&mut self, hub: &Hub, subject: Subject, endpoint: &Endpoint, kind: ConnectionEventKind) {
        // Readers of a closed socket have its end as their last news.
        if !hub.is_closed() {
            let event = ConnectionEvent { endpoint: endpoint.clone(), kind };
            hub.connections.tell(subject, &event, &mut self.wakes);
        }
    }

    /// Tells what has become of a listener or a dialer.
    pub(crate) fn tell_link(&mut self, hub: &Hub, uid: u64, endpoint: &Endpoint, kind: ConnectionEventKind) {
        if hub.connections.are_watched() {
            self.tell(hub, Subject::Link(self.index, uid), endpoint, kind);
        }
    }

    /// Tells that a peer's handshake is done.
    pub(crate) fn tell_begun(&mut self, slot: usize) {
        let peer = &self.peers[slot];
        let hub = peer.hub.clone();
        if !hub.connections.are_watched() {
            return;
        }
        let Some(connected) = peer.connected() else { return };
        let endpoint = peer.endpoint.clone();
        let (subject, kind) = match peer.dialer {
            Some(_) => {
                (Subject::Link(self.index, peer.link), ConnectionEventKind::Connected { peer: connected })
            }
            None => (Subject::Peer(self.index, peer.uid), ConnectionEventKind::Accepted { peer: connected }),
        };
        self.tell(&hub, subject, &endpoint, kind);
    }

    /// Tells that a dialer's attempt has been going on for a while.
    pub(crate) fn tell_waiting(&mut self, slot: usize) {
        let peer = &self.peers[slot];
        if peer.dialer.is_some() {
            let (hub, uid, endpoint) = (peer.hub.clone(), peer.link, peer.endpoint.clone());
            let (cause, _) = peer.waits_for();
            self.tell_link(&hub, uid, &endpoint, ConnectionEventKind::Waiting { cause });
        }
    }

    /// Tells that a peer is turned away without a word.
    pub(crate) fn tell_turned_away(&mut self, hub: &Hub, endpoint: &Arc<Endpoint>, address: PeerAddress) {
        if hub.connections.are_watched() {
            let error = Error::peer("there are too many peers already (peers_max, peers_per_address_max)");
            let kind = ConnectionEventKind::Refused { address, cause: Cause::TurnedAway, error };
            let uid = self.uid();
            self.tell(hub, Subject::Peer(self.index, uid), endpoint, kind);
        }
    }

    /// The end of a peer's connection, if anybody watches. That of an accepted peer is told here; a dialer tells it when it
    /// is known when it tries again.
    pub(crate) fn departure(&mut self, slot: usize, end: &End) -> Option<Departure> {
        let peer = self.peers.get(slot).filter(|peer| peer.hub.connections.are_watched())?;
        if matches!(peer.phase, Phase::Draining) || matches!(end, End::Served) {
            // Its end was told when that began; or it was no peer.
            return None;
        }
        let (cause, error) = peer.explain(end);
        let connected = peer.connected();
        let address = (!matches!(peer.phase, Phase::Connecting)).then(|| peer.out.stream.address());
        let departure = Departure { address, peer: connected, cause, error };
        if peer.dialer.is_some() {
            return Some(departure);
        }
        let (hub, endpoint) = (peer.hub.clone(), peer.endpoint.clone());
        let subject = Subject::Peer(self.index, peer.uid);
        let Departure { address, peer, cause, error } = departure;
        let kind = match peer {
            Some(peer) => ConnectionEventKind::Disconnected { peer, cause, error },
            None => {
                let address = address.expect("an accepted stream is there");
                ConnectionEventKind::Refused { address, cause, error }
            }
        };
        self.tell(&hub, subject, &endpoint, kind);
        None
    }
}
