//! A publisher that is killed or stopped at bytes of its handshake, and started again: its subscriber finds it, and what it wants is
//! produced. `faults.rs` has the other side.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oncue::curve::{self, Certificate, KeyPair};
use oncue::{Engine, Options};
use oncue_interop::directory::Directory;
use oncue_interop::program::Program;
use oncue_interop::relay::{Bounded, relay};

const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// How a process fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
}

#[test]
fn a_publisher_that_fails_amid_its_handshake_is_found_again_and_no_demand_is_lost() {
    let place = Directory::new();
    let (server, client) = (curve::generate(), curve::generate());
    let write = |name: &str, keys: &KeyPair, secret: bool| {
        let certificate =
            Certificate { public: *keys.public(), secret: Some(keys.secret().clone()), metadata: Vec::new() };
        place.write(name, certificate.write("a test", secret).as_str()).to_string_lossy().into_owned()
    };
    let secret = write("server.key_secret", &server, true);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("its owner's file");
    write("clients/ann.key", &client, false);
    let clients = place.path("clients").to_string_lossy().into_owned();
    let quick = || {
        Options::new()
            .handshake_timeout(HANDSHAKE_TIME)
            .reconnect(Duration::from_millis(10), Duration::from_millis(50))
            .heartbeat(Duration::from_millis(100), Duration::from_millis(400))
    };
    let secured = ["--curve-key", &secret, "--curve-clients", &clients];
    let cases =
        [("NULL", quick(), &[][..]), ("CURVE", quick().curve_client(client, *server.public()), &secured[..])];
    for (name, options, words) in cases {
        for most in [1, 11, 64, 70, 110, 200, 260, 300] {
            for fault in [Fault::Killed, Fault::Stopped] {
                let free =
                    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
                let serve = || {
                    let bind = format!("tcp://{free}");
                    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
                    let mut program = Program::start(
                        command.args(["serve", "--bind", &bind, "--every", "10ms"]).args(words),
                    );
                    program.endpoint();
                    program
                };
                let first = serve();
                let (at, told) = relay(free.to_string(), usize::MAX, Bounded::Far, most);
                let engine = Engine::start().expect("an engine");
                let subscriber = oncue::Sub::new(&engine, options.clone()).expect("a subscriber");
                subscriber.subscribe("t").expect("a subscription");
                subscriber.connect(&at).expect("an endpoint");
                told.recv_timeout(Duration::from_secs(20)).expect("bytes");
                if fault == Fault::Stopped {
                    first.signal("STOP");
                    thread::sleep(HANDSHAKE_TIME * 2);
                }
                first.kill();
                let second = serve();
                let value = subscriber.recv().wait_timeout(Duration::from_secs(20));
                let value = value.unwrap_or_else(|| panic!("{name}, {fault:?} after {most} bytes: no value"));
                assert_eq!(value.expect("a value").topic(), b"t");
                second.kill();
            }
        }
    }
}
