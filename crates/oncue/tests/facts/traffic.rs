//! Frames of all lengths, matching, and the commands between messages.

use oncue::{Msg, Sub, XSub};

use super::raw::*;

fn odd_topics() -> Vec<Vec<u8>> {
    let mut topics =
        vec![vec![], vec![0], vec![1], vec![0xff], b"\x01\0\xff \n".to_vec(), (0..=255).collect()];
    for len in [254, 255, 256, 300, 65_000] {
        topics.push((0..len).map(|i| (i * 7 + len) as u8).collect());
    }
    topics
}

#[test]
fn topics_of_any_length_and_any_byte_arrive() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            for topic in odd_topics() {
                peer.send(version.subscribe(&topic));
                event(&x);
                assert!(x.wanted(&topic));
                for payload_len in [0, 255, 256] {
                    let frames = [&topic[..], &vec![b'p'; payload_len]];
                    x.send(Msg::from_frames(frames)).unwrap();
                    peer.expect(message(&frames));
                }
                peer.send(version.cancel(&topic));
                event(&x);
                assert!(!x.wanted(&topic));
            }
        }
    });
}

#[test]
fn frames_have_the_shortest_header() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            peer.send(version.subscribe(""));
            assert_eq!(event(&x), "+");
            x.send(["a", "", "bc"]).unwrap();
            peer.expect(b"\x01\x01a\x01\0\0\x02bc");
            x.send([b's'; 255]).unwrap();
            peer.expect([&b"\0\xff"[..], &[b's'; 255]].concat());
            x.send(([b'l'; 256], "")).unwrap();
            peer.expect([&b"\x03\0\0\0\0\0\0\x01\0"[..], &[b'l'; 256], b"\0\0"].concat());
            drop(peer);
            assert_eq!(event(&x), "-");
        }
    });
}

#[test]
fn a_subscriber_takes_frames_of_any_length() {
    both_sides(|side| {
        let engine = engine();
        let s = Sub::new(&engine, options()).unwrap();
        let door = Door::new(&s, side);
        s.subscribe("").unwrap();
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            peer.expect(version.subscribe(""));
            for topic in odd_topics() {
                peer.send(message(&[&topic[..], b"", &topic]));
                let got = s.recv().wait_timeout(SOON).unwrap().unwrap();
                assert_eq!(got, Msg::from_frames([&topic[..], b"", &topic]));
            }
            // A long header where a short one would suffice.
            peer.send(b"\x02\0\0\0\0\0\0\0\x01q");
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["q"]);
        }
    });
}

#[test]
fn the_first_frame_alone_is_matched_bytewise() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            peer.send(version.subscribe("ab\0"));
            peer.send(version.subscribe([b'l'; 300]));
            assert_eq!([event(&x), event(&x)], ["+ab\\x00".to_owned(), format!("+{}", "l".repeat(300))]);
            for miss in
                [&["ab"][..], &["ab\x01"], &["AB\0"], &["", "ab\0"], &["x", "ab\0"], &[&"l".repeat(299)]]
            {
                x.send(Msg::from_frames(miss)).unwrap();
                assert!(!x.wanted(miss[0]));
            }
            for hit in [&["ab\0"][..], &["ab\0\0", "ab"], &[&"l".repeat(301)]] {
                x.send(Msg::from_frames(hit)).unwrap();
                assert!(x.wanted(hit[0]));
                peer.expect(message(hit));
            }
            drop(peer);
            event(&x);
            event(&x);
        }
    });
}

#[test]
fn a_ping_is_answered_with_its_context() {
    both_sides(|side| {
        let engine = engine();
        let (x, x_door) = xpub(side);
        let s = XSub::new(&engine, options()).unwrap();
        let door = Door::new(&s, side);
        for mut peer in [x_door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_1)] {
            peer.send(b"\x04\x07\x04PING\0\x64");
            peer.expect(b"\x04\x05\x04PONG");
            peer.send(b"\x04\x17\x04PING\0\x010123456789abcdef");
            peer.expect(b"\x04\x15\x04PONG0123456789abcdef");
            for len in 0..16 {
                peer.send(ping(&b"\0\xff23456789abcdef"[..len]));
                peer.expect(command("PONG", &b"\0\xff23456789abcdef"[..len]));
            }
        }
        drop(x);
    });
}

