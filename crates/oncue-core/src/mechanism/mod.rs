//! The seam for security mechanisms: a handshake that takes commands and gives commands, until it knows the
//! peer's metadata. The greeting before it and the meaning of the metadata are not known here.

use alloc::vec::Vec;

use crate::command::Metadata;
use crate::frame::ProtocolError;
use crate::greeting::MechanismName;

pub mod null;
mod step;

pub use step::Step;

/// The mechanism of one connection, and how far its handshake has come.
#[derive(Debug)]
pub enum Mechanism {
    /// No security at all.
    Null(null::Null),
}

impl Mechanism {
    /// NULL (RFC 37), telling the peer `metadata`.
    pub fn null(metadata: Metadata) -> Mechanism {
        Mechanism::Null(null::Null::new(metadata))
    }

    /// The name for the greeting.
    pub fn name(&self) -> MechanismName {
        match self {
            Mechanism::Null(_) => null::NAME,
        }
    }

    /// Whether the mechanism tells a server from a client; where not, as-server must be zero in the greeting.
    pub fn has_roles(&self) -> bool {
        match self {
            Mechanism::Null(_) => false,
        }
    }

    /// Appends what is sent as soon as the greetings agree.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        match self {
            Mechanism::Null(null) => null.start(out),
        }
    }

    /// Takes the body of one command and appends the answer.
    ///
    /// # Errors
    /// The peer broke the protocol; the connection must be closed, after sending what was appended to `out`.
    pub fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match self {
            Mechanism::Null(null) => null.receive(body, out),
        }
    }
}
