//! What is lost, repeated or out of order in a log.
use alloc::vec;
use alloc::vec::Vec;

use super::super::{Log, Malformed, Phase, Quotas, Sites};
use super::{ask, changes, following, force, ms, outputs, rome, tell, told, up};

/// Long after the questions of a test began.
const LATER: u64 = 1900;

fn default() -> Quotas {
    Quotas::default()
}

fn delta(sites: &mut Sites, delta: &[u8], at: u64) {
    sites.delta("paris", delta, ms(at)).unwrap();
}

/// Asks if it is time to, and answers.
fn answer(sites: &mut Sites, log: &Log, at: u64) {
    sites.tick(ms(at));
    assert!(outputs(sites).contains(&ask(log.epoch())));
    sites.snapshot("paris", log.epoch(), Some(&log.snapshot()), ms(at)).unwrap();
}

#[test]
fn deltas_that_follow_take_effect_at_once_and_repeated_ones_do_not() {
    let (mut log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    let (b, no_a) = (tell(&mut log, "b", true), tell(&mut log, "a", false));
    for _ in 0..2 {
        delta(&mut sites, &b, 1);
    }
    assert_eq!(outputs(&mut sites), [changes(7, &[("b", true)])]);
    delta(&mut sites, &no_a, 1);
    delta(&mut sites, &b, 1);
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", false)])]);
    assert_eq!((force(&sites), sites.info("paris").unwrap().sequence), (vec!["b"], 3));
}

#[test]
fn of_a_delta_that_is_known_in_part_the_rest_takes_effect() {
    let mut log = Log::new(7, 1);
    log.change(b"a", true).unwrap();
    let mut twin = Log::new(7, 1);
    twin.change(b"a", true).unwrap();
    log.take_delta(1000).unwrap();
    let mut sites = following(&log, default());
    twin.change(b"b", true).unwrap();
    delta(&mut sites, &twin.take_delta(1000).unwrap(), 1);
    assert_eq!(outputs(&mut sites), [changes(7, &[("b", true)])]);
}

#[test]
fn what_comes_before_the_snapshot_is_applied_after_it_in_order() {
    let (log, deltas) = told(7, &[("a", true), ("b", true), ("a", false), ("c", true)]);
    let (early, _) = told(7, &[("a", true), ("b", true)]);
    let mut sites = rome(default());
    for at in [3, 0, 2, 3, 1] {
        delta(&mut sites, &deltas[at], 1);
    }
    assert_eq!(outputs(&mut sites), [up(7), ask(7)]);
    sites.snapshot("paris", 7, Some(&early.snapshot()), ms(2)).unwrap();
    assert_eq!(force(&sites), ["b", "c"]);
    let info = sites.info("paris").unwrap();
    assert_eq!((info.sequence, info.phase, info.pending_bytes), (log.sequence(), Phase::Live, 0));
}

#[test]
fn a_gap_keeps_the_demand_in_force_until_a_snapshot_replaces_it() {
    let (mut log, _) = told(7, &[("a", true), ("b", true)]);
    let mut sites = following(&log, default());
    tell(&mut log, "a", false);
    let later = tell(&mut log, "c", true);
    delta(&mut sites, &later, LATER);
    assert_eq!((outputs(&mut sites), force(&sites)), (vec![], vec!["a", "b"]), "2 s after the first");
    assert_eq!(sites.next_tick(), Some(ms(LATER + 20)));
    sites.tick(ms(LATER + 20));
    assert_eq!(outputs(&mut sites), [ask(7)]);
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(LATER + 30)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", false), ("c", true)])], "the difference");
    let info = sites.info("paris").unwrap();
    assert_eq!((info.log_gaps, info.snapshots, info.sequence), (1, 2, 4));
}

#[test]
fn a_heartbeat_finds_what_was_lost_and_what_differs() {
    let (mut log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    sites.heartbeat("paris", &log.heartbeat(), ms(1)).unwrap();
    tell(&mut log, "b", true);
    sites.tick(ms(LATER));
    sites.heartbeat("paris", &log.heartbeat(), ms(LATER)).unwrap();
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Joining);
    answer(&mut sites, &log, LATER + 20);
    // The same numbers, and another set.
    let (other, _) = told(7, &[("a", true), ("x", true)]);
    sites.heartbeat("paris", &other.heartbeat(), ms(2 * LATER)).unwrap();
    answer(&mut sites, &other, 2 * LATER + 50);
    assert_eq!(force(&sites), ["a", "x"]);
    // An old one is none.
    sites.heartbeat("paris", &told(7, &[("q", true)]).0.heartbeat(), ms(2 * LATER + 60)).unwrap();
    assert_eq!(sites.info("paris").unwrap().log_gaps, 2);
}

#[test]
fn a_change_that_contradicts_what_is_known_is_a_gap() {
    for (known, wrong) in [(("a", true), ("a", true)), (("a", true), ("b", false))] {
        let (log, _) = told(7, &[known]);
        let mut sites = following(&log, default());
        let wrong = [(if wrong.1 { "x" } else { wrong.0 }, true), wrong];
        let (_, deltas) = told(7, &wrong);
        delta(&mut sites, deltas.get(1).unwrap_or(&deltas[0]), 1);
        assert_eq!(sites.info("paris").unwrap().log_gaps, 1, "{wrong:?}");
        assert_eq!(force(&sites), ["a"]);
    }
}

#[test]
fn questions_that_fail_are_repeated_with_growing_pauses() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = rome(default());
    let mut asked = Vec::new();
    sites.token("paris", 7, true, ms(0)).unwrap();
    for at in (0..8000).step_by(20) {
        if at % 500 == 0 {
            sites.heartbeat("paris", &log.heartbeat(), ms(at)).unwrap();
        }
        sites.tick(ms(at));
        if outputs(&mut sites).contains(&ask(7)) {
            asked.push(at);
            sites.snapshot("paris", 7, None, ms(at)).unwrap();
        }
    }
    let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
}

