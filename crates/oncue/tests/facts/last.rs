//! Last values, which only new subscribers get.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncue::{OnFull, Pub, XPub};

use super::raw::*;

/// A message of a topic and a value.
fn pair(topic: &str, value: &str) -> Vec<u8> {
    message(&[topic, value])
}

#[test]
fn a_new_subscriber_alone_gets_the_last_value_ahead_of_live_ones() {
    both_sides(|side| {
        for version in Zmtp::ALL {
            let (x, door) = xpub(side);
            x.send_last(("t", "nobody is there")).unwrap();
            x.send_last(("t", "1")).unwrap();
            x.send_last(("other", "0")).unwrap();
            let mut first = door.peer(Zmtp::V3_1);
            first.send(subscribe("t"));
            assert_eq!(event(&x), "+t");
            // A value that is replaced as soon as the event has reported the subscriber need not arrive.
            first.expect(pair("t", "1"));
            x.send_last(("t", "2")).unwrap();
            first.expect(pair("t", "2"));
            let (mut second, _door) = another(&x, side, version);
            second.send(version.subscribe("t"));
            second.expect(pair("t", "2"));
            x.send_last(("t", "3")).unwrap();
            x.send(("t", "not kept")).unwrap();
            second.expect([pair("t", "3"), pair("t", "not kept")].concat());
            first.expect([pair("t", "3"), pair("t", "not kept")].concat());
            first.barrier();
            let (mut third, _door) = another(&x, side, version);
            third.send(version.subscribe(""));
            third.expect([pair("other", "0"), pair("t", "3")].concat());
            while x.stats().last_values_offered < 4 {
                std::thread::yield_now();
            }
            let stats = x.stats();
            assert_eq!((stats.last_values, stats.last_values_offered, stats.missed), (2, 4, 0));
        }
    });
}

#[test]
fn each_topic_once_however_prefixes_overlap() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for topic in ["a", "ab", "abc", "b"] {
            x.send_last((topic, "v")).unwrap();
        }
        let values = |topics: &[&str]| topics.iter().flat_map(|t| pair(t, "v")).collect::<Vec<_>>();
        // One after the other.
        let mut peer = door.peer(Zmtp::V3_1);
        for (sends, brings) in [
            (subscribe("ab"), &["ab", "abc"][..]),
            (subscribe("ab"), &[]),
            (subscribe("abc"), &[]),
            (subscribe("a"), &["a"]),
            (cancel("ab"), &[]),
            (subscribe("ab"), &[]),
            (subscribe(""), &["b"]),
            ([cancel(""), cancel("a"), cancel("ab")].concat(), &[]),
            (subscribe("a"), &["a", "ab"]),
            (cancel("a"), &[]),
            (subscribe("never seen"), &[]),
            (subscribe(""), &["a", "ab", "b"]),
        ] {
            peer.send(&sends);
            peer.expect(values(brings));
            peer.barrier();
        }
        // All in one write.
        let together = |sends: &[Vec<u8>], brings: &[&str]| {
            let (mut peer, _door) = another(&x, side, Zmtp::V3_1);
            peer.send(sends.concat());
            peer.expect(values(brings));
            peer.barrier();
        };
        together(&[subscribe("ab"), subscribe("a"), subscribe(""), subscribe("a")], &["a", "ab", "abc", "b"]);
        together(&[subscribe("ab"), subscribe("a"), cancel("ab")], &["a", "ab", "abc"]);
        together(&[subscribe("a"), subscribe("ab"), cancel("a")], &["a", "ab", "abc"]);
        together(&[subscribe("b"), cancel("b"), subscribe("b")], &["b", "b"]);
        together(
            &[subscribe("a"), subscribe("b"), cancel("a"), subscribe("ab")],
            &["a", "ab", "abc", "b", "ab", "abc"],
        );
    });
}

