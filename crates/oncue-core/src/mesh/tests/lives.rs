//! Which process of a site lives, and when its demand is void.
use alloc::format;
use alloc::vec;

use super::super::{Malformed, Output, Phase, Quotas, Sites, Why};
use super::{ask, changes, down, following, force, ms, outputs, rome, tell, told, up};

/// Gives a site a heartbeat or a delta, or neither.
type Come = fn(&mut Sites, &[u8], &[u8]);

fn default() -> Quotas {
    Quotas::default()
}

#[test]
fn a_site_comes_up_by_its_token_its_heartbeat_or_a_delta() {
    let (log, deltas) = told(7, &[("a", true)]);
    let comes: [Come; 3] = [
        |sites, _, _| sites.token("paris", 7, true, ms(1)).unwrap(),
        |sites, heartbeat, _| sites.heartbeat("paris", heartbeat, ms(1)).unwrap(),
        |sites, _, delta| sites.delta("paris", delta, ms(1)).unwrap(),
    ];
    for come in comes {
        let mut sites = rome(default());
        assert_eq!(sites.next_tick(), None);
        come(&mut sites, &log.heartbeat(), &deltas[0]);
        assert_eq!(outputs(&mut sites), [up(7), ask(7)]);
        assert_eq!(sites.info("paris").unwrap().phase, Phase::Joining);
        come(&mut sites, &log.heartbeat(), &deltas[0]);
        assert_eq!(outputs(&mut sites), []);
        sites.snapshot("paris", 7, Some(&log.snapshot()), ms(2)).unwrap();
        assert_eq!(outputs(&mut sites), [changes(7, &[("a", true)])]);
        assert_eq!(sites.info("paris").unwrap().phase, Phase::Live);
    }
}

#[test]
fn a_greater_epoch_ends_the_lower_one_which_is_ignored_from_then_on() {
    let (mut old, _) = told(7, &[("a", true)]);
    let (new, _) = told(8, &[("b", true)]);
    let mut sites = following(&old, default());
    sites.heartbeat("paris", &new.heartbeat(), ms(10)).unwrap();
    assert_eq!(outputs(&mut sites), [down(7, Why::Replaced), up(8)]);
    assert_eq!(force(&sites), [""; 0]);
    sites.tick(ms(100));
    assert_eq!(outputs(&mut sites), [ask(8)]);
    sites.snapshot("paris", 7, Some(&old.snapshot()), ms(101)).unwrap();
    sites.snapshot("paris", 8, Some(&old.snapshot()), ms(102)).unwrap();
    assert_eq!(outputs(&mut sites), [], "an answer of the lower epoch is none");
    sites.tick(ms(400));
    assert_eq!(outputs(&mut sites), [ask(8)]);
    sites.snapshot("paris", 8, Some(&new.snapshot()), ms(401)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(8, &[("b", true)])]);
    let late = tell(&mut old, "late", true);
    sites.heartbeat("paris", &old.heartbeat(), ms(402)).unwrap();
    sites.delta("paris", &late, ms(402)).unwrap();
    sites.token("paris", 7, true, ms(402)).unwrap();
    sites.token("paris", 7, false, ms(402)).unwrap();
    assert_eq!((outputs(&mut sites), force(&sites)), (vec![], vec!["b"]));
    let info = sites.info("paris").unwrap();
    assert_eq!((info.phase, info.log_gaps, info.heard), (Phase::Live, 0, Some(ms(401))));
    sites.token("paris", 8, false, ms(403)).unwrap();
    sites.heartbeat("paris", &old.heartbeat(), ms(404)).unwrap();
    sites.delta("paris", &late, ms(404)).unwrap();
    assert_eq!(outputs(&mut sites), [down(8, Why::Left)]);
}

#[test]
fn a_token_that_goes_ends_its_own_epoch_and_a_later_sign_of_it_begins_anew() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    sites.token("paris", 6, false, ms(10)).unwrap();
    assert_eq!(force(&sites), ["a"]);
    sites.token("paris", 7, false, ms(10)).unwrap();
    assert_eq!((outputs(&mut sites), force(&sites)), (vec![down(7, Why::Left)], vec![]));
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Gone);
    sites.token("paris", 7, false, ms(10)).unwrap();
    assert_eq!(outputs(&mut sites), []);
    sites.heartbeat("paris", &log.heartbeat(), ms(3000)).unwrap();
    assert_eq!(outputs(&mut sites), [up(7), ask(7)]);
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(3001)).unwrap();
    assert_eq!(outputs(&mut sites), [changes(7, &[("a", true)])]);
}

