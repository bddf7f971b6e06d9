//! The demand of one socket: the ledger behind its lock, and with it what else is about the peers that want something:
//! their profiles, their open requests, and the watches of all this.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;

use oncue_core::edges::Prefix;
use oncue_core::ledger::{Change, Ended, Holder, Ledger, PeerId, Quota};
use oncue_core::topic::Hidden;

use super::accounts::{Accounts, Exceeded, Number};
use super::requests::{Asker, Requests};
use super::watches::{Holding, PeerWatch, Watch, Watches};
use crate::op::Waiters;
use crate::options::UserQuota;
use crate::peers::{PeerProfile, WantedPrefix};
use crate::sync::{lock, read_lock, write_lock};

/// How many prefixes of departed peers are released under one lock: a fraction of a millisecond.
const RELEASE_PREFIXES_MAX: usize = 1024;

/// The ledger of one socket, and the watches of its changes.
pub(crate) struct Demand {
    ledger: RwLock<Ledger>,
    /// Locked after the ledger: a watch begins under the read lock of the ledger.
    beside: Mutex<Beside>,
    /// Keys the hashes of the watches.
    seed: u64,
    /// Operations that wait for more subscriptions.
    pub(crate) growth: Waiters,
    /// How often the ledger was locked for changes.
    version: AtomicU64,
}

/// What changes together with the ledger, and is not needed to match messages.
struct Beside {
    watches: Watches,
    requests: Requests,
    profiles: Profiles,
    accounts: Accounts,
}

/// How many numbers of prefixes are looked at while the ledger is locked.
const PREFIXES_AT_A_TIME: u32 = 1024;

/// The peers of the ledger.
#[derive(Default)]
struct Profiles {
    /// By the number of the peer.
    attached: Vec<Option<Arc<PeerProfile>>>,
    /// Peers that have left, and whose prefixes are still to be released, by their own number.
    left: HashMap<u64, Arc<PeerProfile>>,
}

/// The ledger, locked for changes. Each edge goes to all watches before the lock is released.
pub(crate) struct Edit<'a> {
    ledger: RwLockWriteGuard<'a, Ledger>,
    beside: MutexGuard<'a, Beside>,
    growth: &'a Waiters,
    /// Whether a peer has got a prefix.
    has_grown: bool,
    /// How many events were moved to make room for others.
    moved: u64,
}

/// What is in force when a watch of each peer begins.
pub(crate) type Pairs = Vec<(Arc<PeerProfile>, Prefix)>;

impl Demand {
    /// Nothing is wanted yet, or with inverted matching everything. `seed` keys its hashes.
    pub(crate) fn new(
        seed: u64,
        (of_peer, of_user): (Quota, UserQuota),
        hidden: Hidden,
        inverted: bool,
    ) -> Demand {
        let ledger = Ledger::new(seed, of_peer).hiding(hidden);
        let ledger = if inverted { ledger.inverted() } else { ledger };
        let (watches, requests, profiles) = Default::default();
        let beside = Mutex::new(Beside { watches, requests, profiles, accounts: Accounts::new(of_user) });
        let (growth, version) = Default::default();
        Demand { ledger: RwLock::new(ledger), beside, seed, growth, version }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        read_lock(&self.ledger)
    }

