//! The network as a shard sees it: streams and listeners that never block. Nothing here knows ZMTP or sockets.

mod address;
mod dialing;
pub(crate) mod inproc;
mod listen;
pub(crate) mod os;
pub(crate) mod poller;
mod probes;
pub(crate) mod resolver;

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::peer_address::PeerAddress;

/// A byte stream to one peer. Every call returns at once, with [`io::ErrorKind::WouldBlock`] where it cannot go on;
/// the network then reports readiness for the stream's token, once.
pub(crate) trait Stream: Send {
    /// Whether an outgoing connection has been made; an error says that it was not.
    fn connected(&mut self) -> io::Result<bool>;
    /// Whether the connection that is being made could go to another address.
    fn has_alternatives(&self) -> bool {
        false
    }
    /// Tries the next address, beside those that have not answered yet.
    fn try_next(&mut self) {}
    /// Appends to `buffer` within its spare capacity, which must not be 0. A result of 0 is the end of the stream.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
    /// Writes a part of the slices.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// No more will be written.
    fn shutdown_write(&mut self);
    /// The peer reads: it is worth the system's memory.
    fn trust(&mut self) {}
    /// Whether the other side can be gone without a word.
    fn may_fall_silent(&self) -> bool {
        true
    }
    /// Fails the stream when the other side's system has answered nothing for `timeout`: it is asked after `idle`, where
    /// there is nothing else that it would answer. Where the system cannot do that, nothing happens.
    fn probe(&mut self, _idle: Duration, _timeout: Duration) {}
    /// How many bytes the system may hold in each direction, where somebody has said.
    fn set_buffers(&mut self, _send: Option<u32>, _recv: Option<u32>) {}
    /// Where the other side is. It has no meaning before the connection is made.
    fn address(&self) -> PeerAddress;
}

/// Where streams come from.
pub(crate) trait Net: Send + 'static {
    /// What [`connect`](Net::connect) and [`accept`](Net::accept) yield.
    type Stream: Stream + 'static;
    /// What [`listen`](Net::listen) yields. It listens until it is dropped, on whatever thread.
    type Listener: Send + 'static;

    /// What a host to be bound stands for, the best choice first. May wait for a name to be looked up.
    fn places(at: &Endpoint) -> io::Result<Vec<Endpoint>> {
        Ok(vec![at.clone()])
    }
    /// Listens; yields the endpoint with its wildcards resolved. `backlog` connections may wait to be accepted.
    fn listen(&mut self, at: &Endpoint, token: usize, backlog: u32)
    -> io::Result<(Self::Listener, Endpoint)>;
    /// The next stream that waits to be accepted, not registered yet.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<Self::Stream>;
    /// Begins to connect; readiness to write for `token` tells that [`connected`](Stream::connected) may know more. Of a
    /// host's addresses, it begins with the one that is `turn` places behind the first.
    fn connect(&mut self, to: &Endpoint, token: usize, turn: u32) -> io::Result<Self::Stream>;
    /// Registers an accepted stream.
    fn adopt(&mut self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;
    /// Closes a stream.
    fn release(&mut self, stream: Self::Stream);
}

/// What the network reports of one token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer writes no more, or the stream has failed. Nothing else will be reported for reading: what is there
    /// must be read to its end.
    pub(crate) ended: bool,
}

/// Takes reports of readiness from streams that the system does not watch (see [`inproc`]).
pub(crate) trait Notify: Send + Sync {
    /// Reports from any thread.
    fn notify(&self, ready: Ready);
}
