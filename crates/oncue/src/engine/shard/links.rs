//! How a shard gets its peers: it listens and accepts, dials and redials.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue_core::backoff::Backoff;

use super::link::{Door, Kind, Link, Outcome};
use super::mailbox::{Accepted, Letter};
use super::telling::Departure;
use super::timers::{Check, Timer};
use super::{Shard, link_token, peer_token};
use crate::connection::{Cause, ConnectionEventKind};
use crate::endpoint::Endpoint;
use crate::engine::hub::inbox::flow::Source;
use crate::engine::hub::{Hub, Note};
use crate::engine::peer::Peer;
use crate::engine::peer::end::{End, Stage};
use crate::error::{Error, Result};
use crate::events;
use crate::net::{Net, Ready, Stream};
use crate::options::NetOptions;
use crate::permission::PeerKey;
use crate::sync::lock;

/// A connection that lasted this long from the end of its handshake is not a failed attempt.
const LASTING: Duration = Duration::from_secs(1);
/// How long the addresses that are being tried may take to answer before the next one is tried as well (RFC 8305).
const NEXT_ADDRESS_TIME: Duration = Duration::from_millis(250);
/// After how long an attempt that goes on is told.
const WAITING_TIME: Duration = Duration::from_secs(3);
/// How long a listener rests when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many streams a listener accepts in one turn.
const ACCEPTS_PER_TURN: usize = 64;

impl<N: Net> Shard<N> {
    /// Whether a socket can be served. A socket that was closed meanwhile would never be closed again, and would keep
    /// the engine from ending.
    fn check_open(&self, hub: &Hub) -> Result<()> {
        if self.ended { Err(Error::closed()) } else { hub.check_open() }
    }

    /// Listens for a socket at `at`, which the endpoint `asked` stands for. Returns the endpoint with its wildcards
    /// resolved.
    pub(crate) fn bind(
        &mut self,
        hub: &Arc<Hub>,
        asked: &Endpoint,
        at: &Endpoint,
        options: &NetOptions,
    ) -> Result<Endpoint> {
        self.check_open(hub)?;
        let token = link_token(self.links.vacant_key());
        let listened = self.net.listen(at, token, options);
        let (listener, resolved) =
            listened.map_err(|e| Error::io(format!("cannot bind {asked}{}", remedy(&e)), e))?;
        self.listens(hub, asked, listener, resolved)
    }

