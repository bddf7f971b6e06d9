//! Messages that have begun to arrive: how long they may take, and how large they may become.

use std::time::Duration;

use oncue::{ErrorKind, Sub, XPub};

use super::raw::*;

/// The peer is told why its connection ends.
#[track_caller]
fn refused(peer: &mut Raw, name: &str) {
    let (flags, error) = peer.frame();
    assert_eq!((flags, &error[..6]), (4, &b"\x05ERROR"[..]));
    let reason = String::from_utf8(error[7..].to_vec()).unwrap();
    assert!(reason.contains(name), "{reason}");
    assert_eq!(peer.ended(), b"");
}

/// A subscription to a prefix.
type Encode<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

const BEGINNINGS: [&[u8]; 4] = [b"\0", b"\0\x05hel", b"\x01\x01a", b"\x04\x0a\x09SUB"];

#[test]
fn a_message_that_is_begun_and_not_finished_in_time_ends_the_connection() {
    both_sides(|side| {
        let engine = engine();
        let options = options().message_timeout(Duration::from_millis(100));
        let x = XPub::new(&engine, options.clone()).unwrap();
        let s = Sub::new(&engine, options).unwrap();
        let (mut neighbour, _door) = another(&x, side, Zmtp::V3_1);
        neighbour.send(subscribe("A"));
        assert_eq!(event(&x), "+A");
        for beginning in BEGINNINGS {
            let (mut peer, _x_door) = another(&x, side, Zmtp::V3_1);
            let (mut publisher, _s_door) = another(&s, side, Zmtp::V3_1);
            publisher.send([&message(&["whole"]), beginning].concat());
            peer.send([&subscribe("B"), beginning].concat());
            assert_eq!(event(&x), "+B");
            refused(&mut peer, "message_timeout");
            refused(&mut publisher, "message_timeout");
            assert_eq!(event(&x), "-B");
        }
        // Peers that send whole messages now and then, or nothing, stay.
        neighbour.barrier();
        assert_eq!((x.stats().peers, x.stats().peers_refused), (1, BEGINNINGS.len() as u64));
    });
}

#[test]
fn a_publisher_that_is_not_read_has_all_the_time() {
    let options = options().message_timeout(Duration::from_millis(100)).recv_hwm(1);
    let s = Sub::new(&engine(), options).unwrap();
    s.subscribe("").unwrap();
    let mut publisher = Door::new(&s, Side::Binding).peer(Zmtp::V3_1);
    publisher.expect(subscribe(""));
    publisher.send([&message(&["1"])[..], b"\0\x01"].concat());
    std::thread::sleep(Duration::from_millis(400));
    publisher.send(b"2");
    let received: Vec<_> =
        (0..2).map(|_| texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()).concat()).collect();
    assert_eq!(received, ["1", "2"]);
    assert_eq!(s.stats().peers_refused, 0);
}

#[test]
fn what_subscribers_send_may_not_be_large_unless_somebody_says_so() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for len in [127 << 10, 129 << 10] {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send_anyway(message(&[vec![7; len]]));
            match len > 128 << 10 {
                true => refused(&mut peer, "message_bytes_max"),
                false => assert_eq!(event(&x).len(), 4 * len),
            }
        }
        let x = XPub::new(&engine(), options().message_bytes_max(1 << 20)).unwrap();
        let (mut peer, _door) = another(&x, side, Zmtp::V3_1);
        peer.send(message(&[vec![7; 1 << 19]]));
        assert_eq!(event(&x).len(), 4 << 19);
    });
}

#[test]
fn one_length_limit_holds_for_a_prefix_in_every_encoding() {
    let as_message = |prefix: &[u8]| frame(0, &[b"\x01", prefix].concat());
    let as_part = |prefix: &[u8]| [frame(1, b"data"), frame(0, &[b"\x01", prefix].concat())].concat();
    let as_command = |prefix: &[u8]| subscribe(prefix);
    let encodings: [(Zmtp, Encode<'_>); 4] = [
        (Zmtp::V3_1, &as_command),
        (Zmtp::V3_1, &as_message),
        (Zmtp::V3_1, &as_part),
        (Zmtp::V3_0, &as_message),
    ];
    both_sides(|side| {
        for max in [None, Some(100), Some(200_000)] {
            let options = max.map_or(options(), |max| options().prefix_length_max(max));
            let x = XPub::new(&engine(), options.message_bytes_max(300_000).discard_messages(true)).unwrap();
            let max = max.unwrap_or(65_526) as usize;
            for (number, (version, encode)) in encodings.iter().enumerate() {
                eprintln!("a prefix of {max} bytes in encoding {number}");
                let (mut peer, _door) = another(&x, side, *version);
                peer.send(encode(&vec![b'p'; max]));
                assert_eq!(event(&x).len(), 1 + max);
                peer.send_anyway(encode(&vec![b'p'; max + 1]));
                refused(&mut peer, "prefix_length_max");
                assert_eq!(event(&x).len(), 1 + max);
            }
        }
    });
    let s = Sub::new(&engine(), options().prefix_length_max(100)).unwrap();
    s.subscribe([b'p'; 100]).unwrap();
    let error = s.subscribe([b'p'; 101]).unwrap_err();
    assert!(error.kind() == ErrorKind::Misuse && error.to_string().contains("prefix_length_max"), "{error}");
}
