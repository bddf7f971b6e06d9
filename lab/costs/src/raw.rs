//! The other side of a connection in as few instructions as possible: ZMTP 3.1 by literal bytes over a Unix socket. It neither
//! builds nor examines messages.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// Greeting of a 3.1 peer with the NULL mechanism (RFC 37).
pub(crate) const GREETING: &[u8; 64] =
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A peer whose handshake is done.
pub(crate) struct Peer {
    stream: UnixStream,
    buffer: Vec<u8>,
}

/// Where this process listens; the path is unique to the process.
pub(crate) fn path() -> PathBuf {
    std::env::temp_dir().join(format!("oncue-costs-{}", std::process::id()))
}

/// The same as an endpoint.
pub(crate) fn endpoint() -> String {
    format!("ipc://{}", path().display())
}

/// A message of one frame on the wire.
pub(crate) fn message(body: &[u8]) -> Vec<u8> {
    frame(0, body)
}

/// How many bytes a message of one frame of `len` bytes takes on the wire.
pub(crate) const fn wire_bytes(len: usize) -> usize {
    if len < 256 { 2 + len } else { 9 + len }
}

impl Peer {
    /// Connects to [`path`].
    pub(crate) fn connect() -> Peer {
        Peer::over(UnixStream::connect(path()).expect("a listener at the path"))
    }

    /// Accepts a connection.
    pub(crate) fn accept(listener: &UnixListener) -> Peer {
        Peer::over(listener.accept().expect("a subscriber comes").0)
    }

    fn over(stream: UnixStream) -> Peer {
        Peer { stream, buffer: vec![0; 64 << 10] }
    }

    /// Connects as a subscriber that holds these prefixes.
    pub(crate) fn subscriber<T: AsRef<[u8]>>(prefixes: &[T]) -> Peer {
        let mut peer = Peer::connect();
        let mut hello = hello("SUB");
        for prefix in prefixes {
            hello.extend(command("SUBSCRIBE", prefix.as_ref()));
        }
        peer.write(&hello);
        peer.read_hello();
        peer
    }

    /// Accepts a subscriber as its publisher.
    pub(crate) fn publisher(listener: &UnixListener) -> Peer {
        let mut peer = Peer::accept(listener);
        peer.write(&hello("PUB"));
        peer.read_hello();
        peer
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the peer reads");
    }

    /// Reads exactly this number of bytes.
    pub(crate) fn read(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let most = bytes.min(self.buffer.len());
            let n = self.stream.read(&mut self.buffer[..most]).expect("the peer writes");
            assert!(n > 0, "the connection ended {bytes} bytes early");
            bytes -= n;
        }
    }

    /// Reads the greeting and READY.
    fn read_hello(&mut self) {
        self.read(GREETING.len());
        self.read_command();
    }

    /// Reads a command, and returns its body.
    pub(crate) fn read_command(&mut self) -> Vec<u8> {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).expect("the peer sends a command");
        let mut len = usize::from(header[1]);
        if header[0] & 2 != 0 {
            let mut rest = [0; 7];
            self.stream.read_exact(&mut rest).expect("the header is complete");
            len = usize::from(u16::from_be_bytes([rest[5], rest[6]]));
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).expect("the command is complete");
        body
    }
}

fn hello(socket_type: &str) -> Vec<u8> {
    let property =
        [b"\x0bSocket-Type\0\0\0", &[socket_type.len() as u8][..], socket_type.as_bytes()].concat();
    [&GREETING[..], &command("READY", &property)].concat()
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    frame(4, &[&[name.len() as u8], name.as_bytes(), data].concat())
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).expect("short frames only");
    [&[flags, len], body].concat()
}
