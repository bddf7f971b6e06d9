//! Peers that read more slowly than we send.

use std::time::Duration;

use oncue::{OnFull, Pub, XPub};

use super::raw::*;

const PART: usize = 10_000;

/// A message of three frames, with its number at both ends.
fn numbered(i: u32) -> [Vec<u8>; 3] {
    [format!("t{i}").into_bytes(), vec![i as u8; PART], format!("end {i}").into_bytes()]
}

#[test]
fn a_message_is_missed_whole_or_not_at_all() {
    both_sides(|side| {
        for version in [Zmtp::V3_1, Zmtp::V2_0] {
            let p = Pub::new(&engine(), options().send_hwm(10).linger(SOON)).unwrap();
            let door = Door::new(&p, side);
            let mut peer = door.peer(version);
            peer.send(version.subscribe("t"));
            while !p.wanted("t") {
                std::thread::yield_now();
            }
            // More than the system's buffers and ours hold together.
            let mut sent = 0;
            while p.stats().missed < 200 {
                let frames = numbered(sent);
                p.send_wait(&frames[..]).wait_timeout(SOON).expect("room").unwrap();
                sent += 1;
            }
            let closer = std::thread::spawn({
                let p = p.clone();
                move || p.close().wait_timeout(SOON).expect("all goes out")
            });
            let (mut got, mut last) = (0, None);
            while got + p.stats().missed < u64::from(sent) {
                let frames = peer.message();
                let i: u32 = String::from_utf8(frames[0][1..].to_vec()).unwrap().parse().unwrap();
                assert_eq!(frames, numbered(i), "whole");
                assert!(last < Some(i), "in order");
                last = Some(i);
                got += 1;
            }
            assert_eq!(peer.ended(), b"", "nothing but whole messages");
            drop(peer);
            closer.join().unwrap();
            let stats = p.stats();
            assert_eq!((stats.delivered, stats.missed + got, stats.outbox_full), (got, u64::from(sent), 0));
        }
    });
}

#[test]
fn a_linger_that_is_ended_by_hand_tells_what_was_not_delivered() {
    both_sides(|side| {
        const SENT: u64 = 2000;
        let options = options().on_full(OnFull::Refuse).send_hwm(100).linger(Duration::MAX);
        let p = Pub::new(&engine(), options).unwrap();
        let door = Door::new(&p, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe("t"));
        while !p.wanted("t") {
            std::thread::yield_now();
        }
        // More than the system's buffers hold: the rest waits for the peer, and in the outbox.
        let mut sent = 0;
        while sent < SENT && p.send_wait(&numbered(sent as u32)[..]).wait_timeout(SOON / 20).is_some() {
            sent += 1;
        }
        assert!(p.stats().delivered < sent);
        assert!(p.close().wait_timeout(SOON / 100).is_none(), "the linger has no end");
        let closer = std::thread::spawn({
            let p = p.clone();
            move || p.close().wait_timeout(SOON).expect("the linger was ended")
        });
        let closed = p.close_within(Duration::ZERO).wait_timeout(SOON).expect("it ends at once");
        assert_eq!(closer.join().unwrap(), closed);
        let stats = p.stats();
        assert_eq!((stats.missed, stats.undelivered), (0, closed.undelivered));
        assert_eq!(stats.delivered + closed.undelivered, sent);
        for i in 0..stats.delivered {
            assert_eq!(peer.message(), numbered(i as u32));
        }
        assert!(peer.ended().len() < PART + 100, "at most a part of one more message");
    });
}

#[test]
fn a_slow_peer_does_not_slow_the_others() {
    both_sides(|side| {
        for io_threads in [1, 2] {
            let x = XPub::new(&engine_of(io_threads), options().send_hwm(100)).unwrap();
            let slow_door = Door::new(&x, side);
            let mut slow = slow_door.peer(Zmtp::V3_1);
            slow.send(subscribe(""));
            assert_eq!(event(&x), "+");
            let (mut quick, _door) = another(&x, side, Zmtp::V3_1);
            quick.send(subscribe("t"));
            assert_eq!(event(&x), "+t");
            // Never more at once than the mark allows for the fast peer, which reads; the other does not.
            let mut i = 0;
            while x.stats().missed < 500 {
                for n in i..i + 50 {
                    // Waits for the I/O threads, which may lag, but not for a peer.
                    x.send_wait(&numbered(n)[..]).wait_timeout(SOON).expect("room").unwrap();
                }
                for n in i..i + 50 {
                    assert_eq!(quick.message(), numbered(n));
                }
                i += 50;
            }
            assert_eq!(x.stats().outbox_full, 0);
            // The slow peer got whole messages, and is still connected.
            assert_eq!(slow.message(), numbered(0));
            assert_eq!(x.stats().peers, 2);
        }
    });
}

#[test]
fn a_peer_that_is_too_slow_is_told_why_it_is_disconnected() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options().send_hwm(10).on_full(OnFull::Disconnect)).unwrap();
        let door = Door::new(&x, side);
        let mut slow = door.peer(Zmtp::V3_1);
        slow.send(subscribe(""));
        assert_eq!(event(&x), "+");
        let mut i = 0;
        while x.wanted("") {
            x.send_wait(&numbered(i)[..]).wait_timeout(SOON).expect("room").unwrap();
            i += 1;
        }
        assert_eq!(event(&x), "-");
        assert_eq!(slow.message(), numbered(0));
        assert_eq!(x.stats().peers_refused, 1);
    });
}

#[test]
fn what_waits_for_a_full_peer_goes_on_when_the_peer_wants_it_no_more() {
    both_sides(|side| {
        for way in ["cancels", "leaves", "is disconnected", "may have more", "may have a little more"] {
            let options = options().on_full(OnFull::Refuse).send_hwm(50).send_buffer(8 << 10).linger(SOON);
            let x = XPub::new(&engine(), options.outbox_bytes_max(64 << 10)).unwrap();
            let door = Door::new(&x, side);
            let mut full = door.peer(Zmtp::V3_1);
            full.send(subscribe("t"));
            assert_eq!(event(&x), "+t");
            let (mut other, _door) = another(&x, side, Zmtp::V3_1);
            other.send(subscribe("o"));
            assert_eq!(event(&x), "+o");
            let mut sent = 0;
            while x.send_wait(&numbered(sent)[..]).wait_timeout(SOON / 100).is_some() {
                sent += 1;
            }
            assert!(x.send("other").is_err(), "it waits behind what is for the full peer");
            match way {
                "cancels" => full.send(cancel("t")),
                "leaves" => drop(full),
                "is disconnected" => {
                    let peers = x.peers().unwrap();
                    let key = peers.iter().find(|peer| peer.queued > 0).unwrap();
                    x.disconnect_peer(key.profile.key, None);
                }
                "may have more" => x.set_send_hwm(1000),
                _ => x.set_send_hwm(90),
            }
            x.send_wait("other").wait_timeout(SOON).expect("room").unwrap();
            if way != "may have a little more" {
                assert_eq!(other.message(), [b"other"], "the full peer {way}");
            }
        }
    });
}
