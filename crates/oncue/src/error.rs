//! The one error type of the crate. It says whose fault it was and, in its text, which thing and what to do.

use std::borrow::Cow;
use std::{fmt, io};

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's: a malformed endpoint, an unknown one, an operation that the socket's state does not allow.
    Misuse,
    /// The peer's: it broke the protocol or refused us.
    Peer,
    /// The system's: a port in use, no such directory, no more descriptors.
    Io,
    /// There is no room now; nothing was sent. Only with [`OnFull::Refuse`](crate::OnFull::Refuse).
    Full,
    /// The socket was closed, or its engine has stopped.
    Closed,
}

/// What went wrong, and whose fault it was.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: Cow<'static, str>,
    source: Option<io::Error>,
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whose fault it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error of the operating system behind an [`ErrorKind::Io`].
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.source.as_ref().map(io::Error::kind)
    }

    pub(crate) fn misuse(text: impl Into<Cow<'static, str>>) -> Error {
        Error { kind: ErrorKind::Misuse, text: text.into(), source: None }
    }

    pub(crate) fn io(what: impl Into<Cow<'static, str>>, source: io::Error) -> Error {
        Error { kind: ErrorKind::Io, text: what.into(), source: Some(source) }
    }

    pub(crate) fn full() -> Error {
        let text =
            "a subscriber's queue is full and the socket refuses to drop: wait with send_wait, or send less";
        Error { kind: ErrorKind::Full, text: Cow::Borrowed(text), source: None }
    }

    pub(crate) fn closed() -> Error {
        Error { kind: ErrorKind::Closed, text: Cow::Borrowed("the socket is closed"), source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}
