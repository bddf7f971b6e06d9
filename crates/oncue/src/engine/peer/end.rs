//! The result of reading a peer, and why a connection ends.

use std::borrow::Cow;
use std::{fmt, io};

use oncue_core::connection::HandshakeError;
use oncue_core::frame::ProtocolError;
use oncue_core::ledger::QuotaExceeded;

use crate::error::Error;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer has closed it.
    Closed,
    /// The stream has failed, or was never made.
    Failed(io::Error),
    /// The peer was silent for too long.
    Silent,
    /// This side needs it no more: it was disconnected, drained, or its socket is closed.
    Done,
    /// The peer broke the protocol or a bound, or refuses us. The text of the error goes to the peer as well.
    Refused(Error),
}

impl End {
    /// The peer broke a bound; `text` says which.
    pub(crate) fn refused(text: impl Into<Cow<'static, str>>) -> End {
        End::Refused(Error::peer(text))
    }

    pub(crate) fn too_slow() -> End {
        End::refused("too slow: the queue of this subscriber is full")
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Failed(error)
    }
}

impl From<HandshakeError> for End {
    fn from(error: HandshakeError) -> End {
        End::Refused(Error::peer(error.to_string()).because(error))
    }
}

impl From<QuotaExceeded> for End {
    fn from(error: QuotaExceeded) -> End {
        End::Refused(Error::peer(error.to_string()).because(error))
    }
}

impl From<ProtocolError> for End {
    fn from(error: ProtocolError) -> End {
        let option = match error {
            ProtocolError::MessageTooLong { .. } => " (message_bytes_max)",
            ProtocolError::CommandTooLong { .. } => " (prefix_length_max)",
            _ => "",
        };
        End::Refused(Error::peer(format!("{error}{option}")).because(error))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("the peer closed the connection"),
            End::Failed(error) => error.fmt(f),
            End::Silent => f.write_str("the peer was silent for too long"),
            End::Done => f.write_str("this side closed the connection"),
            End::Refused(error) => error.fmt(f),
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