#[test]
fn a_question_without_an_end_is_repeated_after_a_minute_and_a_late_answer_is_taken() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = rome(default());
    sites.token("paris", 7, true, ms(0)).unwrap();
    for at in (0..60_000).step_by(500) {
        sites.heartbeat("paris", &log.heartbeat(), ms(at)).unwrap();
        sites.tick(ms(at));
    }
    assert_eq!(outputs(&mut sites), [up(7), ask(7)]);
    sites.tick(ms(60_000));
    assert_eq!(outputs(&mut sites), []);
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(60_010)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", true)])]);
    sites.tick(ms(60_100));
    assert_eq!(outputs(&mut sites), []);
}

#[test]
fn an_answer_that_is_older_than_what_is_known_is_none() {
    let (old, _) = told(7, &[("a", true)]);
    let (mut log, _) = told(7, &[("a", true), ("b", true)]);
    let mut sites = following(&log, default());
    tell(&mut log, "c", true);
    let later = tell(&mut log, "d", true);
    delta(&mut sites, &later, 1);
    sites.tick(ms(100));
    sites.snapshot("paris", 7, Some(&old.snapshot()), ms(100)).unwrap();
    assert_eq!(force(&sites), ["a", "b"]);
    answer(&mut sites, &log, 200);
    assert_eq!(force(&sites), ["a", "b", "c", "d"]);
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let (log, _) = told(7, &[("a", true)]);
    let (other, _) = told(7, &[("x", true), ("y", true)]);
    let mut sites = following(&log, default());
    sites.snapshot("paris", 7, Some(&other.snapshot()), ms(1)).unwrap();
    sites.snapshot("nowhere", 7, Some(&other.snapshot()), ms(1)).unwrap();
    assert_eq!((outputs(&mut sites), force(&sites)), (vec![], vec!["a"]));
    assert_eq!(sites.infos().count(), 1);
}

#[test]
fn a_malformed_payload_changes_nothing_and_a_malformed_answer_is_none() {
    let (log, deltas) = told(7, &[("a", true)]);
    let mut sites = rome(default());
    let cut = |payload: &[u8]| payload[..payload.len() - 1].to_vec();
    assert_eq!(sites.heartbeat("paris", &cut(&log.heartbeat()), ms(0)), Err(Malformed::Short));
    assert_eq!(sites.delta("paris", &cut(&deltas[0]), ms(0)), Err(Malformed::Length));
    assert_eq!(sites.infos().count(), 0);
    sites.token("paris", 7, true, ms(0)).unwrap();
    outputs(&mut sites);
    assert_eq!(sites.snapshot("paris", 7, Some(&cut(&log.snapshot())), ms(1)), Err(Malformed::Length));
    answer(&mut sites, &log, 21);
    assert_eq!(force(&sites), ["a"]);
}

#[test]
fn sequence_numbers_at_the_end_of_their_range_do_no_harm() {
    let (log, deltas) = told(7, &[("a", true)]);
    let mut snapshot = log.snapshot();
    snapshot[10..18].copy_from_slice(&[0xff; 8]);
    let mut sites = rome(default());
    sites.token("paris", 7, true, ms(0)).unwrap();
    sites.snapshot("paris", 7, Some(&snapshot), ms(0)).unwrap();
    let mut last = deltas[0].clone();
    last[10..18].copy_from_slice(&[0xff; 8]);
    delta(&mut sites, &last, 1);
    assert_eq!(force(&sites), ["a"]);
}