    pub(crate) fn edit(&self) -> Edit<'_> {
        let ledger = write_lock(&self.ledger);
        // Before anything changes: what is read from now on is of this version or a later one.
        self.version.fetch_add(1, Ordering::SeqCst);
        let (beside, growth) = (lock(&self.beside), &self.growth);
        Edit { ledger, beside, growth, has_grown: false, moved: 0 }
    }

    /// A number that grows whenever the ledger may change. What is read after it was asked for holds for as long as it stays.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// A snapshot of what is wanted, and a queue of all changes after it until [`unwatch`](Self::unwatch).
    pub(crate) fn watch(&self, waiters: Arc<Waiters>) -> (Vec<Prefix>, Arc<Watch>) {
        let ledger = self.read();
        let watch = lock(&self.beside).watches.begin(self.seed, waiters);
        (ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)).collect(), watch)
    }

    /// A queue that begins with what is wanted now.
    pub(crate) fn queue(&self, waiters: Arc<Waiters>) -> Arc<Watch> {
        let ledger = self.read();
        let watch = lock(&self.beside).watches.begin(self.seed, waiters);
        watch.start(ledger.prefixes().map(|(prefix, _)| ((), Prefix::from(prefix))));
        watch
    }

    /// What each peer has now, and a queue of all changes after it. It begins with the requests that are open now.
    pub(crate) fn watch_peers(&self, waiters: Arc<Waiters>) -> (Pairs, Arc<PeerWatch>) {
        let ledger = self.read();
        let mut beside = lock(&self.beside);
        let watch = beside.watches.begin_of_peers(self.seed, waiters, false);
        watch.start(beside.open_requests().into_iter());
        (beside.profiles.pairs(&ledger), watch)
    }

    /// A queue that begins with what each peer has now, and with the requests that are open. `repeats`: whether it also gets
    /// what changes nothing.
    pub(crate) fn queue_peers(&self, waiters: Arc<Waiters>, repeats: bool) -> Arc<PeerWatch> {
        let ledger = self.read();
        let mut beside = lock(&self.beside);
        let watch = beside.watches.begin_of_peers(self.seed, waiters, repeats);
        let pairs = beside.profiles.pairs(&ledger).into_iter();
        watch.start(pairs.map(|(peer, prefix)| (Holding { peer, asks: false, decided: false }, prefix)));
        watch.start(beside.open_requests().into_iter());
        watch
    }

    /// What each peer has now.
    pub(crate) fn in_force(&self) -> Pairs {
        let ledger = self.read();
        lock(&self.beside).profiles.pairs(&ledger)
    }

    /// At most `most` of the prefixes in force, each with at most `peers_most` of its peers. The locks are released again and
    /// again meanwhile.
    pub(crate) fn prefixes(&self, most: usize, peers_most: usize) -> Vec<WantedPrefix> {
        let (mut found, mut next) = (Vec::new(), 0);
        while found.len() < most {
            let ledger = self.read();
            if next >= ledger.numbers_end() {
                break;
            }
            let beside = lock(&self.beside);
            let end = next.saturating_add(PREFIXES_AT_A_TIME);
            ledger.for_each_prefix_in(next..end, |prefix, holders| {
                let mut peers = Vec::new();
                let keys =
                    holders.map(|peer| beside.profiles.attached[peer.index()].as_ref().map(|of| of.key));
                let subscribers =
                    keys.inspect(|key| peers.extend(key.filter(|_| peers.len() < peers_most))).count();
                // One without peers is to be released.
                if subscribers > 0 && found.len() < most {
                    found.push(WantedPrefix { prefix: Prefix::from(prefix), subscribers, peers });
                }
            });
            next = end;
        }
        found
    }

    /// The peers that may have prefixes.
    pub(crate) fn peers(&self) -> Vec<Arc<PeerProfile>> {
        // Nothing is attached or detached meanwhile.
        let _ledger = self.read();
        lock(&self.beside).profiles.attached.iter().flatten().cloned().collect()
    }

    pub(crate) fn unwatch(&self, watch: &Watch) {
        lock(&self.beside).watches.end(watch);
    }

    pub(crate) fn unwatch_peers(&self, watch: &PeerWatch) {
        lock(&self.beside).watches.end_of_peers(watch);
    }

    pub(crate) fn wake_watches(&self, wakes: &mut Vec<Waker>) {
        lock(&self.beside).watches.wake(wakes);
    }

    /// Whether a peer has asked for a prefix, and this is not decided yet.
    pub(crate) fn is_asked(&self, peer: PeerId, prefix: &[u8]) -> bool {
        lock(&self.beside).requests.contains(peer, prefix)
    }

    /// How many prefixes a peer has asked for that are not decided yet.
    pub(crate) fn asked(&self, peer: PeerId) -> u64 {
        lock(&self.beside).requests.of(peer).0
    }

    #[cfg(test)]
    pub(crate) fn watches(&self) -> usize {
        lock(&self.beside).watches.count()
    }
}

impl Beside {
    /// The open requests, as a watch gets them.
    fn open_requests(&self) -> Vec<(Holding, Prefix)> {
        let mut found = Vec::new();
        self.requests.for_each(|asker, prefix| {
            let peer = match asker {
                Asker::Peer(peer) => self.profiles.of(peer),
                Asker::Left(profile) => profile,
            };
            found.push((Holding { peer: peer.clone(), asks: true, decided: false }, Prefix::from(prefix)));
        });
        found
    }

