//! The pending edges against a plain list of all edges, and the text form of a prefix.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use std::cell::Cell;
use std::time::{Duration, Instant};

use super::*;
use oncue_testing::for_seeds;

impl<S: Subject + Clone> Edges<S> {
    /// The pending edges, the oldest first.
    fn pending(&self) -> Vec<Edge<S>> {
        self.examined.iter().chain(self.fresh.iter()).cloned().collect()
    }

    /// For how many edges memory is allocated.
    fn capacity(&self) -> usize {
        self.examined.capacity() + self.fresh.capacity()
    }
}

/// More than the limit may be pending until all are netted.
const PENDING_MAX: usize = EDGES_EXACT_MAX + EDGES_EXACT_MAX / (NET_STEPS - 1) + 1;

fn prefix(number: usize) -> Prefix {
    Prefix::from(&(number as u32).to_be_bytes()[..])
}

/// Flips the demand of random prefixes and reads some edges now and then.
struct Watched {
    edges: Edges,
    wanted: BTreeSet<usize>,
    told: BTreeSet<Prefix>,
}

impl Watched {
    fn new(seed: u64) -> Watched {
        Watched { edges: Edges::new(seed), wanted: BTreeSet::new(), told: BTreeSet::new() }
    }

    fn flip(&mut self, number: usize) {
        let wanted = !self.wanted.remove(&number);
        if wanted {
            self.wanted.insert(number);
        }
        self.edges.push((), prefix(number), wanted);
    }

    fn read(&mut self) -> bool {
        let Some(Edge { prefix, wanted, .. }) = self.edges.pop() else { return false };
        let alternates = if wanted { self.told.insert(prefix) } else { self.told.remove(&prefix) };
        assert!(alternates, "the watcher hears only of changes");
        true
    }

    fn read_all(&mut self) {
        while self.read() {}
        assert!(self.edges.is_empty());
        assert!(self.told.iter().cloned().eq(self.wanted.iter().map(|&number| prefix(number))));
    }
}

#[test]
fn what_the_watcher_learns_is_true_in_the_end() {
    for_seeds(200, |rng| {
        let mut watched = Watched::new(rng.next());
        // The real limit would take too long to reach for each seed.
        for _ in 0..400 {
            let exact = &mut watched.edges.exact;
            exact.net_steps = 2 + rng.below(3);
            exact.edges_max = exact.edges_max.min(1 + rng.below(60));
            exact.bytes_max = exact.bytes_max.min(1 + rng.below(600));
            watched.flip(rng.below(15));
            if rng.below(3) == 0 {
                watched.read();
            }
        }
        watched.read_all();
    });
}

#[test]
fn each_prefix_is_netted_out() {
    for_seeds(200, |rng| {
        let mut watched = Watched::new(rng.next());
        for _ in 0..rng.below(100) {
            watched.flip(rng.below(10));
        }
        let before = watched.edges.pending();
        let mut counts: BTreeMap<&Prefix, usize> = BTreeMap::new();
        for edge in &before {
            *counts.entry(&edge.prefix).or_default() += 1;
        }
        let is_last = |at: usize| before[at + 1..].iter().all(|later| later.prefix != before[at].prefix);
        let stays = |&at: &usize| counts[&before[at].prefix] % 2 == 1 && is_last(at);
        let naive: Vec<&Edge> = (0..before.len()).filter(stays).map(|at| &before[at]).collect();
        while watched.edges.net_one() {}
        assert!(watched.edges.pending().iter().eq(naive));
    });
}

impl Subject for u8 {
    fn number(&self) -> u64 {
        u64::from(*self)
    }
}

#[test]
fn with_subjects_each_pair_is_kept_true() {
    // Over all seeds: how many repeated edges were read, and how often edges were being netted.
    let (read_repeated, netted) = (Cell::new(0), Cell::new(0));
    for_seeds(200, |rng| {
        let mut edges = Edges::<u8>::new(rng.next());
        edges.exact.edges_max = 5 + rng.below(20);
        let (mut held, mut told) = (BTreeSet::new(), BTreeSet::new());
        let read = |edges: &mut Edges<u8>, told: &mut BTreeSet<(u8, Prefix)>| {
            let Some(Edge { subject, prefix, wanted, repeated }) = edges.pop() else { return false };
            let pair = (subject, prefix);
            match (repeated, wanted) {
                (true, wanted) => {
                    assert!(wanted && told.contains(&pair), "repeated while it was held");
                    read_repeated.set(read_repeated.get() + 1);
                }
                (false, true) => assert!(told.insert(pair)),
                (false, false) => assert!(told.remove(&pair)),
            }
            true
        };
        for _ in 0..400 {
            edges.exact.net_steps = 2 + rng.below(3);
            let pair = (rng.below(4) as u8, prefix(rng.below(5)));
            if rng.below(4) == 0 && held.contains(&pair) {
                edges.repeat(pair.0, pair.1);
            } else {
                let wanted = !held.remove(&pair);
                if wanted {
                    held.insert(pair.clone());
                }
                edges.push(pair.0, pair.1, wanted);
            }
            netted.set(netted.get() + u32::from(edges.netting));
            let reads = if rng.below(40) == 0 { 40 } else { rng.below(2) };
            for _ in 0..reads {
                read(&mut edges, &mut told);
            }
        }
        while read(&mut edges, &mut told) {}
        assert_eq!(told, held);
    });
    assert!(netted.get() > 1000 && read_repeated.get() > 1000);
}

