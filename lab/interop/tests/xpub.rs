//! The options of XPUB: the same history of raw subscribers is played to libzmq's XPUB and to ours, and what their users learn
//! is compared.

use oncue::{
    Engine, ErrorKind, OnFull, Options, PeerKey, Sub, SubscriptionEvent, Verbose, XPub, XPubEvent, XSub,
};
use oncue_interop::foreign::Foreign;
use oncue_interop::raw::{Raw, Version, message};
use oncue_interop::{PATIENCE, until, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:0";

/// An XPUB of either implementation.
enum Publisher {
    Theirs(Foreign),
    /// With the peer of the event that was read last, which is what libzmq's manual mode decides about.
    Ours(XPub, Option<PeerKey>),
}

impl Publisher {
    /// The next notification in libzmq's terms: `+prefix`, `-prefix`, or the frames of a message.
    fn heard(&mut self) -> String {
        let (event, last) = match self {
            Publisher::Theirs(socket) => return shown(&socket.recv()),
            Publisher::Ours(socket, last) => {
                (socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event"), last)
            }
        };
        let (sign, prefix) = match event {
            XPubEvent::Wanted(prefix) => ('+', prefix),
            XPubEvent::Unwanted(prefix) => ('-', prefix),
            XPubEvent::Message(message) => {
                return shown(&message.frames().map(<[u8]>::to_vec).collect::<Vec<_>>());
            }
            XPubEvent::Subscription(event) => {
                *last = Some(event.peer().key);
                match event {
                    SubscriptionEvent::Subscribed { prefix, .. }
                    | SubscriptionEvent::Repeated { prefix, .. }
                    | SubscriptionEvent::Requested { prefix, .. } => ('+', prefix),
                    SubscriptionEvent::Unsubscribed { prefix, .. }
                    | SubscriptionEvent::Withdrawn { prefix, .. } => ('-', prefix),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        };
        format!("{sign}{}", prefix.escape_ascii())
    }

    fn hears<const N: usize>(&mut self) -> [String; N] {
        std::array::from_fn(|_| self.heard())
    }

    fn send(&mut self, frames: &[&[u8]]) {
        match self {
            Publisher::Theirs(socket) => socket.send(frames),
            Publisher::Ours(socket, _) => socket.send(frames).expect("our XPUB sends"),
        }
    }

    /// What the manual mode is about: a subscription for the peer whose notification was read last.
    fn subscribe_for_last(&mut self, prefix: &[u8]) {
        match self {
            Publisher::Theirs(socket) => socket.set_bytes("SUBSCRIBE", prefix),
            Publisher::Ours(socket, last) => {
                socket.subscribe_for(last.expect("a notification was read"), prefix).expect("a short prefix");
                let (socket, prefix) = (socket.clone(), prefix.to_vec());
                until("it is in force", || socket.wanted(&prefix));
            }
        }
    }

    fn unsubscribe_for_last(&mut self, prefix: &[u8]) {
        match self {
            Publisher::Theirs(socket) => socket.set_bytes("UNSUBSCRIBE", prefix),
            Publisher::Ours(socket, last) => {
                socket.unsubscribe_for(last.expect("a notification was read"), prefix);
                until("it is over", || !socket.wanted(prefix));
            }
        }
    }
}

/// A notification of libzmq, or a message.
fn shown(frames: &[Vec<u8>]) -> String {
    match frames {
        [one] if one.first() == Some(&1) => format!("+{}", one[1..].escape_ascii()),
        [one] if one.first() == Some(&0) => format!("-{}", one[1..].escape_ascii()),
        frames => frames.iter().map(|frame| frame.escape_ascii().to_string()).collect::<Vec<_>>().join("|"),
    }
}

/// Runs a history for both implementations: with these options of theirs, and with these of ours.
fn on_both(
    theirs: &'static [(&'static str, i64)],
    ours: fn() -> Options,
    history: fn(&mut Publisher, Box<dyn Fn(Version) -> Raw>),
) {
    within_a_minute(move || {
        let mut foreign = Foreign::new("XPUB");
        for (option, value) in theirs {
            foreign = foreign.set(option, *value);
        }
        let endpoint = foreign.bind("tcp://127.0.0.1:*");
        let peer = |endpoint: String| -> Box<dyn Fn(Version) -> Raw> {
            Box::new(move |version| {
                let mut raw = Raw::connect(&endpoint);
                raw.greet(version, "SUB", "XPUB");
                raw
            })
        };
        history(&mut Publisher::Theirs(foreign), peer(endpoint));
        let socket = XPub::new(&Engine::start().expect("an engine"), ours()).expect("our XPUB");
        // Events are told from the first call on.
        assert!(socket.try_event().expect("an open socket").is_none());
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        history(&mut Publisher::Ours(socket, None), peer(endpoint));
    });
}

#[test]
fn verbose_tells_what_theirs_tells() {
    on_both(
        &[("XPUB_VERBOSE", 1)],
        || Options::new().verbose(Verbose::Subscribes),
        |x, peer| {
            let (mut a, mut b) = (peer(Version::V3_1), peer(Version::V3_0));
            a.subscribe(Version::V3_1, b"A");
            a.subscribe(Version::V3_1, b"A");
            assert_eq!(x.hears(), ["+A", "+A"]);
            b.subscribe(Version::V3_0, b"A");
            assert_eq!(x.heard(), "+A");
            a.cancel(Version::V3_1, b"A");
            a.subscribe(Version::V3_1, b"C");
            assert_eq!(x.heard(), "+C", "the first cancel is not told");
            b.cancel(Version::V3_0, b"A");
            assert_eq!(x.heard(), "-A");
            drop(a);
            assert_eq!(x.heard(), "-C");
        },
    );
}

#[test]
fn verboser_tells_what_theirs_tells_but_for_foreign_cancels() {
    on_both(
        &[("XPUB_VERBOSER", 1)],
        || Options::new().verbose(Verbose::All),
        |x, peer| {
            let (mut a, mut b) = (peer(Version::V3_1), peer(Version::V3_0));
            a.subscribe(Version::V3_1, b"A");
            a.subscribe(Version::V3_1, b"A");
            assert_eq!(x.hears(), ["+A", "+A"]);
            b.subscribe(Version::V3_0, b"A");
            assert_eq!(x.heard(), "+A");
            a.cancel(Version::V3_1, b"A");
            assert_eq!(x.heard(), "-A", "each cancel is told");
            // The other one still has it.
            a.cancel(Version::V3_1, b"A");
            a.subscribe(Version::V3_1, b"C");
            match x {
                Publisher::Theirs(_) => assert_eq!(x.hears(), ["-A", "+C"], "theirs counts wrongly"),
                Publisher::Ours(..) => assert_eq!(x.heard(), "+C"),
            }
            b.cancel(Version::V3_0, b"A");
            assert_eq!(x.heard(), "-A");
            drop(a);
            assert_eq!(x.heard(), "-C");
        },
    );
}

#[test]
fn manual_gives_a_peer_what_theirs_gives_it() {
    on_both(
        &[("XPUB_MANUAL", 1)],
        // What is granted is told as well, unless it is held by others: so not to the user of this test.
        || Options::new().manual(true),
        |x, peer| {
            let mut a = peer(Version::V3_1);
            a.subscribe(Version::V3_1, b"A");
            assert_eq!(x.heard(), "+A");
            x.subscribe_for_last(b"B");
            if let Publisher::Ours(..) = x {
                assert_eq!(x.heard(), "+B", "ours tells what is in force, too");
            }
            x.send(&[b"A1"]);
            x.send(&[b"B1"]);
            a.expect("what it was given, and not what it asked for", &message(&[b"B1"]));
            a.cancel(Version::V3_1, b"A");
            assert_eq!(x.heard(), "-A");
            x.unsubscribe_for_last(b"B");
            x.send(&[b"B2"]);
            a.subscribe(Version::V3_1, b"C");
            if let Publisher::Ours(..) = x {
                assert_eq!(x.heard(), "-B");
            }
            assert_eq!(x.heard(), "+C");
            a.expect_silence();
            drop(a);
            assert_eq!(x.heard(), "-C");
        },
    );
}

#[test]
fn a_last_value_reaches_the_new_subscriber_alone_on_both() {
    on_both(
        &[("XPUB_MANUAL_LAST_VALUE", 1)],
        || Options::new().manual(true),
        |x, peer| {
            let (mut a, mut b) = (peer(Version::V3_1), peer(Version::V3_0));
            a.subscribe(Version::V3_1, b"A");
            assert_eq!(x.heard(), "+A");
            x.subscribe_for_last(b"A");
            if let Publisher::Ours(..) = x {
                assert_eq!(x.heard(), "+A");
            } else {
                // Otherwise the next message would be for the first peer alone.
                x.send(&[b"A0"]);
                a.expect("its own last value", &message(&[b"A0"]));
            }
            b.subscribe(Version::V3_0, b"A");
            assert_eq!(x.heard(), "+A");
            x.subscribe_for_last(b"A");
            match x {
                Publisher::Theirs(socket) => socket.send(&[b"A last"]),
                Publisher::Ours(socket, last) => {
                    until("both have it", || socket.subscribers("A") == 2);
                    socket.send_to(last.expect("the new one"), "A last").expect("our XPUB sends");
                }
            }
            x.send(&[b"A all"]);
            a.expect("not the last value", &message(&[b"A all"]));
            b.expect("the last value first", &[message(&[b"A last"]), message(&[b"A all"])].concat());
        },
    );
}

#[test]
fn a_welcome_arrives_from_both() {
    within_a_minute(|| {
        let mut foreign = Foreign::new("XPUB");
        foreign.set_bytes("XPUB_WELCOME_MSG", b"welcome");
        let theirs = foreign.bind("tcp://127.0.0.1:*");
        let engine = Engine::start().expect("an engine");
        let socket = XPub::new(&engine, Options::new().welcome("welcome")).expect("our XPUB");
        let ours = socket.bind(TCP).expect("our XPUB binds").to_string();
        for endpoint in [&theirs, &ours] {
            let mut raw = Raw::connect(endpoint);
            raw.greet(Version::V3_1, "SUB", "XPUB");
            raw.expect("the welcome, without a subscription", &message(&[b"welcome"]));
            let sub = Sub::new(&engine, Options::new()).expect("our SUB");
            sub.subscribe("wel").expect("a short prefix");
            sub.connect(endpoint).expect("our SUB connects");
            let got = sub.recv().wait_timeout(PATIENCE).expect("in time").expect("a message");
            assert_eq!(got.topic(), b"welcome");
        }
        let mut sub = Foreign::new("SUB");
        sub.subscribe(b"wel");
        sub.connect(&ours);
        assert_eq!(sub.recv(), [b"welcome"]);
    });
}

#[test]
fn only_the_first_frame_subscribes_on_both() {
    on_both(
        &[("ONLY_FIRST_SUBSCRIBE", 1)],
        || Options::new().only_first_subscribe(true),
        |x, peer| {
            let mut a = peer(Version::V3_1);
            a.write(&message(&[b"hi", b"\x01Q"]));
            assert_eq!(x.heard(), "hi|\\x01Q");
            a.write(&message(&[b"\x01A"]));
            assert_eq!(x.heard(), "+A");
            x.send(&[b"Q"]);
            x.send(&[b"A"]);
            a.expect("what it has subscribed to", &message(&[b"A"]));
        },
    );
}

#[test]
fn no_drop_refuses_on_both_and_loses_nothing() {
    const SIZE: usize = 16 << 10;
    on_both(
        &[("XPUB_NODROP", 1), ("SNDHWM", 10), ("SNDBUF", 16 << 10)],
        || {
            Options::new()
                .on_full(OnFull::Refuse)
                .send_hwm(10)
                .send_buffer(16 << 10)
                .outbox_bytes_max(64 << 10)
        },
        |x, peer| {
            let (mut slow, mut other) = (peer(Version::V3_1), peer(Version::V3_0));
            slow.subscribe(Version::V3_1, b"A");
            assert_eq!(x.heard(), "+A");
            other.subscribe(Version::V3_0, b"B");
            assert_eq!(x.heard(), "+B");
            let payload = vec![b'p'; SIZE];
            let sent = match x {
                Publisher::Theirs(socket) => socket.flood(b"A", SIZE, 10_000),
                Publisher::Ours(socket, _) => {
                    let refused = |n: &usize| match socket.send(("A", &payload[..])) {
                        Ok(()) => false,
                        Err(error) => {
                            assert_eq!((error.kind(), *n < 10_000), (ErrorKind::Full, true));
                            true
                        }
                    };
                    (0..=10_000).find(refused).expect("nothing is refused")
                }
            };
            for _ in 0..sent {
                slow.expect("what was accepted", &message(&[b"A", &payload]));
            }
            // There is room again.
            match x {
                Publisher::Theirs(socket) => {
                    socket.send(&[b"A end".as_slice()]);
                }
                Publisher::Ours(socket, _) => socket.send_wait("A end").wait().expect("our XPUB sends"),
            }
            slow.expect("nothing was lost in between", &message(&[b"A end"]));
        },
    );
}

#[test]
fn metadata_goes_both_ways() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        // Theirs reads what ours says, by any message of it.
        let mut foreign = Foreign::new("XPUB");
        let theirs = foreign.bind("tcp://127.0.0.1:*");
        let socket = XSub::new(&engine, Options::new().metadata("X-Host", "ours")).expect("our XSUB");
        socket.connect(&theirs).expect("our XSUB connects");
        until("it is connected", || socket.stats().peers == 1);
        socket.send("hello").expect("our XSUB sends");
        assert_eq!(foreign.recv_property("X-Host"), "ours");
        // Ours reads what theirs says.
        let publisher = XPub::new(&engine, Options::new()).expect("our XPUB");
        let ours = publisher.bind(TCP).expect("our XPUB binds").to_string();
        let mut sub = Foreign::new("SUB");
        sub.set_bytes("METADATA", b"X-Host:theirs");
        sub.connect(&ours);
        sub.subscribe(b"A");
        publisher
            .wait_for_subscribers("A", 1)
            .wait_timeout(PATIENCE)
            .expect("in time")
            .expect("a subscriber");
        let peers = publisher.peers().expect("the peers");
        assert_eq!(peers[0].profile.metadata.get("x-host"), Some(&b"theirs"[..]));
        assert_eq!((peers[0].profile.zmtp, peers[0].prefixes), ((3, 1), 1));
        publisher.disconnect_peer(peers[0].profile.key, Some("come again".into()));
        // libzmq connects again, and has its subscription.
        let first = peers[0].profile.key;
        until("it has come again", || {
            publisher
                .peers()
                .expect("the peers")
                .iter()
                .any(|peer| peer.profile.key != first && peer.prefixes == 1)
        });
    });
}

#[test]
fn topics_are_counted_as_theirs_until_a_peer_leaves() {
    on_both(&[], Options::new, |x, peer| {
        let (mut a, mut b) = (peer(Version::V3_1), peer(Version::V3_0));
        let count = |x: &mut Publisher| match x {
            Publisher::Theirs(socket) => socket.get("TOPICS_COUNT"),
            Publisher::Ours(socket, _) => socket.prefix_count() as i64,
        };
        for prefix in [&b""[..], b"A", b"A", b"AB"] {
            a.subscribe(Version::V3_1, prefix);
        }
        assert_eq!(x.hears(), ["+", "+A", "+AB"]);
        b.subscribe(Version::V3_0, b"A");
        b.subscribe(Version::V3_0, b"B");
        assert_eq!(x.heard(), "+B");
        assert_eq!(count(x), 4);
        a.cancel(Version::V3_1, b"A");
        a.cancel(Version::V3_1, b"AB");
        assert_eq!(x.heard(), "-AB");
        assert_eq!(count(x), 3);
        drop((a, b));
        let _: [String; 3] = x.hears();
        // Theirs still counts what peers had that are gone.
        assert_eq!(count(x), if matches!(x, Publisher::Theirs(_)) { 3 } else { 0 });
    });
}
