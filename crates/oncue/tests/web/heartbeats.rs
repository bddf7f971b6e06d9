//! Heartbeats: WebSocket pings, and who must answer them.

use std::time::Duration;

use oncue::{Cause, ConnectionEventKind, Options, XPubEvent};

use crate::peer::{PING, PONG, Raw, SOON, event, publisher};

const READY: &[u8] = b"\x02\x05READY\x0bSocket-Type\0\0\0\x03SUB";

fn often() -> Options {
    Options::new().heartbeat(Duration::from_millis(50), Duration::from_secs(1))
}

fn null(port: u16) -> Raw {
    let (mut raw, _) = Raw::client(port, "ZWS2.0/NULL");
    raw.message(READY);
    raw.next();
    raw
}

#[test]
fn a_silent_peer_is_pinged_and_given_up() {
    let (publisher, port) = publisher(often());
    let events = publisher.events();
    let mut raw = null(port);
    raw.message(b"\0\x01x");
    assert!(matches!(event(&publisher), XPubEvent::Wanted(_)));
    assert_eq!(raw.frame(), (PING, Vec::new()));
    assert!(matches!(event(&publisher), XPubEvent::Unwanted(_)));
    let cause = loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Disconnected { cause, .. } = event.kind {
            break cause;
        }
    };
    assert_eq!(cause, Cause::Silent);
}

#[test]
fn a_pong_with_any_payload_and_any_other_byte_is_a_sign_of_life() {
    let (publisher, port) = publisher(often());
    let (mut answers, mut talks) = (null(port), null(port));
    for _ in 0..20 {
        assert_eq!(answers.frame().0, PING);
        answers.put(0x80 | PONG, b"whatever");
        // A part of a frame.
        talks.send(&[0x82]);
        assert_eq!(talks.frame().0, PING);
        talks.send(&[0x81, 0, 0, 0, 0, 0]);
    }
    assert_eq!(publisher.peers().unwrap().len(), 2);
}

#[test]
fn a_bare_peer_is_given_up_only_if_it_has_answered_before() {
    let (publisher, port) = publisher(often());
    let (mut never, mut once) = (Raw::bare(port), Raw::bare(port));
    assert_eq!(once.frame().0, PING);
    once.put(0x80 | PONG, b"");
    // Its end is waited for.
    once.rest();
    for _ in 0..10 {
        assert_eq!(never.frame().0, PING);
    }
    assert_eq!(publisher.peers().unwrap().len(), 1);
}
