//! A raw ZMTP peer: it writes literal bytes, and reads frames without any of our code. Unlike the one of lab/interop it
//! takes any greeting of ZMTP 3, and its failures are outcomes of a history.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use oncue_interop::raw::{Version, message, subscription};
use socket2::SockRef;

use crate::{Step, Trouble};

const GREETING_BYTES: usize = 64;
const COMMAND: u8 = 4;
const LONG: u8 = 2;
const MORE: u8 = 1;
/// How often a listener that does not block is asked.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(5);

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is a command.
    pub is_command: bool,
    /// Its body.
    pub body: Vec<u8>,
}

/// One connection, its handshake done.
pub struct Peer {
    stream: TcpStream,
    version: Version,
    unread: Vec<u8>,
    patience: Duration,
}

/// A port of 127.0.0.1 on which raw peers wait for an implementation that connects.
pub struct Port(TcpListener);

impl Port {
    /// A free one.
    pub fn new() -> Step<Port> {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.map(Port).map_err(|error| Trouble::Cannot(format!("no port: {error}")))
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        let address = self.0.local_addr().expect("a bound listener has an address");
        format!("tcp://{address}")
    }

    /// Accepts the next connection, and does the handshake as a socket of type `kind`.
    ///
    /// # Errors
    /// If none comes in time.
    pub fn accept(&self, kind: &str, version: Version, patience: Duration) -> Step<Peer> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(lost)?;
                    return Peer::greet(stream, kind, version, patience);
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(lost(error)),
                Err(_) if Instant::now() > deadline => return Err(Trouble::Late("a connection")),
                Err(_) => std::thread::sleep(ACCEPT_INTERVAL),
            }
        }
    }
}

impl Peer {
    /// Connects to an endpoint `tcp://…`, and does the handshake as a socket of type `kind`.
    ///
    /// # Errors
    /// If the connection or the handshake fails.
    pub fn connect(endpoint: &str, kind: &str, version: Version, patience: Duration) -> Step<Peer> {
        let address = endpoint.strip_prefix("tcp://").unwrap_or(endpoint);
        Peer::greet(TcpStream::connect(address).map_err(lost)?, kind, version, patience)
    }

    /// Speaks `version`, or an older one if the other side does.
    fn greet(stream: TcpStream, kind: &str, version: Version, patience: Duration) -> Step<Peer> {
        stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(patience))).map_err(lost)?;
        let mut peer = Peer { stream, version, unread: Vec::new(), patience };
        let minor = u8::from(version == Version::V3_1);
        peer.write(&greeting(minor))?;
        let theirs = peer.read(GREETING_BYTES)?;
        if theirs[10] != 3 {
            return Err(Trouble::Cannot("it does not speak ZMTP 3".to_owned()));
        }
        if theirs[11] == 0 {
            peer.version = Version::V3_0;
        }
        // Only now: some implementations close if READY comes with the greeting.
        peer.write(&ready(kind))?;
        let frame = peer.frame(patience)?.ok_or(Trouble::Late("READY"))?;
        match frame.is_command && frame.body.starts_with(b"\x05READY") {
            true => Ok(peer),
            false => Err(Trouble::Late("READY as the first command")),
        }
    }

    /// The version of this connection.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Subscribes.
    ///
    /// # Errors
    /// If the connection is gone, as with all that writes.
    pub fn subscribe(&mut self, prefix: &[u8]) -> Step<()> {
        self.write(&subscription(self.version, true, prefix))
    }

    /// Cancels.
    ///
    /// # Errors
    /// As [`subscribe`](Peer::subscribe).
    pub fn cancel(&mut self, prefix: &[u8]) -> Step<()> {
        self.write(&subscription(self.version, false, prefix))
    }

    /// Subscribes to, or cancels, many prefixes in one write.
    ///
    /// # Errors
    /// As [`subscribe`](Peer::subscribe).
    pub fn change_many(&mut self, subscribe: bool, prefixes: impl Iterator<Item = Vec<u8>>) -> Step<()> {
        let version = self.version;
        let bytes: Vec<u8> = prefixes.flat_map(|prefix| subscription(version, subscribe, &prefix)).collect();
        self.write(&bytes)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`subscribe`](Peer::subscribe).
    pub fn send(&mut self, frames: &[&[u8]]) -> Step<()> {
        self.write(&message(frames))
    }

    /// Sends a PING with a time to live.
    ///
    /// # Errors
    /// As [`subscribe`](Peer::subscribe).
    pub fn ping(&mut self, ttl: Duration) -> Step<()> {
        let tenths = (ttl.as_millis() / 100) as u16;
        let body = [b"\x04PING".as_slice(), &tenths.to_be_bytes()].concat();
        self.write(&[&[COMMAND, body.len() as u8], &body[..]].concat())
    }

    /// Ends the connection by a reset.
    ///
    /// # Errors
    /// If the system refuses that.
    pub fn reset(self) -> Step<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).map_err(lost)
    }

    /// The next frame, if one comes in time.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn frame(&mut self, time: Duration) -> Step<Option<Frame>> {
        let deadline = Instant::now() + time;
        loop {
            if let Some((frame, bytes)) = first_frame(&self.unread) {
                self.unread.drain(..bytes);
                return Ok(Some(frame));
            }
            if !self.fill(deadline)? {
                return Ok(None);
            }
        }
    }

    fn read(&mut self, count: usize) -> Step<Vec<u8>> {
        let deadline = Instant::now() + self.patience;
        while self.unread.len() < count {
            if !self.fill(deadline)? {
                return Err(Trouble::Late("a greeting"));
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Reads what is there, or waits for it. Returns whether something came.
    fn fill(&mut self, deadline: Instant) -> Step<bool> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).map_err(lost)?;
        let mut buffer = vec![0; 256 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Trouble::Late("a connection that lasts")),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(lost(error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Step<()> {
        self.stream.write_all(bytes).map_err(lost)
    }
}

impl Frame {
    /// The subscription (`true`) or cancel that it is, in either form.
    pub fn change(&self) -> Option<(bool, &[u8])> {
        let forms: [(bool, bool, &[u8]); 4] = [
            (true, true, b"\x09SUBSCRIBE"),
            (true, false, b"\x06CANCEL"),
            (false, true, b"\x01"),
            (false, false, b"\x00"),
        ];
        let mut fitting = forms.iter().filter(|(is_command, ..)| *is_command == self.is_command);
        fitting.find_map(|(_, subscribe, start)| Some((*subscribe, self.body.strip_prefix(*start)?)))
    }
}

/// The first frame, and how many bytes it takes.
fn first_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let flags = *bytes.first()?;
    let (length, start) = match flags & LONG {
        0 => (usize::from(*bytes.get(1)?), 2),
        _ => (u64::from_be_bytes(bytes.get(1..9)?.try_into().ok()?) as usize, 9),
    };
    let body = bytes.get(start..start + length)?.to_vec();
    debug_assert!(flags <= COMMAND | LONG | MORE, "unknown flags");
    Some((Frame { is_command: flags & COMMAND != 0, body }, start + length))
}

fn greeting(minor: u8) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, minor];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(GREETING_BYTES, 0);
    bytes
}

fn ready(kind: &str) -> Vec<u8> {
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(kind.len() as u8);
    body.extend_from_slice(kind.as_bytes());
    [&[COMMAND, body.len() as u8], &body[..]].concat()
}

fn lost(error: std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Trouble::Late("a reader of what the raw peer writes"),
        _ => Trouble::Late("a connection that lasts"),
    }
}
