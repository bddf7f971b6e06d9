//! The quotas of peers and users: who meets one is told its name, or waits, and nobody else notices.

use std::time::{Duration, Instant};

use oncue::{Options, QuotaStats, XPub};

use super::raw::*;

/// An XPUB with these options that reports events from now on, and its door.
fn xpub_with(options: Options) -> (XPub, Door) {
    let x = XPub::new(&engine(), options).unwrap();
    no_event(&x);
    let door = Door::new(&x, Side::Binding);
    (x, door)
}

/// The peer is told this option, and disconnected.
#[track_caller]
fn refused(peer: &mut Raw, option: &str) {
    let (flags, error) = peer.frame();
    assert_eq!((flags, &error[..6]), (4, &b"\x05ERROR"[..]));
    let reason = error[7..].escape_ascii().to_string();
    assert!(reason.contains(option), "{reason}");
    assert_eq!(peer.ended(), b"");
}

fn quotas(x: &XPub) -> QuotaStats {
    x.stats().quotas
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_quota_of_a_peer_is_named_and_counted() {
    type Count = fn(QuotaStats) -> u64;
    let cases: [(Options, Vec<u8>, &str, Count); 5] = [
        (options().prefix_length_max(3), subscribe("1234"), "prefix_length_max", |q| q.prefix_length_max),
        (options().prefix_length_max(3), frame(0, b"\x011234"), "prefix_length_max", |q| q.prefix_length_max),
        (options().prefixes_max(0), subscribe("1"), "prefixes_max", |q| q.prefixes_max),
        (options().prefix_bytes_max(3), subscribe("1234"), "prefix_bytes_max", |q| q.prefix_bytes_max),
        (
            options().message_bytes_max(100).prefix_length_max(3),
            message(&[[7; 101]]),
            "message_bytes_max",
            |q| q.message_bytes_max,
        ),
    ];
    for (options, bytes, name, count) in cases {
        let (x, door) = xpub_with(options);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(bytes);
        refused(&mut peer, name);
        assert_eq!(count(quotas(&x)), 1, "{name}");
        assert_eq!((x.stats().peers_refused, x.stats().refusals.bound_exceeded), (1, 1));
        assert!(x.refused()[0].error.to_string().contains(name));
    }
}

#[test]
fn the_oldest_handshake_of_the_address_with_the_most_gives_way() {
    let (x, door) = xpub_with(options().handshakes_max(3));
    // Those whose handshake is done do not count.
    let mut peers: Vec<_> = (0..5).map(|_| door.peer(Zmtp::V3_1)).collect();
    let mut silent: Vec<_> = (0..3).map(|_| door.stranger()).collect();
    // Our greeting has come: they are in their handshake.
    silent.iter_mut().for_each(|stranger| _ = stranger.take(10));
    assert_eq!(quotas(&x).handshakes_max, 0);
    let mut late = door.peer(Zmtp::V3_1);
    silent[0].ended();
    let news = x.turned_away().wait().unwrap();
    assert_eq!((news.handshakes_max, quotas(&x).handshakes_max, x.stats().peers_refused), (1, 1, 1));
    assert_eq!(x.stats().refusals.turned_away, 1);
    assert_eq!(news.to_string(), "turned away: 1 handshake beyond handshakes_max");
    // One that is done and one that has gone make room.
    late.barrier();
    drop(silent.pop());
    let mut after = door.peer(Zmtp::V3_1);
    after.barrier();
    let mut last = door.stranger();
    last.take(10);
    assert_eq!(quotas(&x).handshakes_max, 1);
    silent[1].send(Zmtp::V3_1.hello("SUB"));
    silent[1].take(10);
    peers.iter_mut().for_each(Raw::barrier);
}

fn users_share(options: Options, fits: [&str; 2], too_much: &str, name: &str) -> QuotaStats {
    let (x, door) = xpub_with(options);
    let (mut one, mut two) = (door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_0));
    one.send(subscribe(fits[0]));
    assert_eq!(event(&x), format!("+{}", fits[0]));
    two.send(Zmtp::V3_0.subscribe(fits[1]));
    assert_eq!(event(&x), format!("+{}", fits[1]));
    // In force already.
    one.send(subscribe(fits[0]));
    one.barrier();
    two.send(Zmtp::V3_0.subscribe(too_much));
    refused(&mut two, name);
    assert_eq!(event(&x), format!("-{}", fits[1]));
    // Its end has made room for the other one.
    one.send(subscribe(fits[1]));
    assert_eq!(event(&x), format!("+{}", fits[1]));
    one.barrier();
    quotas(&x)
}

#[test]
fn all_connections_of_a_user_together_keep_to_a_quota_of_prefixes() {
    let options = options().prefixes_per_user_max(2);
    let met = users_share(options, ["a", "b"], "c", "prefixes_per_user_max");
    assert_eq!(met.prefixes_per_user_max, 1);
}

#[test]
fn all_connections_of_a_user_together_keep_to_a_quota_of_bytes() {
    let options = options().prefix_bytes_per_user_max(10);
    let met = users_share(options, ["12345", "67890"], "c", "prefix_bytes_per_user_max");
    assert_eq!(met.prefix_bytes_per_user_max, 1);
}

#[test]
fn a_peer_that_changes_its_subscriptions_too_fast_waits_and_loses_nothing() {
    for version in [Zmtp::V3_1, Zmtp::V3_0] {
        let (x, door) = xpub_with(options().changes_per_second_max(200).prefixes_max(20));
        let (mut fast, mut neighbour) = (door.peer(version), door.peer(Zmtp::V3_1));
        let toggles = [version.subscribe("t"), version.cancel("t")].concat().repeat(300);
        // 601 changes, of which 200 are free.
        fast.send([toggles, version.subscribe("end")].concat());
        let start = Instant::now();
        until("it waits", || quotas(&x).changes_per_second_max > 0);
        neighbour.send(subscribe("n"));
        neighbour.barrier();
        assert!(x.wanted("n") && !x.wanted("end"), "the neighbour does not wait");
        until("all of them are taken", || x.wanted("end"));
        assert!(start.elapsed() > Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(!x.wanted("t"));
        fast.send(version.subscribe("more"));
        until("it goes on", || x.wanted("more"));
        neighbour.barrier();
        assert_eq!((x.stats().peers, x.stats().peers_refused), (2, 0));
    }
}

#[test]
fn a_peer_that_waits_for_its_changes_is_not_taken_for_dead() {
    let (ms, options) = (Duration::from_millis, options().changes_per_second_max(2).prefixes_max(1));
    let (x, door) = xpub_with(options.heartbeat(ms(20), ms(100)).message_timeout(ms(100)));
    let mut peer = door.peer(Zmtp::V3_1);
    // The last one comes after two seconds; it answers no PING, and a message of it is begun.
    let toggles = [subscribe("t"), cancel("t")].concat().repeat(3);
    peer.send([toggles, subscribe("end"), b"\0\x0512".to_vec()].concat());
    until("the last one is taken", || x.wanted("end"));
    assert!(quotas(&x).changes_per_second_max > 0);
    peer.send_anyway(b"345");
}

#[test]
fn the_end_of_a_peer_that_waits_is_seen_at_once() {
    let (x, door) = xpub_with(options().changes_per_second_max(1).prefixes_max(1));
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send([subscribe("t"), cancel("t")].concat().repeat(1000));
    until("it waits", || quotas(&x).changes_per_second_max > 0);
    drop(peer);
    until("its end is seen", || x.stats().peers == 0);
    assert!(!x.wanted("t"));
}
