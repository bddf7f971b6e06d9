//! What scripts may rely on: lines, exit statuses, signals and closed pipes. The other side is a socket of `oncue`; for other
//! implementations see lab/interop.

use std::process::Command;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, State, Sub, XPub, XPubEvent};
use oncue_interop::directory::Directory;
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version, message};
use oncue_interop::{PATIENCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:0";

fn oncue(args: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    Program::start(command.args(args))
}

/// A publisher on a free port.
fn publisher() -> (XPub, String) {
    let engine = Engine::start().expect("an engine");
    let socket = XPub::new(&engine, Options::new()).expect("a publisher");
    let endpoint = socket.bind(ANY_PORT).expect("a free port").to_string();
    (socket, endpoint)
}

/// A subscriber that connects to an endpoint.
fn subscriber(endpoint: &str, topics: &[&str]) -> Sub {
    let engine = Engine::start().expect("an engine");
    let options = Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    let socket = Sub::new(&engine, options).expect("a subscriber");
    for topic in topics {
        socket.subscribe(topic).expect("a subscription");
    }
    socket.connect(endpoint).expect("an endpoint to connect to");
    socket
}

/// Waits until this number of prefixes has a subscriber.
fn wanted(socket: &XPub, count: usize) {
    for _ in 0..count {
        let event = socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
        assert!(matches!(event, XPubEvent::Wanted(_)), "{event:?}");
    }
}

fn received(socket: &Sub) -> Vec<Vec<u8>> {
    let message = socket.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
    message.frames().map(<[u8]>::to_vec).collect()
}

#[test]
fn help_is_a_success_and_shows_an_example() {
    for words in [&["--help"][..], &["sub", "--help"], &["help", "pub"], &["demo", "-h"]] {
        let end = oncue(words).end();
        assert_eq!(end.code, Some(0), "{words:?}");
        assert!(end.output.iter().any(|line| line.starts_with("Example")), "{words:?}");
    }
}

#[test]
fn bad_usage_is_status_2_with_the_reason_on_standard_error() {
    let cases: [(&[&str], &str); 19] = [
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["sub"], "ENDPOINT"),
        (&["sub", "127.0.0.1:8888"], "transport"),
        (&["sub", "tcp://127.0.0.1"], "port"),
        (&["sub", "tcp://*:8888"], "only for binding"),
        (&["sub", "inproc://x"], "one process"),
        (&["sub", ANY_PORT], "port"),
        (&["sub", "tcp://h:1", "--count", "0"], "--count"),
        (&["sub", "tcp://h:1", "--timeout", "5"], "500ms"),
        (&["sub", "tcp://h:1", "--format", "xml"], "json"),
        (&["pub", "tcp://127.0.0.1:x"], "port"),
        (&["demand"], "ENDPOINT"),
        (&["serve", "--bind", ANY_PORT], "--every"),
        (&["demo", "--every", "0s"], "1ms"),
        (&["sub", "tcp://h:1", "--heartbeat", "never"], "500ms"),
        (&["pub", ANY_PORT, "--heartbeat", "9s", "--heartbeat-timeout", "9s"], "longer than --heartbeat"),
        (&["demand", ANY_PORT, "--heartbeat", "off", "--heartbeat-timeout", "9s"], "leave it out"),
        (&["serve", "x.toml", "--heartbeat", "9s"], "cannot be used with"),
    ];
    for (words, reason) in cases {
        let end = oncue(words).end();
        assert_eq!(end.code, Some(2), "{words:?}: {end:?}");
        assert!(end.errors.iter().any(|line| line.contains(reason)), "{words:?}: {end:?}");
        assert!(end.output.is_empty(), "{words:?}: {end:?}");
    }
}

#[test]
fn a_silent_subscriber_is_disconnected_unless_heartbeats_are_off() {
    let mut on = oncue(&["demand", ANY_PORT, "--heartbeat", "100ms", "--heartbeat-timeout", "1s"]);
    let mut off = oncue(&["demand", ANY_PORT, "--heartbeat", "off"]);
    let silent = [&mut on, &mut off].map(|demand| {
        let mut raw = Raw::connect(&demand.endpoint());
        raw.greet(Version::V3_1, "SUB", "XPUB");
        raw.subscribe(Version::V3_1, b"a");
        assert_eq!(demand.line(), "+ a");
        raw
    });
    assert_eq!(on.line(), "- a");
    assert_eq!(off.line_within(Duration::from_millis(200)), None);
    drop(silent);
    assert_eq!(off.line(), "- a");
}

