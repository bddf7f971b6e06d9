//! Peers of ZMTP 3.1, 3.0 and 2.0 made of literal bytes, as subscribers and as publishers, binding or connecting.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use oncue::{Engine, Options, Pub, Sub, XPub, XPubEvent, XSub};
use oncue_interop::foreign::burst_topic;
use oncue_interop::raw::{Raw, Version, message, subscription};
use oncue_interop::{PATIENCE, until, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:0";
const VERSIONS: [Version; 3] = [Version::V3_1, Version::V3_0, Version::V2_0];

fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    (listener, endpoint)
}

fn event(socket: &XPub) -> String {
    match socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event") {
        XPubEvent::Wanted(prefix) => format!("+{}", prefix.escape_ascii()),
        XPubEvent::Unwanted(prefix) => format!("-{}", prefix.escape_ascii()),
        _ => panic!("a message instead of a change of demand"),
    }
}

/// A raw subscriber on a connection to our XPUB: subscribes, receives and cancels in all forms.
fn subscriber_lives(mut raw: Raw, version: Version, kind: &str, socket: &XPub) {
    raw.greet(version, kind, "XPUB");
    raw.subscribe(version, b"a");
    assert_eq!(event(socket), "+a");
    socket.send("a single").expect("our XPUB sends");
    raw.expect("a message of one frame", b"\x00\x08a single");
    socket.send(("b", "unwanted")).expect("our XPUB sends");
    socket.send(["ab", "", "third"]).expect("our XPUB sends");
    raw.expect("a message of three frames", b"\x01\x02ab\x01\x00\x00\x05third");
    let large = vec![7; 70_000];
    socket.send([b"a", &large[..]]).expect("our XPUB sends");
    raw.expect("a long frame", &message(&[b"a", &large]));
    let long = vec![b'x'; 300];
    raw.subscribe(version, &long);
    assert_eq!(event(socket), format!("+{}", "x".repeat(300)));
    socket.send(&long).expect("our XPUB sends");
    raw.expect("a long topic", &message(&[&long]));
    raw.cancel(version, b"a");
    assert_eq!(event(socket), "-a");
    // Our side understands subscription messages from every version, and commands from every version that has commands.
    for other in VERSIONS.into_iter().filter(|other| version != Version::V2_0 || *other != Version::V3_1) {
        raw.subscribe(other, b"either");
        assert_eq!(event(socket), "+either");
        raw.cancel(other, b"either");
        assert_eq!(event(socket), "-either");
    }
    drop(raw);
    assert_eq!(event(socket), format!("-{}", "x".repeat(300)));
}

#[test]
fn raw_subscribers_of_every_version_connect_to_our_xpub() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        for version in VERSIONS {
            for kind in ["SUB", "XSUB"] {
                subscriber_lives(Raw::connect(&endpoint), version, kind, &socket);
            }
        }
    });
}

#[test]
fn our_xpub_connects_to_raw_subscribers_of_every_version() {
    within_a_minute(|| {
        for version in VERSIONS {
            let engine = Engine::start().expect("an engine");
            let socket = XPub::new(&engine, quick()).expect("our XPUB");
            let (listener, endpoint) = listener();
            socket.connect(&endpoint).expect("our XPUB connects");
            // It reconnects by itself for the second round.
            for kind in ["SUB", "XSUB"] {
                subscriber_lives(Raw::accept(&listener), version, kind, &socket);
            }
        }
    });
}

#[test]
fn raw_subscribers_of_every_version_hear_our_pub() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = Pub::new(&engine, Options::new()).expect("our PUB");
            let mut raw = Raw::connect(&socket.bind(TCP).expect("our PUB binds").to_string());
            raw.greet(version, "SUB", "PUB");
            raw.subscribe(version, b"a");
            until("the subscription is in force", || socket.wanted(b"a"));
            socket.send(("a", "1")).expect("our PUB sends");
            raw.expect("a message", b"\x01\x01a\x00\x011");
            raw.cancel(version, b"a");
            until("the cancel is in force", || !socket.wanted(b"a"));
            socket.send(("a", "2")).expect("our PUB sends");
            raw.expect_silence();
        }
    });
}

