//! What scripts may rely on: lines, exit statuses, signals and closed pipes. The other side is a socket of `oncue`; for other
//! implementations see lab/interop.

mod demo;
mod ends;
mod environment;
#[cfg(feature = "manual")]
mod manual;
mod printed;
mod publish;
mod sub;
mod terminal;

use std::process::Command;
use std::time::Duration;

use oncue::{Engine, Options, Sub, XPub, XPubEvent};
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version};
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
    let cases: [(&[&str], &str); 31] = [
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["sbu", "tcp://h:1"], "a similar subcommand exists: 'sub'"),
        (&["subscribe"], "a similar subcommand exists: 'sub'"),
        (&["demnad"], "subcommands exist: 'demo', 'demand'"),
        (&["srve"], "a similar subcommand exists: 'serve'"),
        (&["sub", "tcp://h:1", "--print", "%q"], "`%q` is not a directive; there are %t"),
        (&["sub", "tcp://h:1", "--print", "%t", "--value"], "cannot be used with"),
        (
            &["sub", "tcp://h:1", "--print", "%t", "--format", "json"],
            "--print is not allowed with --format json",
        ),
        (&["sub", "tcp://h:1", "--value", "--frame", "2"], "cannot be used with"),
        (&["sub", "tcp://h:1", "--dump", "d", "--time"], "cannot be used with"),
        (&["sub", "tcp://h:1", "--stamp", "t"], "--stats"),
        (&["sub", "tcp://h:1", "--time=local"], "delta"),
        (&["sub", "tcp://h:1", "--color", "blue"], "never"),
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

#[cfg(not(feature = "mesh"))]
#[test]
fn a_build_without_the_mesh_says_how_to_get_it() {
    let place = oncue_interop::directory::Directory::new();
    let link = "site = \"a\"\n[mesh.link]\nrole = \"edge\"\nrouters = \"tcp/10.0.0.1:7447\"\n";
    let text = format!("bind = \"{ANY_PORT}\"\n[[route]]\ntopic = \"a\"\nfile = \"a\"\n[mesh]\n{link}");
    let path = place.write("x.toml", &text);
    let path = path.to_str().expect("text");
    for words in [&["mesh", path][..], &["serve", path], &["serve", path, "--check"]] {
        let end = oncue(words).end();
        let said = end
            .errors
            .iter()
            .any(|line| line.contains("the feature `mesh`") && line.contains("--features full"));
        assert!(end.code == Some(1) && said, "{words:?}: {end:?}");
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
