//! The newest libzmq source under the version number that the `zmq` crate requires. Contains no code of ours.

pub use newest::*;
