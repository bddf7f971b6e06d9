//! Last values: which subscribers get them, how long they are kept, and what fills in a missing one.

use super::*;

/// Publishes one value, and then waits.
fn once(feed: Feed) -> Produced {
    feed.publish(format!("from {}", feed.generation()))?;
    feed.wait_stopped();
    Ok(())
}

#[test]
fn a_new_subscriber_alone_gets_the_last_value() {
    let od = OnDemand::bind(ENDPOINT).unwrap().route("k/{x}").keep_last().thread(once).start().unwrap();
    let first = subscriber(&od, &["k/1"]);
    assert_eq!(text(&first), "k/1 from 1");
    for prefix in ["k/1", "k/", ""] {
        let other = subscriber(&od, &[prefix]);
        assert_eq!(text(&other), "k/1 from 1");
        assert!(other.recv().wait_timeout(ms(20)).is_none(), "once");
    }
    assert!(first.recv().wait_timeout(ms(20)).is_none(), "the others do not get it again");
    assert_eq!(od.stats().done.produced, 1);
}

#[test]
fn a_value_goes_with_its_feed_and_not_within_its_grace() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("k/{x}")
        .grace(PATIENCE)
        .keep_last()
        .thread(once)
        .route("short")
        .keep_last()
        .thread(once)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["k/1"]);
    assert_eq!(text(&sub), "k/1 from 1");
    sub.unsubscribe("k/1").unwrap();
    eventually("the grace begins", || od.stats().now.in_grace == 1);
    sub.subscribe("k/1").unwrap();
    assert_eq!(text(&sub), "k/1 from 1");
    sub.subscribe("short").unwrap();
    assert_eq!(text(&sub), "short from 2");
    sub.unsubscribe("short").unwrap();
    eventually("the value is forgotten", || od.xpub().last("short").is_none());
    assert_eq!(od.stats().done.started, 2);
}

#[test]
fn a_value_may_outlive_its_feed_within_its_age() {
    let limits = LastLimits { age_max: Some(ms(400)), outlive: true, ..LastLimits::default() };
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("k/{x}").keep_last_with(limits));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["k/1"]);
    started(&changes).publish("old").unwrap();
    let published = Instant::now();
    assert_eq!(text(&sub), "k/1 old");
    drop(sub);
    stopped(&changes);
    let sub = subscriber(&od, &["k/1"]);
    let new = started(&changes);
    if published.elapsed() < ms(300) {
        assert_eq!(text(&sub), "k/1 old", "before the new feed has a value");
    }
    drop(sub);
    stopped(&changes);
    drop(new);
    thread::sleep(ms(450));
    let sub = subscriber(&od, &["k/1"]);
    started(&changes);
    assert!(sub.recv().wait_timeout(ms(50)).is_none(), "it is too old");
}

#[test]
fn a_route_keeps_no_more_than_its_bound() {
    let limits = LastLimits { bytes_max: Some(3 * 200), outlive: true, ..LastLimits::default() };
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("k/{x}").keep_last_with(limits));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &[]);
    for i in 0..5 {
        sub.subscribe(format!("k/{i}")).unwrap();
        let feed = started(&changes);
        feed.publish("v".repeat(60)).unwrap();
        if i == 4 {
            feed.publish("v".repeat(600)).unwrap();
        }
    }
    let kept: Vec<_> = (0..5).filter(|i| od.xpub().last(format!("k/{i}")).is_some()).collect();
    assert_eq!(kept, [2, 3], "the oldest are forgotten, and a value that is too large is not kept");
    od.reload(od.builder().route("other").manual(|_| ())).unwrap();
    eventually("they are forgotten with their route", || {
        (0..5).all(|i| od.xpub().last(format!("k/{i}")).is_none())
    });
}

#[test]
fn a_value_is_kept_while_its_feed_waits_to_start_again() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("k")
        .keep_last()
        .backoff(PATIENCE, PATIENCE)
        .thread(|feed| {
            feed.publish("stale")?;
            Err("no more".into())
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["k"]);
    assert_eq!(text(&sub), "k stale");
    eventually("it has failed", || od.stats().now.failing == 1);
    assert_eq!(text(&subscriber(&od, &["k"])), "k stale");
}

