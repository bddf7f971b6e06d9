//! The memory that a peer can make us hold is bounded. A test program of its own, since it measures the memory of the whole
//! process: its tests must run one after the other.

#[path = "facts/raw.rs"]
#[allow(dead_code, reason = "shared with the other facts, which use all of it")]
mod raw;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use oncue::{Admission, OnFull, Prefix, State, Sub, XPub, XPubEvent};
use raw::*;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The memory of this process in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn events_are_bounded(side: Side) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (x, door) = xpub(side);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send([subscribe("stays"), subscribe("goes")].concat());
    assert_eq!([event(&x), event(&x)], ["+stays", "+goes"]);
    let mut baseline = 0;
    for round in 0..300 {
        let mut batch = Vec::new();
        for i in 0..1000 {
            let prefix = format!("a prefix of some length {:08}", round * 1000 + i);
            batch.extend([subscribe(&prefix), cancel(&prefix)].concat());
        }
        peer.send(batch);
        if round == 60 {
            // More changes than are kept one by one: from now on the memory does not grow.
            peer.barrier();
            baseline = resident_bytes();
        }
    }
    peer.send([cancel("goes"), subscribe("new")].concat());
    peer.barrier();
    let grown = resident_bytes().saturating_sub(baseline);
    assert!(grown < 8 << 20, "{grown} bytes more");
    let mut wanted = HashSet::from([Prefix::from(&b"stays"[..]), Prefix::from(&b"goes"[..])]);
    let mut events = 0;
    while let Some(event) = x.try_event().unwrap() {
        events += 1;
        match event {
            XPubEvent::Wanted(p) => assert!(wanted.insert(p.clone()), "{p} is wanted already"),
            XPubEvent::Unwanted(p) => assert!(wanted.remove(&p), "{p} is not wanted"),
            other => panic!("{other:?}"),
        }
    }
    assert!(events < 200_000, "{events} events were kept");
    assert_eq!(wanted, HashSet::from([Prefix::from(&b"stays"[..]), Prefix::from(&b"new"[..])]));
}

#[test]
fn events_that_nobody_reads_are_bounded_and_net_out_to_the_truth() {
    events_are_bounded(Side::Binding);
}

#[test]
fn they_are_where_we_connect_too() {
    events_are_bounded(Side::Connecting);
}

#[test]
fn pings_of_a_peer_that_does_not_read_are_bounded() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut flood = door.peer(Zmtp::V3_1);
        let (mut neighbour, _door) = another(&x, side, Zmtp::V3_1);
        neighbour.send(subscribe("A"));
        assert_eq!(event(&x), "+A");
        let batch = ping([7; 16]).repeat(40_000);
        let baseline = resident_bytes();
        for _ in 0..32 {
            flood.send_anyway(&batch);
        }
        // The system buffers some of the answers.
        let grown = resident_bytes().saturating_sub(baseline);
        assert!(grown < 12 << 20, "{grown} bytes more for {} bytes of PING", 32 * batch.len());
        x.send("A").unwrap();
        neighbour.expect(b"\0\x01A");
    });
}

/// A publisher with 20,000 kept values of 100 bytes, which a peer that reads nothing asks for again and again.
fn toggles(policy: OnFull) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options =
        options().on_full(policy).queue_bytes_max(4 << 20).prefixes_max(1000).admission(|request| {
            match request.prefix.first() {
                Some(b'd') => Admission::Defer,
                Some(b'r') => Admission::Reject("no".into()),
                _ => Admission::Accept,
            }
        });
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, Side::Binding);
    for i in 0..20_000 {
        x.send_last((format!("t{i:05}"), [7; 100])).unwrap();
        x.set_state(format!("t{i:05}"), State::Stale, "a text of some length").unwrap();
    }
    let mut flood = door.stranger();
    flood.send([&GREETING_3_1[..], &oncue_ready("SUB")].concat());
    flood.welcome(Zmtp::V3_1, "XPUB");
    let (mut neighbour, _door) = another(&x, Side::Binding, Zmtp::V3_1);
    let baseline = resident_bytes();
    for round in 0..50 {
        flood.send_anyway([subscribe("t"), cancel("t")].concat());
        let again = [subscribe("d"), cancel("d"), subscribe("r"), cancel("r")].concat().repeat(100);
        flood.send_anyway([again, subscribe(format!("d{round}"))].concat());
    }
    while x.stats().subscriptions_deferred < 50 * 101 {
        std::thread::yield_now();
    }
    let grown = resident_bytes().saturating_sub(baseline);
    assert!(grown < 24 << 20, "{grown} bytes more");
    let stats = x.stats();
    assert!(stats.states_missed > 0);
    neighbour.send(subscribe("t00000"));
    assert_eq!(neighbour.message()[0], b"t00000");
}

#[test]
fn last_values_states_and_requests_of_a_peer_that_does_not_read_are_bounded() {
    toggles(OnFull::DropNewest);
    toggles(OnFull::Refuse);
}