#[test]
fn an_unknown_host_name_is_status_1() {
    let end = oncue(&["pub", "tcp://no.such.name:1"]).end();
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(end.errors.iter().any(|line| line.contains("no.such.name")), "{end:?}");
}

#[test]
fn an_endpoint_that_is_taken_is_status_1() {
    let (_taken, endpoint) = publisher();
    for words in [&["pub", &endpoint][..], &["demand", &endpoint], &["sub", &endpoint, "--bind"]] {
        let end = oncue(words).end();
        assert_eq!(end.code, Some(1), "{words:?}: {end:?}");
        assert!(end.errors.iter().any(|line| line.contains(&endpoint)), "{end:?}");
    }
    let end = oncue(&["demo", "--bind", &endpoint]).end();
    assert_eq!(end.code, Some(1));
    assert!(end.errors.iter().any(|line| line.contains("--bind")), "{end:?}");
}

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
fn a_steady_stream_does_not_put_off_the_end() {
    let (socket, endpoint) = publisher();
    let sub = oncue(&["sub", &endpoint, "--timeout", "500ms"]);
    wanted(&socket, 1);
    let deadline = Instant::now() + PATIENCE;
    while socket.wanted(b"") {
        socket.send("again").expect("a publisher sends");
        assert!(Instant::now() < deadline, "it goes on for ever");
    }
    assert_eq!(sub.end().code, Some(3));
}

#[test]
fn a_signal_ends_with_0_what_has_no_end_of_its_own_and_with_128_and_more_what_has() {
    let (_socket, endpoint) = publisher();
    let cases: [(&[&str], bool); 9] = [
        (&["sub", &endpoint], false),
        (&["demand", ANY_PORT], false),
        (&["serve", "--bind", ANY_PORT, "--every", "10ms"], false),
        (&["demo", "--bind", ANY_PORT, "--every", "10ms", "--forever"], false),
        (&["sub", &endpoint, "--count", "1"], true),
        (&["sub", &endpoint, "--timeout", "1h"], true),
        (&["sub", &endpoint, "--topic", "a", "--until-closed"], true),
        (&["pub", ANY_PORT], true),
        (&["demo", "--bind", ANY_PORT, "--every", "1h"], true),
    ];
    for (words, has_an_end) in cases {
        for (signal, number) in [("INT", 2), ("TERM", 15)] {
            let mut program = oncue(words);
            program.endpoint();
            program.signal(signal);
            let end = program.end();
            let expected = if has_an_end { 128 + number } else { 0 };
            assert_eq!(end.code, Some(expected), "{words:?} {signal}: {end:?}");
        }
    }
}

#[test]
fn a_closed_pipe_quietly_ends_what_works_for_its_reader() {
    let (socket, endpoint) = publisher();
    let cases: [&[&str]; 4] = [
        &["sub", &endpoint],
        &["pub", ANY_PORT],
        &["demand", ANY_PORT, "--json"],
        &["demo", "--bind", ANY_PORT, "--every", "10ms", "--forever"],
    ];
    for words in cases {
        let mut program = oncue(words);
        let theirs = program.endpoint();
        program.close_output();
        let subscriber = subscriber(&theirs, &[]);
        // Messages or changes of demand make it write lines, until it notices that nobody reads them.
        until("it ends", || {
            let _ = socket.send("noise");
            subscriber.subscribe("noise").expect("a subscription");
            subscriber.unsubscribe("noise").expect("the end of a subscription");
            program.has_ended()
        });
        let end = program.end();
        assert_eq!(end.code, Some(0), "{words:?}: {end:?}");
        let usual = ["oncue sub: connected to ", "oncue demand: this is a publisher"];
        let quiet = end.errors.iter().all(|line| usual.iter().any(|usual| line.starts_with(usual)));
        assert!(quiet, "{words:?}: {end:?}");
    }
}

