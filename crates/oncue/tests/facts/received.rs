//! Received messages that wait for the user: what bounds them, and what removes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oncue::{Keep, OnDemand, Options, Sub, XPub, XSub};

use super::raw::*;

fn sub_with(side: Side, options: Options) -> (Sub, Door) {
    let s = Sub::new(&engine(), options).unwrap();
    s.subscribe("").unwrap();
    let door = Door::new(&s, side);
    (s, door)
}

/// A publisher whose handshake is done on both sides.
fn publisher(door: &Door) -> Raw {
    let mut publisher = door.peer(Zmtp::V3_1);
    publisher.expect(subscribe(""));
    publisher
}

/// All messages that can be received now, one line each.
fn rest(s: &Sub) -> Vec<String> {
    std::iter::from_fn(|| s.try_recv().unwrap()).map(|m| texts(&m).join("|")).collect()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn after_unsubscribe_nothing_of_its_topic_is_received() {
    both_sides(|side| {
        let (s, door) = sub_with(side, options());
        let mut publisher = publisher(&door);
        for many in [false, true] {
            for topic in ["a", "b", "bc"] {
                s.subscribe(topic).unwrap();
                publisher.expect(subscribe(topic));
            }
            for _ in 0..2 {
                publisher.send(["a", "b", "a", "bc", "b"].map(|topic| message(&[topic])).concat());
                publisher.barrier();
            }
            // One message of the first delivery is taken.
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["a"]);
            s.unsubscribe("").unwrap();
            s.unsubscribe("b").unwrap();
            let after: Vec<_> = match many {
                false => rest(&s),
                true => (0..2)
                    .flat_map(|_| s.recv_many().wait_timeout(SOON).unwrap().unwrap())
                    .map(|m| texts(&m).join("|"))
                    .collect(),
            };
            assert_eq!(after, ["a", "bc", "a", "a", "bc"]);
            // A prefix that is subscribed to again in time loses nothing.
            publisher.send(message(&["a"]));
            publisher.expect([cancel(""), cancel("b")].concat());
            publisher.barrier();
            s.unsubscribe("a").unwrap();
            s.subscribe("a").unwrap();
            assert_eq!(rest(&s), ["a"]);
            s.unsubscribe("a").unwrap();
            s.unsubscribe("bc").unwrap();
            s.subscribe("").unwrap();
            publisher
                .expect([cancel("a"), subscribe("a"), cancel("a"), cancel("bc"), subscribe("")].concat());
        }
    });
}

#[test]
fn after_unsubscribe_nothing_comes_that_a_shard_was_just_cutting() {
    let s = Sub::new(&engine_of(2), options()).unwrap();
    s.subscribe("other").unwrap();
    let doors = [(); 2].map(|()| Door::new(&s, Side::Binding));
    let stop = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = doors
        .iter()
        .flat_map(|door| [door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_1)])
        .map(|mut publisher| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let batch =
                    ["a", "other"].map(|topic| message(&[topic, &"x".repeat(1000)])).concat().repeat(50);
                while !stop.load(Ordering::Relaxed) {
                    publisher.send_anyway(&batch);
                }
            })
        })
        .collect();
    for round in 0..50 {
        s.subscribe("a").unwrap();
        while s.recv().wait_timeout(SOON).unwrap().unwrap().topic() != b"a" {}
        s.unsubscribe("a").unwrap();
        for _ in 0..2000 {
            if let Some(message) = s.try_recv().unwrap() {
                assert_eq!(message.topic(), b"other", "in round {round}");
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    drop(s);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

#[test]
fn after_disconnect_nothing_of_that_publisher_is_received() {
    fn check(s: &Sub, keep: Keep) {
        let (one, other) = (Door::new(s, Side::Connecting), Door::new(s, Side::Connecting));
        let (mut first, mut second) = (publisher(&one), publisher(&other));
        first.send([message(&["a"]), message(&["a1"])].concat());
        first.barrier();
        // Messages from an earlier connection to the endpoint belong to the same publisher.
        drop(first);
        let mut first = publisher(&one);
        second.send([message(&["b"]), message(&["b1"])].concat());
        second.barrier();
        first.send(message(&["a2"]));
        first.barrier();
        second.send(message(&["b2"]));
        second.barrier();
        assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["a"]);
        s.disconnect(&one.endpoint()).unwrap();
        assert_eq!(rest(s), ["b", "b1", "b2"], "with {keep:?}");
        second.send(message(&["b3"]));
        second.barrier();
        s.disconnect(&other.endpoint()).unwrap();
        assert_eq!(rest(s), [""; 0]);
    }
    for keep in [Keep::All, Keep::Latest] {
        let s = Sub::new(&engine_of(2), options().keep(keep)).unwrap();
        s.subscribe("").unwrap();
        check(&s, keep);
    }
}

#[test]
fn messages_that_an_xpubs_user_does_not_take_are_bounded_over_all_peers() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options().received_bytes_max(1 << 20)).unwrap();
        let batch = message(&[[7; 1000]]).repeat(500);
        let all = 20 * 500;
        let watch = x.demand();
        for _ in 0..20 {
            let (mut peer, _door) = another(&x, side, Zmtp::V3_1);
            peer.send([&batch[..], &subscribe("A")].concat());
            watch.next().wait_timeout(SOON).expect("a subscription is taken, whatever is dropped").unwrap();
            drop(peer);
            watch.next().wait_timeout(SOON).expect("its end too").unwrap();
        }
        let stats = x.stats();
        let kept = std::iter::from_fn(|| x.try_event().unwrap()).count() as u64;
        assert_eq!((stats.received, stats.received + stats.received_missed), (kept, all));
        assert!((500..2500).contains(&kept), "{kept} messages of 1000 bytes");
        // Taking them makes room.
        let (mut peer, _door) = another(&x, side, Zmtp::V3_1);
        peer.send(message(&["there is room"]));
        assert_eq!(event(&x), "there is room");
    });
}

