//! What the commands say about their connections: what is true, once per change.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use oncue::{Engine, Options, XPub};
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version};
use oncue_interop::until;

fn oncue(words: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_oncue")).args(words))
}

/// A publisher.
fn publisher(endpoint: &str) -> (XPub, String) {
    let socket = XPub::new(&Engine::start().expect("an engine"), Options::new()).expect("a publisher");
    let endpoint = socket.bind(endpoint).expect("a free port").to_string();
    (socket, endpoint)
}

/// `oncue sub` after it has said where it is going to connect.
fn sub(endpoint: &str) -> Program {
    let mut sub = oncue(&["sub", endpoint]);
    assert_eq!(sub.error_line(), format!("oncue sub: connecting to {endpoint}"));
    sub
}

/// Checks the next line, and that it is not said again while the command goes on trying.
fn expect_once(sub: &mut Program, line: &str) {
    assert_eq!(sub.error_line(), format!("oncue sub: {line}"));
    assert_eq!(sub.error_line_within(Duration::from_millis(600)), None, "after {line}");
}

#[test]
fn a_publisher_that_comes_goes_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let mut sub = sub(&endpoint);
    expect_once(&mut sub, &format!("refused by {endpoint}: connection refused"));
    for _ in 0..2 {
        let (socket, _) = publisher(&endpoint);
        assert_eq!(sub.error_line(), format!("oncue sub: connected to {endpoint}"));
        until("it subscribes", || socket.wanted(""));
        drop(socket);
        let line = sub.error_line();
        assert!(line.starts_with(&format!("oncue sub: lost {endpoint} (")), "{line}");
        assert!(line.ends_with("), trying again"), "{line}");
        assert_eq!(sub.error_line(), format!("oncue sub: refused by {endpoint}: connection refused"));
    }
    sub.signal("TERM");
    let end = sub.end();
    assert_eq!((end.code, end.errors), (Some(0), Vec::<String>::new()));
}

#[test]
fn a_name_that_is_unknown() {
    // Reserved by RFC 6761: it never exists.
    expect_once(
        &mut sub("tcp://no-such-host.invalid:1"),
        "refused by tcp://no-such-host.invalid:1: name unknown",
    );
}

#[test]
fn a_place_that_may_not_be_entered() {
    let directory = oncue_interop::directory::Directory::new();
    let endpoint = format!("ipc://{}", directory.path("none").display());
    expect_once(&mut sub(&endpoint), &format!("refused by {endpoint}: no such file"));
}

/// A server that answers each connection in this way.
fn server(answer: impl Fn(Raw) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    // It ends with the test.
    std::thread::spawn(move || {
        loop {
            answer(Raw::accept(&listener));
        }
    });
    endpoint
}

#[test]
fn a_server_that_is_not_zeromq() {
    let endpoint = server(|mut raw| raw.write(b"SSH-2.0-OpenSSH_9.6\r\n"));
    let line = sub(&endpoint).error_line();
    assert!(line.starts_with(&format!("oncue sub: refused by {endpoint}: it is not ZeroMQ")), "{line}");
}

#[test]
fn a_socket_of_another_type() {
    let endpoint = server(|mut raw| raw.greet(Version::V3_1, "REP", "SUB"));
    expect_once(&mut sub(&endpoint), &format!("refused by {endpoint}: it is a REP, not a publisher"));
}

#[test]
fn a_publisher_says_which_strangers_it_refused_and_counts_those_after() {
    let mut program = oncue(&["demand", "tcp://127.0.0.1:0"]);
    let endpoint = program.endpoint();
    assert!(program.error_line().contains("a publisher that sends nothing"));
    for _ in 0..10 {
        let mut raw = Raw::connect(&endpoint);
        raw.write(b"GET / HTTP/1.1\r\n\r\n");
        raw.expect_end();
    }
    let line = program.error_line();
    assert!(
        line.starts_with("oncue demand: refused tcp://127.0.0.1:") && line.contains("it is not ZeroMQ"),
        "{line}"
    );
    assert_eq!(program.error_line_within(Duration::from_millis(300)), None, "one line a minute");
}

#[test]
fn a_publisher_that_has_no_room() {
    let options = Options::new().peers_max(1);
    let socket = XPub::new(&Engine::start().expect("an engine"), options).expect("a publisher");
    let endpoint = socket.bind("tcp://127.0.0.1:0").expect("a free port").to_string();
    let mut first = sub(&endpoint);
    assert_eq!(first.error_line(), format!("oncue sub: connected to {endpoint}"));
    let mut second = sub(&endpoint);
    let line = second.error_line();
    assert!(line.starts_with(&format!("oncue sub: refused by {endpoint}: ")), "{line}");
    assert!(line.contains("(peers_max)"), "{line}");
    assert_eq!(second.error_line_within(Duration::from_secs(1)), None, "it is said once");
    first.signal("TERM");
    assert_eq!(second.error_line(), format!("oncue sub: connected to {endpoint}"));
}
