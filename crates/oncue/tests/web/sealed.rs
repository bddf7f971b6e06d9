//! CURVE and PLAIN over WebSocket. That values go through is tested in `security.rs`, which runs over all transports.

use std::net::TcpListener;

use oncue::{AllowAny, Cause, Confirmed, ConnectionEventKind, Options, State, Sub, XPub, XPubEvent, curve};

use crate::peer::{Raw, SOON, engine, event, field, publisher, request};

fn keys() -> (Options, Options) {
    let server = curve::generate();
    let public = *server.public();
    (Options::new().curve_server(server, AllowAny), Options::new().curve_client(curve::generate(), public))
}

#[test]
fn a_socket_offers_and_selects_its_mechanism_alone() {
    let (server, client) = keys();
    let plain = (Options::new().plain_server(AllowAny), Options::new().plain_client("ann", "secret"));
    for ((server, client), name) in [((server, client), "ZWS2.0/CURVE"), (plain, "ZWS2.0/PLAIN")] {
        let (publisher, port) = publisher(server);
        let mut raw = Raw::connect(port);
        raw.send(request(port, "ZWS2.0/NULL,ZWS2.0").as_bytes());
        assert!(raw.head().starts_with("HTTP/1.1 400 "));
        let text = String::from_utf8(raw.rest()).unwrap();
        assert!(text.contains(&format!("offer one of: {name}")), "{text}");
        let (mut raw, spoken) = Raw::client(port, &format!("ZWS2.0,{name}"));
        assert_eq!(spoken, name);
        // The server waits for HELLO, and a READY is none.
        raw.message(b"\x02\x05READY");
        raw.rest();
        assert!(matches!(publisher.refused().pop().unwrap().cause, Cause::Protocol(_)));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let subscriber = Sub::new(&engine(), client).unwrap();
        subscriber.connect(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
        let (mut raw, request) = Raw::server(&listener, name);
        assert_eq!(field(&request, "Sec-WebSocket-Protocol"), name);
        assert!(raw.next().starts_with(b"\x02\x05HELLO"));
    }
}

#[test]
fn plain_goes_as_commands() {
    let (publisher, port) = publisher(Options::new().plain_server(AllowAny));
    let (mut raw, _) = Raw::client(port, "ZWS2.0/PLAIN");
    raw.message(b"\x02\x05HELLO\x03ann\x06secret");
    assert_eq!(raw.next(), b"\x02\x07WELCOME");
    raw.message(b"\x02\x08INITIATE\x0bSocket-Type\0\0\0\x03SUB");
    assert!(raw.next().starts_with(b"\x02\x05READY"));
    raw.message(b"\0\x01x");
    assert!(matches!(event(&publisher), XPubEvent::Wanted(_)));
    publisher.send("x").unwrap();
    assert_eq!(raw.next(), b"\0x");
}

#[test]
fn between_our_sealed_sockets_subscriptions_are_confirmed_and_states_are_told() {
    let (server, client) = keys();
    let engine = engine();
    let (publisher, subscriber) = (XPub::new(&engine, server).unwrap(), Sub::new(&engine, client).unwrap());
    subscriber.connect(&publisher.bind("ws://127.0.0.1:*/").unwrap().to_string()).unwrap();
    let confirmed = subscriber.subscribe("x").unwrap().at_least(1).wait_timeout(SOON).unwrap();
    assert!(matches!(confirmed, Confirmed { in_force: 1, .. }), "{confirmed:?}");
    publisher.set_state("xyz", State::Stale, "no source").unwrap();
    let state = subscriber.state().wait_timeout(SOON).expect("a state within the time").unwrap();
    assert_eq!((&state.topic[..], state.state), (&b"xyz"[..], State::Stale));
}

#[test]
fn a_client_without_the_mechanism_reads_which_one_is_spoken() {
    let (_publisher, port) = publisher(keys().0);
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    let events = subscriber.events();
    subscriber.connect(&format!("ws://127.0.0.1:{port}/live")).unwrap();
    let error = loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Failed { error, .. } = event.kind {
            break error.to_string();
        }
    };
    assert!(error.contains("400 Bad Request") && error.contains("offer one of: ZWS2.0/CURVE"), "{error}");
}
