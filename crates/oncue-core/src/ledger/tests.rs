//! The ledger against a plain set of pairs, with peers of several shards that join, change and leave.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use oncue_testing::{Rng, for_seeds};

/// Queries for tests.
impl Ledger {
    /// How many peers have exactly this prefix.
    fn peers_of(&self, prefix: &[u8]) -> u32 {
        self.index
            .find(prefix)
            .and_then(|id| self.index.value(id))
            .map_or(0, |holders| self.count_peers(holders))
    }

    /// Calls `found` with each prefix of `peer`, in no particular order.
    fn prefixes_of(&self, peer: PeerId, mut found: impl FnMut(&[u8])) {
        let audience = self.peer(peer).audience;
        if audience == NONE {
            return;
        }
        let own = &self.audiences[audience as usize];
        let mut prefixes = match own.listed {
            true => own.prefixes.clone(),
            false => (0..self.index.ids_end()).filter_map(|id| self.index.entry(id)).collect(),
        };
        self.make_exact(audience, &mut prefixes);
        for id in prefixes {
            found(self.index.prefix(id).expect("a prefix that is held"));
        }
    }
}

const AMPLE: Quota = Quota { prefixes_max: 1000, prefix_bytes_max: 100_000 };

type Set = BTreeSet<Vec<u8>>;

struct Naive {
    shard: u16,
    token: u64,
    set: Set,
    /// Whether the peer was settled after its last change.
    settled: bool,
}

struct Checked {
    ledger: Ledger,
    peers: BTreeMap<PeerId, Naive>,
    /// The wanted prefixes according to the demand events.
    told: Set,
    /// The prefixes of peers that have left, since all were released.
    left: Set,
    /// What each peer that has left holds until it is released, by the mark of its departure.
    leaving: BTreeMap<u64, Set>,
    departures: u64,
}

/// A pair has ended as its peer has left.
fn ended(told: &mut Set, leaving: &mut BTreeMap<u64, Set>, ended: Ended<'_>) {
    assert!(leaving.get_mut(&ended.mark).unwrap().remove(ended.prefix), "each pair ends once");
    if ended.unwanted {
        assert!(told.remove(ended.prefix), "each prefix ends once");
    }
}

impl Checked {
    fn new(seed: u64) -> Checked {
        let ledger = Ledger::new(seed, AMPLE);
        Checked {
            ledger: if seed.is_multiple_of(3) { ledger.inverted() } else { ledger },
            peers: BTreeMap::new(),
            told: Set::new(),
            left: Set::new(),
            leaving: BTreeMap::new(),
            departures: 0,
        }
    }

    fn pick(&self, rng: &mut Rng) -> Option<PeerId> {
        let at = rng.below(self.peers.len().max(1));
        self.peers.keys().nth(at).copied()
    }

    fn others_have(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.peers.iter().any(|(&other, naive)| other != peer && naive.set.contains(prefix))
    }

    fn step(&mut self, rng: &mut Rng, prefix: Vec<u8>) {
        let choice = rng.below(100);
        match self.pick(rng) {
            None => self.attach(rng),
            Some(_) if choice < 4 && self.peers.len() < 12 => self.attach(rng),
            Some(peer) if choice < 7 => self.detach(peer),
            Some(_) if choice < 12 => self.release(rng.below(4)),
            Some(peer) if choice < 50 => self.subscribe(peer, prefix),
            Some(peer) if choice < 80 => self.cancel(peer, &prefix),
            Some(peer) => {
                self.ledger.settle(peer);
                self.peers.get_mut(&peer).unwrap().settled = true;
            }
        }
    }

    fn attach(&mut self, rng: &mut Rng) {
        let (shard, token) = (rng.below(2) as u16, rng.next());
        let peer = self.ledger.attach(shard, token);
        let naive = Naive { shard, token, set: Set::new(), settled: false };
        assert!(self.peers.insert(peer, naive).is_none(), "the number of an attached peer was given away");
    }

