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
    eventually("both are counted", || od.stats().produced == 2);
    assert_eq!(od.stats().superseded, 48);
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
    assert_eq!(od.stats().produced, 2);
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
    let stats = od.route_stats();
    let all = 100 * start.elapsed().as_millis() as u64 / 10;
    let (avoided, produced) = (stats[0].avoided, stats[0].done.produced);
    assert!(produced >= 20 && avoided > 1900 - produced, "{avoided} avoided, {produced} produced");
    assert!(avoided + produced <= all + 10, "{avoided} and {produced} of {all}");
    assert_eq!((stats[1].avoided, stats[2].avoided), (0, 0), "nothing is listed, or nothing ticks");
    assert_eq!((stats[0].listed, stats[2].listed), (100, 1));
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
    let _quick = subscriber(&od, &["quick/1"]);
    eventually("it is counted for its own route", || od.route_stats()[1].done.produced > 3);
    assert_eq!(od.route_stats()[1].first_values, 1);
}
