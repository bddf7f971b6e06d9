//! The subscriptions against plain counts, with connections that appear, lag and disappear.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::*;
use oncue_testing::for_seeds;

/// What a connection has sent so far.
struct Upstream {
    version: u64,
    set: BTreeSet<Vec<u8>>,
}

impl Upstream {
    fn connect(subscriptions: &Subscriptions) -> Upstream {
        let mut set = BTreeSet::new();
        let version = subscriptions.snapshot(|prefix| assert!(set.insert(prefix.to_vec())));
        Upstream { version, set }
    }

    fn send(&mut self, subscriptions: &Subscriptions) {
        self.version = subscriptions.changes_since(self.version, |subscribe, prefix| {
            let changes = if subscribe { self.set.insert(prefix.to_vec()) } else { self.set.remove(prefix) };
            assert!(changes, "each change is sent once, and in order");
        });
    }
}

#[test]
fn agrees_with_plain_counts() {
    for_seeds(200, |rng| {
        let mut subscriptions = Subscriptions::new(rng.next());
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut upstreams: Vec<Upstream> = Vec::new();
        for _ in 0..300 {
            let prefix = rng.prefix(3);
            match rng.below(10) {
                0..4 => {
                    let count = counts.entry(prefix.clone()).or_default();
                    *count += 1;
                    assert_eq!(subscriptions.subscribe(&prefix), Ok(*count == 1));
                }
                4..7 => {
                    let expected = match counts.get_mut(&prefix) {
                        None => Unsubscribed::Unknown,
                        Some(1) => Unsubscribed::Gone,
                        Some(count) => {
                            *count -= 1;
                            Unsubscribed::Still
                        }
                    };
                    if expected == Unsubscribed::Gone {
                        counts.remove(&prefix);
                    }
                    assert_eq!(subscriptions.unsubscribe(&prefix), expected);
                }
                7 if upstreams.len() < 4 => upstreams.push(Upstream::connect(&subscriptions)),
                7 => drop(upstreams.swap_remove(rng.below(4))),
                _ => {
                    let at = rng.below(upstreams.len().max(1));
                    if let Some(upstream) = upstreams.get_mut(at) {
                        upstream.send(&subscriptions);
                    }
                    let oldest = upstreams.iter().map(|upstream| upstream.version).min();
                    subscriptions.trim(oldest.unwrap_or(subscriptions.version()));
                }
            }
            let topic = rng.prefix(5);
            assert_eq!(subscriptions.matches(&topic), counts.keys().any(|prefix| topic.starts_with(prefix)));
            assert_eq!(subscriptions.everything(), counts.contains_key(&[][..]));
            assert_eq!((subscriptions.len(), subscriptions.is_empty()), (counts.len(), counts.is_empty()));
        }
        for upstream in &mut upstreams {
            upstream.send(&subscriptions);
            assert!(upstream.set.iter().eq(counts.keys()));
        }
        subscriptions.trim(subscriptions.version());
        assert_eq!(subscriptions.log_len(), 0);
    });
}

#[test]
fn trimming_keeps_what_is_not_sent() {
    let mut subscriptions = Subscriptions::new(1);
    for n in 0..1000_u32 {
        subscriptions.subscribe(&n.to_be_bytes()).unwrap();
    }
    subscriptions.trim(998);
    // An earlier version changes nothing, and neither does a future one.
    subscriptions.trim(5);
    let mut sent = Vec::new();
    assert_eq!(
        subscriptions.changes_since(999, |subscribe, prefix| sent.push((subscribe, prefix.to_vec()))),
        1000
    );
    assert_eq!(sent, [(true, 999_u32.to_be_bytes().to_vec())]);
    assert_eq!(subscriptions.log_len(), 2);
    subscriptions.trim(u64::MAX);
    assert_eq!((subscriptions.version(), subscriptions.log_len()), (1000, 0));
    assert!(subscriptions.log.capacity() < 8);
}

#[test]
#[should_panic(expected = "were trimmed up to 2")]
fn reading_what_was_trimmed_is_a_broken_invariant() {
    let mut subscriptions = Subscriptions::new(1);
    subscriptions.subscribe(b"a").unwrap();
    subscriptions.subscribe(b"b").unwrap();
    subscriptions.trim(2);
    subscriptions.changes_since(1, |_, _| ());
}
