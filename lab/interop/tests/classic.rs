//! The classic program in Python with the command `oncue`, as a user would run them together.

use std::collections::BTreeMap;

use oncue_interop::foreign::{Foreign, oncue, python};
use oncue_interop::program::Program;
use oncue_interop::within_a_minute;

/// The messages that one subscriber of the Python program received: topic and number.
type Received = Vec<(String, u64)>;

/// Parses the lines of the Python program into the messages of each subscriber, and checks that all have left.
fn received(lines: &[String]) -> BTreeMap<String, Received> {
    let mut received: BTreeMap<String, Received> = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [name, "left"] => assert!(received.contains_key(name), "{name} left without a message"),
            [name, topic, number] => {
                let number = number.parse().unwrap_or_else(|_| panic!("{line:?} does not end in a number"));
                received.entry(name.to_owned()).or_default().push((topic.to_owned(), number));
            }
            _ => panic!("{line:?} is not a subscriber, a topic and a number"),
        }
    }
    let left = lines.iter().filter(|line| line.ends_with(" left")).count();
    assert_eq!(left, received.len(), "all have left: {lines:?}");
    received
}

/// Checks that a subscriber got each of its topics on every tick from its first to its last, in the order of the ticks.
fn check(received: &Received, topics: &[&str], messages: usize) {
    assert_eq!(received.len(), messages);
    assert!(received.is_sorted_by_key(|(_, number)| *number), "out of order: {received:?}");
    for topic in topics {
        let numbers: Vec<u64> = received.iter().filter(|(name, _)| name == topic).map(|(_, n)| *n).collect();
        let first = *numbers.first().unwrap_or_else(|| panic!("no message on {topic}: {received:?}"));
        assert_eq!(numbers, (first..).take(numbers.len()).collect::<Vec<_>>(), "a gap on {topic}");
    }
    assert!(
        received.iter().all(|(name, _)| topics.contains(&name.as_str())),
        "a foreign topic: {received:?}"
    );
}

#[test]
fn the_classic_program_joins_the_demo() {
    within_a_minute(|| {
        let mut demo = Program::start(&mut oncue(&[
            "demo",
            "--bind",
            "tcp://127.0.0.1:0",
            "--every",
            "20ms",
            "--forever",
        ]));
        let endpoint = demo.endpoint();
        let classic = Program::start(python("classic.py").arg(&endpoint)).end();
        assert_eq!(classic.code, Some(0), "{classic:?}");
        let received = received(&classic.output);
        check(&received["s1"], &["a", "b"], 10);
        check(&received["s2"], &["b", "c"], 20);
        check(&received["zoo"], &["zebra"], 5);
        // The demo reports that the unknown topic was wanted and unwanted, and counts it in its summary.
        while !demo.line().contains("+ zebra") {}
        while !demo.line().contains("- zebra") {}
        demo.signal("INT");
        let end = demo.end();
        assert_eq!(end.code, Some(0));
        assert!(end.output.iter().any(|line| line.contains("produced on demand") && line.contains("zebra")));
    });
}

#[test]
fn the_demo_sends_a_single_frame() {
    within_a_minute(|| {
        let mut demo = Program::start(&mut oncue(&[
            "demo",
            "--bind",
            "tcp://127.0.0.1:0",
            "--every",
            "10ms",
            "--forever",
        ]));
        let mut peer = Foreign::new("SUB");
        peer.connect(&demo.endpoint());
        peer.subscribe(b"\xff\x00");
        let frames = peer.recv();
        let [frame] = &frames[..] else { panic!("{} frames", frames.len()) };
        assert!(frame.starts_with(b"\xff\x00 "), "{}", frame.escape_ascii());
        peer.subscribe(b"");
        while !peer.recv()[0].starts_with(b" ") {}
    });
}

#[test]
fn serve_sends_two_frames() {
    within_a_minute(|| {
        let mut serve =
            Program::start(&mut oncue(&["serve", "--bind", "tcp://127.0.0.1:0", "--every", "10ms"]));
        let mut peer = Foreign::new("SUB");
        peer.connect(&serve.endpoint());
        peer.subscribe(b"zebra");
        assert_eq!(serve.line(), "+ zebra");
        let mut last = 0;
        for _ in 0..3 {
            let frames = peer.recv();
            let [topic, number] = &frames[..] else { panic!("{} frames", frames.len()) };
            assert_eq!(topic, b"zebra");
            let number: u64 = String::from_utf8_lossy(number).parse().expect("the second frame is a number");
            assert!(last == 0 || number == last + 1, "{number} after {last}");
            last = number;
        }
        peer.kill();
        assert_eq!(serve.line(), "- zebra");
    });
}

#[test]
fn a_python_producer_and_a_python_subscriber_meet_through_the_command() {
    within_a_minute(|| {
        let mut producer = Program::start(&mut oncue(&["pub", "tcp://127.0.0.1:0"]));
        let mut peer = Foreign::new("SUB");
        peer.connect(&producer.endpoint());
        peer.subscribe(b"a\xff");
        assert_eq!(producer.line(), r"+a\xff");
        producer.write(b"a\xff\tone\x00\ttwo\n");
        assert_eq!(peer.recv(), [&b"a\xff"[..], b"one\x00\ttwo"]);
        peer.unsubscribe(b"a\xff");
        assert_eq!(producer.line(), r"-a\xff");
        producer.end_input();
        assert_eq!(producer.end().code, Some(0));
    });
}

#[test]
fn sub_prints_what_a_foreign_publisher_sends() {
    within_a_minute(|| {
        for bind in [false, true] {
            let mut peer = Foreign::new("XPUB");
            let mut sub = if bind {
                let mut sub = Program::start(&mut oncue(&[
                    "sub",
                    "tcp://127.0.0.1:0",
                    "--bind",
                    "--topic",
                    "a",
                    "--count",
                    "2",
                ]));
                peer.connect(&sub.endpoint());
                sub
            } else {
                let endpoint = peer.bind("tcp://127.0.0.1:*");
                Program::start(&mut oncue(&["sub", &endpoint, "--topic", "a", "--count", "2"]))
            };
            assert_eq!(peer.recv(), [b"\x01a"]);
            peer.send(&["a", "1"]);
            peer.send(&["b", "unwanted"]);
            peer.send(&[&b"a\n"[..], b"", b"\xff"]);
            assert_eq!(sub.line(), "a\t1");
            assert_eq!(sub.line(), "a\\x0a\t\t\\xff");
            assert_eq!(sub.end().code, Some(0));
        }
    });
}

#[test]
fn demand_shows_what_foreign_subscribers_want() {
    within_a_minute(|| {
        for connect in [false, true] {
            let mut peer = Foreign::new("SUB");
            let mut demand = if connect {
                let endpoint = peer.bind("tcp://127.0.0.1:*");
                Program::start(&mut oncue(&["demand", &endpoint, "--connect"]))
            } else {
                let mut demand = Program::start(&mut oncue(&["demand", "tcp://127.0.0.1:0"]));
                peer.connect(&demand.endpoint());
                demand
            };
            peer.subscribe(b"a");
            assert_eq!(demand.line(), "+ a");
            peer.kill();
            assert_eq!(demand.line(), "- a");
        }
    });
}