#[test]
fn pub_publishes_lines_as_two_frames_and_prints_demand() {
    let mut program = oncue(&["pub", ANY_PORT]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(program.line(), "+a");
    program.write(b"a\t1\nb\tunwanted\na\ttwo\ttabs\na\xff\t\x00\r\n");
    assert_eq!(received(&subscriber), [b"a", b"1"]);
    assert_eq!(received(&subscriber), [&b"a"[..], b"two\ttabs"]);
    assert_eq!(received(&subscriber), [&b"a\xff"[..], b"\x00\r"]);
    subscriber.subscribe(b"b\t\xff").expect("a subscription");
    assert_eq!(program.line(), "+b\\x09\\xff");
    subscriber.unsubscribe("a").expect("the end of a subscription");
    assert_eq!(program.line(), "-a");
    drop(subscriber);
    assert_eq!(program.line(), "-b\\x09\\xff");
    program.signal("TERM");
    assert_eq!(program.end().code, Some(143));
}

#[test]
fn pub_reports_lines_without_a_tab_and_goes_on() {
    let mut program = oncue(&["pub", ANY_PORT]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(program.line(), "+a");
    program.write(b"a\t1\nno tab\n\na\t2");
    program.end_input();
    assert_eq!(received(&subscriber), [b"a", b"1"]);
    assert_eq!(received(&subscriber), [b"a", b"2"]);
    let end = program.end();
    assert_eq!(end.code, Some(0));
    let [first, second, total] = &end.errors[..] else { panic!("{end:?}") };
    assert!(first.contains("line 2") && second.contains("line 3"), "{end:?}");
    assert!(total.contains("2 lines published") && total.contains("2 skipped"), "{end:?}");
}

#[test]
fn pub_single_publishes_the_line_as_it_is() {
    let mut program = oncue(&["pub", ANY_PORT, "--single"]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(program.line(), "+a");
    program.write(b"a\t1\nanything\n");
    assert_eq!(received(&subscriber), [b"a\t1"]);
    assert_eq!(received(&subscriber), [b"anything"]);
}

#[test]
fn pub_takes_what_sub_prints_as_json_with_any_frames_and_bytes() {
    let mut program = oncue(&["pub", ANY_PORT, "--format", "json"]);
    let mut sub = oncue(&["sub", &program.endpoint(), "--format", "json", "--count", "2"]);
    assert_eq!(program.line(), "+");
    let all = r#"{"topic":"a","frames":["a","1","","two"]}"#;
    let bytes = "{\"topic\":\"b\",\"frames\":[\"b\",\"\\u0000\u{fffd}\"],\"frames_base64\":[null,\"AP8=\"]}";
    program.write(format!("{all}\nnot json\n{bytes}\n").as_bytes());
    assert_eq!((sub.line(), sub.line()), (all.to_owned(), bytes.to_owned()));
    assert_eq!(sub.end().code, Some(0));
    let line = program.error_line();
    assert!(line.starts_with("oncue pub: line 2 is not JSON: ") && line.ends_with(": skipped"), "{line}");
}

#[test]
fn pub_sends_one_message_to_the_first_subscriber() {
    let mut program =
        oncue(&["pub", ANY_PORT, "--wait-subscriber", "20s", "-t", r"a\x01", "-m", "hello", "-m", "-x"]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(received(&subscriber), [&b"a\x01"[..], b"hello", b"-x"]);
    let end = program.end();
    assert_eq!((end.code, &end.output[..]), (Some(0), &["+a".to_owned()][..]));
    assert_eq!(end.errors, ["oncue pub: 1 message published"]);
}

#[test]
fn pub_waits_for_a_subscriber_of_its_message() {
    let mut program = oncue(&["pub", ANY_PORT, "--wait-subscriber", "20s", "-t", "a", "-m", "hello"]);
    let subscriber = subscriber(&program.endpoint(), &["b"]);
    assert_eq!(program.line(), "+b");
    std::thread::sleep(Duration::from_millis(100));
    assert!(!program.has_ended());
    subscriber.subscribe("a").expect("a subscription");
    assert_eq!(received(&subscriber), [&b"a"[..], b"hello"]);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn pub_ends_with_3_when_no_subscriber_comes() {
    let end = oncue(&["pub", ANY_PORT, "--wait-subscriber", "200ms", "-t", "a"]).end();
    assert_eq!(end.code, Some(3), "{end:?}");
    assert!(end.errors.iter().any(|line| line.contains("no subscriber came")), "{end:?}");
}

#[test]
fn pub_says_how_many_lines_nobody_took() {
    let mut program = oncue(&["pub", ANY_PORT]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(program.line(), "+a");
    program.write(b"a\t1\nb\t1\nc\t1\na\t2\n");
    program.end_input();
    assert_eq!(
        (received(&subscriber), received(&subscriber)),
        (vec![b"a".to_vec(), b"1".to_vec()], vec![b"a".to_vec(), b"2".to_vec()])
    );
    let end = program.end();
    let said = "oncue pub: 4 lines published; nobody subscribed to 2 of them (see --wait-subscriber)";
    assert_eq!((end.code, end.errors), (Some(0), vec![said.to_owned()]));
}

#[test]
fn pub_drops_for_a_slow_subscriber_unless_it_must_not_and_counts_after_the_linger() {
    const LINES: usize = 3000;
    for (words, complete) in [(&["--hwm", "10"][..], false), (&["--hwm", "10", "--no-drop"], true)] {
        let mut program =
            oncue(&[&["pub", ANY_PORT, "--linger", if complete { "20s" } else { "0s" }], words].concat());
        let endpoint = program.endpoint();
        let mut raw = Raw::connect(&endpoint);
        raw.greet(Version::V3_1, "SUB", "XPUB");
        raw.subscribe(Version::V3_1, b"a");
        assert_eq!(program.line(), "+a");
        let input: Vec<u8> =
            (0..LINES).flat_map(|number| format!("a\t{number:04000}\n").into_bytes()).collect();
        let writer = std::thread::spawn(move || {
            program.write(&input);
            program.end_input();
            program.end()
        });
        // A subscriber that is slow, or reads nothing.
        std::thread::sleep(Duration::from_millis(300));
        if complete {
            raw.read(LINES * message(&[b"a", &[b'0'; 4000]]).len());
            // It reads the end of the connection, and ends it too.
            raw.expect_end();
            drop(raw);
        } else {
            // It stays until the publisher has ended.
            std::mem::forget(raw);
        }
        let end = writer.join().expect("it ends");
        let said = end.errors.first().expect("a summary").clone();
        assert!(said.contains("3000 lines published"), "{end:?}");
        assert_eq!(complete, !said.contains("slow subscribers missed"), "{end:?}");
    }
}

#[test]
fn pub_lingers_until_all_is_taken() {
    // Fewer messages than the high-water mark, so that none is missed; more bytes than the connection buffers.
    const LINES: usize = 900;
    let value = |number: usize| format!("{number:02000}");
    let mut program = oncue(&["pub", ANY_PORT, "--linger", "20s"]);
    let endpoint = program.endpoint();
    let engine = Engine::start().expect("an engine");
    let socket = Sub::new(&engine, Options::new()).expect("a subscriber");
    socket.subscribe("a").expect("a subscription");
    socket.connect(&endpoint).expect("an endpoint to connect to");
    assert_eq!(program.line(), "+a");
    let lines: String = (0..LINES).map(|number| format!("a\t{}\n", value(number))).collect();
    program.write(lines.as_bytes());
    program.end_input();
    for number in 0..LINES {
        assert_eq!(received(&socket), [b"a", value(number).as_bytes()]);
    }
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn pub_and_demand_connect_to_subscribers_that_bind() {
    let engine = Engine::start().expect("an engine");
    for words in [["pub", "+a"], ["demand", "+ a"]] {
        let [name, expected] = words;
        let socket = Sub::new(&engine, Options::new()).expect("a subscriber");
        socket.subscribe("a").expect("a subscription");
        let endpoint = socket.bind(ANY_PORT).expect("a free port").to_string();
        let mut program = oncue(&[name, &endpoint, "--connect"]);
        assert_eq!(program.error_line(), format!("oncue {name}: connecting to {endpoint}"));
        let connected = format!("oncue {name}: connected to {endpoint}");
        let mut said = vec![program.error_line()];
        if name == "demand" {
            said.push(program.error_line());
            let what =
                "oncue demand: this is a publisher that sends nothing: it shows what its subscribers want";
            assert!(said.contains(&what.to_owned()), "{said:?}");
        }
        assert!(said.contains(&connected), "{said:?}");
        assert_eq!(program.line(), expected);
    }
}

#[test]
fn demand_prints_edges_across_subscribers() {
    let mut text = oncue(&["demand", ANY_PORT]);
    let endpoint = text.endpoint();
    let first = subscriber(&endpoint, &["a"]);
    assert_eq!(text.line(), "+ a");
    let second = subscriber(&endpoint, &["a", "b"]);
    assert_eq!(text.line(), "+ b");
    drop(first);
    second.subscribe("").expect("a subscription");
    assert_eq!(text.line(), "+ ");
    second.unsubscribe("a").expect("the end of a subscription");
    assert_eq!(text.line(), "- a");
}

#[test]
fn demand_prints_json() {
    let mut program = oncue(&["demand", ANY_PORT, "--json"]);
    let subscriber = subscriber(&program.endpoint(), &["a"]);
    assert_eq!(program.line(), r#"{"event":"wanted","prefix":"a","peers":1}"#);
    subscriber.unsubscribe("a").expect("the end of a subscription");
    assert_eq!(program.line(), r#"{"event":"unwanted","prefix":"a","peers":0}"#);
    subscriber.subscribe(b"\xff\"").expect("a subscription");
    let line = program.line();
    assert_eq!(
        line,
        "{\"event\":\"wanted\",\"prefix\":\"\u{fffd}\\\"\",\"prefix_base64\":\"/yI=\",\"peers\":1}"
    );
}

#[test]
fn serve_counts_for_subscribers() {
    let mut program = oncue(&["serve", "--bind", ANY_PORT, "--every", "10ms"]);
    let subscriber = subscriber(&program.endpoint(), &["zebra"]);
    assert_eq!(program.line(), "+ zebra");
    let numbers: Vec<u64> = (0..3)
        .map(|_| {
            let frames = received(&subscriber);
            let [topic, number] = &frames[..] else { panic!("{} frames", frames.len()) };
            assert_eq!(topic, b"zebra");
            String::from_utf8_lossy(number).parse().expect("the second frame is a number")
        })
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    drop(subscriber);
    assert_eq!(program.line(), "- zebra");
}

#[test]
fn the_demo_ends_when_both_have_left_and_sums_up() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "60ms"]);
    let endpoint = program.endpoint();
    assert!(program.line().contains("produces only what somebody subscribes to"));
    assert!(program.line().contains(&format!("sub {endpoint} --topic")));
    let end = program.end();
    assert_eq!(end.code, Some(0));
    let count = |text: &str| end.output.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("s1         receives"), count("s2         receives")), (10, 20));
    for topic in ["a", "b", "c"] {
        assert_eq!(
            (count(&format!("+ {topic} ")), count(&format!("- {topic} "))),
            (1, 1),
            "{topic}: {end:?}"
        );
    }
    // The values that were produced, and those that would have been, are counted in the lines.
    let number = |line: &String| line.split_once("tick ")?.1.split_once(':')?.0.parse::<usize>().ok();
    let ticks = end.output.iter().filter_map(number).max().expect("a tick");
    let values: usize = end
        .output
        .iter()
        .filter(|line| line.contains("sends"))
        .map(|line| line.matches('"').count() / 2)
        .sum();
    let summary = |what: &str| {
        let line = end
            .output
            .iter()
            .find(|line| line.trim_start().starts_with(what))
            .expect("a line of the summary");
        let number = line.split_whitespace().find_map(|word| word.parse::<usize>().ok());
        number.expect("a number in the line")
    };
    assert_eq!(summary("Summary"), ticks);
    assert_eq!(summary("produced on demand"), values);
    assert_eq!(summary("without demand"), 3 * ticks);
    assert_eq!(summary("saved"), 3 * ticks - values);
}

#[test]
fn the_demo_serves_other_subscribers() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "10ms", "--forever"]);
    let subscriber = subscriber(&program.endpoint(), &["zebra"]);
    for _ in 0..3 {
        let frames = received(&subscriber);
        let [frame] = &frames[..] else { panic!("{} frames", frames.len()) };
        let number = frame.strip_prefix(b"zebra ").expect("the topic and a blank");
        assert!(!number.is_empty() && number.iter().all(u8::is_ascii_digit));
    }
    program.signal("INT");
    let end = program.end();
    assert_eq!(end.code, Some(0));
    assert!(
        end.output.iter().any(|line| line.contains("produced on demand") && line.contains("zebra")),
        "{end:?}"
    );
}

#[test]
fn a_second_signal_ends_what_lingers() {
    let mut program = oncue(&["pub", ANY_PORT, "--linger", "1h"]);
    // A peer that never reads: the messages cannot all be sent.
    let mut raw = Raw::connect(&program.endpoint());
    raw.greet(Version::V3_1, "SUB", "XPUB");
    raw.subscribe(Version::V3_1, b"a");
    assert_eq!(program.line(), "+a");
    let line = [&b"a\t"[..], &vec![b'x'; 1 << 20], b"\n"].concat();
    for _ in 0..32 {
        program.write(&line);
    }
    // The first signal ends the input, the second one the linger.
    program.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!program.has_ended());
    program.signal("INT");
    let end = program.end();
    assert_eq!(end.code, Some(1), "{end:?}");
    let said = end.errors.last().expect("a line");
    assert!(said.starts_with("oncue pub: ") && said.ends_with(" messages not delivered"), "{end:?}");
}

