//! A peer of any ZMTP version whose bytes the test controls, and the two ways in which it connects with one of our sockets.
//! Every wait here has a time limit.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use oncue::{
    Endpoint, Engine, EngineOptions, Msg, Options, Pub, Sub, SubscriptionEvent, XPub, XPubEvent, XSub,
};
use socket2::SockRef;

/// The time limit of each wait.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What a 3.1 peer with the NULL mechanism sends first.
pub(crate) const GREETING_3_1: &[u8; 64] =
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The protocol versions that peers may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zmtp {
    V3_1,
    V3_0,
    V2_0,
}

impl Zmtp {
    pub(crate) const ALL: [Zmtp; 3] = [Zmtp::V3_1, Zmtp::V3_0, Zmtp::V2_0];

    /// Everything that such a peer sends in its handshake, without waiting for an answer.
    pub(crate) fn hello(self, socket_type: &str) -> Vec<u8> {
        if self == Zmtp::V2_0 {
            let number = ["", "PUB", "SUB", "", "", "", "", "", "", "XPUB", "XSUB"];
            let number = number.iter().position(|name| *name == socket_type).unwrap();
            return [&GREETING_3_1[..10], &[1, number as u8, 0, 0]].concat();
        }
        let mut greeting = *GREETING_3_1;
        greeting[11] = u8::from(self == Zmtp::V3_1);
        [&greeting[..], &ready(socket_type)].concat()
    }

    /// A subscription as this version sends it.
    pub(crate) fn subscribe(self, prefix: impl AsRef<[u8]>) -> Vec<u8> {
        match self {
            Zmtp::V3_1 => subscribe(prefix),
            _ => frame(0, &[b"\x01", prefix.as_ref()].concat()),
        }
    }

    /// The end of a subscription as this version sends it.
    pub(crate) fn cancel(self, prefix: impl AsRef<[u8]>) -> Vec<u8> {
        match self {
            Zmtp::V3_1 => cancel(prefix),
            _ => frame(0, &[b"\0", prefix.as_ref()].concat()),
        }
    }
}

/// One frame with these flags.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(len) => [&[flags, len], body].concat(),
        Err(_) => [&[flags | 2], &(body.len() as u64).to_be_bytes()[..], body].concat(),
    }
}

/// A message.
pub(crate) fn message<T: AsRef<[u8]>>(frames: &[T]) -> Vec<u8> {
    let last = frames.len() - 1;
    frames.iter().enumerate().flat_map(|(i, body)| frame(u8::from(i < last), body.as_ref())).collect()
}

pub(crate) fn command(name: &str, data: impl AsRef<[u8]>) -> Vec<u8> {
    frame(4, &[&[name.len() as u8], name.as_bytes(), data.as_ref()].concat())
}

pub(crate) fn subscribe(prefix: impl AsRef<[u8]>) -> Vec<u8> {
    command("SUBSCRIBE", prefix)
}

pub(crate) fn cancel(prefix: impl AsRef<[u8]>) -> Vec<u8> {
    command("CANCEL", prefix)
}

pub(crate) fn ping(context: impl AsRef<[u8]>) -> Vec<u8> {
    command("PING", [b"\0\0", context.as_ref()].concat())
}

pub(crate) fn ready(socket_type: &str) -> Vec<u8> {
    ready_with(socket_type, b"")
}

/// As our sockets send it.
pub(crate) fn oncue_ready(socket_type: &str) -> Vec<u8> {
    ready_with(socket_type, b"\x07X-Oncue\0\0\0\x012")
}

/// As the sockets of version 0.1.0 sent it: such a peer understands only the states of topics.
pub(crate) fn oncue_1_ready(socket_type: &str) -> Vec<u8> {
    ready_with(socket_type, b"\x07X-Oncue\0\0\0\x011")
}

fn ready_with(socket_type: &str, properties: &[u8]) -> Vec<u8> {
    let len = [0, 0, 0, socket_type.len() as u8];
    let all = [b"\x0bSocket-Type", &len[..], socket_type.as_bytes(), properties].concat();
    command("READY", all)
}

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    /// Read, and not examined yet.
    buffer: Vec<u8>,
    taken: usize,
    barriers: u32,
}

