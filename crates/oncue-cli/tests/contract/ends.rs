//! How the commands end: signals, closed pipes, time limits; and that nothing stays.

use std::process::Command;
use std::time::{Duration, Instant};

use oncue_interop::directory::Directory;
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version};
use oncue_interop::{PATIENCE, until};

use super::{ANY_PORT, oncue, publisher, subscriber, wanted};

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