    fn subscribe(&mut self, peer: PeerId, prefix: Vec<u8>) {
        // A prefix that is not released yet causes no event when it is wanted again.
        let others = self.told.contains(&prefix);
        let naive = self.peers.get_mut(&peer).unwrap();
        let expected = match (naive.set.insert(prefix.clone()), others) {
            (false, _) => Change::None,
            (true, true) => Change::Added,
            (true, false) => Change::Wanted,
        };
        naive.settled &= expected == Change::None;
        assert_eq!(self.ledger.subscribe(peer, &prefix), Ok(expected));
        if expected == Change::Wanted {
            assert!(self.told.insert(prefix));
        }
    }

    fn cancel(&mut self, peer: PeerId, prefix: &[u8]) {
        let others = self.others_have(peer, prefix);
        let naive = self.peers.get_mut(&peer).unwrap();
        let expected = match (naive.set.remove(prefix), others) {
            (false, _) => Change::None,
            (true, true) => Change::Removed,
            (true, false) => Change::Unwanted,
        };
        naive.settled &= expected == Change::None;
        let change = self.ledger.cancel(peer, prefix);
        let left = self.ledger.is_releasing() && self.left.contains(prefix);
        assert!(change == expected || left && (change, expected) == (Change::Removed, Change::Unwanted));
        if change == Change::Unwanted {
            assert!(self.told.remove(prefix));
        }
    }

    fn detach(&mut self, peer: PeerId) {
        let naive = self.peers.remove(&peer).unwrap();
        let small = naive.set.len() <= DETACH_PREFIXES_MAX / 2;
        let releasing = self.ledger.is_releasing();
        self.left.extend(naive.set.clone());
        self.departures += 1;
        let mark = self.departures;
        let Checked { ledger, told, leaving, .. } = self;
        leaving.insert(mark, naive.set);
        let releases = ledger.detach(peer, mark, |pair| ended(told, leaving, pair));
        assert_eq!(releases, !leaving[&mark].is_empty(), "all of it, or nothing yet");
        leaving.retain(|_, set| !set.is_empty());
        assert!(
            !small || releasing || !self.ledger.is_releasing(),
            "the prefixes of a small peer are released at once"
        );
    }

    fn release(&mut self, prefixes_max: usize) {
        let before = self.told.len();
        let Checked { ledger, told, leaving, .. } = self;
        assert_eq!(ledger.releases_next(), leaving.keys().next().copied(), "in the order of the departures");
        let more = ledger.release(prefixes_max, |pair| ended(told, leaving, pair));
        leaving.retain(|_, set| !set.is_empty());
        assert!(before - self.told.len() <= prefixes_max + 32, "a slice has about this size");
        assert_eq!(more, self.ledger.is_releasing());
        if !more {
            self.left.clear();
        }
    }

    /// Releases all prefixes of peers that have left. The ledger must then equal what the peers want.
    fn check_all(&mut self) {
        self.check_pairs();
        while self.ledger.is_releasing() {
            self.release(3);
        }
        let mut counts: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for prefix in self.peers.values().flat_map(|naive| &naive.set) {
            *counts.entry(prefix.clone()).or_default() += 1;
        }
        assert!(self.told.iter().eq(counts.keys()), "the events and the pairs agree");
        assert_eq!(self.ledger.len(), counts.len());
        assert_eq!(self.ledger.is_empty(), counts.is_empty());
        assert_eq!(self.ledger.pairs(), counts.values().map(|&peers| u64::from(peers)).sum::<u64>());
        let longest = counts.keys().map(Vec::len).max().unwrap_or(0);
        assert_eq!(self.ledger.decisive().of(&alloc::vec![0; longest + 1]).len(), longest);
        assert_eq!(self.ledger.prefixes().count(), counts.len());
        for (prefix, peers) in self.ledger.prefixes() {
            assert_eq!(Some(&peers), counts.get(prefix));
            assert_eq!(peers, self.ledger.peers_of(prefix));
        }
        self.check_audiences();
    }

    /// The pairs in force, and those that are still to be released.
    fn check_pairs(&self) {
        let mut pairs = BTreeSet::new();
        self.ledger.for_each_pair(|holder, prefix| assert!(pairs.insert((holder, prefix.to_vec()))));
        let held = self.peers.iter().map(|(&peer, naive)| (Holder::Peer(peer), &naive.set));
        let left = self.leaving.iter().map(|(&mark, set)| (Holder::Left(mark), set));
        let naive = held.chain(left).flat_map(|(holder, set)| set.iter().map(move |p| (holder, p.clone())));
        assert!(pairs == naive.collect());
    }

