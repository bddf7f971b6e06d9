//! `oncue sub`: what it prints, and when it ends.

use std::process::Command;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, State, XPub, XPubEvent};
use oncue_interop::{PATIENCE, until};

use super::{ANY_PORT, oncue, publisher, wanted};

#[test]
fn sub_says_where_it_is_connected_and_ends_after_the_count() {
    let (socket, endpoint) = publisher();
    let mut sub = oncue(&["sub", &endpoint, "--topic", "a", "--topic", "b", "--count", "3"]);
    assert_eq!(sub.error_line(), format!("oncue sub: connecting to {endpoint}"));
    assert_eq!(sub.error_line(), format!("oncue sub: connected to {endpoint}"));
    wanted(&socket, 2);
    for frames in [["a", "1"], ["c", "unwanted"], ["b", "2"], ["a", "\u{7}"], ["a", "too late"]] {
        socket.send(frames).expect("a publisher sends");
    }
    let end = sub.end();
    assert_eq!(
        (end.code, &end.output[..]),
        (Some(0), &["a\t1".into(), "b\t2".into(), "a\t\\x07".into()][..])
    );
}

#[test]
fn sub_without_topics_takes_everything_from_all_endpoints() {
    let ((first, one), (second, two)) = (publisher(), publisher());
    let mut sub = oncue(&["sub", &one, &two, "--count", "2"]);
    wanted(&first, 1);
    wanted(&second, 1);
    first.send("").expect("a publisher sends");
    assert_eq!(sub.line(), "");
    second.send("anything").expect("a publisher sends");
    assert_eq!(sub.line(), "anything");
    assert_eq!(sub.end().code, Some(0));
}

#[test]
fn sub_takes_topics_of_any_bytes() {
    let (socket, endpoint) = publisher();
    let mut sub = oncue(&["sub", &endpoint, "--topic", r"\xff\x00", "--topic", "--count", "--count", "2"]);
    wanted(&socket, 2);
    socket.send([b"\xff\x00", &b"payload"[..]]).expect("a publisher sends");
    assert_eq!(sub.line(), "\\xff\\x00\tpayload");
    socket.send("--count").expect("a publisher sends");
    assert_eq!(sub.line(), "--count");
    assert_eq!(sub.end().code, Some(0));
}

#[test]
fn sub_prints_different_bytes_differently() {
    let (socket, endpoint) = publisher();
    let mut sub = oncue(&["sub", &endpoint, "--topic", "a", "--count", "3"]);
    wanted(&socket, 1);
    for topic in [&b"a\n"[..], br"a\x0a", br"a\\x0a"] {
        socket.send(topic).expect("a publisher sends");
    }
    let printed = [sub.line(), sub.line(), sub.line()];
    assert_eq!(printed, [r"a\x0a", r"a\\x0a", r"a\\\\x0a"]);
    assert_eq!(sub.end().code, Some(0));
    // What is printed subscribes to just that.
    for (text, topic) in printed.iter().zip([&b"a\n"[..], br"a\x0a", br"a\\x0a"]) {
        let _sub = oncue(&["sub", &endpoint, "--topic", text]);
        let event = socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
        if let XPubEvent::Unwanted(_) = event {
            let event = socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
            assert_eq!(event, XPubEvent::Wanted(topic.to_vec().into()), "{text}");
        } else {
            assert_eq!(event, XPubEvent::Wanted(topic.to_vec().into()), "{text}");
        }
    }
}

#[test]
fn sub_ends_when_all_its_topics_are_closed() {
    let (socket, endpoint) = publisher();
    let mut sub = oncue(&["sub", &endpoint, "--topic", "a", "--topic", "b", "--until-closed"]);
    wanted(&socket, 2);
    let tell = |topic: &str, state| socket.set_state(topic, state, "").expect("a state");
    tell("a", State::Closed);
    tell("other", State::Closed);
    tell("a", State::Active);
    tell("b", State::Closed);
    socket.send(["a", "1"]).expect("a publisher sends");
    assert_eq!(sub.line(), "a\t1");
    std::thread::sleep(Duration::from_millis(100));
    assert!(!sub.has_ended());
    tell("a", State::Closed);
    assert_eq!(sub.end().code, Some(0));
}

