//! The operating system's network: TCP and Unix sockets, and the engine's own pipes.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{SockFlag, accept4, getsockopt};
use rustix::buffer::spare_capacity;
use socket2::{SockAddr, Socket};

use super::dialing::Dialing;
use super::inproc::{Backlog, Names, Pipe};
use super::listen::{self, SocketFile};
use super::poller::Poller;
use super::resolver::{Answer, Resolver};
use super::socks::Script;
use super::tls::{Keys, Trust};
use super::web::{Call, Site, Web};
use super::{Layer, Net, Notify, Stream, address, probes, tuning};
use crate::connection::Cause;
use crate::curve;
use crate::descriptors;
use crate::endpoint::{self, Endpoint, Host};
use crate::options::NetOptions;
use crate::peer_address::PeerAddress;
use crate::sync::lock;

/// Approximately how much unsent data the system buffers for a TCP connection (TCP_NOTSENT_LOWAT) until the peer has been
/// seen to read. By default it buffers a third of a megabyte and more for each peer that never reads: ten thousand such
/// peers exhaust the memory that the system has for all connections, and then the peers that do read starve. What waits in
/// our own queues instead is bounded by the high-water marks, and shared.
const UNSENT_BYTES_MAX: u32 = 64 << 10;

/// The network of one I/O thread.
pub(crate) struct OsNet {
    poller: Arc<Poller>,
    names: Arc<Mutex<Names>>,
    resolver: Resolver,
    /// How many descriptors are kept back from peers.
    reserved: u32,
    trust: Trust,
    notify: Arc<dyn Notify>,
}

/// A stream of any transport.
pub(crate) enum OsStream {
    Tcp(Socket, SocketAddr),
    Unix(Socket, PeerAddress),
    Pipe(Box<Pipe>),
    Dialing(Box<Dialing>),
    /// Another stream, translated.
    Over(Box<dyn Layer<OsStream>>),
}

/// A listener of any transport.
pub(crate) struct OsListener {
    source: Source,
    poller: Arc<Poller>,
    names: Arc<Mutex<Names>>,
}

enum Source {
    Tcp(Socket),
    Web(Socket, Arc<Site>, Option<Keys>),
    /// The file is dropped, and so removed, before the socket is closed.
    Unix {
        _file: Option<SocketFile>,
        socket: Socket,
    },
    Name(Arc<Mutex<Backlog>>),
}

impl OsNet {
    /// `names` and `resolver` are shared by the threads of one engine; `notify` reports to this thread. No connection is
    /// accepted while fewer than `reserved` descriptors are left.
    pub(crate) fn new(
        poller: Arc<Poller>,
        names: Arc<Mutex<Names>>,
        resolver: Resolver,
        reserved: u32,
        notify: Arc<dyn Notify>,
    ) -> OsNet {
        OsNet { poller, names, resolver, reserved, trust: Trust::default(), notify }
    }

    /// Accepts a connection, unless the process cannot spare its descriptor.
    fn accept_socket(&self, listener: &Socket) -> io::Result<Socket> {
        let accepted = accept4(listener, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC)?;
        let number = u64::try_from(accepted.as_raw_fd()).unwrap_or_default();
        match descriptors::are_short(number, self.reserved.into()) {
            true => Err(rustix::io::Errno::MFILE.into()),
            false => Ok(accepted.into()),
        }
    }

    fn accept_tcp(&self, listener: &Socket, options: &NetOptions) -> io::Result<OsStream> {
        let socket = self.accept_socket(listener)?;
        // A peer that has gone already has no address.
        let address = socket.peer_addr().ok().and_then(|address| address.as_socket());
        let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
        // What the system refuses it has refused to the listener, or the peer has gone.
        let _ = tuning::tune_tcp(&socket, address.is_ipv6(), options);
        Ok(OsStream::tcp(socket, address))
    }

    /// Begins to connect to a host, through the proxy if there is one.
    fn dial(
        &self,
        (host, port): (&Host, u16),
        source: Option<endpoint::Source>,
        token: usize,
        turn: u32,
        options: &Arc<NetOptions>,
    ) -> io::Result<OsStream> {
        let proxy = options.socks_proxy.as_ref();
        let script = proxy.map(|proxy| Script::new(proxy, host, port)).transpose()?;
        let (host, port) = proxy.map_or((host, port), |proxy| (&proxy.host, proxy.port));
        let answer = match host {
            Host::Name(name) if name == "localhost" => Answer::known(address::of_localhost(port)),
            Host::Name(name) => self.resolver.ask(name, port, token, self.notify.clone())?,
            host => Answer::known(vec![address::of_host(host, port)?]),
        };
        let (poller, options) = (self.poller.clone(), options.clone());
        let dialing = Dialing::new(poller, token, source, answer, turn, script, options);
        Ok(OsStream::Dialing(Box::new(dialing)))
    }

