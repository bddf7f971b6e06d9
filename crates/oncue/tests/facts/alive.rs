//! Which peers are alive: PINGs, their TTL, and what counts as a sign of life.

use std::time::{Duration, Instant};

use oncue::{Options, Sub, XPub};

use super::raw::*;

const TTL: Duration = Duration::from_millis(300);

/// A PING with this TTL.
fn ping_ttl(ttl: Duration) -> Vec<u8> {
    let tenths = u16::try_from(ttl.as_millis() / 100).unwrap();
    command("PING", [&tenths.to_be_bytes()[..], b"x"].concat())
}

/// Heartbeats for tests: frequent, with a timeout that is long enough for a busy machine.
fn beating(timeout: u64) -> Options {
    options().heartbeat(Duration::from_millis(20), Duration::from_millis(timeout))
}

fn xpub_with(options: Options, side: Side) -> (XPub, Door) {
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, side);
    (x, door)
}

#[test]
fn a_publisher_obeys_the_ttl_of_a_ping() {
    both_sides(|side| {
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let (x, door) = xpub(side);
            let mut peer = door.peer(version);
            peer.send(version.subscribe("a"));
            assert_eq!(event(&x), "+a");
            let said = Instant::now();
            peer.send(ping_ttl(TTL));
            assert_eq!(event(&x), "-a");
            assert!(said.elapsed() >= TTL, "{:?}", said.elapsed());
            peer.expect(command("PONG", b"x"));
            peer.ended();
            assert_eq!(x.stats().peers_lost, 1);
        }
    });
}

#[test]
fn a_subscriber_obeys_the_ttl_of_a_ping_and_comes_back() {
    both_sides(|side| {
        for version in [Zmtp::V3_1, Zmtp::V3_0] {
            let s = Sub::new(&engine(), options()).unwrap();
            s.subscribe("a").unwrap();
            let door = Door::new(&s, side);
            let mut peer = door.peer(version);
            peer.expect(version.subscribe("a"));
            let said = Instant::now();
            peer.send(ping_ttl(TTL));
            peer.expect(command("PONG", b"x"));
            assert_eq!(peer.ended(), b"");
            assert!(said.elapsed() >= TTL, "{:?}", said.elapsed());
            door.peer(version).expect(version.subscribe("a"));
        }
    });
}

#[test]
fn a_ttl_counts_from_the_last_byte_whatever_it_was() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(ping_ttl(TTL));
        // The parts of one subscription, three times as long as the TTL in all.
        for byte in subscribe("slow and long") {
            peer.send([byte]);
            std::thread::sleep(TTL / 8);
        }
        let said = Instant::now();
        assert_eq!([event(&x), event(&x)], ["+slow and long", "-slow and long"]);
        assert!(said.elapsed() > TTL / 2, "{:?}", said.elapsed());
    });
}

#[test]
fn a_ttl_of_zero_takes_the_one_before_back() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([subscribe("a"), ping_ttl(TTL), ping_ttl(Duration::ZERO)].concat());
        assert_eq!(event(&x), "+a");
        std::thread::sleep(TTL * 2);
        no_event(&x);
        peer.expect([command("PONG", b"x"), command("PONG", b"x")].concat());
        peer.barrier();
    });
}

