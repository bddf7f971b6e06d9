//! What the users of a socket's peers have in force, over all their connections. A peer without a user counts for where it
//! comes from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use oncue_core::ledger::{PeerId, QuotaExceeded};
use slab::Slab;

use crate::account::Account;
use crate::options::UserQuota;
use crate::peers::PeerProfile;

/// Why a prefix cannot come into force: the quota of the peer, or that of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Peer(QuotaExceeded),
    /// The number of prefixes, with the most.
    UserPrefixes(u32),
    /// Their bytes, with the most.
    UserBytes(u64),
}

impl From<QuotaExceeded> for Exceeded {
    fn from(exceeded: QuotaExceeded) -> Exceeded {
        Exceeded::Peer(exceeded)
    }
}

/// The accounts of one socket.
pub(crate) struct Accounts {
    quota: UserQuota,
    numbers: HashMap<Account, Number>,
    open: Slab<Open>,
    /// By the number of the peer.
    of_peer: Vec<Number>,
}

/// The number of an account, or [`NONE`].
pub(crate) type Number = u32;

/// The account of what has no bound.
const NONE: Number = u32::MAX;

/// An account with peers, or with prefixes of peers that have left which are still to be released.
struct Open {
    account: Account,
    peers: u32,
    prefixes: u64,
    bytes: u64,
}

impl Accounts {
    pub(crate) fn new(quota: UserQuota) -> Accounts {
        Accounts { quota, numbers: HashMap::new(), open: Slab::new(), of_peer: Vec::new() }
    }

