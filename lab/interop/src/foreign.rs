//! A socket of another library in a process of its own, driven by lines. The other half is py/peer.py, js/peer.js, js/jszmq.js,
//! or rivals/omq.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use oncue::curve::{KeyPair, PublicKey};

use crate::PATIENCE;
use crate::program::Program;

/// A command that runs one of the scripts in py/ with the Python that has pyzmq.
pub fn python(script: &str) -> Command {
    let Some(python) = std::env::var_os("ONCUE_PYTHON") else {
        panic!(
            "ONCUE_PYTHON is not set: these tests are run by `cargo xtask interop`, which makes a Python with pyzmq"
        );
    };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("py").join(script));
    command
}

/// The built command `oncue`.
pub fn oncue(args: &[&str]) -> Command {
    let Some(oncue) = std::env::var_os("ONCUE_BIN") else {
        panic!(
            "ONCUE_BIN is not set: these tests are run by `cargo xtask interop`, which builds the command"
        );
    };
    let mut command = Command::new(oncue);
    command.args(args);
    command
}

/// Another library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// libzmq, in Python.
    Pyzmq,
    /// omq, in Python.
    Pyomq,
    /// libzmq, in Node.js.
    ZeromqJs,
    /// libzmq built with WebSocket, in Python.
    LibzmqWs,
    /// omq built with WebSocket, in Rust.
    Omq,
    /// jszmq, in Node.js: WebSocket alone.
    Jszmq,
}

impl Library {
    /// What runs a socket of it; `None` if it could not be installed here.
    fn command(self) -> Option<Command> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        match self {
            Library::Pyzmq => Some(python("peer.py")),
            Library::Pyomq => {
                let mut command = Command::new(installed("ONCUE_PYOMQ")?);
                command.env_remove("PYTHONPATH").arg(here.join("py").join("peer.py")).arg("pyomq");
                Some(command)
            }
            Library::ZeromqJs => {
                let mut command = Command::new("node");
                command.arg(here.join("js").join("peer.js")).arg(installed("ONCUE_ZEROMQ_JS")?);
                Some(command)
            }
            Library::LibzmqWs => {
                let library = installed("ONCUE_LIBZMQ_WS")?;
                let mut command = python("peer.py");
                // Then pyzmq calls this one and not its own.
                command.env("LD_PRELOAD", library);
                Some(command)
            }
            Library::Omq => Some(Command::new(installed("ONCUE_OMQ")?)),
            Library::Jszmq => {
                let mut command = Command::new("node");
                command.arg(here.join("js").join("jszmq.js")).arg(installed("ONCUE_JSZMQ")?);
                Some(command)
            }
        }
    }

    /// Whether it is installed. Says so if it is not: then a test of it returns at once.
    pub fn is_here(self) -> bool {
        let is_here = self.command().is_some();
        if !is_here {
            eprintln!("SKIPPED: {self:?} could not be installed");
        }
        is_here
    }
}

/// The value of a variable that `cargo xtask interop` always sets, and leaves empty if something could not be installed.
fn installed(variable: &str) -> Option<OsString> {
    let Some(value) = std::env::var_os(variable) else {
        panic!(
            "{variable} is not set: these tests are run by `cargo xtask interop`, which installs the library"
        )
    };
    (!value.is_empty()).then_some(value)
}

/// A socket of another library. Dropping it ends its process as a crash would.
pub struct Foreign {
    program: Program,
}

impl Foreign {
    /// A socket of libzmq of this type, such as `PUB`.
    pub fn new(kind: &str) -> Foreign {
        Foreign::of(Library::Pyzmq, kind)
    }

    /// A socket of a library that [is here](Library::is_here).
    pub fn of(library: Library, kind: &str) -> Foreign {
        let mut command = library.command().expect("the library is installed");
        let mut foreign = Foreign { program: Program::start(&mut command) };
        foreign.done(&format!("new {kind}"));
        foreign
    }

