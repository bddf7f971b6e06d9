//! What the publisher's side sees and decides: libzmq's options of XPUB under our names, and what it knows of its peers.

use std::thread;

use oncue::{Error, ErrorKind, Options, Pub, Sub, XPub, XSub};

use super::raw::*;

/// An XPUB with these options that reports events from now on, and its first door.
fn xpub_with(options: Options, side: Side) -> (XPub, Door) {
    let x = XPub::new(&engine(), options).unwrap();
    no_event(&x);
    let door = Door::new(&x, side);
    (x, door)
}

#[test]
fn a_peer_is_welcomed_before_anything_else() {
    both_sides(|side| {
        for version in Zmtp::ALL {
            let (x, door) = xpub_with(options().welcome(("hello", "version 3")), side);
            x.keep_last(("hello", "kept")).unwrap();
            let mut peer = door.stranger();
            // The subscription comes with the handshake, and the welcome is before its answer nevertheless.
            peer.send([version.hello("SUB"), version.subscribe("hello")].concat());
            peer.welcome(version, "XPUB");
            peer.expect(message(&["hello", "version 3"]));
            peer.expect(message(&["hello", "kept"]));
            let (mut other, _door) = another(&x, side, version);
            other.expect(message(&["hello", "version 3"]));
            other.send(version.subscribe("end"));
            assert_eq!([event(&x), event(&x)], ["+hello", "+end"]);
            x.send("end").unwrap();
            other.expect(message(&["end"]));
        }
        let p = Pub::new(&engine(), options().welcome("hello")).unwrap();
        Door::new(&p, side).peer(Zmtp::V3_1).expect(message(&["hello"]));
    });
}

#[test]
fn a_sub_shows_the_welcome_only_if_it_has_subscribed_to_it() {
    let engine = engine();
    let x = XPub::new(&engine, options().welcome(("hello", "1"))).unwrap();
    let at = x.bind("inproc://welcome").unwrap().to_string();
    for (prefix, first) in [("he", "hello"), ("other", "other")] {
        let s = Sub::new(&engine, options()).unwrap();
        s.subscribe(prefix).unwrap();
        s.connect(&at).unwrap();
        x.wait_for_subscribers(prefix, 1).wait_timeout(SOON).expect("the subscription").unwrap();
        x.send((prefix, "2")).unwrap();
        let got = s.recv().wait_timeout(SOON).expect("a message").unwrap();
        assert_eq!(got.topic(), first.as_bytes());
    }
    let s = XSub::new(&engine, options()).unwrap();
    s.connect(&at).unwrap();
    assert_eq!(texts(&s.recv().wait_timeout(SOON).expect("the welcome").unwrap()), ["hello", "1"]);
}

#[test]
fn only_the_first_frame_decides_whether_a_message_may_subscribe() {
    both_sides(|side| {
        for only_first in [false, true] {
            let (x, door) = xpub_with(options().only_first_subscribe(only_first), side);
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(message(&["hi", "\x01Q", "\0Q"]));
            peer.send(message(&["\x01A", "data", "\x01B"]));
            peer.send(message(&["", "\x01C"]));
            peer.send(subscribe("command"));
            // Changes come before messages that wait at the same time.
            peer.barrier();
            let changes: &[&str] = match only_first {
                true => &["+A", "+B", "+command"],
                false => &["+Q", "-Q", "+A", "+B", "+C", "+command"],
            };
            for change in changes {
                assert_eq!(event(&x), *change);
            }
            let messages: &[&str] = match only_first {
                true => &["hi|\\x01Q|\\x00Q", "data", "|\\x01C"],
                false => &["hi", "data", ""],
            };
            for message in messages {
                assert_eq!(event(&x), *message);
            }
            no_event(&x);
            assert_eq!(x.prefix_count(), if only_first { 3 } else { 4 });
        }
    });
}

#[test]
fn a_pub_without_user_messages_looks_at_the_first_frame_too() {
    let p = Pub::new(&engine(), options().only_first_subscribe(true)).unwrap();
    let door = Door::new(&p, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_0);
    peer.send(message(&["hi", "\x01Q"]));
    peer.send(message(&["\x01A"]));
    assert_eq!(p.wait_for_subscribers("A", 1).wait_timeout(SOON).expect("in time").unwrap(), 1);
    assert!(!p.wanted("Q"));
}

#[test]
fn peers_can_read_our_metadata() {
    both_sides(|side| {
        let options = options().metadata("X-Host", "sensor-17").metadata("X-Empty", "");
        let (_x, door) = xpub_with(options, side);
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let mut peer = door.stranger();
            peer.send(version.hello("SUB"));
            peer.expect(GREETING_3_1);
            let properties = b"\x0bSocket-Type\0\0\0\x04XPUB\x07X-Oncue\0\0\0\x012\x06X-Host\0\0\0\x09sensor-17\x07X-Empty\0\0\0\0";
            peer.expect(command("READY", properties));
        }
        // There is no place for properties below 3.0.
        let mut peer = door.peer(Zmtp::V2_0);
        peer.send(Zmtp::V2_0.subscribe("a"));
    });
}