    fn source(&self, at: &Endpoint, token: usize, options: &NetOptions) -> io::Result<(Source, Endpoint)> {
        let (source, resolved) = match at {
            Endpoint::Tcp { host, port, .. } => {
                let (socket, resolved, _) = listen_tcp(at, host, *port, options)?;
                (Source::Tcp(socket), resolved)
            }
            Endpoint::Ws { secure, host, port, path } => {
                let (socket, resolved, local) = listen_tcp(at, host, *port, options)?;
                let is_loopback = local.ip().to_canonical().is_loopback();
                let (party, web) = (options.party.clone(), options.web.clone());
                let site = Site::new(party, path, *secure, is_loopback, web);
                let keys = secure.then(|| Keys::new(&options.web)).transpose()?;
                (Source::Web(socket, Arc::new(site), keys), resolved)
            }
            Endpoint::Ipc(path) => {
                let path = if path == Path::new("*") { listen::fresh_path() } else { path.clone() };
                let (file, socket) = listen::path(&path, options)?;
                (Source::Unix { _file: Some(file), socket }, Endpoint::Ipc(path))
            }
            Endpoint::Abstract(name) => {
                let socket = listen::unix(&listen::abstract_addr(name)?, options)?;
                (Source::Unix { _file: None, socket }, at.clone())
            }
            Endpoint::Inproc(name) => {
                (Source::Name(lock(&self.names).bind(name, &self.notify, token)?), at.clone())
            }
        };
        Ok((source, resolved))
    }

    fn listener(&self, source: Source, token: usize) -> io::Result<OsListener> {
        if let Source::Tcp(socket) | Source::Web(socket, ..) | Source::Unix { socket, .. } = &source {
            self.poller.register_readable(socket, token)?;
        }
        Ok(OsListener { source, poller: self.poller.clone(), names: self.names.clone() })
    }
}

/// Listens at the address of a host, for an endpoint. Also returns the endpoint with its wildcards resolved.
fn listen_tcp(
    at: &Endpoint,
    host: &Host,
    port: u16,
    options: &NetOptions,
) -> io::Result<(Socket, Endpoint, SocketAddr)> {
    let socket = listen::tcp(address::of_host(host, port)?, options)?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let resolved = match host {
        Host::Scoped(..) => at.with_host(host.clone(), local.port()),
        _ => at.at(local),
    };
    Ok((socket, resolved, local))
}

impl Net for OsNet {
    type Stream = OsStream;
    type Listener = OsListener;
    type Names = Resolver;

    fn names(&self) -> Resolver {
        self.resolver.clone()
    }

