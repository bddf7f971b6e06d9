//! What a subscriber has missed: what a publisher tells, byte for byte (docs/WIRE.md), and what a subscriber's user is told.

use oncue::{Engine, Keep, Missed, OnFull, Options, Pub, Sub, XPub};

use super::raw::*;

/// A notice.
fn missed(messages: u64, unseen: u64, topics: &[(&str, u32)]) -> Vec<u8> {
    let mut data = [&[4], &messages.to_be_bytes()[..], &unseen.to_be_bytes()].concat();
    for (topic, count) in topics {
        data.extend(
            [&count.to_be_bytes()[..], &(topic.len() as u16).to_be_bytes(), topic.as_bytes()].concat(),
        );
    }
    command("ONCUE", data)
}

/// A message that fills what the systems of both sides buffer.
fn large() -> Vec<u8> {
    vec![b'l'; 8 << 20]
}

/// A publisher with room for two messages at each peer.
fn narrow(policy: OnFull, side: Side) -> (XPub, Door) {
    let x = XPub::new(&engine(), options().send_hwm(2).on_full(policy)).unwrap();
    no_event(&x);
    let door = Door::new(&x, side);
    (x, door)
}

/// A subscriber whose connection is full: it has the beginning of a large message.
fn stalled(x: &XPub, door: &Door, ready: Vec<u8>) -> Raw {
    let mut peer = door.stranger();
    peer.send([&GREETING_3_1[..], &ready].concat());
    peer.welcome(Zmtp::V3_1, "XPUB");
    peer.send(subscribe(""));
    assert_eq!(event(x), "+");
    x.send(("large", large())).unwrap();
    peer
}

/// Sends these messages, and waits until each is queued or missed.
fn send(x: &XPub, topics: &[&str], missed: u64) {
    for topic in topics {
        x.send((*topic, "v")).unwrap();
    }
    while x.stats().missed < missed {
        std::thread::yield_now();
    }
}

#[test]
fn a_publisher_tells_where_messages_did_not_fit() {
    both_sides(|side| {
        let (x, door) = narrow(OnFull::DropNewest, side);
        let mut peer = stalled(&x, &door, oncue_ready("SUB"));
        // The large message and one more wait; of the others it is known of some what they were.
        send(&x, &["a", "b", "c", "b"], 3);
        send(&x, &["d", "e"], 5);
        peer.expect(message(&[&b"large"[..], &large()]));
        peer.expect(message(&["a", "v"]));
        let (flags, notice) = peer.frame();
        assert_eq!(flags, 4);
        assert_eq!(notice[..7], *b"\x05ONCUE\x04");
        assert_eq!(notice[7..23], [5u64.to_be_bytes(), 0u64.to_be_bytes()].concat());
        // Nothing is missed any more.
        x.send("next").unwrap();
        peer.expect(message(&["next"]));
        peer.barrier();
    });
}

#[test]
fn a_publisher_tells_where_messages_gave_way() {
    both_sides(|side| {
        let (x, door) = narrow(OnFull::DropOldest, side);
        let mut peer = stalled(&x, &door, oncue_ready("SUB"));
        send(&x, &["a", "b", "a", "c", "d"], 3);
        peer.expect(message(&[&b"large"[..], &large()]));
        peer.expect(
            [missed(3, 0, &[("a", 2), ("b", 1)]), message(&["c", "v"]), message(&["d", "v"])].concat(),
        );
        peer.barrier();
        let (x, door) = narrow(OnFull::Latest, side);
        let mut peer = stalled(&x, &door, oncue_ready("SUB"));
        send(&x, &["a", "b", "a", "a"], 2);
        peer.expect(message(&[&b"large"[..], &large()]));
        peer.expect([missed(2, 0, &[("a", 2)]), message(&["b", "v"]), message(&["a", "v"])].concat());
        peer.barrier();
    });
}

