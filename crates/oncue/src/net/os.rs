//! The operating system's network: TCP and Unix sockets, by mio, and the engine's own pipes beside them.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::buffer::spare_capacity;
use socket2::SockRef;

use super::dialing::{Dialing, decided};
use super::inproc::{Backlog, Names, Pipe};
use super::listen::{self, SocketFile};
use super::poller::Poller;
use super::resolver::Resolver;
use super::{Net, Notify, Stream, address, probes};
use crate::descriptors;
use crate::endpoint::{Endpoint, Host};
use crate::peer_address::PeerAddress;
use crate::sync::lock;

/// What the system takes of a TCP connection beyond what the peer has room for, about, until the peer has been seen to
/// read. By its own measure it takes a third of a megabyte and more for everyone who never reads: ten thousand such use up
/// the memory that it has for all connections, and then those who do read starve. What waits with us instead is under our
/// marks, and shared.
const UNSENT_BYTES_MAX: u32 = 64 << 10;

/// The network of one I/O thread.
pub(crate) struct OsNet {
    poller: Arc<Poller>,
    names: Arc<Mutex<Names>>,
    resolver: Resolver,
    /// Descriptors that peers must leave.
    reserved: u32,
    notify: Arc<dyn Notify>,
}

/// A stream of any transport.
pub(crate) enum OsStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(Pipe),
    Dialing(Box<Dialing>),
}

/// A listener of any transport.
pub(crate) struct OsListener {
    source: Source,
    poller: Arc<Poller>,
    names: Arc<Mutex<Names>>,
}

enum Source {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
    Name(Arc<Mutex<Backlog>>),
}

impl OsNet {
    /// `names` and `resolver` are shared by the threads of one engine; `notify` reports to this thread. Nothing is accepted
    /// while fewer than `reserved` descriptors are left.
    pub(crate) fn new(
        poller: Arc<Poller>,
        names: Arc<Mutex<Names>>,
        resolver: Resolver,
        reserved: u32,
        notify: Arc<dyn Notify>,
    ) -> OsNet {
        OsNet { poller, names, resolver, reserved, notify }
    }

    /// Whether the process can do without the descriptor of a stream that it has just accepted.
    fn check_room(&self, stream: &impl AsRawFd) -> io::Result<()> {
        let number = u64::try_from(stream.as_raw_fd()).unwrap_or_default();
        match descriptors::are_short(number, self.reserved.into()) {
            true => Err(rustix::io::Errno::MFILE.into()),
            false => Ok(()),
        }
    }

    fn source(&self, at: &Endpoint, token: usize, backlog: u32) -> io::Result<(Source, Endpoint)> {
        match at {
            Endpoint::Tcp { host, port, .. } => {
                let listener = listen::tcp(address::of_host(host, *port)?, backlog)?;
                let mut resolved = Endpoint::from_tcp(listener.local_addr()?);
                if let (Host::Scoped(..), Endpoint::Tcp { host: came_out, .. }) = (host, &mut resolved) {
                    *came_out = host.clone();
                }
                self.poller.register_readable(&listener, token)?;
                Ok((Source::Tcp(listener), resolved))
            }
            Endpoint::Ipc(path) => {
                let path = if path == Path::new("*") { listen::fresh_path() } else { path.clone() };
                let (listener, file) = listen::path(&path, backlog)?;
                self.poller.register_readable(&listener, token)?;
                Ok((Source::Unix(listener, Some(file)), Endpoint::Ipc(path)))
            }
            Endpoint::Abstract(name) => {
                let listener = listen::abstract_name(name, backlog)?;
                self.poller.register_readable(&listener, token)?;
                Ok((Source::Unix(listener, None), at.clone()))
            }
            Endpoint::Inproc(name) => {
                let backlog = lock(&self.names).bind(name, &self.notify, token)?;
                Ok((Source::Name(backlog), at.clone()))
            }
        }
    }
}

impl Net for OsNet {
    type Stream = OsStream;
    type Listener = OsListener;

    fn places(at: &Endpoint) -> io::Result<Vec<Endpoint>> {
        address::to_bind(at)
    }

    fn listen(&mut self, at: &Endpoint, token: usize, backlog: u32) -> io::Result<(OsListener, Endpoint)> {
        let (source, resolved) = self.source(at, token, backlog)?;
        let (poller, names) = (self.poller.clone(), self.names.clone());
        Ok((OsListener { source, poller, names }, resolved))
    }

    fn accept(&mut self, listener: &mut OsListener) -> io::Result<OsStream> {
        match &listener.source {
            Source::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                self.check_room(&stream)?;
                tune(&stream);
                Ok(OsStream::Tcp(stream))
            }
            Source::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                self.check_room(&stream)?;
                Ok(OsStream::Unix(stream))
            }
            Source::Name(backlog) => Ok(OsStream::Pipe(lock(backlog).accept()?)),
        }
    }

    fn connect(&mut self, to: &Endpoint, token: usize, turn: u32) -> io::Result<OsStream> {
        let mut stream = match to {
            Endpoint::Tcp { host, port, source } => {
                let mut dialing = Dialing::new(self.poller.clone(), token, source.clone(), turn);
                match host {
                    Host::Name(name) if name == "localhost" => dialing.set(address::of_localhost(*port)),
                    Host::Name(name) => {
                        dialing.wait_for(self.resolver.ask(name, *port, token, self.notify.clone())?);
                    }
                    host => dialing.set(vec![address::of_host(host, *port)?]),
                }
                OsStream::Dialing(Box::new(dialing))
            }
            Endpoint::Ipc(path) => OsStream::Unix(UnixStream::connect(path)?),
            Endpoint::Abstract(name) => OsStream::Unix(UnixStream::connect_addr(&abstract_addr(name)?)?),
            Endpoint::Inproc(name) => OsStream::Pipe(Names::connect(&self.names, name)),
        };
        self.adopt(&mut stream, token)?;
        Ok(stream)
    }

    fn adopt(&mut self, stream: &mut OsStream, token: usize) -> io::Result<()> {
        match stream {
            OsStream::Tcp(stream) => self.poller.register_both(stream, token),
            OsStream::Unix(stream) => self.poller.register_both(stream, token),
            OsStream::Pipe(pipe) => {
                pipe.watch(&self.notify, token);
                Ok(())
            }
            OsStream::Dialing(_) => Ok(()),
        }
    }

    fn release(&mut self, stream: OsStream) {
        match stream {
            OsStream::Tcp(stream) => self.poller.deregister(&stream),
            OsStream::Unix(stream) => self.poller.deregister(&stream),
            OsStream::Pipe(_) | OsStream::Dialing(_) => {}
        }
    }
}

