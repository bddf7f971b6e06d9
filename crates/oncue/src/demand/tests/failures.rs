//! A feed that has failed starts again, one that has finished does not.

use super::*;

#[test]
fn a_thread_that_fails_starts_again_while_it_is_wanted() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("flaky")
        .backoff(ms(10), ms(40))
        .thread(move |feed| {
            let run = count.fetch_add(1, SeqCst);
            feed.publish(run.to_string())?;
            if run < 3 {
                return Err("the line is down".into());
            }
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let start = Instant::now();
    let sub = subscriber(&od, &["flaky"]);
    for run in 0..=3 {
        assert_eq!(text(&sub), format!("flaky {run}"));
    }
    assert!(start.elapsed() >= ms(10 + 20 + 40), "{:?}", start.elapsed());
    assert_eq!((od.stats().done.failed, od.stats().done.started, od.stats().now.running), (3, 4, 1));
    assert_eq!(od.route_stats()[0].done.failed, 3);
}

#[test]
fn failures_are_counted_by_their_reasons() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("f/{how:word}")
        .backoff(PATIENCE, PATIENCE)
        .thread(
            |feed| if feed.param("how") == "panic" { panic!("on purpose") } else { Err("no luck".into()) },
        )
        .route("other")
        .thread(|_| Ok(()))
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["f/panic", "f/a", "f/b", "other"]);
    eventually("all have failed", || od.stats().now.failing == 3);
    let stats = od.route_stats();
    let of = |at: usize| (stats[at].failures.error, stats[at].failures.panic, stats[at].failures.no_thread);
    assert_eq!((of(0), of(1), stats[0].done.failed), ((2, 1, 0), (0, 0, 0), 3));
}

#[test]
fn what_was_avoided_only_grows() {
    let topics: Vec<_> = (0..50).map(|i| format!("c/{i}")).collect();
    let builder = OnDemand::bind(ENDPOINT).unwrap().route("c/{x}").catalogue(&topics);
    let od = builder.every(ms(100), |_| "value").start().unwrap();
    eventually("some are avoided", || od.route_stats()[0].avoided >= 50);
    let before = od.route_stats()[0].avoided;
    // Each of them has a value at once, between two ticks.
    let sub = subscriber(&od, &["c/"]);
    (0..50).for_each(|_| drop(text(&sub)));
    eventually("all are counted", || od.stats().done.produced >= 50);
    assert!(od.route_stats()[0].avoided >= before);
}

#[test]
fn a_topic_whose_feed_failed_is_counted_while_it_waits() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("down")
        .backoff(PATIENCE, PATIENCE)
        .thread(|_| Err("no luck".into()))
        .start()
        .unwrap();
    let sub = subscriber(&od, &["down"]);
    eventually("it waits", || od.stats().now.failing == 1);
    sub.unsubscribe("down").unwrap();
    eventually("nobody waits for it", || od.stats().now.failing == 0);
    sub.subscribe("down").unwrap();
    eventually("it waits on", || od.stats().now.failing == 1);
    assert_eq!(od.stats().done.started, 1);
}

#[test]
fn a_manual_feed_is_ended_by_hand() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let reported = reports.clone();
    let builder = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_failure(move |feed, failure| lock(&reported).push(format!("{}: {failure}", feed.generation())));
    let (builder, changes) = manual(builder.route("m/{x}").backoff(ms(5), ms(5)));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["m/1"]);
    let first = started(&changes);
    first.fail("the process has died");
    first.fail("once is enough");
    assert_eq!(first.publish("late"), Err(Stopped));
    assert_eq!(stopped(&changes).generation(), 1);
    let second = started(&changes);
    second.publish("again").unwrap();
    assert_eq!(text(&sub), "m/1 again");
    second.finish();
    assert_eq!(stopped(&changes).generation(), 2);
    eventually("it has ended", || od.stats().ended == 2);
    thread::sleep(ms(20));
    assert_eq!((od.stats().done.failed, od.stats().done.started, od.stats().now.running), (1, 2, 0));
    assert_eq!(*lock(&reports), ["1: the producer failed: the process has died"]);
}

#[test]
fn a_periodic_feed_may_fail_by_hand() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("p")
        .backoff(ms(5), ms(5))
        .every(ms(1), |feed| {
            if feed.generation() == 1 {
                feed.fail("not this time");
            }
            feed.generation().to_string()
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["p"]);
    assert_eq!(text(&sub), "p 2");
    assert_eq!((od.stats().done.failed, od.stats().done.late), (1, 1));
}

#[test]
fn a_task_that_fails_starts_again() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .backoff(ms(5), ms(5))
        .task(
            |task| drop(thread::spawn(move || crate::op::Op(task).wait())),
            |feed| async move {
                if feed.generation() < 3 {
                    return Err("not yet".into());
                }
                feed.publish("third time lucky")?;
                feed.stopped().await;
                Ok(())
            },
        )
        .start()
        .unwrap();
    let sub = subscriber(&od, &["t"]);
    assert_eq!(text(&sub), "t third time lucky");
    assert_eq!(od.stats().done.failed, 2);
}

#[test]
fn a_feed_runs_for_its_minimum_time() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("costly")
        .min_run(ms(150))
        .thread(generations)
        .start()
        .unwrap();
    let start = Instant::now();
    let sub = subscriber(&od, &["costly"]);
    assert_eq!(text(&sub), "costly 1");
    drop(sub);
    eventually("it stops", || od.stats().stopped == 1);
    assert!(start.elapsed() >= ms(150), "{:?}", start.elapsed());
}
