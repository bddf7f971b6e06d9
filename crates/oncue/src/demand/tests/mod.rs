//! Routes over real sockets: what holds for all producers. `producers` tests each kind.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::*;
use crate::error::ErrorKind;
use crate::msg::Msg;
use crate::socket::{Sub, XPub};
use crate::sync::lock;
use crate::{Engine, Options};

mod admission;
mod batches;
mod changes;
mod failures;
mod frames;
mod fresh;
mod last;
mod leftovers;
mod meter;
mod producers;
mod quick;
mod room;
mod savings;
mod starts;
mod states;
mod unbound;
mod values;
mod watchdog;

const ENDPOINT: &str = "tcp://127.0.0.1:0";
/// Far more than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn subscriber(od: &OnDemand, prefixes: &[&str]) -> Sub {
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(&od.endpoint().unwrap().to_string()).unwrap();
    for prefix in prefixes {
        sub.subscribe(prefix).unwrap();
    }
    sub
}

fn receive(sub: &Sub) -> Msg {
    sub.recv().wait_timeout(PATIENCE).expect("a message comes").unwrap()
}

/// The next message as text: frames joined by a space.
fn text(sub: &Sub) -> String {
    let message = receive(sub);
    let frames: Vec<_> = message.frames().map(|frame| frame.escape_ascii().to_string()).collect();
    frames.join(" ")
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(ms(2));
    }
}

/// Publishes its generation until it is stopped.
fn generations(feed: Feed) -> Produced {
    loop {
        feed.publish(feed.generation().to_string())?;
        feed.sleep(ms(2))?;
    }
}

/// A manual route that hands the changes out.
fn manual(builder: RouteBuilder) -> (Builder, Receiver<Change>) {
    let (sender, changes) = channel();
    let sender = Mutex::new(sender);
    (builder.manual(move |change| drop(lock(&sender).send(change))), changes)
}

fn started(changes: &Receiver<Change>) -> Feed {
    match changes.recv_timeout(PATIENCE) {
        Ok(Change::Started(feed)) => feed,
        other => panic!("no start: {other:?}"),
    }
}

fn stopped(changes: &Receiver<Change>) -> Feed {
    match changes.recv_timeout(PATIENCE) {
        Ok(Change::Stopped(feed)) => feed,
        other => panic!("no stop: {other:?}"),
    }
}

#[test]
fn parameters_may_be_any_bytes() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("raw/{x}"));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &[]);
    sub.subscribe(b"raw/\xff\x00a").unwrap();
    let feed = started(&changes);
    assert_eq!(feed.topic(), b"raw/\xff\x00a");
    assert_eq!((feed.param_bytes("x"), feed.param("x")), (&b"\xff\x00a"[..], "\u{fffd}\0a"));
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed.param("y").len()));
    assert!(asked.is_err(), "there is no `y`");
    assert_eq!(feed.publish(b"\x00\xfe"), Ok(()));
    assert_eq!(receive(&sub).frame(1), Some(&b"\x00\xfe"[..]));
}

#[test]
fn a_topic_of_any_bytes_is_a_route() {
    let (builder, changes) =
        manual(OnDemand::bind(ENDPOINT).unwrap().route_pattern(Pattern::literal(&b"\x01{\xff"[..])));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &[]);
    sub.subscribe(b"\x01{\xff").unwrap();
    started(&changes).publish("x").unwrap();
    assert_eq!(text(&sub), "\\x01{\\xff x");
}

