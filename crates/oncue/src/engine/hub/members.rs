//! The peers of a socket: how many may come by its listeners, in all and from one address, and how many of them may be in
//! their handshake; which were turned away or refused.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::handshakes::{Handshakes, Turn};
use crate::account::Origin;
use crate::connection::Cause;
use crate::error::Error;
use crate::op::Waiters;
use crate::options::Options;
use crate::peer_address::PeerAddress;
use crate::permission::PeerKey;
use crate::stats::{RefusedPeer, TurnedAway};
use crate::sync::lock;

/// How many peers that are turned away are told why at the same time. Each takes a descriptor for two seconds at most;
/// the others are closed at once, or a peer that may not come would cost as much as one that may.
const TOLD_MAX: u32 = 64;

/// How many refused peers are remembered.
const REFUSED_MAX: usize = 16;

/// The peers of one socket.
pub(crate) struct Members {
    peers_max: u32,
    peers_per_address_max: u32,
    handshakes_max: u32,
    state: Mutex<State>,
    /// Operations that wait for news of peers that were turned away.
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct State {
    peers: u32,
    /// Counted only if there is a bound.
    by_origin: HashMap<Origin, u32>,
    handshakes: Handshakes,
    told: u32,
    turned_away: TurnedAway,
    /// The peers that were refused last, the oldest first.
    refused: VecDeque<RefusedPeer>,
    /// What the user has not taken of it yet.
    news: TurnedAway,
}

/// A peer's place among the members, until it is dropped.
pub(crate) struct Seat {
    members: Arc<Members>,
    kind: Kind,
    /// Its handshake, while that is in flight; 0 for none.
    handshake: Turn,
}

enum Kind {
    Peer(Option<Origin>),
    /// It is turned away, and is told why.
    Told,
}

/// A seat, and why the peer is turned away if it is. `None`: it is closed at once.
pub(crate) type Entry = Option<(Seat, Option<String>)>;

impl Members {
    pub(crate) fn new(options: &Options) -> Arc<Members> {
        Arc::new(Members {
            peers_max: options.peers_max,
            peers_per_address_max: options.peers_per_address_max,
            handshakes_max: options.handshakes_max,
            state: Mutex::default(),
            waiters: Waiters::default(),
        })
    }

    /// A peer comes.
    pub(crate) fn enter(self: &Arc<Self>, address: &PeerAddress, wakes: &mut Vec<Waker>) -> Entry {
        let mut state = lock(&self.state);
        let origin = Origin::of(address);
        let counted = origin.filter(|origin| self.counts(*origin));
        let of_origin = counted.and_then(|origin| state.by_origin.get(&origin)).copied().unwrap_or(0);
        let refusal = if state.peers >= self.peers_max {
            state.count(|count| count.peers_max += 1);
            format!("there are {} peers already (peers_max)", self.peers_max)
        } else if of_origin >= self.peers_per_address_max {
            state.count(|count| count.peers_per_address_max += 1);
            let most = self.peers_per_address_max;
            format!("there are {most} peers of this address already (peers_per_address_max)")
        } else {
            state.peers += 1;
            if let Some(origin) = counted {
                state.by_origin.insert(origin, of_origin + 1);
            }
            return Some((self.seat(Kind::Peer(origin)), None));
        };
        state.count(|count| count.last = Some(*address));
        self.waiters.take(wakes);
        if state.told >= TOLD_MAX {
            return None;
        }
        state.told += 1;
        Some((self.seat(Kind::Told), Some(refusal)))
    }

    fn seat(self: &Arc<Self>, kind: Kind) -> Seat {
        Seat { members: self.clone(), kind, handshake: 0 }
    }

    /// Whether the peers of an origin are counted.
    fn counts(&self, origin: Origin) -> bool {
        self.peers_per_address_max < u32::MAX && origin.is_address()
    }

    /// The handshake that gives way since too many are in flight.
    fn give_way(&self, state: &mut State, wakes: &mut Vec<Waker>) -> Option<PeerKey> {
        let peer = state.handshakes.give_way(self.handshakes_max)?;
        state.count(|count| count.handshakes_max += 1);
        self.waiters.take(wakes);
        Some(peer)
    }

    /// A listener rests since the system has no descriptor left.
    pub(crate) fn rest(&self, wakes: &mut Vec<Waker>) {
        lock(&self.state).count(|count| count.descriptors += 1);
        self.waiters.take(wakes);
    }

    /// A peer was refused, accepted or dialled.
    pub(crate) fn refused(&self, address: PeerAddress, cause: Cause, error: Error) {
        let refused = &mut lock(&self.state).refused;
        if refused.len() == REFUSED_MAX {
            refused.pop_front();
        }
        refused.push_back(RefusedPeer { address, cause, error });
    }

    /// The peers that were refused last.
    pub(crate) fn last_refused(&self) -> Vec<RefusedPeer> {
        lock(&self.state).refused.iter().cloned().collect()
    }

    /// The peers turned away since the start.
    pub(crate) fn turned_away(&self) -> TurnedAway {
        lock(&self.state).turned_away.clone()
    }

    /// The peers turned away since the last call, if any.
    pub(crate) fn take_news(&self) -> Option<TurnedAway> {
        let news = std::mem::take(&mut lock(&self.state).news);
        (news != TurnedAway::default()).then_some(news)
    }
}

impl State {
    fn count(&mut self, count: impl Fn(&mut TurnedAway)) {
        count(&mut self.turned_away);
        count(&mut self.news);
    }
}

impl Seat {
    /// The handshake of `peer`, which has this seat, begins. Returns the peer whose handshake gives way to it, if one does.
    pub(crate) fn begins(&mut self, peer: PeerKey, wakes: &mut Vec<Waker>) -> Option<PeerKey> {
        let Kind::Peer(Some(origin)) = self.kind else { return None };
        let mut state = lock(&self.members.state);
        self.handshake = state.handshakes.begin(origin, peer);
        self.members.give_way(&mut state, wakes)
    }