#[test]
fn metadata_is_checked_when_the_socket_is_made() {
    let engine = engine();
    let refused = |options: Options| -> Error {
        let error = Pub::new(&engine, options).map(drop).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Misuse);
        error
    };
    let said = |name: &str| refused(Options::new().metadata(name, "1")).to_string();
    assert!(said("Host").contains("\"Host\" does not begin with X-"));
    assert!(said("X-Oncue").contains("which the library uses itself"));
    assert!(said("x-oncue-2").contains("does not begin with X-"));
    assert!(said("X-oncue-2").contains("which the library uses itself"));
    assert!(said("X-a b").contains("letters, digits"));
    assert!(said(&format!("X-{}", "a".repeat(254))).contains("letters, digits"));
    let twice = refused(Options::new().metadata("X-a", "1").metadata("X-A", "2")).to_string();
    assert!(twice.contains("\"X-A\" is there twice"), "{twice}");
    let large = refused(Options::new().metadata("X-a", vec![0; 4094])).to_string();
    assert!(large.contains("1 metadata properties of 4097 bytes"), "{large}");
    Pub::new(&engine, Options::new().metadata("X-a", vec![0; 4093])).unwrap();
    let many = (0..33).fold(Options::new(), |options, i| options.metadata(format!("X-{i}"), "1"));
    assert!(refused(many).to_string().contains("there are 33 metadata properties"));
}

#[test]
fn prefixes_in_force_are_counted_once() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let (mut a, b_door) = (door.peer(Zmtp::V3_1), Door::new(&x, side));
        let mut b = b_door.peer(Zmtp::V3_0);
        a.send([subscribe(""), subscribe("a"), subscribe("a"), subscribe("b")].concat());
        a.barrier();
        b.send(Zmtp::V3_0.subscribe("a"));
        b.send(Zmtp::V3_0.subscribe("c"));
        x.wait_for_subscribers("c", 2).wait_timeout(SOON).expect("in time").unwrap();
        assert_eq!(x.prefix_count(), 4);
        a.send([cancel("a"), cancel("b")].concat());
        a.barrier();
        assert_eq!(x.prefix_count(), 3);
        drop((a, b));
        for _ in 0..4 + 4 {
            event(&x);
        }
        assert_eq!(x.prefix_count(), 0);
    });
    let s = Sub::new(&engine(), options()).unwrap();
    for prefix in ["a", "a", "b"] {
        s.subscribe(prefix).unwrap();
    }
    assert_eq!(s.prefix_count(), 2);
    s.unsubscribe("a").unwrap();
    assert_eq!(s.prefix_count(), 2, "subscriptions are counted");
    s.unsubscribe("a").unwrap();
    assert_eq!(s.prefix_count(), 1);
}

#[test]
fn subscribers_are_waited_for() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let wait =
            |topic: &str, n| x.wait_for_subscribers(topic, n).wait_timeout(SOON).expect("in time").unwrap();
        assert_eq!(wait("anything", 0), 0);
        let mut first = door.peer(Zmtp::V3_1);
        first.send([subscribe(""), subscribe("a"), subscribe("ab")].concat());
        assert_eq!(wait("abc", 1), 1, "a peer counts once, however many of its prefixes match");
        thread::scope(|scope| {
            let three = scope.spawn(|| wait("abc", 3));
            let (mut second, _door) = another(&x, side, Zmtp::V3_0);
            // It gets nothing of the topic by these.
            second.send(Zmtp::V3_0.subscribe("abcd"));
            second.send(Zmtp::V3_0.subscribe("b"));
            let (mut third, _door) = another(&x, side, Zmtp::V2_0);
            third.send(Zmtp::V2_0.subscribe("a"));
            assert_eq!(wait("abc", 2), 2);
            assert!(!three.is_finished());
            second.send(Zmtp::V3_0.subscribe("abc"));
            assert_eq!(three.join().unwrap(), 3);
            // It is in force: what is sent now arrives.
            x.send("abc").unwrap();
            second.expect(message(&["abc"]));
        });
    });
}

#[test]
fn to_wait_for_subscribers_ends_with_the_socket() {
    let x = XPub::new(&engine(), options()).unwrap();
    let other = x.clone();
    thread::scope(|scope| {
        let waits = scope.spawn(|| x.wait_for_subscribers("a", 1).wait());
        other.close().wait();
        assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}
