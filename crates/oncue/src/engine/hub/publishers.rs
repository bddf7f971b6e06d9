//! What came from each publisher of a SUB or XSUB: an account for each dialer, over all its connections, and for each
//! connection that came by a listener.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::endpoint::Endpoint;
use crate::missed::PublisherStats;
use crate::peer_address::PeerAddress;
use crate::sync::{add_saturating, lock};

/// How many accounts are kept apart. Beyond it those of publishers that are gone are summed up by endpoint.
const ACCOUNTS_MAX: usize = 1024;

/// Whose account it is: a dialer's uid or a connection's, on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) shard: u16,
    pub(crate) uid: u64,
}

/// The accounts of one socket, in the order of their first connection.
#[derive(Default)]
pub(crate) struct Publishers(Mutex<Vec<Arc<Account>>>);

/// What came from one publisher.
pub(crate) struct Account {
    owner: Owner,
    endpoint: Arc<Endpoint>,
    address: Mutex<Option<PeerAddress>>,
    connected: AtomicBool,
    /// It was lost while the socket was subscribed.
    lost: AtomicBool,
    connections: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) unseen: AtomicU64,
    gaps: AtomicU64,
}

impl Publishers {
    /// A publisher has connected. Returns its account, and whether it was lost before while the socket was subscribed.
    pub(crate) fn enter(
        &self,
        owner: Owner,
        endpoint: &Arc<Endpoint>,
        address: PeerAddress,
    ) -> (Arc<Account>, bool) {
        let mut accounts = lock(&self.0);
        let known = accounts.iter().find(|account| account.owner == owner).cloned();
        let account = known.unwrap_or_else(|| {
            let account = Arc::new(Account::new(owner, endpoint.clone()));
            accounts.push(account.clone());
            if accounts.len() > ACCOUNTS_MAX {
                sum_up(&mut accounts);
            }
            account
        });
        *lock(&account.address) = Some(address);
        account.connected.store(true, Ordering::Relaxed);
        account.connections.fetch_add(1, Ordering::Relaxed);
        let lost = account.lost.swap(false, Ordering::Relaxed);
        account.gaps.fetch_add(u64::from(lost), Ordering::Relaxed);
        (account, lost)
    }

    pub(crate) fn stats(&self) -> Vec<PublisherStats> {
        lock(&self.0).iter().map(|account| account.stats()).collect()
    }
}

/// Adds the oldest account of a publisher that is gone to that of its endpoint, which has no address.
fn sum_up(accounts: &mut Vec<Arc<Account>>) {
    let is_gone = |account: &Arc<Account>| {
        !account.connected.load(Ordering::Relaxed) && lock(&account.address).is_some()
    };
    let newest = accounts.len() - 1;
    let Some(oldest) = accounts[..newest].iter().position(is_gone) else { return };
    let gone = accounts.remove(oldest);
    let is_sum =
        |account: &&Arc<Account>| account.endpoint == gone.endpoint && lock(&account.address).is_none();
    match accounts.iter().find(is_sum) {
        Some(sum) => {
            for (counter, more) in sum.counters().into_iter().zip(gone.counters()) {
                add_saturating(counter, more.load(Ordering::Relaxed));
            }
        }
        None => {
            *lock(&gone.address) = None;
            accounts.insert(0, gone);
        }
    }
}

impl Account {
    fn new(owner: Owner, endpoint: Arc<Endpoint>) -> Account {
        let (address, connected, lost, connections, received) = Default::default();
        let (bytes, missed, unseen, gaps) = Default::default();
        Account {
            owner,
            endpoint,
            address,
            connected,
            lost,
            connections,
            received,
            bytes,
            missed,
            unseen,
            gaps,
        }
    }

    /// It has left; `subscribed`: the socket was subscribed.
    pub(crate) fn leave(&self, subscribed: bool) {
        self.connected.store(false, Ordering::Relaxed);
        self.lost.store(subscribed, Ordering::Relaxed);
    }

    fn counters(&self) -> [&AtomicU64; 6] {
        [&self.connections, &self.received, &self.bytes, &self.missed, &self.unseen, &self.gaps]
    }

    fn stats(&self) -> PublisherStats {
        let [connections, received, bytes, missed, unseen, gaps] =
            self.counters().map(|counter| counter.load(Ordering::Relaxed));
        PublisherStats {
            endpoint: Endpoint::clone(&self.endpoint),
            address: *lock(&self.address),
            connected: self.connected.load(Ordering::Relaxed),
            connections,
            received,
            bytes,
            missed,
            unseen,
            gaps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_bounded_and_their_sums_stay() {
        let publishers = Publishers::default();
        let endpoints = ["inproc://a", "inproc://b"].map(|text| Arc::new(text.parse::<Endpoint>().unwrap()));
        for uid in 0..5000 {
            let endpoint = &endpoints[uid as usize % 2];
            let (account, lost) = publishers.enter(Owner { shard: 0, uid }, endpoint, PeerAddress::Inproc);
            assert!(!lost);
            account.received.fetch_add(uid, Ordering::Relaxed);
            // Some stay.
            if uid % 100 != 0 {
                account.leave(true);
            }
        }
        let stats = publishers.stats();
        assert_eq!(stats.len(), ACCOUNTS_MAX + endpoints.len());
        for (at, endpoint) in endpoints.iter().enumerate() {
            let own = stats.iter().filter(|stats| stats.endpoint == **endpoint);
            assert_eq!(own.clone().map(|stats| stats.connections).sum::<u64>(), 2500);
            let received: u64 = (0..5000).filter(|uid| uid % 2 == at as u64).sum();
            assert_eq!(own.clone().map(|stats| stats.received).sum::<u64>(), received);
            assert_eq!(own.filter(|stats| stats.address.is_none()).count(), 1);
        }
        assert_eq!(stats.iter().filter(|stats| stats.connected).count(), 50);
    }

    #[test]
    fn a_dialer_has_one_account_and_a_loss_while_subscribed_is_a_gap() {
        let (publishers, owner) = (Publishers::default(), Owner { shard: 1, uid: 7 });
        let endpoint = Arc::new("inproc://a".parse().unwrap());
        let enter = || publishers.enter(owner, &endpoint, PeerAddress::Inproc);
        for (subscribed, lost) in [(false, false), (true, false), (false, true), (false, false)] {
            let (account, was_lost) = enter();
            assert_eq!(was_lost, lost);
            account.leave(subscribed);
        }
        let stats = publishers.stats();
        assert_eq!((stats.len(), stats[0].connections, stats[0].gaps), (1, 4, 1));
    }

    #[test]
    fn sums_of_what_publishers_say_stay_at_the_end_of_the_range() {
        let publishers = Publishers::default();
        let endpoint = Arc::new("inproc://a".parse().unwrap());
        for uid in 0..ACCOUNTS_MAX as u64 + 3 {
            let (account, _) = publishers.enter(Owner { shard: 0, uid }, &endpoint, PeerAddress::Inproc);
            add_saturating(&account.missed, u64::MAX);
            add_saturating(&account.missed, 1);
            account.leave(false);
        }
        assert!(publishers.stats().iter().all(|stats| stats.missed == u64::MAX));
    }
}
