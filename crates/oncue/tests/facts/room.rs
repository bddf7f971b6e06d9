//! Whether the subscribers of a topic have room, and what happens to those that never have.

use std::time::{Duration, Instant};

use oncue::{OnFull, Room, XPub};

use super::raw::*;

/// Reads what was written to the only peer that reads, until `done`.
fn drain(x: &XPub, peer: &mut Raw, got: &mut u64, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON);
        if *got < x.stats().delivered {
            peer.message();
            *got += 1;
        }
    }
}

/// Sends large messages until `done`.
fn flood(x: &XPub, topic: &str, done: impl Fn() -> bool) {
    while !done() {
        x.send_wait((topic, vec![7; 50_000])).wait_timeout(SOON).expect("no peer is waited for").unwrap();
    }
}

#[test]
fn a_topic_is_congested_when_all_its_subscribers_are_full() {
    both_sides(|side| {
        let x = XPub::new(&engine_of(2), options().send_hwm(10)).unwrap();
        let door = Door::new(&x, side);
        assert_eq!(x.room("t"), Room::Nobody);
        let mut slow = door.peer(Zmtp::V3_1);
        slow.send(subscribe("t"));
        assert_eq!(event(&x), "+t");
        assert_eq!((x.room("t1"), x.room("u"), x.stats().peers_full), (Room::Open, Room::Nobody, 0));
        let change = x.room_changed();
        flood(&x, "t", || x.room("t") == Room::Congested);
        change.wait_timeout(SOON).expect("it has changed").unwrap();
        assert_eq!((x.stats().peers_full, x.room("u")), (1, Room::Nobody));
        // One peer with room is enough.
        let change = x.room_changed();
        let (mut quick, _door) = another(&x, side, Zmtp::V2_0);
        quick.send(Zmtp::V2_0.subscribe("t1"));
        assert_eq!(event(&x), "+t1");
        change.wait_timeout(SOON).expect("one more wants it").unwrap();
        assert_eq!((x.room("t1"), x.room("t2")), (Room::Open, Room::Congested));
        let change = x.room_changed();
        drop(quick);
        assert_eq!(event(&x), "-t1");
        change.wait_timeout(SOON).expect("one less wants it").unwrap();
        assert_eq!(x.room("t1"), Room::Congested);
        // A peer that reads has room again.
        let change = x.room_changed();
        drain(&x, &mut slow, &mut 0, || x.room("t") == Room::Open);
        change.wait_timeout(SOON).expect("there is room").unwrap();
        assert_eq!((x.room("t"), x.stats().peers_full), (Room::Open, 0));
        flood(&x, "t", || x.room("t") == Room::Congested);
        drop(slow);
        assert_eq!(event(&x), "-t");
        assert_eq!((x.room("t"), x.stats().peers_full), (Room::Nobody, 0));
    });
}

#[test]
fn subscribers_are_counted_by_topic_each_once() {
    let x = XPub::new(&engine_of(2), options()).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peers: Vec<_> = (0..5).map(|_| door.peer(Zmtp::V3_1)).collect();
    for (i, peer) in peers.iter_mut().enumerate() {
        peer.send([subscribe("a"), subscribe("ab"), subscribe(if i < 2 { "" } else { "abc" })].concat());
        peer.barrier();
    }
    let counts = ["a", "ab", "abcd", "b", ""].map(|topic| x.subscribers(topic));
    assert_eq!(counts, [5, 5, 5, 2, 2]);
    peers.remove(0);
    while x.subscribers("a") > 4 {
        std::thread::yield_now();
    }
    assert_eq!((x.subscribers("a"), x.subscribers("b")), (4, 1));
}

#[test]
fn who_stays_full_is_evicted() {
    for policy in [OnFull::DropNewest, OnFull::Refuse] {
        let time = Duration::from_millis(300);
        let x = XPub::new(&engine(), options().send_hwm(10).on_full(policy).evict_after(time)).unwrap();
        let door = Door::new(&x, Side::Binding);
        let mut stuck = door.peer(Zmtp::V3_1);
        stuck.send(subscribe("s"));
        assert_eq!(event(&x), "+s");
        let mut reading = door.peer(Zmtp::V3_1);
        reading.send(subscribe("r"));
        assert_eq!(event(&x), "+r");
        let start = Instant::now();
        while x.room("s") != Room::Congested {
            drop(x.send(("s", vec![7; 50_000])));
        }
        while x.stats().peers_evicted == 0 {
            assert!(start.elapsed() < SOON);
            drop(x.send(("s", "more")));
            x.send_wait(("r", "live")).wait_timeout(SOON).expect("room").unwrap();
            assert_eq!(reading.message()[0], b"r");
        }
        assert!(start.elapsed() >= time);
        assert_eq!(event(&x), "-s");
        let stats = x.stats();
        assert_eq!((stats.peers, stats.peers_full, stats.peers_refused), (1, 0, 1));
        drop(stuck);
    }
}

#[test]
fn who_is_full_now_and_then_stays() {
    let time = Duration::from_millis(200);
    let x = XPub::new(&engine(), options().send_hwm(10).evict_after(time)).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("t"));
    assert_eq!(event(&x), "+t");
    let (start, mut got) = (Instant::now(), 0);
    while start.elapsed() < 4 * time {
        flood(&x, "t", || x.room("t") == Room::Congested);
        drain(&x, &mut peer, &mut got, || x.room("t") == Room::Open);
    }
    assert_eq!((x.stats().peers_evicted, x.stats().peers), (0, 1));
}
