//! Demand between Oncue and libzmq: what the user of our XPUB learns of their subscribers, and the user of theirs of ours.

use std::collections::BTreeSet;
use std::time::Duration;

use oncue::{Engine, Options, Sub, XPub, XPubEvent, XSub};
use oncue_interop::foreign::{Foreign, burst_topic};
use oncue_interop::{PATIENCE, until, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:0";
const THEIR_TCP: &str = "tcp://127.0.0.1:*";

/// Far more than libzmq sends at its default high-water mark.
const BURST: usize = 100_000;

fn xpub(engine: &Engine) -> XPub {
    XPub::new(engine, Options::new()).expect("our XPUB")
}

/// The next event of our XPUB: `+prefix` or `-prefix`.
fn event(socket: &XPub) -> String {
    match socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event") {
        XPubEvent::Wanted(prefix) => format!("+{}", prefix.escape_ascii()),
        XPubEvent::Unwanted(prefix) => format!("-{}", prefix.escape_ascii()),
        _ => panic!("a message instead of a change of demand"),
    }
}

/// Checks that no event comes within 20 ms. Only useful after an event that would have come later than an unwanted one.
fn no_event(socket: &XPub) {
    assert!(socket.event().wait_timeout(Duration::from_millis(20)).is_none(), "an unexpected event");
}

/// The next `count` events, in any order.
fn events(socket: &XPub, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| event(socket)).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Runs a check with our XPUB and some of their subscribers: once our side binds, once it connects to each of them.
fn on_both_sides(kinds: &'static [&'static str], check: fn(&XPub, Vec<Foreign>)) {
    within_a_minute(move || {
        for binds in [true, false] {
            let engine = Engine::start().expect("an engine");
            let socket = xpub(&engine);
            let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
            let mut peers = Vec::new();
            for kind in kinds {
                let mut peer = Foreign::new(kind);
                if binds {
                    peer.connect(&endpoint);
                } else {
                    let theirs = peer.bind(THEIR_TCP);
                    socket.connect(&theirs).expect("our XPUB connects");
                }
                peers.push(peer);
            }
            check(&socket, peers);
        }
    });
}

#[test]
fn edges_are_the_first_and_the_last_across_peers() {
    on_both_sides(&["SUB", "SUB"], |socket, mut peers| {
        peers[0].subscribe(b"a");
        assert_eq!(event(socket), "+a");
        peers[1].subscribe(b"a");
        peers[1].subscribe(b"b");
        assert_eq!(event(socket), "+b");
        peers[0].unsubscribe(b"a");
        peers[0].subscribe(b"c");
        assert_eq!(event(socket), "+c");
        peers[1].unsubscribe(b"a");
        assert_eq!(event(socket), "-a");
        no_event(socket);
    });
}

#[test]
fn a_peer_that_closes_or_dies_wants_nothing_any_more() {
    on_both_sides(&["SUB", "SUB", "SUB"], |socket, mut peers| {
        for peer in &mut peers {
            peer.subscribe(b"shared");
        }
        assert_eq!(event(socket), "+shared");
        for (at, peer) in peers.iter_mut().enumerate() {
            peer.subscribe(format!("own {at}").as_bytes());
            assert_eq!(event(socket), format!("+own {at}"));
        }
        peers.pop().expect("the third").kill();
        assert_eq!(event(socket), "-own 2");
        peers.pop().expect("the second").close();
        assert_eq!(event(socket), "-own 1");
        peers.pop().expect("the first").kill();
        assert_eq!(events(socket, 2), set(&["-own 0", "-shared"]));
        assert!(!socket.wanted(b"shared"));
        no_event(socket);
    });
}

#[test]
fn subscriptions_of_one_peer_are_a_set() {
    // SUB counts locally: it sends every SUBSCRIBE, but only the last of two CANCELs.
    on_both_sides(&["SUB"], |socket, mut peers| {
        peers[0].subscribe(b"twice");
        peers[0].subscribe(b"twice");
        assert_eq!(event(socket), "+twice");
        peers[0].unsubscribe(b"twice");
        peers[0].unsubscribe(b"twice");
        assert_eq!(event(socket), "-twice");
        peers[0].subscribe(b"after");
        assert_eq!(event(socket), "+after");
        no_event(socket);
    });
}

#[test]
fn a_cancel_of_what_the_peer_never_had_is_ignored() {
    on_both_sides(&["SUB", "XSUB"], |socket, mut peers| {
        peers[0].subscribe(b"a");
        assert_eq!(event(socket), "+a");
        peers[1].unsubscribe(b"a");
        peers[1].unsubscribe(b"never");
        peers[1].subscribe(b"b");
        assert_eq!(event(socket), "+b");
        assert!(socket.wanted(b"a"));
        no_event(socket);
    });
}

#[test]
fn an_edge_is_told_when_it_is_in_force() {
    on_both_sides(&["SUB"], |socket, mut peers| {
        for round in 0..50 {
            let topic = format!("round {round}");
            peers[0].subscribe(topic.as_bytes());
            assert_eq!(event(socket), format!("+{topic}"));
            socket.send((&topic, "first")).expect("our XPUB sends");
            assert_eq!(peers[0].recv(), [topic.as_bytes(), b"first"]);
        }
    });
}

#[test]
fn what_their_xsub_sends_upstream_reaches_our_user() {
    on_both_sides(&["XSUB"], |socket, mut peers| {
        // Messages that XSUB sends before there is a connection are lost; subscriptions are not.
        peers[0].subscribe(b"a");
        assert_eq!(event(socket), "+a");
        peers[0].send(&[b"hello", &b"upstream"[..]]);
        let event = socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
        let XPubEvent::Message(message) = event else { panic!("a change of demand instead of a message") };
        assert!(message.frames().eq([&b"hello"[..], b"upstream"]));
    });
}