    /// Makes it a server of CURVE. libzmq lets every client in until [`let_in_curve`](Self::let_in_curve) is called.
    pub fn curve_server(mut self, keys: &KeyPair) -> Foreign {
        self.set_bytes("CURVE_SECRETKEY", keys.secret().to_z85().as_bytes());
        self.set_bytes("CURVE_PUBLICKEY", keys.public().to_string().as_bytes());
        self.set("CURVE_SERVER", 1)
    }

    /// Makes it a client of CURVE.
    pub fn curve_client(mut self, keys: &KeyPair, server: &PublicKey) -> Foreign {
        self.set_bytes("CURVE_SECRETKEY", keys.secret().to_z85().as_bytes());
        self.set_bytes("CURVE_PUBLICKEY", keys.public().to_string().as_bytes());
        self.set_bytes("CURVE_SERVERKEY", server.to_string().as_bytes());
        self
    }

    /// Makes it a client of PLAIN.
    pub fn plain_client(mut self, user: &str, password: &str) -> Foreign {
        self.set_bytes("PLAIN_USERNAME", user.as_bytes());
        self.set_bytes("PLAIN_PASSWORD", password.as_bytes());
        self
    }

    /// Makes it a server of PLAIN that lets in one user.
    pub fn plain_server(mut self, user: &str, password: &str) -> Foreign {
        self.done(&format!("let_in_plain {} {}", hex(user.as_bytes()), hex(password.as_bytes())));
        self.set("PLAIN_SERVER", 1)
    }

    /// As a server of CURVE, lets in only the clients with these keys.
    pub fn let_in_curve(&mut self, keys: &[&PublicKey]) {
        let keys: Vec<String> = keys.iter().map(|key| hex(key.to_string().as_bytes())).collect();
        self.done(&format!("let_in_curve {}", keys.join(" ")));
    }

    /// Keeps connection events from now on.
    pub fn observe(&mut self) {
        self.done("observe");
    }

    /// The next connection event, if one comes in time: its name and its value.
    pub fn event_within(&mut self, time: Duration) -> Option<String> {
        Some(self.ask(&format!("event {}", time.as_millis()))).filter(|event| event != "none")
    }

    /// Waits for a connection event that begins like this, and returns those up to it.
    pub fn expect_event(&mut self, start: &str) -> Vec<String> {
        let (deadline, mut events) = (Instant::now() + PATIENCE, Vec::new());
        while Instant::now() < deadline {
            if let Some(event) = self.event_within(Duration::from_millis(500)) {
                let found = event.starts_with(start);
                events.push(event);
                if found {
                    return events;
                }
            }
        }
        panic!("no event {start} in {PATIENCE:?}, but {events:?}")
    }

    /// Makes a certificate by this library. Returns the paths of its public and its secret file.
    pub fn create_certificate(&mut self, directory: &Path, name: &str) -> (String, String) {
        let paths = self.ask(&format!("create_certificate {} {name}", directory.display()));
        let (public, secret) = paths.split_once(' ').expect("two paths");
        (public.to_owned(), secret.to_owned())
    }

    /// Reads a certificate by this library. Returns the public and the secret key, which may be empty.
    pub fn load_certificate(&mut self, path: &Path) -> (String, String) {
        let keys = self.ask(&format!("load_certificate {}", path.display()));
        let (public, secret) = keys.split_once(' ').expect("two keys");
        let text = |key| String::from_utf8(unhex(key)).expect("Z85 is text");
        (text(public), text(secret))
    }