#[test]
fn sub_latest_prints_the_newest_of_each_topic_to_a_slow_reader() {
    const MESSAGES: usize = 200_000;
    let engine = Engine::start().expect("an engine");
    // No bound, so that the publisher drops nothing.
    let socket =
        XPub::new(&engine, Options::new().send_hwm(0).outbox_bytes_max(1 << 30)).expect("a publisher");
    let endpoint = socket.bind(ANY_PORT).expect("a free port").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    command.args(["sub", &endpoint, "--latest"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command");
    wanted(&socket, 1);
    for number in 0..MESSAGES {
        socket.send([format!("t{}", number % 2), format!("{number:0100}")]).expect("a publisher sends");
    }
    until("all is delivered", || socket.stats().delivered == MESSAGES as u64);
    // Now the reader begins.
    let mut output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut lines, mut last) = (0, [0, 0]);
    while last != [MESSAGES - 2, MESSAGES - 1] {
        let mut line = String::new();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).expect("a line") > 0, "{last:?}");
        let (topic, number) = line.trim().split_once('\t').expect("a topic and a number");
        last[usize::from(topic == "t1")] = number.parse().expect("a number");
        lines += 1;
    }
    assert!(lines < MESSAGES / 2, "{lines} lines");
    child.kill().and_then(|()| child.wait()).expect("our own program");
}

#[test]
fn sub_writes_json_and_raw() {
    let (socket, endpoint) = publisher();
    let mut json = oncue(&["sub", &endpoint, "--topic", "j", "--format", "json", "--count", "2"]);
    let mut raw = oncue(&["sub", &endpoint, "--topic", "r", "--format", "raw", "--count", "1"]);
    wanted(&socket, 2);
    socket.send(["j", "say \"hi\""]).expect("a publisher sends");
    socket.send([b"j", &b"\xff"[..]]).expect("a publisher sends");
    socket.send([b"r", &b"\xff\x00"[..]]).expect("a publisher sends");
    assert_eq!(json.line(), r#"{"topic":"j","frames":["j","say \"hi\""]}"#);
    assert_eq!(
        json.line(),
        "{\"topic\":\"j\",\"frames\":[\"j\",\"\u{fffd}\"],\"frames_base64\":[null,\"/w==\"]}"
    );
    assert_eq!(raw.bytes(), b"r\t\xff\x00");
    assert_eq!((json.end().code, raw.end().code), (Some(0), Some(0)));
}

#[test]
fn sub_binds_for_publishers_that_connect() {
    let mut sub = oncue(&["sub", ANY_PORT, "--bind", "--count", "1"]);
    let line = sub.error_line();
    let endpoint = line.strip_prefix("oncue sub: bound to ").expect("where it is bound");
    let engine = Engine::start().expect("an engine");
    let socket = XPub::new(&engine, Options::new()).expect("a publisher");
    socket.connect(endpoint).expect("an endpoint to connect to");
    wanted(&socket, 1);
    socket.send("hello").expect("a publisher sends");
    assert_eq!(sub.line(), "hello");
    assert_eq!(sub.end().code, Some(0));
}

#[test]
fn sub_ends_with_3_when_the_time_is_over() {
    let (socket, endpoint) = publisher();
    let started = Instant::now();
    let sub = oncue(&["sub", &endpoint, "--count", "2", "--timeout", "700ms"]);
    wanted(&socket, 1);
    socket.send("one").expect("a publisher sends");
    let end = sub.end();
    assert_eq!((end.code, &end.output[..]), (Some(3), &["one".to_owned()][..]));
    assert!(started.elapsed() >= Duration::from_millis(700));
    assert!(end.errors.iter().any(|line| line.contains("1 of 2")), "{end:?}");
}

#[test]
fn sub_tells_at_the_end_what_came_from_each_publisher() {
    for format in ["text", "json"] {
        let (socket, endpoint) = publisher();
        let sub = oncue(&["sub", &endpoint, "--stats", "--count", "2", "--format", format]);
        wanted(&socket, 1);
        socket.send(["a", "1"]).expect("a publisher sends");
        socket.send(["a", "2"]).expect("a publisher sends");
        let end = sub.end();
        assert_eq!(end.code, Some(0));
        let (words, json) = (end.errors.last().expect("a line"), end.output.last().expect("a line"));
        match format {
            "json" => {
                let [.., all, _] = &end.output[..] else { panic!("{end:?}") };
                let all: serde_json::Value = serde_json::from_str(all).expect("JSON");
                assert_eq!((&all["messages"], &all["frame_bytes"]), (&2.into(), &4.into()));
                assert!(all["messages_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{all}");
                let stats: serde_json::Value = serde_json::from_str(json).expect("JSON");
                assert_eq!(stats["endpoint"], endpoint.as_str());
                assert_eq!((&stats["received"], &stats["missed"]), (&2.into(), &0.into()));
                assert_eq!(end.output.len(), 4);
            }
            _ => {
                assert_eq!(*words, format!("oncue sub: {endpoint}: 2 messages, 12 bytes, 0 missed"));
                let all = &end.errors[end.errors.len() - 2];
                assert!(all.starts_with("oncue sub: 2 messages, 4 bytes in their frames in 0."), "{all}");
                assert!(all.contains(" messages/s, ") && all.ends_with(" bytes/s"), "{all}");
            }
        }
    }
}
