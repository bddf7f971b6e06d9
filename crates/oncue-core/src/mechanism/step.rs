//! How far a handshake has come.

use alloc::vec::Vec;

use crate::command::Metadata;

/// What a command has brought about.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The handshake goes on.
    Continue,
    /// The handshake is over; here is what the peer says of itself.
    Done(Metadata),
    /// The peer refused with an ERROR; the reason has at most 255 bytes, of any value.
    Refused(Vec<u8>),
}
