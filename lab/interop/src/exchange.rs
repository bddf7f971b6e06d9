//! An exchange between a publisher and a subscriber of any two implementations: exactly the messages of the subscribed topics
//! arrive, byte for byte and in order.

use std::sync::LazyLock;
use std::time::Duration;

use crate::PATIENCE;
use crate::peers::{Binds, Frames, Publishes, Subscribes, join, settle};

/// A topic that needs a long frame.
fn long_topic() -> Vec<u8> {
    (0..300_u32).map(|at| (at % 251) as u8).collect()
}

/// A payload of 1 MiB without short repetitions.
fn large() -> Vec<u8> {
    (0..1_u32 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

/// More than a small message has.
const LARGE_BYTES_MIN: usize = 64 << 10;

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

/// Publishes all messages, but for the large ones if it is `brief`, and expects exactly those that match one of the prefixes.
fn exchange(publisher: &mut dyn Publishes, subscriber: &mut dyn Subscribes, prefixes: &[&[u8]], brief: bool) {
    let is_large = |message: &&Frames| message.iter().any(|frame| frame.len() > LARGE_BYTES_MIN);
    let played = || MESSAGES.iter().filter(|message| !(brief && is_large(message)));
    for message in played() {
        publisher.publish(message);
    }
    let wanted = |message: &&Frames| prefixes.iter().any(|prefix| message[0].starts_with(prefix));
    for (at, expected) in played().filter(wanted).enumerate() {
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
pub fn check(publisher: &mut dyn Publishes, subscriber: &mut dyn Subscribes, binds: Binds, endpoint: &str) {
    play(publisher, subscriber, binds, endpoint, false);
}

/// As [`check`], without large messages.
pub fn check_briefly(
    publisher: &mut dyn Publishes,
    subscriber: &mut dyn Subscribes,
    binds: Binds,
    endpoint: &str,
) {
    play(publisher, subscriber, binds, endpoint, true);
}

fn play(
    publisher: &mut dyn Publishes,
    subscriber: &mut dyn Subscribes,
    binds: Binds,
    endpoint: &str,
    brief: bool,
) {
    let long = long_topic();
    subscriber.subscribe(b"alpha");
    subscriber.subscribe(&long);
    join(publisher, subscriber, binds, endpoint);
    settle(publisher, subscriber, b"alpha", &long, true);
    exchange(publisher, subscriber, &[b"alpha", &long], brief);
    subscriber.subscribe(b"");
    settle(publisher, subscriber, b"alpha", b"beta", true);
    exchange(publisher, subscriber, &[b""], brief);
    subscriber.unsubscribe(b"");
    settle(publisher, subscriber, b"alpha", b"beta", false);
    subscriber.unsubscribe(&long);
    settle(publisher, subscriber, b"alpha", &long, false);
    exchange(publisher, subscriber, &[b"alpha"], brief);
}
