//! What the publisher's side sees and decides: libzmq's options of XPUB under our names, and what it knows of its peers.

use std::thread;
use std::time::{Duration, Instant};

use oncue::{
    Admission, Cause, ConnectionEventKind, Error, ErrorKind, OnFull, Options, PeerKey, PeerStatus, Pub,
    SocketType, Sub, SubscriptionEvent, SubscriptionWatch, Verbose, XPub, XPubEvent, XSub,
};

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
            let (flags, ready) = peer.frame();
            let properties = b"\x06X-Host\0\0\0\x09sensor-17\x07X-Empty\0\0\0\0";
            assert!(flags == 4 && ready.starts_with(b"\x05READY\x0bSocket-Type\0\0\0\x04XPUB\x07X-Oncue"));
            assert!(ready.ends_with(properties), "{}", ready.escape_ascii());
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

/// The next `count` events, in order.
#[track_caller]
fn events<const N: usize>(x: &XPub) -> [String; N] {
    std::array::from_fn(|_| event(x))
}

/// The peer of the next event, and the event as text.
#[track_caller]
fn event_of_peer(x: &XPub) -> (PeerKey, String) {
    match x.event().wait_timeout(SOON).expect("an event").unwrap() {
        XPubEvent::Subscription(event) => (event.peer().key, show_subscription(&event)),
        other => panic!("{other:?} is not about one peer"),
    }
}

#[track_caller]
fn told(watch: &SubscriptionWatch) -> (PeerKey, String) {
    let event = watch.next().wait_timeout(SOON).expect("an event").unwrap();
    (event.peer().key, show_subscription(&event))
}

/// Waits until a condition holds that no event tells.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "it does not come to be");
        thread::yield_now();
    }
}

#[test]
fn verbose_tells_each_subscribe_also_a_repeated_one() {
    both_sides(|side| {
        let (x, door) = xpub_with(options().verbose(Verbose::Subscribes), side);
        let mut a = door.peer(Zmtp::V3_1);
        a.send([subscribe("A"), subscribe("A"), subscribe("B")].concat());
        assert_eq!(events(&x), ["s A", "r A", "s B"]);
        let (mut b, _door) = another(&x, side, Zmtp::V2_0);
        b.send(Zmtp::V2_0.subscribe("A"));
        assert_eq!(events(&x), ["s A"]);
        // Only the end of the last one is told, and a cancel of what the peer does not have never.
        a.send([cancel("A"), cancel("A"), cancel("never"), subscribe("C")].concat());
        assert_eq!(events(&x), ["s C"]);
        b.send(Zmtp::V2_0.cancel("A"));
        assert_eq!(events(&x), ["-A"]);
        drop(a);
        let mut ended: [String; 2] = events(&x);
        ended.sort();
        assert_eq!(ended, ["-B", "-C"]);
        no_event(&x);
    });
}

#[test]
fn verboser_tells_each_end_of_a_subscription_too() {
    both_sides(|side| {
        let (x, door) = xpub_with(options().verbose(Verbose::All), side);
        let mut a = door.peer(Zmtp::V3_1);
        a.send([subscribe("A"), subscribe("A")].concat());
        let (first, text) = event_of_peer(&x);
        assert_eq!((&text[..], event_of_peer(&x)), ("s A", (first, "r A".to_owned())));
        let (mut b, _door) = another(&x, side, Zmtp::V3_0);
        b.send([Zmtp::V3_0.subscribe("A"), Zmtp::V3_0.subscribe("B")].concat());
        let (second, text) = event_of_peer(&x);
        assert!(second != first && text == "s A");
        assert_eq!(event_of_peer(&x), (second, "s B".to_owned()));
        // A cancel of what the peer does not have is not told: others have it.
        a.send([cancel("B"), cancel("A"), cancel("A"), subscribe("C")].concat());
        assert_eq!(event_of_peer(&x), (first, "u A".to_owned()));
        assert_eq!(event_of_peer(&x), (first, "s C".to_owned()));
        b.reset();
        let mut ended = [event_of_peer(&x), event_of_peer(&x)];
        ended.sort();
        assert_eq!(ended, ["u A", "u B"].map(|text| (second, text.to_owned())));
        no_event(&x);
    });
}

