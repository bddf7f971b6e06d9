//! The NULL mechanism (RFC 37): both peers send READY, and that is all.

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
    /// Will tell the peer `metadata`.
    pub fn new(metadata: Metadata) -> Null {
        Null { metadata }
    }

    /// Sends READY at once, on either side, as libzmq does: waiting for the other's, which RFC 37 asks of the
    /// side that bound, costs a round trip and gains nothing.
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
