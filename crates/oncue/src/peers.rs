//! The peers of a socket, as its user sees them: plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::command::{Metadata, ONCUE_PROPERTY};
use oncue_core::connection::SocketType;
use oncue_core::edges::Prefix;

use crate::account::Account;
use crate::connection::ConnectedPeer;
use crate::endpoint::Endpoint;
use crate::options::{METADATA_BYTES_MAX, METADATA_PROPERTIES_MAX};
use crate::peer_address::PeerAddress;
use crate::permission::PeerKey;
use crate::user::User;

/// A peer whose handshake is done: what does not change while it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerProfile {
    /// The connection. A peer that connects again has another one.
    pub key: PeerKey,
    /// Where it is.
    pub address: PeerAddress,
    /// The type of its socket.
    pub socket_type: SocketType,
    /// The version of ZMTP that is spoken with it, major and minor: `(3, 1)`, `(3, 0)` or `(2, 0)`.
    pub zmtp: (u8, u8),
    /// The endpoint by which it came: the one that this socket is connected to, as the user wrote it, or is bound to, with
    /// its wildcards resolved.
    pub endpoint: Arc<Endpoint>,
    /// Who it is, if this side is a server that authenticates its clients ([`Authenticator`](crate::Authenticator)).
    pub user: Option<Arc<User>>,
    /// What it said of itself in its READY.
    pub metadata: PeerMetadata,
}

impl PeerProfile {
    /// For whom counts what it uses; None if it has no bound.
    pub(crate) fn account(&self) -> Option<Account> {
        Account::of(self.user.as_deref(), &self.address)
    }

    /// The peer, as connection events have it.
    pub(crate) fn connected(&self) -> ConnectedPeer {
        let PeerProfile { key, address, socket_type, .. } = *self;
        ConnectedPeer { key, address, socket_type }
    }

    /// A number that no other peer of the engine has or had.
    pub(crate) fn number(&self) -> u64 {
        self.key.number()
    }
}

/// The properties of a peer's READY besides its socket type and identity (RFC 37, "Connection Metadata";
/// [`Options::metadata`](crate::Options::metadata) sets ours). Names are compared without regard to case. The peer chooses
/// them: they prove nothing. At most 32 properties of 4 KiB are kept, in the order of the READY; what does not fit is left
/// out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PeerMetadata(Metadata);

impl PeerMetadata {
    /// What is kept of these.
    pub(crate) fn of(properties: &Metadata) -> PeerMetadata {
        let (mut kept, mut count, mut bytes) = (Metadata::new(), 0, 0);
        for (name, value) in properties.iter() {
            let len = name.len() + value.len();
            let fits = count < METADATA_PROPERTIES_MAX && bytes + len <= METADATA_BYTES_MAX;
            if fits && !name.eq_ignore_ascii_case(ONCUE_PROPERTY.0.as_bytes()) {
                kept.add(name, value);
                (count, bytes) = (count + 1, bytes + len);
            }
        }
        PeerMetadata(kept)
    }

    /// The value of a property.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.0.get(name.as_ref())
    }

    /// Every (name, value), in the order of the READY.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter()
    }
}

impl fmt::Debug for PeerMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// A connected peer at one moment ([`Socket::peers`](crate::Socket::peers)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// What does not change.
    pub profile: Arc<PeerProfile>,
    /// How many prefixes it holds. 0 for a peer of a SUB or XSUB.
    pub prefixes: u32,
    /// Their lengths in bytes, in all.
    pub prefix_bytes: u64,
    /// Prefixes that it has asked for and that are not decided yet ([`Admission::Defer`](crate::Admission::Defer)).
    pub requests: u64,
    /// Messages that are queued for it in this process.
    pub queued: u64,
    /// What they take on the wire, in bytes.
    pub queued_bytes: u64,
    /// Messages that were completely written to its connection, as
    /// [`SocketStats::delivered`](crate::SocketStats::delivered).
    pub delivered: u64,
    /// Messages that it has missed, as [`SocketStats::missed`](crate::SocketStats::missed).
    pub missed: u64,
    /// Messages that came from it and were queued for this socket's user.
    pub received: u64,
    /// How long ago its handshake was done.
    pub connected_for: Duration,
    /// How long ago it gave the last sign of life: sent something, or took what had waited for it to read.
    pub silent_for: Duration,
}

/// A prefix that peers want ([`XPub::wanted_prefixes`](crate::XPub::wanted_prefixes)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// How many peers want it.
    pub subscribers: usize,
    /// The first of them, in no particular order.
    pub peers: Vec<PeerKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_properties_the_first_that_fit_are_kept() {
        let mut sent = Metadata::new();
        sent.add(b"x-oncue", b"1");
        sent.add(b"X-Large", &[0; METADATA_BYTES_MAX]);
        for i in 0..100 {
            sent.add(format!("X-{i:02}").as_bytes(), b"v");
        }
        let kept = PeerMetadata::of(&sent);
        assert_eq!(kept.iter().count(), METADATA_PROPERTIES_MAX);
        assert_eq!(
            (kept.get("x-00"), kept.get("X-Large"), kept.get("X-Oncue")),
            (Some(&b"v"[..]), None, None)
        );
        assert_eq!(kept.iter().next().unwrap(), (&b"X-00"[..], &b"v"[..]));
    }
}
