//! A peer ends and restarts at the same endpoint: everything continues without a call by the user.

use std::time::Duration;

use oncue::{Engine, Options, Pub, Sub, XPub, XPubEvent};
use oncue_interop::foreign::Foreign;
use oncue_interop::peers::settle;
use oncue_interop::{PATIENCE, until, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:0";
const THEIR_TCP: &str = "tcp://127.0.0.1:*";
const RESTARTS: usize = 3;

fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

fn event(socket: &XPub) -> XPubEvent {
    socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event")
}

/// Binds an endpoint again; the system may take a moment to release it.
fn bind_again(bind: impl Fn() -> bool) {
    until("the endpoint can be bound again", bind);
}

#[test]
fn our_sub_finds_their_pub_again() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let mut socket = Sub::new(&engine, quick()).expect("our SUB");
        socket.subscribe("a").expect("our SUB subscribes");
        let mut peer = Foreign::new("PUB");
        let endpoint = peer.bind(THEIR_TCP);
        socket.connect(&endpoint).expect("our SUB connects");
        settle(&mut peer, &mut socket, b"a", b"a", true);
        for _ in 0..RESTARTS {
            peer.kill();
            peer = Foreign::new("PUB");
            peer.bind(&endpoint);
            settle(&mut peer, &mut socket, b"a", b"a", true);
            settle(&mut peer, &mut socket, b"a", b"b", false);
        }
    });
}

#[test]
fn our_xpub_finds_their_sub_again_and_knows_what_it_wants_now() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, quick()).expect("our XPUB");
        let mut peer = Foreign::new("SUB");
        let endpoint = peer.bind(THEIR_TCP);
        socket.connect(&endpoint).expect("our XPUB connects");
        peer.subscribe(b"life 0");
        assert!(matches!(event(&socket), XPubEvent::Wanted(prefix) if prefix[..] == *b"life 0"));
        for restart in 1..=RESTARTS {
            let (before, now) = (format!("life {}", restart - 1), format!("life {restart}"));
            peer.kill();
            assert!(
                matches!(event(&socket), XPubEvent::Unwanted(prefix) if prefix[..] == *before.as_bytes())
            );
            assert!(!socket.wanted(before.as_bytes()));
            peer = Foreign::new("SUB");
            peer.bind(&endpoint);
            peer.subscribe(now.as_bytes());
            assert!(matches!(event(&socket), XPubEvent::Wanted(prefix) if prefix[..] == *now.as_bytes()));
            socket.send((&now, "payload")).expect("our XPUB sends");
            assert_eq!(peer.recv(), [now.as_bytes(), b"payload"]);
        }
    });
}

#[test]
fn their_sub_finds_our_pub_again() {
    within_a_minute(|| {
        let mut peer = Foreign::new("SUB");
        peer.subscribe(b"a");
        let engine = Engine::start().expect("an engine");
        let mut socket = Pub::new(&engine, quick()).expect("our PUB");
        let endpoint = socket.bind(TCP).expect("our PUB binds").to_string();
        peer.connect(&endpoint);
        settle(&mut socket, &mut peer, b"a", b"a", true);
        for _ in 0..RESTARTS {
            socket.close().wait();
            socket = Pub::new(&engine, quick()).expect("our PUB");
            bind_again(|| socket.bind(&endpoint).is_ok());
            settle(&mut socket, &mut peer, b"a", b"a", true);
            settle(&mut socket, &mut peer, b"a", b"b", false);
        }
    });
}

#[test]
fn their_xpub_finds_our_sub_again() {
    within_a_minute(|| {
        let mut peer = Foreign::new("XPUB");
        let engine = Engine::start().expect("an engine");
        let mut socket = Sub::new(&engine, quick()).expect("our SUB");
        let endpoint = socket.bind(TCP).expect("our SUB binds").to_string();
        socket.subscribe("a").expect("our SUB subscribes");
        peer.connect(&endpoint);
        settle(&mut peer, &mut socket, b"a", b"a", true);
        for _ in 0..RESTARTS {
            socket.close().wait();
            socket = Sub::new(&engine, quick()).expect("our SUB");
            socket.subscribe("a").expect("our SUB subscribes");
            bind_again(|| socket.bind(&endpoint).is_ok());
            settle(&mut peer, &mut socket, b"a", b"a", true);
        }
    });
}

#[test]
fn a_connection_made_before_there_is_a_peer_comes_about_when_there_is_one() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let mut socket = Sub::new(&engine, quick()).expect("our SUB");
        socket.subscribe("a").expect("our SUB subscribes");
        // A port that was free a moment ago.
        let mut peer = Foreign::new("PUB");
        let endpoint = peer.bind(THEIR_TCP);
        peer.kill();
        socket.connect(&endpoint).expect("our SUB connects");
        let mut peer = Foreign::new("PUB");
        peer.bind(&endpoint);
        settle(&mut peer, &mut socket, b"a", b"a", true);
    });
}
