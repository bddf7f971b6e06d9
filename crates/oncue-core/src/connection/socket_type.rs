//! The socket types of publish/subscribe, their names on the wire, and which are compatible (RFC 29, 37 and 15).

use core::fmt;

/// The type of a socket that publishes or subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// Publishes.
    Pub,
    /// Subscribes.
    Sub,
    /// Publishes, and shows its user the subscriptions.
    XPub,
    /// Subscribes, and may send messages upstream.
    XSub,
}

impl SocketType {
    /// All socket types.
    pub const ALL: [SocketType; 4] = [SocketType::Pub, SocketType::Sub, SocketType::XPub, SocketType::XSub];

    /// The name in READY.
    pub fn name(self) -> &'static str {
        match self {
            SocketType::Pub => "PUB",
            SocketType::Sub => "SUB",
            SocketType::XPub => "XPUB",
            SocketType::XSub => "XSUB",
        }
    }

    /// The type with this name, which is case-sensitive.
    pub fn from_name(name: &[u8]) -> Option<SocketType> {
        SocketType::ALL.into_iter().find(|known| known.name().as_bytes() == name)
    }

    /// Whether the type is PUB or XPUB.
    pub fn publishes(self) -> bool {
        matches!(self, SocketType::Pub | SocketType::XPub)
    }

    /// Whether the two types are compatible: one publishes and the other subscribes.
    pub fn talks_to(self, peer: SocketType) -> bool {
        self.publishes() != peer.publishes()
    }

    /// The assumed type of a peer that does not send its type.
    pub(super) fn plain_counterpart(self) -> SocketType {
        if self.publishes() { SocketType::Sub } else { SocketType::Pub }
    }

    /// The byte in a 2.0 greeting. RFC 15 has no XPUB and XSUB: they are sent as PUB and SUB.
    pub(super) fn byte_2_0(self) -> u8 {
        if self.publishes() { 1 } else { 2 }
    }

    /// The type for a byte of a 2.0 greeting. libzmq sends XPUB and XSUB as 9 and 10.
    pub(super) fn from_byte_2_0(byte: u8) -> Option<SocketType> {
        match byte {
            1 => Some(SocketType::Pub),
            2 => Some(SocketType::Sub),
            9 => Some(SocketType::XPub),
            10 => Some(SocketType::XSub),
            _ => None,
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