#[test]
fn repeated_edges_are_dropped_beyond_the_bound() {
    let mut edges = Edges::<u8>::new(1);
    edges.push(1, prefix(0), true);
    for _ in 0..2 * EDGES_EXACT_MAX {
        edges.repeat(1, prefix(0));
    }
    assert_eq!(edges.len(), EDGES_EXACT_MAX);
    // Netting drops those that are queued, too.
    for n in 0..EDGES_EXACT_MAX {
        edges.push(2, prefix(n), true);
    }
    assert!(edges.pending().iter().all(|edge| !edge.repeated));
    assert_eq!(edges.len(), 1 + EDGES_EXACT_MAX);
}

#[test]
fn nothing_is_netted_out_below_the_bound() {
    let mut watched = Watched::new(1);
    for n in 0..EDGES_EXACT_MAX {
        watched.flip(n % 2);
    }
    assert_eq!(watched.edges.len(), EDGES_EXACT_MAX);
    for n in 0..EDGES_EXACT_MAX {
        let edge = watched.edges.pop().unwrap();
        assert_eq!((edge.prefix, edge.wanted), (prefix(n % 2), n / 2 % 2 == 0));
    }
    assert_eq!(watched.edges.pop(), None);
}

#[test]
fn an_unread_queue_is_bounded_by_the_prefixes() {
    let mut watched = Watched::new(1);
    let mut longest = 0;
    for n in 0..2 * EDGES_EXACT_MAX {
        watched.flip(n % 3);
        longest = longest.max(watched.edges.len());
    }
    assert!((EDGES_EXACT_MAX..=PENDING_MAX).contains(&longest), "{longest} are pending");
    watched.read_all();
    // Many prefixes in force: at most one edge for each.
    for n in 0..4 * EDGES_EXACT_MAX {
        watched.flip(if n < 2 * EDGES_EXACT_MAX { n } else { n % 5 });
        assert!(watched.edges.len() <= 2 * EDGES_EXACT_MAX);
    }
    watched.read_all();
    assert!(!watched.edges.netting && watched.edges.capacity() <= 4 * EDGES_EXACT_MAX);
}

#[test]
fn an_unread_queue_is_bounded_in_bytes() {
    let mut edges = Edges::new(1);
    let long = |number: u8| Prefix::from(vec![number; EDGES_EXACT_BYTES_MAX / 4]);
    let bytes = |edges: &Edges| edges.pending().iter().map(|edge| edge.prefix.len()).sum::<usize>();
    for round in 0..3 {
        for number in 0..20 {
            edges.push((), long(number), true);
        }
        // The prefixes in force cannot be dropped.
        assert!(bytes(&edges) <= 6 * EDGES_EXACT_BYTES_MAX, "in round {round}");
        for number in 0..20 {
            edges.push((), long(number), false);
        }
        assert!(bytes(&edges) <= EDGES_EXACT_BYTES_MAX, "in round {round}");
        assert_eq!(bytes(&edges), edges.bytes);
    }
    while edges.pop().is_some() {}
    assert_eq!((edges.len(), edges.bytes, !edges.netting), (0, 0, true));
}

#[test]
fn what_is_left_of_many_edges_takes_little_room() {
    let mut edges = Edges::new(1);
    for wanted in [true, false] {
        for number in 0..3 * EDGES_EXACT_MAX {
            edges.push((), prefix(number), wanted);
        }
    }
    edges.push((), prefix(0), true);
    assert!(edges.len() <= EDGES_EXACT_MAX + 1 && edges.capacity() <= 4 * EDGES_EXACT_MAX);
}

#[test]
fn no_edge_takes_long_however_many_are_pending() {
    const EDGES: usize = 100_000;
    const SLOWEST: Duration = Duration::from_millis(20);
    let mut fastest = vec![Duration::MAX; 2 * EDGES];
    // A thread is preempted at a different step each time.
    for _ in 0..10 {
        let mut edges = Edges::new(1);
        let mut steps = fastest.iter_mut();
        let mut timed = |step: &mut dyn FnMut(&mut Edges)| {
            let begun = Instant::now();
            step(&mut edges);
            let fastest = steps.next().expect("as many steps each time");
            *fastest = begun.elapsed().min(*fastest);
        };
        (0..EDGES).for_each(|n| timed(&mut |edges| edges.push((), prefix(n), true)));
        // Half of them are netted, and the others are read.
        (0..EDGES / 2).for_each(|n| timed(&mut |edges| edges.push((), prefix(n * 2), false)));
        (0..EDGES / 2).for_each(|_| timed(&mut |edges| assert!(edges.pop().is_some())));
        assert!(edges.is_empty());
        if fastest.iter().all(|&time| time < SLOWEST) {
            return;
        }
    }
    panic!("an edge has taken {:?}", fastest.iter().max());
}

#[test]
#[should_panic(expected = "the edges of a\\x00 alternate")]
fn edges_that_do_not_alternate_are_a_broken_invariant() {
    let mut edges = Edges::new(1);
    edges.push((), Prefix::from(&b"a\0"[..]), true);
    edges.push((), Prefix::from(&b"a\0"[..]), true);
    while edges.net_one() {}
}

#[test]
fn prefixes_are_shown_as_text() {
    let shown = |bytes: &[u8]| Prefix::from(bytes).to_string();
    assert_eq!(shown("prices/€ \"x\"".as_bytes()), "prices/€ \"x\"");
    assert_eq!(shown(b"a\0\n\\\xff\x7f"), "a\\x00\\x0a\\x5c\\xff\\x7f");
    assert_eq!(shown(b"\xe2\x82"), "\\xe2\\x82");
    assert_eq!(format!("{:?}", Prefix::from(b"say \"\\\"".to_vec())), "\"say \\x22\\x5c\\x22\"");
}