#[test]
fn the_events_of_each_peer_begin_with_what_it_has() {
    let x = XPub::new(&engine(), options().verbose(Verbose::All)).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peers = [door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_1)];
    for peer in &mut peers {
        peer.send([subscribe("A"), subscribe("B")].concat());
        peer.barrier();
    }
    let watch = x.subscriptions();
    let mut first: [_; 4] = std::array::from_fn(|_| event_of_peer(&x));
    let mut snapshot: Vec<_> =
        watch.snapshot().iter().map(|(peer, prefix)| (peer.key, format!("s {prefix}"))).collect();
    first.sort();
    snapshot.sort();
    assert_eq!(snapshot, first);
    assert!(first[0].0 == first[1].0 && first[0].0 != first[2].0);
    peers[1].send(cancel("A"));
    let gone = event_of_peer(&x);
    assert_eq!((&gone.1[..], told(&watch)), ("u A", gone.clone()));
    no_event(&x);
}

#[test]
fn a_watch_of_each_peer_knows_who_it_is() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let watch = x.subscriptions();
        let mut peer = door.stranger();
        peer.send(GREETING_3_1);
        let properties = b"\x0bSocket-Type\0\0\0\x04XSUB\x06X-Name\0\0\0\x03joe";
        peer.send([command("READY", properties), subscribe("A")].concat());
        let SubscriptionEvent::Subscribed { peer: known, prefix } =
            watch.next().wait_timeout(SOON).expect("an event").unwrap()
        else {
            panic!("a subscription")
        };
        assert_eq!(&prefix[..], b"A");
        assert_eq!((known.socket_type, known.zmtp), (SocketType::XSub, (3, 1)));
        assert!(known.address.ip().is_some_and(|ip| ip.is_loopback()));
        assert_eq!(known.endpoint.to_string(), door.endpoint());
        assert_eq!(known.metadata.get("x-name"), Some(&b"joe"[..]));
        // The changes of demand come beside it, as ever.
        assert_eq!(event(&x), "+A");
        drop(peer);
        assert_eq!(told(&watch), (known.key, "u A".to_owned()));
        assert_eq!(event(&x), "-A");
    });
}

#[test]
fn each_subscription_of_a_large_peer_ends_once() {
    const PREFIXES: usize = 20_000;
    both_sides(|side| {
        let (x, door) = xpub(side);
        let watch = x.subscriptions();
        let (mut a, b_door) = (door.peer(Zmtp::V3_1), Door::new(&x, side));
        let mut b = b_door.peer(Zmtp::V3_1);
        for peer in [&mut a, &mut b] {
            let all = (0..PREFIXES).map(|n| subscribe(format!("{n}"))).collect::<Vec<_>>();
            peer.send(all.concat());
            peer.barrier();
        }
        let mut held = std::collections::HashSet::new();
        for _ in 0..2 * PREFIXES {
            assert!(held.insert(told(&watch)), "each pair comes once");
        }
        drop(a);
        let mut gone = std::collections::HashSet::new();
        for _ in 0..PREFIXES {
            let (peer, text) = told(&watch);
            assert!(held.remove(&(peer, text.replace('u', "s"))), "{text} was there");
            gone.insert(peer);
        }
        assert_eq!((gone.len(), held.len()), (1, PREFIXES));
        // What the other peer has was wanted all the time.
        for _ in 0..PREFIXES {
            assert!(event(&x).starts_with('+'));
        }
        no_event(&x);
        assert_eq!(watch.try_next().unwrap(), None);
        drop(b);
        for _ in 0..PREFIXES {
            assert!(told(&watch).1.starts_with('u') && event(&x).starts_with('-'));
        }
        assert_eq!(x.prefix_count(), 0);
    });
}

