//! What subscribers send, and which events an XPUB's user gets.

use oncue::{Options, Pub};

use super::raw::*;

#[test]
fn a_cancel_of_what_the_peer_never_had_is_ignored() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut owner = door.peer(Zmtp::V3_1);
        owner.send(subscribe("B"));
        assert_eq!(event(&x), "+B");
        for version in Zmtp::ALL {
            let (mut foreign, _door) = another(&x, side, version);
            foreign.send(version.cancel("B"));
            foreign.send(version.cancel("never seen"));
            foreign.send(version.subscribe("now"));
            assert_eq!(event(&x), "+now", "the cancels were read before, and told nobody anything");
            x.send("B1").unwrap();
            owner.expect(b"\0\x02B1");
            drop(foreign);
            assert_eq!(event(&x), "-now");
        }
        assert!(x.wanted("B"));
        owner.send(cancel("B"));
        assert_eq!(event(&x), "-B");
        assert!(!x.wanted("B"));
    });
}

#[test]
fn the_subscriptions_of_a_peer_are_a_set() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            for _ in 0..3 {
                peer.send(version.subscribe("B"));
            }
            peer.send(version.cancel("B"));
            peer.send(version.subscribe("end"));
            assert_eq!([event(&x), event(&x), event(&x)], ["+B", "-B", "+end"]);
            assert!(!x.wanted("B"));
            x.send("B").unwrap();
            x.send("end").unwrap();
            peer.expect(b"\0\x03end");
            drop(peer);
            assert_eq!(event(&x), "-end");
        }
        no_event(&x);
    });
}

#[test]
fn duplicates_across_peers_are_hidden() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peers = vec![(door.peer(Zmtp::V3_1), Zmtp::V3_1)];
        let _doors: Vec<_> = [Zmtp::V3_0, Zmtp::V2_0]
            .map(|version| {
                let (peer, door) = another(&x, side, version);
                peers.push((peer, version));
                door
            })
            .into();
        for (i, (peer, version)) in peers.iter_mut().enumerate() {
            peer.send(version.subscribe("shared"));
            peer.send(version.subscribe(format!("own{i}")));
            if i == 0 {
                assert_eq!(event(&x), "+shared");
            }
            assert_eq!(event(&x), format!("+own{i}"));
        }
        x.send("shared").unwrap();
        for (i, (peer, version)) in peers.iter_mut().enumerate() {
            peer.expect(b"\0\x06shared");
            peer.send(version.cancel("shared"));
            peer.send(version.cancel(format!("own{i}")));
            if i == 2 {
                assert_eq!(event(&x), "-shared", "the last one's going is the edge");
            }
            assert_eq!(event(&x), format!("-own{i}"));
        }
        no_event(&x);
    });
}

#[test]
fn commands_and_messages_subscribe_whatever_the_version() {
    type Form = fn(&str) -> Vec<u8>;
    let message: [Form; 2] = [|p| Zmtp::V3_0.subscribe(p), |p| Zmtp::V3_0.cancel(p)];
    let command: [Form; 2] = [|p| subscribe(p), |p| cancel(p)];
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            let forms = if version == Zmtp::V2_0 { &[message][..] } else { &[message, command] };
            for begin in forms {
                for end in forms {
                    peer.send(begin[0]("T"));
                    assert_eq!(event(&x), "+T");
                    x.send("T!").unwrap();
                    peer.expect(b"\0\x02T!");
                    peer.send(end[1]("T"));
                    assert_eq!(event(&x), "-T");
                }
            }
        }
        no_event(&x);
    });
}

#[test]
fn every_frame_of_a_message_is_looked_at() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(b"\x01\x02hi\0\x02\x01Q");
        assert_eq!([event(&x), event(&x)], ["+Q", "hi"]);
        x.send("Q1").unwrap();
        peer.expect(b"\0\x02Q1");
        peer.send(message(&["\x01A", "one", "\0Q", "", "two"]));
        assert_eq!([event(&x), event(&x), event(&x)], ["+A", "-Q", "one||two"]);
        assert!(x.wanted("A") && !x.wanted("Q1"));
    });
}

#[test]
fn other_messages_reach_the_user_unchanged_an_empty_one_too() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        for version in Zmtp::ALL {
            let mut peer = door.peer(version);
            let long = "l".repeat(256);
            for frames in [&[""][..], &["", ""], &["\x02", "data"], &["hello"], &[&long, "", "x"]] {
                peer.send(message(frames));
                assert_eq!(event(&x), frames.join("|").replace('\x02', "\\x02"));
            }
        }
    });
}

#[test]
fn a_pub_discards_data_and_takes_the_subscriptions_in_it() {
    both_sides(|side| {
        let p = Pub::new(&engine(), options()).unwrap();
        let door = Door::new(&p, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(b"\0\0\0\x04data\x01\x02hi\0\x02\x01Q");
        peer.barrier();
        assert!(p.wanted("Q"));
        p.send("Q1").unwrap();
        peer.expect(b"\0\x02Q1");
        let stats = p.stats();
        assert_eq!((stats.received, stats.received_missed, stats.peers), (0, 0, 1));
    });
}

#[test]
fn a_subscription_is_in_force_when_its_event_comes() {
    both_sides(|side| {
        for io_threads in [1, 2] {
            let x = oncue::XPub::new(&engine_of(io_threads), Options::new()).unwrap();
            let door = Door::new(&x, side);
            let mut one = door.peer(Zmtp::V3_1);
            // It is placed on the other thread, if there is one.
            let (mut other, _door) = another(&x, side, Zmtp::V3_0);
            for i in 0..250 {
                let topic = format!("t{i}");
                one.send(Zmtp::V3_1.subscribe(&topic));
                assert_eq!(event(&x), format!("+{topic}"));
                x.send((&topic, "one")).unwrap();
                assert_eq!(one.message(), [topic.as_bytes(), b"one"]);
                let topic = format!("u{i}");
                other.send(Zmtp::V3_0.subscribe(&topic));
                assert_eq!(event(&x), format!("+{topic}"));
                x.send((&topic, "other")).unwrap();
                assert_eq!(other.message(), [topic.as_bytes(), b"other"]);
                one.send(Zmtp::V3_1.cancel(format!("t{i}")));
                assert_eq!(event(&x), format!("-t{i}"));
                x.send((format!("t{i}"), "late")).unwrap();
            }
        }
    });
}
