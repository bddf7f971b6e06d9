//! Which peers are full, and so which topics have no room. Updated by the shards, asked on any thread.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::ledger::PeerId;

use crate::engine::wire::topics::Topics;
use crate::op::Waiters;
use crate::sync::lock;

/// Whether a message would be queued or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// No peer wants the topic.
    Nobody,
    /// At least one peer that wants it is not full.
    Open,
    /// Every peer that wants it is full, or, with [`OnFull::Latest`](crate::OnFull::Latest), still has the last
    /// message of the topic queued. A peer is full from the moment when its queue reaches a mark
    /// ([`send_hwm`](crate::Options::send_hwm) or [`queue_bytes_max`](crate::Options::queue_bytes_max)) until it is
    /// half empty.
    Congested,
}

/// The full peers of one socket.
#[derive(Default)]
pub(crate) struct Gauge {
    /// How many there are; read without the lock.
    count: AtomicU64,
    /// How many peers have topics queued under [`OnFull::Latest`](crate::OnFull::Latest); read without the lock.
    holding: AtomicU64,
    pub(crate) lack: Mutex<Lack>,
    /// Grows whenever the room for a topic may have changed.
    version: AtomicU64,
    pub(crate) waiters: Waiters,
}

/// The peers that lack room.
#[derive(Default)]
pub(crate) struct Lack {
    full: HashSet<PeerId>,
    /// The peers under [`OnFull::Latest`](crate::OnFull::Latest), with the topics that are queued for them.
    holding: HashMap<PeerId, Arc<Topics>>,
}

impl Lack {
    pub(crate) fn has_room(&self, peer: PeerId, topic: &[u8]) -> bool {
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

    /// A peer has become full, or is full no more.
    pub(crate) fn set(&self, peer: PeerId, full: bool, wakes: &mut Vec<Waker>) {
        self.update(wakes, |lack| if full { lack.full.insert(peer) } else { lack.full.remove(&peer) });
    }

    /// The set of topics that are queued for a peer has changed.
    pub(crate) fn hold(&self, peer: PeerId, topics: &Arc<Topics>, wakes: &mut Vec<Waker>) {
        self.update(wakes, |lack| {
            match topics.is_empty() {
                true => lack.holding.remove(&peer),
                false => lack.holding.insert(peer, topics.clone()),
            };
            true
        });
    }

    /// A peer has left.
    pub(crate) fn forget(&self, peer: PeerId, wakes: &mut Vec<Waker>) {
        self.update(wakes, |lack| lack.full.remove(&peer) | lack.holding.remove(&peer).is_some());
        self.demand_changed(wakes);
    }

    fn update(&self, wakes: &mut Vec<Waker>, update: impl FnOnce(&mut Lack) -> bool) {
        let mut lack = lock(&self.lack);
        let changed = update(&mut lack);
        self.count.store(lack.full.len() as u64, Ordering::SeqCst);
        self.holding.store(lack.holding.len() as u64, Ordering::SeqCst);
        drop(lack);
        if changed {
            self.change(wakes);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.full() == 0 && self.holding.load(Ordering::SeqCst) == 0
    }

    /// What peers want has changed.
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
