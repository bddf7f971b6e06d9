//! A peer of CURVE over TCP that writes and reads every frame itself. Only the cryptography is that of the product.

use std::sync::Arc;

use oncue::curve::{self, KeyPair, PublicKey};
use oncue_core::command::Metadata;
use oncue_core::mechanism::curve::{ClientKeys, MESSAGE_OVERHEAD_BYTES, Session};
use oncue_core::mechanism::{Mechanism, Security, Step};

use crate::raw::{Raw, frame, greeting};

/// The flags of a frame.
pub const MORE: u8 = 0x01;
/// See above.
pub const LONG: u8 = 0x02;
/// See above.
pub const COMMAND: u8 = 0x04;

fn random(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(32) {
        chunk.copy_from_slice(&curve::generate().secret().bytes()[..chunk.len()]);
    }
}

/// The metadata of a socket of this type.
pub fn socket_type(kind: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", kind.as_bytes());
    metadata
}

/// The client's side of a handshake that sends this metadata.
pub fn client(own: KeyPair, server: &PublicKey, metadata: Metadata) -> Mechanism {
    Mechanism::new(&Security::CurveClient(Arc::new(ClientKeys { own, server: *server }), random), metadata)
}

/// The server's side.
pub fn server(keys: KeyPair, metadata: Metadata) -> Mechanism {
    Mechanism::new(&Security::CurveServer(Arc::new(keys), random), metadata)
}

/// The bytes of a client's HELLO, as a frame.
pub fn hello(client: &mut Mechanism) -> Vec<u8> {
    let mut out = Vec::new();
    client.start(&mut out).expect("the keys are good");
    out
}

/// The answer to a command of the handshake, as a frame.
pub fn answer(mechanism: &mut Mechanism, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    mechanism.receive(body, &mut out).expect("the other side keeps to the protocol");
    out
}

/// A connection whose handshake is done.
pub struct Sealed {
    /// The connection, for bytes that are not sealed.
    pub raw: Raw,
    session: Session,
}

/// A frame as it came: the flags outside, and what was inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The flags of the MESSAGE's own frame.
    pub outside: u8,
    /// Whether the frame inside has MORE, and whether it is a command.
    pub inside: (bool, bool),
    /// What the frame holds.
    pub content: Vec<u8>,
    /// The counter.
    pub counter: u64,
}

/// Writes our greeting, and reads and checks that of the other side.
pub fn greet(raw: &mut Raw, minor: u8, as_server: bool, theirs_as_server: bool) {
    raw.write(&greeting(minor, "CURVE", as_server));
    raw.expect("a greeting with CURVE", &greeting(1, "CURVE", theirs_as_server));
}

impl Sealed {
    /// Greets as a client with this minor version, and does the handshake.
    pub fn client(mut raw: Raw, minor: u8, mut mechanism: Mechanism) -> Sealed {
        greet(&mut raw, minor, false, true);
        raw.write(&hello(&mut mechanism));
        let (flags, welcome) = raw.read_frame();
        assert_eq!((flags, welcome.len()), (COMMAND, 168), "WELCOME");
        raw.write(&answer(&mut mechanism, &welcome));
        let (flags, ready) = raw.read_frame();
        assert_eq!(flags, COMMAND, "READY");
        let Ok(Step::Sealed(_, session)) = mechanism.receive(&ready, &mut Vec::new()) else {
            panic!("{} is no READY", ready.escape_ascii())
        };
        Sealed { raw, session }
    }

    /// Greets as a server with this minor version, and does the handshake. libzmq's servers do not say that they are one.
    pub fn server(mut raw: Raw, minor: u8, as_server: bool, mut mechanism: Mechanism) -> Sealed {
        greet(&mut raw, minor, as_server, false);
        let (flags, hello) = raw.read_frame();
        assert_eq!((flags, hello.len()), (COMMAND, 200), "HELLO");
        raw.write(&answer(&mut mechanism, &hello));
        let (flags, initiate) = raw.read_frame();
        assert_eq!(flags, COMMAND | LONG, "INITIATE");
        answer(&mut mechanism, &initiate);
        let mut ready = Vec::new();
        let Step::Sealed(_, session) = mechanism.accept(&mut ready) else {
            panic!("the handshake is not over")
        };
        raw.write(&ready);
        Sealed { raw, session }
    }

    /// The body of the next MESSAGE.
    pub fn seal(&mut self, more: bool, command: bool, content: &[u8]) -> Vec<u8> {
        let mut body = vec![0; MESSAGE_OVERHEAD_BYTES];
        body.extend_from_slice(content);
        self.session.sealer.seal(&mut body, more, command);
        body
    }

    /// The next counters are these again.
    pub fn take_back(&mut self, frames: u64) {
        self.session.sealer.take_back(frames);
    }

    /// Sends the last frame of a message.
    pub fn send(&mut self, content: &[u8]) {
        self.send_with(0, (false, false), content);
    }

    /// Sends a command.
    pub fn command(&mut self, body: &[u8]) {
        self.send_with(0, (false, true), body);
    }

    /// Sends a frame with these flags outside, and with MORE and COMMAND inside.
    pub fn send_with(&mut self, outside: u8, (more, command): (bool, bool), content: &[u8]) {
        let body = self.seal(more, command, content);
        self.raw.write(&frame(outside, &body));
    }

    /// Receives a frame.
    pub fn recv(&mut self) -> Opened {
        let (outside, mut body) = self.raw.read_frame();
        assert!(body.starts_with(b"\x07MESSAGE"), "{} is no MESSAGE", body.escape_ascii());
        let counter = u64::from_be_bytes(body[8..16].try_into().expect("eight bytes"));
        let inside = self.session.opener.open(&mut body).expect("it was made for this side");
        Opened { outside, inside, content: body.split_off(MESSAGE_OVERHEAD_BYTES), counter }
    }

    /// Receives a frame that has these flags inside, and holds this.
    pub fn expect(&mut self, inside: (bool, bool), content: &[u8]) {
        let opened = self.recv();
        assert_eq!(
            (opened.inside, &opened.content[..]),
            (inside, content),
            "{}",
            opened.content.escape_ascii()
        );
        let long = if content.len() + MESSAGE_OVERHEAD_BYTES > 255 { LONG } else { 0 };
        assert_eq!(opened.outside, long, "MORE and COMMAND are inside alone");
    }
}