#[test]
fn who_comes_back_gets_them_again() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        for i in 0..5 {
            peer.send(subscribe("t"));
            if i > 0 {
                peer.expect(pair("t", &format!("{}", i - 1)));
            }
            assert_eq!(event(&x), "+t");
            x.send_last(("t", format!("{i}"))).unwrap();
            peer.expect(pair("t", &format!("{i}")));
            if i % 2 == 0 {
                peer.reset()
            } else {
                drop(peer)
            }
            peer = door.peer(Zmtp::V3_1);
            assert_eq!(event(&x), "-t");
        }
    });
}

#[test]
fn kept_without_sending_forgotten_and_too_old() {
    let (x, door) = xpub(Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("s"));
    assert_eq!(event(&x), "+s");
    x.keep_last(("s", "silent")).unwrap();
    peer.barrier();
    assert_eq!(x.last("s").unwrap().frame(1), Some(&b"silent"[..]));
    x.send_last(("f", "forgotten")).unwrap();
    assert!(x.forget_last("f") && !x.forget_last("f"));
    assert_eq!(x.last("f"), None);
    x.send_last_for(("o", "old"), Duration::from_millis(1)).unwrap();
    x.keep_last_for(("p", "old"), Duration::from_millis(1)).unwrap();
    x.send_last_for(("y", "young"), Duration::from_secs(3600)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((x.last("o"), x.last("p")), (None, None));
    let (mut second, _door) = another(&x, Side::Binding, Zmtp::V3_1);
    second.send(subscribe(""));
    second.expect([pair("s", "silent"), pair("y", "young")].concat());
    second.barrier();
}

#[test]
fn the_topics_longest_without_a_newer_value_make_room() {
    let p = Pub::new(&engine(), options().last_values_bytes_max(3 * 1000)).unwrap();
    let door = Door::new(&p, Side::Binding);
    for topic in ["a", "b", "c", "a", "d"] {
        p.send_last((topic, [b'v'; 700])).unwrap();
    }
    // "b" was dropped; the value of "c" is too large to be kept, and the one before is no longer its last.
    p.send_last(("c", [b'v'; 3000])).unwrap();
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe(""));
    for topic in ["a", "d"] {
        assert_eq!(peer.message(), [topic.as_bytes(), &[b'v'; 700]]);
    }
    peer.barrier();
    let stats = p.stats();
    assert_eq!((stats.last_values, stats.last_values_dropped), (2, 2));
    assert!(stats.last_values_bytes <= 3 * 1000);
}

const POLICIES: [OnFull; 5] =
    [OnFull::DropNewest, OnFull::Refuse, OnFull::Disconnect, OnFull::DropOldest, OnFull::Latest];

/// A publisher of 1,000 values, `t000` to `t999`, many more than the system's buffers and a queue hold.
fn of_many_values(policy: OnFull) -> (XPub, Door) {
    let options = options().send_hwm(10).queue_bytes_max(10 << 20).on_full(policy);
    let x = XPub::new(&engine(), options).unwrap();
    no_event(&x);
    let door = Door::new(&x, Side::Binding);
    for i in 0..1000 {
        x.send_last((format!("t{i:03}"), vec![b'v'; 40_000])).unwrap();
    }
    (x, door)
}

fn number_of(topic: &[u8]) -> usize {
    String::from_utf8(topic[1..].to_vec()).unwrap().parse().unwrap()
}

#[test]
fn values_wait_for_room_whatever_the_policy() {
    for policy in POLICIES {
        let (x, door) = of_many_values(policy);
        // It connects again, and gets all values each time.
        for round in 1..3 {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(subscribe(""));
            assert_eq!(event(&x), "+");
            peer.send(ping("x"));
            // Live messages and the answer to the PING arrive among the values.
            let (mut values, mut live, mut pongs) = (0, 0, 0);
            while (values, live, pongs) != (1000, 1, 1) {
                match peer.frame() {
                    (4, _) => pongs += 1,
                    (1, topic) if topic == b"live" => {
                        live += 1;
                        peer.frame();
                    }
                    (_, topic) => {
                        assert_eq!(number_of(&topic), values, "{policy:?}");
                        assert_eq!(peer.frame().1.len(), 40_000);
                        values += 1;
                        if values == 1 {
                            // The system buffers some megabytes.
                            let offered = x.stats().last_values_offered - 1000 * (round - 1);
                            assert!(offered < 600, "{policy:?}: {offered} at once");
                            x.send(("live", "")).unwrap();
                        }
                    }
                }
            }
            peer.barrier();
            drop(peer);
            assert_eq!(event(&x), "-");
            let stats = x.stats();
            assert_eq!((stats.last_values_offered, stats.missed), (1000 * round, 0), "{policy:?}");
            assert_eq!((stats.peers_refused, stats.peers_lost), (0, round));
        }
    }
}

