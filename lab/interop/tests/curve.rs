//! CURVE with libzmq, in both roles and in both directions: every pair of socket types, and each way in which the two may not
//! come together. The bytes are in sealed/.

use std::time::{Duration, Instant};

use oncue::curve;
use oncue::{
    AllowAny, Cause, ConnectionEventKind as Kind, ConnectionEvents, Engine, Options, Sub, XPub, XPubEvent,
};
use oncue_interop::foreign::{Foreign, Library};
use oncue_interop::secured::{Secrets, We, quick};
use oncue_interop::{PATIENCE, until, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:0";

macro_rules! pair {
    ($name:ident: $we:ident, our $ours:literal and their $theirs:literal) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                Secrets::curve().check_pair(Library::Pyzmq, We::$we, $ours, $theirs);
            });
        }
    };
}

pair!(our_pub_serves_their_sub: Serve, our "PUB" and their "SUB");
pair!(our_pub_is_a_client_of_their_sub: Call, our "PUB" and their "SUB");
pair!(our_pub_serves_their_xsub: Serve, our "PUB" and their "XSUB");
pair!(our_pub_is_a_client_of_their_xsub: Call, our "PUB" and their "XSUB");
pair!(our_xpub_serves_their_sub: Serve, our "XPUB" and their "SUB");
pair!(our_xpub_is_a_client_of_their_sub: Call, our "XPUB" and their "SUB");
pair!(our_xpub_serves_their_xsub: Serve, our "XPUB" and their "XSUB");
pair!(our_xpub_is_a_client_of_their_xsub: Call, our "XPUB" and their "XSUB");
pair!(our_sub_serves_their_pub: Serve, our "SUB" and their "PUB");
pair!(our_sub_is_a_client_of_their_pub: Call, our "SUB" and their "PUB");
pair!(our_sub_serves_their_xpub: Serve, our "SUB" and their "XPUB");
pair!(our_sub_is_a_client_of_their_xpub: Call, our "SUB" and their "XPUB");
pair!(our_xsub_serves_their_pub: Serve, our "XSUB" and their "PUB");
pair!(our_xsub_is_a_client_of_their_pub: Call, our "XSUB" and their "PUB");
pair!(our_xsub_serves_their_xpub: Serve, our "XSUB" and their "XPUB");
pair!(our_xsub_is_a_client_of_their_xpub: Call, our "XSUB" and their "XPUB");

fn next(events: &ConnectionEvents) -> Kind {
    events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event").kind
}

/// The cause of the first attempt that fails, and the text of its error.
fn failure(events: &ConnectionEvents) -> (Cause, String) {
    loop {
        match next(events) {
            Kind::Failed { cause, error, .. } | Kind::Refused { cause, error, .. } => {
                return (cause, error.to_string());
            }
            Kind::Connecting | Kind::Bound | Kind::Waiting { .. } => {}
            other => panic!("{other:?} instead of a failure"),
        }
    }
}

