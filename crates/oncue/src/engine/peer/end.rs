//! The result of reading a peer, and why a connection ends.

use std::borrow::Cow;
use std::{fmt, io};

use oncue_core::connection::{Handshake, HandshakeError};
use oncue_core::frame::ProtocolError;
use oncue_core::ledger::QuotaExceeded;

use crate::connection::{Cause, PeerFault, Served};
use crate::engine::hub::accounts::Exceeded;
use crate::engine::hub::limits::Limit;
use crate::error::Error;
use crate::permission::Reason;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer has closed it.
    Closed,
    /// The stream has failed, or was never made.
    Failed(io::Error),
    /// The peer was silent for too long.
    Silent,
    /// It wanted a page and got it, or might have wanted one and was silent: it was no peer.
    Served,
    /// This side needs it no more: it was disconnected, drained, or its socket is closed.
    Done,
    /// The user has disconnected the peer. The reason, if there is one, goes to the peer as well.
    Dismissed(Option<Reason>),
    /// The peer broke the protocol or a bound, or refuses us. The text of the error goes to the peer as well.
    Refused(Cause, Error),
    /// The peer met a limit. The text of the error, which names it, goes to the peer as well; but a handshake that gives way to
    /// others ends without a word.
    Exceeded(Limit, Error),
}

impl End {
    /// The peer broke a bound; `text` says which.
    pub(crate) fn refused(text: impl Into<Cow<'static, str>>) -> End {
        End::Refused(Cause::BoundExceeded, Error::peer(text))
    }

    /// The peer is one too many; `text` says of what.
    pub(crate) fn turned_away(text: impl Into<Cow<'static, str>>) -> End {
        End::Refused(Cause::TurnedAway, Error::peer(text))
    }

    /// The authenticator does not let the peer in; `text` says why.
    pub(crate) fn not_let_in(text: &Reason) -> End {
        End::Refused(Cause::NotLetIn, Error::peer(format!("the client was not let in: {text}")))
    }

    /// The peer has sent an ERROR command during traffic.
    pub(crate) fn by_peer(reason: &[u8]) -> End {
        let text = reason.escape_ascii().to_string();
        let error = Error::peer(format!("the peer ended the connection: {text}"));
        End::Refused(Cause::RefusedByPeer(text), error)
    }

    /// What is said to the peer, if anything is.
    pub(crate) fn last_word(&self) -> Option<String> {
        match self {
            End::Exceeded(Limit::Handshakes, _) => None,
            End::Refused(_, error) | End::Exceeded(_, error) => Some(error.to_string()),
            End::Dismissed(reason) => reason.as_ref().map(|reason| reason.text().to_owned()),
            _ => None,
        }
    }

    /// Whether the peer has closed or reset the connection.
    pub(crate) fn is_by_peer(&self) -> bool {
        match self {
            End::Closed => true,
            End::Failed(error) => Cause::of_stream(error) == Cause::Reset,
            _ => false,
        }
    }

    /// Whether no connection was made because nothing listens there.
    pub(crate) fn is_nothing_there(&self) -> bool {
        matches!(self, End::Failed(error) if Cause::of_connect(error).is_nothing_there())
    }

    /// The cause of the end, and the error in full. `handshake` is that of the peer, while it lasts.
    pub(crate) fn explain(&self, stage: Stage<'_>) -> (Cause, Error) {
        match (self, stage) {
            (End::Refused(cause, error), _) => (cause.clone(), error.clone()),
            (End::Exceeded(Limit::Handshakes, error), _) => (Cause::TurnedAway, error.clone()),
            (End::Exceeded(_, error), _) => (Cause::BoundExceeded, error.clone()),
            (_, Stage::Handshake(handshake)) if self.is_by_peer() => closed_in(handshake),
            (End::Failed(error), Stage::Connecting) => {
                (Cause::of_connect(error), Error::io("the connection was not made", copy(error)))
            }
            (End::Failed(error), _) => {
                (Cause::of_stream(error), Error::io("the connection has failed", copy(error)))
            }
            (End::Closed, _) => (Cause::Closed, Error::peer(self.to_string())),
            (End::Silent, _) => (Cause::Silent, Error::peer(self.to_string())),
            (End::Served, _) => (Cause::Closed, Error::peer(self.to_string())),
            (End::Done, _) => (Cause::ClosedHere, Error::closed()),
            (End::Dismissed(_), _) => (Cause::ClosedHere, Error::peer(self.to_string())),
        }
    }

