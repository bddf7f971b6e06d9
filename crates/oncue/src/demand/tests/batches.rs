//! Many feeds by one call.

use std::sync::Condvar;

use super::*;

#[test]
fn one_call_produces_all_that_is_wanted() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("prices/{symbol}")
        .batch(ms(20), move |wanted| {
            lock(&noted).push(wanted.len());
            for feed in wanted {
                assert!(wanted.publish(feed.topic(), feed.param("symbol")));
            }
            assert!(!wanted.publish("prices/none", "no such feed"));
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["prices/A", "prices/B", "prices/C"]);
    let mut seen = std::collections::BTreeMap::new();
    eventually("all come again and again", || {
        *seen.entry(text(&sub)).or_insert(0) += 1;
        seen.len() == 3 && seen.values().all(|&n| n > 3)
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["prices/A A", "prices/B B", "prices/C C"]);
    eventually("one call for three", || lock(&calls).contains(&3));
    assert_eq!(od.stats().done.started, 3);
    drop(sub);
    eventually("all stop", || od.stats().now.running + od.stats().now.stopping == 0);
    thread::sleep(ms(30));
    let so_far = lock(&calls).len();
    thread::sleep(ms(50));
    assert_eq!(lock(&calls).len(), so_far, "nobody wants anything");
    let _sub = subscriber(&od, &["prices/D"]);
    eventually("it goes on", || lock(&calls).len() > so_far + 2);
}

#[test]
fn a_feed_that_starts_between_ticks_is_produced_at_once() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("slow/{x}")
        .batch(PATIENCE * 100, |wanted| {
            assert_eq!(wanted.len(), 1, "the others have had their first value");
            wanted.iter().for_each(|feed| feed.publish("first").unwrap_or_default());
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    for topic in ["slow/1", "slow/2"] {
        sub.subscribe(topic).unwrap();
        assert_eq!(text(&sub), format!("{topic} first"));
    }
    assert_eq!(od.stats().done.failed, 0);
}

#[test]
fn a_feed_stopped_amid_a_call_ends_after_it() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = gate.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("b/{x}")
        .batch(PATIENCE * 100, move |wanted| {
            let feed = wanted.get("b/1").expect("it is the only one");
            if feed.publish("before").is_err() {
                return;
            }
            let (open, opened) = &*held;
            let mut open = lock(open);
            if *open {
                // The call for the feed that comes after it.
                return;
            }
            while !*open {
                open = opened.wait(open).unwrap();
            }
            assert_eq!(feed.publish("after"), Err(Stopped));
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["b/1"]);
    assert_eq!(text(&sub), "b/1 before");
    sub.unsubscribe("b/1").unwrap();
    eventually("it is told to stop", || od.stats().stopped == 1);
    sub.subscribe("b/1").unwrap();
    thread::sleep(ms(20));
    assert_eq!((od.stats().now.stopping, od.stats().done.started), (1, 1), "no second feed beside it");
    *lock(&gate.0) = true;
    gate.1.notify_all();
    assert_eq!(text(&sub), "b/1 before");
    assert_eq!((od.stats().done.late, od.stats().done.failed), (1, 0));
}

#[test]
fn a_panic_ends_all_that_the_call_was_about_and_they_start_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("b/{x}")
        .backoff(ms(5), ms(50))
        .batch(ms(5), move |wanted| {
            assert_ne!(count.fetch_add(1, SeqCst), 3, "the fourth call fails");
            wanted.iter().for_each(|feed| feed.publish("well").unwrap_or_default());
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["b/1", "b/2"]);
    eventually("it panics", || od.stats().done.failed == 1);
    let so_far = od.stats().done.produced;
    eventually("they go on", || {
        let _ = text(&sub);
        od.stats().done.produced > so_far + 10 && od.stats().now.running == 2
    });
    assert!(od.stats().done.started > 2);
}

#[test]
fn a_slow_call_skips_ticks_for_all_its_feeds() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("b/{x}")
        .batch(ms(2), |wanted| {
            thread::sleep(ms(50));
            wanted.iter().for_each(|feed| feed.publish("slow").unwrap_or_default());
        })
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["b/1", "b/2"]);
    eventually("ticks are skipped", || od.stats().done.ticks_skipped > 40);
    let topics = od.topic_stats();
    assert!(topics.iter().all(|topic| topic.done.ticks_skipped > 0), "{topics:?}");
}