/// The next prefix that is wanted.
fn wanted(publisher: &XPub) -> Vec<u8> {
    match publisher.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event") {
        XPubEvent::Wanted(prefix) => prefix.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_xsub_of_theirs_subscribes_before_it_is_connected_and_later() {
    within_a_minute(|| {
        let secrets = Secrets::curve();
        let publisher = XPub::new(&Engine::start().unwrap(), secrets.ours(We::Serve)).unwrap();
        let mut peer = secrets.theirs(We::Serve, Foreign::new("XSUB"));
        // What it has subscribed to by then it sends as a command, what comes later as a message.
        peer.subscribe(b"early");
        peer.connect(&publisher.bind(TCP).unwrap().to_string());
        assert_eq!(wanted(&publisher), b"early");
        peer.subscribe(b"later");
        assert_eq!(wanted(&publisher), b"later");
        peer.send(&["neither", "a message of its own"]);
        match publisher.event().wait_timeout(PATIENCE).expect("an event in time").unwrap() {
            XPubEvent::Message(message) => assert_eq!(message.topic(), b"neither"),
            other => panic!("{other:?}"),
        }
        peer.unsubscribe(b"early");
        match publisher.event().wait_timeout(PATIENCE).expect("an event in time").unwrap() {
            XPubEvent::Unwanted(prefix) => assert_eq!(&prefix[..], b"early"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_client_that_we_do_not_let_in_is_told_so_and_is_no_demand() {
    within_a_minute(|| {
        let (known, stranger) = (Secrets::curve(), curve::generate());
        let publisher = XPub::new(&Engine::start().unwrap(), known.ours(We::Serve)).unwrap();
        let events = publisher.events();
        let Secrets::Curve { server, .. } = known else { unreachable!() };
        let mut peer = Foreign::new("SUB").curve_client(&stranger, server.public());
        peer.observe();
        peer.subscribe(b"");
        peer.connect(&publisher.bind(TCP).unwrap().to_string());
        let (cause, error) = failure(&events);
        assert_eq!(cause, Cause::NotLetIn);
        assert!(error.contains("an unknown key"), "{error}");
        peer.expect_event("HANDSHAKE_FAILED_AUTH 400");
        peer.expect_event("DISCONNECTED");
        // It stays away.
        assert_eq!(peer.event_within(Duration::from_millis(300)), None);
        assert!(publisher.try_event().unwrap().is_none());
    });
}

#[test]
fn a_server_that_does_not_let_us_in_is_named_and_lets_us_in_later() {
    within_a_minute(|| {
        let (server, client) = (curve::generate(), curve::generate());
        let mut peer = Foreign::new("PUB").curve_server(&server);
        peer.let_in_curve(&[curve::generate().public()]);
        let engine = Engine::start().unwrap();
        let options = quick().curve_client(client.clone(), *server.public());
        let subscriber = Sub::new(&engine, options).unwrap();
        let events = subscriber.events();
        subscriber.subscribe("").unwrap();
        subscriber.connect(&peer.bind(TCP)).unwrap();
        let (cause, _) = failure(&events);
        assert_eq!(cause, Cause::RefusedByPeer("400".to_owned()));
        peer.let_in_curve(&[client.public()]);
        assert!(matches!(next(&events), Kind::Connected { .. }));
    });
}

#[test]
fn a_wrong_server_key_is_named_on_our_side_in_either_role() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let (server, wrong) = (curve::generate(), curve::generate());
        let publisher = XPub::new(&engine, quick().curve_server(server.clone(), AllowAny)).unwrap();
        let events = publisher.events();
        let mut peer = Foreign::new("SUB").curve_client(&curve::generate(), wrong.public());
        peer.connect(&publisher.bind(TCP).unwrap().to_string());
        let (cause, error) = failure(&events);
        assert_eq!(cause.to_string(), "it has another server key than this one");
        assert!(error.contains("another server key"), "{error}");

        let mut peer = Foreign::new("PUB").curve_server(&server);
        let options = quick().curve_client(curve::generate(), *wrong.public());
        let subscriber = Sub::new(&engine, options).unwrap();
        let events = subscriber.events();
        subscriber.connect(&peer.bind(TCP)).unwrap();
        let (cause, error) = failure(&events);
        assert_eq!(cause, Cause::ClosedInHandshake);
        assert!(error.contains("another server key"), "{error}");
    });
}

/// One side's mechanism, and its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Null,
    PlainServer,
    PlainClient,
    CurveServer,
    CurveClient,
}

const SIDES: [Side; 5] =
    [Side::Null, Side::PlainServer, Side::PlainClient, Side::CurveServer, Side::CurveClient];

impl Side {
    fn mechanism(self) -> &'static str {
        match self {
            Side::Null => "NULL",
            Side::PlainServer | Side::PlainClient => "PLAIN",
            Side::CurveServer | Side::CurveClient => "CURVE",
        }
    }

    fn ours(self) -> Options {
        let key = *curve::generate().public();
        match self {
            Side::Null => quick(),
            Side::PlainServer => quick().plain_server(AllowAny),
            Side::PlainClient => quick().plain_client("a", "b"),
            Side::CurveServer => quick().curve_server(curve::generate(), AllowAny),
            Side::CurveClient => quick().curve_client(curve::generate(), key),
        }
    }

    fn theirs(self, socket: Foreign) -> Foreign {
        match self {
            Side::Null => socket,
            Side::PlainServer => socket.plain_server("a", "b"),
            Side::PlainClient => socket.plain_client("a", "b"),
            Side::CurveServer => socket.curve_server(&curve::generate()),
            Side::CurveClient => socket.curve_client(&curve::generate(), curve::generate().public()),
        }
    }
}

/// Every pair of sides of two mechanisms, with us connecting and with us bound. It is named at once: no deadline has passed.
fn mechanisms_that_differ(we_bind: bool) {
    let engine = Engine::start().unwrap();
    for ours in SIDES {
        for theirs in SIDES.into_iter().filter(|theirs| theirs.mechanism() != ours.mechanism()) {
            let kind = if we_bind { "SUB" } else { "PUB" };
            let mut peer = theirs.theirs(Foreign::new(kind));
            let options = ours.ours().handshake_timeout(Duration::from_secs(600));
            let wants = match theirs.mechanism() {
                "NULL" => format!("it has no {}", ours.mechanism()),
                other => format!("it wants {other}"),
            };
            let cause = if we_bind {
                let publisher = XPub::new(&engine, options).unwrap();
                let events = publisher.events();
                peer.connect(&publisher.bind(TCP).unwrap().to_string());
                failure(&events).0
            } else {
                let subscriber = Sub::new(&engine, options).unwrap();
                let events = subscriber.events();
                subscriber.connect(&peer.bind(TCP)).unwrap();
                failure(&events).0
            };
            assert!(matches!(cause, Cause::Mechanism { .. }), "{ours:?} with {theirs:?}: {cause:?}");
            assert_eq!(cause.to_string(), wants, "{ours:?} with {theirs:?}");
        }
    }
}

#[test]
fn a_bound_socket_of_another_mechanism_is_named() {
    within_a_minute(|| mechanisms_that_differ(false));
}

#[test]
fn a_socket_of_another_mechanism_that_connects_is_named() {
    within_a_minute(|| mechanisms_that_differ(true));
}

#[test]
fn a_socket_whose_mechanism_is_put_right_is_connected() {
    within_a_minute(|| {
        // libzmq tries no second time after such a failure.
        let secrets = Secrets::curve();
        let subscriber = Sub::new(&Engine::start().unwrap(), secrets.ours(We::Call)).unwrap();
        let events = subscriber.events();
        let mut peer = Foreign::new("PUB");
        let endpoint = peer.bind(TCP);
        subscriber.connect(&endpoint).unwrap();
        assert_eq!(failure(&events).0.to_string(), "it has no CURVE");
        peer.kill();
        let mut peer = secrets.theirs(We::Call, Foreign::new("PUB"));
        peer.bind(&endpoint);
        until("it is connected", || {
            matches!(events.try_next().unwrap().map(|event| event.kind), Some(Kind::Connected { .. }))
        });
    });
}

#[test]
fn two_servers_wait_for_each_other_until_our_deadline() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        for side in [Side::CurveServer, Side::PlainServer] {
            let timeout = Duration::from_millis(500);
            // libzmq's greeting does not say that it is a server.
            let publisher = XPub::new(&engine, side.ours().handshake_timeout(timeout)).unwrap();
            let events = publisher.events();
            let mut peer = side.theirs(Foreign::new("SUB"));
            let start = Instant::now();
            peer.connect(&publisher.bind(TCP).unwrap().to_string());
            assert_eq!(failure(&events).0, Cause::HandshakeTimeout);
            assert!(start.elapsed() >= timeout);
        }
    });
}

