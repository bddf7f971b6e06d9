//! Every option and every call that takes a time takes any: zero, the shortest, and the longest that a type can hold. The
//! longest never comes; nothing panics, and other sockets on the same I/O thread are not affected.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use oncue::demand::{Builder, LastLimits, RouteBuilder};
use oncue::{Engine, ErrorKind, OnDemand, Options, Pub, Sub, XPub};

use crate::raw::*;

const SHORTEST: Duration = Duration::from_nanos(1);
const EXTREMES: [Duration; 3] = [Duration::ZERO, SHORTEST, Duration::MAX];

/// A publisher and a subscriber beside those under test, on the same I/O thread.
struct Neighbours {
    engine: Engine,
    publisher: Pub,
    subscriber: Sub,
}

impl Neighbours {
    fn new() -> Neighbours {
        let engine = engine();
        let publisher = Pub::new(&engine, options()).unwrap();
        let subscriber = Sub::new(&engine, options()).unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        Neighbours { engine, publisher, subscriber }
    }

    /// They still work, with a prefix of this call alone.
    #[track_caller]
    fn are_well(&self, topic: &str) {
        self.subscriber.subscribe(topic).unwrap();
        until("the neighbours' subscription", || self.publisher.wanted(topic));
        self.publisher.send(topic).unwrap();
        let message = self.subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
        assert_eq!(message.topic(), topic.as_bytes());
        self.subscriber.unsubscribe(topic).unwrap();
        until("the neighbours' end of it", || !self.publisher.wanted(topic));
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Two sockets with an option connect over TCP, exchange a message if they can, and close.
fn exchange(set: impl Fn(Options, Duration) -> Options, can: impl Fn(Duration) -> bool) {
    let neighbours = Neighbours::new();
    for time in EXTREMES {
        let publisher = XPub::new(&neighbours.engine, set(options(), time)).unwrap();
        let subscriber = Sub::new(&neighbours.engine, set(options(), time)).unwrap();
        subscriber.subscribe("a").unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        if can(time) {
            assert_eq!(event(&publisher), "+a");
            publisher.send("a message").unwrap();
            let message = subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
            assert_eq!(message.topic(), b"a message");
        }
        neighbours.are_well("beside");
        subscriber.close().wait();
        publisher.close().wait();
        neighbours.are_well("after");
    }
}

#[test]
fn a_handshake_may_take_any_time_and_zero_is_no_limit() {
    exchange(Options::handshake_timeout, |time| time != SHORTEST);
}

#[test]
fn a_connection_may_take_any_time() {
    exchange(Options::connect_timeout, |time| time != SHORTEST);
}

#[test]
fn what_the_system_is_told_takes_any_time() {
    exchange(|options, time| options.tcp_keepalive_idle(time).tcp_keepalive_interval(time), |_| true);
    exchange(Options::tcp_user_timeout, |time| time != SHORTEST);
}

#[test]
fn a_message_that_is_begun_may_take_any_time() {
    exchange(Options::message_timeout, |_| true);
}

#[test]
fn heartbeats_come_at_any_time() {
    exchange(|options, time| options.heartbeat(time, Duration::MAX), |_| true);
    exchange(|options, time| options.heartbeat(Duration::MAX, time), |_| true);
    // A peer with a timeout of zero may be lost at any moment.
    exchange(|options, time| options.heartbeat(time, time), |time| time == Duration::MAX);
}

#[test]
fn a_socket_lingers_for_any_time() {
    exchange(Options::linger, |_| true);
    for time in EXTREMES {
        let x = XPub::new(&engine(), options().linger(time)).unwrap();
        let mut peer = Door::new(&x, Side::Binding).peer(Zmtp::V3_1);
        peer.send(subscribe(""));
        assert_eq!(event(&x), "+");
        (0..100).for_each(|_| x.send(vec![0; 200_000]).unwrap());
        let closed =
            x.close().wait_timeout(if time == Duration::MAX { Duration::from_millis(50) } else { SOON });
        assert_eq!(closed.is_some(), time < Duration::MAX);
        // The engine ends with its last socket, which waits for the peer as long as that takes.
        peer.reset();
    }
}

#[test]
fn a_lost_connection_is_tried_again_after_any_time() {
    let pairs = EXTREMES.into_iter().flat_map(|min| EXTREMES.map(|max| (min, max)));
    let neighbours = Neighbours::new();
    for (min, max) in pairs {
        let publisher = Pub::new(&neighbours.engine, Options::new()).unwrap();
        let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        publisher.unbind(&endpoint).unwrap();
        let subscriber = Sub::new(&neighbours.engine, Options::new().reconnect(min, max)).unwrap();
        subscriber.subscribe("").unwrap();
        subscriber.connect(&endpoint).unwrap();
        neighbours.are_well("beside");
        publisher.bind(&endpoint).unwrap();
        if min < Duration::MAX && max < Duration::MAX {
            until("a subscription", || publisher.wanted("x"));
        }
        neighbours.are_well("after");
    }
}

#[test]
fn a_peer_may_be_full_for_any_time() {
    let neighbours = Neighbours::new();
    for time in EXTREMES {
        let x = XPub::new(&neighbours.engine, options().send_hwm(1).evict_after(time)).unwrap();
        let mut peer = Door::new(&x, Side::Binding).peer(Zmtp::V3_1);
        peer.send(subscribe(""));
        assert_eq!(event(&x), "+");
        until("the peer's misses", || {
            x.send(vec![0; 100_000]).unwrap();
            x.stats().missed > 0
        });
        if time < Duration::MAX {
            until("the peer's end", || x.stats().peers_evicted == 1);
        }
        neighbours.are_well("beside");
        assert_eq!(x.stats().peers_evicted, u64::from(time < Duration::MAX));
    }
}

#[test]
fn a_wait_may_take_any_time() {
    let (x, door) = xpub(Side::Binding);
    for time in [Duration::ZERO, SHORTEST] {
        assert!(x.event().wait_timeout(time).is_none());
    }
    for time in [Duration::MAX, Duration::from_secs(1 << 60), Duration::from_secs(1 << 62)] {
        let mut peer = door.peer(Zmtp::V3_1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| x.event().wait_timeout(time));
            thread::sleep(Duration::from_millis(10));
            peer.send(subscribe("x"));
            assert!(waiting.join().unwrap().is_some());
        });
        drop(peer);
        assert_eq!(event(&x), "-x");
    }
}

