//! Statements of the RFCs 23, 29 and 37 that no other file of these tests shows, and the check of docs/CONFORMANCE.md.

use std::collections::BTreeSet;

use oncue::{ErrorKind, Options, Pub, Sub, XSub};

use super::options::{quoted, root, rows, tests_below, text};
use crate::raw::*;

#[test]
fn each_test_that_the_page_of_conformance_names_exists() {
    let mut known = BTreeSet::new();
    for directory in ["crates", "lab/interop", "lab/truth"] {
        tests_below(&root().join(directory), &mut known);
    }
    let page = text("docs/CONFORMANCE.md");
    let rows: Vec<[String; 3]> = rows(&page);
    assert!(rows.len() > 100, "{}", rows.len());
    let mut wrong = Vec::new();
    for [number, statement, shown] in rows.iter().filter(|row| row[0] != "nr") {
        // Names of tests have underscores and no capitals, unlike what else stands between backticks.
        let named: Vec<&str> = quoted(shown).filter(|name| is_name_of_a_test(name)).collect();
        let is_open = ["deviates", "not ours"].iter().any(|word| shown.starts_with(word));
        if named.is_empty() && !is_open {
            wrong.push(format!("no test shows {number}: {statement}"));
        }
        let missing = named.into_iter().filter(|name| !known.contains(*name));
        wrong.extend(missing.map(|name| format!("{number}: there is no test `{name}`")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_name_of_a_test(name: &str) -> bool {
    name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
}

/// RFC 29: "SHALL receive incoming messages from its publishers using a fair-queuing strategy".
#[test]
fn a_publisher_that_floods_does_not_keep_another_one_waiting() {
    const FLOOD: usize = 20_000;
    let s = Sub::new(&engine(), options()).unwrap();
    s.subscribe("").unwrap();
    let (mut loud, _door) = another(&s, Side::Binding, Zmtp::V3_1);
    let (mut quiet, _other_door) = another(&s, Side::Binding, Zmtp::V3_1);
    for publisher in [&mut loud, &mut quiet] {
        publisher.expect(subscribe(""));
    }
    // It stalls when the subscriber's queue for it is full, until the user takes messages.
    let flood = std::thread::spawn(move || {
        loud.send(message(&[[b'l'; 1000]]).repeat(FLOOD));
        loud
    });
    let mut before_quiet = 0;
    for _ in 0..10 {
        quiet.send(message(&["q"]));
        // The next of the quiet one comes after a bounded number of the loud one's.
        while s.recv().wait_timeout(SOON).expect("messages come").unwrap().topic() != b"q" {
            before_quiet += 1;
        }
    }
    assert!(before_quiet < FLOOD, "all of the loud publisher's messages came first");
    while before_quiet < FLOOD {
        s.recv().wait_timeout(SOON).expect("nothing is lost").unwrap();
        before_quiet += 1;
    }
    drop(flood.join().unwrap());
}

/// RFC 29 about XSUB: "SHALL send all messages to all connected publishers"; "SHALL silently drop the message if the outgoing
/// queue for a publisher is full"; "SHALL NOT block on sending".
#[test]
fn an_xsub_sends_to_every_publisher_and_waits_for_none() {
    const MESSAGES: u64 = 2000;
    both_sides(|side| {
        let x = XSub::new(&engine(), options().send_hwm(10)).unwrap();
        let (mut reader, _door) = another(&x, side, Zmtp::V3_1);
        let (stuck, _other_door) = another(&x, side, Zmtp::V3_1);
        stuck.hold_little(4 << 10);
        let large = vec![b'm'; 50_000];
        for number in 0..MESSAGES {
            x.send([number.to_string().as_bytes(), &large]).unwrap();
            assert_eq!(reader.message()[0], number.to_string().as_bytes());
        }
        let missed = x.stats().missed;
        assert!(
            (1..MESSAGES).contains(&missed),
            "{missed} messages were missed by the publisher that does not read"
        );
    });
}

/// RFC 37: subscribing to "A" and "" is the same as subscribing to "" alone.
#[test]
fn overlapping_prefixes_bring_a_message_once() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([subscribe("A"), subscribe(""), subscribe("AB")].concat());
        for expected in ["+A", "+", "+AB"] {
            assert_eq!(event(&x), expected);
        }
        for topic in ["ABC", "B"] {
            x.send(topic).unwrap();
        }
        peer.expect(b"\0\x03ABC\0\x01B");
        peer.send([cancel(""), cancel("A")].concat());
        assert_eq!([event(&x), event(&x)], ["-", "-A"]);
        x.send("B").unwrap();
        x.send("AB1").unwrap();
        peer.expect(b"\0\x03AB1");
        peer.barrier();
    });
}

/// RFC 37: the padding of the signature SHALL have no significance; nor, for NULL, as-server; Identity "shall be ignored"
/// by these sockets; all resource requests SHALL be accepted; names of properties are of any case.
#[test]
fn what_means_nothing_to_these_sockets_is_ignored() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut paddings = *GREETING_3_1;
        paddings[1..9].copy_from_slice(b"anything");
        // ZMTP 1.0 is told from later versions by the lowest bit of the tenth byte, never by the padding.
        let mut server = *GREETING_3_1;
        server[32] = 1;
        let identity = b"\x08Identity\0\0\0\x02me\x08RESOURCE\0\0\0\x03a/b";
        for (greeting, extra) in [(paddings, &b""[..]), (server, b""), (*GREETING_3_1, identity)] {
            let mut peer = door.stranger();
            let properties = [b"\x0bSocket-Type\0\0\0\x03SUB", extra].concat();
            peer.send([&greeting[..], &command("READY", properties), &subscribe("A")].concat());
            peer.welcome(Zmtp::V3_1, "XPUB");
            assert_eq!(event(&x), "+A");
            x.send("A1").unwrap();
            peer.expect(b"\0\x02A1");
            drop(peer);
            assert_eq!(event(&x), "-A");
        }
    });
}

