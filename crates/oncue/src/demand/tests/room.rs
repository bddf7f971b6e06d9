//! Room: in the queues of subscribers, and for feeds.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::{OnFull, Room};

/// Routes on a socket whose subscribers are soon full.
fn narrow() -> Builder {
    let options = Options::new().send_hwm(2);
    OnDemand::new(&Engine::start().unwrap(), options).unwrap().bind(ENDPOINT).unwrap()
}

/// A SUB that reads only when it is told to.
struct Lazy(TcpStream);

impl Lazy {
    fn new(od: &OnDemand, prefix: &str) -> Lazy {
        let endpoint = od.endpoint().unwrap().to_string();
        let mut stream = TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
        let mut greeting = [0; 64];
        greeting[0] = 0xff;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        stream.write_all(&greeting).unwrap();
        stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB").unwrap();
        stream.read_exact(&mut [0; 64]).unwrap();
        let subscription = [&[0, prefix.len() as u8 + 1, 1], prefix.as_bytes()].concat();
        stream.write_all(&subscription).unwrap();
        stream.set_read_timeout(Some(ms(50))).unwrap();
        Lazy(stream)
    }

    /// Reads up to a megabyte.
    fn read(&mut self) {
        let _ = self.0.read_exact(&mut large());
    }
}

fn large() -> Vec<u8> {
    vec![b'x'; 1 << 20]
}

#[test]
fn a_periodic_feed_produces_nothing_while_its_subscribers_are_full() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = narrow()
        .route("p")
        .every(ms(2), move |_| {
            count.fetch_add(1, SeqCst);
            large()
        })
        .start()
        .unwrap();
    let mut sub = Lazy::new(&od, "p");
    eventually("it is full", || od.stats().done.ticks_congested > 20);
    let so_far = calls.load(SeqCst);
    eventually("ticks pass", || od.stats().done.ticks_congested > 60);
    assert!(calls.load(SeqCst) <= so_far + 1, "nothing is produced meanwhile");
    eventually("read, it goes on", || {
        sub.read();
        calls.load(SeqCst) > so_far + 10
    });
    assert_eq!(od.route_stats()[0].done.ticks_congested, od.stats().done.ticks_congested);
}

#[test]
fn a_batch_leaves_out_only_feeds_whose_subscribers_are_full() {
    let od = narrow()
        .route("b/{x}")
        .batch(ms(2), |wanted| {
            for feed in wanted {
                let value = if feed.param("x") == "large" { large() } else { b"small".to_vec() };
                let _ = feed.publish(value);
            }
        })
        .start()
        .unwrap();
    let _lazy = Lazy::new(&od, "b/large");
    let sub = subscriber(&od, &["b/small"]);
    let congested = |topic: &[u8]| {
        od.topic_stats().iter().find(|t| t.topic == topic).map_or(0, |t| t.done.ticks_congested)
    };
    eventually("one is full", || {
        assert_eq!(text(&sub), "b/small small");
        congested(b"b/large") > 20
    });
    for _ in 0..20 {
        assert_eq!(text(&sub), "b/small small");
    }
    assert_eq!(congested(b"b/small"), 0);
}

#[test]
fn a_thread_may_wait_for_room() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let od = narrow()
        .route("t")
        .thread(move |feed| {
            loop {
                feed.wait_for_room().wait()?;
                feed.publish(large())?;
                count.fetch_add(1, SeqCst);
                // The feed sees that this filled the queue once the I/O thread has delivered it.
                feed.sleep(ms(2))?;
            }
        })
        .start()
        .unwrap();
    let mut sub = Lazy::new(&od, "t");
    eventually("it waits", || {
        let before = sent.load(SeqCst);
        thread::sleep(ms(50));
        before >= 2 && sent.load(SeqCst) == before
    });
    let before = sent.load(SeqCst);
    eventually("read, it goes on", || {
        sub.read();
        sent.load(SeqCst) > before + 5
    });
    eventually("it waits again", || {
        let before = sent.load(SeqCst);
        thread::sleep(ms(50));
        sent.load(SeqCst) == before
    });
    drop(sub);
    eventually("a wait ends with its feed", || od.stats().now.running + od.stats().now.stopping == 0);
    assert_eq!(od.stats().done.failed, 0);
}