    /// Listens for a socket with one of the system's that was passed to this process. Returns its endpoint.
    pub(crate) fn bind_fd(&mut self, hub: &Arc<Hub>, passed: OwnedFd) -> Result<Endpoint> {
        self.check_open(hub)?;
        let token = link_token(self.links.vacant_key());
        let (listener, endpoint) = self.net.listen_on(passed, token).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => Error::misuse(format!("cannot bind a passed descriptor: {e}")),
            _ => Error::io("cannot bind a passed descriptor", e),
        })?;
        self.listens(hub, &endpoint.clone(), listener, endpoint)
    }

    /// A listener is there, with the token of the next link.
    fn listens(
        &mut self,
        hub: &Arc<Hub>,
        asked: &Endpoint,
        listener: N::Listener,
        resolved: Endpoint,
    ) -> Result<Endpoint> {
        let door = Arc::new(Door(Mutex::new(Some(listener))));
        hub.listens(door.clone())?;
        let uid = self.uid();
        self.serve(hub);
        events::bound(hub.id, &resolved);
        self.tell_link(hub, uid, &resolved, ConnectionEventKind::Bound);
        let kind = Kind::Listener(door);
        self.links.insert(Link {
            uid,
            hub: hub.clone(),
            asked: Arc::new(asked.clone()),
            resolved: Arc::new(resolved.clone()),
            kind,
        });
        Ok(resolved)
    }

    /// Connects a socket, now and whenever the connection is lost.
    pub(crate) fn connect(&mut self, hub: &Arc<Hub>, to: &Endpoint, now: Duration) -> Result<()> {
        self.check_open(hub)?;
        self.now = self.now.max(now);
        let uid = self.uid();
        self.serve(hub);
        let kind = Kind::Dialer { failures: 0, turn: 0, ready_last: false };
        let endpoint = Arc::new(to.clone());
        let link = Link { uid, hub: hub.clone(), asked: endpoint.clone(), resolved: endpoint, kind };
        let slot = self.links.insert(link);
        self.tell_link(hub, uid, to, ConnectionEventKind::Connecting);
        self.dial(slot);
        Ok(())
    }

    /// Whether the socket is connected to the endpoint, or tries to be.
    pub(crate) fn dials(&self, hub: &Hub, to: &Endpoint) -> bool {
        self.links.iter().any(|(_, link)| link.is(hub, to, false))
    }

    /// Stops listening, or ends the connection and tries no more; the peers that came by a listener stay. Returns
    /// false if there is no such link here.
    pub(crate) fn unlink(&mut self, hub: &Hub, endpoint: &Endpoint, listener: bool) -> bool {
        let Some((slot, _)) = self.links.iter().find(|(_, link)| link.is(hub, endpoint, listener)) else {
            return false;
        };
        let link = self.links.remove(slot);
        let (uid, endpoint) = (link.uid, link.resolved.clone());
        link.shut();
        let what = if listener { ConnectionEventKind::Unbound } else { ConnectionEventKind::Stopped };
        self.tell_link(hub, uid, &endpoint, what);
        if !listener {
            self.end_peers(|peer| peer.dialer == Some(slot) && peer.link == uid);
            hub.inbound.forget(Source { shard: self.index, link: uid });
        }
        true
    }

    /// Accepts waiting connections, some in each turn.
    pub(crate) fn accept(&mut self, slot: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(link) = self.links.get(slot) else { return };
            let (hub, uid, endpoint) = (link.hub.clone(), link.uid, link.resolved.clone());
            let Kind::Listener(door) = &link.kind else { return };
            let accepted = match &mut *lock(&door.0) {
                Some(listener) => self.net.accept(listener, &hub.options.net),
                // The socket is closed; the note that says so is on its way.
                None => return,
            };
            match accepted {
                Ok(stream) => self.accepted(&hub, stream, (uid, endpoint)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(e) => {
                    events::accepting_paused(hub.id, &endpoint, &e);
                    hub.members.rest(&mut self.wakes);
                    let error = Error::io("too few descriptors are left (see ulimit -n)", e);
                    self.tell_link(&hub, uid, &endpoint, ConnectionEventKind::AcceptingPaused { error });
                    return self.timers.set(self.now + ACCEPT_PAUSE, Timer::Link { slot, uid });
                }
            }
        }
        let more = Ready { token: link_token(slot), readable: true, ..Ready::default() };
        self.mailbox.mail(Note::Ready(more));
    }

    /// Assigns a peer that came by listener `uid` to a shard, unless there are too many peers.
    fn accepted(&mut self, hub: &Arc<Hub>, stream: N::Stream, (listener, endpoint): (u64, Arc<Endpoint>)) {
        let Some((seat, turned_away)) = hub.members.enter(&stream.address(), &mut self.wakes) else {
            hub.counters.refusals.count(&Cause::TurnedAway);
            return self.tell_turned_away(hub, &endpoint, stream.address());
        };
        let accepted = Accepted { hub: hub.clone(), stream, listener, endpoint, seat, turned_away };
        let shard = self.next_shard % self.mailboxes.len();
        self.next_shard = shard + 1;
        match shard == usize::from(self.index) {
            true => self.adopt(accepted),
            false => self.mailboxes[shard].put(Letter::Accepted(accepted)),
        }
    }

    /// Takes an accepted stream.
    pub(crate) fn adopt(&mut self, accepted: Accepted<N::Stream>) {
        let Accepted { hub, mut stream, listener, endpoint, mut seat, turned_away } = accepted;
        let slot = self.peers.vacant_key();
        if hub.is_closed() || self.net.adopt(&mut stream, peer_token(slot)).is_err() {
            return self.net.release(stream);
        }
        self.serve(&hub);
        let uid = self.uid();
        let mut peer = Peer::new(uid, hub, (listener, endpoint), None, stream);
        let key = PeerKey { shard: self.index, slot, uid };
        let gives_way = match turned_away {
            None => seat.begins(key, &mut self.wakes),
            Some(_) => None,
        };
        (peer.seat, peer.turned_away) = (Some(seat), turned_away);
        let hub = peer.hub.clone();
        self.peers.insert(peer);
        self.start(slot);
        match gives_way {
            Some(key) if key.shard == self.index => self.give_way(&hub, key),
            Some(key) => hub.give_way(key),
            None => {}
        }
    }

    /// Tries to connect.
    pub(crate) fn dial(&mut self, slot: usize) {
        let Some(link) = self.links.get(slot) else { return };
        let (hub, uid, endpoint) = (link.hub.clone(), link.uid, link.resolved.clone());
        let Kind::Dialer { turn, ready_last, .. } = link.kind else { return };
        let peer_slot = self.peers.vacant_key();
        match self.net.connect(&endpoint, peer_token(peer_slot), turn, &hub.options.net) {
            Ok(stream) => {
                let (peer_uid, time) = (self.uid(), hub.options.connect_time());
                let watched = hub.connections.are_watched();
                let mut peer = Peer::new(peer_uid, hub, (uid, endpoint), Some(slot), stream);
                peer.ready_last = ready_last;
                self.peers.insert(peer);
                self.set_timer(peer_slot, self.now.saturating_add(time), Check::Connect);
                if watched {
                    self.set_timer(peer_slot, self.now + WAITING_TIME, Check::Waiting);
                }
                // Some streams are connected at once; the others are reported.
                self.connecting(peer_slot);
            }
            Err(e) => {
                let end = End::Failed(e);
                let why = hub.connections.are_watched().then(|| {
                    let (cause, error) = end.explain(Stage::Connecting);
                    Departure { address: None, peer: None, cause, error }
                });
                self.redial(Some(slot), uid, (Outcome::Nothing, why), &end);
            }
        }
    }

    /// Checks a connection that is being made. Returns whether it is there.
    pub(crate) fn connecting(&mut self, slot: usize) -> bool {
        let peer = &mut self.peers[slot];
        match peer.out.stream.connected() {
            Ok(true) => self.start(slot),
            Ok(false) => {
                if peer.out.stream.has_alternatives() && !std::mem::replace(&mut peer.next_address_set, true)
                {
                    self.set_timer(slot, self.now + NEXT_ADDRESS_TIME, Check::NextAddress);
                }
                return false;
            }
            Err(e) => self.end(slot, End::Failed(e)),
        }
        self.peers.contains(slot)
    }

    /// A connection that is being made has had no answer for a while.
    pub(crate) fn next_address(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.next_address_set = false;
        peer.out.stream.try_next();
        self.connecting(slot);
    }

    /// A dialer's connection is over, or failed. Unless that is a reason to stop, dials again after a backoff, less a jitter of up to half, so that many
    /// peers that lost the same publisher do not come back at once.
    pub(crate) fn redial(
        &mut self,
        slot: Option<usize>,
        uid: u64,
        (outcome, departure): (Outcome, Option<Departure>),
        why: &End,
    ) {
        let Some(slot) = slot else { return };
        let chance = self.chance();
        let Some(link) = self.links.get_mut(slot).filter(|link| link.uid == uid) else { return };
        if outcome.is_last(link.hub.options.reconnect_stop, why) {
            let Link { hub, asked, resolved, .. } = self.links.remove(slot);
            events::stopped(hub.id, &asked, why);
            if let Some(departure) = departure {
                self.tell_link(&hub, uid, &resolved, departure.of_dialer(None));
            }
            return self.tell_link(&hub, uid, &resolved, ConnectionEventKind::Stopped);
        }
        let Kind::Dialer { failures, turn, ready_last } = &mut link.kind else { return };
        let options = &link.hub.options;
        match outcome {
            Outcome::Nothing => {}
            Outcome::Connection { since: Some(since), .. } if self.now.saturating_sub(since) >= LASTING => {
                (*failures, *turn) = (0, 0);
            }
            Outcome::Connection { .. } => *turn = turn.wrapping_add(1),
        }
        let unnamed = matches!(outcome, Outcome::Connection { unnamed: true, .. });
        *ready_last |= unnamed;
        let backoff = Backoff { min: options.reconnect_min, max: options.reconnect_max };
        // How long the connection lasted is judged above.
        let pause = backoff.pause(failures, Duration::ZERO);
        let pause = pause.saturating_sub(pause.mul_f64(chance / 2.0));
        events::retry(link.hub.id, &link.asked, pause, why);
        let (hub, endpoint) = (link.hub.clone(), link.resolved.clone());
        self.timers.set(self.now.saturating_add(pause), Timer::Link { slot, uid });
        // After a peer that has left unnamed the next attempt says more.
        if let Some(departure) = departure.filter(|_| !unnamed) {
            self.tell_link(&hub, uid, &endpoint, departure.of_dialer(Some(pause)));
        }
    }

    /// A random number from 0 to 1 (xorshift).
    pub(crate) fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (choose another, or end the program that uses it)",
        io::ErrorKind::PermissionDenied => " (choose a port above 1023, or a directory you may write to)",
        io::ErrorKind::AddrNotAvailable => " (this machine has no such address)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::{Engine, Options, Sub, XPub};

    #[test]
    fn an_address_that_does_not_answer_is_overtaken_by_the_next() {
        let engine = Engine::start().unwrap();
        let publisher = XPub::new(&engine, Options::new()).unwrap();
        let Ok(Endpoint::Tcp { port, .. }) = publisher.bind("tcp://[::1]:0") else {
            panic!("a TCP endpoint")
        };
        // The queue of this listener is full: the system answers no further connection.
        let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let at = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        if silent.bind(&at.into()).is_err() {
            // Another program has the port.
            return;
        }
        silent.listen(0).unwrap();
        let _full = [(); 2].map(|()| TcpStream::connect_timeout(&at, Duration::from_millis(100)));
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.subscribe("").unwrap();
        subscriber.connect(&format!("tcp://localhost:{port}")).unwrap();
        // The attempt as a whole would not time out before that.
        let time = Duration::from_secs(20);
        assert!(time < Options::new().handshake_timeout);
        assert!(publisher.event().wait_timeout(time).is_some());
    }
}
