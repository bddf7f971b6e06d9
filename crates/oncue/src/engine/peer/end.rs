//! What reading a peer comes to, and why its connection ends.

use std::io;

use oncue_core::frame::ProtocolError;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The stream has ended or failed.
    Lost,
    /// It broke the protocol or a bound, or refuses us; the text says which.
    Refused(String),
}

impl End {
    /// A peer that should not be full is.
    pub(crate) fn too_slow() -> End {
        End::Refused("too slow: the queue of this subscriber is full".to_owned())
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Lost
    }
}

impl From<ProtocolError> for End {
    fn from(error: ProtocolError) -> End {
        End::Refused(match error {
            ProtocolError::MessageTooLong { .. } => format!("{error} (message_bytes_max)"),
            ProtocolError::CommandTooLong { .. } => format!("{error} (prefix_length_max)"),
            error => error.to_string(),
        })
    }
}

/// What reading came to.
#[derive(PartialEq, Eq)]
pub(crate) enum Progress {
    /// All that was there is read, or reading is paused.
    Idle,
    /// There may be more to read; others come first.
    More,
}