    /// Its handshake is done, or over.
    pub(crate) fn shaken(&mut self) {
        if let (Kind::Peer(Some(origin)), 1..) = (&self.kind, self.handshake) {
            lock(&self.members.state).handshakes.end(*origin, self.handshake);
            self.handshake = 0;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shaken();
        let mut state = lock(&self.members.state);
        match self.kind {
            Kind::Told => state.told -= 1,
            Kind::Peer(origin) => {
                state.peers -= 1;
                let Some(origin) = origin.filter(|origin| self.members.counts(*origin)) else { return };
                let left = state.by_origin.get_mut(&origin).expect("one that sits is counted");
                *left -= 1;
                if *left == 0 {
                    state.by_origin.remove(&origin);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(peers_max: u32, peers_per_address_max: u32) -> Arc<Members> {
        let options = Options::new().peers_max(peers_max).peers_per_address_max(peers_per_address_max);
        Members::new(&options)
    }

    fn at(text: &str) -> PeerAddress {
        PeerAddress::Tcp(text.parse().unwrap())
    }

    fn enter(members: &Arc<Members>, address: &PeerAddress) -> Entry {
        members.enter(address, &mut Vec::new())
    }

    const IPC: PeerAddress = PeerAddress::Ipc { uid: 0, pid: None };

    fn seat(entry: Entry) -> Option<Seat> {
        entry.filter(|(_, turned_away)| turned_away.is_none()).map(|(seat, _)| seat)
    }

    fn is_told(entry: &Entry) -> bool {
        matches!(entry, Some((_, Some(_))))
    }

    #[test]
    fn no_more_peers_than_there_may_be_and_a_place_is_free_when_one_goes() {
        let members = members(2, u32::MAX);
        let first = seat(enter(&members, &IPC)).unwrap();
        let _second = seat(enter(&members, &PeerAddress::Inproc)).unwrap();
        let Some((_, Some(why))) = enter(&members, &at("1.2.3.4:5")) else { panic!("a third one") };
        assert!(why.contains("2 peers already (peers_max)"), "{why}");
        drop(first);
        assert!(seat(enter(&members, &at("1.2.3.4:5"))).is_some());
        assert_eq!(members.turned_away().peers_max, 1);
    }

    #[test]
    fn one_address_is_an_ipv4_address_or_a_network_of_ipv6() {
        let members = members(100, 1);
        let _first = seat(enter(&members, &at("1.2.3.4:5"))).unwrap();
        assert!(seat(enter(&members, &at("[::ffff:1.2.3.4]:6"))).is_none());
        let _second = seat(enter(&members, &at("1.2.3.5:5"))).unwrap();
        let third = seat(enter(&members, &at("[2001:db8::1]:5"))).unwrap();
        assert!(seat(enter(&members, &at("[2001:db8::2]:5"))).is_none());
        let _fourth = seat(enter(&members, &at("[2001:db8:0:1::1]:5"))).unwrap();
        drop(third);
        assert!(seat(enter(&members, &at("[2001:db8::2]:5"))).is_some());
        let local: Vec<_> = (0..5).filter_map(|_| seat(enter(&members, &IPC))).collect();
        assert_eq!(local.len(), 5, "those of this machine are known by no address");
        drop(local);
        assert_eq!(lock(&members.state).by_origin.len(), 3);
    }

    #[test]
    fn a_handshake_in_flight_gives_way_to_a_later_one_and_one_that_is_done_to_none() {
        let members = Members::new(&Options::new().handshakes_max(2));
        let key = |uid| PeerKey { shard: 0, slot: 0, uid };
        let begin = |uid, address: &PeerAddress| {
            let mut seat = seat(enter(&members, address)).unwrap();
            let gives_way = seat.begins(key(uid), &mut Vec::new());
            (seat, gives_way)
        };
        let (mut done, none) = begin(1, &at("1.2.3.4:5"));
        assert_eq!(none, None);
        done.shaken();
        let (_idle, none) = begin(2, &at("1.2.3.4:5"));
        assert_eq!(none, None);
        let (other, none) = begin(3, &IPC);
        assert_eq!(none, None);
        let (_inproc, none) = begin(4, &PeerAddress::Inproc);
        assert_eq!(none, None, "this process itself is not counted");
        let (_more, first) = begin(5, &at("1.2.3.4:6"));
        assert_eq!(first, Some(key(2)));
        drop(other);
        let (_last, none) = begin(6, &at("1.2.3.4:6"));
        assert_eq!(none, None);
        assert_eq!(members.take_news().unwrap().handshakes_max, 1);
    }

    #[test]
    fn of_many_that_are_turned_away_few_are_told() {
        let members = members(0, u32::MAX);
        let entries: Vec<_> = (0..1000).map(|_| enter(&members, &at("1.2.3.4:5"))).collect();
        let told = entries.iter().filter(|entry| is_told(entry)).count();
        assert_eq!(told, TOLD_MAX as usize);
        drop(entries);
        assert!(is_told(&enter(&members, &IPC)));
        let news = members.take_news().unwrap();
        assert_eq!((news.peers_max, news.last), (1001, Some(IPC)));
        assert_eq!(members.take_news(), None);
    }
}
