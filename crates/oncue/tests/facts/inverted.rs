//! `Options::invert_matching`: prefixes say what is not wanted.

use oncue::proxy::ProxyOptions;
use oncue::{ErrorKind, OnDemand, Options, Proxy, State, Sub, XPub, XSub};

use super::raw::*;

fn inverted() -> Options {
    options().invert_matching(true)
}

#[test]
fn a_message_goes_to_those_that_did_not_subscribe_to_it() {
    both_sides(|side| {
        let x = XPub::new(&engine(), inverted()).unwrap();
        no_event(&x);
        let (mut everything, _first) = another(&x, side, Zmtp::V3_1);
        let (mut no_a, _second) = another(&x, side, Zmtp::V3_1);
        let (mut nothing, _third) = another(&x, side, Zmtp::V3_0);
        while x.stats().peers < 3 {
            std::thread::yield_now();
        }
        assert_eq!(x.subscribers("a1"), 3, "also those that have not subscribed to anything");
        no_a.send(subscribe("a"));
        assert_eq!(event(&x), "+a");
        nothing.send(Zmtp::V3_0.subscribe(""));
        assert_eq!(event(&x), "+");
        assert_eq!((x.subscribers("a1"), x.subscribers("b1")), (1, 2));
        x.send("a1").unwrap();
        x.send("b1").unwrap();
        no_a.send(cancel("a"));
        assert_eq!(event(&x), "-a");
        x.send("a2").unwrap();
        everything.expect([message(&["a1"]), message(&["b1"]), message(&["a2"])].concat());
        no_a.expect([message(&["b1"]), message(&["a2"])].concat());
        everything.barrier();
        no_a.barrier();
        drop((everything, no_a));
        while x.wanted("b1") {
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_sub_keeps_what_matches_none_of_its_subscriptions() {
    both_sides(|side| {
        let s = Sub::new(&engine(), inverted()).unwrap();
        let door = Door::new(&s, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([message(&["a1"]), message(&["b1"])].concat());
        let next = || texts(&s.recv().wait_timeout(SOON).expect("a message").unwrap()).concat();
        assert_eq!((next(), next()), ("a1".into(), "b1".into()));
        s.subscribe("a").unwrap();
        peer.expect(subscribe("a"));
        peer.send([message(&["a2"]), message(&["b2"]), message(&["a3"]), message(&["c3"])].concat());
        assert_eq!(next(), "b2");
        // What waits is checked again.
        s.subscribe("c").unwrap();
        peer.expect(subscribe("c"));
        s.unsubscribe("a").unwrap();
        peer.expect(cancel("a"));
        peer.send(message(&["a4"]));
        assert_eq!(next(), "a4");
    });
}

#[test]
fn what_needs_prefixes_that_say_what_is_wanted_refuses_it() {
    let engine = engine();
    let x = XPub::new(&engine, inverted()).unwrap();
    let s = XSub::new(&engine, options()).unwrap();
    let refusals = [
        x.send_last("a").unwrap_err(),
        x.keep_last("a").unwrap_err(),
        x.set_state("a", State::Active, "").unwrap_err(),
        Proxy::with(&s, &x, ProxyOptions::new()).unwrap_err(),
        OnDemand::on(x).start().expect_err("it is refused"),
    ];
    for refusal in refusals {
        assert_eq!(refusal.kind(), ErrorKind::Misuse);
        assert!(refusal.to_string().contains("invert_matching"), "{refusal}");
    }
}
