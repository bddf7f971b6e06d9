//! The handshake, byte for byte, and what it accepts and refuses.

use std::time::{Duration, Instant};

use oncue::{Pub, SocketStats, Sub, XPub, XSub};

use super::raw::*;

#[test]
fn a_3_1_peer_is_greeted_and_understood() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.stranger();
        // Ours waits for nothing but the version.
        peer.expect(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03");
        peer.send(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03");
        peer.expect(b"\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        peer.expect([0; 31]);
        peer.send(b"\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        peer.send([0; 31]);
        peer.expect(b"\x04\x27\x05READY\x0bSocket-Type\0\0\0\x04XPUB\x07X-Oncue\0\0\0\x012");
        peer.send(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
        peer.send(b"\x04\x0b\x09SUBSCRIBEA");
        assert_eq!(event(&x), "+A");
        x.send(("A", "1")).unwrap();
        peer.expect(b"\x01\x01A\0\x011");
        peer.send(b"\x04\x08\x06CANCELA");
        assert_eq!(event(&x), "-A");
    });
}

#[test]
fn a_3_0_peer_is_greeted_and_understood() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.stranger();
        peer.send(b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        peer.send([0; 31]);
        peer.expect(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        peer.expect([0; 31]);
        peer.expect(b"\x04\x27\x05READY\x0bSocket-Type\0\0\0\x04XPUB\x07X-Oncue\0\0\0\x012");
        peer.send(b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03SUB\x08Identity\0\0\0\0");
        peer.send(b"\0\x02\x01A");
        assert_eq!(event(&x), "+A");
        x.send(("A", "1")).unwrap();
        peer.expect(b"\x01\x01A\0\x011");
        peer.send(b"\0\x02\0A");
        assert_eq!(event(&x), "-A");
    });
}

#[test]
fn a_2_0_peer_is_greeted_and_understood() {
    both_sides(|side| {
        for (number, identity) in [(2, &b"\0\0"[..]), (10, b"\0\x03who")] {
            let (x, door) = xpub(side);
            let mut peer = door.stranger();
            peer.send(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01");
            peer.expect(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03");
            // Socket type PUB and an empty identity; no more of a 3.x greeting.
            peer.expect(b"\x01\0\0");
            peer.send([number]);
            peer.send(identity);
            peer.send(b"\0\x02\x01A");
            assert_eq!(event(&x), "+A");
            x.send(("A", "1")).unwrap();
            peer.expect(b"\x01\x01A\0\x011");
            peer.send(b"\0\x02\0A");
            assert_eq!(event(&x), "-A");
        }
    });
}

#[test]
fn a_subscriber_greets_as_one() {
    both_sides(|side| {
        for version in Zmtp::ALL {
            let engine = engine();
            let (s, x) = (Sub::new(&engine, options()).unwrap(), XSub::new(&engine, options()).unwrap());
            s.subscribe("").unwrap();
            x.subscribe("").unwrap();
            let mut peers = [Door::new(&s, side).peer(version), Door::new(&x, side).peer(version)];
            for peer in &mut peers {
                peer.expect(version.subscribe(""));
                peer.send(b"\x01\x01A\0\x011");
            }
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["A", "1"]);
            assert_eq!(texts(&x.recv().wait_timeout(SOON).unwrap().unwrap()), ["A", "1"]);
        }
    });
}

#[test]
fn every_fitting_pair_of_types_meets() {
    both_sides(|side| {
        let engine = engine();
        for version in Zmtp::ALL {
            for theirs in ["SUB", "XSUB"] {
                meets(&XPub::new(&engine, options()).unwrap(), side, version, theirs);
                meets(&Pub::new(&engine, options()).unwrap(), side, version, theirs);
            }
            for theirs in ["PUB", "XPUB"] {
                meets(&XSub::new(&engine, options()).unwrap(), side, version, theirs);
                meets(&Sub::new(&engine, options()).unwrap(), side, version, theirs);
            }
        }
    });
}

fn meets<S: Socket>(socket: &S, side: Side, version: Zmtp, theirs: &str) {
    let mut peer = Door::new(socket, side).stranger();
    peer.send(version.hello(theirs));
    peer.welcome(version, S::TYPE);
    if version != Zmtp::V2_0 {
        peer.barrier();
    }
}

#[test]
fn a_socket_type_that_does_not_fit_is_answered_with_error() {
    fn refused<S: Socket>(socket: &S, side: Side, theirs: &str, stats: impl Fn() -> SocketStats) {
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let before = stats();
            let mut peer = Door::new(socket, side).stranger();
            peer.send(version.hello(theirs));
            peer.welcome(version, S::TYPE);
            let reason = format!("Socket-Type:-{}-does-not-talk-to-{theirs}", S::TYPE);
            peer.expect(command("ERROR", [&[reason.len() as u8], reason.as_bytes()].concat()));
            assert_eq!(peer.ended(), b"");
            let after = stats();
            assert!(after.peers_refused > before.peers_refused);
            assert!(after.refusals.socket_type > before.refusals.socket_type, "{after:?}");
        }
    }
    both_sides(|side| {
        let engine = engine();
        for theirs in ["PUB", "XPUB", "REQ", "DISH"] {
            let (x, p) = (XPub::new(&engine, options()).unwrap(), Pub::new(&engine, options()).unwrap());
            refused(&x, side, theirs, || x.stats());
            refused(&p, side, theirs, || p.stats());
            assert!(x.try_event().unwrap().is_none() && x.stats().peers == 0);
        }
        for theirs in ["SUB", "XSUB", "ROUTER"] {
            let (s, x) = (Sub::new(&engine, options()).unwrap(), XSub::new(&engine, options()).unwrap());
            refused(&s, side, theirs, || s.stats());
            refused(&x, side, theirs, || x.stats());
        }
    });
}

#[test]
fn a_2_0_peer_whose_type_does_not_fit_is_dropped() {
    both_sides(|side| {
        for number in [0, 1, 3, 9, 200] {
            let (x, door) = xpub(side);
            let mut peer = door.stranger();
            peer.send([&GREETING_3_1[..10], &[1, number, 0, 0], b"\0\x02\x01A"].concat());
            assert_eq!(peer.ended(), [&GREETING_3_1[..11], b"\x01\0\0"].concat());
            no_event(&x);
        }
    });
}

#[test]
fn properties_of_ones_own_are_accepted() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let large = [&b"\x05X-Big\0\0\x75\x30"[..], &[b'v'; 30_000]].concat();
        for extra in [&b"\x09X-Feature\0\0\0\x02on"[..], b"\x03X-A\0\0\0\0\x03X-A\0\0\0\x01b", &large] {
            let mut peer = door.stranger();
            let properties = [extra, b"\x0bsocket-TYPE\0\0\0\x03SUB", extra].concat();
            peer.send([&GREETING_3_1[..], &command("READY", properties), &subscribe("A")].concat());
            peer.welcome(Zmtp::V3_1, "XPUB");
            assert_eq!(event(&x), "+A");
            drop(peer);
            assert_eq!(event(&x), "-A");
        }
    });
}

