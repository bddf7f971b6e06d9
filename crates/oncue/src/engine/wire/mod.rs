//! Floor 1: bytes on their way to a peer. Nothing here knows a socket, a peer or a shard.

mod admit;
pub(crate) mod backlog;
pub(crate) mod chunk;
mod coat;
pub(crate) mod gaps;
pub(crate) mod gather;
pub(crate) mod link;
pub(crate) mod load;
mod mixed;
pub(crate) mod pieces;
pub(crate) mod queue;
pub(crate) mod slices;
pub(crate) mod topics;
