//! The outcome of one step of a security handshake.

use alloc::vec::Vec;

use crate::command::Metadata;

/// What a command from the peer has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The handshake continues.
    Continue,
    /// The handshake is over; this is the peer's metadata.
    Done(Metadata),
    /// The peer refused with an ERROR command. The reason has at most 255 bytes, of any value.
    Refused(Vec<u8>),
}