    fn places(
        names: &Resolver,
        at: &Endpoint,
        options: &NetOptions,
        patience: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<Vec<Endpoint>> {
        address::to_bind(at, options.ip_versions, |name, port| names.wait(name, port, patience))
    }

    fn listen(
        &mut self,
        at: &Endpoint,
        token: usize,
        options: &NetOptions,
    ) -> io::Result<(OsListener, Endpoint)> {
        let (source, resolved) = self.source(at, token, options)?;
        Ok((self.listener(source, token)?, resolved))
    }

    fn listen_on(&mut self, passed: OwnedFd, token: usize) -> io::Result<(OsListener, Endpoint)> {
        let (socket, endpoint) = listen::passed(passed)?;
        let source = match endpoint {
            Endpoint::Tcp { .. } => Source::Tcp(socket),
            // The maker of the file removes it.
            _ => Source::Unix { _file: None, socket },
        };
        Ok((self.listener(source, token)?, endpoint))
    }

    fn accept(&mut self, listener: &mut OsListener, options: &NetOptions) -> io::Result<OsStream> {
        match &listener.source {
            Source::Tcp(listener) => self.accept_tcp(listener, options),
            Source::Web(listener, site, keys) => {
                let mut stream = self.accept_tcp(listener, options)?;
                if let Some(keys) = keys {
                    stream = OsStream::Over(keys.accept(stream)?);
                }
                Ok(OsStream::Over(Box::new(Web::accepted(stream, site.clone()))))
            }
            Source::Unix { socket, .. } => {
                let socket = self.accept_socket(socket)?;
                tuning::set_buffers(&socket, options);
                OsStream::unix(socket)
            }
            Source::Name(backlog) => Ok(OsStream::Pipe(Box::new(lock(backlog).accept()?))),
        }
    }

    fn connect(
        &mut self,
        to: &Endpoint,
        token: usize,
        turn: u32,
        options: &Arc<NetOptions>,
    ) -> io::Result<OsStream> {
        let mut stream = match to {
            Endpoint::Tcp { host, port, source } => {
                self.dial((host, *port), source.clone(), token, turn, options)?
            }
            Endpoint::Ws { secure, host, port, path } => {
                let mut key = [0; 16];
                curve::random(&mut key);
                let (party, web) = (options.party.clone(), options.web.clone());
                let call = Call::new(party, (host, *port), (path, *secure), web, key);
                let mut stream = self.dial((host, *port), None, token, turn, options)?;
                if *secure {
                    stream = OsStream::Over(self.trust.call(stream, &options.web, host)?);
                }
                OsStream::Over(Box::new(Web::calling(stream, call)))
            }
            Endpoint::Ipc(path) => OsStream::connect_unix(&SockAddr::unix(path)?, options)?,
            Endpoint::Abstract(name) => OsStream::connect_unix(&listen::abstract_addr(name)?, options)?,
            Endpoint::Inproc(name) => OsStream::Pipe(Box::new(Names::connect(&self.names, name))),
        };
        self.adopt(&mut stream, token)?;
        Ok(stream)
    }

    fn adopt(&mut self, stream: &mut OsStream, token: usize) -> io::Result<()> {
        match stream {
            OsStream::Tcp(socket, _) | OsStream::Unix(socket, _) => self.poller.register_both(socket, token),
            OsStream::Pipe(pipe) => {
                pipe.watch(&self.notify, token);
                Ok(())
            }
            OsStream::Dialing(_) => Ok(()),
            OsStream::Over(layer) => {
                layer.known_as(self.notify.clone(), token);
                self.adopt(layer.below_mut(), token)
            }
        }
    }

    fn release(&mut self, stream: OsStream) {
        if let Some(socket) = stream.socket() {
            self.poller.deregister(socket);
        }
    }
}

impl Drop for OsListener {
    fn drop(&mut self) {
        match &self.source {
            Source::Tcp(socket) | Source::Web(socket, ..) | Source::Unix { socket, .. } => {
                self.poller.deregister(socket)
            }
            Source::Name(backlog) => lock(&self.names).unbind(backlog),
        }
    }
}

impl OsStream {
    /// A TCP connection, with the socket options that all of them have. A socket that refuses an option is used without it.
    fn tcp(socket: Socket, address: SocketAddr) -> OsStream {
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
        OsStream::Tcp(socket, address)
    }

    fn unix(socket: Socket) -> io::Result<OsStream> {
        // rustix 1.1 fails here for a process of another PID namespace: its number is 0.
        let peer = getsockopt(&socket, PeerCredentials)?;
        let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0);
        Ok(OsStream::Unix(socket, PeerAddress::Ipc { uid: peer.uid(), pid }))
    }

    /// Connects a Unix socket. The system does so at once or not at all.
    fn connect_unix(addr: &SockAddr, options: &NetOptions) -> io::Result<OsStream> {
        let socket = tuning::open(addr)?;
        tuning::set_buffers(&socket, options);
        socket.connect(addr)?;
        OsStream::unix(socket)
    }

    /// The system's socket, if there is one.
    fn socket(&self) -> Option<&Socket> {
        match self {
            OsStream::Tcp(socket, _) | OsStream::Unix(socket, _) => Some(socket),
            OsStream::Over(layer) => layer.below().socket(),
            OsStream::Pipe(_) | OsStream::Dialing(_) => None,
        }
    }
}

impl Stream for OsStream {
    fn address(&self) -> PeerAddress {
        match self {
            OsStream::Tcp(_, address) => PeerAddress::Tcp(*address),
            OsStream::Unix(_, address) => *address,
            OsStream::Pipe(_) => PeerAddress::Inproc,
            OsStream::Over(layer) => layer.address(),
            OsStream::Dialing(_) => PeerAddress::Tcp((Ipv4Addr::UNSPECIFIED, 0).into()),
        }
    }