#[test]
fn no_value_that_waited_comes_after_a_later_message_of_its_topic() {
    for policy in POLICIES {
        let (x, door) = of_many_values(policy);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("t"));
        assert_eq!(event(&x), "+t");
        x.send(("t998", "live, not kept")).unwrap();
        x.send_last(("t999", "newer")).unwrap();
        let mut got = HashMap::new();
        while got.len() < 1000 {
            let frames = peer.message();
            assert_eq!(got.insert(number_of(&frames[0]), frames[1].clone()), None, "{policy:?}: once");
        }
        peer.barrier();
        assert_eq!((&got[&998][..], &got[&999][..]), (&b"live, not kept"[..], &b"newer"[..]));
        assert!((0..998).all(|i| got[&i].len() == 40_000));
        // After a new subscription a topic whose value was overtaken is new again.
        peer.send([cancel("t"), subscribe("t998")].concat());
        assert_eq!(peer.message()[1].len(), 40_000);
        peer.barrier();
    }
}

#[test]
fn values_of_what_is_cancelled_wait_no_longer_and_none_comes_twice() {
    for policy in POLICIES {
        let (x, door) = of_many_values(policy);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("t"));
        assert_eq!(event(&x), "+t");
        peer.send([cancel("t"), subscribe("t99")].concat());
        // Nothing is read before both are in force: a fast reader would get all values meanwhile.
        assert_eq!([event(&x), event(&x)], ["-t", "+t99"]);
        let mut old = 0;
        loop {
            match number_of(&peer.message()[0]) {
                990 => break,
                i => assert_eq!(i, old, "{policy:?}"),
            }
            old += 1;
        }
        assert!((1..900).contains(&old), "{policy:?}: {old}");
        (991..1000).for_each(|i| assert_eq!(number_of(&peer.message()[0]), i));
        peer.barrier();
        assert_eq!(x.stats().missed, 0, "{policy:?}: what is not wanted is not missed");
        // It has got some by one prefix, and would get them again by the other.
        peer.send([subscribe("t"), subscribe("t0"), cancel("t"), ping("end")].concat());
        // As above: a fast reader would be given all values before the cancellation.
        assert_eq!([event(&x), event(&x), event(&x)], ["+t", "+t0", "-t"]);
        let mut topics = Vec::new();
        while let (1, topic) = peer.frame() {
            topics.push(number_of(&topic));
            peer.frame();
        }
        peer.barrier();
        assert!(!topics.is_empty() && topics.is_sorted(), "{policy:?}: {topics:?}");
        let got = topics.len();
        topics.dedup();
        assert_eq!(topics.len(), got, "{policy:?}: none twice");
        assert!(x.stats().missed > 0, "{policy:?}");
    }
}

#[test]
fn who_toggles_pays_for_itself_alone() {
    let (x, door) = xpub(Side::Binding);
    let values: Vec<_> = (0..2000).map(|i| format!("t{i:04}")).collect();
    values.iter().for_each(|topic| x.send_last((topic, "v")).unwrap());
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send([subscribe("t0000"), cancel("t0000")].concat().repeat(5000));
    peer.send(subscribe("t1999"));
    let mut before = 0;
    loop {
        match &peer.message()[0][..] {
            b"t0000" => before += 1,
            topic => break assert_eq!(topic, b"t1999"),
        }
    }
    assert!((1..=5000).contains(&before), "{before}");
    peer.barrier();
}

