//! TLS (RFC 8446, 5246) over another stream, by rustls: for `wss://`.

use std::cell::Cell;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::raw::Raw;
use super::{Layer, Stream};
use crate::buffer::READ_BYTES;
use crate::connection::{Cause, PeerFault};
use crate::endpoint::Host;
use crate::options::Web;
use crate::peer_address::PeerAddress;

/// How much is encrypted at a time. No more than that waits here for a peer that does not read; it is what one record holds.
const PIECE_BYTES: usize = 16 << 10;

thread_local! {
    static RAW: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a listener needs for TLS.
pub(super) struct Keys(Arc<ServerConfig>);

/// What clients need for TLS: the trusted roots of the settings that are in use. Reading those of the system takes
/// milliseconds, and a connection is tried again and again.
#[derive(Default)]
pub(super) struct Trust(Vec<(Weak<Web>, Arc<ClientConfig>)>);

impl Keys {
    pub(super) fn new(web: &Web) -> io::Result<Keys> {
        web.server_config().map(Keys).map_err(io::Error::other)
    }

    /// The server's side of an accepted stream.
    pub(super) fn accept<S: Stream + 'static>(&self, stream: S) -> io::Result<Box<dyn Layer<S>>> {
        let connection = ServerConnection::new(self.0.clone()).map_err(io::Error::other)?;
        Ok(Box::new(Tls::new(stream, connection)))
    }
}

impl Trust {
    /// The client's side of a stream that is being connected. The certificate must be one of this host.
    pub(super) fn call<S: Stream + 'static>(
        &mut self,
        stream: S,
        web: &Arc<Web>,
        host: &Host,
    ) -> io::Result<Box<dyn Layer<S>>> {
        let name = match host {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Scoped(ip, _) => ServerName::from(IpAddr::from(*ip)),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Host::Any => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let connection = ClientConnection::new(self.config(web)?, name).map_err(io::Error::other)?;
        Ok(Box::new(Tls::new(stream, connection)))
    }

    fn config(&mut self, web: &Arc<Web>) -> io::Result<Arc<ClientConfig>> {
        self.0.retain(|(known, _)| known.strong_count() > 0);
        let known = self.0.iter().find(|(known, _)| known.as_ptr() == Arc::as_ptr(web));
        if let Some((_, config)) = known {
            return Ok(config.clone());
        }
        let config = web.client_config().map_err(io::Error::other)?;
        self.0.push((Arc::downgrade(web), config.clone()));
        Ok(config)
    }
}

/// A stream inside of TLS.
struct Tls<S> {
    lower: S,
    connection: Box<Connection>,
    /// What is decrypted and not shown yet.
    plain: usize,
    /// The last read may not have emptied the stream.
    more: bool,
    is_over: bool,
}

impl<S: Stream> Tls<S> {
    fn new(lower: S, connection: impl Into<Connection>) -> Tls<S> {
        let mut connection = Box::new(connection.into());
        // In the handshake too, in which nothing is encrypted yet.
        connection.set_buffer_limit(Some(2 * PIECE_BYTES));
        Tls { lower, connection, plain: 0, more: false, is_over: false }
    }

