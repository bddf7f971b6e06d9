//! Where a peer is: plain data.

use std::fmt;
use std::net::SocketAddr;

/// Where a peer is. Its text is `tcp://ADDRESS:PORT`, `ipc` or `inproc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// Its address and port. `None`: it has gone before the system could say.
    Tcp(Option<SocketAddr>),
    /// A process of this machine, by a Unix socket.
    Ipc,
    /// A socket of the same engine.
    Inproc,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Tcp(Some(address)) => write!(f, "tcp://{address}"),
            PeerAddress::Tcp(None) => f.write_str("tcp://unknown"),
            PeerAddress::Ipc => f.write_str("ipc"),
            PeerAddress::Inproc => f.write_str("inproc"),
        }
    }
}
