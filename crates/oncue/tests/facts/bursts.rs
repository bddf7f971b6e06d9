//! No subscription and no cancel is ever dropped, however many arrive at once.

use std::collections::HashSet;

use oncue::{Sub, XPub, XPubEvent};

use super::raw::*;

const MANY: usize = 100_000;

fn subscribe_to_many(s: &Sub) {
    for i in 0..MANY {
        s.subscribe(format!("prefix {i}")).unwrap();
    }
}

/// Takes `MANY` events, all of one kind and each with another prefix.
fn take_many(x: &XPub, wanted: bool) {
    let mut seen = HashSet::with_capacity(MANY);
    while seen.len() < MANY {
        let event = x.event().wait_timeout(SOON).expect("an event").unwrap();
        match event {
            XPubEvent::Wanted(prefix) if wanted => assert!(seen.insert(prefix)),
            XPubEvent::Unwanted(prefix) if !wanted => assert!(seen.insert(prefix)),
            other => panic!("{other:?}"),
        }
    }
    assert!(seen.contains(&b"prefix 0"[..]) && seen.contains(format!("prefix {}", MANY - 1).as_bytes()));
    no_event(x);
}

fn reach_our_publisher(side: Side) {
    let engine = engine();
    let s = Sub::new(&engine, options()).unwrap();
    let x = XPub::new(&engine, options()).unwrap();
    let at = match side {
        Side::Binding => x.bind("tcp://127.0.0.1:0").unwrap(),
        Side::Connecting => s.bind("tcp://127.0.0.1:0").unwrap(),
    };
    let at = at.to_string();
    let join = |x: &XPub| match side {
        Side::Binding => s.connect(&at).map(drop),
        Side::Connecting => x.connect(&at).map(drop),
    };
    join(&x).unwrap();
    subscribe_to_many(&s);
    take_many(&x, true);
    // The connection is lost, and is made again by itself or to the next publisher.
    match side {
        Side::Binding => s.disconnect(&at).unwrap(),
        Side::Connecting => x.disconnect(&at).unwrap(),
    }
    take_many(&x, false);
    join(&x).unwrap();
    take_many(&x, true);
}

#[test]
fn a_hundred_thousand_subscriptions_reach_our_publisher_where_it_binds() {
    reach_our_publisher(Side::Binding);
}

#[test]
fn a_hundred_thousand_subscriptions_reach_our_publisher_where_it_connects() {
    reach_our_publisher(Side::Connecting);
}

fn reach_any_publisher(version: Zmtp) {
    both_sides(|side| {
        let s = Sub::new(&engine(), options()).unwrap();
        let door = Door::new(&s, side);
        let mut peer = door.peer(version);
        s.subscribe("ready").unwrap();
        peer.expect(version.subscribe("ready"));
        assert!(s.unsubscribe("ready").unwrap());
        peer.expect(version.cancel("ready"));
        subscribe_to_many(&s);
        // While they are sent, in the order in which they were made.
        for i in 0..MANY {
            peer.expect(version.subscribe(format!("prefix {i}")));
        }
        drop(peer);
        let mut peer = door.peer(version);
        let skip = if version == Zmtp::V3_1 { b"\x09SUBSCRIBEprefix ".len() } else { b"\x01prefix ".len() };
        let mut seen = vec![false; MANY];
        for _ in 0..MANY {
            let (_, body) = peer.frame();
            let i: usize = String::from_utf8(body[skip..].to_vec()).unwrap().parse().unwrap();
            assert!(!std::mem::replace(&mut seen[i], true), "told twice: {i}");
        }
        s.subscribe("last").unwrap();
        peer.expect(version.subscribe("last"));
        for i in 0..1000 {
            assert!(s.unsubscribe(format!("prefix {i}")).unwrap());
            peer.expect(version.cancel(format!("prefix {i}")));
        }
    });
}

#[test]
fn a_hundred_thousand_commands_reach_any_publisher_each_once() {
    reach_any_publisher(Zmtp::V3_1);
}

#[test]
fn a_hundred_thousand_messages_reach_any_publisher_each_once() {
    reach_any_publisher(Zmtp::V2_0);
}
