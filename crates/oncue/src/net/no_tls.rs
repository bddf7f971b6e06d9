//! In place of TLS where it is not built in: endpoints that need it are refused before they come here.

use std::io;
use std::sync::Arc;

use super::{Layer, Stream};
use crate::endpoint::Host;
use crate::options::Web;

/// What a listener needs for TLS.
pub(super) struct Keys;

/// What clients need for TLS.
#[derive(Default)]
pub(super) struct Trust(());

impl Keys {
    pub(super) fn new(_web: &Web) -> io::Result<Keys> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn accept<S: Stream + 'static>(&self, _stream: S) -> io::Result<Box<dyn Layer<S>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Trust {
    pub(super) fn call<S: Stream + 'static>(
        &mut self,
        _stream: S,
        _web: &Arc<Web>,
        _host: &Host,
    ) -> io::Result<Box<dyn Layer<S>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