#[test]
fn a_ping_in_the_midst_of_a_message_disturbs_nothing() {
    both_sides(|side| {
        let engine = engine();
        let (x, x_door) = xpub(side);
        let s = Sub::new(&engine, options()).unwrap();
        s.subscribe("one").unwrap();
        let door = Door::new(&s, side);
        let (mut subscriber, mut publisher) = (x_door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_1));
        publisher.expect(subscribe("one"));
        for peer in [&mut subscriber, &mut publisher] {
            // Once in pieces, waiting for the answer before the message goes on, and once in one piece.
            peer.send(b"\x01\x03one");
            peer.barrier();
            peer.send(b"\x01\x03tw");
            peer.send(b"o");
            peer.barrier();
            peer.send(b"\0\x05three");
            peer.send([&b"\x01\x03one"[..], &ping("x"), b"\0\x01!"].concat());
            peer.expect(command("PONG", "x"));
        }
        assert_eq!([event(&x), event(&x)], ["one|two|three", "one|!"]);
        let got: Vec<_> = (0..2).map(|_| texts(&s.recv().wait_timeout(SOON).unwrap().unwrap())).collect();
        assert_eq!(got, [&["one", "two", "three"][..], &["one", "!"]]);
        // A subscription there counts too.
        subscriber.send([&b"\x01\x03one"[..], &subscribe("S"), b"\0\x01!"].concat());
        assert_eq!([event(&x), event(&x)], ["+S", "one|!"]);
    });
}

#[test]
fn unknown_commands_are_ignored_after_the_handshake() {
    both_sides(|side| {
        let engine = engine();
        let (x, x_door) = xpub(side);
        let s = Sub::new(&engine, options()).unwrap();
        s.subscribe("").unwrap();
        let door = Door::new(&s, side);
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let (mut subscriber, mut publisher) = (x_door.peer(version), door.peer(version));
            publisher.expect(version.subscribe(""));
            for peer in [&mut subscriber, &mut publisher] {
                peer.send(command("X-ONCUE", [7; 300]));
                peer.send(command("HELLO", ""));
                peer.send(command("SUBSCRIBER", "not quite"));
                peer.send(command("PONG", "unasked"));
                peer.send(ready("XSUB"));
                peer.send(message(&["after"]));
            }
            assert_eq!(event(&x), "after");
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["after"]);
            // A publisher's subscriptions are ignored.
            publisher.send([subscribe("a"), cancel("a"), message(&["and on"])].concat());
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), ["and on"]);
        }
    });
}

#[test]
fn large_messages_arrive_whole_and_in_order_among_small_ones() {
    let x = oncue::XPub::new(&engine(), options()).unwrap();
    // The readers wake no thread of the publisher.
    let engine = engine();
    let endpoint = x.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let readers: Vec<_> = (0..2).map(|_| Sub::new(&engine, options()).unwrap()).collect();
    for reader in &readers {
        reader.subscribe("").unwrap();
        reader.connect(&endpoint).unwrap();
    }
    while x.subscribers("") < readers.len() {
        std::thread::yield_now();
    }
    let body = |n: u8, len: usize| (0..len).map(|i| (i >> 10) as u8 ^ n).collect::<Vec<u8>>();
    let check = |reader: &Sub, n: u8, len: usize| {
        let large =
            reader.recv().wait_timeout(std::time::Duration::from_secs(60)).expect("it arrives").unwrap();
        assert!(large.frame(1) == Some(&body(n, len)), "message {n} of {len} bytes");
    };
    let all: Vec<_> = [9 << 20, 3, 1 << 20, 5 << 20, 7].into_iter().zip(0..).collect();
    for &(len, n) in &all {
        let body = body(n, len);
        match n % 2 {
            // Borrowed frames, few and many; and messages that exist already.
            0 => x.send(("large", &body)).unwrap(),
            _ => x.send(Msg::from_frames([b"large", &body[..]])).unwrap(),
        }
        if n % 3 == 0 {
            // Alone, as the only work of the publisher.
            readers.iter().for_each(|reader| check(reader, n, len));
        }
        x.send("small").unwrap();
        if n % 3 != 0 {
            readers.iter().for_each(|reader| check(reader, n, len));
        }
        for reader in &readers {
            assert_eq!(texts(&reader.recv().wait().unwrap()), ["small"]);
        }
    }
}
