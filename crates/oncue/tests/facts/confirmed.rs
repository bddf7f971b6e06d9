//! Confirmed subscriptions: what is asked of each kind of publisher, what its answer means, and what a publisher answers
//! (docs/WIRE.md).

use std::pin::Pin;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use oncue::{
    Admission, Confirmed, Confirming, ErrorKind, Op, Options, PeerKey, Pub, Reason, Sub, Subscribed, XPub,
    XSub,
};

use super::raw::*;

fn question(number: u64, prefix: &str) -> Vec<u8> {
    command("ONCUE", [&[2], &number.to_be_bytes()[..], prefix.as_bytes()].concat())
}

fn answer(number: u64, standing: u8) -> Vec<u8> {
    command("ONCUE", [&[3], &number.to_be_bytes()[..], &[standing]].concat())
}

/// That of a PING behind subscriptions.
fn context(number: u64) -> Vec<u8> {
    [b"oncue-s\0", &number.to_be_bytes()[..]].concat()
}

/// A publisher of this library, with this READY.
fn publisher(door: &Door, ready: Vec<u8>, ours: &str) -> Raw {
    let mut raw = door.stranger();
    raw.send([&GREETING_3_1[..], &ready].concat());
    raw.welcome(Zmtp::V3_1, ours);
    raw
}

/// Waits on a thread of its own.
fn wait(subscribed: Subscribed<'_>) -> Confirmed {
    let confirmed = subscribed.wait_timeout(SOON).unwrap();
    assert!(confirmed.is_complete(), "{confirmed:?}");
    confirmed
}

/// The result, if there is one now. The publishers are asked by the first call.
fn now(confirming: &mut Op<Confirming<'_>>) -> Option<Confirmed> {
    match Pin::new(confirming).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(confirmed) => Some(confirmed.unwrap()),
        Poll::Pending => None,
    }
}

/// In force, received, refused, unknown, deferred, unanswered.
fn counts(confirmed: Confirmed) -> [usize; 6] {
    let Confirmed { in_force, received, refused, unknown, deferred, unanswered, .. } = confirmed;
    [in_force, received, refused, unknown, deferred, unanswered]
}

fn sub(side: Side) -> (Sub, Door) {
    let s = Sub::new(&engine(), options()).unwrap();
    let door = Door::new(&s, side);
    (s, door)
}

#[test]
fn a_publisher_of_this_library_is_asked_behind_the_subscription() {
    both_sides(|side| {
        let (s, door) = sub(side);
        let mut publisher = publisher(&door, oncue_ready("PUB"), "SUB");
        thread::scope(|scope| {
            let confirmed = scope.spawn(|| wait(s.subscribe("a").unwrap().at_least(1)));
            publisher.expect([subscribe("a"), question(0, "a")].concat());
            // An answer to no question, and one that promises another.
            publisher.send([answer(7, 1), answer(0, 2)].concat());
            publisher.barrier();
            assert!(!confirmed.is_finished());
            publisher.send(answer(0, 1));
            assert_eq!(counts(confirmed.join().unwrap()), [1, 0, 0, 0, 0, 0]);
            let refused = scope.spawn(|| wait(s.subscribe("b").unwrap()));
            publisher.expect([subscribe("b"), question(1, "b")].concat());
            publisher.send(answer(1, 3));
            assert_eq!(counts(refused.join().unwrap()), [0, 0, 1, 0, 0, 0]);
        });
    });
}

#[test]
fn other_publishers_answer_a_ping_which_is_not_a_heartbeat() {
    both_sides(|side| {
        for ready in [ready("PUB"), oncue_1_ready("PUB")] {
            let s = Sub::new(&engine(), options().heartbeat(SOON, 3 * SOON).heartbeat_ttl(SOON)).unwrap();
            let door = Door::new(&s, side);
            let mut publisher = publisher(&door, ready, "SUB");
            let ping = |number| command("PING", [&100u16.to_be_bytes()[..], &context(number)].concat());
            thread::scope(|scope| {
                let confirmed = scope.spawn(|| wait(s.subscribe("a").unwrap().at_least(1)));
                // The TTL of the heartbeats: another would revoke it.
                publisher.expect([subscribe("a"), ping(1)].concat());
                publisher.send([command("PONG", ""), command("PONG", context(0))].concat());
                // These two are asked together, when the first is answered.
                let mut more = ["b", "c"].map(|prefix| s.subscribe(prefix).unwrap().into_future());
                publisher.expect([subscribe("b"), subscribe("c")].concat());
                more.iter_mut().for_each(|one| assert_eq!(now(one), None));
                // The notes of a turn follow its answers.
                (0..2).for_each(|_| publisher.barrier());
                assert!(!confirmed.is_finished());
                publisher.send(command("PONG", context(1)));
                assert_eq!(counts(confirmed.join().unwrap()), [0, 1, 0, 0, 0, 0]);
                publisher.expect(ping(2));
                publisher.send(command("PONG", context(2)));
                let more = more.map(|one| one.wait_timeout(SOON).expect("an answer").unwrap());
                assert_eq!(more.map(counts), [[0, 1, 0, 0, 0, 0]; 2]);
            });
        }
    });
}