impl Raw {
    fn new(stream: TcpStream) -> Raw {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, buffer: Vec::new(), taken: 0, barriers: 0 }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("our side takes the bytes");
    }

    /// Sends bytes; the peer may close the connection before it has read all of them.
    pub(crate) fn send_anyway(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() - self.taken < n {
            assert!(self.fill().expect("our side sends more") > 0, "our side has closed");
        }
        self.taken += n;
        self.buffer[self.taken - n..self.taken].to_vec()
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.drain(..std::mem::take(&mut self.taken));
        let mut bytes = [0; 64 << 10];
        let n = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// Exactly these bytes come next.
    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let got = self.take(bytes.len());
        assert!(got == bytes, "\n got {}\nwant {}", got.escape_ascii(), bytes.escape_ascii());
    }

    /// The next frame: its flags but LONG, and its body.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let flags = self.take(1)[0];
        let len = match flags & 2 {
            0 => u64::from(self.take(1)[0]),
            _ => u64::from_be_bytes(self.take(8).try_into().unwrap()),
        };
        (flags & !2, self.take(len as usize))
    }

    /// The frames of the next message.
    pub(crate) fn message(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let (flags, body) = self.frame();
            assert_eq!(flags & !1, 0, "a message, not a command: {}", body.escape_ascii());
            frames.push(body);
            if flags == 0 {
                return frames;
            }
        }
    }

    /// Our side has read everything that was sent before, and has sent nothing that was not taken here.
    #[track_caller]
    pub(crate) fn barrier(&mut self) {
        self.barriers += 1;
        let context = self.barriers.to_be_bytes();
        self.send(ping(context));
        self.expect(command("PONG", context));
    }

    /// Waits until our side has ended the connection. Returns what it sent before.
    pub(crate) fn ended(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
                Err(e) => panic!("our side does not end the connection: {e}"),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Where this side of the connection is.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// From now on the system buffers little of what is not read.
    pub(crate) fn hold_little(&self, bytes: usize) {
        SockRef::from(&self.stream).set_recv_buffer_size(bytes).unwrap();
    }

    /// Closes the connection for writing, and goes on reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset instead of a clean close.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// One of our sockets, as far as connecting with peers goes.
pub(crate) trait Socket {
    /// Its type in READY.
    const TYPE: &'static str;
    fn bind(&self, at: &str) -> Endpoint;
    fn connect(&self, to: &str);
}

macro_rules! socket {
    ($($socket:ident $name:literal),*) => {$(
        impl Socket for $socket {
            const TYPE: &'static str = $name;
            fn bind(&self, at: &str) -> Endpoint {
                $socket::bind(self, at).unwrap()
            }
            fn connect(&self, to: &str) {
                $socket::connect(self, to).unwrap();
            }
        }
    )*};
}
socket!(Pub "PUB", Sub "SUB", XPub "XPUB", XSub "XSUB");

/// Whether our socket binds or connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Binding,
    Connecting,
}

/// Runs a check with our socket on either side.
pub(crate) fn both_sides(check: impl Fn(Side)) {
    for side in [Side::Binding, Side::Connecting] {
        // Shown if the check fails.
        eprintln!("our side is {side:?}");
        check(side);
    }
}

/// Where raw peers connect with one of our sockets.
pub(crate) struct Door {
    side: Side,
    /// The raw peers' listener, if our socket connects.
    listener: TcpListener,
    port: u16,
    ours: &'static str,
}

