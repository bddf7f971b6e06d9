//! Each kind of producer over real sockets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::*;
use crate::op::Op;

#[test]
fn a_periodic_route_ticks_while_it_is_wanted() {
    let ticks = Arc::new(AtomicUsize::new(0));
    let count = ticks.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("clock")
        .every(ms(5), move |_| count.fetch_add(1, SeqCst).to_string())
        .start()
        .unwrap();
    thread::sleep(ms(30));
    assert_eq!(ticks.load(SeqCst), 0, "nobody wants it");
    let sub = subscriber(&od, &["clock"]);
    for n in 0..5 {
        assert_eq!(text(&sub), format!("clock {n}"));
    }
    sub.unsubscribe("clock").unwrap();
    eventually("it stops", || od.stats().now.running == 0 && od.stats().now.stopping == 0);
    let produced = ticks.load(SeqCst);
    thread::sleep(ms(30));
    assert_eq!(ticks.load(SeqCst), produced, "nobody wants it any more");
}

#[test]
fn ticks_do_not_drift() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = times.clone();
    let period = ms(20);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("clock")
        .every(period, move |_| {
            lock(&noted).push(Instant::now());
            // If the next tick were counted from here, 20 ticks would take half as long again.
            thread::sleep(ms(10));
            "tick"
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["clock"]);
    for _ in 0..20 {
        receive(&sub);
    }
    let (times, skipped) = (lock(&times).clone(), od.stats().done.ticks_skipped);
    let span = times[19] - times[0];
    assert!(span < period * (19 + skipped as u32) + ms(100), "{span:?}, {skipped} skipped");
}

#[test]
fn a_slow_periodic_feed_piles_nothing_up_and_holds_no_other_up() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, highest) = (running, most.clone());
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("slow")
        .every(ms(1), move |feed| {
            highest.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            let _ = feed.sleep(ms(300));
            now.fetch_sub(1, SeqCst);
            "slow"
        })
        .route("fast")
        .every(ms(2), |_| "fast")
        .start()
        .unwrap();
    let sub = subscriber(&od, &["slow"]);
    eventually("the slow one runs", || od.stats().now.running == 1);
    sub.subscribe("fast").unwrap();
    let mut slow = 0;
    for _ in 0..40 {
        slow += usize::from(receive(&sub).topic() == b"slow");
    }
    assert!(slow < 20, "{slow} slow ones among 40");
    eventually("ticks are skipped", || od.stats().done.ticks_skipped > 50);
    assert_eq!(most.load(SeqCst), 1, "a feed is produced by one call at a time");
}

#[test]
fn a_threaded_route_has_one_thread_a_topic_and_its_parameters() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("prices/{venue}-{symbol}")
        .thread(|feed| {
            let pairs: Vec<_> = feed.params().map(|(name, value)| format!("{name}={value:?}")).collect();
            assert_eq!(pairs.len(), 2);
            while feed.publish(format!("{} at {}", feed.param("symbol"), feed.param("venue"))).is_ok() {
                feed.sleep(ms(2))?;
            }
            Ok(())
        })
        .start()
        .unwrap();
    let one = subscriber(&od, &["prices/X-AAPL"]);
    let other = subscriber(&od, &["prices/X-AAPL", "prices/Y-MSFT"]);
    assert_eq!(text(&one), "prices/X-AAPL AAPL at X");
    eventually("both topics come", || text(&other) == "prices/Y-MSFT MSFT at Y");
    eventually("both topics come", || text(&other) == "prices/X-AAPL AAPL at X");
    assert_eq!(od.stats().done.started, 2, "one feed a topic, however many subscribers");
    drop(one);
    drop(other);
    eventually("both stop", || od.stats().now.running + od.stats().now.stopping == 0);
    assert_eq!((od.stats().stopped, od.stats().done.failed), (2, 0));
}

#[test]
fn a_thread_may_tick_by_itself() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .thread(|feed| {
            let mut ticks = Ticks::new(&feed, ms(10));
            for n in 0.. {
                feed.publish(n.to_string())?;
                if n == 1 {
                    thread::sleep(ms(55));
                }
                ticks.wait()?;
            }
            Ok(())
        })
        .start()
        .unwrap();
    let start = Instant::now();
    let sub = subscriber(&od, &["t"]);
    for n in 0..5 {
        assert_eq!(text(&sub), format!("t {n}"));
    }
    let skipped = od.stats().done.ticks_skipped;
    assert!(skipped >= 5, "{skipped}");
    assert!(start.elapsed() >= ms(10) * (4 + 5), "{:?}", start.elapsed());
    drop(sub);
    eventually("a wait ends with its feed", || od.stats().now.running + od.stats().now.stopping == 0);
    assert_eq!(od.stats().done.failed, 0);
}

