//! The state machines of Oncue, without I/O, clock, threads or randomness. Bytes, times and seeds are arguments; bytes and
//! decisions are results.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod command;
pub mod connection;
pub mod edges;
pub mod feeds;
pub mod frame;
pub mod greeting;
pub mod ledger;
pub mod mechanism;
pub mod mesh;
pub mod subscriptions;
pub mod topic;
pub mod websocket;