    /// Writes what is encrypted.
    fn push(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Lower(&mut self.lower))?;
        }
        Ok(())
    }

    /// One read of the stream. What it holds can be shown then.
    fn pull(&mut self) -> io::Result<()> {
        let mut lower = Counted { lower: &mut self.lower, filled: false };
        let n = self.connection.read_tls(&mut lower)?;
        self.more = lower.filled;
        if n == 0 {
            self.is_over = true;
            return Ok(());
        }
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.plain = state.plaintext_bytes_to_read();
                self.is_over = state.peer_has_closed();
                Ok(())
            }
            Err(e) => Err(self.fail(&e)),
        }
    }

    /// The peer broke the protocol, or does not show a certificate that is trusted: it is told so.
    fn fail(&mut self, e: &rustls::Error) -> io::Error {
        let _ = self.push();
        let said = match e {
            rustls::Error::AlertReceived(alert) => format!("it says {alert:?}"),
            other => other.to_string(),
        };
        PeerFault { text: format!("TLS with the peer has failed: {said}"), cause: Cause::Tls(said) }.into()
    }

    /// Shows what is decrypted, as far as there is room.
    fn show(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut reader = self.connection.reader();
        let (before, mut room) = (buffer.len(), buffer.capacity() - buffer.len());
        while room > 0 && self.plain > 0 {
            let bytes = reader.fill_buf()?;
            let n = bytes.len().min(room);
            if n == 0 {
                self.plain = 0;
                break;
            }
            buffer.extend_from_slice(&bytes[..n]);
            reader.consume(n);
            (room, self.plain) = (room - n, self.plain - n);
        }
        Ok(buffer.len() - before)
    }
}

impl<S: Stream> Stream for Tls<S> {
    fn connected(&mut self) -> io::Result<bool> {
        let connected = self.lower.connected()?;
        if connected {
            self.flush();
        }
        Ok(connected)
    }

    fn has_alternatives(&self) -> bool {
        self.lower.has_alternatives()
    }

    fn awaits(&self) -> Cause {
        self.lower.awaits()
    }

    fn try_next(&mut self) {
        self.lower.try_next();
    }

    /// [`Interrupted`](io::ErrorKind::Interrupted) if there is nothing to show of what was read.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        if self.plain == 0 && !self.is_over {
            self.pull()?;
            // The handshake may have an answer, and what was written before its end may go out now.
            self.flush();
        }
        match self.show(buffer)? {
            0 if self.is_over => Ok(0),
            0 => Err(io::ErrorKind::Interrupted.into()),
            n => Ok(n),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            for piece in slice.chunks(PIECE_BYTES) {
                let taken = self.push().and_then(|()| self.connection.writer().write(piece));
                match taken {
                    Ok(n) => written += n,
                    Err(e) if written == 0 => return Err(e),
                    Err(_) => return Ok(written),
                }
                if !taken.is_ok_and(|n| n == piece.len()) {
                    return if written > 0 { Ok(written) } else { Err(io::ErrorKind::WouldBlock.into()) };
                }
            }
        }
        self.flush();
        Ok(written)
    }

    fn flush(&mut self) {
        // What is left goes out when there is room; what has failed fails again when the stream is read.
        let _ = self.push();
    }

    fn holds_more(&self) -> bool {
        self.more || self.plain > 0 || self.is_over || self.lower.holds_more()
    }

    fn held_bytes(&self) -> usize {
        self.lower.held_bytes()
    }

    fn shutdown_write(&mut self) {
        self.connection.send_close_notify();
        self.flush();
        self.lower.shutdown_write();
    }

    fn trust(&mut self) {
        self.lower.trust();
    }

    fn may_fall_silent(&self) -> bool {
        self.lower.may_fall_silent()
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        self.lower.probe(idle, timeout);
    }

    fn address(&self) -> PeerAddress {
        self.lower.address()
    }
}

impl<S: Stream> Layer<S> for Tls<S> {
    fn below(&self) -> &S {
        &self.lower
    }

    fn below_mut(&mut self) -> &mut S {
        &mut self.lower
    }
}

/// Where rustls writes to.
struct Lower<'a, S>(&'a mut S);

impl<S: Stream> Write for Lower<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where rustls reads from.
struct Counted<'a, S> {
    lower: &'a mut S,
    /// The last read filled the room that there was.
    filled: bool,
}

impl<S: Stream> Read for Counted<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let raw = Raw::read(&RAW, self.lower, out.len())?;
        out[..raw.len()].copy_from_slice(&raw);
        self.filled = raw.len() == out.len().min(READ_BYTES);
        Ok(raw.len())
    }
}
