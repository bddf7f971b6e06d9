//! The operating system's network: TCP and Unix sockets, by mio, and the engine's own pipes beside them.

use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::buffer::spare_capacity;
use socket2::SockRef;

use super::inproc::{Backlog, Names, Pipe};
use super::listen::{self, SocketFile};
use super::poller::Poller;
use super::{Net, Notify, Ready, Stream};
use crate::endpoint::{Endpoint, Host};
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
    notify: Arc<dyn Notify>,
}

/// A stream of any transport.
pub(crate) enum OsStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(Pipe),
    Resolving(Resolving),
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
    /// `names` are shared by the threads of one engine; `notify` reports to this thread.
    pub(crate) fn new(poller: Arc<Poller>, names: Arc<Mutex<Names>>, notify: Arc<dyn Notify>) -> OsNet {
        OsNet { poller, names, notify }
    }

    fn source(&self, at: &Endpoint, token: usize, backlog: u32) -> io::Result<(Source, Endpoint)> {
        match at {
            Endpoint::Tcp { host, port } => {
                let addr = Endpoint::bind_addr(host, *port).map_err(io::Error::other)?;
                let listener = listen::tcp(addr, backlog)?;
                let resolved = Endpoint::from_tcp(listener.local_addr()?);
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

    fn listen(&mut self, at: &Endpoint, token: usize, backlog: u32) -> io::Result<(OsListener, Endpoint)> {
        let (source, resolved) = self.source(at, token, backlog)?;
        let (poller, names) = (self.poller.clone(), self.names.clone());
        Ok((OsListener { source, poller, names }, resolved))
    }

    fn accept(&mut self, listener: &mut OsListener) -> io::Result<OsStream> {
        match &listener.source {
            Source::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                tune(&stream);
                Ok(OsStream::Tcp(stream))
            }
            Source::Unix(listener, _) => Ok(OsStream::Unix(listener.accept()?.0)),
            Source::Name(backlog) => Ok(OsStream::Pipe(lock(backlog).accept()?)),
        }
    }

    fn connect(&mut self, to: &Endpoint, token: usize) -> io::Result<OsStream> {
        let mut stream = match to {
            Endpoint::Tcp { host: Host::Name(name), port } => {
                let addrs = resolve(name.clone(), *port, token, self.notify.clone());
                let poller = self.poller.clone();
                return Ok(OsStream::Resolving(Resolving { addrs, poller, token, found: Vec::new() }));
            }
            Endpoint::Tcp { host: Host::Ip(ip), port } => {
                OsStream::Tcp(TcpStream::connect(SocketAddr::new(*ip, *port))?)
            }
            Endpoint::Tcp { host: Host::Any, .. } => return Err(io::ErrorKind::InvalidInput.into()),
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
            OsStream::Resolving(_) => Ok(()),
        }
    }

    fn release(&mut self, stream: OsStream) {
        match stream {
            OsStream::Tcp(stream) => self.poller.deregister(&stream),
            OsStream::Unix(stream) => self.poller.deregister(&stream),
            OsStream::Pipe(_) | OsStream::Resolving(_) => {}
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
    fn address(&self) -> String {
        match self {
            OsStream::Tcp(stream) => match stream.peer_addr() {
                Ok(address) => format!("tcp://{address}"),
                // It has gone already.
                Err(_) => "tcp://unknown".to_owned(),
            },
            OsStream::Unix(_) => "ipc".to_owned(),
            OsStream::Pipe(_) => "inproc".to_owned(),
            OsStream::Resolving(_) => "tcp://unknown".to_owned(),
        }
    }

    fn connected(&mut self) -> io::Result<bool> {
        match self {
            OsStream::Tcp(stream) => {
                let made = decided(stream.take_error(), stream.peer_addr().map(drop))?;
                if made {
                    tune(stream);
                }
                Ok(made)
            }
            OsStream::Unix(stream) => decided(stream.take_error(), stream.peer_addr().map(drop)),
            OsStream::Pipe(_) => Ok(true),
            OsStream::Resolving(resolving) => {
                if let Some(stream) = resolving.step()? {
                    *self = OsStream::Tcp(stream);
                }
                Ok(false)
            }
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            OsStream::Tcp(stream) => Ok(rustix::io::read(stream.as_fd(), spare_capacity(buffer))?),
            OsStream::Unix(stream) => Ok(rustix::io::read(stream.as_fd(), spare_capacity(buffer))?),
            OsStream::Pipe(pipe) => pipe.read(buffer),
            OsStream::Resolving(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            OsStream::Tcp(stream) => stream.write_vectored(slices),
            OsStream::Unix(stream) => stream.write_vectored(slices),
            OsStream::Pipe(pipe) => pipe.write(slices),
            OsStream::Resolving(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn shutdown_write(&mut self) {
        // A stream that the peer has closed already cannot be shut down; nothing is left to do then.
        match self {
            OsStream::Tcp(stream) => drop(stream.shutdown(std::net::Shutdown::Write)),
            OsStream::Unix(stream) => drop(stream.shutdown(std::net::Shutdown::Write)),
            OsStream::Pipe(pipe) => pipe.shutdown_write(),
            OsStream::Resolving(_) => {}
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

/// What a connection that was reported writable has come to.
fn decided(error: io::Result<Option<io::Error>>, peer: io::Result<()>) -> io::Result<bool> {
    if let Some(error) = error? {
        return Err(error);
    }
    match peer {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(e) => Err(e),
    }
}

/// A connection whose host name is being looked up, by a thread of its own, since that can take seconds.
pub(crate) struct Resolving {
    addrs: Found,
    poller: Arc<Poller>,
    token: usize,
    found: Vec<SocketAddr>,
}

impl Resolving {
    fn step(&mut self) -> io::Result<Option<TcpStream>> {
        match lock(&self.addrs).take() {
            None if self.found.is_empty() => return Ok(None),
            None => {}
            Some(found) => self.found = found?,
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for addr in self.found.drain(..) {
            match TcpStream::connect(addr) {
                Ok(stream) => {
                    self.poller.register_both(&stream, self.token)?;
                    return Ok(Some(stream));
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

type Found = Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>>;

fn resolve(name: String, port: u16, token: usize, notify: Arc<dyn Notify>) -> Found {
    let found = Found::default();
    let out = found.clone();
    let look_up = move || {
        let mut result = (name.as_str(), port).to_socket_addrs().map(|addrs| addrs.collect::<Vec<_>>());
        if let Ok(addrs) = &mut result {
            // Most publishers bind IPv4 alone; where both are known, that is tried.
            addrs.sort_by_key(SocketAddr::is_ipv6);
        }
        *lock(&out) = Some(result);
        notify.notify(Ready { token, writable: true, ..Ready::default() });
    };
    let spawned = std::thread::Builder::new().name("oncue-resolve".into()).spawn(look_up);
    if let Err(error) = spawned {
        *lock(&found) = Some(Err(error));
    }
    found
}

fn abstract_addr(name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}