#[test]
fn two_clients_are_named_at_once() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        for side in [Side::CurveClient, Side::PlainClient] {
            let options = side.ours().handshake_timeout(Duration::from_secs(600));
            let subscriber = Sub::new(&engine, options).unwrap();
            let events = subscriber.events();
            let mut peer = side.theirs(Foreign::new("PUB"));
            subscriber.connect(&peer.bind(TCP)).unwrap();
            // libzmq closes when it has read our HELLO: before or after it has sent its own.
            match failure(&events) {
                (Cause::ClosedInHandshake, error) => {
                    assert!(error.contains("it is a client as well"), "{error}");
                }
                (cause, _) => {
                    assert_eq!(cause.to_string(), "it is a client as well; one must be the server");
                }
            }
        }
    });
}

/// Heartbeats of both sides, faster than anything else here.
fn beating(socket: Foreign) -> Foreign {
    socket.set("HEARTBEAT_IVL", 50).set("HEARTBEAT_TTL", 2000).set("HEARTBEAT_TIMEOUT", 2000)
}

#[test]
fn heartbeats_with_a_ttl_go_both_ways_and_find_a_peer_that_has_stopped() {
    within_a_minute(|| {
        for we in [We::Serve, We::Call] {
            let secrets = Secrets::curve();
            let ours = secrets.ours(we).heartbeat(Duration::from_millis(50), Duration::from_secs(2));
            let ours = ours.heartbeat_ttl(Duration::from_secs(2));
            let publisher = XPub::new(&Engine::start().unwrap(), ours).unwrap();
            let events = publisher.events();
            let mut peer = beating(secrets.theirs(we, Foreign::new("SUB")));
            peer.observe();
            peer.subscribe(b"");
            peer.connect(&publisher.bind(TCP).unwrap().to_string());
            assert_eq!(wanted(&publisher), b"");
            peer.expect_event("HANDSHAKE_SUCCEEDED");
            // Longer than either side gives the other.
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(peer.event_within(Duration::ZERO), None);
            publisher.send("alive").unwrap();
            assert_eq!(peer.recv(), [b"alive".to_vec()]);
            peer.stop();
            let lost = loop {
                match next(&events) {
                    Kind::Disconnected { cause, .. } => break cause,
                    Kind::Bound | Kind::Accepted { .. } => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(lost, Cause::Silent);
            peer.go_on();
            // It connects again by itself.
            peer.expect_event("DISCONNECTED");
            peer.expect_event("HANDSHAKE_SUCCEEDED");
        }
    });
}

#[test]
fn a_socket_type_that_does_not_fit_is_told_before_or_after_the_seal() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        for we in [We::Serve, We::Call] {
            let secrets = Secrets::curve();
            let publisher = XPub::new(&engine, secrets.ours(we)).unwrap();
            let events = publisher.events();
            let mut peer = secrets.theirs(we, Foreign::new("PULL"));
            peer.connect(&publisher.bind(TCP).unwrap().to_string());
            let (cause, error) = failure(&events);
            assert!(
                matches!(cause, Cause::SocketType { .. } | Cause::ClosedInHandshake),
                "{we:?}: {cause:?} {error}"
            );
        }
    });
}