#[test]
fn changes_of_a_peer_that_nobody_reads_cancel_out() {
    let (x, door) = xpub_with(options().verbose(Verbose::All), Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("kept"));
    let round = [subscribe("A"), subscribe("kept"), cancel("A")].concat();
    for _ in 0..60 {
        peer.send(round.repeat(1000));
    }
    peer.send(subscribe("end"));
    peer.barrier();
    let mut count = 0;
    let mut held = std::collections::BTreeSet::new();
    loop {
        let text = event(&x);
        count += 1;
        let (sign, prefix) = text.split_once(' ').unwrap();
        match sign {
            "s" => assert!(held.insert(prefix.to_owned()), "{text}"),
            "u" => assert!(held.remove(prefix), "{text}"),
            "r" => assert!(held.contains(prefix), "{text}"),
            _ => panic!("{text}"),
        }
        if prefix == "end" {
            break;
        }
    }
    assert!(count < 70_000, "{count} events of 180,002");
    assert_eq!(held.into_iter().collect::<Vec<_>>(), ["end", "kept"]);
    no_event(&x);
}

#[test]
fn manual_leaves_each_subscription_to_the_user() {
    both_sides(|side| {
        let (x, door) = xpub_with(options().manual(true), side);
        let mut a = door.peer(Zmtp::V3_1);
        a.send([subscribe("A"), subscribe("A"), subscribe("B"), subscribe("C")].concat());
        let (key, text) = event_of_peer(&x);
        assert_eq!(text, "? A");
        assert_eq!(events(&x), ["? B", "? C"]);
        assert!(!x.wanted("A") && x.prefix_count() == 0);
        // The prefix itself, another one, and nothing.
        x.admit(key, "A");
        x.subscribe_for(key, "B/of this peer").unwrap();
        x.reject(key, "C", "no");
        assert_eq!(events(&x), ["+A", "+B/of this peer"]);
        for topic in ["B", "C", "B/of this peer/1", "A1"] {
            x.send(topic).unwrap();
        }
        a.expect([message(&["B/of this peer/1"]), message(&["A1"])].concat());
        assert_eq!(x.peers().unwrap()[0].requests, 1, "the request for B is open");
        let (mut b, _door) = another(&x, side, Zmtp::V3_0);
        b.send(Zmtp::V3_0.subscribe("A"));
        let (other, text) = event_of_peer(&x);
        assert!(other != key && text == "? A");
        x.admit(other, "A");
        until(|| x.subscribers("A") == 2);
        no_event(&x);
        // A peer can always cancel: what it has, what it has asked for, and what it was given.
        a.send([cancel("A"), cancel("B"), subscribe("A")].concat());
        assert_eq!(event_of_peer(&x), (key, "! B".to_owned()));
        assert_eq!(event_of_peer(&x), (key, "? A".to_owned()));
        a.send(cancel("B/of this peer"));
        assert_eq!(event(&x), "-B/of this peer");
        x.subscribe_for(key, "D").unwrap();
        assert_eq!(event(&x), "+D");
        x.unsubscribe_for(key, "D");
        x.unsubscribe_for(key, "never");
        x.unsubscribe_for(other, "A");
        assert_eq!(events(&x), ["-D", "-A"]);
        // A request stays open, whatever is done about other prefixes, until the peer leaves.
        drop(a);
        assert_eq!(event_of_peer(&x), (key, "! A".to_owned()));
        x.admit(key, "A");
        x.subscribe_for(key, "A").unwrap();
        b.send(Zmtp::V3_0.subscribe("end"));
        assert_eq!(event_of_peer(&x), (other, "? end".to_owned()));
        assert!(x.prefix_count() == 0);
    });
}