#[test]
fn messages_are_discarded_on_arrival_if_the_user_never_takes_them() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options().discard_messages(true)).unwrap();
        let (mut peer, _door) = another(&x, side, Zmtp::V3_1);
        peer.send([message(&["hi"]).repeat(5000), message(&["hi", "\u{1}Q"]), subscribe("A")].concat());
        assert_eq!([event(&x), event(&x)], ["+Q", "+A"]);
        no_event(&x);
        assert_eq!((x.stats().received, x.stats().received_missed), (0, 0));
    });
    let clock = OnDemand::new(&engine(), options()).unwrap().route("clock");
    let od = clock.every(Duration::from_secs(1), |_| "now").start().unwrap();
    let (mut peer, _door) = another(od.xpub(), Side::Binding, Zmtp::V3_1);
    peer.send(message(&["hi"]));
    peer.barrier();
    assert_eq!((od.xpub().stats().received, od.xpub().try_event().unwrap()), (0, None));
}

#[test]
fn what_departed_publishers_left_is_bounded_and_nothing_is_lost() {
    let (s, door) = sub_with(Side::Binding, options().received_bytes_max(256 << 10));
    for connection in 0..40 {
        let mut publisher = publisher(&door);
        for number in 0..50 {
            publisher.send(message(&[format!("{connection:02}"), format!("{number:02}"), "x".repeat(1000)]));
        }
    }
    // As much as is read while the user takes nothing.
    let mut before = u64::MAX;
    until("reading pauses", || {
        std::thread::sleep(Duration::from_millis(50));
        std::mem::replace(&mut before, s.stats().received) == s.stats().received
    });
    // The bound, and one more read of each peer.
    assert!((50..1000).contains(&before), "{before} of 2000 messages of 1 kB were read");
    let mut next = [0; 40];
    for _ in 0..2000 {
        let message = s.recv().wait_timeout(SOON).expect("nothing is lost").unwrap();
        let [connection, number] = [0, 1]
            .map(|at| std::str::from_utf8(message.frame(at).unwrap()).unwrap().parse::<usize>().unwrap());
        assert_eq!(next[connection], number);
        next[connection] += 1;
    }
    assert_eq!(next, [50; 40]);
}

#[test]
fn the_newest_message_of_each_topic_is_received_whole() {
    both_sides(|side| {
        let (s, door) = sub_with(side, options().keep(Keep::Latest));
        let mut publisher = publisher(&door);
        for many in [false, true] {
            publisher.send([message(&["a", "1"]), message(&["b", "1"])].concat());
            publisher.send([message(&["a", "2", "", "three"]), message(&["c", "1"])].concat());
            publisher.send(
                [message(&["b", "2"]), message(&["ab"]), message(&["c", "longer than before"])].concat(),
            );
            publisher.barrier();
            let got = match many {
                false => rest(&s),
                true => {
                    let all = s.recv_many().wait_timeout(SOON).unwrap().unwrap();
                    all.map(|m| texts(&m).join("|")).collect()
                }
            };
            assert_eq!(got, ["a|2||three", "b|2", "c|longer than before", "ab"]);
        }
        assert_eq!((s.stats().received_replaced, s.stats().received_missed), (6, 0));
        // Unsubscribing removes messages from there too.
        s.subscribe("b").unwrap();
        publisher.send([message(&["a"]), message(&["b"])].concat());
        publisher.expect(subscribe("b"));
        publisher.barrier();
        s.unsubscribe("").unwrap();
        assert_eq!(rest(&s), ["b"]);
        // The next one is waited for.
        let waiting = s.clone();
        let next = std::thread::spawn(move || waiting.recv().wait_timeout(SOON).unwrap().unwrap());
        publisher.send(message(&["b", "awaited"]));
        assert_eq!(texts(&next.join().unwrap()), ["b", "awaited"]);
    });
}

#[test]
fn with_the_latest_reading_never_pauses_and_what_waits_is_bounded() {
    let (s, door) = sub_with(Side::Binding, options().keep(Keep::Latest).recv_hwm(10));
    let mut publisher = publisher(&door);
    for number in 0..100 {
        publisher.send(message(&[format!("{number}")]));
    }
    publisher.barrier();
    assert_eq!(rest(&s), (90..100).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(s.stats().received_missed, 90);
    // More than all buffers in between hold; the last messages are there at the end.
    for number in 0..50_000 {
        publisher.send(message(&[format!("{}", number % 3), format!("{number}"), "x".repeat(1000)]));
    }
    publisher.barrier();
    let numbers: Vec<_> =
        std::iter::from_fn(|| s.try_recv().unwrap()).map(|m| texts(&m)[1].clone()).collect();
    assert_eq!(numbers, ["49998", "49999", "49997"].map(str::to_owned));
    let x = XSub::new(&engine(), options().keep(Keep::Latest).received_bytes_max(10_000)).unwrap();
    let mut publisher = Door::new(&x, Side::Binding).peer(Zmtp::V3_1);
    for number in 0..100 {
        publisher.send(message(&[format!("{number}"), "x".repeat(1000)]));
    }
    publisher.barrier();
    let left: Vec<_> = std::iter::from_fn(|| x.try_recv().unwrap()).map(|m| texts(&m)[0].clone()).collect();
    assert!((2..10).contains(&left.len()) && left.last().unwrap() == "99", "{left:?}");
}