/// Runs each task on a thread of its own: the simplest executor.
fn spawn(task: Task) {
    thread::spawn(move || Op(task).wait());
}

#[test]
fn an_async_route_runs_on_any_executor_and_sees_its_end() {
    let seen = Arc::new(AtomicBool::new(false));
    let sees = seen.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("news/{id}")
        .task(spawn, move |feed| {
            let sees = sees.clone();
            async move {
                feed.publish(format!("item {}", feed.param("id")))?;
                feed.stopped().await;
                sees.store(feed.publish("late").is_err(), SeqCst);
                Ok(())
            }
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["news/7"]);
    assert_eq!(text(&sub), "news/7 item 7");
    drop(sub);
    eventually("the task sees its end", || seen.load(SeqCst));
    eventually("it has ended", || od.stats().now.stopping == 0);
    assert_eq!((od.stats().done.late, od.stats().done.failed, od.stats().stopped), (1, 0, 1));
}

#[test]
fn a_task_that_waits_for_something_else_is_dropped_when_its_feed_stops() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("news")
        .task(spawn, move |feed| {
            let flag = Flag(flag.clone());
            async move {
                feed.publish("first")?;
                std::future::pending::<()>().await;
                drop(flag);
                Ok(())
            }
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["news"]);
    assert_eq!(text(&sub), "news first");
    drop(sub);
    eventually("the future is dropped", || dropped.load(SeqCst));
    eventually("it has ended", || od.stats().now.stopping == 0);
}

#[test]
fn a_task_that_its_executor_drops_has_ended() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("news")
        .task(drop, |_| async { Ok(()) })
        .route("panic")
        .no_restart()
        .task(|_| panic!("no executor"), |_| async { Ok(()) })
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["news", "panic"]);
    eventually("both end", || od.stats().ended == 2);
    assert_eq!(od.stats().done.failed, 1);
}

#[test]
fn a_late_value_of_a_manual_feed_is_dropped() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("manual/{x}"));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["manual/1"]);
    let feed = started(&changes);
    assert!(feed.is_active());
    assert_eq!(feed.sleep(ms(1)), Ok(()));
    feed.publish("on time").unwrap();
    assert_eq!(text(&sub), "manual/1 on time");
    sub.unsubscribe("manual/1").unwrap();
    assert_eq!(stopped(&changes).generation(), feed.generation());
    feed.wait_stopped();
    assert_eq!((feed.publish("late"), feed.is_active()), (Err(Stopped), false));
    assert_eq!(feed.sleep(PATIENCE), Err(Stopped));
    sub.subscribe("manual/1").unwrap();
    let next = started(&changes);
    assert!(next.generation() > feed.generation());
    assert_eq!(feed.publish("late again"), Err(Stopped));
    next.publish("fresh").unwrap();
    assert_eq!(text(&sub), "manual/1 fresh");
    assert_eq!((od.stats().done.late, od.stats().done.produced), (2, 2));
}

#[test]
fn values_that_are_published_together_keep_their_order_and_are_counted() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("manual/{x}"));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["manual/1", "manual/2", "manual/3"]);
    let mut feeds = [started(&changes), started(&changes), started(&changes)];
    feeds.sort_by_key(|feed| feed.topic().to_vec());
    let [one, two, three] = &feeds;
    sub.unsubscribe("manual/2").unwrap();
    assert_eq!(stopped(&changes).topic(), two.topic());
    assert_eq!(Feed::publish_all(&[]), 0);
    // The feed of the least generation is not the first of the call.
    let values: [(&Feed, &[u8]); 6] =
        [(three, b"a"), (one, b"b"), (one, b"c"), (two, b"late"), (three, b""), (one, b"d")];
    assert_eq!(Feed::publish_all(&values), 1);
    for expected in ["manual/3 a", "manual/1 b", "manual/1 c", "manual/3 ", "manual/1 d"] {
        assert_eq!(text(&sub), expected);
    }
    let done = od.stats().done;
    assert_eq!((done.produced, done.offered, done.late), (5, 5, 1));
    assert_eq!(od.route_stats()[0].first_values, 2);
    od.stop();
    assert_eq!(Feed::publish_all(&values), values.len());
}

