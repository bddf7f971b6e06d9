//! The NULL mechanism (RFC 37): both peers send READY, and nothing else.

use alloc::vec::Vec;

use super::step::Step;
use crate::command::{Command, Metadata, put_ready};
use crate::frame::ProtocolError;
use crate::greeting::MechanismName;

/// NULL in the greeting.
pub const NAME: MechanismName = MechanismName::new("NULL");

/// One side of a NULL handshake.
#[derive(Debug)]
pub struct Null {
    metadata: Metadata,
}

impl Null {
    /// A handshake that sends `metadata` to the peer.
    pub fn new(metadata: Metadata) -> Null {
        Null { metadata }
    }

    /// Sends READY at once, on either side, as libzmq does. RFC 37 asks the side that bound to wait for the other's, which
    /// costs a round trip and gains nothing.
    pub(super) fn start(&mut self, out: &mut Vec<u8>) {
        put_ready(out, &self.metadata);
    }

    pub(super) fn receive(&mut self, body: &[u8], _out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match Command::parse(body)? {
            Command::Ready { metadata } => Ok(Step::Done(Metadata::parse(metadata)?)),
            Command::Error { reason } => Ok(Step::Refused(reason.to_vec())),
            _ => Err(ProtocolError::UnexpectedInHandshake),
        }
    }
}
