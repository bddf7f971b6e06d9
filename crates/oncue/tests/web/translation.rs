//! What goes over the wire: the two protocols under one name, in both roles and both directions of dialling.

use std::net::TcpListener;

use oncue::{Options, PeerAddress, Pub, Sub, XPub, XPubEvent, XSub};

use crate::peer::{BINARY, CLOSE, PONG, Raw, SOON, engine, event, publisher};

/// READY as libzmq sends it, as a message of ZWS.
fn ready(socket_type: &str) -> Vec<u8> {
    let len = [0, 0, 0, socket_type.len() as u8];
    [b"\x02\x05READY\x0bSocket-Type", &len[..], socket_type.as_bytes()].concat()
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn wanted(publisher: &XPub, prefix: &str) {
    match event(publisher) {
        XPubEvent::Wanted(wanted) => assert_eq!(&wanted[..], prefix.as_bytes()),
        other => panic!("{other:?}"),
    }
}

fn unwanted(publisher: &XPub, prefix: &str) {
    match event(publisher) {
        XPubEvent::Unwanted(unwanted) => assert_eq!(&unwanted[..], prefix.as_bytes()),
        other => panic!("{other:?}"),
    }
}

/// A subscriber gets messages of all shapes, and says what it wants.
fn serves_a_subscriber(publisher: &XPub, raw: &mut Raw) {
    raw.message(b"\0\x01ab");
    wanted(publisher, "ab");
    publisher.send("abc").unwrap();
    assert_eq!(raw.next(), b"\0abc");
    publisher.send(["ab", "", "second"]).unwrap();
    assert_eq!([raw.next(), raw.next(), raw.next()], [&b"\x01ab"[..], b"\x01", b"\0second"]);
    for len in [124, 125, 126, 255, 256, 300, 65_534, 65_535, 65_536, 1 << 20] {
        let body = vec![b'x'; len];
        publisher.send(("ab", &body[..])).unwrap();
        assert_eq!(raw.next(), b"\x01ab");
        assert!(raw.next() == [b"\0", &body[..]].concat(), "{len} bytes");
    }
    raw.message(b"\0\0ab");
    unwanted(publisher, "ab");
    // As omq subscribes.
    raw.message(b"\x02\x09SUBSCRIBEcd");
    wanted(publisher, "cd");
    raw.message(b"\x02\x06CANCELcd");
    unwanted(publisher, "cd");
    // What is no subscription is the user's.
    raw.message(b"\x01hello");
    raw.message(b"\0there");
    let XPubEvent::Message(message) = event(publisher) else { panic!("a message") };
    assert_eq!(message.frames().collect::<Vec<_>>(), [b"hello", b"there"]);
    // Both kinds of pings are answered.
    raw.put(0x89, b"any payload");
    assert_eq!(raw.frame(), (PONG, b"any payload".to_vec()));
    raw.message(b"\x02\x04PING\0\x16context");
    assert_eq!(raw.next(), b"\x02\x04PONGcontext");
}

#[test]
fn a_subscriber_that_speaks_the_bare_protocol_is_served_as_jszmq_expects() {
    let (publisher, port) = publisher(Options::new());
    let mut raw = Raw::bare(port);
    serves_a_subscriber(&publisher, &mut raw);
    drop(raw);

    let (listener, port) = listener();
    publisher.connect(&format!("ws://127.0.0.1:{port}/")).unwrap();
    let (mut raw, _) = Raw::server(&listener, "ZWS2.0");
    // It sends its routing id at once; ours comes.
    raw.message(b"\0some id");
    assert_eq!(raw.frame(), (BINARY, b"\0".to_vec()));
    serves_a_subscriber(&publisher, &mut raw);
}

#[test]
fn a_subscriber_that_speaks_null_is_served_as_libzmq_and_omq_expect() {
    let (publisher, port) = publisher(Options::new());
    let (mut raw, spoken) = Raw::client(port, "ZWS2.0/NULL,ZWS2.0");
    assert_eq!(spoken, "ZWS2.0/NULL");
    raw.message(&ready("SUB"));
    assert!(raw.next().starts_with(&ready("XPUB")));
    serves_a_subscriber(&publisher, &mut raw);
    let peers = publisher.peers().unwrap();
    assert!(matches!(peers[0].profile.address, PeerAddress::Ws(address) if address.ip().is_loopback()));
    drop(raw);

    let (listener, port) = listener();
    publisher.connect(&format!("ws://127.0.0.1:{port}/x")).unwrap();
    let (mut raw, request) = Raw::server(&listener, "ZWS2.0/NULL");
    assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    raw.message(&ready("XSUB"));
    assert!(raw.next().starts_with(&ready("XPUB")));
    serves_a_subscriber(&publisher, &mut raw);
}

#[test]
fn the_first_offer_that_is_known_is_selected() {
    let (_publisher, port) = publisher(Options::new());
    for (offers, spoken) in [
        ("ZWS2.0,ZWS2.0/NULL", "ZWS2.0"),
        ("foo , ZWS2.0/CURVE,ZWS2.0/NULL , ZWS2.0", "ZWS2.0/NULL"),
        ("WSNetMQ\r\nSec-WebSocket-Protocol: ZWS2.0", "ZWS2.0"),
    ] {
        assert_eq!(Raw::client(port, offers).1, spoken);
    }
}

/// A publisher's messages come to the user, and what it wants is told.
fn hears_a_publisher(subscriber: &Sub, raw: &mut Raw) {
    subscriber.subscribe("ab").unwrap();
    assert_eq!(raw.next(), b"\0\x01ab");
    raw.message(b"\x01abc");
    raw.message(b"\0");
    // jszmq's publisher stops filtering.
    raw.message(b"\0other");
    for len in [124, 125, 255, 256, 65_535, 65_536, 1 << 20] {
        raw.message(&[b"\0ab", &vec![b'x'; len][..]].concat());
    }
    let receive = || subscriber.recv().wait_timeout(SOON).expect("a message within the time").unwrap();
    assert_eq!(receive().frames().collect::<Vec<_>>(), [&b"abc"[..], b""]);
    for len in [124, 125, 255, 256, 65_535, 65_536, 1 << 20] {
        assert_eq!(receive().topic().len(), 2 + len);
    }
    subscriber.unsubscribe("ab").unwrap();
    assert_eq!(raw.next(), b"\0\0ab");
}

#[test]
fn a_publisher_is_heard_over_both_protocols_and_in_both_directions() {
    for (select, first, is_bare) in [("ZWS2.0", b"\0".to_vec(), true), ("ZWS2.0/NULL", ready("PUB"), false)] {
        let subscriber = Sub::new(&engine(), Options::new()).unwrap();
        let (listener, port) = listener();
        subscriber.connect(&format!("ws://127.0.0.1:{port}/a")).unwrap();
        let (mut raw, request) = Raw::server(&listener, select);
        let expected = [
            "GET /a HTTP/1.1\r\n".to_owned(),
            format!("\r\nHost: 127.0.0.1:{port}\r\n"),
            "\r\nUpgrade: websocket\r\n".to_owned(),
            "\r\nConnection: Upgrade\r\n".to_owned(),
            "\r\nSec-WebSocket-Version: 13\r\n".to_owned(),
            "\r\nSec-WebSocket-Protocol: ZWS2.0/NULL,ZWS2.0\r\n".to_owned(),
        ];
        expected.iter().for_each(|part| assert!(request.contains(part), "{part} in {request}"));
        assert!(!request.contains("Origin") && !request.contains("Extensions"), "{request}");
        raw.message(&first);
        let theirs = raw.next();
        assert!(if is_bare { theirs == b"\0" } else { theirs.starts_with(&ready("SUB")) });
        hears_a_publisher(&subscriber, &mut raw);
        drop((raw, subscriber));

        let subscriber = Sub::new(&engine(), Options::new()).unwrap();
        let endpoint = subscriber.bind("ws://127.0.0.1:*/live").unwrap();
        let (mut raw, _) = Raw::client(crate::peer::port(&endpoint), select);
        raw.message(&first);
        raw.next();
        hears_a_publisher(&subscriber, &mut raw);
    }
}

#[test]
fn a_server_that_selects_null_and_speaks_the_bare_protocol_is_heard_as_jszmq_needs() {
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    let (listener, port) = listener();
    subscriber.connect(&format!("ws://127.0.0.1:{port}/a")).unwrap();
    let (mut raw, _) = Raw::server(&listener, "ZWS2.0/NULL");
    // It takes the first message for a routing id, whatever that is.
    assert!(raw.next().starts_with(&ready("SUB")));
    raw.message(b"\0an id");
    hears_a_publisher(&subscriber, &mut raw);
    // What it would give to its user is not sent.
    raw.message(b"\x02\x04PING\0\x16c");
    assert_eq!(raw.next(), b"\x02\x04PONGc");
    subscriber.subscribe("later").unwrap();
    assert_eq!(raw.next(), b"\0\x01later");
}

#[test]
fn a_routing_id_in_place_of_a_command_is_refused_from_clients_and_under_other_mechanisms() {
    let (publisher, port) = publisher(Options::new());
    let (mut raw, _) = Raw::client(port, "ZWS2.0/NULL");
    raw.message(b"\0an id");
    raw.next();
    assert_eq!(raw.frame().0, CLOSE);
    assert!(publisher.peers().unwrap().is_empty());

    let options = Options::new().plain_client("ann", "secret");
    let subscriber = Sub::new(&engine(), options).unwrap();
    let (listener, port) = listener();
    subscriber.connect(&format!("ws://127.0.0.1:{port}/a")).unwrap();
    let (mut raw, _) = Raw::server(&listener, "ZWS2.0/PLAIN");
    raw.message(b"\0an id");
    assert!(raw.next().starts_with(b"\x02\x05HELLO"));
    assert_eq!(raw.frame().0, CLOSE);
}

#[test]
fn a_socket_type_that_does_not_fit_is_refused_where_it_is_known() {
    let (publisher, port) = publisher(Options::new());
    let (mut raw, _) = Raw::client(port, "ZWS2.0/NULL");
    raw.message(&ready("PUSH"));
    raw.next();
    assert!(raw.next().starts_with(b"\x02\x05ERROR"));
    assert_eq!(raw.frame().0, crate::peer::CLOSE);
    let refused = publisher.refused();
    assert_eq!(refused[0].cause.to_string(), "it is a PUSH, not a subscriber");
}

#[test]
fn a_head_and_frames_may_come_together_or_a_byte_at_a_time() {
    let (publisher, port) = publisher(Options::new());
    let id = crate::peer::frame(0x82, b"\0", true);
    let subscription = crate::peer::frame(0x82, b"\0\x01one", true);
    let all = [crate::peer::request(port, "ZWS2.0").as_bytes(), &id, &subscription].concat();
    let mut raw = Raw::connect(port);
    raw.send(&all);
    wanted(&publisher, "one");
    let mut slow = Raw::connect(port);
    for byte in &all[..all.len() - 1] {
        slow.send(&[*byte]);
    }
    publisher.send("one").unwrap();
    raw.head();
    assert_eq!([raw.next(), raw.next()], [&b"\0"[..], b"\0one"]);
}

#[test]
fn messages_upstream_are_masked_and_arrive() {
    let (publisher, port) = publisher(Options::new());
    let subscriber = XSub::new(&engine(), Options::new()).unwrap();
    subscriber.connect(&format!("ws://127.0.0.1:{port}/live")).unwrap();
    subscriber.subscribe("x").unwrap();
    wanted(&publisher, "x");
    for len in [1, 100, 1000, 100_000] {
        subscriber.send(("up", vec![b'u'; len])).unwrap();
        let XPubEvent::Message(message) = event(&publisher) else { panic!("a message") };
        assert_eq!(message.frame(1).map(<[u8]>::len), Some(len));
    }
    drop(Pub::new(&engine(), Options::new()).unwrap());
}