    fn check_audiences(&self) {
        let mut members: BTreeMap<AudienceId, Vec<PeerId>> = BTreeMap::new();
        let mut settled: BTreeMap<(u16, &Set), AudienceId> = BTreeMap::new();
        for (&peer, naive) in &self.peers {
            assert_eq!(self.ledger.token(peer), naive.token);
            let mut set = Set::new();
            self.ledger.prefixes_of(peer, |prefix| assert!(set.insert(prefix.to_vec())));
            assert_eq!(set, naive.set);
            let bytes = set.iter().map(|prefix| prefix.len() as u64).sum();
            assert_eq!(self.ledger.held(peer), (set.len() as u32, bytes));
            let audience = self.ledger.audience_of(peer);
            assert_eq!(audience.is_none(), naive.set.is_empty() && !self.ledger.inverted);
            let Some(audience) = audience else { continue };
            assert!(audience.index() < self.ledger.audiences_end() as usize);
            assert_eq!(self.ledger.shard_of(audience), naive.shard);
            members.entry(audience).or_default().push(peer);
            if naive.settled && naive.set.len() <= SETTLE_PREFIXES_MAX {
                let first = *settled.entry((naive.shard, &naive.set)).or_insert(audience);
                assert_eq!(first, audience, "equal sets, once settled, are one audience");
            }
        }
        for (&audience, expected) in &members {
            let mut peers = self.ledger.peers(audience).to_vec();
            peers.sort();
            assert_eq!(&peers, expected);
            let equal = |&peer: &PeerId| self.peers[&peer].set == self.peers[&expected[0]].set;
            assert!(expected.iter().all(equal), "the peers of an audience have equal sets");
        }
        let in_use = self.ledger.audiences.len() - self.ledger.audiences_free.len();
        assert_eq!(in_use, members.len(), "no audience without peers");
        let settled = self.ledger.audiences.iter().filter(|audience| audience.settled).count();
        assert_eq!(self.ledger.settled.len(), settled);
    }

    fn check_topic(&self, topic: &[u8]) {
        let mut audiences = BTreeSet::new();
        self.ledger.for_each_audience(topic, |audience| {
            audiences.insert(audience);
        });
        let mut peers: Vec<_> =
            audiences.iter().flat_map(|&audience| self.ledger.peers(audience)).copied().collect();
        peers.sort();
        let inverted = self.ledger.inverted;
        let matches = |naive: &Naive| naive.set.iter().any(|prefix| topic.starts_with(prefix));
        let wants = |naive: &Naive| matches(naive) != inverted;
        let naive: Vec<_> =
            self.peers.iter().filter(|(_, naive)| wants(naive)).map(|(&peer, _)| peer).collect();
        assert_eq!(peers, naive);
        if inverted {
            assert_eq!(self.ledger.wanted(topic), !naive.is_empty());
        } else {
            let left = self.left.iter().any(|prefix| topic.starts_with(prefix));
            assert!(self.ledger.wanted(topic) != naive.is_empty() || self.ledger.is_releasing() && left);
            assert_eq!(self.ledger.wanted(topic), self.told.iter().any(|prefix| topic.starts_with(prefix)));
        }
        for (&peer, naive) in &self.peers {
            let mut found = Vec::new();
            self.ledger.for_each_prefix_of(peer, topic, |prefix| found.push(prefix.to_vec()));
            assert!(found.iter().eq(naive.set.iter().filter(|prefix| topic.starts_with(prefix))));
        }
    }
}

#[test]
fn agrees_with_a_set_of_pairs() {
    for_seeds(200, |rng| {
        let mut checked = Checked::new(rng.next());
        // Few short prefixes, so that sets become equal; or more, so that lists become stale and numbers are reused.
        let len_max = 1 + rng.below(4);
        for step in 0..400 {
            let prefix = rng.prefix(len_max);
            checked.step(rng, prefix);
            checked.check_topic(&rng.prefix(len_max + 2));
            if step % 20 == 0 {
                checked.check_all();
            }
        }
        checked.check_all();
        for peer in checked.peers.keys().copied().collect::<Vec<_>>() {
            checked.detach(peer);
        }
        checked.check_all();
        assert!(checked.told.is_empty());
    });
}