#[test]
fn nothing_of_an_old_generation_comes_after_it_stopped() {
    // A producer that goes on publishing for a while after it was told to stop.
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("stubborn")
        .thread(|feed| {
            while feed.publish(feed.generation().to_string()).is_ok() {
                thread::sleep(ms(1));
            }
            for _ in 0..20 {
                assert_eq!(feed.publish("late"), Err(Stopped));
                thread::sleep(ms(1));
            }
            Ok(())
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    for generation in 1..=5 {
        sub.subscribe("stubborn").unwrap();
        assert_eq!(text(&sub), format!("stubborn {generation}"));
        sub.unsubscribe("stubborn").unwrap();
        eventually("it is told to stop", || od.stats().stopped == generation);
        // Messages that were sent before may still be under way.
        thread::sleep(ms(20));
        while sub.try_recv().unwrap().is_some() {}
    }
    eventually("the last one ends", || od.stats().now.stopping == 0);
    assert_eq!((od.stats().done.late, od.stats().done.failed), (5 * 21, 0));
}

#[test]
fn wanted_again_within_its_grace_a_feed_runs_on() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .grace(PATIENCE)
        .route("long")
        .thread(generations)
        .route("short")
        .grace(ms(20))
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["long"]);
    assert_eq!(text(&sub), "long 1");
    sub.unsubscribe("long").unwrap();
    eventually("the grace begins", || od.stats().now.in_grace == 1);
    while sub.try_recv().unwrap().is_some() {}
    sub.subscribe("lo").unwrap();
    assert_eq!(text(&sub), "long 1");
    eventually("it is revived", || od.stats().revived == 1);
    assert_eq!(od.stats().done.started, 1);
    let other = subscriber(&od, &["short"]);
    assert_eq!(text(&other), "short 2");
    drop(other);
    eventually("the short grace ends", || od.stats().stopped == 1);
    assert_eq!(subscriber(&od, &["short"]).recv().wait().unwrap().frame(1), Some(&b"3"[..]));
}

#[test]
fn the_empty_prefix_starts_what_is_listed_and_is_attached_to_the_rest() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("clock")
        .thread(generations)
        .route("prices/{symbol}")
        .catalogue(["prices/AAPL"])
        .thread(generations)
        .route("news/{id}")
        .thread(generations)
        .start()
        .unwrap();
    let all = subscriber(&od, &[""]);
    let mut topics = std::collections::BTreeSet::new();
    eventually("the listed ones come", || {
        topics.insert(receive(&all).topic().to_vec());
        topics.len() == 2
    });
    assert!(topics.contains(&b"clock"[..]) && topics.contains(&b"prices/AAPL"[..]));
    assert_eq!(od.stats().done.started, 2);
    let one = subscriber(&od, &["news/1"]);
    eventually("a feed that comes later reaches it too", || receive(&all).topic() == b"news/1");
    drop(one);
    eventually("and it keeps the feed", || receive(&all).topic() == b"news/1");
    drop(all);
    eventually("all stop", || od.stats().stopped == 3);
}

#[test]
fn beyond_feeds_max_topics_wait() {
    let od =
        OnDemand::bind(ENDPOINT).unwrap().feeds_max(1).route("t/{x}").thread(generations).start().unwrap();
    let one = subscriber(&od, &["t/1"]);
    assert_eq!(text(&one), "t/1 1");
    let two = subscriber(&od, &["t/2"]);
    eventually("the second waits", || od.stats().now.waiting == 1);
    drop(one);
    assert_eq!(text(&two), "t/2 2");
}

#[test]
fn what_was_wanted_before_the_start_is_served() {
    let builder = OnDemand::bind(ENDPOINT).unwrap();
    let endpoint = builder.endpoints()[0].to_string();
    let watch = builder.xpub().unwrap().demand();
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.subscribe("clock").unwrap();
    watch.next().wait_timeout(PATIENCE).unwrap().unwrap();
    let od = builder.route("clock").thread(generations).start().unwrap();
    assert_eq!(text(&sub), "clock 1");
    assert_eq!(od.endpoints().len(), 1);
}

#[test]
fn stopping_ends_all_feeds_and_waits_for_their_threads() {
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("manual"));
    let od = builder
        .route("t/{x}")
        .thread(move |feed| {
            count.fetch_add(1, SeqCst);
            feed.wait_stopped();
            thread::sleep(ms(20));
            count.fetch_sub(1, SeqCst);
            Ok(())
        })
        .route("clock")
        .every(ms(1), |_| "tick")
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["t/1", "t/2", "clock", "manual"]);
    let feed = started(&changes);
    eventually("all run", || running.load(SeqCst) == 2 && od.stats().done.produced > 3);
    od.stop();
    assert_eq!(running.load(SeqCst), 0);
    assert_eq!(feed.publish("late"), Err(Stopped));
    assert!(!stopped(&changes).is_active());
    let produced = od.stats().done.produced;
    thread::sleep(ms(10));
    assert_eq!(od.stats().done.produced, produced);
    od.stop();
}

