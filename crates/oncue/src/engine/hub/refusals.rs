//! Why a socket refused peers, counted by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::connection::Cause;
use crate::stats::RefusalStats;

/// The counters of [`RefusalStats`].
#[derive(Default)]
pub(crate) struct Refusals([AtomicU64; Reason::Other as usize + 1]);

#[derive(Clone, Copy)]
enum Reason {
    Protocol,
    SocketType,
    Mechanism,
    NotLetIn,
    BoundExceeded,
    TurnedAway,
    HandshakeTimeout,
    ByPeer,
    Other,
}

impl Refusals {
    pub(crate) fn count(&self, cause: &Cause) {
        self.0[Reason::from(cause) as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> RefusalStats {
        let of = |reason: Reason| self.0[reason as usize].load(Ordering::Relaxed);
        RefusalStats {
            protocol: of(Reason::Protocol),
            socket_type: of(Reason::SocketType),
            mechanism: of(Reason::Mechanism),
            not_let_in: of(Reason::NotLetIn),
            bound_exceeded: of(Reason::BoundExceeded),
            turned_away: of(Reason::TurnedAway),
            handshake_timeout: of(Reason::HandshakeTimeout),
            by_peer: of(Reason::ByPeer),
            other: of(Reason::Other),
        }
    }
}

impl From<&Cause> for Reason {
    fn from(cause: &Cause) -> Reason {
        match cause {
            Cause::NotZeroMq(_) | Cause::TooOld | Cause::Protocol(_) => Reason::Protocol,
            Cause::SocketType { .. } => Reason::SocketType,
            Cause::Mechanism { .. } => Reason::Mechanism,
            Cause::NotLetIn => Reason::NotLetIn,
            Cause::BoundExceeded => Reason::BoundExceeded,
            Cause::TurnedAway => Reason::TurnedAway,
            Cause::SaysNothing | Cause::HandshakeTimeout => Reason::HandshakeTimeout,
            Cause::RefusedByPeer(_) | Cause::ClosedInHandshake => Reason::ByPeer,
            _ => Reason::Other,
        }
    }
}