#[test]
fn large_sets_go_stale_and_recover() {
    for_seeds(10, |rng| {
        let mut checked = Checked::new(rng.next());
        checked.attach(rng);
        checked.attach(rng);
        for step in 0..4000 {
            let prefix = (rng.below(400) as u16).to_be_bytes().to_vec();
            let peer = checked.pick(rng).unwrap();
            // Alternates between mostly growing and mostly shrinking.
            if (rng.below(10) < 8) == (step % 1000 < 500) {
                checked.subscribe(peer, prefix);
            } else {
                checked.cancel(peer, &prefix);
            }
            if rng.below(10) == 0 {
                checked.ledger.settle(peer);
            }
            if step % 200 == 0 {
                checked.check_all();
            }
        }
        let listed = checked.ledger.audiences.iter().map(|audience| audience.prefixes.len()).sum::<usize>();
        assert!(listed as u64 <= 2 * checked.ledger.pairs() + 2 * SETTLE_PREFIXES_MAX as u64);
        checked.check_all();
    });
}

#[test]
fn a_large_peer_goes_little_by_little_and_others_come_and_go_meanwhile() {
    for_seeds(20, |rng| {
        let mut checked = Checked::new(rng.next());
        for round in 0..3 {
            checked.attach(rng);
            let large = *checked.peers.keys().next_back().unwrap();
            // With a list, and without one.
            let count = [DETACH_PREFIXES_MAX + 20, 2 * LISTED_PREFIXES_MAX][round % 2] as u32;
            for n in 0..count {
                checked.subscribe(large, n.to_be_bytes().to_vec());
            }
            checked.check_all();
            checked.detach(large);
            assert!(
                checked.ledger.is_releasing() && checked.ledger.audiences.iter().all(|a| a.peers.is_empty())
            );
            checked.attach(rng);
            let mut releases = 0;
            while checked.ledger.is_releasing() {
                let peer = checked.pick(rng).unwrap();
                let prefix = (rng.below(count as usize) as u32).to_be_bytes().to_vec();
                match rng.below(3) {
                    0 => checked.subscribe(peer, prefix),
                    1 => checked.cancel(peer, &prefix),
                    _ => checked.release(5),
                }
                checked.check_topic(&(rng.below(count as usize) as u32).to_be_bytes());
                releases += 1;
            }
            assert!(releases > 3, "not at once");
            checked.check_all();
            for peer in checked.peers.keys().copied().collect::<Vec<_>>() {
                checked.detach(peer);
            }
            checked.check_all();
            assert!(checked.told.is_empty() && checked.ledger.is_empty());
        }
    });
}

fn ledger() -> Ledger {
    Ledger::new(1, AMPLE)
}

#[test]
fn subscriptions_are_a_set_and_cancels_must_be_owned() {
    let mut ledger = ledger();
    let (a, b) = (ledger.attach(0, 10), ledger.attach(0, 20));
    assert_eq!(ledger.subscribe(a, b"B"), Ok(Change::Wanted));
    assert_eq!(ledger.subscribe(a, b"B"), Ok(Change::None));
    assert_eq!(ledger.cancel(b, b"B"), Change::None);
    assert_eq!(ledger.subscribe(b, b"B"), Ok(Change::Added));
    assert_eq!((ledger.peers_of(b"B"), ledger.pairs(), ledger.len()), (2, 2, 1));
    assert_eq!(ledger.cancel(a, b"B"), Change::Removed);
    assert_eq!(ledger.cancel(a, b"B"), Change::None);
    assert!(ledger.contains(b, b"B") && !ledger.contains(a, b"B"));
    assert_eq!(ledger.cancel(b, b"B"), Change::Unwanted);
    assert!(ledger.is_empty());
}

