//! Nothing that would be due later keeps a feed that has ended.

use super::*;

/// Longer than any of these tests takes.
const HOUR: Duration = Duration::from_secs(3600);
const TIMES: usize = 20;

type Feeds = Arc<Mutex<Vec<Feed>>>;

/// Subscribes and unsubscribes until the topic has had [`TIMES`] feeds. Then the test alone holds them.
fn toggled(od: &OnDemand, topic: &str, feeds: &Feeds) {
    let sub = subscriber(od, &[]);
    for n in 1..=TIMES {
        sub.subscribe(topic).unwrap();
        eventually("it starts", || lock(feeds).len() == n);
        sub.unsubscribe(topic).unwrap();
    }
    eventually("nothing else holds the feeds", || lock(feeds).iter().all(|feed| feed.handles() == 1));
}

#[test]
fn a_periodic_feed_that_has_stopped_waits_for_no_tick() {
    let feeds = Feeds::default();
    let ours = feeds.clone();
    let route = OnDemand::bind(ENDPOINT).unwrap().route("p");
    let od = route.every(HOUR, move |feed| {
        lock(&ours).push(feed.clone());
        ""
    });
    toggled(&od.start().unwrap(), "p", &feeds);
}

#[test]
fn a_value_that_is_held_back_goes_with_its_feed() {
    let feeds = Feeds::default();
    let ours = feeds.clone();
    let route = OnDemand::bind(ENDPOINT).unwrap().route("r").max_rate(HOUR);
    let od = route.manual(move |change| {
        if let Change::Started(feed) = change {
            feed.publish("sent").unwrap();
            feed.publish("held").unwrap();
            lock(&ours).push(feed);
        }
    });
    toggled(&od.start().unwrap(), "r", &feeds);
}

#[test]
fn a_fill_that_no_worker_could_make_goes_with_its_feed() {
    let feeds = Feeds::default();
    let ours = feeds.clone();
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .workers(1)
        .route("holds up")
        .every(HOUR, move |_| {
            let _ = lock(&held).recv();
            ""
        })
        .route("f")
        .fill(|_| Some(""))
        .thread(move |feed| {
            lock(&ours).push(feed.clone());
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["holds up"]);
    eventually("the worker is held up", || od.stats().now.running == 1);
    toggled(&od, "f", &feeds);
    drop(release);
}

#[test]
fn a_route_that_was_replaced_is_gone_whatever_it_would_have_done_later() {
    let owned = Arc::new(());
    let (a, b, c) = (owned.clone(), owned.clone(), owned.clone());
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("listed/{x}")
        .catalogue_with(HOUR, move || {
            let _owned = &a;
            vec![b"listed/a".to_vec()]
        })
        .every(HOUR, move |_| {
            let _owned = &b;
            ""
        })
        .route("batch/{x}")
        .batch(HOUR, move |wanted| {
            let _owned = &c;
            wanted.iter().for_each(|feed| feed.publish("").unwrap_or_default());
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["listed/", "batch/a"]);
    let mut topics = [receive(&sub).topic().to_vec(), receive(&sub).topic().to_vec()];
    topics.sort();
    assert_eq!(topics, [b"batch/a".to_vec(), b"listed/a".to_vec()]);
    od.reload(od.builder().route("other").every(HOUR, |_| "")).unwrap();
    eventually("they are gone", || Arc::strong_count(&owned) == 1);
}

#[test]
fn a_batch_begins_to_tick_again_when_it_is_wanted_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("b")
        .batch(ms(5), move |_| {
            count.fetch_add(1, SeqCst);
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    for _ in 0..3 {
        sub.subscribe("b").unwrap();
        let before = calls.load(SeqCst);
        eventually("it ticks", || calls.load(SeqCst) > before + 5);
        sub.unsubscribe("b").unwrap();
        eventually("it has stopped", || od.stats().now.running == 0 && od.stats().now.stopping == 0);
    }
}
