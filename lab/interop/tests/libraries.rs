//! pyomq, which is another implementation of ZMTP, and zeromq.js, which is another binding of libzmq: messages are exchanged in
//! both directions, under each mechanism, in both roles. Without the library a test is SKIPPED.

use std::time::Duration;

use oncue::{Cause, ConnectionEventKind as Kind, ConnectionEvents, Engine, Sub, XPub, curve};
use oncue_interop::foreign::{Foreign, Library};
use oncue_interop::secured::{Secrets, USER, We, quick};
use oncue_interop::{PATIENCE, within_a_minute};

macro_rules! pair {
    ($name:ident: $library:ident, $secrets:expr, $we:ident, our $ours:literal and their $theirs:literal) => {
        #[test]
        fn $name() {
            if Library::$library.is_here() {
                within_a_minute(|| $secrets.check_pair(Library::$library, We::$we, $ours, $theirs));
            }
        }
    };
}

pair!(our_pub_serves_pyomqs_sub: Pyomq, Secrets::curve(), Serve, our "PUB" and their "SUB");
pair!(our_pub_is_a_client_of_pyomqs_sub: Pyomq, Secrets::curve(), Call, our "PUB" and their "SUB");
pair!(our_xpub_serves_pyomqs_xsub: Pyomq, Secrets::curve(), Serve, our "XPUB" and their "XSUB");
pair!(our_xpub_is_a_client_of_pyomqs_xsub: Pyomq, Secrets::curve(), Call, our "XPUB" and their "XSUB");
pair!(our_sub_serves_pyomqs_pub: Pyomq, Secrets::curve(), Serve, our "SUB" and their "PUB");
pair!(our_sub_is_a_client_of_pyomqs_pub: Pyomq, Secrets::curve(), Call, our "SUB" and their "PUB");
pair!(our_xsub_serves_pyomqs_xpub: Pyomq, Secrets::curve(), Serve, our "XSUB" and their "XPUB");
pair!(our_xsub_is_a_client_of_pyomqs_xpub: Pyomq, Secrets::curve(), Call, our "XSUB" and their "XPUB");
pair!(our_xpub_serves_pyomqs_sub_by_plain: Pyomq, Secrets::Plain, Serve, our "XPUB" and their "SUB");
pair!(our_sub_is_a_client_of_pyomqs_xpub_by_plain: Pyomq, Secrets::Plain, Call, our "SUB" and their "XPUB");

pair!(our_pub_serves_the_subscriber_of_zeromq_js: ZeromqJs, Secrets::curve(), Serve, our "PUB" and their "SUB");
pair!(our_xpub_is_a_client_of_the_xsubscriber_of_zeromq_js: ZeromqJs, Secrets::curve(), Call, our "XPUB" and their "XSUB");
pair!(our_sub_is_a_client_of_the_publisher_of_zeromq_js: ZeromqJs, Secrets::curve(), Call, our "SUB" and their "PUB");
pair!(our_xsub_serves_the_xpublisher_of_zeromq_js: ZeromqJs, Secrets::curve(), Serve, our "XSUB" and their "XPUB");
pair!(our_pub_serves_the_subscriber_of_zeromq_js_by_plain: ZeromqJs, Secrets::Plain, Serve, our "PUB" and their "SUB");
pair!(our_sub_is_a_client_of_the_publisher_of_zeromq_js_by_plain: ZeromqJs, Secrets::Plain, Call, our "SUB" and their "PUB");

#[test]
fn a_large_value_of_pyomq_arrives() {
    if !Library::Pyomq.is_here() {
        return;
    }
    within_a_minute(|| {
        for we in [We::Serve, We::Call] {
            let secrets = Secrets::curve();
            let mut peer = secrets.theirs(we, Foreign::of(Library::Pyomq, "XPUB"));
            let subscriber = Sub::new(&Engine::start().unwrap(), secrets.ours(we)).unwrap();
            subscriber.subscribe("a").unwrap();
            subscriber.connect(&peer.bind("tcp://127.0.0.1:0")).unwrap();
            assert_eq!(peer.recv(), [b"\x01a".to_vec()]);
            for size in [1 << 20, 0, 255, 256] {
                peer.send(&[b"a".to_vec(), vec![7; size]]);
                let message = subscriber.recv().wait_timeout(PATIENCE).expect("a value in time").unwrap();
                assert_eq!(message.frames().map(<[u8]>::len).collect::<Vec<_>>(), [1, size]);
            }
        }
    });
}

