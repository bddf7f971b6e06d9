//! How many feeds a user may start in a minute.

use std::collections::BTreeSet;

use super::*;

/// Ten a second.
const A_MINUTE: u32 = 600;
const LATER: u32 = 20;

#[test]
fn a_user_that_starts_too_many_topics_waits_and_another_one_does_not() {
    let path = std::env::temp_dir().join(format!("oncue-starts-{}", std::process::id()));
    let ipc = format!("ipc://{}", path.display());
    let builder = OnDemand::bind(ENDPOINT).unwrap().bind(&ipc).unwrap().starts_per_minute_max(A_MINUTE);
    let od = builder.route("t/{n}").every(ms(200), |_| "value").start().unwrap();
    let greedy = subscriber(&od, &[]);
    let all = A_MINUTE + LATER;
    (0..all).for_each(|n| drop(greedy.subscribe(format!("t/{n:03}")).unwrap()));
    eventually("the rest is held", || od.stats().starts_deferred > 0);
    let other = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    other.connect(&ipc).unwrap();
    let last = format!("t/{:03}", all - 1);
    other.subscribe(&last).unwrap();
    assert_eq!(receive(&other).topic(), last.as_bytes());
    let mut topics = BTreeSet::new();
    while (topics.len() as u32) < all {
        topics.insert(receive(&greedy).topic().to_vec());
    }
    let stats = od.stats();
    assert!(stats.starts_deferred <= LATER.into(), "{stats:?}");
    assert_eq!((stats.starts_rejected, stats.done.started), (0, all.into()));
    let socket = od.xpub().stats();
    assert_eq!((socket.subscriptions_deferred, socket.subscriptions_rejected), (stats.starts_deferred, 0));
    assert_eq!(od.xpub().peers().unwrap().iter().map(|peer| peer.requests).sum::<u64>(), 0);
    drop(od);
    let _ = std::fs::remove_file(path);
}

#[test]
fn what_is_wanted_already_is_no_start() {
    let builder = OnDemand::bind(ENDPOINT).unwrap().starts_per_minute_max(1);
    let od = builder.route("t/{n}").every(ms(5), |_| "value").start().unwrap();
    let subscribers: Vec<_> = (0..5)
        .map(|_| {
            let sub = subscriber(&od, &["t/1"]);
            receive(&sub);
            sub
        })
        .collect();
    assert_eq!((od.stats().starts_deferred, od.stats().done.started), (0, 1));
    drop(subscribers);
}

#[test]
fn starts_that_would_be_held_for_too_long_are_refused_with_the_reason() {
    // One in a minute: ten are held.
    let builder = OnDemand::bind(ENDPOINT).unwrap().starts_per_minute_max(1);
    let od = builder.route("t/{n}").every(ms(5), |_| "value").start().unwrap();
    let sub = subscriber(&od, &[]);
    (0..12).for_each(|n| drop(sub.subscribe(format!("t/{n:02}")).unwrap()));
    loop {
        let state = sub.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
        if state.state == crate::State::Rejected {
            assert_eq!(&state.topic[..], b"t/11");
            assert!(state.text.contains("starts_per_minute_max"), "{}", state.text);
            break;
        }
    }
    let stats = od.stats();
    assert_eq!((stats.starts_deferred, stats.starts_rejected), (10, 1));
    assert_eq!(od.xpub().peers().unwrap()[0].requests, 10);
}
