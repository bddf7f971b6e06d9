//! What SUB and XSUB send to publishers, and what they accept from them.

use oncue::{Engine, Msg, Sub, XSub};

use super::raw::*;

fn sub(engine: &Engine, side: Side) -> (Sub, Door) {
    let s = Sub::new(engine, options()).unwrap();
    let door = Door::new(&s, side);
    (s, door)
}

fn recv(s: &Sub) -> Msg {
    s.recv().wait_timeout(SOON).expect("a message").unwrap()
}

#[test]
fn a_3_1_publisher_gets_commands() {
    both_sides(|side| {
        let (s, door) = sub(&engine(), side);
        s.subscribe("early").unwrap();
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.expect(b"\x04\x0f\x09SUBSCRIBEearly");
        s.subscribe("").unwrap();
        publisher.expect(b"\x04\x0a\x09SUBSCRIBE");
        s.subscribe(b"\x00\xff").unwrap();
        publisher.expect(b"\x04\x0c\x09SUBSCRIBE\x00\xff");
        s.unsubscribe("").unwrap();
        publisher.expect(b"\x04\x07\x06CANCEL");
        s.subscribe([b'l'; 246]).unwrap();
        publisher.expect([&b"\x06\0\0\0\0\0\0\x01\x00\x09SUBSCRIBE"[..], &[b'l'; 246]].concat());
        publisher.barrier();
    });
}

#[test]
fn older_publishers_get_messages() {
    both_sides(|side| {
        for version in [Zmtp::V3_0, Zmtp::V2_0] {
            let (s, door) = sub(&engine(), side);
            s.subscribe("early").unwrap();
            let mut publisher = door.peer(version);
            publisher.expect(b"\0\x06\x01early");
            s.subscribe("").unwrap();
            publisher.expect(b"\0\x01\x01");
            s.subscribe([b'l'; 255]).unwrap();
            publisher.expect([&b"\x02\0\0\0\0\0\0\x01\x00\x01"[..], &[b'l'; 255]].concat());
            s.unsubscribe("early").unwrap();
            publisher.expect(b"\0\x06\0early");
        }
    });
}

#[test]
fn subscriptions_are_counted_here_and_told_once() {
    both_sides(|side| {
        let engine = engine();
        let (s, door) = sub(&engine, side);
        let x = XSub::new(&engine, options()).unwrap();
        let x_door = Door::new(&x, side);
        let (mut publisher, mut x_publisher) = (door.peer(Zmtp::V3_1), x_door.peer(Zmtp::V3_1));
        // Before the handshake is done on our side too, fewer subscriptions would be sent.
        publisher.barrier();
        x_publisher.barrier();
        for _ in 0..2 {
            s.subscribe("a").unwrap();
            x.subscribe("a").unwrap();
        }
        assert!(s.unsubscribe("a").unwrap() && x.unsubscribe("a").unwrap());
        s.subscribe("b").unwrap();
        x.subscribe("b").unwrap();
        assert!(s.unsubscribe("a").unwrap() && x.unsubscribe("a").unwrap());
        for publisher in [&mut publisher, &mut x_publisher] {
            publisher.expect([subscribe("a"), subscribe("b"), cancel("a")].concat());
            publisher.barrier();
        }
    });
}

#[test]
fn an_unsubscribe_of_nothing_is_false_and_tells_nobody() {
    both_sides(|side| {
        let (s, door) = sub(&engine(), side);
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.barrier();
        assert!(!s.unsubscribe("a").unwrap());
        s.subscribe("a").unwrap();
        assert!(!s.unsubscribe("").unwrap());
        assert!(s.unsubscribe("a").unwrap());
        assert!(!s.unsubscribe("a").unwrap());
        publisher.expect([subscribe("a"), cancel("a")].concat());
        publisher.barrier();
    });
}

#[test]
fn a_sub_filters_again_and_an_xsub_does_not() {
    both_sides(|side| {
        let engine = engine();
        let (s, door) = sub(&engine, side);
        let x = XSub::new(&engine, options()).unwrap();
        let x_door = Door::new(&x, side);
        for version in Zmtp::ALL {
            s.subscribe("yes").unwrap();
            x.subscribe("yes").unwrap();
            let (mut publisher, mut x_publisher) = (door.peer(version), x_door.peer(version));
            for publisher in [&mut publisher, &mut x_publisher] {
                publisher.expect(version.subscribe("yes"));
                // Too short, in another case, with the prefix only in the second frame: none of these matches.
                for frames in [&["no"][..], &["ye"], &["Yes"], &["", "yes"], &["yes", "it", ""], &["yes!"]] {
                    publisher.send(message(frames));
                }
            }
            assert_eq!(texts(&recv(&s)), ["yes", "it", ""]);
            assert_eq!(texts(&recv(&s)), ["yes!"]);
            let all: Vec<_> =
                (0..6).map(|_| texts(&x.recv().wait_timeout(SOON).unwrap().unwrap()).join("|")).collect();
            assert_eq!(all, ["no", "ye", "Yes", "|yes", "yes|it|", "yes!"]);
            s.unsubscribe("yes").unwrap();
            x.unsubscribe("yes").unwrap();
        }
        assert!(s.try_recv().unwrap().is_none());
    });
}

#[test]
fn a_second_connect_is_ignored_by_sub_and_not_by_xsub() {
    fn connections<S: Socket>(engine: &Engine, new: impl Fn(&Engine) -> S) -> usize {
        let socket = new(engine);
        let door = Door::new(&socket, Side::Connecting);
        socket.connect(&door.endpoint());
        let mut peers = vec![door.peer(Zmtp::V3_1)];
        // It is connected later; by then the earlier ones have been tried.
        another(&socket, Side::Connecting, Zmtp::V3_1);
        peers.extend(door.waiting());
        peers.len()
    }
    for io_threads in [1, 3] {
        let engine = engine_of(io_threads);
        assert_eq!(connections(&engine, |e| Sub::new(e, options()).unwrap()), 1);
        assert_eq!(connections(&engine, |e| oncue::Pub::new(e, options()).unwrap()), 1);
        assert_eq!(connections(&engine, |e| XSub::new(e, options()).unwrap()), 2);
        assert_eq!(connections(&engine, |e| oncue::XPub::new(e, options()).unwrap()), 2);
    }
}

#[test]
fn a_message_that_came_whole_counts_whatever_follows_it() {
    both_sides(|side| {
        let (s, door) = sub(&engine(), side);
        s.subscribe("").unwrap();
        for (i, error) in [&b"\xff"[..], b"\x04\x01\x05", b"\x04\x07\x05ERROR\0", b""].iter().enumerate() {
            let mut publisher = door.peer(Zmtp::V3_1);
            publisher.expect(subscribe(""));
            publisher.send([&message(&[format!("last words {i}")]), *error].concat());
            assert_eq!(texts(&recv(&s)), [format!("last words {i}")]);
            if !error.is_empty() {
                publisher.ended();
            }
        }
    });
}