impl Drop for OsListener {
    fn drop(&mut self) {
        match &mut self.source {
            Source::Tcp(listener) => self.poller.deregister(listener),
            Source::Unix(listener, file) => {
                self.poller.deregister(listener);
                // Before the socket itself goes.
                drop(file.take());
            }
            Source::Name(backlog) => lock(&self.names).unbind(backlog),
        }
    }
}

impl Stream for OsStream {
    fn address(&self) -> PeerAddress {
        match self {
            OsStream::Tcp(stream) => PeerAddress::Tcp(stream.peer_addr().ok()),
            OsStream::Unix(_) => PeerAddress::Ipc,
            OsStream::Pipe(_) => PeerAddress::Inproc,
            OsStream::Dialing(_) => PeerAddress::Tcp(None),
        }
    }

    fn connected(&mut self) -> io::Result<bool> {
        match self {
            OsStream::Unix(stream) => decided(stream.take_error(), stream.peer_addr().map(drop)),
            OsStream::Tcp(_) | OsStream::Pipe(_) => Ok(true),
            OsStream::Dialing(dialing) => {
                let Some(stream) = dialing.step()? else { return Ok(false) };
                tune(&stream);
                *self = OsStream::Tcp(stream);
                Ok(true)
            }
        }
    }

    fn has_alternatives(&self) -> bool {
        matches!(self, OsStream::Dialing(dialing) if dialing.has_more())
    }

    fn try_next(&mut self) {
        if let OsStream::Dialing(dialing) = self {
            dialing.try_next();
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            OsStream::Tcp(stream) => Ok(rustix::io::read(stream.as_fd(), spare_capacity(buffer))?),
            OsStream::Unix(stream) => Ok(rustix::io::read(stream.as_fd(), spare_capacity(buffer))?),
            OsStream::Pipe(pipe) => pipe.read(buffer),
            OsStream::Dialing(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            OsStream::Tcp(stream) => stream.write_vectored(slices),
            OsStream::Unix(stream) => stream.write_vectored(slices),
            OsStream::Pipe(pipe) => pipe.write(slices),
            OsStream::Dialing(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn shutdown_write(&mut self) {
        // A stream that the peer has closed already cannot be shut down; nothing is left to do then.
        match self {
            OsStream::Tcp(stream) => drop(stream.shutdown(std::net::Shutdown::Write)),
            OsStream::Unix(stream) => drop(stream.shutdown(std::net::Shutdown::Write)),
            OsStream::Pipe(pipe) => pipe.shutdown_write(),
            OsStream::Dialing(_) => {}
        }
    }

    fn may_fall_silent(&self) -> bool {
        !matches!(self, OsStream::Pipe(_))
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        if let OsStream::Tcp(stream) = self {
            // One that refuses is used as it is.
            let _ = probes::set(stream, idle, timeout);
        }
    }

    fn set_buffers(&mut self, send: Option<u32>, recv: Option<u32>) {
        let socket = match self {
            OsStream::Tcp(stream) => SockRef::from(&*stream),
            OsStream::Unix(stream) => SockRef::from(&*stream),
            OsStream::Pipe(_) | OsStream::Dialing(_) => return,
        };
        // The system brings any number within its bounds.
        if let Some(bytes) = send {
            let _ = socket.set_send_buffer_size(bytes as usize);
        }
        if let Some(bytes) = recv {
            let _ = socket.set_recv_buffer_size(bytes as usize);
        }
    }

    fn trust(&mut self) {
        if let OsStream::Tcp(stream) = self {
            // 0 stands for the system's own measure.
            let _ = SockRef::from(&*stream).set_tcp_notsent_lowat(0);
        }
    }
}

/// Sets what every TCP connection is better off with. One that refuses is used as it is.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}

fn abstract_addr(name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_holds_what_it_was_told_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let unix = std::os::unix::net::UnixStream::pair().unwrap().0;
        let mut streams =
            [OsStream::Tcp(TcpStream::from_std(tcp)), OsStream::Unix(UnixStream::from_std(unix))];
        for stream in &mut streams {
            let sizes = |stream: &OsStream| {
                let socket = match stream {
                    OsStream::Tcp(stream) => SockRef::from(stream),
                    OsStream::Unix(stream) => SockRef::from(stream),
                    OsStream::Pipe(_) | OsStream::Dialing(_) => unreachable!("as made above"),
                };
                (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap())
            };
            let before = sizes(stream);
            stream.set_buffers(None, None);
            assert_eq!(sizes(stream), before);
            stream.set_buffers(Some(20_000), Some(30_000));
            // The system doubles them.
            assert_eq!(sizes(stream), (40_000, 60_000));
            stream.set_buffers(Some(0), Some(u32::MAX));
            let (least, most) = sizes(stream);
            assert!((1..20_000).contains(&least) && most >= 60_000, "{least} {most}");
        }
    }
}