    /// Stops its process, whose connections stay as they are.
    pub fn stop(&self) {
        self.program.signal("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.program.signal("CONT");
    }

    /// Sets a numeric socket option, by libzmq's name without `ZMQ_`.
    pub fn set(mut self, option: &str, value: i64) -> Foreign {
        self.done(&format!("set {option} {value}"));
        self
    }

    /// Sets a socket option of bytes, as [`set`](Foreign::set).
    pub fn set_bytes(&mut self, option: &str, value: &[u8]) {
        self.done(&format!("set_bytes {option} {}", hex(value)));
    }

    /// Reads a numeric socket option.
    pub fn get(&mut self, option: &str) -> i64 {
        self.ask(&format!("get {option}")).parse().expect("a number")
    }

    /// Sends messages of this size until one is refused. Returns how many were sent.
    pub fn flood(&mut self, topic: &[u8], size: usize, most: usize) -> usize {
        self.ask(&format!("flood {} {size} {most}", hex(topic))).parse().expect("a number")
    }

    /// Receives a message, and returns what its sender said of itself under this name in its handshake.
    pub fn recv_property(&mut self, name: &str) -> String {
        self.ask(&format!("recv_property {name} {}", PATIENCE.as_millis()))
    }

    /// Binds, and returns the resolved endpoint.
    pub fn bind(&mut self, endpoint: &str) -> String {
        self.ask(&format!("bind {endpoint}"))
    }

    /// Connects.
    pub fn connect(&mut self, endpoint: &str) {
        self.done(&format!("connect {endpoint}"));
    }

    /// Disconnects.
    pub fn disconnect(&mut self, endpoint: &str) {
        self.done(&format!("disconnect {endpoint}"));
    }

    /// Subscribes: by the socket option on SUB, by a message on XSUB.
    pub fn subscribe(&mut self, prefix: &[u8]) {
        self.done(&format!("subscribe {}", hex(prefix)));
    }

    /// Unsubscribes, as [`subscribe`](Foreign::subscribe).
    pub fn unsubscribe(&mut self, prefix: &[u8]) {
        self.done(&format!("unsubscribe {}", hex(prefix)));
    }

    /// Subscribes to the first `count` [`burst_topic`]s, without a pause.
    pub fn subscribe_burst(&mut self, count: usize) {
        self.done(&format!("subscribe_burst {count}"));
    }

    /// Receives subscriptions until each of the first `count` [`burst_topic`]s has come exactly once, and nothing else.
    pub fn expect_burst(&mut self, count: usize) {
        let milliseconds = PATIENCE.as_millis();
        self.done(&format!("expect_burst {count} {milliseconds}"));
    }

    /// Sends a message.
    pub fn send<T: AsRef<[u8]>>(&mut self, frames: &[T]) {
        let frames: Vec<String> = frames.iter().map(|frame| hex(frame.as_ref())).collect();
        self.done(&format!("send {}", frames.join(" ")));
    }

    /// Receives a message, if one comes in time.
    pub fn recv_within(&mut self, time: Duration) -> Option<Vec<Vec<u8>>> {
        let answer = self.ask(&format!("recv {}", time.as_millis()));
        let mut words = answer.split(' ');
        match words.next() {
            Some("message") => Some(words.map(unhex).collect()),
            _ => None,
        }
    }

    /// Receives a message.
    pub fn recv(&mut self) -> Vec<Vec<u8>> {
        self.recv_within(PATIENCE).expect("the foreign socket receives a message in time")
    }

    /// Closes the socket properly, and ends its process.
    pub fn close(mut self) {
        self.done("close");
        self.program.end_input();
        assert_eq!(self.program.end().code, Some(0), "the foreign peer's exit status");
    }

    /// Ends its process as a crash would.
    pub fn kill(self) {
        self.program.kill();
    }

    /// Sends an order, and returns the answer after `ok`.
    fn ask(&mut self, order: &str) -> String {
        self.program.write(order.as_bytes());
        self.program.write(b"\n");
        let answer = self.program.line();
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("the foreign peer answers `{order:.80}` with {answer:?}"),
        }
    }

    fn done(&mut self, order: &str) {
        assert_eq!(self.ask(order), "", "the answer to `{order:.80}`");
    }
}

/// One of many topics, for bursts; peer.py builds the same.
pub fn burst_topic(number: usize) -> String {
    format!("topic/{number:06}")
}

/// Bytes as hexadecimal digits; an empty slice as `-`.
fn hex(bytes: &[u8]) -> String {
    // With a table: these tests move many megabytes, in a build without optimisation.
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    String::from_utf8(text).expect("digits are text")
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => panic!("the foreign peer's answer is not hexadecimal"),
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        panic!("an odd number of digits from the foreign peer")
    };
    pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}
