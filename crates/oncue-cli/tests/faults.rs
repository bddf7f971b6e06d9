//! A process that is killed or stopped at each byte of its handshake: nobody is left as demand, nothing is left behind, and the
//! next one is served. Between the two processes is a relay that lets so many bytes pass.
//!
//! `ONCUE_EVERY_BYTE=1` tries each byte; otherwise every 23rd, beside those at the borders of commands.

use std::process::Command;
use std::thread;
use std::time::Duration;

use oncue::authenticators::StaticKeys;
use oncue::curve::{self, Certificate, KeyPair};
use oncue::{Engine, Options, User, XPub};
use oncue_interop::directory::Directory;
use oncue_interop::leftovers::Holdings;
use oncue_interop::program::Program;
use oncue_interop::relay::{Bounded, relay};
use oncue_interop::until;

const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// How a process fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
}

/// A mechanism, with what the subscriber's command line needs for it.
struct Case {
    name: &'static str,
    options: Options,
    words: Vec<String>,
}

fn cases(place: &Directory) -> Vec<Case> {
    let quick = || {
        Options::new()
            .handshake_timeout(HANDSHAKE_TIME)
            .heartbeat(Duration::from_millis(100), Duration::from_millis(400))
            .message_timeout(Duration::from_millis(400))
    };
    let (server, client) = (curve::generate(), curve::generate());
    let file = |name: &str, keys: &KeyPair| {
        let certificate =
            Certificate { public: *keys.public(), secret: Some(keys.secret().clone()), metadata: Vec::new() };
        place.write(name, certificate.write("a test", true).as_str()).to_string_lossy().into_owned()
    };
    let key = server.public().to_string();
    let login = place.write("login", "ann:secret").to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let secret = file("client.key_secret", &client);
    let clients = StaticKeys::new().with(*client.public(), User::new("ann"));
    vec![
        Case { name: "NULL", options: quick(), words: Vec::new() },
        Case {
            name: "PLAIN",
            options: quick().plain_server(oncue::AllowAny),
            words: words(&["--plain-login", &login]),
        },
        Case {
            name: "CURVE",
            options: quick().curve_server(server, clients),
            words: words(&["--curve-key", &secret, "--curve-server", &key]),
        },
    ]
}

fn subscriber(at: &str, words: &[String]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    Program::start(command.args(["sub", at, "--topic", "t"]).args(words))
}

/// The open descriptors and the threads of this process.
fn holdings() -> (u64, u64) {
    let Holdings { descriptors, threads, .. } = Holdings::of(std::process::id());
    (descriptors, threads)
}

#[test]
fn a_subscriber_that_fails_amid_its_handshake_is_no_demand_and_leaves_nothing() {
    let place = Directory::new();
    let every = if std::env::var_os("ONCUE_EVERY_BYTE").is_some() { 1 } else { 23 };
    for Case { name, options, words } in cases(&place) {
        let engine = Engine::start().expect("an engine");
        let publisher = XPub::new(&engine, options).expect("a publisher");
        let at = publisher.bind("tcp://127.0.0.1:0").expect("a port").to_string();
        let address = at.trim_start_matches("tcp://").to_owned();
        // How many bytes it takes until the subscription is there.
        let (through, told) = relay(address.clone(), 1, Bounded::Near, usize::MAX);
        let whole = subscriber(&through, &words);
        until("it is demand", || publisher.wanted("t"));
        drop(whole);
        let all = told.recv_timeout(Duration::from_secs(20)).expect("the relay's count");
        until("it is gone", || !publisher.wanted("t"));
        until("nothing is open", || publisher.peers().expect("the peers").is_empty());
        let before = holdings();
        let borders = [1, 10, 11, 12, 63, 64, 65, 66, all - 1];
        for most in (1..all).filter(|most| most % every == 0 || borders.contains(most)) {
            for fault in [Fault::Killed, Fault::Stopped] {
                let (through, told) = relay(address.clone(), 1, Bounded::Near, most);
                let program = subscriber(&through, &words);
                let passed = told.recv_timeout(Duration::from_secs(20)).expect("bytes");
                match fault {
                    Fault::Killed => program.kill(),
                    Fault::Stopped => {
                        program.signal("STOP");
                        // By now its handshake or its silence is over.
                        thread::sleep(HANDSHAKE_TIME * 2);
                        until("a stopped one is no demand", || !publisher.wanted("t"));
                        program.kill();
                    }
                }
                let what = format!("{name}, {fault:?} after {passed} of {all} bytes");
                until(&what, || !publisher.wanted("t") && publisher.peers().expect("the peers").is_empty());
            }
        }
        until(&format!("{name}: nothing is left"), || {
            let now = holdings();
            now.0 <= before.0 && now.1 <= before.1
        });
        // The next one is served.
        let next = subscriber(&at, &words);
        until("the next one is demand", || publisher.wanted("t"));
        drop(next);
    }
}