    fn connected(&mut self) -> io::Result<bool> {
        match self {
            OsStream::Tcp(..) | OsStream::Unix(..) | OsStream::Pipe(_) => Ok(true),
            OsStream::Dialing(dialing) => {
                let Some((socket, address)) = dialing.step()? else { return Ok(false) };
                *self = OsStream::tcp(socket, address);
                Ok(true)
            }
            OsStream::Over(layer) => layer.connected(),
        }
    }

    fn has_alternatives(&self) -> bool {
        match self {
            OsStream::Dialing(dialing) => dialing.has_more(),
            OsStream::Over(layer) => layer.has_alternatives(),
            _ => false,
        }
    }

    fn awaits(&self) -> Cause {
        match self {
            OsStream::Dialing(dialing) => dialing.awaits(),
            OsStream::Over(layer) => layer.awaits(),
            _ => Cause::NoAnswer,
        }
    }

    fn try_next(&mut self) {
        match self {
            OsStream::Dialing(dialing) => dialing.try_next(),
            OsStream::Over(layer) => layer.try_next(),
            _ => {}
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            OsStream::Tcp(socket, _) | OsStream::Unix(socket, _) => {
                Ok(rustix::io::read(socket, spare_capacity(buffer))?)
            }
            OsStream::Pipe(pipe) => pipe.read(buffer),
            OsStream::Over(layer) => layer.read(buffer),
            OsStream::Dialing(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            OsStream::Tcp(socket, _) | OsStream::Unix(socket, _) => Ok(rustix::io::writev(socket, slices)?),
            OsStream::Pipe(pipe) => pipe.write(slices),
            OsStream::Over(layer) => layer.write(slices),
            OsStream::Dialing(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) {
        if let OsStream::Over(layer) = self {
            layer.flush();
        }
    }

    #[inline]
    fn holds_more(&self) -> bool {
        matches!(self, OsStream::Over(layer) if layer.holds_more())
    }

    fn held_bytes(&self) -> usize {
        match self {
            OsStream::Over(layer) => layer.held_bytes(),
            _ => 0,
        }
    }

    fn is_let_in(&self) -> bool {
        matches!(self, OsStream::Over(layer) if layer.is_let_in())
    }

    fn is_served(&self) -> bool {
        matches!(self, OsStream::Over(layer) if layer.is_served())
    }

    fn shutdown_write(&mut self) {
        match self {
            // It fails if the peer has closed the stream already: nothing is left to do then.
            OsStream::Tcp(socket, _) | OsStream::Unix(socket, _) => drop(socket.shutdown(Shutdown::Write)),
            OsStream::Pipe(pipe) => pipe.shutdown_write(),
            OsStream::Over(layer) => layer.shutdown_write(),
            OsStream::Dialing(_) => {}
        }
    }

    fn may_fall_silent(&self) -> bool {
        match self {
            OsStream::Pipe(_) => false,
            OsStream::Over(layer) => layer.may_fall_silent(),
            _ => true,
        }
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        match self {
            // A socket that refuses is used without probes.
            OsStream::Tcp(socket, _) => drop(probes::set(socket, idle, timeout)),
            OsStream::Over(layer) => layer.probe(idle, timeout),
            _ => {}
        }
    }

    fn has_pings(&self) -> bool {
        matches!(self, OsStream::Over(layer) if layer.has_pings())
    }

    fn ping(&mut self) -> bool {
        match self {
            OsStream::Over(layer) => layer.ping(),
            _ => false,
        }
    }

    fn trust(&mut self) {
        match self {
            // 0: the system's default.
            OsStream::Tcp(socket, _) => drop(socket.set_tcp_notsent_lowat(0)),
            OsStream::Over(layer) => layer.trust(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ready;
    use super::*;

    struct Nobody;

    impl Notify for Nobody {
        fn notify(&self, _ready: Ready) {}
    }

    #[test]
    fn a_peer_that_has_gone_before_it_is_accepted_does_not_look_like_a_failure_of_the_system() {
        let poller = Arc::new(Poller::new().unwrap());
        let mut net = OsNet::new(poller, Arc::default(), Resolver::system(), 0, Arc::new(Nobody));
        let options = NetOptions::default();
        let (mut listener, at) = net.listen(&"tcp://127.0.0.1:0".parse().unwrap(), 0, &options).unwrap();
        let Endpoint::Tcp { port, .. } = at else { panic!("{at}") };
        let peer = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let accepted = net.accept(&mut listener, &options);
        assert_eq!(accepted.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionAborted));
    }
}
