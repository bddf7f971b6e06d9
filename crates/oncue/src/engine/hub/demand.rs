//! The demand of one socket: the ledger behind its lock, and the watches of it.

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;

use oncue_core::edges::Prefix;
use oncue_core::ledger::{Change, Ledger, PeerId, Quota, QuotaExceeded};

use super::watches::{Watch, Watches};
use crate::op::Waiters;
use crate::sync::{lock, read_lock, write_lock};

/// How many prefixes of departed peers are released under one lock: a fraction of a millisecond.
const RELEASE_PREFIXES_MAX: usize = 1024;

/// The ledger of one socket, and the watches of its changes.
pub(crate) struct Demand {
    ledger: RwLock<Ledger>,
    /// Locked after the ledger: a watch begins under the read lock of the ledger.
    watches: Mutex<Watches>,
    /// Keys the hashes of the watches.
    seed: u64,
    /// Operations that wait for more subscriptions.
    pub(crate) growth: Waiters,
}

/// The ledger, locked for changes. Each edge goes to all watches before the lock is released.
pub(crate) struct Edit<'a> {
    ledger: RwLockWriteGuard<'a, Ledger>,
    watches: MutexGuard<'a, Watches>,
    growth: &'a Waiters,
    /// Whether a peer has got a prefix.
    has_grown: bool,
    /// To be woken: the readers of watches.
    wakes: Vec<Waker>,
    /// How many events were moved to make room for others.
    moved: u64,
}

impl Demand {
    /// Nothing is wanted yet. `seed` keys its hashes.
    pub(crate) fn new(seed: u64, quota: Quota) -> Demand {
        let ledger = RwLock::new(Ledger::new(seed, quota));
        Demand { ledger, watches: Mutex::default(), seed, growth: Waiters::default() }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        read_lock(&self.ledger)
    }

    pub(crate) fn edit(&self) -> Edit<'_> {
        let ledger = write_lock(&self.ledger);
        let (watches, growth) = (lock(&self.watches), &self.growth);
        Edit { ledger, watches, growth, has_grown: false, wakes: Vec::new(), moved: 0 }
    }

    /// A snapshot of what is wanted, and a queue of all changes after it until [`unwatch`](Self::unwatch).
    pub(crate) fn watch(&self, waiters: Arc<Waiters>) -> (Vec<Prefix>, Arc<Watch>) {
        let ledger = self.read();
        let watch = lock(&self.watches).begin(self.seed, waiters);
        (ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)).collect(), watch)
    }

    /// A queue that begins with what is wanted now.
    pub(crate) fn queue(&self, waiters: Arc<Waiters>) -> Arc<Watch> {
        let ledger = self.read();
        let watch = lock(&self.watches).begin(self.seed, waiters);
        watch.start(ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)));
        watch
    }

    pub(crate) fn unwatch(&self, watch: &Watch) {
        lock(&self.watches).end(watch);
    }

    pub(crate) fn wake_watches(&self, wakes: &mut Vec<Waker>) {
        lock(&self.watches).iter().for_each(|watch| watch.waiters.take(wakes));
    }

    #[cfg(test)]
    pub(crate) fn watches(&self) -> usize {
        lock(&self.watches).iter().count()
    }
}

impl Edit<'_> {
    /// Releases the lock; the wakers of watches are appended to `wakes`.
    pub(crate) fn finish(self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.wakes);
        if self.has_grown {
            self.growth.take(wakes);
        }
    }

    pub(crate) fn attach(&mut self, shard: u16, slot: usize) -> PeerId {
        self.ledger.attach(shard, slot as u64)
    }

    /// Returns whether it is new.
    pub(crate) fn subscribe(&mut self, peer: PeerId, prefix: &[u8]) -> Result<bool, QuotaExceeded> {
        let change = self.ledger.subscribe(peer, prefix)?;
        if change == Change::Wanted {
            self.tell(prefix, true);
        }
        self.has_grown |= change != Change::None;
        Ok(change != Change::None)
    }

    pub(crate) fn contains(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.ledger.contains(peer, prefix)
    }

    pub(crate) fn cancel(&mut self, peer: PeerId, prefix: &[u8]) {
        if self.ledger.cancel(peer, prefix) == Change::Unwanted {
            self.tell(prefix, false);
        }
    }

    pub(crate) fn settle(&mut self, peer: PeerId) {
        self.ledger.settle(peer);
    }

    /// Takes a peer out of the ledger. Returns whether a part of what it held is still to be released.
    pub(crate) fn detach(&mut self, peer: PeerId) -> bool {
        let Edit { ledger, watches, wakes, .. } = self;
        ledger.detach(peer, |prefix| _ = watches.tell(prefix, false, wakes));
        ledger.is_releasing()
    }

    /// Releases a part of what departed peers held. Returns whether there is more.
    pub(crate) fn release(&mut self) -> bool {
        let Edit { ledger, watches, wakes, .. } = self;
        ledger.release(RELEASE_PREFIXES_MAX, |prefix| _ = watches.tell(prefix, false, wakes))
    }

    fn tell(&mut self, prefix: &[u8], wanted: bool) {
        self.moved += self.watches.tell(prefix, wanted, &mut self.wakes);
    }

    /// How many entries were moved to make room, since the last call.
    pub(crate) fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved) + self.ledger.take_moved()
    }
}
