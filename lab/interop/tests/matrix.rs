//! Every pair of socket types against libzmq, with either side binding: exactly the messages of the subscribed topics arrive,
//! byte for byte and in order.

use std::sync::LazyLock;
use std::time::Duration;

use oncue::{Engine, Options, Pub, Sub, XPub, XSub};
use oncue_interop::foreign::Foreign;
use oncue_interop::peers::{Binds, Frames, Publishes, Subscribes, join, settle};
use oncue_interop::{PATIENCE, within_a_minute};

const TCP: &str = "tcp://127.0.0.1:*";
const TCP_V6: &str = "tcp://[::1]:*";

/// A topic that needs a long frame.
fn long_topic() -> Vec<u8> {
    (0..300_u32).map(|at| (at % 251) as u8).collect()
}

/// A payload of 1 MiB without short repetitions.
fn large() -> Vec<u8> {
    (0..1_u32 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

/// Messages of every shape, in the order of sending.
static MESSAGES: LazyLock<Vec<Frames>> = LazyLock::new(messages);

fn messages() -> Vec<Frames> {
    let large = large();
    let frames = |frames: &[&[u8]]| frames.iter().map(|frame| frame.to_vec()).collect::<Frames>();
    vec![
        frames(&[b"alpha"]),
        frames(&[b"beta"]),
        frames(&[b"alpha", b"second frame"]),
        frames(&[b"alph"]),
        frames(&[b"alphabet", b"", b"third", b""]),
        frames(&[b""]),
        frames(&[b"", b"to subscribers of everything"]),
        frames(&[&long_topic()]),
        frames(&[&long_topic(), b"under a long topic"]),
        frames(&[&long_topic()[..299]]),
        frames(&[b"alpha", &large]),
        frames(&[&[b"alpha ", &large[..]].concat()]),
        frames(&[b"beta", &large]),
        frames(&[b"alpha", &[7; 255], &[8; 256], &[9; 254]]),
        frames(&[b"\x00alpha"]),
        frames(&[b"\x01alpha", b"\x00\xff"]),
        frames(&[b"alpha \xff\x00", b"\x01"]),
        frames(&[b"alpha: the last one"]),
    ]
}

/// Publishes all messages, and expects exactly those that match one of the prefixes.
fn exchange(publisher: &mut dyn Publishes, subscriber: &mut dyn Subscribes, prefixes: &[&[u8]]) {
    for message in MESSAGES.iter() {
        publisher.publish(message);
    }
    let wanted = |message: &&Frames| prefixes.iter().any(|prefix| message[0].starts_with(prefix));
    for (at, expected) in MESSAGES.iter().filter(wanted).enumerate() {
        let got = subscriber.receive(PATIENCE);
        let same = got.as_ref() == Some(expected);
        assert!(same, "message {at}: {} instead of {}", shown(got.as_ref()), shown(Some(expected)));
    }
    let more = subscriber.receive(Duration::from_millis(20));
    assert!(more.is_none(), "an unexpected message: {}", shown(more.as_ref()));
}

/// A message, shortened for a failure message.
fn shown(message: Option<&Frames>) -> String {
    let Some(frames) = message else { return "nothing".to_owned() };
    let frame =
        |frame: &Vec<u8>| format!("{}…({} bytes)", frame[..frame.len().min(16)].escape_ascii(), frame.len());
    frames.iter().map(frame).collect::<Vec<_>>().join(" | ")
}

/// Tests one pair through several changes of subscriptions.
fn check(publisher: &mut dyn Publishes, subscriber: &mut dyn Subscribes, binds: Binds, endpoint: &str) {
    let long = long_topic();
    subscriber.subscribe(b"alpha");
    subscriber.subscribe(&long);
    join(publisher, subscriber, binds, endpoint);
    settle(publisher, subscriber, b"alpha", &long, true);
    exchange(publisher, subscriber, &[b"alpha", &long]);
    subscriber.subscribe(b"");
    settle(publisher, subscriber, b"alpha", b"beta", true);
    exchange(publisher, subscriber, &[b""]);
    subscriber.unsubscribe(b"");
    settle(publisher, subscriber, b"alpha", b"beta", false);
    subscriber.unsubscribe(&long);
    settle(publisher, subscriber, b"alpha", &long, false);
    exchange(publisher, subscriber, &[b"alpha"]);
}

/// Our publisher with their subscriber, and our subscriber with their publisher.
macro_rules! pair {
    ($name:ident: our $ours:ident publishes to $theirs:literal, $binds:ident binds $endpoint:expr) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                let engine = Engine::start().expect("an engine");
                let mut publisher = $ours::new(&engine, Options::new()).expect("our publisher");
                let mut subscriber = Foreign::new($theirs);
                check(&mut publisher, &mut subscriber, Binds::$binds, $endpoint);
            });
        }
    };
    ($name:ident: our $ours:ident subscribes to $theirs:literal, $binds:ident binds $endpoint:expr) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                let engine = Engine::start().expect("an engine");
                let mut subscriber = $ours::new(&engine, Options::new()).expect("our subscriber");
                let mut publisher = Foreign::new($theirs);
                check(&mut publisher, &mut subscriber, Binds::$binds, $endpoint);
            });
        }
    };
}

