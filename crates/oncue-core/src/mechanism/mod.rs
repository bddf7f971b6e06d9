//! The interface of security mechanisms: a handshake that receives and sends commands until it knows the peer's metadata.
//! The greeting before it and the meaning of the metadata are not known here.

use alloc::vec::Vec;

use crate::command::Metadata;
use crate::frame::ProtocolError;
use crate::greeting::MechanismName;

pub mod null;
mod step;

pub use step::Step;

/// The mechanism of one connection, and the state of its handshake.
#[derive(Debug)]
pub enum Mechanism {
    /// No security.
    Null(null::Null),
}

impl Mechanism {
    /// NULL (RFC 37), which sends `metadata` to the peer.
    pub fn null(metadata: Metadata) -> Mechanism {
        Mechanism::Null(null::Null::new(metadata))
    }

    /// The name for the greeting.
    pub fn name(&self) -> MechanismName {
        match self {
            Mechanism::Null(_) => null::NAME,
        }
    }

    /// Whether the mechanism has a server and a client; if not, as-server must be zero in the greeting.
    pub fn has_roles(&self) -> bool {
        match self {
            Mechanism::Null(_) => false,
        }
    }

    /// Appends the bytes to send after the greetings.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        match self {
            Mechanism::Null(null) => null.start(out),
        }
    }

    /// Processes the body of one command and appends the answer.
    ///
    /// # Errors
    /// The peer violated the protocol; the connection must be closed, after sending the bytes appended to `out`.
    pub fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match self {
            Mechanism::Null(null) => null.receive(body, out),
        }
    }
}
