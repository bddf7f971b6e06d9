//! The state machines of Oncue, and nothing that touches the outside: no I/O, no clock, no threads, no randomness.
//! Bytes, times and seeds come in as arguments; bytes and decisions go out as results.
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
pub mod subscriptions;
pub mod topic;
