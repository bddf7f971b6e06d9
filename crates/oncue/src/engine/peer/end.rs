//! The result of reading a peer, and why a connection ends.

use std::fmt;
use std::io;
use std::time::Duration;

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
    /// A peer is full that must not be.
    pub(crate) fn too_slow() -> End {
        End::Refused(Error::peer("too slow: the queue of this subscriber is full"))
    }

    pub(crate) fn handshake_too_long() -> End {
        End::Refused(Error::peer("the handshake took too long"))
    }

    /// A message was begun and is not complete in time.
    pub(crate) fn message_too_long(timeout: Duration) -> End {
        let text = format!("a message was begun and not finished in {timeout:?} (message_timeout)");
        End::Refused(Error::peer(text))
    }

    /// A prefix is longer than `max` bytes.
    pub(crate) fn prefix_too_long(max: usize) -> End {
        End::Refused(Error::peer(format!("a prefix may have at most {max} bytes (prefix_length_max)")))
    }

    /// The peer has sent an ERROR command.
    pub(crate) fn by_peer(reason: &[u8]) -> End {
        End::Refused(Error::peer(format!("the peer ended the connection: {}", reason.escape_ascii())))
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