/// RFC 29 recommends that an XSUB cancels all subscriptions when it closes a connection. The end of the connection says the same
/// to every publisher, so neither a SUB nor an XSUB sends them.
#[test]
fn the_end_of_a_connection_is_the_cancel_of_all() {
    both_sides(|side| {
        let s = Sub::new(&engine(), options()).unwrap();
        s.subscribe("A").unwrap();
        let door = Door::new(&s, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.expect(subscribe("A"));
        match side {
            Side::Binding => s.unbind(&door.endpoint()).unwrap(),
            Side::Connecting => s.disconnect(&door.endpoint()).unwrap(),
        }
        if side == Side::Connecting {
            assert_eq!(peer.ended(), b"");
        } else {
            // What was accepted stays until the socket closes.
            s.close().wait();
            assert_eq!(peer.ended(), b"");
        }
    });
}

/// A mark counts at either end on `inproc` too, so what is sent is received or counted as missed.
#[test]
fn marks_hold_on_inproc_too() {
    const MESSAGES: u64 = 5000;
    let engine = engine();
    let p = Pub::new(&engine, Options::new().send_hwm(10)).unwrap();
    p.bind("inproc://marks_hold_on_inproc_too").unwrap();
    let s = Sub::new(&engine, Options::new().recv_hwm(10)).unwrap();
    s.subscribe("").unwrap();
    s.connect("inproc://marks_hold_on_inproc_too").unwrap();
    while !p.wanted("") {
        std::thread::yield_now();
    }
    let large = vec![0; 10_000];
    for _ in 0..MESSAGES {
        p.send(&large).unwrap();
    }
    let mut received = 0;
    // Nothing was sent to a subscriber whose queues were full, and its queues are small.
    while p.stats().delivered + p.stats().missed + p.stats().outbox_full < MESSAGES
        || received < p.stats().delivered
    {
        match s.recv().wait_timeout(SOON) {
            Some(message) => message.map(|_| received += 1).unwrap(),
            None => panic!("{received} received, {:?}", p.stats()),
        }
    }
    assert!(received < MESSAGES / 2, "{received} of {MESSAGES} went through two marks of 10");
}

/// An XSUB's user subscribes by a method; the form of libzmq's API, a message that begins with 1 or 0, is refused with the remedy.
#[test]
fn an_xsub_refuses_a_message_that_would_be_a_subscription() {
    let x = XSub::new(&engine(), options()).unwrap();
    for frames in [vec![&b"\x01A"[..]], vec![b"\0A"], vec![b"hi", b"\x01A"]] {
        let error = x.send(&frames[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("subscribe"), "{error}");
    }
}