    fn tell(&mut self, peer: &Arc<PeerProfile>, prefix: &[u8], wanted: bool) -> u64 {
        if !self.watches.watch_peers() {
            return 0;
        }
        let holding = Holding { peer: peer.clone(), asks: false, decided: false };
        self.watches.tell_of_peer(&holding, prefix, wanted)
    }
}

impl Profiles {
    fn of(&self, peer: PeerId) -> &Arc<PeerProfile> {
        self.attached[peer.index()].as_ref().expect("an attached peer")
    }

    /// All pairs in force, and those that are still to be released.
    fn pairs(&self, ledger: &Ledger) -> Pairs {
        let mut pairs = Pairs::new();
        ledger.for_each_pair(|holder, prefix| {
            let profile = match holder {
                Holder::Peer(peer) => self.of(peer),
                Holder::Left(mark) => &self.left[&mark],
            };
            // The pairs of one prefix come one after the other, and share it.
            let prefix = match pairs.last() {
                Some((_, last)) if last[..] == *prefix => last.clone(),
                _ => Prefix::from(prefix),
            };
            pairs.push((profile.clone(), prefix));
        });
        pairs
    }
}

impl Edit<'_> {
    /// Releases the lock; the wakers of watches are appended to `wakes`.
    pub(crate) fn finish(mut self, wakes: &mut Vec<Waker>) {
        self.beside.watches.take_told(wakes);
        if self.has_grown {
            self.growth.take(wakes);
        }
    }

    pub(crate) fn attach(&mut self, profile: &Arc<PeerProfile>) -> PeerId {
        let peer = self.ledger.attach(profile.key.shard, profile.key.slot as u64);
        let attached = &mut self.beside.profiles.attached;
        attached.resize_with(attached.len().max(peer.index() + 1), || None);
        attached[peer.index()] = Some(profile.clone());
        self.beside.accounts.enter(peer, profile);
        peer
    }

    /// Returns whether it is new.
    pub(crate) fn subscribe(&mut self, peer: PeerId, prefix: &[u8]) -> Result<bool, Exceeded> {
        if let Err(exceeded) = self.beside.accounts.check(peer, prefix.len()) {
            // What is in force already takes no more.
            return if self.ledger.contains(peer, prefix) { Ok(false) } else { Err(exceeded) };
        }
        let change = self.ledger.subscribe(peer, prefix)?;
        if change == Change::None {
            return Ok(false);
        }
        self.beside.accounts.take(peer, prefix.len());
        if change == Change::Wanted {
            self.tell(prefix, true);
        }
        self.tell_of_peer(peer, prefix, true);
        self.has_grown = true;
        Ok(true)
    }

    /// A peer has subscribed to what it has.
    pub(crate) fn repeat(&mut self, peer: PeerId, prefix: &[u8]) {
        let Beside { watches, profiles, .. } = &mut *self.beside;
        watches.repeat(profiles.of(peer), prefix);
    }

    pub(crate) fn contains(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.ledger.contains(peer, prefix)
    }

    /// Checks whether a peer may have, or ask for, one more prefix of this length: what it has and what it has asked for
    /// together keep to its quota, and to that of its user.
    pub(crate) fn check(&self, peer: PeerId, len: usize, quota: Quota) -> Result<(), Exceeded> {
        let ((held, bytes), (asked, asked_bytes)) = (self.ledger.held(peer), self.beside.requests.of(peer));
        quota.check(u64::from(held) + asked, bytes + asked_bytes, len)?;
        self.beside.accounts.check(peer, len)
    }

    pub(crate) fn cancel(&mut self, peer: PeerId, prefix: &[u8]) {
        let change = self.ledger.cancel(peer, prefix);
        if change == Change::None {
            return;
        }
        self.give_back(peer, prefix);
        self.tell_of_peer(peer, prefix, false);
        if change == Change::Unwanted {
            self.tell(prefix, false);
        }
    }

    /// Whether a peer has asked for a prefix, and this is not decided yet.
    pub(crate) fn is_asked(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.beside.requests.contains(peer, prefix)
    }

    /// A peer asks for a prefix, and this is to be decided later. It must not have asked for it already.
    pub(crate) fn ask(&mut self, peer: PeerId, prefix: &[u8]) {
        self.beside.requests.insert(peer, prefix);
        self.beside.accounts.take(peer, prefix.len());
        self.tell_request(peer, prefix, true, false);
    }

    /// A request is closed: it was decided, or the peer has withdrawn it. Returns whether there was one.
    pub(crate) fn close_request(&mut self, peer: PeerId, prefix: &[u8], decided: bool) -> bool {
        let known = self.beside.requests.remove(peer, prefix);
        if known {
            self.give_back(peer, prefix);
            self.tell_request(peer, prefix, false, decided);
        }
        known
    }

    /// The account of a peer has one prefix fewer.
    fn give_back(&mut self, peer: PeerId, prefix: &[u8]) {
        let accounts = &mut self.beside.accounts;
        accounts.give_back(accounts.of(peer), prefix.len());
    }

    fn tell_request(&mut self, peer: PeerId, prefix: &[u8], wanted: bool, decided: bool) {
        let holding = Holding { peer: self.beside.profiles.of(peer).clone(), asks: true, decided };
        self.moved += self.beside.watches.tell_of_peer(&holding, prefix, wanted);
    }

    pub(crate) fn settle(&mut self, peer: PeerId) {
        self.ledger.settle(peer);
    }

    /// Takes a peer out of the ledger. Returns whether a part of what it held is still to be released.
    pub(crate) fn detach(&mut self, peer: PeerId) -> bool {
        let Edit { ledger, beside, .. } = self;
        let profile = beside.profiles.attached[peer.index()].take().expect("an attached peer");
        let account = beside.accounts.of(peer);
        let Beside { watches, requests, accounts, .. } = &mut **beside;
        let request = Holding { peer: profile.clone(), asks: true, decided: false };
        requests.leave(peer, &profile, |prefix| {
            accounts.give_back(account, prefix.len());
            watches.tell_of_peer(&request, prefix, false);
        });
        let number = profile.number();
        let left = ledger.detach(peer, number, |ended| beside.ended((&profile, account), ended));
        if left {
            beside.profiles.left.insert(number, profile);
        }
        beside.accounts.leave(peer);
        self.is_releasing()
    }

    /// Releases a part of what departed peers held and had asked for. Returns whether there is more.
    pub(crate) fn release(&mut self) -> bool {
        let Edit { ledger, beside, .. } = self;
        if let Some(mark) = ledger.releases_next() {
            let profile = beside.profiles.left[&mark].clone();
            let account = beside.accounts.of_left(&profile);
            ledger.release(RELEASE_PREFIXES_MAX, |ended| beside.ended((&profile, account), ended));
            beside.accounts.close_if_unused(account);
            if ledger.releases_next() != Some(mark) {
                beside.profiles.left.remove(&mark);
            }
        }
        let Beside { watches, requests, accounts, .. } = &mut **beside;
        requests.release(RELEASE_PREFIXES_MAX, |peer, prefix| {
            let account = accounts.of_left(peer);
            accounts.give_back(account, prefix.len());
            accounts.close_if_unused(account);
            let request = Holding { peer: peer.clone(), asks: true, decided: false };
            watches.tell_of_peer(&request, prefix, false);
        });
        self.is_releasing()
    }

    #[cfg(test)]
    pub(crate) fn has_no_accounts(&self) -> bool {
        self.beside.accounts.is_empty()
    }

    fn is_releasing(&self) -> bool {
        self.ledger.is_releasing() || self.beside.requests.is_releasing()
    }

    fn tell(&mut self, prefix: &[u8], wanted: bool) {
        self.moved += self.beside.watches.tell(prefix, wanted);
    }

    fn tell_of_peer(&mut self, peer: PeerId, prefix: &[u8], wanted: bool) {
        if self.beside.watches.watch_peers() {
            let peer = self.beside.profiles.of(peer).clone();
            self.moved += self.beside.tell(&peer, prefix, wanted);
        }
    }

    /// How many entries were moved to make room, since the last call.
    pub(crate) fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved) + self.ledger.take_moved()
    }
}

impl Beside {
    /// A pair has ended because its peer has left.
    fn ended(&mut self, (profile, account): (&Arc<PeerProfile>, Number), ended: Ended<'_>) {
        self.accounts.give_back(account, ended.prefix.len());
        self.tell(profile, ended.prefix, false);
        if ended.unwanted {
            self.watches.tell(ended.prefix, false);
        }
    }
}
