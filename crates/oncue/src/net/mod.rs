//! The network as a shard sees it: streams and listeners that never block. Nothing here knows ZMTP or sockets.

mod address;
mod dialing;
pub(crate) mod inproc;
mod listen;
#[cfg(not(feature = "wss"))]
mod no_tls;
pub(crate) mod os;
pub(crate) mod poller;
mod probes;
mod raw;
pub(crate) mod resolver;
mod socks;
#[cfg(feature = "wss")]
mod tls;
mod tuning;
pub(crate) mod web;

#[cfg(not(feature = "wss"))]
use self::no_tls as tls;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Cause;
use crate::endpoint::Endpoint;
use crate::options::NetOptions;
use crate::peer_address::PeerAddress;

/// A byte stream to one peer. Every call returns at once, with [`io::ErrorKind::WouldBlock`] if it would have to wait;
/// the network then reports readiness for the stream's token, once.
pub(crate) trait Stream: Send {
    /// Whether an outgoing connection has been made; an error says that it was not.
    fn connected(&mut self) -> io::Result<bool>;
    /// Whether the connection being made has addresses that are not tried yet.
    fn has_alternatives(&self) -> bool {
        false
    }
    /// Why an outgoing connection is not made if nothing more comes.
    fn awaits(&self) -> Cause {
        Cause::NoAnswer
    }
    /// Tries the next address, in parallel with those that have not answered yet.
    fn try_next(&mut self) {}
    /// Appends to `buffer` within its spare capacity, which must not be 0. A result of 0 is the end of the stream.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
    /// Writes the slices, or a first part of them. Returns how many bytes.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes what the stream itself has to say, if anything is left of that: the network has reported room.
    fn flush(&mut self) {}
    /// Whether the last [`read`](Self::read) left something that the network will not report.
    fn holds_more(&self) -> bool {
        false
    }
    /// How many bytes of a frame that is not complete were read, and cannot be shown yet.
    fn held_bytes(&self) -> usize {
        0
    }
    /// Closes the stream for writing.
    fn shutdown_write(&mut self);
    /// Lifts the bound on what the system buffers for this peer: it has been seen to read.
    fn trust(&mut self) {}
    /// Whether the other side can vanish without closing the stream.
    fn may_fall_silent(&self) -> bool {
        true
    }
    /// Has the stream fail when the other side's system has answered nothing for `timeout`; it is probed after it has been
    /// idle for `idle`. Nothing happens if the system cannot do that.
    fn probe(&mut self, _idle: Duration, _timeout: Duration) {}
    /// Whether the stream has pings of its own, so that peers below ZMTP 3.1 can be asked for a sign of life too.
    fn has_pings(&self) -> bool {
        false
    }
    /// Sends a ping of its own, if it has any. Returns whether the other side answers it, as far as is known.
    fn ping(&mut self) -> bool {
        false
    }
    /// Whether the other side is let in without the mechanism of the socket.
    fn is_let_in(&self) -> bool {
        false
    }
    /// Whether the other side wanted a page, or may still want one, and is no peer.
    fn is_served(&self) -> bool {
        false
    }
    /// Where the other side is. It has no meaning before the connection is made.
    fn address(&self) -> PeerAddress;
}

/// A stream that translates what another one carries.
pub(crate) trait Layer<S>: Stream {
    fn below(&self) -> &S;
    fn below_mut(&mut self) -> &mut S;
    /// Says by which token the owner of the stream is told of it.
    fn known_as(&mut self, _notify: Arc<dyn Notify>, _token: usize) {}
}

/// Where streams come from.
pub(crate) trait Net: Send + 'static {
    /// What [`connect`](Net::connect) and [`accept`](Net::accept) return.
    type Stream: Stream + 'static;
    /// What [`listen`](Net::listen) returns. It listens until it is dropped, which any thread may do.
    type Listener: Send + 'static;

    /// Looks up names, for a caller that may wait.
    type Names: Clone + Send;

    fn names(&self) -> Self::Names;
    /// What a host to be bound resolves to, the preferred endpoint first. A look-up that `patience` gives up is an error.
    fn places(
        _names: &Self::Names,
        at: &Endpoint,
        _options: &NetOptions,
        _patience: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<Vec<Endpoint>> {
        Ok(vec![at.clone()])
    }
    /// Listens. Also returns the endpoint with its wildcards resolved.
    fn listen(
        &mut self,
        at: &Endpoint,
        token: usize,
        options: &NetOptions,
    ) -> io::Result<(Self::Listener, Endpoint)>;
    /// Listens with a socket that was passed to this process and listens already. Also returns its endpoint.
    fn listen_on(&mut self, _passed: OwnedFd, _token: usize) -> io::Result<(Self::Listener, Endpoint)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Accepts the next stream, which is not registered yet.
    fn accept(&mut self, listener: &mut Self::Listener, options: &NetOptions) -> io::Result<Self::Stream>;
    /// Begins to connect. Readiness to write is reported for `token` when [`connected`](Stream::connected) should be asked
    /// again. The first of a host's addresses to be tried is `turn` places after the first in its list.
    fn connect(
        &mut self,
        to: &Endpoint,
        token: usize,
        turn: u32,
        options: &Arc<NetOptions>,
    ) -> io::Result<Self::Stream>;
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
    /// The peer has closed the stream for writing, or the stream has failed. Nothing more will be reported for reading: the
    /// stream must be read to its end.
    pub(crate) ended: bool,
}

/// Takes reports of readiness from streams that the system does not poll (see [`inproc`]).
pub(crate) trait Notify: Send + Sync {
    /// Reports readiness. Any thread may call it.
    fn notify(&self, ready: Ready);
}