#[test]
fn a_producer_may_stop_the_routes_it_belongs_to() {
    let od: Arc<Mutex<Option<OnDemand>>> = Arc::default();
    let (sender, done) = channel();
    let (own, sender) = (od.clone(), Mutex::new(sender));
    let started = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("last")
        .thread(move |feed| {
            while lock(&own).is_none() {
                feed.sleep(ms(1))?;
            }
            drop(lock(&own).take());
            feed.wait_stopped();
            Ok(lock(&sender).send(())?)
        })
        .start()
        .unwrap();
    let sub = subscriber(&started, &["last"]);
    *lock(&od) = Some(started);
    done.recv_timeout(PATIENCE).expect("the producer returns");
    drop(sub);
}

#[test]
fn a_closed_socket_stops_the_feeds() {
    let (builder, changes) = manual(OnDemand::bind(ENDPOINT).unwrap().route("manual"));
    let od = builder.start().unwrap();
    let _sub = subscriber(&od, &["manual"]);
    let feed = started(&changes);
    od.xpub().close().wait();
    assert!(!stopped(&changes).is_active());
    assert_eq!(feed.publish("late"), Err(Stopped));
}

#[test]
fn routes_on_a_socket_that_others_use() {
    let engine = Engine::start().unwrap();
    let xpub = XPub::new(&engine, Options::new()).unwrap();
    let od = OnDemand::on(xpub.clone())
        .bind(ENDPOINT)
        .unwrap()
        .bind("inproc://on-demand-shared")
        .unwrap()
        .route("clock")
        .every(ms(2), |_| "tick")
        .start()
        .unwrap();
    assert_eq!(od.endpoints().len(), 2);
    let sub = subscriber(&od, &["clock", "other"]);
    assert_eq!(text(&sub), "clock tick");
    eventually("the other topic is wanted", || xpub.wanted("other"));
    xpub.send("other").unwrap();
    eventually("its message comes", || text(&sub) == "other");
    eventually("it is of no route", || od.stats().unserved == 1);
    od.stop();
    xpub.send("other").unwrap();
    eventually("the socket stays open", || text(&sub) == "other");
}

/// While feeds run there are references in all directions. In the end none of them keeps a producer and what it holds.
#[test]
fn stopped_routes_let_go_of_their_producers() {
    let held = Arc::new(());
    let hold = || held.clone();
    let (every, batch, thread, task, manual, list, fill) =
        (hold(), hold(), hold(), hold(), hold(), hold(), hold());
    let feeds: Mutex<Vec<Feed>> = Mutex::default();
    let od = OnDemand::new(&Engine::start().unwrap(), Options::new())
        .unwrap()
        .bind(ENDPOINT)
        .unwrap()
        .route("every")
        .fill(move |_| Arc::strong_count(&fill).to_string().into())
        .every(ms(1), move |_| Arc::strong_count(&every).to_string())
        .route("batch/{x}")
        .catalogue_with(ms(1), move || {
            let _held = &list;
            vec![b"batch/1".to_vec()]
        })
        .batch(ms(1), move |wanted| {
            wanted
                .iter()
                .for_each(|feed| feed.publish([Arc::strong_count(&batch) as u8]).unwrap_or_default());
        })
        .route("thread")
        .max_rate(ms(50))
        .thread(move |feed| {
            let _held = thread.clone();
            generations(feed)
        })
        .route("task")
        .task(
            |task| drop(thread::spawn(move || crate::op::Op(task).wait())),
            move |feed| {
                let held = task.clone();
                async move {
                    feed.stopped().await;
                    drop(held);
                    Ok(())
                }
            },
        )
        .route("manual")
        .manual(move |change| {
            let _held = &manual;
            match change {
                Change::Started(feed) => lock(&feeds).push(feed),
                Change::Stopped(_) => lock(&feeds).clear(),
            }
        })
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["every", "batch/", "thread", "task", "manual"]);
    eventually("all run", || od.stats().now.running == 5 && od.stats().done.produced > 20);
    od.reload(od.builder().route("other").every(ms(1), |_| "")).unwrap();
    eventually("the old ones are dropped", || Arc::strong_count(&held) == 1);
    let last = held.clone();
    od.reload(od.builder().route("every").batch(ms(1), move |wanted| {
        let _held = &last;
        wanted.iter().for_each(|feed| feed.publish("").unwrap_or_default());
    }))
    .unwrap();
    eventually("it runs", || od.stats().now.running == 1);
    drop(od);
    eventually("so is the last one", || Arc::strong_count(&held) == 1);
}

