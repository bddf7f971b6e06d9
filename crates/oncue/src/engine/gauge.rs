//! Which peers are full, and so for which topics nobody has room. Told by the shards, asked by any thread.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use oncue_core::ledger::PeerId;

use super::hub::Hub;
use super::peer::{End, Peer, Phase, Traffic};
use super::shard::Shard;
use super::timers::Timer;
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
    /// Every peer that wants it is full. A peer is full from the moment when its queue reaches a mark
    /// ([`send_hwm`](crate::Options::send_hwm) or [`queue_bytes_max`](crate::Options::queue_bytes_max)) until it is half
    /// empty.
    Congested,
}

/// The full peers of one socket.
#[derive(Default)]
pub(crate) struct Gauge {
    /// How many there are, looked at without the lock.
    count: AtomicU64,
    full: Mutex<HashSet<PeerId>>,
    /// Grows whenever the room for some topic may have changed.
    version: AtomicU64,
    pub(crate) waiters: Waiters,
    pub(crate) evicted: AtomicU64,
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
        let mut peers = lock(&self.full);
        let changed = if full { peers.insert(peer) } else { peers.remove(&peer) };
        self.count.store(peers.len() as u64, Ordering::SeqCst);
        drop(peers);
        if changed {
            self.change(wakes);
        }
    }

    /// A peer wants something else now, or has gone.
    pub(super) fn demand_changed(&self, wakes: &mut Vec<Waker>) {
        if self.full() > 0 {
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
        if self.gauge.full() == 0 {
            return if ledger.wanted(topic) { Room::Open } else { Room::Nobody };
        }
        let full = lock(&self.gauge.full);
        let mut room = Room::Nobody;
        ledger.for_each_audience(topic, |audience| {
            if room != Room::Open {
                let congested = ledger.peers(audience).iter().all(|peer| full.contains(peer));
                room = if congested { Room::Congested } else { Room::Open };
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
        full && !was
    }
}

impl<N: Net> Shard<N> {
    /// Something was queued for a peer, or written to it.
    pub(super) fn gauge(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.gauge(self.now, &mut self.wakes)
            && let Some(time) = peer.hub.options.evict_after
            && !std::mem::replace(&mut peer.evict_set, true)
        {
            self.timers.set(self.now.saturating_add(time), Timer::Evict { slot, uid: peer.uid });
        }
    }

    /// A peer that goes is full no more.
    pub(super) fn ungauge(hub: &Hub, peer: PeerId, wakes: &mut Vec<Waker>) {
        hub.gauge.set(peer, false, wakes);
        hub.gauge.demand_changed(wakes);
    }

    /// Gives a peer up that has been full for too long.
    pub(super) fn evict(&mut self, slot: usize, uid: u64) {
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