impl Door {
    /// A door of its own, which our socket is bound or connected to.
    pub(crate) fn new<S: Socket>(socket: &S, side: Side) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut port = listener.local_addr().unwrap().port();
        match side {
            Side::Connecting => socket.connect(&format!("tcp://127.0.0.1:{port}")),
            Side::Binding => {
                let at = socket.bind("tcp://127.0.0.1:0").to_string();
                port = at.rsplit_once(':').unwrap().1.parse().unwrap();
            }
        }
        Door { side, listener, port, ours: S::TYPE }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// A connection over which nothing was sent.
    pub(crate) fn stranger(&self) -> Raw {
        if self.side == Side::Binding {
            return Raw::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        }
        let start = Instant::now();
        loop {
            if let Some(raw) = self.waiting() {
                return raw;
            }
            assert!(start.elapsed() < SOON, "our side connects");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A connection that our side has made already.
    pub(crate) fn waiting(&self) -> Option<Raw> {
        match self.listener.accept() {
            Ok((stream, _)) => Some(Raw::new(stream)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => panic!("{e}"),
        }
    }

    /// A peer whose handshake is done, of the type that fits our socket.
    pub(crate) fn peer(&self, version: Zmtp) -> Raw {
        let mut raw = self.stranger();
        raw.send(version.hello(if self.ours.ends_with("PUB") { "SUB" } else { "PUB" }));
        raw.welcome(version, self.ours);
        raw
    }
}

impl Raw {
    /// Takes everything that our side sends in its handshake.
    #[track_caller]
    pub(crate) fn welcome(&mut self, version: Zmtp, ours: &str) {
        self.expect(&GREETING_3_1[..11]);
        if version == Zmtp::V2_0 {
            return self.expect([if ours.ends_with("PUB") { 1 } else { 2 }, 0, 0]);
        }
        self.expect(&GREETING_3_1[11..]);
        self.expect(oncue_ready(ours));
    }
}

pub(crate) fn engine() -> Engine {
    Engine::start().unwrap()
}

pub(crate) fn engine_of(io_threads: usize) -> Engine {
    Engine::with(EngineOptions::new().io_threads(io_threads)).unwrap()
}

/// Options for tests: lost connections are tried again at once.
pub(crate) fn options() -> Options {
    Options::new().reconnect(Duration::from_millis(1), Duration::from_millis(20))
}

/// An XPUB that reports events from now on, and its first door.
pub(crate) fn xpub(side: Side) -> (XPub, Door) {
    let x = XPub::new(&engine(), options()).unwrap();
    no_event(&x);
    let door = Door::new(&x, side);
    (x, door)
}

/// Another peer of the same socket: through the same door where ours is bound, through one of its own where it
/// connects.
pub(crate) fn another<S: Socket>(socket: &S, side: Side, version: Zmtp) -> (Raw, Door) {
    let door = Door::new(socket, side);
    (door.peer(version), door)
}

/// The next event: `+prefix`, `-prefix`, or the frames of a message.
#[track_caller]
pub(crate) fn event(x: &XPub) -> String {
    show(x.event().wait_timeout(SOON).expect("an event").unwrap())
}

/// Asserts that there is no event.
#[track_caller]
pub(crate) fn no_event(x: &XPub) {
    assert_eq!(x.try_event().unwrap().map(show), None);
}

fn show(event: XPubEvent) -> String {
    match event {
        XPubEvent::Wanted(prefix) => format!("+{prefix}"),
        XPubEvent::Unwanted(prefix) => format!("-{prefix}"),
        XPubEvent::Message(m) => texts(&m).join("|"),
        XPubEvent::Subscription(event) => show_subscription(&event),
        _ => unreachable!("there are no other events"),
    }
}

/// `s prefix` (subscribed), `u prefix` (unsubscribed), `r prefix` (repeated), `? prefix` (requested), `! prefix` (withdrawn).
pub(crate) fn show_subscription(event: &SubscriptionEvent) -> String {
    let sign = match event {
        SubscriptionEvent::Subscribed { .. } => 's',
        SubscriptionEvent::Unsubscribed { .. } => 'u',
        SubscriptionEvent::Repeated { .. } => 'r',
        SubscriptionEvent::Requested { .. } => '?',
        SubscriptionEvent::Withdrawn { .. } => '!',
        _ => unreachable!("there are no other events"),
    };
    format!("{sign} {}", event.prefix())
}

pub(crate) fn texts(m: &Msg) -> Vec<String> {
    m.frames().map(|f| f.escape_ascii().to_string()).collect()
}