#[test]
fn the_room_of_a_feed() {
    let (builder, changes) = manual(narrow().route("m").grace(ms(100)));
    let od = builder.start().unwrap();
    let sub = Lazy::new(&od, "m");
    let feed = started(&changes);
    assert_eq!(feed.room(), Room::Open);
    assert_eq!(feed.wait_for_room().wait(), Ok(()));
    eventually("it is full", || {
        feed.publish(large()).unwrap();
        feed.room() == Room::Congested
    });
    drop(sub);
    eventually("nobody is there", || feed.room() == Room::Nobody);
    stopped(&changes);
    assert_eq!((feed.room(), feed.wait_for_room().wait()), (Room::Nobody, Err(Stopped)));
}

#[test]
fn who_stays_full_is_evicted_and_its_feed_stops() {
    let options = Options::new().send_hwm(2).evict_after(ms(50));
    let od = OnDemand::new(&Engine::start().unwrap(), options)
        .unwrap()
        .bind(ENDPOINT)
        .unwrap()
        .route("p")
        .every(ms(2), |_| large())
        .start()
        .unwrap();
    // It does not connect again by itself, as a socket would.
    let _lazy = Lazy::new(&od, "p");
    eventually("it runs", || od.stats().now.running == 1);
    eventually("it stops", || od.stats().stopped == 1);
    assert_eq!(od.xpub().stats().peers_evicted, 1);
}

#[test]
fn the_topic_with_the_most_subscribers_has_the_next_room() {
    let od =
        OnDemand::bind(ENDPOINT).unwrap().feeds_max(1).route("t/{x}").thread(generations).start().unwrap();
    let first = subscriber(&od, &["t/1"]);
    assert_eq!(text(&first), "t/1 1");
    let old = subscriber(&od, &["t/old"]);
    eventually("it waits", || od.stats().now.waiting == 1);
    let many: Vec<_> = (0..3).map(|_| subscriber(&od, &["t/many"])).collect();
    eventually("all are there", || od.xpub().subscribers("t/many") == 3);
    drop(first);
    assert_eq!(text(&many[0]), "t/many 2");
    drop(many);
    assert_eq!(text(&old), "t/old 3");
}

#[test]
fn for_a_slow_viewer_as_many_values_are_made_as_it_takes() {
    as_many_are_made_as_are_taken(OnFull::Latest, OnFull::Latest);
}

#[test]
fn a_route_of_latest_values_makes_as_many_as_are_taken_whatever_the_others_do() {
    as_many_are_made_as_are_taken(OnFull::DropNewest, OnFull::DropNewest);
    as_many_are_made_as_are_taken(OnFull::Latest, OnFull::DropOldest);
}

/// The camera has the policy `Latest`, on a socket of this policy, beside a route of this one.
fn as_many_are_made_as_are_taken(socket: OnFull, other: OnFull) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let options = Options::new().on_full(socket).send_buffer(16 << 10);
    let od = OnDemand::new(&Engine::start().unwrap(), options)
        .unwrap()
        .bind(ENDPOINT)
        .unwrap()
        .route("camera")
        .on_full(OnFull::Latest)
        .every(ms(2), move |_| {
            count.fetch_add(1, SeqCst);
            large()
        })
        .route("rare")
        .on_full(other)
        .every(ms(50), |_| "small")
        .start()
        .unwrap();
    let mut viewer = Lazy::new(&od, "camera");
    socket2::SockRef::from(&viewer.0).set_recv_buffer_size(16 << 10).unwrap();
    let congested = |topic: &str| {
        let topics = od.topic_stats();
        topics.iter().find(|t| t.topic == topic.as_bytes()).map_or(0, |t| t.done.ticks_congested)
    };
    viewer.0.write_all(b"\x00\x05\x01rare").unwrap();
    eventually("the viewer is behind", || congested("camera") > 20);
    let before = calls.load(SeqCst);
    for taken in 1..=20 {
        viewer.read();
        let ticks = congested("camera");
        eventually("ticks pass", || congested("camera") > ticks + 5);
        // The first values taken were in the system's buffers; one value is there in part, its rest in the queue.
        let made = calls.load(SeqCst) - before;
        assert!(made <= taken + 2, "{made} were made, {taken} taken");
    }
    let made = calls.load(SeqCst) - before;
    assert!(made >= 10, "{made} were made, 20 taken");
    // A topic whose values were taken has room: each topic waits for itself alone.
    assert!(congested("rare") < congested("camera"));
    assert_eq!(od.xpub().stats().missed, 0, "no value is produced in vain");
}
