//! ZeroMQ over WebSocket (RFC 45): our sockets against peers whose every byte is written here, as libzmq, omq and jszmq send
//! them, each with our side bound and with our side connecting.

mod frames;
mod heartbeats;
mod http;
mod ours;
mod peer;
mod refusals;
mod sealed;
#[cfg(feature = "wss")]
mod tls;
mod translation;
