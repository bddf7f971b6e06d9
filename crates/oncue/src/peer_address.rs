//! Where a peer is: plain data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a peer is: its transport, and what that says of it.
///
/// Transports may be added. A function that decides by the address should refuse those that it does not know.
///
/// ```
/// use oncue::PeerAddress;
/// fn may_subscribe(address: &PeerAddress) -> bool {
///     match address {
///         PeerAddress::Tcp(address) => address.ip().is_loopback(),
///         PeerAddress::Ipc { uid, .. } => *uid == 1000,
///         _ => false,
///     }
/// }
/// # let _ = may_subscribe;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// TCP: the peer's IP address and port.
    Tcp(SocketAddr),
    /// WebSocket over TCP: the peer's IP address and port.
    Ws(SocketAddr),
    /// A Unix socket: a process of this machine, by the credentials that it had when it connected or, if this side has
    /// connected to it, when it began to listen (`SO_PEERCRED`, unix(7)).
    Ipc {
        /// Its effective user.
        uid: u32,
        /// Its process. `None`: it is not visible to this process, as in a container. The number may have been taken over
        /// by another process since.
        pid: Option<u32>,
    },
    /// A socket of the same engine.
    Inproc,
}

impl PeerAddress {
    /// The IP address, if there is one; an IPv4 address that is mapped into IPv6 (`::ffff:1.2.3.4`) as what it is.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            PeerAddress::Tcp(address) | PeerAddress::Ws(address) => Some(address.ip().to_canonical()),
            PeerAddress::Ipc { .. } | PeerAddress::Inproc => None,
        }
    }
}

/// As in `tcp://192.168.1.7:50000`, `ws://192.168.1.7:50000`, `ipc (uid 1000, pid 4711)` or `inproc`.
impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Tcp(address) => write!(f, "tcp://{address}"),
            PeerAddress::Ws(address) => write!(f, "ws://{address}"),
            PeerAddress::Ipc { uid, pid: Some(pid) } => write!(f, "ipc (uid {uid}, pid {pid})"),
            PeerAddress::Ipc { uid, pid: None } => write!(f, "ipc (uid {uid})"),
            PeerAddress::Inproc => f.write_str("inproc"),
        }
    }
}
