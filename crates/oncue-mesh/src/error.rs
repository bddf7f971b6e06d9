//! What went wrong in the mesh, and what to do about it.

use std::borrow::Cow;
use std::fmt;

/// Whose fault a [`MeshError`] is, and so whether another attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeshErrorKind {
    /// The options of this site are wrong, or a file or an address that they name cannot be used. Another attempt fails too.
    Config,
    /// No router answers. Another attempt can succeed.
    Unreachable,
    /// What another site is configured with contradicts this site's configuration, as in a cycle of routers. One of the two
    /// must be changed.
    Conflict,
    /// Another process has joined with the name of this site.
    Fenced,
    /// The Zenoh session is broken or closed. A new one can be opened.
    Session,
}

/// An error of the mesh. Its text names the thing and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshError {
    kind: MeshErrorKind,
    text: Cow<'static, str>,
}

impl MeshError {
    pub(crate) fn new(kind: MeshErrorKind, text: impl Into<Cow<'static, str>>) -> MeshError {
        MeshError { kind, text: text.into() }
    }

    pub(crate) fn config(text: impl Into<Cow<'static, str>>) -> MeshError {
        MeshError::new(MeshErrorKind::Config, text)
    }

    pub(crate) fn session(text: impl Into<Cow<'static, str>>) -> MeshError {
        MeshError::new(MeshErrorKind::Session, text)
    }

    /// The option that is wrong, by its name, if it is one: the text of such an error begins with it.
    pub fn option(&self) -> Option<&str> {
        let rest = self.text.strip_prefix('`').filter(|_| self.kind == MeshErrorKind::Config)?;
        rest.split_once('`').map(|(option, _)| option)
    }

    /// Whose fault it is.
    pub fn kind(&self) -> MeshErrorKind {
        self.kind
    }
}

impl fmt::Display for MeshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for MeshError {}
