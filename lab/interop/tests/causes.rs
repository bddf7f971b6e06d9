//! Why a connection with libzmq does not come about, as our sockets tell it. libzmq closes without a word when a socket type
//! does not fit: our side finds out which type it is.

use std::time::Duration;

use oncue::{Cause, ConnectionEventKind as Kind, ConnectionEvents, Engine, ErrorKind, Options, Pub, Sub};
use oncue_interop::foreign::Foreign;
use oncue_interop::{PATIENCE, within_a_minute};

const THEIR_TCP: &str = "tcp://127.0.0.1:*";

fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

fn next(events: &ConnectionEvents) -> Kind {
    events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event").kind
}

/// What the first failure says, and that nothing else is said while it lasts.
fn failure(events: &ConnectionEvents) -> String {
    assert!(matches!(next(events), Kind::Connecting));
    let Kind::Failed { cause, error, .. } = next(events) else { panic!("it is connected") };
    assert_eq!(error.kind(), ErrorKind::Peer);
    // Some more attempts.
    std::thread::sleep(Duration::from_millis(300));
    let more = events.try_next().expect("an open socket");
    assert!(more.is_none(), "{more:?}");
    cause.to_string()
}

#[test]
fn a_socket_of_another_type_is_named() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for kind in ["REP", "REQ", "PUSH", "PULL", "PAIR", "DEALER", "ROUTER", "SUB", "XSUB"] {
            let subscriber = Sub::new(&engine, quick()).expect("our SUB");
            let events = subscriber.events();
            let mut peer = Foreign::new(kind);
            subscriber.connect(&peer.bind(THEIR_TCP)).expect("our SUB connects");
            let article = if kind == "XSUB" { "an" } else { "a" };
            assert_eq!(failure(&events), format!("it is {article} {kind}, not a publisher"));
            assert!(subscriber.refused().iter().all(|peer| peer.cause.is_refusal()));
        }
        let publisher = Pub::new(&engine, quick()).expect("our PUB");
        let events = publisher.events();
        let mut peer = Foreign::new("PUB");
        publisher.connect(&peer.bind(THEIR_TCP)).expect("our PUB connects");
        assert_eq!(failure(&events), "it is a PUB, not a subscriber");
    });
}

#[test]
fn a_mechanism_is_named() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for (option, name) in [("CURVE_SERVER", "CURVE"), ("PLAIN_SERVER", "PLAIN")] {
            let subscriber = Sub::new(&engine, quick()).expect("our SUB");
            let events = subscriber.events();
            let mut peer = Foreign::new("PUB").set(option, 1);
            subscriber.connect(&peer.bind(THEIR_TCP)).expect("our SUB connects");
            assert_eq!(failure(&events), format!("it wants {name}"));
        }
    });
}

#[test]
fn a_socket_that_is_replaced_by_one_that_fits_is_connected() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let subscriber = Sub::new(&engine, quick()).expect("our SUB");
        let events = subscriber.events();
        let mut peer = Foreign::new("REP");
        let endpoint = peer.bind(THEIR_TCP);
        subscriber.connect(&endpoint).expect("our SUB connects");
        assert_eq!(failure(&events), "it is a REP, not a publisher");
        peer.kill();
        let Kind::Failed { cause, .. } = next(&events) else { panic!("it is connected") };
        assert_eq!(cause.to_string(), "connection refused");
        let mut peer = Foreign::new("XPUB");
        peer.bind(&endpoint);
        let Kind::Connected { peer } = next(&events) else { panic!("it is not connected") };
        assert_eq!(peer.socket_type.name(), "XPUB");
    });
}

#[test]
fn a_socket_of_another_type_that_connects_to_ours_is_refused() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let publisher = Pub::new(&engine, quick()).expect("our PUB");
        let endpoint = publisher.bind("tcp://127.0.0.1:0").expect("our PUB binds").to_string();
        let events = publisher.events();
        let mut peer = Foreign::new("REQ");
        peer.connect(&endpoint);
        // libzmq tries no second time, and tells its type only to a peer that does not tell its own first.
        let Kind::Refused { cause, error, .. } = next(&events) else { panic!("it is accepted") };
        assert_eq!(cause, Cause::ClosedInHandshake);
        assert!(error.to_string().contains("does not talk to PUB"), "{error}");
        let mut peer = Foreign::new("SUB");
        peer.connect(&endpoint);
        let Kind::Accepted { peer } = next(&events) else { panic!("it is not accepted") };
        assert_eq!(peer.socket_type.name(), "SUB");
    });
}
