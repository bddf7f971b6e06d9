//! `oncue pub`: what it publishes, and what it says about that.

use std::process::Command;
use std::time::Duration;

use oncue::{Engine, Options, Sub};
use oncue_interop::raw::{Raw, Version, message};

use super::{ANY_PORT, oncue, received, subscriber};

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
fn pub_waits_for_as_many_subscribers_as_it_is_told() {
    let mut program = oncue(&[
        "pub",
        ANY_PORT,
        "--wait-subscriber",
        "20s",
        "--wait-subscribers",
        "2",
        "-t",
        "ab",
        "-m",
        "hello",
    ]);
    let endpoint = program.endpoint();
    let (first, other) = (subscriber(&endpoint, &["a", "ab"]), subscriber(&endpoint, &["b"]));
    let mut lines = [program.line(), program.line(), program.line()];
    lines.sort();
    assert_eq!(lines, ["+a", "+ab", "+b"]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!program.has_ended(), "one of both would not get it");
    let second = subscriber(&endpoint, &[""]);
    assert_eq!(received(&first), [&b"ab"[..], b"hello"]);
    assert_eq!(received(&second), [&b"ab"[..], b"hello"]);
    assert_eq!(program.end().code, Some(0));
    drop(other);
    // The topics of lines are not known before they are read: any subscription counts, and nothing limits the time.
    let mut program = oncue(&["pub", ANY_PORT, "--wait-subscribers", "2"]);
    program.write(b"a\t1\nb\t1\n");
    program.end_input();
    let endpoint = program.endpoint();
    let first = subscriber(&endpoint, &["a", "c"]);
    assert!(program.line().starts_with('+') && program.line().starts_with('+'));
    std::thread::sleep(Duration::from_millis(100));
    assert!(!program.has_ended());
    let second = subscriber(&endpoint, &["b"]);
    assert_eq!(
        (received(&first), received(&second)),
        (vec![b"a".to_vec(), b"1".to_vec()], vec![b"b".to_vec(), b"1".to_vec()])
    );
    assert_eq!(program.end().code, Some(0));
    let end = oncue(&["pub", ANY_PORT, "--wait-subscriber", "100ms", "--wait-subscribers", "3"]).end();
    assert_eq!(end.code, Some(3), "{end:?}");
    assert!(end.errors.iter().any(|line| line.contains("fewer than 3 subscribers came")), "{end:?}");
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
fn pub_says_that_it_waits_if_that_takes_long() {
    let mut waiting = oncue(&["pub", ANY_PORT, "--wait-subscriber", "1m"]);
    let mut lingering = oncue(&["pub", ANY_PORT, "--linger", "1m"]);
    // A peer that never reads.
    let mut raw = Raw::connect(&lingering.endpoint());
    raw.greet(Version::V3_1, "SUB", "XPUB");
    raw.subscribe(Version::V3_1, b"a");
    assert_eq!(lingering.line(), "+a");
    lingering.write(&[b"a\t", &[b'x'; 16 << 20][..], b"\n"].concat());
    lingering.end_input();
    assert_eq!(
        lingering.error_line(),
        "oncue pub: subscribers have not taken everything yet; waiting for at most 60s"
    );
    waiting.endpoint();
    assert_eq!(
        waiting.error_line(),
        "oncue pub: waiting for 1 subscriber, 3s of at most 60s; 0 peers connected"
    );
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
