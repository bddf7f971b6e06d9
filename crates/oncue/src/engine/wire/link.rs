//! A stream and its coat: what a peer reads and writes through. Without a coat, which is the common case, a link is the stream.
//! Above it everything is as in clear: the queue holds runs that many peers share, and the scanner sees frames. What is sealed is
//! sealed for one peer alone, as its stream takes it.

use std::io::{self, IoSlice};
use std::time::Duration;

use oncue_core::mechanism::curve::Session;

use super::coat::Coat;
use crate::connection::Cause;
use crate::net::Stream;
use crate::peer_address::PeerAddress;

/// A stream, and what is between it and its peer's bytes in clear.
pub(crate) struct Link<S> {
    stream: S,
    coat: Option<Box<Coat>>,
}

impl<S: Stream> Link<S> {
    pub(crate) fn new(stream: S) -> Link<S> {
        Link { stream, coat: None }
    }

    /// From now on everything is sealed, but for the next `clear` bytes that are written: they were queued before. Frames of the
    /// peer that are longer than `frame_max` bytes in clear break the protocol.
    pub(crate) fn put_on(&mut self, session: Session, clear: u64, frame_max: u64) {
        self.coat = Some(Box::new(Coat::new(session, clear, frame_max)));
    }

    /// Takes bytes that were read before the coat was put on, and returns those in clear: what [`read`](Stream::read) would
    /// have appended.
    pub(crate) fn opened(&mut self, sealed: &[u8]) -> io::Result<Vec<u8>> {
        match &mut self.coat {
            None => Ok(sealed.to_vec()),
            Some(coat) => coat.opened(sealed),
        }
    }

    /// Whether bytes have come since the last call that could not be shown yet.
    pub(crate) fn take_sign_of_life(&mut self) -> bool {
        self.coat.as_mut().is_some_and(|coat| coat.take_sign_of_life())
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn stream_for_tests(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, to be closed.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for Link<S> {
    fn connected(&mut self) -> io::Result<bool> {
        self.stream.connected()
    }

    fn has_alternatives(&self) -> bool {
        self.stream.has_alternatives()
    }

    fn awaits(&self) -> Cause {
        self.stream.awaits()
    }

    fn try_next(&mut self) {
        self.stream.try_next();
    }

    /// A fault of the peer is an error with a [`ProtocolError`](oncue_core::frame::ProtocolError) inside.
    #[inline]
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.coat {
            None => self.stream.read(buffer),
            Some(coat) => coat.read(&mut self.stream, buffer),
        }
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.coat {
            None => self.stream.write(slices),
            Some(coat) => coat.write(&mut self.stream, slices),
        }
    }

    fn flush(&mut self) {
        self.stream.flush();
    }

    #[inline]
    fn holds_more(&self) -> bool {
        self.coat.as_ref().is_some_and(|coat| coat.holds_more()) || self.stream.holds_more()
    }

    fn held_bytes(&self) -> usize {
        self.coat.as_ref().map_or(0, |coat| coat.held_bytes()) + self.stream.held_bytes()
    }

    fn shutdown_write(&mut self) {
        self.stream.shutdown_write();
    }

    fn trust(&mut self) {
        self.stream.trust();
    }

    fn may_fall_silent(&self) -> bool {
        self.stream.may_fall_silent()
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        self.stream.probe(idle, timeout);
    }

    fn is_let_in(&self) -> bool {
        self.stream.is_let_in()
    }

    fn is_served(&self) -> bool {
        self.stream.is_served()
    }

    fn has_pings(&self) -> bool {
        self.stream.has_pings()
    }

    fn ping(&mut self) -> bool {
        self.stream.ping()
    }

    fn address(&self) -> PeerAddress {
        self.stream.address()
    }
}
