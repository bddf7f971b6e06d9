//! A lost peer wants nothing, however it was lost and whichever side had connected.

use std::time::Duration;

use oncue::{Sub, XPub};

use super::raw::*;

/// One of two peers is lost: what it alone wanted becomes unwanted, and the other is not affected.
fn purged_when(lost: impl Fn(Raw)) {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut stays = door.peer(Zmtp::V3_1);
        stays.send(subscribe("both"));
        assert_eq!(event(&x), "+both");
        let (mut goes, _door) = another(&x, side, Zmtp::V3_1);
        goes.send([subscribe("both"), subscribe("alone")].concat());
        assert_eq!(event(&x), "+alone");
        lost(goes);
        assert_eq!(event(&x), "-alone");
        assert!(!x.wanted("alone") && x.wanted("both"));
        x.send("alone").unwrap();
        x.send("both").unwrap();
        stays.expect(b"\0\x04both");
        stays.barrier();
        no_event(&x);
    });
}

#[test]
fn a_clean_close_purges() {
    purged_when(drop);
}

#[test]
fn a_reset_purges() {
    purged_when(Raw::reset);
}

#[test]
fn a_protocol_error_purges() {
    for error in [&b"\xff"[..], b"\x04\x01\x05", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff", b"\x05\x05\x04PING"]
    {
        purged_when(|mut peer| {
            peer.send(error);
            peer.ended();
        });
    }
}

#[test]
fn an_error_command_purges() {
    purged_when(|mut peer| {
        peer.send(command("ERROR", b"\x03bye"));
        peer.ended();
    });
}

#[test]
fn a_missed_heartbeat_purges() {
    both_sides(|side| {
        let options = options().heartbeat(Duration::from_millis(20), Duration::from_millis(300));
        let x = XPub::new(&engine(), options).unwrap();
        let door = Door::new(&x, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("a"));
        assert_eq!(event(&x), "+a");
        for _ in 0..5 {
            peer.expect(b"\x04\x07\x04PING\0\0");
            peer.send(b"\x04\x05\x04PONG");
        }
        no_event(&x);
        // From now on it is silent.
        assert_eq!(event(&x), "-a");
        peer.ended();
        assert_eq!(x.stats().peers_lost, 1);
    });
}

#[test]
fn a_peer_that_subscribes_and_leaves_at_once_is_noticed() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for i in 0..100 {
            let mut peer = door.stranger();
            // Everything up to the end of the stream may be there when our side reads for the first time.
            peer.send([Zmtp::V3_1.hello("SUB"), subscribe(format!("{i}"))].concat());
            peer.finish();
            assert_eq!([event(&x), event(&x)], [format!("+{i}"), format!("-{i}")]);
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(subscribe("x"));
            drop(peer);
            assert_eq!([event(&x), event(&x)], ["+x", "-x"]);
        }
    });
}

#[test]
fn nothing_is_queued_for_the_dead_and_nothing_kept_that_is_not_renewed() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([subscribe("kept"), subscribe("dropped")].concat());
        assert_eq!([event(&x), event(&x)], ["+kept", "+dropped"]);
        drop(peer);
        let mut gone = [event(&x), event(&x)];
        gone.sort();
        assert_eq!(gone, ["-dropped", "-kept"]);
        for i in 0..100 {
            x.send(format!("kept, but sent to the dead {i}")).unwrap();
        }
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("kept"));
        assert_eq!(event(&x), "+kept");
        assert!(!x.wanted("dropped"));
        x.send("dropped").unwrap();
        x.send("kept now").unwrap();
        peer.expect(b"\0\x08kept now");
        peer.barrier();
        no_event(&x);
    });
}

#[test]
fn what_is_lost_before_the_handshake_ends_tells_nobody() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let hello = [Zmtp::V3_1.hello("SUB"), subscribe("half")].concat();
        for n in [0, 1, 10, 11, 12, 63, 64, 65, 70, 90, 91, 95] {
            let mut peer = door.stranger();
            peer.send(&hello[..n]);
            drop(peer);
        }
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("whole"));
        assert_eq!(event(&x), "+whole");
        no_event(&x);
    });
}

#[test]
fn a_subscriber_tells_a_publisher_that_returns_each_prefix_once() {
    both_sides(|side| {
        for version in Zmtp::ALL {
            let s = Sub::new(&engine(), options()).unwrap();
            let door = Door::new(&s, side);
            for prefix in ["b", "a", "b", ""] {
                s.subscribe(prefix).unwrap();
            }
            for round in 0..4 {
                let mut peer = door.peer(version);
                let mut told = [peer.frame(), peer.frame(), peer.frame()].map(|(_, body)| body);
                told.sort();
                let mut expected = ["", "a", "b"].map(|p| version.subscribe(p)[2..].to_vec());
                expected.sort();
                assert_eq!(told, expected);
                s.subscribe("meanwhile").unwrap();
                peer.expect(version.subscribe("meanwhile"));
                if round % 2 == 0 {
                    drop(peer);
                } else {
                    peer.reset();
                }
                assert!(s.unsubscribe("meanwhile").unwrap());
            }
        }
    });
}