#[test]
fn peers_that_do_not_understand_it_are_told_nothing() {
    both_sides(|side| {
        for ready in [ready("SUB"), oncue_1_ready("SUB")] {
            let (x, door) = narrow(OnFull::DropNewest, side);
            let mut peer = stalled(&x, &door, ready);
            send(&x, &["a", "b", "c"], 2);
            peer.expect(message(&[&b"large"[..], &large()]));
            peer.expect(message(&["a", "v"]));
            x.send("next").unwrap();
            peer.expect(message(&["next"]));
            peer.barrier();
        }
    });
}

/// A subscriber to everything and its publisher.
fn subscribed(engine: &Engine, options: Options, side: Side) -> (Sub, Door, Raw) {
    let s = Sub::new(engine, options).unwrap();
    s.subscribe("").unwrap();
    let door = Door::new(&s, side);
    let publisher = publisher(&door);
    (s, door, publisher)
}

fn publisher(door: &Door) -> Raw {
    let mut publisher = door.stranger();
    publisher.send([&GREETING_3_1[..], &oncue_ready("PUB")].concat());
    publisher.welcome(Zmtp::V3_1, "SUB");
    publisher.expect(subscribe(""));
    publisher
}

/// The next message.
fn recv(s: &Sub) -> String {
    texts(&s.recv().wait_timeout(SOON).expect("a message").unwrap()).join("|")
}

/// What was missed: messages, unseen, whether it was a reconnect, topics.
fn show(missed: &Missed) -> String {
    let topics: Vec<_> = missed.topics.iter().map(|(topic, count)| format!("{topic}:{count}")).collect();
    let again = if missed.reconnected { " again" } else { "" };
    format!("{}+{}{again} {}", missed.messages, missed.unseen, topics.join(","))
}

fn try_missed(s: &Sub) -> Option<String> {
    s.try_missed().unwrap().map(|missed| show(&missed))
}

#[test]
fn a_subscriber_knows_before_which_message_something_was_missed() {
    both_sides(|side| {
        let (s, door, mut publisher) = subscribed(&engine(), options(), side);
        let two = [missed(2, 0, &[("a", 1), ("b", 1)]), missed(1, 4, &[("a", 1)])].concat();
        publisher.send([message(&["1"]), message(&["2"]), two, message(&["3"])].concat());
        publisher.barrier();
        assert_eq!((recv(&s), try_missed(&s)), ("1".to_owned(), None));
        assert_eq!((recv(&s), try_missed(&s)), ("2".to_owned(), None));
        assert_eq!((recv(&s), try_missed(&s).as_deref()), ("3".to_owned(), Some("3+4 a:2,b:1")));
        // Without a message behind it, once all before it is taken.
        publisher.send([message(&["4"]), missed(5, 0, &[])].concat());
        publisher.barrier();
        assert_eq!(try_missed(&s), None);
        assert_eq!(recv(&s), "4");
        let gap = s.missed().wait_timeout(SOON).expect("a gap").unwrap();
        assert_eq!((show(&gap).as_str(), gap.endpoint.to_string()), ("5+0 ", door.endpoint()));
        // With the messages that are received together: that gap, what was missed since, and only once as an event.
        publisher.send(
            [missed(1, 0, &[]), message(&["5"]), message(&["6"]), missed(7, 0, &[]), message(&["7"])]
                .concat(),
        );
        publisher.barrier();
        let many = || s.recv_many().wait_timeout(SOON).expect("messages").unwrap();
        let (first, second) = (many(), many());
        assert_eq!((first.len(), first.missed().map(show).as_deref()), (2, Some("6+0 ")));
        assert_eq!((second.len(), second.missed().map(show).as_deref()), (1, Some("7+0 ")));
        assert_eq!([try_missed(&s).as_deref(), try_missed(&s).as_deref()], [Some("1+0 "), Some("7+0 ")]);
        assert_eq!(try_missed(&s), None);
        let [stats] = &s.publishers()[..] else { panic!("one publisher") };
        assert_eq!((stats.received, stats.missed, stats.unseen, stats.gaps), (7, 16, 4, 0));
        assert!(stats.connected && stats.connections == 1 && stats.bytes > 7 * 3);
    });
}

