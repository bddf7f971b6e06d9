//! Options of the subscriber's side and of queues, on the wire.

use std::thread;

use oncue::{Pub, Sub, XPub};

use super::raw::*;

fn recv(s: &Sub) -> String {
    texts(&s.recv().wait_timeout(SOON).expect("a message").unwrap()).join("|")
}

/// A message that fills what the systems of both sides buffer.
fn large() -> Vec<u8> {
    vec![b'l'; 8 << 20]
}

#[test]
fn a_send_mark_changes_at_once_for_peers_that_are_connected() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options().send_hwm(2)).unwrap();
        no_event(&x);
        let door = Door::new(&x, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe(""));
        assert_eq!(event(&x), "+");
        x.send(("large", large())).unwrap();
        // The large message and one more.
        let send = |numbers: std::ops::Range<u32>, missed: u64| {
            numbers.for_each(|n| x.send(format!("{n}")).unwrap());
            while x.stats().missed < missed {
                thread::yield_now();
            }
        };
        let set = |mark| {
            x.set_send_hwm(mark);
            // The I/O thread knows it.
            assert!(x.responds_within(SOON));
        };
        send(0..4, 3);
        set(5);
        send(4..8, 4);
        set(1);
        send(8..10, 6);
        set(0);
        send(10..2000, 6);
        peer.expect(message(&[&b"large"[..], &large()]));
        for n in [0].into_iter().chain(4..7).chain(10..2000) {
            peer.expect(message(&[format!("{n}")]));
        }
        peer.barrier();
    });
}

#[test]
fn a_receive_mark_changes_at_once_for_peers_that_are_connected() {
    both_sides(|side| {
        let s = Sub::new(&engine(), options().recv_hwm(1)).unwrap();
        s.subscribe("").unwrap();
        let door = Door::new(&s, side);
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.expect(subscribe(""));
        publisher.send(message(&["first"]));
        while s.stats().received < 1 {
            thread::yield_now();
        }
        // It is not read any more.
        publisher.send([message(&["second"]), ping("x")].concat());
        thread::sleep(std::time::Duration::from_millis(30));
        assert_eq!(s.stats().received, 1);
        s.set_recv_hwm(2);
        publisher.expect(command("PONG", "x"));
        assert_eq!(s.stats().received, 2);
        assert_eq!([recv(&s), recv(&s)], ["first", "second"]);
        s.set_recv_hwm(0);
        (0..3000).for_each(|n| publisher.send(message(&[format!("{n}")])));
        publisher.barrier();
        assert_eq!(s.stats().received, 3002);
    });
}

#[test]
fn a_conflating_subscriber_has_the_newest_message_whole() {
    both_sides(|side| {
        let s = Sub::new(&engine(), options().conflate()).unwrap();
        s.subscribe("").unwrap();
        let door = Door::new(&s, side);
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.expect(subscribe(""));
        for round in 0..10 {
            let last = format!("{round}");
            for frames in [["a", "1"], ["b", "2"], ["a", &last]] {
                publisher.send(message(&frames));
            }
            publisher.barrier();
            assert_eq!(recv(&s), format!("a|{last}"));
            assert!(s.try_recv().unwrap().is_none());
        }
    });
}

#[test]
fn a_conflating_publisher_queues_the_newest_message_whole() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options().conflate()).unwrap();
        no_event(&x);
        let door = Door::new(&x, side);
        let mut peer = door.peer(Zmtp::V3_1);
        // Subscriptions are not conflated.
        peer.send([subscribe("a"), subscribe("b"), subscribe("l")].concat());
        assert_eq!([event(&x), event(&x), event(&x)], ["+a", "+b", "+l"]);
        x.send(("large", large())).unwrap();
        for frames in [["a", "1"], ["b", "2"], ["a", "3"], ["b", "4"]] {
            x.send(frames).unwrap();
        }
        while x.stats().missed < 3 {
            thread::yield_now();
        }
        peer.expect(message(&[&b"large"[..], &large()]));
        peer.expect(message(&["b", "4"]));
        peer.barrier();
    });
}

#[test]
fn nothing_is_queued_for_a_peer_that_is_not_connected() {
    // As with ZMQ_IMMEDIATE, always: a publisher that connects has no queue before the handshake is done.
    let publisher = Pub::new(&engine(), options()).unwrap();
    let door = Door::new(&publisher, Side::Connecting);
    (0..10).for_each(|n| publisher.send(format!("{n}")).unwrap());
    let mut peer = door.stranger();
    (0..10).for_each(|n| publisher.send(format!("{n}")).unwrap());
    peer.send(Zmtp::V3_1.hello("SUB"));
    peer.welcome(Zmtp::V3_1, "PUB");
    peer.send(subscribe(""));
    peer.barrier();
    publisher.send("now").unwrap();
    peer.expect(message(&["now"]));
    assert_eq!(publisher.stats().sent, 1);
    // The peer is gone: nothing waits for its return.
    drop(peer);
    while publisher.stats().peers > 0 {
        thread::yield_now();
    }
    publisher.send("lost").unwrap();
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe(""));
    peer.barrier();
    publisher.send("again").unwrap();
    peer.expect(message(&["again"]));
}