#[test]
fn one_call_fills_in_however_many_ask() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("k/{x}")
        .keep_last()
        .fill(move |feed| {
            count.fetch_add(1, SeqCst);
            thread::sleep(ms(50));
            Some(format!("known of {}", feed.param("x")))
        })
        .thread(|feed| {
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let subs: Vec<_> = (0..20).map(|_| subscriber(&od, &["k/1"])).collect();
    for sub in &subs {
        assert_eq!(text(sub), "k/1 known of 1");
    }
    assert_eq!(text(&subscriber(&od, &["k/1"])), "k/1 known of 1");
    // A value is counted after it was sent, and may have arrived by then.
    eventually("it is counted", || od.stats().done.produced > 0);
    assert_eq!((calls.load(SeqCst), od.stats().done.produced), (1, 1));
}

#[test]
fn a_feed_that_is_quicker_is_not_filled() {
    let (gate, held) = channel::<()>();
    let held = Mutex::new(held);
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("k/{x}").fill(move |feed| {
        let _ = lock(&held).recv_timeout(PATIENCE);
        (feed.param("x") == "1").then_some("too late")
    }));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["k/1"]);
    let feed = started(&changes);
    feed.publish("quick").unwrap();
    gate.send(()).unwrap();
    assert_eq!(text(&sub), "k/1 quick");
    assert!(sub.recv().wait_timeout(ms(50)).is_none());
    sub.subscribe("k/2").unwrap();
    started(&changes);
    gate.send(()).unwrap();
    assert!(sub.recv().wait_timeout(ms(50)).is_none(), "nothing is known of it");
}

#[test]
fn what_is_kept_need_not_be_filled_and_a_panic_ends_no_feed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let limits = LastLimits { outlive: true, ..LastLimits::default() };
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("k/{x}")
        .keep_last_with(limits)
        .fill(move |feed| {
            count.fetch_add(1, SeqCst);
            assert_ne!(feed.param("x"), "2", "no idea");
            Some("known")
        })
        .thread(|feed| {
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    for _ in 0..3 {
        let sub = subscriber(&od, &["k/1"]);
        assert_eq!(text(&sub), "k/1 known");
        drop(sub);
        eventually("it stops", || od.stats().now.running + od.stats().now.stopping == 0);
    }
    assert_eq!(calls.load(SeqCst), 1);
    let _sub = subscriber(&od, &["k/2"]);
    eventually("it is reported", || od.stats().done.failed == 1);
    assert_eq!(od.stats().now.running, 1);
}

#[test]
fn a_value_that_has_become_too_old_is_filled_in_anew() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let limits = LastLimits { age_max: Some(ms(1000)), ..LastLimits::default() };
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("k/{x}")
        .keep_last_with(limits)
        .fill(move |_| {
            thread::sleep(ms(50));
            Some(format!("{}", count.fetch_add(1, SeqCst) + 1))
        })
        .thread(|feed| {
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let first = subscriber(&od, &["k/1"]);
    assert_eq!(text(&first), "k/1 1");
    // Connected in advance, so that they wait for the value alone.
    let many: Vec<_> = (0..10).map(|_| subscriber(&od, &[])).collect();
    eventually("all are there", || od.xpub().stats().peers == 11);
    eventually("it is too old", || od.xpub().last("k/1").is_none());
    many.iter().for_each(|sub| drop(sub.subscribe("k/1").unwrap()));
    for sub in &many {
        assert_eq!(text(sub), "k/1 2");
    }
    assert_eq!(text(&first), "k/1 2", "it is a value like others");
    // A value is counted when it has been sent, and may have arrived by then.
    eventually("both are counted", || od.stats().done.produced == 2);
    assert_eq!((calls.load(SeqCst), od.stats().done.started), (2, 1));
}