#[test]
fn a_peer_that_answers_no_ping_but_talks_is_alive() {
    both_sides(|side| {
        let (x, door) = xpub_with(beating(500), side);
        let mut peer = door.peer(Zmtp::V3_1);
        for number in 0..15 {
            peer.send(subscribe(format!("{number}")));
            assert_eq!(event(&x), format!("+{number}"));
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(x.stats().peers_lost, 0);
        let said = Instant::now();
        assert!(event(&x).starts_with('-'));
        assert!(said.elapsed() > Duration::from_millis(300), "{:?}", said.elapsed());
    });
}

#[test]
fn a_peer_that_takes_what_waits_for_it_is_alive() {
    let (x, door) = xpub_with(beating(2000).queue_bytes_max(1 << 30), Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe(""));
    assert_eq!(event(&x), "+");
    // More than the system buffers at once: PINGs wait behind it.
    let message = vec![b'm'; 1 << 20];
    for _ in 0..100 {
        x.send(&message).unwrap();
    }
    for _ in 0..30 {
        peer.take(3 << 20);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(x.stats().peers_lost, 0);
    // It neither reads nor sends anything from here on.
    assert_eq!(event(&x), "-");
}

#[test]
fn peers_below_3_1_are_never_pinged() {
    both_sides(|side| {
        let (x, door) = xpub_with(beating(10_000), side);
        for version in [Zmtp::V3_0, Zmtp::V2_0] {
            let (mut peer, _door) = match side {
                Side::Binding => (door.peer(version), None),
                Side::Connecting => {
                    let (peer, door) = another(&x, side, version);
                    (peer, Some(door))
                }
            };
            peer.send(version.subscribe("a"));
            assert_eq!(event(&x), "+a");
            std::thread::sleep(Duration::from_millis(100));
            x.send("a").unwrap();
            peer.expect(b"\0\x01a");
            drop(peer);
            assert_eq!(event(&x), "-a");
        }
    });
}

#[test]
fn a_ping_carries_the_ttl_that_was_asked_for() {
    both_sides(|side| {
        let (_x, door) = xpub_with(beating(5000).heartbeat_ttl(Duration::from_millis(1250)), side);
        door.peer(Zmtp::V3_1).expect(b"\x04\x07\x04PING\0\x0d");
    });
}

#[test]
fn a_subscriber_notices_that_its_publisher_is_silent_and_connects_again() {
    let s = Sub::new(&engine(), beating(300)).unwrap();
    s.subscribe("a").unwrap();
    let door = Door::new(&s, Side::Connecting);
    for _ in 0..3 {
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.expect(subscribe("a"));
        publisher.send(message(&["a", "1"]));
        assert_eq!(texts(&s.recv().wait_timeout(SOON).expect("a message").unwrap()), ["a", "1"]);
        publisher.ended();
    }
}

#[test]
fn a_subscriber_whose_user_takes_nothing_does_not_give_its_publisher_up() {
    const TIMEOUT: Duration = Duration::from_millis(800);
    const MESSAGES: usize = 8;
    let s = Sub::new(&engine(), beating(800).recv_hwm(1)).unwrap();
    s.subscribe("").unwrap();
    let mut publisher = Door::new(&s, Side::Connecting).peer(Zmtp::V3_1);
    publisher.expect(subscribe(""));
    // Whatever it sent after that would wait behind the messages: neither our timeout nor its TTL counts.
    let messages = message(&["m".repeat(64 << 10)]).repeat(MESSAGES);
    publisher.send([ping_ttl(TIMEOUT), messages].concat());
    std::thread::sleep(TIMEOUT * 2);
    assert_eq!((s.stats().peers, s.stats().peers_lost), (1, 0));
    for _ in 0..MESSAGES {
        assert_eq!(s.recv().wait_timeout(SOON).expect("a message").unwrap().topic().len(), 64 << 10);
    }
    // Everything is read, and it is silent.
    publisher.ended();
}

#[test]
fn a_subscriber_whose_user_takes_nothing_is_alive() {
    let x = XPub::new(&engine(), beating(2500).send_hwm(10)).unwrap();
    let at = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
    // It does not ping by itself.
    let s = Sub::new(&engine(), options().recv_hwm(1)).unwrap();
    s.subscribe("").unwrap();
    s.connect(&at).unwrap();
    assert_eq!(event(&x), "+");
    let sent = Instant::now();
    let message = vec![b'm'; 1 << 20];
    while sent.elapsed() < Duration::from_secs(4) {
        x.send(&message).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let stats = x.stats();
    assert!(stats.missed > 0, "it is full");
    assert_eq!((stats.peers, stats.peers_lost), (1, 0));
    no_event(&x);
    assert_eq!(s.recv().wait_timeout(SOON).expect("a message").unwrap().topic().len(), message.len());
}