#[test]
fn three_signals_end_it_at_once_and_leave_no_file() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let endpoint = format!("ipc://{}", path.display());
    for words in [
        &["pub", &endpoint, "--linger", "1h"][..],
        &["demand", &endpoint],
        &["serve", "--bind", &endpoint, "--every", "1ms"],
        &["demo", "--bind", &endpoint, "--every", "1ms", "--forever"],
    ] {
        for signal in ["INT", "TERM"] {
            let mut program = oncue(words);
            until("it is bound", || path.exists());
            // Each may end it before the next one comes.
            until("it ends", || {
                program.signal(signal);
                program.has_ended()
            });
            let code = program.end().code;
            assert!([Some(0), Some(130), Some(143)].contains(&code), "{words:?} {signal}: {code:?}");
            assert!(!path.exists(), "{words:?} {signal}: its file is left");
        }
    }
}

#[test]
fn no_file_stays_however_it_ends() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let endpoint = format!("ipc://{}", path.display());
    let nowhere = format!("ipc://{}", directory.path("none/socket").display());
    let config = directory.write(
        "oncue.toml",
        &format!("bind = ['{endpoint}', '{nowhere}']\n[[route]]\ntopic = 'a'\nfile = 'a'\n"),
    );
    let cases: [(&[&str], Option<&str>, i32); 6] = [
        (&["sub", "--bind", &endpoint, "--timeout", "200ms"], None, 3),
        (&["sub", "--bind", &endpoint, "--count", "1"], Some("TERM"), 143),
        (&["sub", "--bind", &endpoint, &nowhere], None, 1),
        (&["pub", &endpoint, "--wait-subscriber", "200ms"], None, 3),
        (&["pub", &endpoint, "--wait-subscriber", "1h"], Some("INT"), 130),
        (&["serve", config.to_str().expect("text")], None, 1),
    ];
    for (words, signal, code) in cases {
        let mut program = oncue(words);
        if let Some(signal) = signal {
            program.endpoint();
            program.signal(signal);
        }
        let end = program.end();
        assert_eq!(end.code, Some(code), "{words:?}: {end:?}");
        assert!(!path.exists(), "{words:?}: its file is left");
    }
}