/// A raw publisher on a connection of our SUB, which has subscribed to `a`.
fn publisher_lives(mut raw: Raw, version: Version, kind: &str, socket: &Sub) {
    raw.greet(version, kind, "SUB");
    raw.expect_subscription(version, b"a");
    raw.write(b"\x00\x08a single");
    raw.write(b"\x01\x02ab\x01\x00\x00\x05third");
    // SUB filters again: a publisher may send topics that were not subscribed to.
    raw.write(&message(&[b"b", b"nobody asked"]));
    raw.write(&message(&[b"a", &vec![7; 70_000]]));
    let frames = || {
        let message = socket.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
        message.frames().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(frames(), [b"a single"]);
    assert_eq!(frames(), [&b"ab"[..], b"", b"third"]);
    assert_eq!(frames(), [b"a".to_vec(), vec![7; 70_000]]);
    socket.subscribe([b'x'; 300]).expect("our SUB subscribes");
    raw.expect_subscription(version, &[b'x'; 300]);
    socket.unsubscribe([b'x'; 300]).expect("our SUB unsubscribes");
    raw.expect_cancel(version, &[b'x'; 300]);
}

#[test]
fn our_sub_connects_to_raw_publishers_of_every_version() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = Sub::new(&engine, quick()).expect("our SUB");
            socket.subscribe("a").expect("our SUB subscribes");
            let (listener, endpoint) = listener();
            socket.connect(&endpoint).expect("our SUB connects");
            // Each time it reconnects by itself, it subscribes again.
            for kind in ["PUB", "XPUB"] {
                publisher_lives(Raw::accept(&listener), version, kind, &socket);
            }
        }
    });
}

#[test]
fn raw_publishers_of_every_version_connect_to_our_sub() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = Sub::new(&engine, Options::new()).expect("our SUB");
            socket.subscribe("a").expect("our SUB subscribes");
            let endpoint = socket.bind(TCP).expect("our SUB binds").to_string();
            for kind in ["PUB", "XPUB"] {
                publisher_lives(Raw::connect(&endpoint), version, kind, &socket);
            }
        }
    });
}

#[test]
fn a_reconnect_renews_what_is_subscribed_then_and_each_prefix_once() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = XSub::new(&engine, quick()).expect("our XSUB");
            let (listener, endpoint) = listener();
            for prefix in ["a", "b", "a"] {
                socket.subscribe(prefix).expect("our XSUB subscribes");
            }
            socket.connect(&endpoint).expect("our XSUB connects");
            let mut raw = Raw::accept(&listener);
            raw.greet(version, "XPUB", "XSUB");
            // In any order, but each once: both subscriptions have the same length.
            let one = subscription(version, true, b"a").len();
            let got: BTreeSet<Vec<u8>> = (0..2).map(|_| raw.read(one)).collect();
            let wanted = |prefixes: [&[u8]; 2]| {
                prefixes.iter().map(|prefix| subscription(version, true, prefix)).collect::<BTreeSet<_>>()
            };
            assert_eq!(got, wanted([b"a", b"b"]));
            socket.unsubscribe("b").expect("our XSUB unsubscribes");
            raw.expect_cancel(version, b"b");
            drop(raw);
            socket.subscribe("c").expect("our XSUB subscribes");
            let mut raw = Raw::accept(&listener);
            raw.greet(version, "XPUB", "XSUB");
            let got: BTreeSet<Vec<u8>> = (0..2).map(|_| raw.read(one)).collect();
            assert_eq!(got, wanted([b"a", b"c"]));
            raw.expect_silence();
        }
    });
}

#[test]
fn a_burst_of_raw_subscriptions_arrives_whole_and_goes_whole() {
    const BURST: usize = 100_000;
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
            let mut raw = Raw::connect(&socket.bind(TCP).expect("our XPUB binds").to_string());
            raw.greet(version, "SUB", "XPUB");
            let burst: Vec<u8> = (0..BURST)
                .flat_map(|number| subscription(version, true, burst_topic(number).as_bytes()))
                .collect();
            raw.write(&burst);
            let came: BTreeSet<String> = (0..BURST).map(|_| event(&socket)).collect();
            assert_eq!(came, (0..BURST).map(|number| format!("+{}", burst_topic(number))).collect());
            drop(raw);
            let went: BTreeSet<String> = (0..BURST).map(|_| event(&socket)).collect();
            assert_eq!(went, (0..BURST).map(|number| format!("-{}", burst_topic(number))).collect());
        }
    });
}

