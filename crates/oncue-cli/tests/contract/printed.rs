//! `oncue sub`: how messages are printed, written into files, and counted.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use oncue_interop::directory::Directory;
use serde_json::Value;

use super::{ANY_PORT, oncue, publisher, received, subscriber, wanted};

/// What `oncue sub` prints with these options after the endpoint, and at its end on standard error, when these messages come.
fn printed(words: &[&str], messages: &[&[&str]]) -> (Vec<String>, Vec<String>) {
    let (socket, endpoint) = publisher();
    let count = messages.len().to_string();
    let sub = oncue(&[&["sub", &endpoint, "--count", &count], words].concat());
    wanted(&socket, 1);
    for frames in messages {
        socket.send(*frames).expect("a publisher sends");
    }
    let end = sub.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    (end.output, end.errors)
}

/// Whether a text is RFC 3339 in UTC with microseconds.
fn is_time(text: &str) -> bool {
    let digits = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect::<Vec<_>>();
    digits == b"0000-00-00T00:00:00.000000Z"
}

#[test]
fn one_frame_is_printed_alone() {
    let messages: &[&[&str]] = &[&["a", "1", "\t2"], &["b"]];
    assert_eq!(printed(&["--value"], messages).0, ["1", ""]);
    assert_eq!(printed(&["--frame", "2"], messages).0, ["\\x092", ""]);
    assert_eq!(printed(&["--frame", "0"], messages).0, ["a", "b"]);
    let json =
        printed(&["--value", "--format", "json"], &[&["a", "{\"x\": 1.10}"], &["a", "text"], &["a"]]).0;
    assert_eq!(
        json,
        [r#"{"topic":"a","value":{"x": 1.10}}"#, r#"{"topic":"a","value":"text"}"#, r#"{"topic":"a"}"#]
    );
}

#[test]
fn a_time_is_printed_before_each_message() {
    let messages: &[&[&str]] = &[&["a", "1"], &["a", "2"]];
    for line in printed(&["--time"], messages).0 {
        let (time, rest) = line.split_once('\t').expect("a tab");
        assert!(is_time(time) && rest.starts_with("a\t"), "{line}");
    }
    let deltas = printed(&["--time=delta", "--value"], messages).0;
    assert_eq!(deltas[0], "+0.000000\t1");
    let (delta, value) = deltas[1].split_once('\t').expect("a tab");
    assert!(delta.parse::<f64>().is_ok_and(|delta| delta > 0.0) && value == "2", "{deltas:?}");
    let json = printed(&["--time", "--format", "json"], messages).0;
    let line: Value = serde_json::from_str(&json[0]).expect("JSON");
    assert!(line["time"].as_str().is_some_and(is_time) && line["topic"] == "a", "{line}");
    let json = printed(&["--time=delta", "--format", "json"], messages).0;
    let line: Value = serde_json::from_str(&json[1]).expect("JSON");
    assert!(line["delta"].as_f64().is_some_and(|delta| delta > 0.0), "{line}");
}

#[test]
fn a_template_says_how_messages_are_printed() {
    let messages: &[&[&str]] = &[&["a/b", "1", "x"], &["c\n", "22"]];
    let lines = printed(&["-F", "%n:%t=%v [%2] %s%%\\t%0"], messages).0;
    assert_eq!(lines, ["1:a/b=1 [x] 5%\ta/b", "2:c\\x0a=22 [] 4%\tc\\x0a"]);
    let lines = printed(&["-F", "%T %d"], messages).0;
    let (time, delta) = lines[0].split_once(' ').expect("a blank");
    assert!(is_time(time) && delta == "0.000000", "{lines:?}");
    assert_eq!(printed(&["-F", "%v", "--format", "raw"], &[&["a", "\u{7}\\"]]).0, ["\u{7}\\"]);
}

#[test]
fn pub_reads_what_sub_prints_as_json_with_times_and_values() {
    let mut program = oncue(&["pub", ANY_PORT, "--format", "json"]);
    let end = subscriber(&program.endpoint(), &[""]);
    assert_eq!(program.line(), "+");
    for words in [&["--time"][..], &["--time=delta", "--value"], &["--value"]] {
        for value in ["1.10", "[1, 2]", "text"] {
            let line = printed(&[&["--format", "json"], words].concat(), &[&["a", value]]).0.remove(0);
            program.write(format!("{line}\n").as_bytes());
            assert_eq!(received(&end), [b"a", value.as_bytes()], "{line}");
        }
    }
}

#[test]
fn quiet_prints_no_message_and_counts_all_the_same() {
    let (output, errors) = printed(&["--quiet", "--stats"], &[&["a", "1"], &["a", "2"]]);
    assert!(output.is_empty(), "{output:?}");
    assert!(errors.iter().any(|line| line.contains("2 messages, 4 bytes in their frames")), "{errors:?}");
}

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for() {
    let messages: &[&[&str]] = &[&["a", "1"]];
    for (words, line) in [
        (&[][..], "a\t1"),
        (&["--color", "auto"], "a\t1"),
        (&["--color", "never"], "a\t1"),
        (&["--color", "always"], "\x1b[1ma\x1b[0m\t1"),
        (&["--color", "always", "--format", "json"], r#"{"topic":"a","frames":["a","1"]}"#),
    ] {
        assert_eq!(printed(words, messages).0, [line], "{words:?}");
    }
}

#[test]
fn messages_are_dumped_into_files_within_the_directory() {
    let place = Directory::new();
    let directory = place.path("deep/dump");
    let dir = directory.display().to_string();
    let messages: &[&[&str]] = &[&["../../x", "1"], &["b", "\0two", "3"], &["b"]];
    let paths = printed(&["--dump", &dir], messages).0;
    let names = ["000001-..%2F..%2Fx", "000002-b", "000003-b"];
    assert_eq!(paths, names.map(|name| format!("{dir}/{name}")));
    let read = |name: &str| fs::read(directory.join(name)).expect("a file");
    assert_eq!(names.map(read), [b"1".to_vec(), b"\0two".to_vec(), b"".to_vec()]);
    // What is there is kept, and another frame may be chosen.
    let paths = printed(&["--dump", &dir, "--quiet", "--frame", "2"], messages).0;
    assert!(paths.is_empty(), "{paths:?}");
    assert_eq!((read("000002-b"), read("000005-b")), (b"\0two".to_vec(), b"3".to_vec()));
    assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 6);
    assert_eq!(fs::read_dir(place.path("")).expect("a directory").count(), 1);
}

#[test]
fn a_dump_that_fails_ends_the_command_and_names_the_file() {
    let place = Directory::new();
    let file = place.write("file", "kept").display().to_string();
    let end = oncue(&["sub", "tcp://127.0.0.1:1", "--dump", &file]).end();
    assert!(end.code == Some(1) && end.errors[0].contains(&file), "{end:?}");
    let (socket, endpoint) = publisher();
    let dir = place.path("dump").display().to_string();
    // A file that may not grow fails as one on a full disk.
    let mut command = Command::new("env");
    command.args(["--ignore-signal=XFSZ", "sh", "-c", "ulimit -f 1; exec \"$0\" \"$@\""]);
    command.args([env!("CARGO_BIN_EXE_oncue"), "sub", &endpoint, "--dump", &dir]);
    let sub = oncue_interop::program::Program::start(&mut command);
    wanted(&socket, 1);
    socket.send(["a", &"x".repeat(1 << 20)]).expect("a publisher sends");
    let end = sub.end();
    let last = end.errors.last().expect("a line");
    assert!(end.code == Some(1) && last.contains("000001-a cannot be written"), "{end:?}");
    assert_eq!(fs::read_dir(dir).expect("a directory").count(), 0, "what was begun is removed");
}

#[test]
fn latencies_are_of_stamped_messages() {
    let age = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    let unix =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    let (old, future) = (unix(age(5)).to_string(), (unix(age(0)) + 3_600_000).to_string());
    let by_key = format!("{{\"sent\":{old}}}");
    let messages: &[&[&str]] = &[&["a", &by_key, &old], &["a", "no object"], &["a", "{\"sent\":1}", &future]];
    let stats = |words: &[&str]| {
        let (output, _) = printed(&[&["--quiet", "--stats", "--format", "json"], words].concat(), messages);
        serde_json::from_str::<Value>(&output[0]).expect("JSON")["latency_seconds"].clone()
    };
    let latency = stats(&["--stamp", "2"]);
    assert_eq!(
        (&latency["stamped"], &latency["without_stamp"], &latency["stamped_later"]),
        (&1.into(), &1.into(), &1.into())
    );
    for quantile in ["median", "p99", "max"] {
        let seconds = latency[quantile].as_f64().expect("a number");
        assert!((5.0..60.0).contains(&seconds), "{latency}");
    }
    assert_eq!(stats(&["--stamp", "sent"])["stamped"], 2);
    let (_, errors) = printed(&["--quiet", "--stats", "--stamp", "2"], messages);
    let said = errors.iter().find(|line| line.contains("latency: median 5.")).expect("a line");
    assert!(said.ends_with("; 1 without a stamp; 1 stamped later than they came"), "{said}");
    assert_eq!(stats(&[]), Value::Null);
}
