//! The coat of CURVE (RFC 26, "MESSAGE"): each frame in clear is one sealed frame on the stream, in each direction on its own.

mod opening;
mod sealing;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};

use oncue_core::mechanism::curve::Session;

use self::opening::Opening;
use self::sealing::Sealing;
use crate::net::Stream;

/// What is between one peer's stream and its bytes in clear.
pub(crate) struct Coat {
    sealing: Sealing,
    opening: Opening,
}

impl Coat {
    pub(super) fn new(session: Session, clear: u64, frame_max: u64) -> Coat {
        let Session { sealer, opener } = session;
        Coat { sealing: Sealing::new(sealer, clear), opening: Opening::new(opener, frame_max) }
    }

    pub(super) fn read(&mut self, stream: &mut impl Stream, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.opening.read(stream, buffer)
    }

    pub(super) fn write(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.sealing.write(stream, slices)
    }

    pub(super) fn opened(&mut self, sealed: &[u8]) -> io::Result<Vec<u8>> {
        self.opening.opened(sealed)
    }

    pub(super) fn holds_more(&self) -> bool {
        self.opening.holds_more()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.opening.held_bytes()
    }

    pub(super) fn take_sign_of_life(&mut self) -> bool {
        self.opening.take_sign_of_life()
    }
}