/// Peers subscribe to long prefixes and leave, again and again; the events are not read.
fn long_prefixes(x: &XPub, door: &Door, encode: fn(&[u8]) -> Vec<u8>) {
    // The allocator may keep one round's bytes or return them: the first two rounds show both.
    let mut baseline = 0;
    for round in 0..6u8 {
        let mut peer = door.peer(Zmtp::V3_1);
        for number in 0..120u32 {
            peer.send(encode(&[&number.to_be_bytes()[..], &[round; 60_000]].concat()));
        }
        peer.barrier();
        drop(peer);
        // A snapshot of all of them would count.
        while x.stats().peers > 0 || !x.demand().snapshot().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        eprintln!("after round {round}: {} bytes", resident_bytes());
        if round < 2 {
            baseline = resident_bytes().max(baseline);
        }
    }
    let grown = resident_bytes().saturating_sub(baseline);
    assert!(grown < 16 << 20, "{grown} bytes more, of {} in each round", 120 * 60_004);
}

#[test]
fn long_prefixes_that_nobody_heard_of_leave_nothing_behind() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let as_message = |prefix: &[u8]| frame(0, &[b"\x01", prefix].concat());
    for encode in [|prefix: &[u8]| subscribe(prefix), as_message] {
        let x = XPub::new(&engine(), options()).unwrap();
        let door = Door::new(&x, Side::Binding);
        let watch = x.demand();
        long_prefixes(&x, &door, encode);
        // A user that has asked for events, and then stops reading them.
        assert!(x.try_event().unwrap().is_none());
        long_prefixes(&x, &door, encode);
        let mut wanted = HashSet::new();
        while let Some(event) = x.try_event().unwrap() {
            match event {
                XPubEvent::Wanted(prefix) => assert!(wanted.insert(prefix)),
                XPubEvent::Unwanted(prefix) => assert!(wanted.remove(&prefix)),
                other => panic!("{other:?}"),
            }
        }
        assert!(wanted.is_empty());
        drop(watch);
    }
}

#[test]
fn messages_that_are_begun_hold_no_more_than_a_small_bound_each() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (x, door) = xpub(Side::Binding);
    let baseline = resident_bytes();
    let peers: Vec<_> = (0..30)
        .map(|_| {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(subscribe("A"));
            // As much as is taken, and more.
            let announced = 8u64 << 20;
            peer.send_anyway([&b"\x02"[..], &announced.to_be_bytes(), &[7; 1 << 20]].concat());
            let mut honest = door.peer(Zmtp::V3_1);
            honest.send([&b"\x02"[..], &100_000u64.to_be_bytes(), &[7; 99_999]].concat());
            (peer, honest)
        })
        .collect();
    let grown = resident_bytes().saturating_sub(baseline);
    assert!(grown < 20 << 20, "{grown} bytes more");
    let start = std::time::Instant::now();
    while x.stats().peers_refused < 30 {
        assert!(start.elapsed() < SOON, "{} were refused", x.stats().peers_refused);
        std::thread::yield_now();
    }
    drop(peers);
}

#[test]
fn gaps_that_a_publisher_tells_and_nobody_takes_are_bounded_and_none_is_lost() {
    const NOTICES: u64 = 20_000;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let s = Sub::new(&engine(), options().recv_hwm(100)).unwrap();
    s.subscribe("").unwrap();
    let door = Door::new(&s, Side::Binding);
    let mut publisher = door.stranger();
    publisher.send([&GREETING_3_1[..], &oncue_ready("PUB")].concat());
    publisher.welcome(Zmtp::V3_1, "SUB");
    publisher.expect(subscribe(""));
    // One message was missed, of a topic that is one of many.
    let topics: Vec<_> = (0..140u8).flat_map(|topic| [0, 0, 0, 1, 0, 1, topic]).collect();
    let notice = command("ONCUE", [&[4], &1u64.to_be_bytes()[..], &[0; 8], &topics].concat());
    let baseline = resident_bytes();
    std::thread::scope(|scope| {
        let flood = scope.spawn(move || {
            (0..NOTICES).for_each(|_| publisher.send([&notice[..], &message(&["m"])].concat()));
            publisher
        });
        // It is paused before its end: what waits has reached the mark.
        let mut before = u64::MAX;
        while before != s.stats().received || before == 0 {
            before = s.stats().received;
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(before < NOTICES && !flood.is_finished(), "{before} were read");
        let grown = resident_bytes().saturating_sub(baseline);
        assert!(grown < 32 << 20, "{grown} bytes more");
        let mut told = 0;
        for _ in 0..NOTICES {
            assert!(s.recv().wait_timeout(SOON).is_some());
            while let Some(missed) = s.try_missed().unwrap() {
                told += missed.messages;
            }
        }
        assert_eq!(told, NOTICES);
        flood.join().unwrap();
    });
}
