//! The commands leak nothing: rounds of peers that misbehave, and of topics that become wanted and unwanted, after each of
//! which the descriptors, threads and memory of the process are read. With `--nocapture` each test prints a table.

use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use oncue::{Engine, Options, State, XPub};
use oncue_interop::directory::Directory;
use oncue_interop::leftovers::{Holdings, check};
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version, message, subscription};
use oncue_interop::until;

const ROUNDS: u32 = 30;
/// How much the resident memory of a command may grow, because its allocator keeps freed memory.
const BYTES_MORE_MAX: u64 = 4 << 20;
const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// A name, and a function that plays a round against an endpoint.
type Scene<'a> = (&'a str, &'a dyn Fn(&str));

fn oncue(words: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_oncue")).args(words))
}

fn scenes(command: &str, program: &Program, endpoint: &str, scenes: &[Scene]) {
    let checked = scenes.iter().map(|(name, round)| {
        let look = || Holdings::of(program.id());
        check(&format!("{command}: {name}"), ROUNDS, BYTES_MORE_MAX, look, || round(endpoint))
    });
    let failed: Vec<String> = checked.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "something is left behind:\n{}", failed.join("\n"));
}

fn fresh() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1_000_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}

fn stranger(endpoint: &str) -> TcpStream {
    TcpStream::connect(endpoint.strip_prefix("tcp://").expect("a tcp endpoint")).expect("a listener")
}

/// A subscriber after its handshake.
fn peer(endpoint: &str, version: Version) -> Raw {
    let mut raw = Raw::connect(endpoint);
    raw.greet(version, "SUB", "XPUB");
    raw
}

/// Peers that misbehave against a publisher.
fn strangers(command: &str, program: &Program, endpoint: &str) {
    let with = |bytes: &[u8], ended: bool| {
        let mut raw = peer(endpoint, Version::V3_1);
        raw.write(bytes);
        if ended {
            raw.expect_end();
        }
    };
    let prefixes = |version| -> Vec<u8> {
        (0..100).flat_map(|_| subscription(version, true, format!("prefix/{}", fresh()).as_bytes())).collect()
    };
    scenes(
        command,
        program,
        endpoint,
        &[
            ("says nothing", &|at| drop(stranger(at))),
            ("speaks HTTP", &|at| {
                let mut raw = Raw::connect(at);
                raw.write(b"GET / HTTP/1.1\r\n\r\n");
                raw.expect_end();
            }),
            ("half a greeting", &|at| Raw::connect(at).write(&[0xff, 0, 0, 0])),
            ("a handshake and garbage", &|_| with(&[0xff; 3000], true)),
            ("a message that is too large", &|_| with(b"\x02\0\0\x01\0\0\0\0\0", true)),
            ("a message that is begun", &|_| {
                with(&[&b"\x02\0\0\0\0\0\x0f\0\0"[..], &[7; 200_000]].concat(), false);
            }),
            ("a hundred prefixes", &|_| with(&prefixes(Version::V3_1), false)),
            ("a hundred prefixes, version 3.0", &|at| {
                peer(at, Version::V3_0).write(&prefixes(Version::V3_0));
            }),
            ("messages that are not subscriptions", &|_| {
                with(&message(&[&[7; 1000], b"second"]).repeat(100), false);
            }),
            ("a hundred toggles", &|_| {
                let on = subscription(Version::V3_1, true, b"toggled");
                let off = subscription(Version::V3_1, false, b"toggled");
                with(&[on, off].concat().repeat(100), false);
            }),
        ],
    );
}

#[test]
fn strangers_leave_nothing_in_demand() {
    let mut program = oncue(&["demand", ANY_PORT]);
    let endpoint = program.endpoint();
    strangers("demand", &program, &endpoint);
}

#[test]
fn strangers_leave_nothing_in_pub() {
    let mut program = oncue(&["pub", ANY_PORT]);
    let endpoint = program.endpoint();
    strangers("pub", &program, &endpoint);
}