pair!(our_pub_binds_to_their_sub: our Pub publishes to "SUB", Publisher binds TCP);
pair!(our_pub_connects_to_their_sub: our Pub publishes to "SUB", Subscriber binds TCP);
pair!(our_pub_binds_to_their_xsub: our Pub publishes to "XSUB", Publisher binds TCP);
pair!(our_pub_connects_to_their_xsub: our Pub publishes to "XSUB", Subscriber binds TCP);
pair!(our_xpub_binds_to_their_sub: our XPub publishes to "SUB", Publisher binds TCP);
pair!(our_xpub_connects_to_their_sub: our XPub publishes to "SUB", Subscriber binds TCP);
pair!(our_xpub_binds_to_their_xsub: our XPub publishes to "XSUB", Publisher binds TCP);
pair!(our_xpub_connects_to_their_xsub: our XPub publishes to "XSUB", Subscriber binds TCP);

pair!(our_sub_connects_to_their_pub: our Sub subscribes to "PUB", Publisher binds TCP);
pair!(our_sub_binds_to_their_pub: our Sub subscribes to "PUB", Subscriber binds TCP);
pair!(our_sub_connects_to_their_xpub: our Sub subscribes to "XPUB", Publisher binds TCP);
pair!(our_sub_binds_to_their_xpub: our Sub subscribes to "XPUB", Subscriber binds TCP);
pair!(our_xsub_connects_to_their_pub: our XSub subscribes to "PUB", Publisher binds TCP);
pair!(our_xsub_binds_to_their_pub: our XSub subscribes to "PUB", Subscriber binds TCP);
pair!(our_xsub_connects_to_their_xpub: our XSub subscribes to "XPUB", Publisher binds TCP);
pair!(our_xsub_binds_to_their_xpub: our XSub subscribes to "XPUB", Subscriber binds TCP);

/// An ipc endpoint with a path that no other test uses.
fn ipc(name: &str) -> String {
    let directory = std::env::temp_dir();
    format!("ipc://{}/oncue-interop-{}-{name}", directory.display(), std::process::id())
}

pair!(our_pub_binds_ipc_to_their_sub: our Pub publishes to "SUB", Publisher binds &ipc("a"));
pair!(our_xpub_connects_ipc_to_their_sub: our XPub publishes to "SUB", Subscriber binds &ipc("b"));
pair!(our_sub_connects_ipc_to_their_pub: our Sub subscribes to "PUB", Publisher binds &ipc("c"));
pair!(our_xsub_binds_ipc_to_their_xpub: our XSub subscribes to "XPUB", Subscriber binds &ipc("d"));
pair!(our_pub_binds_an_abstract_name: our Pub publishes to "SUB", Publisher binds &ipc("e").replace("//", "//@"));
pair!(our_sub_connects_to_an_abstract_name: our Sub subscribes to "PUB", Publisher binds &ipc("f").replace("//", "//@"));

/// Whether this machine has IPv6.
fn has_v6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn both_ways_over_ipv6() {
    if !has_v6() {
        return;
    }
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let mut publisher = XPub::new(&engine, Options::new()).expect("our publisher");
        let mut subscriber = Foreign::new("SUB").set("IPV6", 1);
        check(&mut publisher, &mut subscriber, Binds::Publisher, TCP_V6);
        let mut subscriber = Sub::new(&engine, Options::new()).expect("our subscriber");
        let mut publisher = Foreign::new("PUB").set("IPV6", 1);
        check(&mut publisher, &mut subscriber, Binds::Publisher, TCP_V6);
    });
}
