//! `Options::hidden_topics`: topics that a subscriber of everything does not get.

use oncue::{ErrorKind, OnDemand, Options, XPub};

use super::raw::*;

fn hiding() -> Options {
    options().hidden_topics("$o/")
}

#[test]
fn a_subscriber_of_everything_does_not_get_hidden_topics_and_one_that_names_them_does() {
    both_sides(|side| {
        let x = XPub::new(&engine(), hiding()).unwrap();
        x.send_last(("$o/kept", "1")).unwrap();
        x.send_last(("a", "1")).unwrap();
        let (mut everything, _first) = another(&x, side, Zmtp::V3_1);
        let (mut beginning, _second) = another(&x, side, Zmtp::V3_1);
        let (mut one, _third) = another(&x, side, Zmtp::V3_0);
        everything.send([subscribe(""), subscribe("$o")].concat());
        assert_eq!((event(&x), event(&x)), ("+".to_owned(), "+$o".to_owned()));
        assert!(x.wanted("$p") && !x.wanted("$o/live") && x.subscribers("$o/live") == 0);
        beginning.send(subscribe("$o/"));
        assert_eq!(event(&x), "+$o/");
        one.send(Zmtp::V3_0.subscribe("$o/live"));
        assert_eq!(event(&x), "+$o/live");
        assert_eq!((x.subscribers("$o/live"), x.subscribers("$o/kept"), x.subscribers("$oo")), (2, 1, 1));
        for topic in ["$o", "$o/live", "$oo", "$o/kept"] {
            x.send((topic, "2")).unwrap();
        }
        let pair = |topic: &str, value: &str| message(&[topic, value]);
        everything.expect([pair("a", "1"), pair("$o", "2"), pair("$oo", "2")].concat());
        beginning.expect([pair("$o/kept", "1"), pair("$o/live", "2"), pair("$o/kept", "2")].concat());
        one.expect(pair("$o/live", "2"));
        everything.barrier();
    });
}

#[test]
fn routes_of_hidden_topics_are_not_started_by_a_subscriber_of_everything() {
    let x = XPub::new(&engine(), hiding().discard_messages(true)).unwrap();
    let endpoint = x.bind("tcp://127.0.0.1:*").unwrap();
    let od = OnDemand::on(x).route("$o/stats").manual(|_| {}).route("clock").manual(|_| {}).start().unwrap();
    let sub = oncue::Sub::new(&engine(), Options::new()).unwrap();
    sub.connect(&endpoint.to_string()).unwrap();
    // A feed that is told to stop is among them until it has ended.
    let running = |topics: &[&[u8]]| {
        let start = std::time::Instant::now();
        loop {
            let now: Vec<_> = od.topic_stats().into_iter().map(|stats| stats.topic).collect();
            if now == topics {
                return;
            }
            assert!(start.elapsed().as_secs() < 20, "{now:?} in place of {topics:?}");
            std::thread::yield_now();
        }
    };
    sub.subscribe("").unwrap();
    running(&[b"clock"]);
    sub.subscribe("$o/").unwrap();
    running(&[b"$o/stats", b"clock"]);
    sub.unsubscribe("$o/").unwrap();
    running(&[b"clock"]);
}

#[test]
fn topics_are_not_hidden_where_matching_is_inverted() {
    let error = XPub::new(&engine(), hiding().invert_matching(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("hidden_topics"), "{error}");
}
