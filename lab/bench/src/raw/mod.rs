//! Programs without any library: they show the limit of the machine, and act as the other side of a publisher or a
//! subscriber so that only one of the two is measured. `wire` and `web` are the only modules that know
//! ZMTP, over a stream and over WebSocket.

pub mod churn;
pub mod copier;
pub mod drain;
pub mod market;
pub mod trip;
pub mod writer;

mod sealed;
pub mod web;
mod wire;