#[test]
fn a_later_version_is_spoken_to_as_3_1() {
    both_sides(|side| {
        for version in [[3, 2], [4, 0], [255, 255]] {
            let s = Sub::new(&engine(), options()).unwrap();
            s.subscribe("A").unwrap();
            let mut peer = Door::new(&s, side).stranger();
            peer.send([&GREETING_3_1[..10], &version, &GREETING_3_1[12..], &ready("PUB")].concat());
            peer.welcome(Zmtp::V3_1, "SUB");
            peer.expect(subscribe("A"));
        }
    });
}

#[test]
fn a_peer_that_stalls_in_the_handshake_is_dropped() {
    both_sides(|side| {
        let timeout = Duration::from_millis(60);
        let x = XPub::new(&engine(), options().handshake_timeout(timeout)).unwrap();
        let (mut steady, _door) = another(&x, side, Zmtp::V3_1);
        steady.send(subscribe("A"));
        assert_eq!(event(&x), "+A");
        let hello = Zmtp::V3_1.hello("SUB");
        let hello_2_0 = Zmtp::V2_0.hello("SUB");
        let door = Door::new(&x, side);
        for beginning in [b"", &hello[..1], &hello[..11], &hello[..64], &hello[..80], &hello_2_0[..13]] {
            let mut peer = door.stranger();
            let start = Instant::now();
            peer.send(beginning);
            assert!(peer.ended().starts_with(&GREETING_3_1[..11]));
            assert!(start.elapsed() < timeout + Duration::from_secs(1), "{:?}", start.elapsed());
        }
        x.send("A").unwrap();
        steady.expect(b"\0\x01A");
        no_event(&x);
    });
}