    /// A peer comes.
    pub(crate) fn enter(&mut self, peer: PeerId, profile: &PeerProfile) {
        let number = profile.account().map_or(NONE, |account| match self.numbers.entry(account) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let account = vacant.key().clone();
                let number = self.open.insert(Open { account, peers: 0, prefixes: 0, bytes: 0 });
                *vacant.insert(number as Number)
            }
        });
        if let Some(open) = self.open.get_mut(number as usize) {
            open.peers += 1;
        }
        self.of_peer.resize(self.of_peer.len().max(peer.index() + 1), NONE);
        self.of_peer[peer.index()] = number;
    }

    /// A peer leaves. What it still has counts until it is given back.
    pub(crate) fn leave(&mut self, peer: PeerId) {
        let number = std::mem::replace(&mut self.of_peer[peer.index()], NONE);
        if let Some(open) = self.open.get_mut(number as usize) {
            open.peers -= 1;
            self.close_if_unused(number);
        }
    }

    /// The account of a peer.
    pub(crate) fn of(&self, peer: PeerId) -> Number {
        self.of_peer[peer.index()]
    }

    /// The account of a peer that has left.
    pub(crate) fn of_left(&self, profile: &PeerProfile) -> Number {
        profile.account().and_then(|account| self.numbers.get(&account).copied()).unwrap_or(NONE)
    }

    /// Checks whether a peer may have one more prefix of this length.
    pub(crate) fn check(&self, peer: PeerId, len: usize) -> Result<(), Exceeded> {
        let Some(open) = self.open.get(self.of(peer) as usize) else { return Ok(()) };
        if open.prefixes >= u64::from(self.quota.prefixes_max) {
            return Err(Exceeded::UserPrefixes(self.quota.prefixes_max));
        }
        if len as u64 > self.quota.prefix_bytes_max.saturating_sub(open.bytes) {
            return Err(Exceeded::UserBytes(self.quota.prefix_bytes_max));
        }
        Ok(())
    }

    /// A peer has one more prefix of this length.
    pub(crate) fn take(&mut self, peer: PeerId, len: usize) {
        if let Some(open) = self.open.get_mut(self.of_peer[peer.index()] as usize) {
            open.prefixes += 1;
            open.bytes += len as u64;
        }
    }

    /// A peer of this account has one fewer.
    pub(crate) fn give_back(&mut self, number: Number, len: usize) {
        if let Some(open) = self.open.get_mut(number as usize) {
            open.prefixes -= 1;
            open.bytes -= len as u64;
        }
    }

    /// Forgets an account that nobody uses any more.
    pub(crate) fn close_if_unused(&mut self, number: Number) {
        let Some(Open { account, peers: 0, prefixes: 0, .. }) = self.open.get(number as usize) else {
            return;
        };
        self.numbers.remove(account);
        self.open.remove(number as usize);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use oncue_core::topic::Hidden;
    use std::sync::Arc;

    use oncue_core::connection::SocketType;
    use oncue_core::ledger::Quota;

    use super::*;
    use crate::engine::hub::demand::Demand;
    use crate::peer_address::PeerAddress;
    use crate::peers::PeerMetadata;
    use crate::permission::PeerKey;
    use crate::user::User;

    fn profile(uid: u64, user: Option<&str>, address: PeerAddress) -> Arc<PeerProfile> {
        Arc::new(PeerProfile {
            key: PeerKey { shard: 0, slot: uid as usize, uid },
            address,
            socket_type: SocketType::Sub,
            zmtp: (3, 1),
            endpoint: Arc::new("tcp://127.0.0.1:1".parse().unwrap()),
            metadata: PeerMetadata::default(),
            user: user.map(|user| Arc::new(User::new(user))),
        })
    }

    fn at(text: &str) -> PeerAddress {
        PeerAddress::Tcp(text.parse().unwrap())
    }

    fn demand(prefixes_max: u32, prefix_bytes_max: u64) -> Demand {
        let of_peer = Quota { prefixes_max: 1 << 20, prefix_bytes_max: 1 << 30 };
        Demand::new(1, (of_peer, UserQuota { prefixes_max, prefix_bytes_max }), Hidden::default(), false)
    }

    #[test]
    fn the_connections_of_one_user_share_a_quota_and_those_of_one_address_another() {
        let demand = demand(3, 1000);
        let mut edit = demand.edit();
        let of = |uid, user, address: &str| profile(uid, user, at(address));
        let one = edit.attach(&of(1, Some("anna"), "1.2.3.4:5"));
        let two = edit.attach(&of(2, Some("anna"), "9.9.9.9:5"));
        let other = edit.attach(&of(3, Some("berta"), "1.2.3.4:6"));
        let nobody = edit.attach(&of(4, None, "1.2.3.4:7"));
        assert_eq!(edit.subscribe(one, b"a"), Ok(true));
        assert_eq!(edit.subscribe(two, b"a"), Ok(true));
        assert_eq!(edit.subscribe(two, b"b"), Ok(true));
        assert_eq!(edit.subscribe(one, b"c"), Err(Exceeded::UserPrefixes(3)));
        assert_eq!(edit.subscribe(one, b"a"), Ok(false), "what is in force takes no more");
        for peer in [other, nobody] {
            [b"a", b"b", b"c"].iter().for_each(|prefix| assert_eq!(edit.subscribe(peer, *prefix), Ok(true)));
            assert_eq!(edit.subscribe(peer, b"d"), Err(Exceeded::UserPrefixes(3)));
        }
        // A cancel makes room, and so does an end of the other connection.
        edit.cancel(two, b"b");
        edit.ask(one, b"asked");
        assert_eq!(edit.subscribe(one, b"c"), Err(Exceeded::UserPrefixes(3)), "what is asked for counts");
        assert!(edit.close_request(one, b"asked", false));
        assert_eq!(edit.subscribe(one, b"c"), Ok(true));
        edit.ask(nobody, b"again");
        edit.detach(two);
        assert_eq!(edit.subscribe(one, b"d"), Ok(true));
        [one, other, nobody].into_iter().for_each(|peer| _ = edit.detach(peer));
        assert!(edit.has_no_accounts());
    }

    #[test]
    fn bytes_are_counted_too_and_this_process_has_no_bound() {
        let demand = demand(1000, 10);
        let mut edit = demand.edit();
        let one = edit.attach(&profile(1, None, at("[2001:db8::1]:5")));
        let two = edit.attach(&profile(2, None, at("[2001:db8::2]:5")));
        assert_eq!(edit.subscribe(one, b"1234567"), Ok(true));
        assert_eq!(edit.subscribe(two, b"1234"), Err(Exceeded::UserBytes(10)));
        assert_eq!(edit.subscribe(two, b"123"), Ok(true));
        let own = edit.attach(&profile(3, None, PeerAddress::Inproc));
        assert_eq!(edit.subscribe(own, &[7; 100]), Ok(true));
        [one, two, own].into_iter().for_each(|peer| _ = edit.detach(peer));
        assert!(edit.has_no_accounts());
    }

    #[test]
    fn what_a_peer_leaves_behind_counts_until_it_is_released() {
        const MANY: u32 = 3000;
        let demand = demand(MANY, 1 << 20);
        let mut edit = demand.edit();
        let of = |uid| profile(uid, Some("anna"), at("1.2.3.4:5"));
        let first = edit.attach(&of(1));
        (0..MANY - 10).for_each(|i| assert_eq!(edit.subscribe(first, &i.to_be_bytes()), Ok(true)));
        (0..10u8).for_each(|i| edit.ask(first, &[i]));
        assert!(edit.detach(first), "so many are released a part at a time");
        let second = edit.attach(&of(2));
        (0..10u8).for_each(|i| assert_eq!(edit.subscribe(second, &[i]), Ok(true)));
        assert_eq!(edit.subscribe(second, b"more"), Err(Exceeded::UserPrefixes(MANY)));
        assert!(edit.release());
        assert_eq!(edit.subscribe(second, b"more"), Ok(true));
        while edit.release() {}
        edit.detach(second);
        assert!(edit.has_no_accounts());
    }
}
