//! The newest source of libzmq under the version number that the `zmq` crate asks for. Nothing of ours belongs here.

pub use newest::*;
