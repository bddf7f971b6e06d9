//! A peer made of literal bytes over TCP: ZMTP 3.1, 3.0 and 2.0 as the RFCs write them, without any of our code.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;

use crate::PATIENCE;

/// The version that the raw peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// ZMTP 3.1 (RFC 37).
    V3_1,
    /// ZMTP 3.0 (RFC 23).
    V3_0,
    /// ZMTP 2.0 (RFC 15).
    V2_0,
}

/// The first ten bytes of a greeting, as libzmq sends them.
const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];

/// One connection, driven by bytes.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects to an endpoint `tcp://…`.
    pub fn connect(endpoint: &str) -> Raw {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        Raw::on(TcpStream::connect(address).expect("a listener at the endpoint"))
    }

    /// Accepts the next connection.
    pub fn accept(listener: &TcpListener) -> Raw {
        let (stream, _) = listener.accept().expect("a connection");
        Raw::on(stream)
    }

    fn on(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        stream.set_nodelay(true).expect("no delay");
        Raw { stream }
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        let linger = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.stream, Linger, &linger).expect("an open socket");
    }

    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the other side reads");
    }

    /// Reads exactly this number of bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("{count} bytes did not arrive: {error}"));
        bytes
    }

    /// Reads a whole frame: its flags and its body.
    pub fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let flags = self.read(1)[0];
        let length = match flags & 0x02 {
            0 => u64::from(self.read(1)[0]),
            _ => u64::from_be_bytes(self.read(8).try_into().expect("eight bytes")),
        };
        (flags, self.read(usize::try_from(length).expect("a frame that fits in memory")))
    }

    /// Reads and checks exactly these bytes.
    pub fn expect(&mut self, what: &str, bytes: &[u8]) {
        let got = self.read(bytes.len());
        assert!(got == bytes, "{what}: {} instead of {}", got.escape_ascii(), bytes.escape_ascii());
    }

    /// Checks that nothing arrives for 50 ms. Only useful where an answer would be quick.
    pub fn expect_silence(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a read timeout");
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => panic!("{other:?} ({byte:?}) instead of silence"),
        }
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    }

    /// Waits until the other side ends the connection; returns what it sent before.
    pub fn expect_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            assert!(Instant::now() < deadline, "the connection does not end");
            match self.stream.read(&mut buffer) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
                Err(error) => panic!("{error} instead of the end of the connection"),
            }
        }
    }

    /// Does the handshake as a socket of type `kind` (`SUB` and so on), and checks that of the other side, of type `theirs`.
    pub fn greet(&mut self, version: Version, kind: &str, theirs: &str) {
        match version {
            Version::V2_0 => self.greet_2_0(kind, theirs),
            Version::V3_0 => self.greet_3(0, kind, theirs),
            Version::V3_1 => self.greet_3(1, kind, theirs),
        }
    }

    fn greet_2_0(&mut self, kind: &str, theirs: &str) {
        self.write(&SIGNATURE);
        // Revision, socket type, and an empty identity as the final frame of a message.
        self.write(&[1, type_2_0(kind), 0, 0]);
        self.expect("the signature", &SIGNATURE);
        self.expect("a revision above 1", &[3]);
        // RFC 15 has neither XPUB nor XSUB: to a 2.0 peer ours announce PUB and SUB.
        let known = theirs.trim_start_matches('X');
        self.expect("the socket type and an empty identity", &[type_2_0(known), 0, 0]);
    }

    fn greet_3(&mut self, minor: u8, kind: &str, theirs: &str) {
        self.write(&SIGNATURE);
        self.write(&rest_of_greeting(minor));
        self.expect("the signature", &SIGNATURE);
        self.expect("version 3.1, NULL, no server", &rest_of_greeting(1));
        self.write(&ready(kind));
        let header = self.read(2);
        assert_eq!(header[0], 0x04, "the first frame is a short command");
        let body = self.read(usize::from(header[1]));
        assert!(body.starts_with(b"\x05READY"), "{}", body.escape_ascii());
        let property =
            [b"\x0bSocket-Type\0\0\0".as_slice(), &[theirs.len() as u8], theirs.as_bytes()].concat();
        let has = body.windows(property.len()).any(|window| window == property);
        assert!(has, "Socket-Type {theirs} in {}", body.escape_ascii());
    }

    /// Subscribes, in the form of this version.
    pub fn subscribe(&mut self, version: Version, prefix: &[u8]) {
        self.write(&subscription(version, true, prefix));
    }

    /// Cancels a subscription, in the form of this version.
    pub fn cancel(&mut self, version: Version, prefix: &[u8]) {
        self.write(&subscription(version, false, prefix));
    }

    /// Checks that the other side subscribes, in the form of this version.
    pub fn expect_subscription(&mut self, version: Version, prefix: &[u8]) {
        self.expect("a subscription", &subscription(version, true, prefix));
    }

    /// Checks that the other side cancels, in the form of this version.
    pub fn expect_cancel(&mut self, version: Version, prefix: &[u8]) {
        self.expect("a cancel", &subscription(version, false, prefix));
    }
}

/// Version, mechanism NULL, not the server, filler.
fn rest_of_greeting(minor: u8) -> Vec<u8> {
    greeting(minor, "NULL", false).split_off(SIGNATURE.len())
}

/// The command READY with the socket's type.
fn ready(kind: &str) -> Vec<u8> {
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(kind.len() as u8);
    body.extend_from_slice(kind.as_bytes());
    let mut frame = vec![0x04, body.len() as u8];
    frame.extend_from_slice(&body);
    frame
}

/// A subscription or a cancel on the wire: a command in 3.1, a message in older versions.
pub fn subscription(version: Version, subscribe: bool, prefix: &[u8]) -> Vec<u8> {
    let (flags, start): (u8, &[u8]) = match (version, subscribe) {
        (Version::V3_1, true) => (0x04, b"\x09SUBSCRIBE"),
        (Version::V3_1, false) => (0x04, b"\x06CANCEL"),
        (_, true) => (0x00, b"\x01"),
        (_, false) => (0x00, b"\x00"),
    };
    frame(flags, &[start, prefix].concat())
}

/// A message on the wire.
pub fn message(frames: &[&[u8]]) -> Vec<u8> {
    let last = frames.len().saturating_sub(1);
    frames.iter().enumerate().flat_map(|(at, body)| frame(u8::from(at < last), body)).collect()
}

/// A greeting of ZMTP 3.x with this mechanism.
pub fn greeting(minor: u8, mechanism: &str, as_server: bool) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[3, minor]);
    bytes.extend_from_slice(mechanism.as_bytes());
    bytes.resize(12 + 20, 0);
    bytes.push(u8::from(as_server));
    bytes.resize(64, 0);
    bytes
}

/// A frame: short up to 255 bytes, long above.
pub fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [&[flags | 0x02][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    bytes.extend_from_slice(body);
    bytes
}

/// The numbers of the socket types in ZMTP 2.0, including those that libzmq added.
fn type_2_0(kind: &str) -> u8 {
    match kind {
        "PUB" => 1,
        "SUB" => 2,
        "XPUB" => 9,
        "XSUB" => 10,
        other => panic!("the socket type {other} has no known number"),
    }
}