#[test]
fn pub_reads_a_pipe_that_does_not_block() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&reader, true).expect("a pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    let command = command.args(["pub", ANY_PORT]).stdin(reader).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("the command");
    std::thread::sleep(Duration::from_millis(300));
    std::io::Write::write_all(&mut writer, b"a\t1\n").expect("it reads");
    drop(writer);
    let end = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&end.stderr);
    assert!(end.status.success() && said.contains("1 line published"), "{said}");
}

#[test]
fn sub_ends_in_time_although_nobody_reads_it_and_counts_what_was_not_written() {
    let (socket, endpoint) = publisher();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    command.args(["sub", &endpoint, "--timeout", "1s"]).stdout(writer).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("the command");
    // It holds the other end of the pipe.
    drop(command);
    wanted(&socket, 1);
    let started = Instant::now();
    // At once, so that they are written together: a pipe takes a part of them.
    let mut batch = oncue::Batch::new();
    for number in 0..100 {
        batch.push(format!("{number:0200}")).expect("a message");
    }
    socket.send_many(&mut batch).expect("a publisher sends");
    let end = child.wait_with_output().expect("its end");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(end.status.code(), Some(3));
    let mut written = Vec::new();
    std::io::Read::read_to_end(&mut { reader }, &mut written).expect("what was written");
    let lines = written.iter().filter(|byte| **byte == b'\n').count();
    let said = String::from_utf8_lossy(&end.stderr);
    assert!(
        said.contains(&format!("{} lines of standard output not written", 100 - lines)),
        "{lines}: {said}"
    );
}