/// Ends the threads, also when a check has failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_gap_and_nothing_twice_while_all_goes_on() {
    for io_threads in [1, 3] {
        // However slow the machine is, nothing is missed because a queue is full.
        let options = options().send_hwm(u32::MAX).outbox_bytes_max(1 << 30).queue_bytes_max(1 << 30);
        let x = XPub::new(&engine_of(io_threads), options).unwrap();
        let door = Door::new(&x, Side::Binding);
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ending = Ending(&end);
            for topic in ["ta", "tb"] {
                let (x, end) = (&x, &end);
                scope.spawn(move || {
                    let mut i = 0u64;
                    while !end.load(Ordering::Relaxed) {
                        x.send_last((topic, i.to_string())).unwrap();
                        i += 1;
                        // Sometimes the sending thread can write itself, and sometimes it cannot.
                        if i.is_multiple_of(64) {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                    }
                });
            }
            let mut peers: Vec<_> = (0..4).map(|_| door.peer(Zmtp::V3_1)).collect();
            let prefixes = ["t", "ta", "", "tb"];
            for round in 0..150 {
                for (i, peer) in peers.iter_mut().enumerate() {
                    let prefix = prefixes[(round + i) % prefixes.len()];
                    peer.send(subscribe(prefix));
                    let mut last: HashMap<Vec<u8>, u64> = HashMap::new();
                    for _ in 0..40 {
                        let frames = peer.message();
                        let number: u64 = String::from_utf8(frames[1].clone()).unwrap().parse().unwrap();
                        let before = last.insert(frames[0].clone(), number);
                        assert!(before.is_none_or(|n| number == n + 1), "{number} after {before:?}");
                    }
                    peer.send(cancel(prefix));
                    peer.send(ping("c"));
                    // Messages sent before the cancel was read still arrive.
                    while peer.frame() != (4, b"\x04PONGc".to_vec()) {}
                }
            }
        });
        let stats = x.stats();
        assert_eq!((stats.missed, stats.outbox_full), (0, 0));
    }
}

/// A number, as a message's second frame.
fn number(peer: &mut Raw) -> u64 {
    String::from_utf8(peer.message()[1].clone()).unwrap().parse().unwrap()
}

#[test]
fn what_is_kept_is_what_came_last() {
    let (x, door) = xpub(Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("t"));
    assert_eq!(event(&x), "+t");
    let start = std::sync::Barrier::new(2);
    for round in 0..500 {
        // Either thread may write to the peer itself, or find the other one writing.
        std::thread::scope(|scope| {
            for i in 0..2 {
                let (x, start) = (&x, &start);
                scope.spawn(move || {
                    start.wait();
                    x.send_last(("t", (2 * round + i).to_string())).unwrap();
                });
            }
        });
        let _first = number(&mut peer);
        let last = number(&mut peer);
        let kept = String::from_utf8(x.last("t").unwrap().frame(1).unwrap().to_vec()).unwrap();
        assert_eq!(kept.parse::<u64>().unwrap(), last);
    }
}

#[test]
fn nothing_is_lost_for_a_peer_of_another_io_thread() {
    let x = XPub::new(&engine_of(2), options()).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut steady = door.peer(Zmtp::V3_1);
    steady.send(subscribe("t"));
    assert_eq!(event(&x), "+t");
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ending = Ending(&end);
        let (x, end) = (&x, &end);
        scope.spawn(move || {
            for i in 0u64.. {
                // So slowly that this thread writes the messages itself while one I/O thread has all peers.
                x.send_last(("t", i.to_string())).unwrap();
                std::thread::sleep(Duration::from_micros(50));
                if end.load(Ordering::Relaxed) {
                    return x.send_last(("t", u64::MAX.to_string())).unwrap();
                }
            }
        });
        scope.spawn(move || while number(&mut steady) < u64::MAX {});
        for _ in 0..300 {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(subscribe("t"));
            let mut last = number(&mut peer);
            for _ in 0..3 {
                let next = number(&mut peer);
                assert_eq!(next, last + 1);
                last = next;
            }
        }
    });
}