#[test]
fn with_the_latest_of_each_topic_a_gap_is_told_at_once() {
    both_sides(|side| {
        let (s, _door, mut publisher) = subscribed(&engine(), options().keep(Keep::Latest), side);
        publisher.send([message(&["1"]), missed(2, 0, &[]), message(&["1"])].concat());
        publisher.barrier();
        let gap = s.missed().wait_timeout(SOON).expect("a gap").unwrap();
        assert_eq!(show(&gap), "2+0 ");
        assert_eq!(recv(&s), "1");
    });
}

#[test]
fn a_connection_that_was_lost_while_subscribed_is_a_gap() {
    let (s, door, first) = subscribed(&engine(), options(), Side::Connecting);
    drop(first);
    let mut second = publisher(&door);
    second.send(message(&["1"]));
    assert_eq!(recv(&s), "1");
    assert_eq!(try_missed(&s).as_deref(), Some("0+0 again "));
    // Not subscribed when it was lost: nothing is missed.
    s.unsubscribe("").unwrap();
    second.expect(cancel(""));
    drop(second);
    let mut third = door.stranger();
    third.send([&GREETING_3_1[..], &oncue_ready("PUB")].concat());
    third.welcome(Zmtp::V3_1, "SUB");
    s.subscribe("").unwrap();
    third.expect(subscribe(""));
    third.send(message(&["2"]));
    assert_eq!(recv(&s), "2");
    assert_eq!(try_missed(&s), None);
    let [stats] = &s.publishers()[..] else { panic!("one publisher") };
    assert_eq!((stats.received, stats.connections, stats.gaps), (2, 3, 1));
}

#[test]
fn gaps_that_nobody_takes_are_added_up() {
    let (s, _door, mut publisher) = subscribed(&engine(), options().recv_hwm(10), Side::Binding);
    // Each of these is told on its own, with its message.
    for _ in 0..5 {
        for _ in 0..1000 {
            publisher.send([missed(1, 0, &[]), message(&["m"])].concat());
        }
        (0..1000).for_each(|_| assert_eq!(recv(&s), "m"));
    }
    let mut told = 0;
    while let Some(missed) = s.try_missed().unwrap() {
        told += missed.messages;
    }
    // The newest of one publisher are added up.
    assert_eq!(told, 5000);
}

#[test]
fn between_our_own_sockets_all_that_was_sent_is_received_or_told() {
    let engine = engine_of(2);
    for policy in [OnFull::DropNewest, OnFull::DropOldest, OnFull::Latest] {
        let options = Options::new().send_hwm(50).on_full(policy).outbox_bytes_max(100_000).send_buffer(4096);
        let publisher = Pub::new(&engine, options).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap();
        let s = Sub::new(&engine, Options::new().recv_hwm(10).recv_buffer(4096)).unwrap();
        s.connect(&at.to_string()).unwrap();
        assert_eq!(s.subscribe("a").unwrap().at_least(1).wait_timeout(SOON).unwrap().in_force, 1);
        let sent = 200_000u64;
        let payload = [b'p'; 100];
        for n in 0..sent {
            publisher.send((if n % 2 == 0 { "a" } else { "b" }, payload)).unwrap();
        }
        publisher.send("a end").unwrap();
        let (mut received, mut told, mut unseen) = (0, 0, 0);
        let mut take = || {
            while let Some(missed) = s.try_missed().unwrap() {
                told += missed.messages;
                unseen += missed.unseen;
            }
        };
        let mut received_one = || {
            let message = s.recv().wait_timeout(std::time::Duration::from_millis(500)).transpose().unwrap();
            received += u64::from(message.is_some());
            message
        };
        while received_one().is_some() {
            take();
        }
        take();
        let stats = publisher.stats();
        assert_eq!(told, stats.missed, "{policy:?}");
        assert_eq!(unseen, stats.outbox_full, "{policy:?}");
        assert_eq!(received, stats.delivered, "{policy:?}");
        assert!(
            received + told <= sent / 2 + 1 && received + told + unseen > sent / 2,
            "{policy:?}: {stats:?}"
        );
    }
}