#[test]
fn equal_sets_of_one_shard_share_an_audience() {
    let mut ledger = ledger();
    let peers: Vec<PeerId> = [0, 0, 1].map(|shard| ledger.attach(shard, 0)).to_vec();
    for (n, &peer) in peers.iter().enumerate() {
        // The order of arrival does not matter.
        for prefix in if n == 0 { [b"a", b"b"] } else { [b"b", b"a"] } {
            ledger.subscribe(peer, prefix).unwrap();
        }
        ledger.settle(peer);
    }
    assert_eq!(ledger.audience_of(peers[0]), ledger.audience_of(peers[1]));
    assert_ne!(ledger.audience_of(peers[0]), ledger.audience_of(peers[2]));
    ledger.cancel(peers[1], b"b");
    assert_ne!(ledger.audience_of(peers[0]), ledger.audience_of(peers[1]));
    assert!(ledger.contains(peers[0], b"b"));
    ledger.subscribe(peers[1], b"b").unwrap();
    ledger.settle(peers[1]);
    assert_eq!(ledger.audience_of(peers[0]), ledger.audience_of(peers[1]));
}

#[test]
fn sets_beyond_the_limit_stay_alone() {
    let mut ledger = ledger();
    let peers = [ledger.attach(0, 0), ledger.attach(0, 0)];
    for (count, shared) in [(SETTLE_PREFIXES_MAX, true), (SETTLE_PREFIXES_MAX + 1, false)] {
        for peer in peers {
            for n in 0..count as u8 {
                ledger.subscribe(peer, &[n]).unwrap();
            }
            ledger.settle(peer);
        }
        assert_eq!(ledger.audience_of(peers[0]) == ledger.audience_of(peers[1]), shared, "{count} prefixes");
    }
}

#[test]
fn quotas_are_per_peer_and_count_what_is_in_force() {
    let mut ledger = Ledger::new(1, Quota { prefixes_max: 2, prefix_bytes_max: 10 });
    let (a, b) = (ledger.attach(0, 0), ledger.attach(0, 0));
    ledger.subscribe(a, b"12345678").unwrap();
    let bytes = ledger.subscribe(a, b"123").unwrap_err();
    assert_eq!(bytes, QuotaExceeded::PrefixBytes(10));
    assert!(bytes.to_string().contains("at most 10 bytes in all (prefix_bytes_max)"));
    ledger.subscribe(a, b"12").unwrap();
    let prefixes = ledger.subscribe(a, b"").unwrap_err();
    assert_eq!(prefixes, QuotaExceeded::Prefixes(2));
    assert!(prefixes.to_string().contains("at most 2 prefixes (prefixes_max)"));
    // A pair that is already in force, or was refused, does not count.
    assert_eq!(ledger.subscribe(a, b"12"), Ok(Change::None));
    assert_eq!(ledger.subscribe(b, b"123"), Ok(Change::Wanted));
    ledger.cancel(a, b"12345678");
    assert_eq!(ledger.subscribe(a, b"34567890"), Ok(Change::Wanted));
    assert_eq!(ledger.pairs(), 3);
}

#[test]
#[should_panic(expected = "not attached")]
fn a_detached_peer_is_a_broken_invariant() {
    let mut ledger = ledger();
    let peer = ledger.attach(0, 0);
    ledger.detach(peer, 0, |_| ());
    ledger.cancel(peer, b"a");
}

#[test]
fn long_prefixes_are_released_a_few_at_a_time() {
    const LEN: usize = 60_000;
    let mut ledger = Ledger::new(7, Quota { prefixes_max: 1000, prefix_bytes_max: 1 << 30 });
    let peer = ledger.attach(0, 0);
    for n in 0..100u32 {
        let prefix = [&n.to_be_bytes()[..], &[0; LEN]].concat();
        ledger.subscribe(peer, &prefix).unwrap();
    }
    let mut told = 0;
    assert!(ledger.detach(peer, 0, |_| told += 1));
    assert_eq!(told, 0, "six megabytes are not released at once");
    let (mut slices, mut more) = (0, true);
    while more {
        let before = told;
        more = ledger.release(1024, |_| told += 1);
        assert!((told - before) * LEN <= 2 << 20, "{} prefixes in one slice", told - before);
        slices += 1;
    }
    assert_eq!(told, 100);
    assert!(slices >= 4, "{slices} slices");
}
