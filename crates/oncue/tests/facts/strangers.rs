//! What a misbehaving peer can do: cost a connection, and nothing else. In each test another subscriber must not be
//! affected.

use oncue::{Sub, XPub};

use super::raw::*;

/// A stranger that sends this is disconnected; another subscriber of the same socket still gets its messages.
fn dropped(bytes: &[u8], side: Side) {
    eprintln!("a stranger sends {}", bytes[..bytes.len().min(100)].escape_ascii());
    let (x, door) = xpub(side);
    let mut neighbour = door.peer(Zmtp::V3_1);
    neighbour.send(subscribe("A"));
    assert_eq!(event(&x), "+A");
    let strangers = Door::new(&x, side);
    for _ in 0..3 {
        let mut stranger = strangers.stranger();
        stranger.send_anyway(bytes);
        stranger.ended();
        x.send("A").unwrap();
        neighbour.expect(b"\0\x01A");
    }
    neighbour.barrier();
    no_event(&x);
    assert!(x.stats().peers_refused >= 3);
}

#[test]
fn who_does_not_speak_zmtp_is_dropped() {
    both_sides(|side| {
        dropped(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", side);
        dropped(b"SSH-2.0-OpenSSH_9.6\r\n", side);
        dropped(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", side);
        dropped(&[0xaa; 100_000], side);
        dropped(&[0; 100], side);
    });
}

#[test]
fn a_1_0_peer_is_dropped() {
    both_sides(|side| {
        // Without an identity, with one, and with a long one.
        dropped(b"\x01\0\x02\x01A", side);
        dropped(b"\x04\0who\x02\0\x01", side);
        dropped(b"\xff\0\0\0\0\0\0\x01\x2c\0................", side);
    });
}

#[test]
fn a_broken_handshake_is_dropped() {
    both_sides(|side| {
        let with = |bytes: &[u8]| [&GREETING_3_1[..], bytes].concat();
        let mut curve = *GREETING_3_1;
        curve[12..17].copy_from_slice(b"CURVE");
        dropped(&[&curve[..], &ready("SUB")].concat(), side);
        dropped(&with(b"\0\x05hello"), side);
        dropped(&with(b"\x04\x03\x05REA"), side);
        dropped(&with(&subscribe("A")), side);
        dropped(&with(b"\x06\0\0\0\x01\0\0\0\0\x05READY"), side);
        dropped(&with(b"\x04\x0f\x05READY\x04X-Ab\xff\xff\xff\xff"), side);
        dropped(&with(&command("READY", b"\x01X\0\0\0\0".repeat(1000))), side);
        dropped(&[&GREETING_3_1[..10], b"\x01\x02\x02\x7f\xff\xff\xff\xff\xff\xff\xff"].concat(), side);
    });
}

#[test]
fn broken_traffic_is_dropped() {
    both_sides(|side| {
        let with = |bytes: &[u8]| [&Zmtp::V3_1.hello("SUB"), bytes].concat();
        dropped(&with(b"\x08\0"), side);
        dropped(&with(b"\x02\x80\0\0\0\0\0\0\0"), side);
        dropped(&with(b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff"), side);
        dropped(&with(b"\x02\0\0\0\0\x01\0\0\0"), side);
        dropped(&with(b"\x01\x01a\x02\0\0\0\0\x01\0\0\0"), side);
        dropped(&with(b"\x06\0\0\0\0\0\x02\0\0\x09SUBSCRIBE"), side);
        dropped(&with(b"\x05\x0a\x09SUBSCRIBE"), side);
        dropped(&with(b"\x04\x05\x09SUBS"), side);
        dropped(&with(b"\x04\0"), side);
        dropped(&[&Zmtp::V2_0.hello("SUB"), &subscribe("A")[..]].concat(), side);
    });
}

#[test]
fn a_subscriber_drops_them_too() {
    both_sides(|side| {
        let engine = engine();
        let s = Sub::new(&engine, options().message_bytes_max(1000)).unwrap();
        s.subscribe("").unwrap();
        let (mut neighbour, _door) = another(&s, side, Zmtp::V3_1);
        let strangers = Door::new(&s, side);
        let with = |bytes: &[u8]| [&Zmtp::V3_1.hello("PUB"), bytes].concat();
        let large = with(&message(&[[7; 1000]]));
        let floods: [&[u8]; 6] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x01\0",
            &with(b"\x08\0"),
            &with(b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff"),
            &large,
            &with(b"\x04\x02\x05X"),
        ];
        for (i, bytes) in floods.iter().enumerate() {
            let mut stranger = strangers.stranger();
            stranger.send_anyway(bytes);
            stranger.ended();
            neighbour.send(message(&[format!("{i}")]));
            assert_eq!(texts(&s.recv().wait_timeout(SOON).unwrap().unwrap()), [format!("{i}")]);
        }
        assert!(s.try_recv().unwrap().is_none());
    });
}

/// A peer that exceeds a quota is told which, is disconnected, and leaves nothing behind.
fn refused_by_quota(options: oncue::Options, fits: &[&str], too_much: &str, name: &str) {
    both_sides(|side| {
        let x = XPub::new(&engine(), options.clone()).unwrap();
        let door = Door::new(&x, side);
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let (mut neighbour, _door) = another(&x, side, Zmtp::V3_1);
            neighbour.send(subscribe("12"));
            assert_eq!(event(&x), "+12");
            let mut greedy = door.peer(version);
            for prefix in fits {
                greedy.send(version.subscribe(prefix));
                // A prefix that is in force already does not count again.
                greedy.send(version.subscribe(prefix));
                if *prefix != "12" {
                    assert_eq!(event(&x), format!("+{prefix}"));
                }
            }
            // A cancel makes room.
            greedy.send(version.cancel(fits[0]));
            assert_eq!(event(&x), format!("-{}", fits[0]));
            greedy.send(version.subscribe(fits[0]));
            assert_eq!(event(&x), format!("+{}", fits[0]));
            greedy.barrier();
            greedy.send(version.subscribe(too_much));
            greedy.send_anyway(version.subscribe("after"));
            let (flags, error) = greedy.frame();
            assert_eq!((flags, &error[..6]), (4, &b"\x05ERROR"[..]));
            let reason = String::from_utf8(error[7..].to_vec()).unwrap();
            assert!(error[6] as usize == reason.len() && reason.contains(name), "{reason}");
            assert_eq!(greedy.ended(), b"");
            let mut gone: Vec<_> = fits.iter().filter(|p| **p != "12").map(|_| event(&x)).collect();
            gone.sort();
            let mut all: Vec<_> = fits.iter().filter(|p| **p != "12").map(|p| format!("-{p}")).collect();
            all.sort();
            assert_eq!(gone, all);
            assert!(!x.wanted(too_much) && !x.wanted("after") && x.wanted("12"));
            x.send("12").unwrap();
            neighbour.expect(b"\0\x0212");
            neighbour.barrier();
            assert_eq!(x.demand().snapshot().len(), 1);
            drop(neighbour);
            assert_eq!(event(&x), "-12");
        }
        no_event(&x);
        assert_eq!(x.stats().peers_refused, 2);
    });
}

#[test]
fn more_prefixes_than_the_quota_end_the_connection() {
    refused_by_quota(options().prefixes_max(3), &["a", "12", "c"], "d", "prefixes_max");
}

#[test]
fn longer_prefixes_than_the_quota_end_the_connection() {
    refused_by_quota(options().prefix_bytes_max(10), &["12345678", "12"], "d", "prefix_bytes_max");
}

/// Peers beyond a bound are told which; when one of the others leaves, the next one may stay.
fn turned_away_beyond(options: oncue::Options, name: &str) {
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut first = door.peer(Zmtp::V3_1);
    // A peer in its handshake counts.
    let second = door.stranger();
    for version in [Zmtp::V3_1, Zmtp::V3_0] {
        let mut third = door.peer(version);
        third.send_anyway(version.subscribe("third"));
        let (flags, error) = third.frame();
        assert_eq!((flags, &error[..6]), (4, &b"\x05ERROR"[..]));
        assert!(error.ends_with(format!("-({name})").as_bytes()), "{}", error.escape_ascii());
        assert_eq!(third.ended(), b"");
    }
    assert_eq!((x.stats().refusals.turned_away, x.stats().peers_refused), (2, 2));
    let news = x.turned_away().wait().unwrap();
    let counts = [news.peers_max, news.peers_per_address_max];
    assert_eq!(counts, if name == "peers_max" { [2, 0] } else { [0, 2] });
    let text = news.to_string();
    let expected = format!("turned away: 2 peers beyond {name}; the last one was tcp://127.0.0.1:");
    assert!(text.starts_with(&expected), "{text}");
    first.send(subscribe("first"));
    assert_eq!(event(&x), "+first");
    drop(second);
    // Its place is free once our side has noticed its end.
    let until = std::time::Instant::now() + SOON;
    loop {
        let mut next = door.peer(Zmtp::V3_1);
        next.send_anyway(ping("x"));
        if next.frame().1.starts_with(b"\x04PONG") {
            break;
        }
        assert!(std::time::Instant::now() < until, "the place of the one that has gone stays taken");
    }
    no_event(&x);
    first.barrier();
}

#[test]
fn peers_beyond_the_bound_are_told_and_turned_away() {
    turned_away_beyond(options().peers_max(2), "peers_max");
}

#[test]
fn peers_of_one_address_beyond_the_bound_are_told_and_turned_away() {
    turned_away_beyond(options().peers_per_address_max(2), "peers_per_address_max");
}

#[test]
fn a_flood_beyond_the_bound_is_closed_at_once_and_the_others_do_not_notice() {
    let x = XPub::new(&engine(), options().peers_max(1)).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut neighbour = door.peer(Zmtp::V3_1);
    neighbour.send(subscribe("A"));
    assert_eq!(event(&x), "+A");
    let begun = std::time::Instant::now();
    // Silent peers, which occupy the places of peers that are told.
    let silent: Vec<_> = (0..300).map(|_| door.stranger()).collect();
    while x.stats().peers_turned_away < 300 {
        assert!(begun.elapsed() < SOON, "{:?}", x.stats());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    x.send("A").unwrap();
    neighbour.expect(b"\0\x01A");
    let ended = silent.into_iter().map(|mut stranger| stranger.ended()).filter(Vec::is_empty).count();
    // Unless this took so long that places have become free.
    assert!(ended >= 300 - 64 || begun.elapsed() > std::time::Duration::from_secs(1), "{ended} at once");
    neighbour.barrier();
}
