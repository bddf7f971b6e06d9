//! The connected peers of any socket: they are listed, and one of them is disconnected.

use super::handle::Socket;
use crate::error::Result;
use crate::peers::PeerStatus;
use crate::permission::{PeerKey, Reason};

impl<S, F> Socket<S, F> {
    /// The peers whose handshake is done, in no particular order: each as it stands when its I/O thread is asked. It waits for
    /// the I/O threads, for a turn of each at most, and costs the messages nothing.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub, Sub};
    /// # let engine = Engine::start()?;
    /// let publisher = Pub::new(&engine, Options::new())?;
    /// let subscriber = Sub::new(&engine, Options::new().metadata("X-Host", "desk-3"))?;
    /// subscriber.subscribe("prices/")?;
    /// subscriber.connect(&publisher.bind("tcp://127.0.0.1:*")?.to_string())?;
    /// publisher.wait_for_subscribers("prices/", 1).wait()?;
    ///
    /// let peers = publisher.peers()?;
    /// let peer = &peers[0];
    /// println!("{} has {} prefixes, {} messages wait", peer.profile.address, peer.prefixes, peer.queued);
    /// assert_eq!((peer.prefixes, peer.prefix_bytes, peer.missed), (1, 7, 0));
    /// assert_eq!(peer.profile.metadata.get("X-Host"), Some(&b"desk-3"[..]));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) in a function that decides about subscriptions, whose I/O thread would wait for
    /// itself.
    pub fn peers(&self) -> Result<Vec<PeerStatus>> {
        self.0.control.peers(&self.0.hub)
    }

    /// Ends the connection of one peer: its demand ends at once, and what is queued for it is dropped and counted as
    /// [`undelivered`](crate::SocketStats::undelivered). With a reason it gets an ERROR that says so, if it speaks ZMTP 3.0
    /// or later. Nothing happens if the peer is gone already.
    ///
    /// The peer may come again, as another one: refuse it what it asks for
    /// ([`Options::admission`](crate::Options::admission)), or [`unbind`](Self::unbind). A peer that this socket has connected
    /// to is connected again after a pause; [`disconnect`](Self::disconnect) is for good.
    pub fn disconnect_peer(&self, peer: PeerKey, reason: Option<Reason>) {
        self.0.hub.dismiss(peer, reason);
    }
}