#[test]
fn older_publishers_cannot_say_anything() {
    both_sides(|side| {
        for version in [Zmtp::V3_0, Zmtp::V2_0] {
            let (s, door) = sub(side);
            let mut publisher = door.peer(version);
            let confirmed = wait(s.subscribe("a").unwrap().at_least(1));
            assert_eq!(counts(confirmed), [0, 0, 0, 1, 0, 0]);
            publisher.expect(version.subscribe("a"));
            s.subscribe("b").unwrap();
            publisher.expect(version.subscribe("b"));
        }
    });
}

#[test]
fn nothing_is_asked_unless_somebody_waits() {
    both_sides(|side| {
        let (s, door) = sub(side);
        let mut publisher = publisher(&door, oncue_ready("PUB"), "SUB");
        publisher.barrier();
        let held: Vec<_> = (0..1000).map(|number| s.subscribe(format!("{number}")).unwrap()).collect();
        (0..1000).for_each(|number| publisher.expect(subscribe(format!("{number}"))));
        drop(held);
        (0..2).for_each(|_| publisher.barrier());
    });
}

#[test]
fn a_publisher_that_leaves_counts_no_more_and_one_that_is_silent_is_left_to_the_timeout() {
    both_sides(|side| {
        let (s, door) = sub(side);
        let mut silent = publisher(&door, oncue_ready("PUB"), "SUB");
        silent.barrier();
        let mut confirming = s.subscribe("a").unwrap().into_future();
        assert_eq!(now(&mut confirming), None);
        silent.expect([subscribe("a"), question(0, "a")].concat());
        let confirmed = s.subscribe("a").unwrap().wait_timeout(Duration::from_secs(1)).unwrap();
        assert_eq!(counts(confirmed), [0, 0, 0, 0, 0, 1]);
        assert!(!confirmed.is_complete() && confirmed.publishers() == 1);
        silent.expect(question(1, "a"));
        let door = Door::new(&s, side);
        let mut other = publisher(&door, oncue_ready("XPUB"), "SUB");
        other.expect(subscribe("a"));
        thread::scope(|scope| {
            let confirmed = scope.spawn(|| wait(s.subscribe("b").unwrap().at_least(2)));
            silent.expect([subscribe("b"), question(2, "b")].concat());
            other.expect([subscribe("b"), question(2, "b")].concat());
            other.send(answer(2, 1));
            other.barrier();
            assert!(!confirmed.is_finished());
            // Now fewer than two were asked.
            drop(silent);
            (0..2).for_each(|_| other.barrier());
            assert!(!confirmed.is_finished());
            let door = Door::new(&s, side);
            let mut third = publisher(&door, oncue_ready("XPUB"), "SUB");
            let mut subscriptions = [third.frame().1, third.frame().1];
            subscriptions.sort();
            assert_eq!(subscriptions, [b"\x09SUBSCRIBEa", b"\x09SUBSCRIBEb"]);
            third.expect(question(2, "b"));
            third.send(answer(2, 1));
            assert_eq!(counts(confirmed.join().unwrap()), [2, 0, 0, 0, 0, 0]);
        });
    });
}

#[test]
fn the_end_of_the_subscription_or_of_the_socket_ends_the_wait() {
    both_sides(|side| {
        let (s, door) = sub(side);
        let mut silent = publisher(&door, oncue_ready("PUB"), "SUB");
        silent.barrier();
        let mut confirming = s.subscribe("a").unwrap().into_future();
        assert_eq!(now(&mut confirming), None);
        silent.expect([subscribe("a"), question(0, "a")].concat());
        assert!(s.unsubscribe("a").unwrap());
        let confirmed = confirming.wait_timeout(SOON).expect("its end").unwrap();
        assert_eq!(confirmed.in_force, 0);
        let closed = s.subscribe("b").unwrap();
        thread::scope(|scope| {
            let error = scope.spawn(|| closed.wait_timeout(SOON).unwrap_err());
            silent.expect([cancel("a"), subscribe("b"), question(1, "b")].concat());
            drop(s.close());
            assert_eq!(error.join().unwrap().kind(), ErrorKind::Closed);
        });
    });
}

