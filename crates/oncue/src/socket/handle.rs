//! A handle to a hub, and what the handles of all sockets can do.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::connection::SocketType;

use super::connections::ConnectionEvents;
use super::inner::Inner;
use super::kind::{Extended, Plain, Publisher, Subscriber};
use crate::endpoint::Endpoint;
use crate::engine::{Control, Engine};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::options::{Options, Web};
use crate::stats::{Closed, RefusedPeer, SocketStats, TurnedAway};

/// A socket: [`Pub`], [`XPub`], [`Sub`] or [`XSub`], by its side and its form (see [`kind`](crate::kind)). Cheap to clone;
/// all clones are one socket, which is closed when the last of them is dropped.
pub struct Socket<S, F>(pub(crate) Arc<Inner>, PhantomData<fn() -> (S, F)>);

/// A publisher: each subscriber gets the messages whose first frame starts with one of its prefixes (RFC 29).
pub type Pub = Socket<Publisher, Plain>;

/// A publisher that sees what its subscribers want, and what they send.
pub type XPub = Socket<Publisher, Extended>;

/// A subscriber: it gets the messages whose first frame starts with one of its prefixes (RFC 29). A new one has none.
pub type Sub = Socket<Subscriber, Plain>;

/// A subscriber that can also send messages to its publishers (to their [`XPubEvent`](crate::XPubEvent)s), and that
/// does not filter again what they send.
pub type XSub = Socket<Subscriber, Extended>;

/// The four types of sockets. Sealed: it cannot be named outside of this crate.
pub trait Kind {
    #[doc(hidden)]
    const TYPE: SocketType;
}

impl Kind for Pub {
    const TYPE: SocketType = SocketType::Pub;
}

impl Kind for XPub {
    const TYPE: SocketType = SocketType::XPub;
}

impl Kind for Sub {
    const TYPE: SocketType = SocketType::Sub;
}

impl Kind for XSub {
    const TYPE: SocketType = SocketType::XSub;
}

/// What every socket can do.
impl<S, F> Socket<S, F> {
    /// A socket that is not bound or connected yet.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) when the engine has died.
    pub fn new(engine: &Engine, options: Options) -> Result<Socket<S, F>>
    where
        Self: Kind,
    {
        Socket::on(engine.control(), Some(engine.clone()), options)
    }

    /// A socket on any engine, real or simulated.
    pub(crate) fn on(
        control: Arc<dyn Control>,
        engine: Option<Engine>,
        options: Options,
    ) -> Result<Socket<S, F>>
    where
        Self: Kind,
    {
        let hub = control.hub(Self::TYPE, options)?;
        Ok(Socket::from_inner(Arc::new(Inner { hub, control, _engine: engine })))
    }

    /// Another handle to a socket.
    pub(crate) fn from_inner(inner: Arc<Inner>) -> Socket<S, F> {
        Socket(inner, PhantomData)
    }

    /// Listens at an endpoint, in addition to any others: `tcp://HOST:PORT`, `ws://HOST:PORT/PATH`, `ipc://PATH`, `ipc://@NAME` or
    /// `inproc://NAME`. `*` as host means every IPv4 address; `*` or 0 as port lets the system choose. A host may also be
    /// an interface (`eth0`; its first IPv4 address, or else IPv6) or a name of this machine, whose look-up may take
    /// seconds: up to [`connect_timeout`](crate::Options::connect_timeout), unless the socket is closed meanwhile. Returns the endpoint with its wildcards resolved.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a bad endpoint, naming the part;
    /// [`Io`](crate::ErrorKind::Io) when the system refuses.
    pub fn bind(&self, endpoint: &str) -> Result<Endpoint> {
        self.0.control.bind(&self.0.hub, &endpoint.parse()?, None)
    }