#[test]
fn manual_and_verbose_tell_what_is_asked_for_and_what_is_in_force() {
    let (x, door) = xpub_with(options().manual(true).verbose(Verbose::All), Side::Binding);
    let watch = x.subscriptions();
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("A"));
    let (key, _) = event_of_peer(&x);
    x.admit(key, "A");
    assert_eq!(event(&x), "s A");
    peer.send(subscribe("A"));
    assert_eq!(event(&x), "r A");
    x.subscribe_for(key, "A").unwrap();
    x.revoke(key, "A", "enough");
    assert_eq!(event(&x), "u A");
    for text in ["? A", "s A", "u A"] {
        assert_eq!(told(&watch), (key, text.to_owned()));
    }
    // What was asked for before the watch began comes first.
    peer.send(subscribe("B"));
    assert_eq!(event(&x), "? B");
    assert_eq!(told(&x.subscriptions()), (key, "? B".to_owned()));
    drop(peer);
    assert_eq!(event(&x), "! B");
}

#[test]
fn requests_before_the_first_event_are_not_lost() {
    let x = XPub::new(&engine(), options().manual(true)).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send([subscribe("A"), subscribe("B"), cancel("A")].concat());
    peer.barrier();
    assert_eq!(event(&x), "? B");
    no_event(&x);
}

