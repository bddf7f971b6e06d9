//! Which peers are full, and so for which topics nobody has room. Told by the shards, asked by any thread.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use oncue_core::ledger::PeerId;

use crate::engine::hub::Hub;
use crate::engine::peer::{End, Peer, Phase, Traffic};
use crate::engine::shard::Shard;
use crate::engine::shard::timers::Timer;
use crate::engine::wire::queue::Topics;
use crate::net::{Net, Stream};
use crate::op::Waiters;
use crate::sync::lock;

/// Whether a message would find a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// Nobody wants the topic.
    Nobody,
    /// Some peer that wants it is not full.
    Open,
    /// Every peer that wants it is full, or has with [`OnFull::Latest`](crate::OnFull::Latest) not been written the last
    /// message of the topic. A peer is full from the moment when its queue reaches a mark
    /// ([`send_hwm`](crate::Options::send_hwm) or [`queue_bytes_max`](crate::Options::queue_bytes_max)) until it is half
    /// empty.
    Congested,
}

/// The full peers of one socket.
#[derive(Default)]
pub(crate) struct Gauge {
    /// How many there are, looked at without the lock.
    count: AtomicU64,
    /// The same of those for whom some topics are queued.
    holding: AtomicU64,
    lack: Mutex<Lack>,
    /// Grows whenever the room for some topic may have changed.
    version: AtomicU64,
    pub(crate) waiters: Waiters,
    pub(crate) evicted: AtomicU64,
}

/// The peers that lack room.
#[derive(Default)]
struct Lack {
    full: HashSet<PeerId>,
    /// Those that are offered the latest message of each topic, with the topics that are queued for them.
    holding: HashMap<PeerId, Arc<Topics>>,
}

impl Lack {
    fn has_room(&self, peer: PeerId, topic: &[u8]) -> bool {
        !self.full.contains(&peer) && !self.holding.get(&peer).is_some_and(|topics| topics.contain(topic))
    }
}

impl Gauge {
    pub(crate) fn full(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// A peer is full, or no longer so.
    fn set(&self, peer: PeerId, full: bool, wakes: &mut Vec<Waker>) {
        let mut lack = lock(&self.lack);
        let changed = if full { lack.full.insert(peer) } else { lack.full.remove(&peer) };
        self.count.store(lack.full.len() as u64, Ordering::SeqCst);
        drop(lack);
        if changed {
            self.change(wakes);
        }
    }

    /// Other topics are queued for a peer than before.
    fn hold(&self, peer: PeerId, topics: &Arc<Topics>, wakes: &mut Vec<Waker>) {
        let mut lack = lock(&self.lack);
        match topics.is_empty() {
            true => lack.holding.remove(&peer),
            false => lack.holding.insert(peer, topics.clone()),
        };
        self.holding.store(lack.holding.len() as u64, Ordering::SeqCst);
        drop(lack);
        self.change(wakes);
    }

    /// A peer has gone.
    fn forget(&self, peer: PeerId, wakes: &mut Vec<Waker>) {
        self.set(peer, false, wakes);
        if self.holding.load(Ordering::SeqCst) > 0 {
            self.hold(peer, &Arc::default(), wakes);
        }
    }

    fn is_open(&self) -> bool {
        self.full() == 0 && self.holding.load(Ordering::SeqCst) == 0
    }

    /// A peer wants something else now, or has gone.
    pub(crate) fn demand_changed(&self, wakes: &mut Vec<Waker>) {
        if !self.is_open() {
            self.change(wakes);
        }
    }

    fn change(&self, wakes: &mut Vec<Waker>) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.waiters.take(wakes);
    }
}

impl Hub {
    /// Whether a message of this topic would find a place.
    pub(crate) fn room_for(&self, topic: &[u8]) -> Room {
        let ledger = self.ledger();
        if self.gauge.is_open() {
            return if ledger.wanted(topic) { Room::Open } else { Room::Nobody };
        }
        let lack = lock(&self.gauge.lack);
        let mut room = Room::Nobody;
        ledger.for_each_audience(topic, |audience| {
            // An audience without peers is still to be released.
            if room != Room::Open && !ledger.peers(audience).is_empty() {
                let any = ledger.peers(audience).iter().any(|&peer| lack.has_room(peer, topic));
                room = if any { Room::Open } else { Room::Congested };
            }
        });
        room
    }

    /// How many peers want a topic.
    pub(crate) fn subscribers(&self, topic: &[u8]) -> usize {
        let ledger = self.ledger();
        let mut audiences = Vec::new();
        ledger.for_each_audience(topic, |audience| audiences.push(audience));
        audiences.sort_unstable();
        audiences.dedup();
        audiences.into_iter().map(|audience| ledger.peers(audience).len()).sum()
    }
}

impl<S: Stream> Peer<S> {
    /// Tells the socket whether this peer is full. Yields whether it has become so.
    fn gauge(&mut self, now: Duration, wakes: &mut Vec<Waker>) -> bool {
        let Phase::Traffic(Traffic { ledger: Some(id), .. }) = &self.phase else { return false };
        let was = self.full_since.is_some();
        let full = self.out.is_full(was);
        if full != was {
            self.full_since = full.then_some(now);
            self.hub.gauge.set(*id, full, wakes);
        }
        if let Some(topics) = self.out.changed_topics() {
            self.hub.gauge.hold(*id, topics, wakes);
        }
        full && !was
    }
}

impl<N: Net> Shard<N> {
    /// Looks at how full a peer is, after something was queued for it or written to it.
    pub(crate) fn gauge(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.gauge(self.now, &mut self.wakes)
            && let Some(time) = peer.hub.options.evict_after
            && !std::mem::replace(&mut peer.evict_set, true)
        {
            self.timers.set(self.now.saturating_add(time), Timer::Evict { slot, uid: peer.uid });
        }
    }

    /// A peer that goes is full no more.
    pub(crate) fn ungauge(hub: &Hub, peer: PeerId, wakes: &mut Vec<Waker>) {
        hub.gauge.forget(peer, wakes);
        hub.gauge.demand_changed(wakes);
    }

    /// Gives a peer up that has been full for too long.
    pub(crate) fn evict(&mut self, slot: usize, uid: u64) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.uid == uid) else { return };
        peer.evict_set = false;
        let (Some(since), Some(time)) = (peer.full_since, peer.hub.options.evict_after) else { return };
        if !matches!(peer.phase, Phase::Traffic(_)) {
            return;
        }
        let over = since.saturating_add(time);
        if now < over {
            peer.evict_set = true;
            return self.timers.set(over, Timer::Evict { slot, uid });
        }
        peer.hub.gauge.evicted.fetch_add(1, Ordering::Relaxed);
        self.end(slot, End::too_slow());
    }
}