#[test]
fn mistakes_are_named_at_the_start() {
    let builder = || OnDemand::bind(ENDPOINT).unwrap();
    let every = |builder: Builder, pattern: &str| builder.route(pattern).every(ms(1), |_| "");
    let refused = |builder: Builder| {
        let checked = builder.check().unwrap_err().to_string();
        let error = builder.start().unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Misuse, checked));
        assert!(error.source().is_none_or(|cause| error.to_string() == cause.to_string()));
        error.to_string()
    };
    let cases = [
        (refused(builder()), "no routes"),
        (refused(every(builder(), "prices/{}")), "`prices/{}`"),
        (refused(every(every(builder(), "a/{x}"), "a/{y}")), "`a/{x}` and `a/{y}`"),
        (refused(every(every(builder(), "a/{x}"), "{y}/b")), "`a/{x}` and `{y}/b`"),
        (refused(builder().route("clock").every(Duration::ZERO, |_| "")), "`clock`"),
        (refused(every(builder().status_prefix("a/"), "a/{x}")), "`a/{x}`"),
        (refused(every(builder().status_prefix("a/"), "{x}/b")), "`{x}/b`"),
        (refused(builder().route("clock").batch(Duration::ZERO, |_| ())), "`clock`"),
        (refused(every(builder().route("b").feeds_max(0).every(ms(1), |_| ""), "a")), "`b`"),
        (refused(builder().route("b").backoff(ms(0), ms(1)).every(ms(1), |_| "")), "`b`"),
        (refused(builder().route("b").backoff(ms(2), ms(1)).every(ms(1), |_| "")), "`b`"),
        (refused(builder().route("b").catalogue_with(ms(0), Vec::new).every(ms(1), |_| "")), "`b`"),
        (refused(builder().route("a/{x}").catalogue(["b"]).every(ms(1), |_| "")), "`a/{x}`"),
        (refused(builder().route("b").on_full(crate::OnFull::Refuse).every(ms(1), |_| "")), "`b`"),
        (refused(every(builder(), "a").feeds_max(0)), "feeds_max"),
        (refused(every(builder().catalogue_topics_max(1), "a").route("b").every(ms(1), |_| "")), "1 topics"),
    ];
    for (text, part) in cases {
        assert!(text.contains(part), "{text}");
    }
    let refuses = Options::new().on_full(crate::OnFull::Refuse);
    let waits = OnDemand::new(&Engine::start().unwrap(), refuses).unwrap();
    let refused = waits.route("b").on_full(crate::OnFull::Latest).every(ms(1), |_| "").start().unwrap_err();
    assert!(refused.to_string().contains("the route `b`: OnFull::Latest is refused"), "{refused}");
    let one_frame = |routes: Builder| routes.route("c").frames(["{topic} {value}"]);
    let refused = one_frame(OnDemand::routes()).on_full(crate::OnFull::Latest).every(ms(1), |_| "").check();
    assert!(
        refused.unwrap_err().to_string().contains("the route `c` has more than the topic in the first frame")
    );
    let latest = Options::new().on_full(crate::OnFull::Latest);
    let latest = OnDemand::new(&Engine::start().unwrap(), latest).unwrap();
    let refused = one_frame(latest).every(ms(1), |_| "").bind(ENDPOINT).unwrap().start().unwrap_err();
    assert!(
        refused.to_string().contains("the route `c` has more than the topic in the first frame"),
        "{refused}"
    );
    let error = every(builder(), "prices/{}").start().unwrap_err();
    assert!(error.source().is_some_and(|cause| cause.is::<oncue_pattern::PatternError>()));
    assert_eq!(OnDemand::bind("nowhere").unwrap_err().kind(), ErrorKind::Misuse);
}
