//! What comes from the network, as the keeper of the mesh gets it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zenoh::bytes::ZBytes;

use crate::error::MeshError;

/// A payload as Zenoh holds it: a reference to the buffer that it was received into.
#[derive(Clone)]
pub(crate) struct Payload(ZBytes);

impl Payload {
    pub(super) fn new(bytes: &ZBytes) -> Payload {
        Payload(bytes.clone())
    }

    #[cfg(test)]
    pub(crate) fn of(bytes: Vec<u8>) -> Payload {
        Payload(ZBytes::from(bytes))
    }

    /// The bytes; copied only if they came in several fragments, as those of more than 64 KiB do.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        self.0.to_bytes()
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// Something that has come. Names of sites are valid; they may be that of this site, if another process has it too. What this
/// process has sent itself does not come.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A process has joined, or has left or been cut off.
    Token { site: String, epoch: u64, alive: bool },
    /// A site says that a newer process of this site has joined.
    Newer { by: String, epoch: u64 },
    /// A site says that it remembers a process of this site with this epoch, which is gone.
    Past { by: String, epoch: u64 },
    /// A heartbeat.
    Heartbeat { site: String, payload: Payload },
    /// Changes of a site's demand.
    Delta { site: String, payload: Payload },
    /// The end of an [`ask_snapshot`](super::Link::ask_snapshot): none if no answer came.
    Snapshot { site: String, answer: Option<Payload> },
    /// A batch of messages for this site.
    Data { site: String, payload: Payload },
    /// The end of a [`ping`](super::Link::ping): none if no answer came.
    RoundTrip { site: String, time: Option<Duration> },
    /// Something an operator should know, and that stops nothing.
    Warning(String),
    /// This site must leave the mesh: its configuration contradicts that of another site. It comes once. That a session is broken
    /// does not come; what is called on the link then fails.
    Ended(MeshError),
}

/// What a link calls. Both are called on threads of Zenoh or of the link, several at once, also before
/// [`open`](super::Link::open) returns. Neither may close the link.
#[derive(Clone)]
pub(crate) struct Hooks {
    /// Takes what has come. It must not block: the thread reads for all links.
    pub(crate) arrived: Arc<dyn Fn(Arrival) + Send + Sync>,
    /// Gives the snapshot of this site's demand. It may take a while: a thread of its own calls it.
    pub(crate) snapshot: Arc<dyn Fn() -> Vec<u8> + Send + Sync>,
}