#[test]
fn a_last_value_may_have_any_age() {
    for time in EXTREMES {
        let (x, door) = xpub(Side::Binding);
        x.send_last_for(("sent", "1"), time).unwrap();
        x.keep_last_for(("kept", "2"), time).unwrap();
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([subscribe("sent"), subscribe("kept")].concat());
        assert_eq!([event(&x), event(&x)], ["+sent", "+kept"]);
        x.send("sent, and the last").unwrap();
        let mut topics: Vec<Vec<u8>> = Vec::new();
        while topics.last().is_none_or(|topic| topic != b"sent, and the last") {
            topics.push(peer.message().swap_remove(0));
        }
        assert_eq!(topics.len(), if time == Duration::MAX { 3 } else { 1 });
    }
}

/// Routes with a time somewhere, and whether they are valid: if so, a value arrives, and they end.
fn serves(what: &str, time: Duration, can: bool, routes: impl FnOnce(Builder) -> Builder) {
    let started = routes(OnDemand::bind("tcp://127.0.0.1:0").unwrap()).start();
    if !can {
        let error = started.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        assert!(error.to_string().contains("0 s"), "{error}");
        return;
    }
    let served = started.unwrap_or_else(|error| panic!("{what} of {time:?}: {error}"));
    for _ in 0..2 {
        let subscriber = Sub::new(&engine(), options()).unwrap();
        subscriber.subscribe("x").unwrap();
        subscriber.connect(&served.endpoint().unwrap().to_string()).unwrap();
        let value = subscriber.recv().wait_timeout(SOON);
        value.unwrap_or_else(|| panic!("no value with {what} of {time:?}")).unwrap();
    }
    // Counts are added up whatever a producer reported.
    let _ = (served.stats(), served.route_stats(), served.topic_stats());
}

#[test]
fn routes_take_any_time() {
    for time in EXTREMES {
        let some = time > Duration::ZERO;
        let thread = |route: RouteBuilder| {
            route.thread(|feed| {
                while feed.publish("value").is_ok() {
                    feed.sleep(Duration::from_millis(1))?;
                }
                Ok(())
            })
        };
        let ever = |route: RouteBuilder| {
            route.keep_last().thread(|feed| {
                feed.publish("value")?;
                feed.sleep(Duration::MAX)?;
                Ok(())
            })
        };
        serves("grace of all", time, true, |b| thread(b.grace(time).route("x")));
        serves("grace", time, true, |b| thread(b.route("x").grace(time)));
        serves("min_run", time, true, |b| thread(b.route("x").min_run(time)));
        serves("max_rate", time, true, |b| ever(b.route("x").max_rate(time)));
        serves("pace", time, some, |b| thread(b.route("x").pace(time)));
        serves("period", time, some, |b| b.route("x").keep_last().grace(SOON).every(time, |_| "value"));
        serves("period of a batch", time, some, |b| {
            b.route("x").keep_last().grace(SOON).batch(time, |wanted| {
                wanted.publish("x", "value");
            })
        });
        serves("period of a catalogue", time, some, |b| {
            thread(b.route("x").catalogue_with(time, || vec![b"x".to_vec()]))
        });
        serves("age", time, true, |b| {
            thread(b.route("x").keep_last_with(LastLimits { age_max: Some(time), ..LastLimits::default() }))
        });
        serves("a sleep and time spent", time, true, move |b| {
            b.route("x").thread(move |feed| {
                loop {
                    feed.publish("value")?;
                    feed.spent(time);
                    feed.sleep(if time == Duration::MAX { SHORTEST } else { time })?;
                }
            })
        });
        for longest in EXTREMES {
            let (first, can) = (AtomicBool::new(true), some && time <= longest);
            serves("backoff", time, can, move |b| {
                b.route("x").keep_last().backoff(time, longest).thread(move |feed| {
                    feed.publish("value")?;
                    if first.swap(false, Ordering::SeqCst) {
                        return Err("the first time fails".into());
                    }
                    feed.wait_stopped();
                    Ok(())
                })
            });
        }
    }
}

#[test]
fn with_the_longest_spacing_only_the_first_value_is_sent() {
    let served = OnDemand::bind("tcp://127.0.0.1:0")
        .unwrap()
        .route("x")
        .max_rate(Duration::MAX)
        .thread(|feed| {
            (0..3).try_for_each(|value: u32| feed.publish(value.to_string()))?;
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let subscriber = Sub::new(&engine(), options()).unwrap();
    subscriber.subscribe("x").unwrap();
    subscriber.connect(&served.endpoint().unwrap().to_string()).unwrap();
    let first = subscriber.recv().wait_timeout(SOON).expect("a value in time").unwrap();
    assert_eq!(first.frame(1), Some(&b"0"[..]));
    until("values that are held back", || served.stats().done.superseded == 1);
    assert!(subscriber.try_recv().unwrap().is_none());
}