#[test]
fn few_questions_are_unanswered_at_a_time() {
    const MAX: usize = 256;
    let (s, door) = sub(Side::Binding);
    let mut publisher = publisher(&door, oncue_ready("PUB"), "SUB");
    publisher.barrier();
    let name = |n: usize| format!("{n:03}");
    (0..600).for_each(|n| drop(s.subscribe(name(n)).unwrap()));
    (0..600).for_each(|n| publisher.expect(subscribe(name(n))));
    let mut all: Vec<_> = (0..600).map(|n| s.subscribe(name(n)).unwrap().into_future()).collect();
    all.iter_mut().for_each(|one| assert_eq!(now(one), None));
    (0..MAX).for_each(|n| publisher.expect(question(n as u64, &name(n))));
    (0..2).for_each(|_| publisher.barrier());
    // What nobody waits for any more is not asked.
    all.drain(300..310);
    let order: Vec<_> = (0..300).chain(310..600).collect();
    for (at, n) in order.iter().enumerate() {
        publisher.send(answer(*n as u64, 1));
        if let Some(next) = order.get(at + MAX) {
            publisher.expect(question(*next as u64, &name(*next)));
        }
    }
    for one in all {
        assert_eq!(one.wait_timeout(SOON).expect("an answer").unwrap().in_force, 1);
    }
}

/// An XPUB that decides about prefixes by their first letter: r for reject, d for defer. The key of its peer is sent.
fn deciding(side: Side) -> (XPub, Door, Receiver<PeerKey>) {
    let (keys, peer) = channel();
    let options = options().admission(move |request| {
        keys.send(request.peer).unwrap();
        match request.prefix.first() {
            Some(b'r') => Admission::Reject(Reason::from("no")),
            Some(b'd') => Admission::Defer,
            _ => Admission::Accept,
        }
    });
    let x = XPub::new(&engine(), options).unwrap();
    no_event(&x);
    let door = Door::new(&x, side);
    (x, door, peer)
}

#[test]
fn a_publisher_answers_what_has_become_of_a_subscription() {
    both_sides(|side| {
        let (x, door, keys) = deciding(side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(
            [subscribe("a"), question(5, "a"), question(6, "b"), subscribe("r"), question(7, "r")].concat(),
        );
        peer.expect([answer(5, 1), answer(6, 3), answer(7, 3)].concat());
        // In force, so that what is sent now arrives.
        x.send("a1").unwrap();
        peer.expect(message(&["a1"]));
        // In one read: the last state counts.
        peer.send([cancel("a"), question(8, "a"), subscribe("a"), question(9, "a")].concat());
        peer.expect([answer(8, 3), answer(9, 1)].concat());
        // The answers to what was deferred follow the decision.
        peer.send(
            [subscribe("d1"), question(10, "d1"), question(11, "d1"), subscribe("d2"), question(12, "d2")]
                .concat(),
        );
        peer.expect([answer(10, 2), answer(11, 2), answer(12, 2)].concat());
        let key = keys.recv().unwrap();
        x.admit(key, "d1");
        peer.expect([answer(10, 1), answer(11, 1)].concat());
        x.reject(key, "d2", "no");
        peer.expect(answer(12, 3));
        peer.barrier();
    });
}

#[test]
fn what_is_sent_after_a_confirmed_subscription_arrives() {
    for io_threads in [1, 3] {
        let engine = engine_of(io_threads);
        let publishers: Vec<_> = (0..3).map(|_| Pub::new(&engine, Options::new()).unwrap()).collect();
        let (sub, xsub) =
            (Sub::new(&engine, Options::new()).unwrap(), XSub::new(&engine, Options::new()).unwrap());
        for (publisher, at) in
            publishers.iter().zip(["tcp://127.0.0.1:*", "ipc://@oncue-confirmed-*", "inproc://c"])
        {
            let at = publisher.bind(&at.replace('*', if at.starts_with("ipc") { "x" } else { "*" })).unwrap();
            sub.connect(&at.to_string()).unwrap();
            xsub.connect(&at.to_string()).unwrap();
        }
        for round in 0..100 {
            let topic = format!("{round:03}");
            let confirmed = [
                wait(sub.subscribe(&topic).unwrap().at_least(3)),
                wait(xsub.subscribe(&topic).unwrap().at_least(3)),
            ];
            assert_eq!(confirmed.map(counts), [[3, 0, 0, 0, 0, 0]; 2]);
            publishers.iter().for_each(|publisher| publisher.send(&topic).unwrap());
            for _ in 0..3 {
                assert_eq!(
                    sub.recv().wait_timeout(SOON).expect("a message").unwrap().topic(),
                    topic.as_bytes()
                );
                assert_eq!(
                    xsub.recv().wait_timeout(SOON).expect("a message").unwrap().topic(),
                    topic.as_bytes()
                );
            }
        }
    }
}
