use alloc::vec::Vec;

use super::super::Log;
use super::super::codec::{Delta, Heartbeat, Snapshot};
use super::{DELTA_BYTES, tell, told};
use oncue_testing::for_seeds;
use std::collections::BTreeSet;

#[test]
fn a_change_is_news_once_and_what_was_taken_back_is_not_told() {
    let mut log = Log::new(1, 1);
    assert_eq!(log.change(b"a", false), Ok(false));
    assert_eq!(log.change(b"a", true), Ok(true));
    assert_eq!(log.change(b"a", true), Ok(false));
    assert_eq!(log.change(b"a", false), Ok(true));
    assert!(log.has_untold());
    assert_eq!(log.take_delta(DELTA_BYTES), None);
    assert_eq!((log.sequence(), log.len(), log.is_empty(), log.has_untold()), (0, 0, true, false));
    let delta = tell(&mut log, "a", true);
    assert_eq!(Delta::decode(&delta).unwrap().first, 1);
    log.change(b"a", false).unwrap();
    log.change(b"a", true).unwrap();
    assert_eq!(log.take_delta(DELTA_BYTES), None, "as it was told");
}

#[test]
fn heartbeat_and_snapshot_are_those_of_the_told_state() {
    let (mut log, _) = told(1, &[("a", true), ("b", true)]);
    let (heartbeat, len) = (log.heartbeat(), log.snapshot().len());
    log.change(b"a", false).unwrap();
    log.change(b"c", true).unwrap();
    let mut told: Vec<Vec<u8>> = {
        let snapshot = log.snapshot();
        Snapshot::decode(&snapshot).unwrap().prefixes().map(<[u8]>::to_vec).collect()
    };
    told.sort();
    assert_eq!(told, [b"a", b"b"]);
    assert_eq!((log.heartbeat(), log.snapshot().len(), log.len()), (heartbeat.clone(), len, 2));
    log.take_delta(DELTA_BYTES).unwrap();
    assert_ne!(log.heartbeat(), heartbeat);
}

#[test]
fn the_hash_depends_on_the_set_alone() {
    let hash = |changes: &[(&str, bool)]| Heartbeat::decode(&told(1, changes).0.heartbeat()).unwrap().hash;
    assert_eq!(
        hash(&[("a", true), ("b", true)]),
        hash(&[("b", true), ("x", true), ("a", true), ("x", false)])
    );
    assert_ne!(hash(&[("a", true)]), hash(&[("b", true)]));
    assert_ne!(hash(&[("", true)]), hash(&[]));
    assert_ne!(hash(&[("a", true)]), hash(&[("a\0", true)]));
}

#[test]
fn deltas_are_split_and_the_longest_prefix_still_gets_one() {
    let mut log = Log::new(1, 1);
    for n in 0..100_u8 {
        log.change(&[n; 10], true).unwrap();
    }
    log.change(&[7; 1000], true).unwrap();
    let (mut next, mut seen) = (1, 0);
    while let Some(payload) = log.take_delta(200) {
        let delta = Delta::decode(&payload).unwrap();
        assert_eq!(delta.first, next);
        assert!(payload.len() <= 200 || delta.last == delta.first);
        next = delta.last + 1;
        seen += delta.changes().count();
    }
    assert_eq!((seen, log.sequence(), log.len()), (101, 101, 101));
}

#[test]
fn random_changes_and_takes_are_a_set_that_deltas_rebuild() {
    for_seeds(100, |rng| {
        let mut log = Log::new(1, rng.next());
        let (mut wanted, mut rebuilt) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..200 {
            let (prefix, want) = (rng.prefix(3), rng.one_in(2));
            let news = if want { wanted.insert(prefix.clone()) } else { wanted.remove(&prefix) };
            assert_eq!(log.change(&prefix, want), Ok(news));
            while rng.one_in(3)
                && let Some(payload) = log.take_delta(rng.below(100_usize))
            {
                rebuild(&mut rebuilt, &payload);
            }
            let snapshot = log.snapshot();
            let told: BTreeSet<Vec<u8>> =
                Snapshot::decode(&snapshot).unwrap().prefixes().map(<[u8]>::to_vec).collect();
            assert_eq!(told, rebuilt);
        }
        while let Some(payload) = log.take_delta(50) {
            rebuild(&mut rebuilt, &payload);
        }
        assert_eq!(rebuilt, wanted);
    });
}

fn rebuild(set: &mut BTreeSet<Vec<u8>>, payload: &[u8]) {
    for change in Delta::decode(payload).unwrap().changes() {
        let real = if change.wanted { set.insert(change.prefix.to_vec()) } else { set.remove(change.prefix) };
        assert!(real, "each change is a change");
    }
}