#[test]
fn a_silent_site_has_no_demand_until_it_speaks_and_answers() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    for at in (0..2000).step_by(100) {
        sites.tick(ms(at));
    }
    assert_eq!(outputs(&mut sites), []);
    assert_eq!(sites.next_tick(), Some(ms(2000)));
    sites.tick(ms(2000));
    assert_eq!((outputs(&mut sites), force(&sites)), (vec![down(7, Why::Silent)], vec![]));
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Silent);
    assert_eq!(sites.next_tick(), None);
    sites.heartbeat("paris", &log.heartbeat(), ms(2500)).unwrap();
    assert_eq!(outputs(&mut sites), [up(7), ask(7)]);
    sites.snapshot("paris", 7, Some(&log.snapshot()), ms(2501)).unwrap();
    assert_eq!(force(&sites), ["a"]);
}

#[test]
fn any_sign_of_the_log_puts_silence_off() {
    let (mut log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    for at in (500..6000).step_by(500) {
        let delta = tell(&mut log, &format!("{at}"), true);
        sites.delta("paris", &delta, ms(at)).unwrap();
        sites.tick(ms(at));
    }
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Live);
    assert_eq!(sites.info("paris").unwrap().heard, Some(ms(5500)));
}

#[test]
fn a_process_that_was_stopped_itself_gives_the_others_a_whole_timeout() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    sites.tick(ms(100));
    sites.tick(ms(60_000));
    sites.tick(ms(60_900));
    sites.tick(ms(61_800));
    assert_eq!(outputs(&mut sites), []);
    sites.tick(ms(62_000));
    assert_eq!(outputs(&mut sites), [down(7, Why::Silent)]);
}

#[test]
fn a_caller_that_is_always_late_finds_a_silent_site() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    for at in (10_000..30_000).step_by(5000) {
        sites.tick(ms(at));
    }
    assert_eq!(outputs(&mut sites), [down(7, Why::Silent)]);
}

#[test]
fn time_that_goes_back_stands_still() {
    let (log, _) = told(7, &[("a", true)]);
    let mut sites = following(&log, default());
    sites.heartbeat("paris", &log.heartbeat(), ms(500)).unwrap();
    sites.heartbeat("paris", &log.heartbeat(), ms(0)).unwrap();
    assert_eq!(sites.info("paris").unwrap().heard, Some(ms(500)));
}

#[test]
fn the_own_name_is_ignored_but_for_a_greater_epoch_which_is_told_once() {
    let mut sites = rome(default());
    for epoch in [49, 50] {
        sites.token("rome", epoch, true, ms(0)).unwrap();
        sites.heartbeat("rome", &told(epoch, &[("a", true)]).0.heartbeat(), ms(0)).unwrap();
    }
    sites.token("rome", 51, false, ms(0)).unwrap();
    assert_eq!(outputs(&mut sites), []);
    sites.heartbeat("rome", &told(51, &[]).0.heartbeat(), ms(0)).unwrap();
    sites.token("rome", 52, true, ms(0)).unwrap();
    assert_eq!(outputs(&mut sites), [Output::Fenced { epoch: 51 }]);
    assert_eq!(sites.infos().count(), 0);
}

#[test]
fn a_name_that_none_can_have_is_refused() {
    let mut sites = rome(default());
    let long = "x".repeat(65);
    for name in ["", &long] {
        assert_eq!(sites.token(name, 1, true, ms(0)), Err(Malformed::Name));
    }
    assert_eq!(sites.infos().count(), 0);
}

#[test]
fn an_answer_of_a_later_process_is_that_process() {
    let (new, _) = told(8, &[("b", true)]);
    let mut sites = rome(default());
    sites.token("paris", 7, true, ms(0)).unwrap();
    outputs(&mut sites);
    sites.snapshot("paris", 7, Some(&new.snapshot()), ms(1)).unwrap();
    assert_eq!(outputs(&mut sites), [down(7, Why::Replaced), up(8), changes(8, &[("b", true)])]);
    assert_eq!(sites.info("paris").unwrap().phase, Phase::Live);
}
