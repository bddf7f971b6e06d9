//! The security mechanisms: a handshake that receives and sends commands until it knows the peer's metadata, and has asked
//! somebody who the peer is. The greeting before it and the meaning of the metadata are not known here.

use alloc::vec::Vec;

use crate::command::Metadata;
use crate::frame::ProtocolError;

pub mod curve;
pub mod null;
pub mod plain;
mod security;
mod step;

pub use security::Security;
pub use step::{Credentials, Step};

/// The mechanism of one connection, and the state of its handshake.
#[derive(Debug)]
pub enum Mechanism {
    /// No security.
    Null(null::Null),
    /// The client's side of PLAIN.
    PlainClient(plain::Client),
    /// The server's side of PLAIN.
    PlainServer(plain::Server),
    /// The client's side of CURVE.
    CurveClient(curve::Client),
    /// The server's side of CURVE.
    CurveServer(curve::Server),
}

impl Mechanism {
    /// What `security` asks for; it sends `metadata` to the peer.
    pub fn new(security: &Security, metadata: Metadata) -> Mechanism {
        match security {
            Security::Null => Mechanism::Null(null::Null::new(metadata)),
            Security::PlainClient(login) => {
                Mechanism::PlainClient(plain::Client::new(login.clone(), metadata))
            }
            Security::PlainServer => Mechanism::PlainServer(plain::Server::new(metadata)),
            Security::CurveClient(keys, random) => {
                Mechanism::CurveClient(curve::Client::new(keys.clone(), metadata, *random))
            }
            Security::CurveServer(keys, random) => {
                Mechanism::CurveServer(curve::Server::new(keys.clone(), metadata, *random))
            }
        }
    }

    /// Appends the bytes to send after the greetings.
    ///
    /// # Errors
    /// The keys are useless.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        match self {
            Mechanism::Null(null) => null.start(out),
            Mechanism::PlainClient(client) => client.start(out),
            Mechanism::CurveClient(client) => client.start(out)?,
            Mechanism::PlainServer(_) | Mechanism::CurveServer(_) => {}
        }
        Ok(())
    }

    /// Processes the body of one command and appends the answer.
    ///
    /// # Errors
    /// The peer violated the protocol; the connection must be closed, after sending the bytes appended to `out`.
    pub fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match self {
            Mechanism::Null(null) => null.receive(body, out),
            Mechanism::PlainClient(client) => client.receive(body, out),
            Mechanism::PlainServer(server) => server.receive(body, out),
            Mechanism::CurveClient(client) => client.receive(body, out),
            Mechanism::CurveServer(server) => server.receive(body, out),
        }
    }

    /// The peer that [`Step::Authenticate`] was about is accepted: appends the answer.
    pub fn accept(&mut self, out: &mut Vec<u8>) -> Step {
        match self {
            Mechanism::PlainServer(server) => {
                server.accept(out);
                Step::Continue
            }
            Mechanism::CurveServer(server) => server.accept(out),
            Mechanism::Null(_) | Mechanism::PlainClient(_) | Mechanism::CurveClient(_) => Step::Continue,
        }
    }

    /// It is refused: appends the answer, with a status code of ZAP (RFC 27): 300, 400 or 500. `is_libzmq`: the peer takes
    /// only what libzmq sends.
    pub fn refuse(&mut self, status: &str, is_libzmq: bool, out: &mut Vec<u8>) {
        match self {
            Mechanism::PlainServer(server) => server.refuse(status, is_libzmq, out),
            Mechanism::CurveServer(server) => server.refuse(status, out),
            Mechanism::Null(_) | Mechanism::PlainClient(_) | Mechanism::CurveClient(_) => {}
        }
    }
}
