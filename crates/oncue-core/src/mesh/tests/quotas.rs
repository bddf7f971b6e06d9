//! What is beyond a bound.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::{Phase, Quotas, Sites};
use super::{ask, changes, following, force, ms, outputs, rome, tell, told};

fn refused(sites: &Sites) -> u64 {
    sites.info("paris").unwrap().prefixes_refused
}

#[test]
fn prefixes_beyond_each_quota_are_counted_and_not_in_force() {
    let all: [(&str, bool); 4] = [("aaaa", true), ("b", true), ("cc", true), ("dd", true)];
    let (log, _) = told(7, &all);
    let cases = [
        (Quotas { prefixes: 3, ..Quotas::default() }, 1),
        (Quotas { prefix_len: 3, ..Quotas::default() }, 1),
        (Quotas { prefix_bytes: 5, ..Quotas::default() }, 0),
    ];
    for (quotas, refused_or_more) in cases {
        let sites = following(&log, quotas.clone());
        let (count, bytes) = (force(&sites).len(), force(&sites).concat().len());
        assert!(count <= quotas.prefixes && bytes <= quotas.prefix_bytes);
        assert!(force(&sites).iter().all(|prefix| prefix.len() <= quotas.prefix_len));
        assert_eq!(count as u64 + refused(&sites), 4);
        assert!(refused(&sites) >= refused_or_more);
        assert_eq!(sites.info("paris").unwrap().phase, Phase::Live);
    }
}

#[test]
fn a_heartbeat_counts_what_was_refused_too() {
    let (mut log, _) = told(7, &[("a", true), ("b", true)]);
    let mut sites = following(&log, Quotas { prefixes: 1, ..Quotas::default() });
    let delta = tell(&mut log, "c", true);
    sites.delta("paris", &delta, ms(1)).unwrap();
    sites.heartbeat("paris", &log.heartbeat(), ms(2)).unwrap();
    let info = sites.info("paris").unwrap();
    assert_eq!((info.prefixes, info.prefixes_refused, info.log_gaps), (1, 2, 0));
}

#[test]
fn a_refused_prefix_that_leaves_is_counted_off() {
    let (mut log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, Quotas { prefixes: 1, ..Quotas::default() });
    for (prefix, wanted, left) in [("b", true, 1), ("b", false, 0)] {
        let delta = tell(&mut log, prefix, wanted);
        sites.delta("paris", &delta, ms(1)).unwrap();
        assert_eq!((outputs(&mut sites), refused(&sites)), (Vec::new(), left));
    }
    sites.heartbeat("paris", &log.heartbeat(), ms(2)).unwrap();
    assert_eq!(sites.info("paris").unwrap().log_gaps, 0);
}

#[test]
fn room_is_filled_from_a_snapshot_when_a_prefix_leaves() {
    let (mut log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, Quotas { prefixes: 1, ..Quotas::default() });
    let delta = tell(&mut log, "b", true);
    sites.delta("paris", &delta, ms(1)).unwrap();
    let delta = tell(&mut log, "a", false);
    sites.delta("paris", &delta, ms(1)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", false)])]);
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Live);
    sites.tick(ms(21));
    assert_eq!(outputs(&mut sites), [ask(7)]);
    // What comes before the answer waits for it, even if the question fails.
    let delta = tell(&mut log, "c", true);
    sites.delta("paris", &delta, ms(22)).unwrap();
    assert_eq!(force(&sites), [""; 0]);
    sites.snapshot("paris", 7, None, ms(23)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("c", true)])]);
    sites.tick(ms(63));
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(64)).unwrap();
    assert_eq!((force(&sites), refused(&sites)), (["c"].into(), 1), "what is in force stays");
    let info = sites.info("paris").unwrap();
    assert_eq!((info.phase, info.log_gaps), (Phase::Live, 0));
}

#[test]
fn room_is_not_asked_for_if_prefixes_are_only_too_long() {
    let (mut log, _) = told(7, &[("a", true), ("too long", true)]);
    let mut sites = following(&log, Quotas { prefix_len: 3, ..Quotas::default() });
    assert_eq!(refused(&sites), 1);
    let delta = tell(&mut log, "a", false);
    sites.delta("paris", &delta, ms(1)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", false)])]);
    sites.tick(ms(400));
    let delta = tell(&mut log, "too long", false);
    sites.delta("paris", &delta, ms(401)).unwrap();
    assert_eq!((outputs(&mut sites), refused(&sites)), (Vec::new(), 0));
}

#[test]
fn a_snapshot_keeps_what_is_in_force_rather_than_exchanging_it() {
    let names: Vec<String> = (0..20).map(|n| format!("{n}")).collect();
    let (mut log, _) = told(7, &[("first", true), ("second", true)]);
    let mut sites = following(&log, Quotas { prefixes: 3, ..Quotas::default() });
    names.iter().for_each(|name| drop(tell(&mut log, name, true)));
    sites.heartbeat("paris", &log.heartbeat(), ms(1)).unwrap();
    sites.tick(ms(30));
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(31)).unwrap();
    assert!(force(&sites).contains(&"first") && force(&sites).contains(&"second"));
    assert_eq!((force(&sites).len(), refused(&sites)), (3, 19));
}

#[test]
fn deltas_that_wait_are_bounded_and_the_earliest_are_dropped() {
    let names: Vec<String> = (0..100).map(|n| format!("prefix {n:03}")).collect();
    let all: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
    let (log, deltas) = told(7, &all);
    let mut sites = rome(Quotas { pending_bytes: 1000, ..Quotas::default() });
    for delta in &deltas {
        sites.delta("paris", delta, ms(1)).unwrap();
        assert!(sites.info("paris").unwrap().pending_bytes <= 1000);
    }
    let (early, _) = told(7, &all[..95]);
    sites.snapshot("paris", 7, Some(&early.snapshot()), ms(2)).unwrap();
    assert_eq!(sites.info("paris").unwrap().sequence, log.sequence(), "the last ones had waited");
}

#[test]
fn sites_beyond_the_quota_come_up_when_there_is_room() {
    let (log, _) = told(7, &[]);
    let mut sites = rome(Quotas { sites: 2, gone: 1, ..Quotas::default() });
    for name in ["a", "b", "c", "c"] {
        sites.heartbeat(name, &log.heartbeat(), ms(1)).unwrap();
    }
    assert_eq!((sites.infos().count(), sites.refusals()), (2, 2));
    sites.token("a", 7, false, ms(2)).unwrap();
    sites.heartbeat("c", &log.heartbeat(), ms(3)).unwrap();
    assert_eq!(sites.info("c").unwrap().phase, Phase::Joining);
    // The one that left has no room until another one leaves.
    sites.heartbeat("a", &log.heartbeat(), ms(4)).unwrap();
    assert_eq!((sites.info("a").unwrap().phase, sites.refusals()), (Phase::Gone, 3));
}

#[test]
fn of_sites_that_are_gone_the_first_one_is_forgotten() {
    let mut sites = rome(Quotas { sites: 1, gone: 2, ..Quotas::default() });
    for (at, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        sites.token(name, 7, true, ms(2 * at as u64)).unwrap();
        sites.token(name, 7, false, ms(2 * at as u64 + 1)).unwrap();
        assert!(sites.infos().count() <= 3);
    }
    let names: Vec<&str> = sites.infos().map(|info| info.name).collect();
    assert_eq!(names, ["c", "d", "e"]);
    sites.token("f", 7, false, ms(20)).unwrap();
    assert_eq!(sites.infos().count(), 3, "a token that goes makes no site");
}