    /// As [`bind`](Self::bind) to a `ws://` endpoint, with settings of its own in place of [`Options::web`].
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub, Web};
    /// let publisher = Pub::new(&Engine::start()?, Options::new())?;
    /// let endpoint = publisher.bind_web("ws://127.0.0.1:*/live", Web::new().origins(["https://example.org"]))?;
    /// assert!(endpoint.to_string().ends_with("/live"));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`bind`](Self::bind); [`Misuse`](crate::ErrorKind::Misuse) also for an endpoint of another transport, and for wrong
    /// settings.
    pub fn bind_web(&self, endpoint: &str, web: Web) -> Result<Endpoint> {
        let endpoint: Endpoint = endpoint.parse()?;
        match endpoint {
            Endpoint::Ws { .. } => self.0.control.bind(&self.0.hub, &endpoint, Some(web)),
            other => Err(Error::misuse(format!(
                "cannot bind {other} with Web settings; use a ws:// endpoint, or bind"
            ))),
        }
    }

    /// Listens with a socket that was passed to this process and listens already, in addition to any others, such as one of
    /// systemd's socket activation: a TCP or a Unix socket, after `bind` and `listen` (libzmq: `ZMQ_USE_FD`). Returns its
    /// endpoint, for [`unbind`](Self::unbind), which closes the descriptor and leaves a file alone: its maker removes it.
    /// What [`Options`] says about accepted sockets applies; the listener itself stays as it is, but never blocks from now on.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let publisher = Pub::new(&Engine::start()?, Options::new())?;
    /// let endpoint = publisher.bind_fd(listener)?;
    /// assert!(endpoint.to_string().starts_with("tcp://127.0.0.1:"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a descriptor of anything else.
    pub fn bind_fd(&self, listener: impl Into<OwnedFd>) -> Result<Endpoint> {
        self.0.control.bind_fd(&self.0.hub, listener.into())
    }

    /// Connects to an endpoint, in addition to any others: now or as soon as a peer listens there, and again whenever the
    /// connection is lost ([`Options::reconnect`](crate::Options::reconnect)). All addresses of a host are tried, and a
    /// name is looked up at each attempt. `tcp://SOURCE:PORT;HOST:PORT` connects from an address or interface of this
    /// machine; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a bad endpoint, naming the part.
    pub fn connect(&self, endpoint: &str) -> Result<Endpoint> {
        let endpoint = endpoint.parse()?;
        self.0.control.connect(&self.0.hub, &endpoint)?;
        Ok(endpoint)
    }

    /// Stops listening at an endpoint, named as it was passed to [`bind`](Self::bind) or as `bind` returned it. Peers that
    /// connected to it stay.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the socket is not bound to it.
    pub fn unbind(&self, endpoint: &str) -> Result<()> {
        self.0.control.unbind(&self.0.hub, &endpoint.parse()?)
    }

    /// Ends the connection to an endpoint at once, and does not try again. Messages that came by it and that the user has
    /// not received are dropped.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the socket is not connected to it.
    pub fn disconnect(&self, endpoint: &str) -> Result<()> {
        self.0.control.disconnect(&self.0.hub, &endpoint.parse()?)
    }

    /// Closes the socket for all handles, by the call alone: its endpoints are free, and the file of an `ipc` endpoint is
    /// gone, when `close` returns. The operation is done when everything queued is sent, or when
    /// [`Options::linger`](crate::Options::linger) has passed; it tells how many messages were not delivered. Dropping
    /// the last handle closes too, without waiting.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// # let engine = Engine::start()?;
    /// # let socket = Pub::new(&engine, Options::new())?;
    /// let closed = socket.close().wait();
    /// if closed.undelivered > 0 {
    ///     eprintln!("{} messages were not delivered", closed.undelivered);
    /// }
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn close(&self) -> Op<impl Future<Output = Closed> + Send + Unpin + '_> {
        let hub = &self.0.hub;
        hub.close();
        hub.done.until(|| hub.closed())
    }

    /// As [`close`](Self::close), with a linger that ends `time` from now, unless it ends before. For a socket that is
    /// closed already this shortens its linger, from any thread: with [`Duration::ZERO`] it ends at once, and every
    /// operation of `close` is done soon.
    pub fn close_within(&self, time: Duration) -> Op<impl Future<Output = Closed> + Send + Unpin + '_> {
        let hub = &self.0.hub;
        hub.close_within(time);
        hub.done.until(|| hub.closed())
    }

    /// The peers turned away since the last call, as soon as there are any
    /// ([`Options::peers_max`](crate::Options::peers_max) and its like), for a program that reports them. When several
    /// calls wait, one of them gets each peer.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn turned_away(&self) -> Op<impl Future<Output = Result<TurnedAway>> + Send + Unpin + '_> {
        let members = &self.0.hub.members;
        self.0.wait_for(&members.waiters, || members.take_news())
    }

    /// Changes [`Options::recv_hwm`](crate::Options::recv_hwm) while the socket runs, at once and for all peers (libzmq's
    /// `ZMQ_RCVHWM` acts on later connections only). 0 means no bound. A peer that is not read because of a lower mark is read
    /// again. What waits beyond a lower mark stays, except with [`Keep::Latest`](crate::Keep::Latest).
    pub fn set_recv_hwm(&self, messages: u32) {
        self.0.hub.set_marks(None, Some(messages));
    }

    /// What happens to the connections of this socket from now on: a stream of connects, losses and refusals, each with its
    /// endpoint and its cause. Every call makes a stream of its own, which gets all events. Call it before
    /// [`bind`](Self::bind) and [`connect`](Self::connect) to see their first events too.
    ///
    /// ```
    /// use oncue::{ConnectionEventKind, Engine, Options, Sub};
    ///
    /// let subscriber = Sub::new(&Engine::start()?, Options::new())?;
    /// let events = subscriber.events();
    /// subscriber.connect("tcp://127.0.0.1:1")?;
    /// assert!(matches!(events.next().wait()?.kind, ConnectionEventKind::Connecting));
    /// let event = events.next().wait()?;
    /// let ConnectionEventKind::Failed { cause, .. } = event.kind else { panic!("a publisher at port 1") };
    /// assert_eq!(format!("{}: {cause}", event.endpoint), "tcp://127.0.0.1:1: connection refused");
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn events(&self) -> ConnectionEvents {
        ConnectionEvents::new(&self.0)
    }

    /// The peers that were refused last, at most 16, the oldest first: they broke the protocol or a bound, or refused this
    /// side.
    pub fn refused(&self) -> Vec<RefusedPeer> {
        self.0.hub.members.last_refused()
    }

    /// Whether each I/O thread of the socket's engine begins a turn within this time: it waits until they have, at most for
    /// that long. For a watchdog: false if one of them hangs or has ended. Not to be called on an I/O thread.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// # use std::time::Duration;
    /// let publisher = Pub::new(&Engine::start()?, Options::new())?;
    /// assert!(publisher.responds_within(Duration::from_secs(10)));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn responds_within(&self, time: Duration) -> bool {
        self.0.hub.responds_within(time)
    }

    /// What the socket has done so far.
    pub fn stats(&self) -> SocketStats {
        self.0.hub.stats()
    }
}

impl<S, F> Clone for Socket<S, F> {
    fn clone(&self) -> Socket<S, F> {
        Socket(self.0.clone(), PhantomData)
    }
}

impl<S, F> fmt::Debug for Socket<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.0.hub.socket_type);
        f.debug_struct(&name).field("id", &self.0.hub.id).finish_non_exhaustive()
    }
}
