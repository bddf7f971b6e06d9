//! What was produced, what was not, and how long it took.

use super::*;

#[test]
fn of_values_that_come_too_fast_the_latest_is_sent() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("fast/{x}").max_rate(ms(300)));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["fast/1"]);
    let feed = started(&changes);
    let start = Instant::now();
    for n in 0..50 {
        feed.publish(n.to_string()).unwrap();
    }
    assert_eq!(text(&sub), "fast/1 0", "the first goes at once");
    assert_eq!(text(&sub), "fast/1 49");
    assert!(start.elapsed() >= ms(300), "{:?}", start.elapsed());
    eventually("both are counted", || od.stats().done.produced == 2);
    assert_eq!(od.stats().done.superseded, 48);
    assert!(sub.recv().wait_timeout(ms(350)).is_none());
    feed.publish("later").unwrap();
    feed.publish("held").unwrap();
    feed.finish();
    assert_eq!(text(&sub), "fast/1 later");
    assert_eq!(text(&sub), "fast/1 held", "what is held goes before the feed has finished");
}

#[test]
fn a_value_held_back_is_not_sent_once_nobody_wants_it() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("fast").max_rate(ms(50)));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["fast"]);
    let feed = started(&changes);
    feed.publish("first").unwrap();
    feed.publish("held").unwrap();
    assert_eq!(text(&sub), "fast first");
    sub.unsubscribe("fast").unwrap();
    stopped(&changes);
    sub.subscribe("fast").unwrap();
    started(&changes).publish("fresh").unwrap();
    assert_eq!(text(&sub), "fast fresh");
    thread::sleep(ms(100));
    assert_eq!(od.stats().done.produced, 2);
}

#[test]
fn what_was_not_produced_is_counted() {
    let start = Instant::now();
    let catalogue: Vec<_> = (0..100).map(|i| format!("c/{i}")).collect();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("c/{x}")
        .catalogue(&catalogue)
        .every(ms(10), |_| "value")
        .route("idle/{x}")
        .every(ms(10), |_| "value")
        .route("thread")
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["c/7"]);
    for _ in 0..20 {
        assert_eq!(text(&sub), "c/7 value");
    }
    // A value is counted when it has been sent, and may have arrived by then.
    eventually("all are counted", || od.route_stats()[0].done.produced >= 20);
    let stats = od.route_stats();
    let all = 100 * start.elapsed().as_millis() as u64 / 10;
    let (avoided, produced) = (stats[0].avoided, stats[0].done.produced);
    // The second value may come half a period after the first.
    assert!(avoided > 1850 - produced, "{avoided} avoided, {produced} produced");
    assert!(avoided + produced <= all + 10, "{avoided} and {produced} of {all}");
    assert_eq!((stats[1].avoided, stats[2].avoided), (0, 0), "nothing is listed, or the route has no pace");
    assert_eq!((stats[0].now.listed, stats[2].now.listed), (100, 1));
}

#[test]
fn the_time_to_the_first_value_and_the_time_spent_are_measured() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("slow/{x}")
        .every(ms(20), |_| {
            thread::sleep(ms(30));
            "value"
        })
        .route("quick/{x}")
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["slow/1"]);
    for _ in 0..3 {
        let _ = text(&sub);
    }
    let topic = &od.topic_stats()[0];
    assert_eq!((&topic.topic[..], topic.generation, topic.done.started), (&b"slow/1"[..], 1, 1));
    assert!(topic.first_value_time.is_some_and(|time| time >= ms(30)), "{topic:?}");
    eventually("the time is counted", || od.topic_stats()[0].done.producing >= ms(90));
    let stats = &od.route_stats()[0];
    assert_eq!(stats.first_values, 1);
    assert_eq!(stats.first_value_time, stats.first_value_time_longest);
    assert!(stats.first_value_time >= ms(30) && stats.done.producing >= ms(90), "{stats:?}");
    assert_eq!((stats.first_value.count(), stats.first_value.sum()), (1, stats.first_value_time));
    assert!(stats.production.count() >= 3, "{stats:?}");
    assert_eq!(stats.production.sum(), stats.done.producing);
    let quicker = stats.production.cumulative().find(|(bound, _)| *bound == Some(ms(25)));
    assert_eq!(quicker, Some((Some(ms(25)), 0)), "each call takes 30 ms");
    let _quick = subscriber(&od, &["quick/1"]);
    eventually("it is counted for its own route", || od.route_stats()[1].done.produced > 3);
    assert_eq!(od.route_stats()[1].first_values, 1);
}

#[test]
fn a_value_is_offered_to_each_subscriber() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("m/{x}"));
    let od = builder.start().unwrap();
    let (first, second) = (subscriber(&od, &["m/1"]), subscriber(&od, &["m/", "m/1"]));
    let feed = started(&changes);
    eventually("both are there", || od.xpub().subscribers("m/1") == 2);
    for n in 0..3 {
        feed.publish(n.to_string()).unwrap();
    }
    let topic = &od.topic_stats()[0];
    assert_eq!((topic.subscribers, topic.done.produced, topic.done.offered), (2, 3, 6));
    drop(second);
    eventually("one has gone", || od.xpub().subscribers("m/1") == 1);
    feed.publish("last").unwrap();
    assert_eq!(od.topic_stats()[0].subscribers, 1);
    assert_eq!(od.route_stats()[0].done.offered, 7);
    for expected in ["m/1 0", "m/1 1", "m/1 2", "m/1 last"] {
        assert_eq!(text(&first), expected);
    }
}

#[test]
fn a_producer_with_a_clock_of_its_own_says_what_it_left_out() {
    let start = Instant::now();
    let (builder, changes) = manual(
        OnDemand::bind(ENDPOINT).unwrap().route("m/{x}").catalogue(["m/1", "m/2", "m/3"]).pace(ms(10)),
    );
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["m/1"]);
    let feed = started(&changes);
    assert!(!feed.skip_for_congestion());
    feed.skip_ticks(4);
    feed.spent(ms(30));
    feed.publish("value").unwrap();
    assert_eq!(text(&sub), "m/1 value");
    thread::sleep(ms(100));
    let stats = &od.route_stats()[0];
    assert_eq!((stats.done.ticks_skipped, stats.done.ticks_congested, stats.done.producing), (4, 0, ms(30)));
    assert_eq!(stats.production.cumulative().find(|(_, count)| *count > 0), Some((Some(ms(50)), 1)));
    let all = 3 * start.elapsed().as_millis() as u64 / 10;
    assert!(stats.avoided >= 30 - 5 && stats.avoided + 5 <= all, "{} of {all}", stats.avoided);
    let refused = OnDemand::bind(ENDPOINT).unwrap().route("m").pace(ms(0)).manual(|_| ()).start();
    assert!(refused.unwrap_err().to_string().contains("pace"));
}
