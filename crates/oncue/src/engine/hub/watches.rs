//! The watches of one socket's demand, each with a queue of its own: of the changes of demand, or of those of each peer.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::edges::{Edge, Edges, Prefix, Subject};

use crate::op::Waiters;
use crate::peers::PeerProfile;
use crate::sync::lock;

/// A queue of events for one reader.
pub(crate) struct Watch<S = ()> {
    edges: Mutex<Edges<S>>,
    pub(crate) waiters: Arc<Waiters>,
    /// It also gets what changes nothing: that a peer asks again for what it has.
    repeats: bool,
}

/// A queue of the events of each peer.
pub(crate) type PeerWatch = Watch<Holding>;

/// Which peer, and whether the event is about its subscriptions or about its requests.
#[derive(Clone)]
pub(crate) struct Holding {
    pub(crate) peer: Arc<PeerProfile>,
    /// It has asked for the prefix, and this is not decided. Otherwise it has it.
    pub(crate) asks: bool,
    /// The request is closed because it was decided, and not because the peer has withdrawn it.
    pub(crate) decided: bool,
}

impl PartialEq for Holding {
    fn eq(&self, other: &Holding) -> bool {
        self.number() == other.number()
    }
}

impl Subject for Holding {
    fn number(&self) -> u64 {
        self.peer.number() << 1 | u64::from(self.asks)
    }
}

/// The watches of one socket. Each stays until it is ended.
#[derive(Default)]
pub(crate) struct Watches {
    demand: Vec<Arc<Watch>>,
    peers: Vec<Arc<PeerWatch>>,
    /// Which have events whose readers are not woken yet: once for all events of one edit, since it costs a lock.
    told: bool,
    told_peers: bool,
}

impl<S: Subject> Watch<S> {
    fn new(seed: u64, waiters: Arc<Waiters>, repeats: bool) -> Arc<Watch<S>> {
        Arc::new(Watch { edges: Mutex::new(Edges::new(seed)), waiters, repeats })
    }

    /// The next event.
    pub(crate) fn pop(&self) -> Option<Edge<S>> {
        lock(&self.edges).pop()
    }

    /// The next events, at most so many, under one lock.
    pub(crate) fn pop_many(&self, most: usize) -> Vec<Edge<S>> {
        let mut edges = lock(&self.edges);
        let found = 0..edges.len().min(most);
        found.map_while(|_| edges.pop()).collect()
    }

    /// Queues what there is when the watch begins.
    pub(crate) fn start(&self, held: impl Iterator<Item = (S, Prefix)>) {
        let mut edges = lock(&self.edges);
        held.for_each(|(subject, prefix)| edges.push(subject, prefix, true));
    }

    /// Queues an event. Returns how many events were moved to make room for it.
    fn tell(&self, subject: S, prefix: Prefix, wanted: bool) -> u64 {
        let mut edges = lock(&self.edges);
        edges.push(subject, prefix, wanted);
        edges.take_moved()
    }
}

impl PeerWatch {
    /// The next event that the reader is to see: not that a request is closed which the user has decided.
    pub(crate) fn pop_undecided(&self) -> Option<Edge<Holding>> {
        loop {
            let edge = self.pop()?;
            if !edge.subject.decided {
                return Some(edge);
            }
        }
    }
}

impl Watches {
    /// Begins a watch of demand; `waiters` wait for its events. `seed` keys its hashes.
    pub(crate) fn begin(&mut self, seed: u64, waiters: Arc<Waiters>) -> Arc<Watch> {
        let watch = Watch::new(seed, waiters, false);
        self.demand.push(watch.clone());
        watch
    }

    /// Begins a watch of each peer.
    pub(crate) fn begin_of_peers(
        &mut self,
        seed: u64,
        waiters: Arc<Waiters>,
        repeats: bool,
    ) -> Arc<PeerWatch> {
        let watch = Watch::new(seed, waiters, repeats);
        self.peers.push(watch.clone());
        watch
    }

    pub(crate) fn end(&mut self, watch: &Watch) {
        self.demand.retain(|other| !std::ptr::eq(&**other, watch));
    }

    pub(crate) fn end_of_peers(&mut self, watch: &PeerWatch) {
        self.peers.retain(|other| !std::ptr::eq(&**other, watch));
    }

    /// The readers of all watches, to be woken.
    pub(crate) fn wake(&mut self, wakes: &mut Vec<Waker>) {
        (self.told, self.told_peers) = (true, true);
        self.take_told(wakes);
    }

    /// The readers of the watches that were told something, to be woken.
    pub(crate) fn take_told(&mut self, wakes: &mut Vec<Waker>) {
        if std::mem::take(&mut self.told) {
            self.demand.iter().for_each(|watch| watch.waiters.take(wakes));
        }
        if std::mem::take(&mut self.told_peers) {
            self.peers.iter().for_each(|watch| watch.waiters.take(wakes));
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.demand.len() + self.peers.len()
    }

    /// Whether somebody watches each peer.
    pub(crate) fn watch_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Queues a change of demand. Returns how many events were moved to make room for it.
    pub(crate) fn tell(&mut self, prefix: &[u8], wanted: bool) -> u64 {
        if self.demand.is_empty() {
            return 0;
        }
        self.told = true;
        let prefix = Prefix::from(prefix);
        self.demand.iter().map(|watch| watch.tell((), prefix.clone(), wanted)).sum()
    }

    /// Queues a change of one peer. Returns how many events were moved to make room for it.
    pub(crate) fn tell_of_peer(&mut self, holding: &Holding, prefix: &[u8], wanted: bool) -> u64 {
        if self.peers.is_empty() {
            return 0;
        }
        self.told_peers = true;
        let prefix = Prefix::from(prefix);
        self.peers.iter().map(|watch| watch.tell(holding.clone(), prefix.clone(), wanted)).sum()
    }

    /// A peer has asked again for what it has.
    pub(crate) fn repeat(&mut self, peer: &Arc<PeerProfile>, prefix: &[u8]) {
        for watch in self.peers.iter().filter(|watch| watch.repeats) {
            self.told_peers = true;
            let holding = Holding { peer: peer.clone(), asks: false, decided: false };
            lock(&watch.edges).repeat(holding, Prefix::from(prefix));
        }
    }
}
