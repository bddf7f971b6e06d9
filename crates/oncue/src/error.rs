//! The error type of the crate: who has to change something, and in its text which thing and what to do.

use std::borrow::Cow;
use std::sync::Arc;
use std::{fmt, io};

/// Where the cause of an [`Error`] lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// In the caller: a malformed endpoint, an unknown one, an operation that the socket's state does not allow.
    Misuse,
    /// In the peer: it broke the protocol or refused us.
    Peer,
    /// In the system: a port in use, a missing directory, no descriptors left.
    Io,
    /// There is no room now; nothing was sent. Only with [`OnFull::Refuse`](crate::OnFull::Refuse).
    Full,
    /// The socket was closed, or its engine has stopped.
    Closed,
}

/// What went wrong, and where the cause lies. [`source`](std::error::Error::source) is the error that caused it, if any: of
/// the system, or of the protocol.
#[derive(Clone)]
pub struct Error(Arc<Details>);

/// Behind a pointer: errors are rare, and their size would be the size of every result.
struct Details {
    kind: ErrorKind,
    text: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    #[cold]
    fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Error {
        Error(Arc::new(Details { kind, text: text.into(), source: None }))
    }

    /// Adds the error that caused this new one. Unless the kind is [`ErrorKind::Io`], the text says already what it says.
    pub(crate) fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        if let Some(details) = Arc::get_mut(&mut self.0) {
            details.source = Some(cause.into());
        }
        self
    }

    /// Where the cause lies.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The error of the operating system behind an [`ErrorKind::Io`].
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let source = self.0.source.as_ref()?;
        source.downcast_ref::<io::Error>().map(io::Error::kind)
    }

    pub(crate) fn misuse(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Misuse, text)
    }

    pub(crate) fn io(what: impl Into<Cow<'static, str>>, source: io::Error) -> Error {
        Error::new(ErrorKind::Io, what).because(source)
    }

    /// A peer broke a bound, or refused us.
    pub(crate) fn peer(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Peer, text)
    }

    pub(crate) fn full() -> Error {
        let text =
            "a subscriber's queue is full and the socket refuses to drop: wait with send_wait, or send less";
        Error::new(ErrorKind::Full, text)
    }

    /// The socket or engine belongs to the process of which this one is a fork.
    pub(crate) fn forked() -> Error {
        let text = "this process is a fork of the one that made the socket, and has none of its I/O threads: make an \
                    Engine and its sockets after the fork";
        Error::new(ErrorKind::Misuse, text)
    }

    pub(crate) fn engine_closed() -> Error {
        Error::new(ErrorKind::Closed, "the engine is closed: make another one for new sockets")
    }

    pub(crate) fn closed() -> Error {
        Error::new(ErrorKind::Closed, "the socket is closed")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, text, source } = &*self.0;
        f.debug_struct("Error").field("kind", kind).field("text", text).field("source", source).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.source {
            Some(source) if self.0.kind == ErrorKind::Io => write!(f, "{}: {source}", self.0.text),
            _ => f.write_str(&self.0.text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