#[test]
fn a_closed_terminal_ends_what_does_not_read_its_config_again() {
    let (_socket, endpoint) = publisher();
    for (words, code) in [
        (&["sub", &endpoint][..], 0),
        (&["pub", ANY_PORT], 129),
        (&["demand", ANY_PORT], 0),
        (&["serve", "--bind", ANY_PORT, "--every", "10ms"], 0),
    ] {
        // The tests may run where it is ignored.
        let mut command = Command::new("env");
        let mut program =
            Program::start(command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_oncue")]).args(words));
        program.endpoint();
        program.signal("HUP");
        assert_eq!(program.end().code, Some(code), "{words:?}");
    }
    let mut command = Command::new("env");
    let words = ["--ignore-signal=HUP", env!("CARGO_BIN_EXE_oncue"), "demand", ANY_PORT];
    let mut nohup = Program::start(command.args(words));
    nohup.endpoint();
    nohup.signal("HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert!(!nohup.has_ended(), "nohup");
}

#[test]
fn pub_says_how_many_messages_its_linger_did_not_deliver() {
    let mut program = oncue(&["pub", ANY_PORT, "--linger", "200ms"]);
    // A peer that never reads.
    let mut raw = Raw::connect(&program.endpoint());
    raw.greet(Version::V3_1, "SUB", "XPUB");
    raw.subscribe(Version::V3_1, b"a");
    assert_eq!(program.line(), "+a");
    let line = [&b"a\t"[..], &vec![b'x'; 1 << 20], b"\n"].concat();
    for _ in 0..16 {
        program.write(&line);
    }
    program.end_input();
    let end = program.end();
    let [published, undelivered] = &end.errors[..] else { panic!("{end:?}") };
    assert_eq!((end.code, published.as_str()), (Some(1), "oncue pub: 16 lines published"));
    let number =
        undelivered.strip_prefix("oncue pub: ").and_then(|rest| rest.strip_suffix(" messages not delivered"));
    let number: u32 = number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{end:?}"));
    assert!((1..=16).contains(&number), "{end:?}");
    drop(raw);
}

#[test]
fn a_subscriber_beyond_the_bound_is_turned_away_and_a_line_says_so() {
    for words in
        [&["demand", "--peers-max", "1", ANY_PORT][..], &["pub", "--peers-per-address-max", "1", ANY_PORT]]
    {
        let mut program = oncue(words);
        let endpoint = program.endpoint();
        let _first = subscriber(&endpoint, &["a"]);
        assert!(program.line().ends_with('a'));
        let second = subscriber(&endpoint, &["b"]);
        let mut line = program.error_line();
        if line.contains("this is a publisher") {
            line = program.error_line();
        }
        let bound = words[1].trim_start_matches("--").replace('-', "_");
        assert!(line.contains("turned away: ") && line.contains(&format!("beyond {bound}")), "{line}");
        // It connects again and again, and no second line is written.
        until("the second one is refused again", || second.stats().peers_refused > 3);
        program.signal("TERM");
        let rest = program.end().errors;
        assert!(!rest.iter().any(|line| line.contains("turned away")), "{rest:?}");
    }
}
