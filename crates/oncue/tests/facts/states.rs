//! States of topics, sent to the peers whose handshake says that they understand them (docs/WIRE.md).

use oncue::{Admission, State, Sub, TopicState, XPub, XSub};

use super::raw::*;

fn news(kind: u8, state: u8, topic: &str, text: &str) -> Vec<u8> {
    let head = [kind, state, (topic.len() >> 8) as u8, topic.len() as u8];
    command("ONCUE", [&head, topic.as_bytes(), text.as_bytes()].concat())
}

/// A subscriber that understands states.
fn understanding(door: &Door) -> Raw {
    let mut raw = door.stranger();
    raw.send([&GREETING_3_1[..], &oncue_1_ready("SUB")].concat());
    raw.welcome(Zmtp::V3_1, "XPUB");
    raw
}

fn show(state: TopicState) -> String {
    format!("{} {} {}", state.topic, state.state, state.text)
}

#[test]
fn states_reach_peers_that_understand_them_and_want_the_topic() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = understanding(&door);
        peer.send(subscribe("t"));
        assert_eq!(event(&x), "+t");
        let mut others = Vec::new();
        for version in Zmtp::ALL {
            let (mut other, door) = another(&x, side, version);
            other.send(version.subscribe("t"));
            other.send(version.subscribe(format!("own{version:?}")));
            assert_eq!(event(&x), format!("+own{version:?}"));
            others.push((other, door));
        }
        x.send_last(("t1", "v")).unwrap();
        x.set_state("t1", State::Stale, "no source").unwrap();
        x.set_state("u", State::Active, "").unwrap();
        x.set_state("t", State::Closed, "".to_owned()).unwrap();
        // After what was sent before.
        peer.expect([message(&["t1", "v"]), news(1, 2, "t1", "no source"), news(1, 4, "t", "")].concat());
        peer.barrier();
        x.send("t end").unwrap();
        peer.expect(b"\0\x05t end");
        for (other, _door) in &mut others {
            other.expect([message(&["t1", "v"]), b"\0\x05t end".to_vec()].concat());
        }
        // A later subscriber gets them after the last values, and only those of newly wanted topics.
        let door = Door::new(&x, side);
        let mut late = understanding(&door);
        late.send(subscribe("t1"));
        late.expect([message(&["t1", "v"]), news(1, 2, "t1", "no source")].concat());
        late.send(subscribe(""));
        late.expect([news(1, 4, "t", ""), news(1, 1, "u", "")].concat());
        late.barrier();
        assert!(x.clear_state("u") && !x.clear_state("u"));
        late.send([cancel(""), subscribe("u")].concat());
        late.barrier();
    });
}

#[test]
fn what_is_about_a_prefix_reaches_those_that_have_subscribed_to_exactly_this_one() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = understanding(&door);
        peer.send([subscribe(""), subscribe("t"), subscribe("t/")].concat());
        let events = [event(&x), event(&x), event(&x)];
        assert_eq!(events, ["+", "+t", "+t/"]);
        let door = Door::new(&x, side);
        let mut other = understanding(&door);
        other.send([subscribe(""), subscribe("t/x")].concat());
        assert_eq!(event(&x), "+t/x");
        x.set_state("t/", State::Unserved, "no route").unwrap();
        x.set_state("t/y", State::Active, "").unwrap();
        peer.expect([news(1, 5, "t/", "no route"), news(1, 1, "t/y", "")].concat());
        other.expect(news(1, 1, "t/y", ""));
        // Also for one that wanted its topics before, by another prefix.
        other.send([subscribe("t"), subscribe("t/")].concat());
        other.expect(news(1, 5, "t/", "no route"));
        other.barrier();
        assert!(x.clear_state("t/"));
    });
}

#[test]
fn our_subscribers_hear_them() {
    let (x, door) = xpub(Side::Binding);
    x.set_state("a", State::Active, "from the start").unwrap();
    x.set_state("b", State::Active, "not wanted").unwrap();
    let engine = engine();
    let sub = Sub::new(&engine, options()).unwrap();
    let xsub = XSub::new(&engine, options()).unwrap();
    sub.connect(&door.endpoint()).unwrap();
    xsub.connect(&door.endpoint()).unwrap();
    assert!(sub.try_state().unwrap().is_none());
    sub.subscribe("a").unwrap();
    xsub.subscribe("a").unwrap();
    let heard = |state: Option<Result<TopicState, _>>| show(state.expect("a state").unwrap());
    assert_eq!(heard(sub.state().wait_timeout(SOON)), "a active from the start");
    assert_eq!(heard(xsub.state().wait_timeout(SOON)), "a active from the start");
    for i in 0..100 {
        x.set_state("a", State::Stale, format!("{i}")).unwrap();
    }
    for i in 0..100 {
        assert_eq!(heard(sub.state().wait_timeout(SOON)), format!("a stale {i}"));
        assert_eq!(heard(xsub.state().wait_timeout(SOON)), format!("a stale {i}"));
    }
    let long = x.set_state([b'x'; 60_001], State::Closed, "").unwrap_err();
    assert_eq!(long.kind(), oncue::ErrorKind::Misuse);
    x.set_state([b'a'; 60_000], State::Closed, "x".repeat(300)).unwrap();
    let longest = sub.state().wait_timeout(SOON).unwrap().unwrap();
    assert_eq!((longest.topic.len(), longest.text.len()), (60_000, 255));
    sub.close().wait();
    assert_eq!(sub.state().wait().unwrap_err().kind(), oncue::ErrorKind::Closed);
}