#[test]
fn strangers_leave_nothing_in_demo() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "10ms", "--forever"]);
    let endpoint = program.endpoint();
    strangers("demo", &program, &endpoint);
}

#[test]
fn messages_leave_nothing_in_sub() {
    let engine = Engine::start().expect("an engine");
    let publisher = XPub::new(&engine, Options::new()).expect("a publisher");
    let endpoint = publisher.bind(ANY_PORT).expect("a free port").to_string();
    let program = oncue(&["sub", &endpoint, "--topic", "a"]);
    until("the subscription", || publisher.wanted("a"));
    let messages = || (0..50).for_each(|_| publisher.send(("a", [b'7'; 1000])).expect("a socket"));
    let states = || {
        let topic = format!("a/{}", fresh());
        publisher.set_state(&topic, State::Stale, "a reason").expect("a state");
        publisher.clear_state(&topic);
    };
    let rounds: &[Scene] = &[("messages", &|_| messages()), ("states", &|_| states())];
    scenes("sub", &program, &endpoint, rounds);
}

/// Serves a route, where `FILE` is the path of a file, and plays rounds of it.
fn served(name: &str, route: &str, round: &dyn Fn(&str)) {
    let directory = Directory::new();
    let file = directory.write("file", "value\n");
    let (program, endpoint) = serve(&directory, &route.replace("FILE", file.to_str().expect("a path")));
    scenes("serve", &program, &endpoint, &[(name, round)]);
}

fn serve(directory: &Directory, route: &str) -> (Program, String) {
    let config = format!("bind = '{ANY_PORT}'\ngrace = '0s'\n[[route]]\n{route}");
    let path = directory.write("oncue.toml", &config);
    let mut program = oncue(&["serve", path.to_str().expect("a path")]);
    let endpoint = program.endpoint();
    (program, endpoint)
}

/// A subscriber subscribes to a topic, takes values of it, and leaves.
fn wanted(endpoint: &str, topic: &str, values: usize) {
    let mut raw = peer(endpoint, Version::V3_1);
    raw.subscribe(Version::V3_1, topic.as_bytes());
    for _ in 0..values {
        let first = raw.read(2);
        assert_eq!(first[0], 1, "a topic, with more to come");
        assert_eq!(raw.read(usize::from(first[1])), topic.as_bytes());
        let second = raw.read(2);
        raw.read(usize::from(second[1]));
    }
}

#[test]
fn topics_leave_nothing_in_serve() {
    let each = |at: &str| wanted(at, &format!("x/{}", fresh()), 1);
    let one = |at: &str| wanted(at, "x/1", 2);
    let command = "topic = 'x/{n:int}'\ncommand = ['echo', '{n}']\n";
    let with = |more: &str| format!("{command}{more}");
    served("runs, each topic once", &with("every = '10ms'"), &each);
    served("runs, one topic", &with("every = '1ms'"), &one);
    served("runs, last value kept", &with("every = '10ms'\nkeep_last = true"), &each);
    served(
        "a stream that restarts",
        &with("mode = 'stream'\nrestart = 'always'\nbackoff_min = '1ms'"),
        &each,
    );
    let shared = "topic = 'x/{n:int}'\nmode = 'shared'\ncommand = ['sed', '-u', 's/^.\\(.*\\)/\\1\\t&/']\n";
    served("a shared program", shared, &each);
    let lines = "topic = 'x'\nfile = 'FILE'\nmode = 'content'\nevery = '10ms'\n";
    served("the content of a file", lines, &|at| wanted(at, "x", 1));
    let catalogue = with("every = '10ms'\ncatalogue = { command = ['echo', 'x/1'], every = '10ms' }");
    served("a catalogue that is listed", &catalogue, &one);
}

#[test]
fn strangers_leave_nothing_in_serve() {
    let directory = Directory::new();
    let (program, endpoint) = serve(&directory, "topic = 'x'\ncommand = ['true']\nevery = '1s'\n");
    strangers("serve", &program, &endpoint);
}