#[test]
fn values_published_together_in_opposite_orders_wait_for_nothing() {
    const ROUNDS: u64 = 2000;
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("manual/{x}"));
    let od = builder.start().unwrap();
    let _sub = subscriber(&od, &["manual/1", "manual/2"]);
    let (one, two) = (started(&changes), started(&changes));
    let threads = [[one.clone(), two.clone()], [two, one]].map(|[first, second]| {
        thread::spawn(move || {
            (0..ROUNDS).map(|_| Feed::publish_all(&[(&first, b"a"), (&second, b"b")])).sum::<usize>()
        })
    });
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [0, 0]);
    assert_eq!(od.stats().done.produced, 4 * ROUNDS);
}

#[test]
fn values_of_a_route_that_keeps_or_spaces_them_are_published_one_by_one() {
    let (builder, changes) =
        manual(OnDemand::bind(ENDPOINT).unwrap().route("kept/{x}").keep_last().max_rate(ms(5)));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["kept/1"]);
    let feed = started(&changes);
    assert_eq!(Feed::publish_all(&[(&feed, b"a"), (&feed, b"b"), (&feed, b"c")]), 0);
    assert_eq!([text(&sub), text(&sub)], ["kept/1 a", "kept/1 c"]);
    assert_eq!(od.stats().done.superseded, 1);
    assert_eq!(text(&subscriber(&od, &["kept/1"])), "kept/1 c");
}

#[test]
fn a_panicking_producer_ends_its_own_feed_alone() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let reported = reports.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_failure(move |feed, failure| {
            lock(&reported).push(format!("{}: {failure}", feed.topic().escape_ascii()));
        })
        .route("thread")
        .no_restart()
        .thread(|feed| panic!("no {}", feed.generation()))
        .route("every")
        .no_restart()
        .every(ms(1), |_| -> &str { panic!("not ever") })
        .route("task")
        .no_restart()
        .task(spawn, |_| async { Err("went wrong")? })
        .route("manual")
        .no_restart()
        .manual(|_| panic!("not by hand"))
        .route("well")
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["thread", "every", "task", "manual"]);
    eventually("four end", || od.stats().ended == 4);
    assert_eq!((od.stats().done.failed, od.stats().now.running), (4, 0));
    let mut lines = lock(&reports).clone();
    lines.sort();
    assert_eq!(lines[0], "every: the producer panicked: not ever");
    assert_eq!(lines[1], "manual: the producer panicked: not by hand");
    assert_eq!(lines[2], "task: the producer failed: went wrong");
    assert!(lines[3].starts_with("thread: the producer panicked: no "), "{}", lines[3]);
    let other = subscriber(&od, &["well", "every"]);
    assert!(text(&other).starts_with("well "), "the others go on");
    assert_eq!(
        (od.stats().done.failed, od.stats().done.started),
        (4, 5),
        "not again while it is wanted all the time"
    );
    drop((sub, other));
    eventually("all are gone", || od.stats().now.running + od.stats().now.stopping == 0);
    let _sub = subscriber(&od, &["every"]);
    eventually("wanted again, it is tried again", || od.stats().done.failed == 5);
}

#[test]
fn a_producer_that_returns_is_not_started_again_at_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("once")
        .thread(move |feed| {
            count.fetch_add(1, SeqCst);
            Ok(feed.publish("all there is")?)
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["once"]);
    assert_eq!(text(&sub), "once all there is");
    eventually("it ends", || od.stats().ended == 1);
    thread::sleep(ms(20));
    assert_eq!((runs.load(SeqCst), od.stats().done.failed, od.stats().now.running), (1, 0, 0));
}

#[test]
fn with_patience_quick_functions_share_a_thread_and_one_that_blocks_holds_up_itself_alone() {
    let threads = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let (seen, blocked) = (threads.clone(), Arc::new(AtomicUsize::new(0)));
    let count = blocked.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .workers(100)
        .worker_patience(ms(5))
        .route("quick/{n:int}")
        .every(ms(5), move |_| {
            lock(&seen).insert(thread::current().id());
            "quick"
        })
        .route("blocks/{n:int}")
        .every(ms(5), move |feed| {
            count.fetch_add(1, SeqCst);
            feed.wait_stopped();
            "late"
        })
        .start()
        .unwrap();
    let topics: Vec<String> = (0..50).map(|n| format!("quick/{n}")).collect();
    let sub = subscriber(&od, &topics.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..500 {
        receive(&sub);
    }
    assert!(lock(&threads).len() <= 10, "{} threads for functions that take no time", lock(&threads).len());
    for n in 0..20 {
        sub.subscribe(format!("blocks/{n}")).unwrap();
    }
    eventually("twenty block at once", || blocked.load(SeqCst) == 20);
    while sub.try_recv().unwrap().is_some() {}
    for _ in 0..500 {
        receive(&sub);
    }
    assert_eq!(blocked.load(SeqCst), 20);
}