/// Why the next attempt fails, or the next peer is refused.
fn cause(events: &ConnectionEvents) -> Cause {
    loop {
        let event = events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
        match event.kind {
            Kind::Failed { cause, .. } | Kind::Refused { cause, .. } => return cause,
            Kind::Connecting | Kind::Bound => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A client that knows the server, and is not let in.
fn stranger(library: Library, secrets: &Secrets) -> Foreign {
    let socket = Foreign::of(library, "SUB");
    match secrets {
        Secrets::Curve { server, .. } => socket.curve_client(&curve::generate(), server.public()),
        Secrets::Plain => socket.plain_client(USER, "guess"),
    }
}

/// A client of theirs that we do not let in takes that as final, whatever the mechanism.
fn stays_away(library: Library) {
    if !library.is_here() {
        return;
    }
    within_a_minute(move || {
        for secrets in [Secrets::curve(), Secrets::Plain] {
            let publisher = XPub::new(&Engine::start().unwrap(), secrets.ours(We::Serve)).unwrap();
            let events = publisher.events();
            let mut peer = stranger(library, &secrets);
            peer.subscribe(b"");
            peer.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string());
            assert_eq!(cause(&events), Cause::NotLetIn);
            // After a refusal that it does not take it would come again in 20 to 100 ms.
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(publisher.stats().peers_refused, 1, "{secrets:?}");
            assert!(publisher.try_event().unwrap().is_none());
        }
    });
}

#[test]
fn a_client_of_pyomq_that_is_not_let_in_stays_away() {
    stays_away(Library::Pyomq);
}

#[test]
fn a_client_of_zeromq_js_that_is_not_let_in_stays_away() {
    stays_away(Library::ZeromqJs);
}

#[test]
fn a_client_of_zeromq_js_is_told_that_it_is_not_let_in() {
    if !Library::ZeromqJs.is_here() {
        return;
    }
    within_a_minute(|| {
        for secrets in [Secrets::curve(), Secrets::Plain] {
            let publisher = XPub::new(&Engine::start().unwrap(), secrets.ours(We::Serve)).unwrap();
            let mut peer = stranger(Library::ZeromqJs, &secrets);
            peer.observe();
            peer.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string());
            peer.expect_event("handshake:error:auth");
        }
    });
}

#[test]
fn a_second_server_of_pyomq_is_named_at_once() {
    if !Library::Pyomq.is_here() {
        return;
    }
    within_a_minute(|| {
        // Its greeting says that it is one, as ours does.
        let secrets = Secrets::curve();
        let options = secrets.ours(We::Serve).handshake_timeout(Duration::from_secs(600));
        let publisher = XPub::new(&Engine::start().unwrap(), options).unwrap();
        let events = publisher.events();
        let mut peer = secrets.theirs(We::Call, Foreign::of(Library::Pyomq, "SUB"));
        peer.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string());
        assert_eq!(cause(&events).to_string(), "it is a server as well; one must be the client");
    });
}

/// A server of theirs that does not let us in is named.
fn refuses(library: Library) {
    if !library.is_here() {
        return;
    }
    within_a_minute(move || {
        let engine = Engine::start().unwrap();
        for secrets in [Secrets::curve(), Secrets::Plain] {
            let mut peer = secrets.theirs(We::Call, Foreign::of(library, "PUB"));
            let options = match &secrets {
                Secrets::Curve { server, .. } => quick().curve_client(curve::generate(), *server.public()),
                Secrets::Plain => quick().plain_client(USER, "guess"),
            };
            let subscriber = Sub::new(&engine, options).unwrap();
            let events = subscriber.events();
            subscriber.connect(&peer.bind("tcp://127.0.0.1:0")).unwrap();
            assert_eq!(cause(&events), Cause::RefusedByPeer("400".to_owned()), "{secrets:?}");
        }
    });
}

#[test]
fn a_server_of_pyomq_that_does_not_let_us_in_is_named() {
    refuses(Library::Pyomq);
}

#[test]
fn a_server_of_zeromq_js_that_does_not_let_us_in_is_named() {
    refuses(Library::ZeromqJs);
}