#[test]
fn with_a_function_only_what_it_defers_is_left_to_the_user() {
    let options = options().manual(true).admission(|request| match request.prefix {
        b"A" => Admission::Accept,
        b"B" => Admission::Defer,
        _ => Admission::Reject("no".into()),
    });
    let (x, door) = xpub_with(options, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send([subscribe("C"), subscribe("B"), subscribe("A")].concat());
    assert_eq!(events(&x), ["? B", "+A"]);
}

#[test]
fn a_subscription_for_a_peer_keeps_to_its_quota() {
    let (x, door) = xpub_with(options().manual(true).prefixes_max(2).prefix_length_max(10), Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("A"));
    let (key, _) = event_of_peer(&x);
    for prefix in ["1", "2", "3"] {
        x.subscribe_for(key, prefix).unwrap();
    }
    // The open request counts too.
    assert_eq!(event(&x), "+1");
    until(|| x.stats().subscriptions_rejected == 2);
    x.subscribe_for(key, "A").unwrap();
    assert_eq!(event(&x), "+A");
    assert_eq!(x.subscribe_for(key, "12345678901").unwrap_err().kind(), ErrorKind::Misuse);
    peer.barrier();
}

#[test]
fn many_open_requests_end_little_by_little() {
    const REQUESTS: usize = 5000;
    let (x, door) = xpub_with(options().manual(true), Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    let all: Vec<_> = (0..REQUESTS).map(|n| subscribe(format!("{n}"))).collect();
    peer.send(all.concat());
    let asked: std::collections::BTreeSet<_> =
        (0..REQUESTS).map(|_| event(&x).strip_prefix("? ").unwrap().to_owned()).collect();
    drop(peer);
    let ended: std::collections::BTreeSet<_> =
        (0..REQUESTS).map(|_| event(&x).strip_prefix("! ").unwrap().to_owned()).collect();
    assert!(asked == ended && asked.len() == REQUESTS);
    no_event(&x);
}

#[test]
fn a_message_for_one_peer_reaches_it_alone_behind_earlier_ones() {
    both_sides(|side| {
        let (x, door) = xpub_with(options().verbose(Verbose::Subscribes), side);
        let mut a = door.peer(Zmtp::V3_1);
        a.send(subscribe("A"));
        assert_eq!(event(&x), "s A");
        let (mut b, _door) = another(&x, side, Zmtp::V2_0);
        b.send(Zmtp::V2_0.subscribe("A"));
        let (key, _) = event_of_peer(&x);
        for n in 0..1000 {
            x.send(("A", format!("{n}"))).unwrap();
        }
        x.send_to(key, ("A", "for b")).unwrap();
        // It does not want these.
        x.send_to(key, ("B", "for b")).unwrap();
        x.send(("A", "for all")).unwrap();
        for n in 0..1000 {
            let sent = message(&["A", &n.to_string()]);
            a.expect(&sent);
            b.expect(&sent);
        }
        a.expect(message(&["A", "for all"]));
        b.expect(message(&["A", "for b"]));
        b.expect(message(&["A", "for all"]));
        // The peer may have read the last one before it is counted.
        until(|| x.stats().delivered == 2 * 1001 + 1);
        let stats = x.stats();
        assert_eq!((stats.missed, stats.undelivered), (0, 0));
        drop(b);
        assert_eq!(x.prefix_count(), 1);
        until(|| x.stats().peers == 1);
        x.send_to(key, "A").unwrap();
        x.send("A end").unwrap();
        a.expect(message(&["A end"]));
    });
}

#[test]
fn messages_for_one_peer_are_bounded_too() {
    let (x, door) = xpub_with(options().verbose(Verbose::All).send_hwm(10), Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.hold_little(1 << 10);
    peer.send(subscribe("A"));
    let (key, _) = event_of_peer(&x);
    let payload = vec![0; 100 << 10];
    for _ in 0..1000 {
        x.send_to(key, ("A", &payload[..])).unwrap();
    }
    until(|| x.stats().missed > 0 && x.peers().unwrap()[0].queued == 10);
    assert!(x.stats().outbox_full > 0 || x.stats().missed > 500);
    x.close().wait();
    assert_eq!(x.send_to(key, "A").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn no_drop_refuses_while_a_peer_that_wants_the_topic_is_full() {
    both_sides(|side| {
        let options =
            options().on_full(OnFull::Refuse).send_hwm(10).outbox_bytes_max(64 << 10).send_buffer(8 << 10);
        let (x, door) = xpub_with(options, side);
        let (mut slow, quick_door) = (door.peer(Zmtp::V3_1), Door::new(&x, side));
        let mut quick = quick_door.peer(Zmtp::V3_1);
        slow.send(subscribe("A"));
        quick.send(subscribe("A"));
        x.wait_for_subscribers("A", 2).wait_timeout(SOON).expect("both").unwrap();
        let (payload, mut sent) = (vec![b'p'; 16 << 10], 0);
        thread::scope(|scope| {
            // One peer reads all the time; the other one does not, until something is refused.
            let reads = scope.spawn(|| {
                let mut count = 0;
                while quick.message()[1] != b"end" {
                    count += 1;
                }
                count
            });
            let refused = loop {
                match x.send(("A", &payload[..])) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
                assert!(sent < 10_000, "nothing is refused");
            };
            assert_eq!(refused.kind(), ErrorKind::Full);
            let room = scope.spawn(|| x.send_wait(("A", "end")).wait());
            // Both get all that was accepted, in order, and nothing is missed.
            (0..sent).for_each(|_| assert_eq!(slow.message()[1], payload));
            slow.expect(message(&["A", "end"]));
            room.join().unwrap().unwrap();
            assert_eq!(reads.join().unwrap(), sent);
        });
        assert_eq!(x.stats().missed, 0);
    });
}

/// The only peer of a socket.
#[track_caller]
fn only(peers: Vec<PeerStatus>) -> PeerStatus {
    let [peer] = <[PeerStatus; 1]>::try_from(peers).expect("one peer");
    peer
}

#[test]
fn the_peers_are_listed_with_what_they_hold_and_got() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        assert!(x.peers().unwrap().is_empty());
        let mut a = door.peer(Zmtp::V3_1);
        a.send([subscribe("A"), subscribe("longer"), subscribe("A")].concat());
        a.barrier();
        let alone = only(x.peers().unwrap());
        assert_eq!((alone.prefixes, alone.prefix_bytes, alone.requests), (2, 7, 0));
        assert_eq!((alone.profile.zmtp, alone.profile.socket_type), ((3, 1), SocketType::Sub));
        assert_eq!(alone.profile.endpoint.to_string(), door.endpoint());
        let (mut b, b_door) = another(&x, side, Zmtp::V2_0);
        b.send(Zmtp::V2_0.subscribe("B"));
        b.send(message(&["hello"]));
        b.send(message(&["again"]));
        assert_eq!(events(&x), ["+A", "+longer", "+B", "hello", "again"]);
        for topic in ["A", "A", "B", "C"] {
            x.send(topic).unwrap();
        }
        a.expect(message(&["A"]).repeat(2));
        b.expect(message(&["B"]));
        let peers = x.peers().unwrap();
        assert_eq!(peers.len(), 2);
        let of = |zmtp| peers.iter().find(|peer| peer.profile.zmtp == zmtp).unwrap();
        let (first, second) = (of((3, 1)), of((2, 0)));
        assert_eq!(first.profile, alone.profile);
        assert_eq!((first.delivered, second.delivered), (2, 1));
        assert_eq!((first.received, second.received), (0, 2));
        assert_eq!((first.missed, first.queued, first.queued_bytes), (0, 0, 0));
        assert_eq!((second.prefixes, second.prefix_bytes), (1, 1));
        assert_eq!(second.profile.endpoint.to_string(), b_door.endpoint());
        assert!(first.connected_for >= second.connected_for);
        assert!(first.silent_for <= first.connected_for);
        drop(b);
        assert_eq!(event(&x), "-B");
        assert_eq!(only(x.peers().unwrap()).profile.key, alone.profile.key);
    });
}

#[test]
fn what_each_peer_misses_is_counted_for_it() {
    both_sides(|side| {
        let (x, door) = xpub_with(options().send_hwm(10), side);
        let (mut slow, quick_door) = (door.peer(Zmtp::V3_1), Door::new(&x, side));
        let mut quick = quick_door.peer(Zmtp::V3_0);
        slow.hold_little(4 << 10);
        slow.send(subscribe("A"));
        quick.send(Zmtp::V3_0.subscribe("A"));
        x.wait_for_subscribers("A", 2).wait_timeout(SOON).expect("both").unwrap();
        let payload = vec![b'p'; 32 << 10];
        let rounds = 1000;
        for _ in 0..rounds {
            x.send_wait(("A", &payload[..])).wait().unwrap();
            quick.message();
        }
        until(|| {
            let all: u64 = x.peers().unwrap().iter().map(|p| p.delivered + p.missed + p.queued).sum();
            all == 2 * rounds
        });
        let peers = x.peers().unwrap();
        let of = |zmtp| peers.iter().find(|peer| peer.profile.zmtp == zmtp).unwrap();
        let (first, second) = (of((3, 1)), of((3, 0)));
        assert_eq!((second.delivered, second.missed, second.queued), (rounds, 0, 0));
        assert_eq!(first.queued, 10);
        assert!(
            first.queued_bytes <= 10 * (payload.len() as u64 + 20) && first.queued_bytes > 9 * (32 << 10)
        );
        assert!(first.missed > 100, "{first:?}");
        assert_eq!(first.missed, x.stats().missed);
        assert_eq!(first.delivered + first.missed + first.queued, rounds);
    });
}

#[test]
fn a_subscriber_lists_its_publishers() {
    both_sides(|side| {
        let s = Sub::new(&engine(), options()).unwrap();
        s.subscribe("A").unwrap();
        let door = Door::new(&s, side);
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.expect(subscribe("A"));
        publisher.send(message(&["A"]).repeat(3));
        for _ in 0..3 {
            s.recv().wait_timeout(SOON).expect("a message").unwrap();
        }
        let peer = only(s.peers().unwrap());
        assert_eq!((peer.profile.socket_type, peer.received, peer.prefixes), (SocketType::Pub, 3, 0));
        s.disconnect_peer(peer.profile.key, Some("another one, please".into()));
        assert_eq!(publisher.ended(), command("ERROR", b"\x13another-one,-please"));
    });
    // All peers of an XSUB get what it sends, and none of them has subscribed to anything.
    let s = XSub::new(&engine(), options()).unwrap();
    let _publisher = Door::new(&s, Side::Binding).peer(Zmtp::V3_1);
    until(|| s.stats().peers == 1);
    assert_eq!(only(s.peers().unwrap()).prefixes, 0);
}

#[test]
fn a_peer_is_disconnected_and_may_come_again() {
    both_sides(|side| {
        for reason in [None, Some("enough".into())] {
            let (x, door) = xpub(side);
            let connections = x.events();
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(subscribe("A"));
            assert_eq!(event(&x), "+A");
            let key = only(x.peers().unwrap()).profile.key;
            x.disconnect_peer(key, reason.clone());
            assert_eq!(event(&x), "-A");
            let said = peer.ended();
            assert_eq!(said, reason.map_or(vec![], |_| command("ERROR", b"\x06enough")));
            loop {
                match connections.next().wait_timeout(SOON).expect("an event").unwrap().kind {
                    ConnectionEventKind::Disconnected { peer, cause, .. }
                    | ConnectionEventKind::Lost { peer, cause, .. } => {
                        assert_eq!((peer.key, cause), (key, Cause::ClosedHere));
                        break;
                    }
                    _ => {}
                }
            }
            assert_eq!(x.stats().peers_refused, 0);
            drop(peer);
            let mut again = door.peer(Zmtp::V3_1);
            again.send(subscribe("A"));
            assert_eq!(event(&x), "+A");
            // The key of the one that is gone says nothing about the other.
            x.disconnect_peer(key, None);
            again.barrier();
            assert_ne!(only(x.peers().unwrap()).profile.key, key);
        }
    });
}

#[test]
fn a_function_that_decides_cannot_list_the_peers() {
    let socket: std::sync::Arc<std::sync::Mutex<Option<XPub>>> = std::sync::Arc::default();
    let options = options().admission({
        let socket = socket.clone();
        move |_| {
            let error = socket.lock().unwrap().as_ref().unwrap().peers().unwrap_err();
            Admission::Reject(error.to_string().into())
        }
    });
    let x = XPub::new(&engine(), options).unwrap();
    *socket.lock().unwrap() = Some(x.clone());
    let door = Door::new(&x, Side::Binding);
    let mut peer = door.stranger();
    peer.send(GREETING_3_1);
    peer.send([oncue_ready("SUB"), subscribe("A")].concat());
    peer.welcome(Zmtp::V3_1, "XPUB");
    let (flags, body) = peer.frame();
    assert_eq!(flags, 4);
    assert!(body.windows(22).any(|part| part == b"cannot list the peers "), "{}", body.escape_ascii());
    *socket.lock().unwrap() = None;
}

#[test]
fn many_peers_are_listed_while_they_work() {
    let engine = engine_of(2);
    let x = XPub::new(&engine, options()).unwrap();
    let at = x.bind("inproc://many").unwrap().to_string();
    let subscribers: Vec<_> = (0..100)
        .map(|n| {
            let s = Sub::new(&engine, options().metadata("X-Number", n.to_string())).unwrap();
            s.subscribe("A").unwrap();
            s.connect(&at).unwrap();
            s
        })
        .collect();
    x.wait_for_subscribers("A", 100).wait_timeout(SOON).expect("all").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (0..1000).for_each(|_| x.send("A").unwrap()));
        for _ in 0..100 {
            assert_eq!(x.peers().unwrap().len(), 100);
        }
    });
    let peers = x.peers().unwrap();
    let numbers: std::collections::BTreeSet<_> =
        peers.iter().map(|peer| peer.profile.metadata.get("X-Number").unwrap().to_vec()).collect();
    assert_eq!(numbers.len(), 100);
    assert!(peers.iter().all(|peer| peer.connected_for < Duration::from_secs(60)));
    drop(subscribers);
}