#[test]
fn a_rejection_is_told() {
    let options = options().admission(|request| match request.prefix {
        b"later" => Admission::Defer,
        b"open" => Admission::Accept,
        _ => Admission::Reject(format!("not for {}", request.address.ip().unwrap()).into()),
    });
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peer = understanding(&door);
    peer.send([subscribe("secret"), subscribe("open")].concat());
    peer.expect(news(1, 3, "secret", "not for 127.0.0.1"));
    assert_eq!(event(&x), "+open");
    x.revoke_all("open", "enough");
    peer.expect(news(1, 3, "open", "enough"));
    assert_eq!(event(&x), "-open");
    peer.send(subscribe("later"));
    peer.barrier();
    x.revoke_all("later", "never");
    peer.expect(news(1, 3, "later", "never"));
    // A peer that does not understand states gets none.
    let mut other = door.peer(Zmtp::V3_1);
    other.send(subscribe("secret"));
    other.barrier();
}

#[test]
fn what_nobody_takes_is_bounded() {
    // Missed by a subscriber's user.
    let sub = Sub::new(&engine(), options()).unwrap();
    sub.subscribe("").unwrap();
    let door = Door::new(&sub, Side::Binding);
    let mut publisher = door.peer(Zmtp::V3_1);
    publisher.expect(subscribe(""));
    for i in 0..12_000 {
        publisher.send(news(1, 1, &format!("t{i}"), ""));
    }
    publisher.barrier();
    assert_eq!(sub.stats().states_missed, 2000);
    assert_eq!(show(sub.try_state().unwrap().unwrap()), "t2000 active ");
    publisher.send(news(1, 1, &"t".repeat(60_000), "").repeat(100));
    publisher.barrier();
    let mut left = 0;
    while sub.try_state().unwrap().is_some() {
        left += 1;
    }
    assert!((50..100).contains(&left), "{left}");
    // Missed by a peer that does not read.
    let (x, door) = xpub(Side::Binding);
    let mut peer = understanding(&door);
    peer.send(subscribe("t"));
    assert_eq!(event(&x), "+t");
    let topic = "t".repeat(60_000);
    while x.stats().states_missed < 10 {
        x.set_state(&topic, State::Stale, "").unwrap();
    }
    peer.expect(news(1, 2, &topic, ""));
}

#[test]
fn what_is_not_understood_is_ignored() {
    both_sides(|side| {
        let (x, door) = xpub(side);
        let mut peer = door.peer(Zmtp::V3_1);
        let nonsense =
            [command("ONCUE", ""), news(9, 1, "t", ""), news(1, 99, "t", ""), command("ONCUE", [1, 1, 9, 9])];
        peer.send([nonsense.concat(), news(1, 1, "t", ""), command("ELSE", "x")].concat());
        peer.barrier();
        assert!(!x.wanted("t"));
        let sub = Sub::new(&engine(), options()).unwrap();
        sub.subscribe("t").unwrap();
        let door = Door::new(&sub, side);
        let mut publisher = door.peer(Zmtp::V3_1);
        publisher.send([nonsense.concat(), news(1, 4, "elsewhere", ""), news(1, 4, "t", "end")].concat());
        let heard = sub.state().wait_timeout(SOON).expect("the last one").unwrap();
        assert_eq!(show(heard), "t closed end");
    });
}

#[test]
fn a_state_arrives_after_messages_that_are_coalesced() {
    let (x, door) = xpub(Side::Binding);
    let mut peer = understanding(&door);
    peer.send(subscribe("t"));
    assert_eq!(event(&x), "+t");
    for round in 0..200 {
        // So many that the shard coalesces some of them when the state is set.
        let count = 20 * (round % 20) + 50;
        for _ in 0..count {
            x.send("t").unwrap();
        }
        x.set_state("t", State::Stale, round.to_string()).unwrap();
        peer.expect([b"\0\x01t".repeat(count), news(1, 2, "t", &round.to_string())].concat());
    }
}

#[test]
fn a_state_comes_behind_earlier_messages_while_senders_wait_for_room() {
    for _ in 0..20 {
        let x = XPub::new(&engine(), options().outbox_bytes_max(1000).send_hwm(10).linger(SOON)).unwrap();
        let door = Door::new(&x, Side::Binding);
        let mut peer = understanding(&door);
        peer.send(subscribe("t"));
        assert_eq!(event(&x), "+t");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        x.send_wait("other").wait_timeout(SOON).expect("room").unwrap();
                    }
                });
            }
            for i in 0..100 {
                let text = i.to_string();
                x.send_wait(("t", &text)).wait_timeout(SOON).expect("room").unwrap();
                x.set_state("t", State::Active, text.clone()).unwrap();
                // Never more than the peer has read: nothing is missed.
                peer.expect([message(&["t", &text]), news(1, 1, "t", &text)].concat());
            }
        });
    }
}