    pub(crate) fn too_slow() -> End {
        End::refused("too slow: the queue of this subscriber is full")
    }
}

/// How far a connection has come when it ends.
pub(crate) enum Stage<'a> {
    Connecting,
    Handshake(&'a Handshake),
    Traffic,
}

/// The peer has closed the connection before the handshake was done.
fn closed_in(handshake: &Handshake) -> (Cause, Error) {
    let error = handshake.closed_by_peer();
    (Cause::from(&error), Error::peer(error.to_string()).because(error))
}

/// The same error once more: that of the system, or at least its kind and text.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        // A link tells the peer's faults like this.
        let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<ProtocolError>());
        if let Some(fault) = fault {
            return End::from(*fault);
        }
        if error.get_ref().is_some_and(|inner| inner.is::<Served>()) {
            return End::Served;
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<PeerFault>()) {
            Some(fault) => End::Refused(fault.cause.clone(), Error::peer(fault.text.clone())),
            None => End::Failed(error),
        }
    }
}

impl From<HandshakeError> for End {
    fn from(error: HandshakeError) -> End {
        End::Refused(Cause::from(&error), Error::peer(error.to_string()).because(error))
    }
}

impl From<QuotaExceeded> for End {
    fn from(error: QuotaExceeded) -> End {
        let limit = match error {
            QuotaExceeded::Prefixes(_) => Some(Limit::Prefixes),
            QuotaExceeded::PrefixBytes(_) => Some(Limit::PrefixBytes),
            QuotaExceeded::Ledger(_) => None,
        };
        let error = Error::peer(error.to_string()).because(error);
        match limit {
            Some(limit) => End::Exceeded(limit, error),
            None => End::Refused(Cause::BoundExceeded, error),
        }
    }
}

impl From<Exceeded> for End {
    fn from(exceeded: Exceeded) -> End {
        let (limit, text) = match exceeded {
            Exceeded::Peer(error) => return End::from(error),
            Exceeded::UserPrefixes(max) => (
                Limit::PrefixesPerUser,
                format!(
                    "all peers of a user may subscribe to at most {max} prefixes (prefixes_per_user_max)"
                ),
            ),
            Exceeded::UserBytes(max) => (
                Limit::PrefixBytesPerUser,
                format!(
                    "the prefixes of all peers of a user may have at most {max} bytes in all (prefix_bytes_per_user_max)"
                ),
            ),
        };
        End::Exceeded(limit, Error::peer(text))
    }
}

impl From<ProtocolError> for End {
    fn from(error: ProtocolError) -> End {
        let exceeded = match error {
            ProtocolError::MessageTooLong { .. } => Some((Limit::MessageBytes, "message_bytes_max")),
            ProtocolError::CommandTooLong { .. } => Some((Limit::PrefixLength, "prefix_length_max")),
            _ => None,
        };
        match exceeded {
            Some((limit, option)) => {
                End::Exceeded(limit, Error::peer(format!("{error} ({option})")).because(error))
            }
            None => End::Refused(Cause::from(&error), Error::peer(error.to_string()).because(error)),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("the peer closed the connection"),
            End::Failed(error) => error.fmt(f),
            End::Silent => f.write_str("the peer was silent for too long"),
            End::Served => f.write_str("the client has its page"),
            End::Done => f.write_str("this side closed the connection"),
            End::Dismissed(None) => f.write_str("this side disconnected the peer"),
            End::Dismissed(Some(reason)) => write!(f, "this side disconnected the peer: {reason}"),
            End::Refused(_, error) | End::Exceeded(_, error) => error.fmt(f),
        }
    }
}

/// The result of reading.
#[derive(PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything that was there is read, or reading is paused.
    Idle,
    /// There may be more to read; other peers come first.
    More,
}