#[test]
fn a_burst_of_ours_reaches_a_raw_publisher_whole() {
    const BURST: usize = 100_000;
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for version in VERSIONS {
            let socket = Sub::new(&engine, quick()).expect("our SUB");
            let (listener, endpoint) = listener();
            socket.connect(&endpoint).expect("our SUB connects");
            let mut raw = Raw::accept(&listener);
            raw.greet(version, "PUB", "SUB");
            for number in 0..BURST {
                socket.subscribe(burst_topic(number)).expect("our SUB subscribes");
            }
            let one = subscription(version, true, burst_topic(0).as_bytes()).len();
            let came: BTreeSet<Vec<u8>> = (0..BURST).map(|_| raw.read(one)).collect();
            let sent = (0..BURST).map(|number| subscription(version, true, burst_topic(number).as_bytes()));
            assert_eq!(came, sent.collect());
        }
    });
}

#[test]
fn a_subscriber_that_leaves_with_its_last_bytes_leaves_nothing_behind() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        // Events are queued from the first call on: the first peer may have left by the next one.
        assert!(socket.try_event().expect("an open socket").is_none());
        // In some of the rounds the last bytes and the end of the stream arrive before our side reads either.
        for round in 0..200 {
            let topic = format!("round {round}");
            let mut raw = Raw::connect(&endpoint);
            raw.greet(Version::V3_1, "SUB", "XPUB");
            raw.subscribe(Version::V3_1, topic.as_bytes());
            drop(raw);
            assert_eq!(event(&socket), format!("+{topic}"));
            assert_eq!(event(&socket), format!("-{topic}"));
        }
    });
}

#[test]
fn a_publisher_that_leaves_with_its_last_bytes_is_found_again() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        // With a mark of 1, reading pauses, and the end of the stream arrives meanwhile.
        for recv_hwm in [1, 1000] {
            let socket = Sub::new(&engine, quick().recv_hwm(recv_hwm)).expect("our SUB");
            socket.subscribe("a").expect("our SUB subscribes");
            let (listener, endpoint) = listener();
            socket.connect(&endpoint).expect("our SUB connects");
            for round in 0..20 {
                let mut raw = Raw::accept(&listener);
                raw.greet(Version::V3_1, "PUB", "SUB");
                raw.expect_subscription(Version::V3_1, b"a");
                let sent = format!("a {round}");
                raw.write(&[message(&[sent.as_bytes()]), message(&[b"a last"])].concat());
                drop(raw);
                for expected in [sent.as_bytes(), b"a last"] {
                    let got =
                        socket.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
                    assert_eq!(got.topic(), expected);
                }
            }
        }
    });
}

#[test]
fn a_ping_is_answered_with_its_context() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
        let mut raw = Raw::connect(&socket.bind(TCP).expect("our XPUB binds").to_string());
        raw.greet(Version::V3_1, "SUB", "XPUB");
        raw.write(b"\x04\x0c\x04PING\x00\x0ahello");
        raw.expect("a PONG", b"\x04\x0a\x04PONGhello");
    });
}

#[test]
fn a_socket_of_the_wrong_type_is_told_so() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
        let mut raw = Raw::connect(&socket.bind(TCP).expect("our XPUB binds").to_string());
        raw.greet(Version::V3_1, "PUB", "XPUB");
        let last = raw.expect_end();
        let told = last.windows(6).any(|window| window == b"\x05ERROR");
        assert!(told, "no ERROR in {}", last.escape_ascii());
    });
}

#[test]
fn a_stranger_costs_a_connection_and_nothing_else() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new()).expect("our XPUB");
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        let mut raw = Raw::connect(&endpoint);
        raw.greet(Version::V3_1, "SUB", "XPUB");
        raw.subscribe(Version::V3_1, b"a");
        assert_eq!(event(&socket), "+a");
        for noise in [&b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..], &[0; 64], &[0xff; 64], b"\x01\x00"]
        {
            let mut stranger = Raw::connect(&endpoint);
            stranger.write(noise);
            stranger.expect_end();
        }
        socket.send(("a", "still here")).expect("our XPUB sends");
        raw.expect("a message", &message(&[b"a", b"still here"]));
    });
}
