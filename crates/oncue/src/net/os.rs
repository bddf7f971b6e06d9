//! The operating system's network: TCP and Unix sockets, by mio, and the engine's own pipes beside them.

use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::buffer::spare_capacity;
use socket2::{SockRef, TcpKeepalive};

use super::inproc::{Backlog, Names, Pipe};
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
pub(crate) enum OsListener {
    Tcp(TcpListener),
    Unix(UnixListener, Option<PathBuf>),
    Name(Arc<Mutex<Backlog>>),
}

impl OsNet {
    /// `names` are shared by the threads of one engine; `notify` reports to this thread.
    pub(crate) fn new(poller: Arc<Poller>, names: Arc<Mutex<Names>>, notify: Arc<dyn Notify>) -> OsNet {
        OsNet { poller, names, notify }
    }

    fn listen_at<L: AsFd>(&self, listener: L, token: usize) -> io::Result<L> {
        self.poller.register_readable(&listener, token)?;
        Ok(listener)
    }
}

impl Net for OsNet {
    type Stream = OsStream;
    type Listener = OsListener;

    fn listen(&mut self, at: &Endpoint, token: usize) -> io::Result<(OsListener, Endpoint)> {
        match at {
            Endpoint::Tcp { host, port } => {
                let addr = Endpoint::bind_addr(host, *port).map_err(io::Error::other)?;
                let listener = self.listen_at(TcpListener::bind(addr)?, token)?;
                let resolved = Endpoint::from_tcp(listener.local_addr()?);
                Ok((OsListener::Tcp(listener), resolved))
            }
            Endpoint::Ipc(path) => {
                let path = if path == Path::new("*") { fresh_path() } else { path.clone() };
                remove_stale(&path)?;
                let listener = self.listen_at(UnixListener::bind(&path)?, token)?;
                Ok((OsListener::Unix(listener, Some(path.clone())), Endpoint::Ipc(path)))
            }
            Endpoint::Abstract(name) => {
                let listener = self.listen_at(UnixListener::bind_addr(&abstract_addr(name)?)?, token)?;
                Ok((OsListener::Unix(listener, None), at.clone()))
            }
            Endpoint::Inproc(name) => {
                let backlog = lock(&self.names).bind(name, &self.notify, token)?;
                Ok((OsListener::Name(backlog), at.clone()))
            }
        }
    }

    fn accept(&mut self, listener: &mut OsListener) -> io::Result<OsStream> {
        match listener {
            OsListener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                tune(&stream);
                Ok(OsStream::Tcp(stream))
            }
            OsListener::Unix(listener, _) => Ok(OsStream::Unix(listener.accept()?.0)),
            OsListener::Name(backlog) => Ok(OsStream::Pipe(lock(backlog).accept()?)),
        }
    }

    fn unlisten(&mut self, listener: OsListener) {
        match listener {
            OsListener::Tcp(listener) => self.poller.deregister(&listener),
            OsListener::Unix(listener, path) => {
                self.poller.deregister(&listener);
                if let Some(path) = path {
                    // Whoever removed it before us wanted the same.
                    let _ = std::fs::remove_file(path);
                }
            }
            OsListener::Name(backlog) => lock(&self.names).unbind(&backlog),
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
            Endpoint::Inproc(name) => OsStream::Pipe(lock(&self.names).connect(name)),
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

    fn may_fall_silent(&self) -> bool {
        !matches!(self, OsStream::Pipe(_))
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        if let OsStream::Tcp(stream) = self {
            let probes = Probes::within(idle, timeout);
            let keepalive = TcpKeepalive::new()
                .with_time(Duration::from_secs(probes.idle_secs))
                .with_interval(Duration::from_secs(probes.interval_secs))
                .with_retries(probes.count);
            let socket = SockRef::from(&*stream);
            let _ = socket.set_tcp_keepalive(&keepalive);
            let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(probes.total_secs())));
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

/// When the system asks an idle peer whether it is there. It counts in seconds. What is written and not acknowledged, and
/// what the peer has no room for, has as much time as all probes take.
#[derive(Debug, PartialEq, Eq)]
struct Probes {
    idle_secs: u64,
    interval_secs: u64,
    count: u32,
}

impl Probes {
    /// The most probes, between which the time is divided.
    const COUNT_MAX: u64 = 5;
    /// The longest time that Linux takes for either.
    const SECS_MAX: u64 = 32_767;

    fn within(idle: Duration, timeout: Duration) -> Probes {
        let secs = |time: Duration| {
            let rounded_up = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
            rounded_up.clamp(1, Probes::SECS_MAX)
        };
        let idle_secs = secs(idle);
        let left = secs(timeout).saturating_sub(idle_secs).max(1);
        let interval_secs = left.div_ceil(Probes::COUNT_MAX);
        let count = left.div_ceil(interval_secs) as u32;
        Probes { idle_secs, interval_secs, count }
    }

    fn total_secs(&self) -> u64 {
        self.idle_secs + self.interval_secs * u64::from(self.count)
    }
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

/// A path for `ipc://*`, unused by this process.
fn fresh_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("oncue-{}-{n}.sock", std::process::id()))
}

/// Removes the socket that a dead process left behind; a live one, or another kind of file, is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is in the way",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_take_as_long_as_the_timeout_in_whole_seconds() {
        let probes =
            |idle, timeout| Probes::within(Duration::from_millis(idle), Duration::from_millis(timeout));
        assert_eq!(probes(5000, 15_000), Probes { idle_secs: 5, interval_secs: 2, count: 5 });
        for (idle, timeout, total) in
            [(5000, 15_000, 15), (1000, 3000, 3), (300, 1000, 2), (1, 1, 2), (1500, 2500, 3)]
        {
            assert_eq!(probes(idle, timeout).total_secs(), total, "{idle} {timeout}");
        }
        for idle in 1..40 {
            for timeout in 2 * idle..100 {
                let total = probes(idle * 1000, timeout * 1000).total_secs();
                assert!((timeout..timeout + Probes::COUNT_MAX).contains(&total), "{idle} {timeout}: {total}");
            }
        }
        let longest = Probes::within(Duration::MAX, Duration::MAX);
        assert!(longest.idle_secs <= Probes::SECS_MAX && longest.interval_secs <= Probes::SECS_MAX);
    }

    #[test]
    fn a_tcp_stream_takes_the_probes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = OsStream::Tcp(TcpStream::from_std(stream));
        stream.probe(Duration::from_secs(5), Duration::from_secs(15));
        let OsStream::Tcp(stream) = stream else { unreachable!() };
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(15)));
    }
}