#[test]
fn a_peer_that_we_disconnect_comes_again() {
    within_a_minute(|| {
        // The reason is a sealed command, which libzmq ignores. In clear it would stay away for ever.
        let secrets = Secrets::curve();
        let publisher = XPub::new(&Engine::start().unwrap(), secrets.ours(We::Serve)).unwrap();
        let mut peer = secrets.theirs(We::Serve, Foreign::new("SUB"));
        peer.observe();
        peer.subscribe(b"a");
        peer.connect(&publisher.bind(TCP).unwrap().to_string());
        assert_eq!(wanted(&publisher), b"a");
        publisher.disconnect_peer(publisher.peers().unwrap()[0].profile.key, Some("for a test".into()));
        peer.expect_event("HANDSHAKE_SUCCEEDED");
        peer.expect_event("HANDSHAKE_SUCCEEDED");
        until("it wants the same", || publisher.wanted("a"));
    });
}

#[test]
fn a_publisher_that_returns_has_its_subscriptions_again() {
    within_a_minute(|| {
        let secrets = Secrets::curve();
        let subscriber = Sub::new(&Engine::start().unwrap(), secrets.ours(We::Call)).unwrap();
        let events = subscriber.events();
        subscriber.subscribe("a").unwrap();
        let mut peer = secrets.theirs(We::Call, Foreign::new("XPUB"));
        let endpoint = peer.bind(TCP);
        subscriber.connect(&endpoint).unwrap();
        assert_eq!(peer.recv(), [b"\x01a".to_vec()]);
        peer.kill();
        until("it is lost", || {
            matches!(events.try_next().unwrap().map(|event| event.kind), Some(Kind::Lost { .. }))
        });
        let mut peer = secrets.theirs(We::Call, Foreign::new("XPUB"));
        peer.bind(&endpoint);
        assert_eq!(peer.recv(), [b"\x01a".to_vec()]);
        subscriber.subscribe("b").unwrap();
        assert_eq!(peer.recv(), [b"\x01b".to_vec()]);
    });
}