#[test]
fn their_burst_of_subscriptions_arrives_whole() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = xpub(&engine);
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        // At its default high-water mark their SUB would lose all but the first thousand.
        let mut peer = Foreign::new("SUB").set("SNDHWM", 0);
        peer.connect(&endpoint);
        peer.subscribe_burst(BURST);
        // libzmq writes only while its user is in a call.
        let missing: BTreeSet<String> =
            (0..BURST).map(|number| format!("+{}", burst_topic(number))).collect();
        assert_eq!(events(&socket, BURST), missing);
        peer.kill();
        let gone: BTreeSet<String> = missing.iter().map(|text| text.replacen('+', "-", 1)).collect();
        assert_eq!(events(&socket, BURST), gone);
    });
}

fn subscribe_burst(subscribe: impl Fn(&str)) {
    (0..BURST).for_each(|number| subscribe(&burst_topic(number)));
}

#[test]
fn our_burst_of_subscriptions_arrives_whole_and_again_after_a_restart() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = Sub::new(&engine, quick()).expect("our SUB");
        let mut peer = Foreign::new("XPUB");
        let endpoint = peer.bind(THEIR_TCP);
        socket.connect(&endpoint).expect("our SUB connects");
        subscribe_burst(|topic| drop(socket.subscribe(topic).expect("our SUB subscribes")));
        peer.expect_burst(BURST);
        peer.kill();
        let mut peer = Foreign::new("XPUB");
        peer.bind(&endpoint);
        peer.expect_burst(BURST);
    });
}

#[test]
fn our_burst_made_before_any_connection_arrives_whole() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XSub::new(&engine, quick()).expect("our XSUB");
        subscribe_burst(|topic| drop(socket.subscribe(topic).expect("our XSUB subscribes")));
        let endpoint = socket.bind(TCP).expect("our XSUB binds").to_string();
        let mut peer = Foreign::new("XPUB");
        peer.connect(&endpoint);
        peer.expect_burst(BURST);
    });
}

/// Options for a quick reconnect.
fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

#[test]
fn their_xpub_learns_of_ours_as_of_its_own() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for connects in [true, false] {
            let socket = Sub::new(&engine, quick()).expect("our SUB");
            let mut peer = Foreign::new("XPUB");
            if connects {
                socket.connect(&peer.bind(THEIR_TCP)).expect("our SUB connects");
            } else {
                peer.connect(&socket.bind(TCP).expect("our SUB binds").to_string());
            }
            socket.subscribe("a").expect("our SUB subscribes");
            assert_eq!(peer.recv(), [b"\x01a"]);
            socket.subscribe("").expect("our SUB subscribes");
            assert_eq!(peer.recv(), [b"\x01"]);
            socket.unsubscribe("").expect("our SUB unsubscribes");
            assert_eq!(peer.recv(), [b"\x00"]);
            socket.unsubscribe("a").expect("our SUB unsubscribes");
            assert_eq!(peer.recv(), [b"\x00a"]);
        }
    });
}

#[test]
fn their_xpub_hears_our_going() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = Sub::new(&engine, quick()).expect("our SUB");
        let mut peer = Foreign::new("XPUB");
        socket.subscribe("a").expect("our SUB subscribes");
        socket.connect(&peer.bind(THEIR_TCP)).expect("our SUB connects");
        assert_eq!(peer.recv(), [b"\x01a"]);
        socket.close().wait();
        assert_eq!(peer.recv(), [b"\x00a"]);
    });
}

#[test]
fn what_our_xsub_sends_upstream_reaches_their_user() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XSub::new(&engine, quick()).expect("our XSUB");
        let mut peer = Foreign::new("XPUB");
        socket.connect(&peer.bind(THEIR_TCP)).expect("our XSUB connects");
        socket.subscribe("a").expect("our XSUB subscribes");
        assert_eq!(peer.recv(), [b"\x01a"]);
        socket.send(("hello", "upstream")).expect("our XSUB sends");
        assert_eq!(peer.recv(), [&b"hello"[..], b"upstream"]);
    });
}

#[test]
fn a_full_subscriber_misses_messages_and_hurts_nobody_else() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new().send_hwm(10)).expect("our XPUB");
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        let mut slow = Foreign::new("SUB").set("RCVHWM", 1).set("RCVBUF", 4096);
        let mut quick = Foreign::new("SUB");
        slow.connect(&endpoint);
        quick.connect(&endpoint);
        slow.subscribe(b"a");
        assert_eq!(event(&socket), "+a");
        quick.subscribe(b"a");
        quick.subscribe(b"ready");
        assert_eq!(event(&socket), "+ready");
        let payload = vec![7; 100_000];
        // The test waits for the quick one after each message; the slow one never reads, and is full sooner or later.
        let mut sent = 0_u32;
        until("a message is missed", || {
            socket.send([&b"a"[..], &sent.to_be_bytes(), &payload]).expect("our XPUB sends");
            let got = quick.recv();
            assert_eq!(got.get(1).map(Vec::as_slice), Some(&sent.to_be_bytes()[..]));
            sent += 1;
            socket.stats().missed > 0
        });
        // The slow one still gets the first message first.
        let first = slow.recv();
        assert_eq!(first.get(1).map(Vec::as_slice), Some(&0_u32.to_be_bytes()[..]));
    });
}
