//! What happens to the connections of a socket, and why: plain data.

use std::fmt;
use std::io;
use std::time::Duration;

use oncue_core::connection::{HandshakeError, PeerType, SocketType};
use oncue_core::frame::{ProtocolError, Seen};
use oncue_core::greeting::MechanismName;
use oncue_core::mechanism::curve::CurveError;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::peer_address::PeerAddress;
use crate::permission::PeerKey;

/// A change of a connection, or of an endpoint that a socket is bound or connected to. See
/// [`Pub::events`](crate::Pub::events).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// The endpoint that the socket is connected to, as the user wrote it, or is bound to, with its wildcards resolved.
    pub endpoint: Endpoint,
    /// What has happened.
    pub kind: ConnectionEventKind,
}

/// What has happened to a connection or an endpoint.
///
/// ```
/// use oncue::{ConnectionEvent, ConnectionEventKind};
///
/// fn say(event: &ConnectionEvent) -> Option<String> {
///     let endpoint = &event.endpoint;
///     Some(match &event.kind {
///         ConnectionEventKind::Connecting => format!("connecting to {endpoint}"),
///         ConnectionEventKind::Waiting { cause } => format!("waiting for {endpoint}: {cause}"),
///         ConnectionEventKind::Connected { .. } => format!("connected to {endpoint}"),
///         ConnectionEventKind::Lost { cause, retry_after: Some(_), .. } => {
///             format!("lost {endpoint} ({cause}), trying again")
///         }
///         ConnectionEventKind::Failed { cause, .. } if cause.is_refusal() => {
///             format!("refused by {endpoint}: {cause}")
///         }
///         ConnectionEventKind::Failed { cause, .. } => format!("cannot connect to {endpoint}: {cause}"),
///         _ => return None,
///     })
/// }
/// # let _ = say;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectionEventKind {
    /// The socket listens.
    Bound,
    /// The socket listens no more: [`unbind`](crate::Pub::unbind) was called.
    Unbound,
    /// A listener rests for 100 ms: the process or the system has too few descriptors left.
    AcceptingPaused {
        /// What the system says.
        error: Error,
    },
    /// The handshake of a peer that came by a listener is done.
    Accepted {
        /// The peer.
        peer: ConnectedPeer,
    },
    /// A peer that came by a listener is gone before the end of its handshake: one of both sides refused the other, or
    /// the peer left.
    Refused {
        /// Where it is.
        address: PeerAddress,
        /// Why.
        cause: Cause,
        /// The same in full, with its sources.
        error: Error,
    },
    /// A peer that came by a listener is gone.
    Disconnected {
        /// The peer, as in its [`Accepted`](Self::Accepted).
        peer: ConnectedPeer,
        /// Why.
        cause: Cause,
        /// The same in full, with its sources.
        error: Error,
    },
    /// The socket begins to connect. Later attempts, after [`Failed`](Self::Failed) or [`Lost`](Self::Lost), are not told.
    Connecting,
    /// The attempt to connect has had no answer, or no end of its handshake, for 3 s, and goes on. Not told if the attempt
    /// before failed for this cause, or if this was told since the endpoint was connected last.
    Waiting {
        /// Why it will have failed if nothing more comes: [`ResolverUnavailable`](Cause::ResolverUnavailable),
        /// [`NoAnswer`](Cause::NoAnswer), [`SaysNothing`](Cause::SaysNothing) or
        /// [`HandshakeTimeout`](Cause::HandshakeTimeout).
        cause: Cause,
    },
    /// The handshake with the peer at the endpoint is done.
    Connected {
        /// The peer.
        peer: ConnectedPeer,
    },
    /// No connection was made, or it ended before the end of its handshake. The socket tries again, and again after that;
    /// attempts that fail for the same cause are not told, unless one is the last.
    Failed {
        /// Where the other side is, if the stream was there.
        address: Option<PeerAddress>,
        /// Why.
        cause: Cause,
        /// The same in full, with its sources.
        error: Error,
        /// When the socket tries again, from now. The pause after that is longer. `None`: it tries no more
        /// ([`reconnect_stop`](crate::Options::reconnect_stop)), and [`Stopped`](Self::Stopped) follows.
        retry_after: Option<Duration>,
    },
    /// The connection has ended after its handshake.
    Lost {
        /// The peer, as in its [`Connected`](Self::Connected).
        peer: ConnectedPeer,
        /// Why.
        cause: Cause,
        /// The same in full, with its sources.
        error: Error,
        /// When the socket tries again, from now. `None`: it tries no more
        /// ([`reconnect_stop`](crate::Options::reconnect_stop)), and [`Stopped`](Self::Stopped) follows.
        retry_after: Option<Duration>,
    },
    /// The socket tries no more, and its connection is gone if it had one: [`disconnect`](crate::Pub::disconnect) was called,
    /// or a condition of [`reconnect_stop`](crate::Options::reconnect_stop) was met, which the event before tells.
    Stopped,
}

/// A peer whose handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectedPeer {
    /// The connection. A peer that connects again has another one.
    pub key: PeerKey,
    /// Where it is.
    pub address: PeerAddress,
    /// The type of its socket.
    pub socket_type: SocketType,
}

/// Why a connection was not made, was refused, or has ended. Prints as a short phrase about the other side ("it wants CURVE",
/// "connection refused"); the event's `error` has the full sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The name of the host does not exist, or has no address.
    NameUnknown,
    /// The name of the host cannot be looked up now: the system's resolver has no answer.
    ResolverUnavailable,
    /// Nothing listens there.
    ConnectionRefused,
    /// The file of an `ipc` endpoint does not exist.
    NoSuchFile,
    /// The system does not allow it: the file of an `ipc` endpoint, or a firewall of this machine.
    PermissionDenied,
    /// The network or the host cannot be reached.
    Unreachable,
    /// The proxy has made no connection ([`socks_proxy`](crate::Options::socks_proxy)).
    Proxy(ProxyFailure),
    /// There was no answer in time: the system gave up, or [`connect_timeout`](crate::Options::connect_timeout) passed. Or
    /// no socket of the engine has bound the name of an `inproc` endpoint in that time.
    NoAnswer,
    /// The connection was made, and not one byte came within [`handshake_timeout`](crate::Options::handshake_timeout).
    SaysNothing,
    /// The handshake was begun and not finished within [`handshake_timeout`](crate::Options::handshake_timeout).
    HandshakeTimeout,
    /// It speaks another protocol than ZMTP.
    NotZeroMq(Seen),
    /// It speaks ZMTP 1.0, of 2009 to 2011; version 2.0 is the oldest that this side speaks.
    TooOld,
    /// It sent an HTTP request to a `ws` endpoint that was not granted, and was answered with this status, such as 403.
    Http(u16),
    /// TLS with it has failed, for this reason: its certificate is not trusted, or one side does not speak it.
    Tls(String),
    /// Its socket is of a type that does not fit to this side's.
    SocketType {
        /// Its type.
        peer: PeerType,
        /// This side's.
        ours: SocketType,
    },
    /// It uses another security mechanism.
    Mechanism {
        /// Its mechanism.
        peer: MechanismName,
        /// This side's.
        ours: MechanismName,
    },
    /// It closed the connection before it had sent its greeting.
    ClosedInGreeting,
    /// It closed the connection after the greetings: so libzmq refuses a socket type that does not fit.
    ClosedInHandshake,
    /// It refused or ended the connection by an ERROR command, with this text: at most 255 bytes, those that are not
    /// printable ASCII escaped (`\xff`). Over WebSocket also by the status of its answer (`404 Not Found`) or by a close frame.
    RefusedByPeer(String),
    /// It broke the protocol.
    Protocol(ProtocolError),
    /// It exceeded a bound of this side, an option that the error names.
    BoundExceeded,
    /// This side's [`Authenticator`](crate::Authenticator) did not let it in.
    NotLetIn,
    /// It was one peer too many ([`peers_max`](crate::Options::peers_max) and its like).
    TurnedAway,
    /// It closed the connection.
    Closed,
    /// The connection was reset: the peer closed it with bytes unread, or its system does not know it any more.
    Reset,
    /// It gave no sign of life in time ([`heartbeat`](crate::Options::heartbeat)).
    Silent,
    /// This side closed the connection.
    ClosedHere,
    /// The system failed otherwise.
    System(io::ErrorKind),
}

impl Cause {
    /// Whether the other side is there and one of both sides refuses the other: trying again helps only if something is
    /// changed on one side.
    pub fn is_refusal(&self) -> bool {
        match self {
            Cause::NotZeroMq(_)
            | Cause::TooOld
            | Cause::Http(_)
            | Cause::Tls(_)
            | Cause::SocketType { .. }
            | Cause::Mechanism { .. }
            | Cause::ClosedInHandshake
            | Cause::RefusedByPeer(_)
            | Cause::Protocol(_)
            | Cause::BoundExceeded
            | Cause::NotLetIn
            | Cause::TurnedAway => true,
            Cause::Proxy(failure) => failure.is_refusal(),
            Cause::NameUnknown
            | Cause::ResolverUnavailable
            | Cause::ConnectionRefused
            | Cause::NoSuchFile
            | Cause::PermissionDenied
            | Cause::Unreachable
            | Cause::NoAnswer
            | Cause::SaysNothing
            | Cause::HandshakeTimeout
            | Cause::ClosedInGreeting
            | Cause::Closed
            | Cause::Reset
            | Cause::Silent
            | Cause::ClosedHere
            | Cause::System(_) => false,
        }
    }

    /// Whether nothing listens there, as the system or a proxy says.
    pub(crate) fn is_nothing_there(&self) -> bool {
        matches!(
            self,
            Cause::ConnectionRefused | Cause::NoSuchFile | Cause::Proxy(ProxyFailure::ConnectionRefused)
        )
    }

    /// Whether a failed attempt with this cause after one with the `other` is no news.
    pub(crate) fn repeats(&self, other: &Cause) -> bool {
        // What another protocol says first may hold a time or a number.
        matches!((self, other), (Cause::NotZeroMq(_), Cause::NotZeroMq(_))) || self == other
    }

    /// The cause of a connection that was not made.
    pub(crate) fn of_connect(error: &io::Error) -> Cause {
        if let Some(unresolved) = error.get_ref().and_then(|inner| inner.downcast_ref::<Unresolved>()) {
            return if unresolved.unknown { Cause::NameUnknown } else { Cause::ResolverUnavailable };
        }
        if let Some(via) = error.get_ref().and_then(|inner| inner.downcast_ref::<ViaProxy>()) {
            return Cause::Proxy(via.failure.clone());
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Cause::ConnectionRefused,
            io::ErrorKind::NotFound => Cause::NoSuchFile,
            io::ErrorKind::TimedOut => Cause::NoAnswer,
            _ => Cause::of_system(error),
        }
    }

    /// The cause of a connection that has failed.
    pub(crate) fn of_stream(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Cause::Reset,
            io::ErrorKind::TimedOut => Cause::Silent,
            _ => Cause::of_system(error),
        }
    }

    fn of_system(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Cause::PermissionDenied,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Cause::Unreachable,
            kind => Cause::System(kind),
        }
    }
}

impl From<&HandshakeError> for Cause {
    fn from(error: &HandshakeError) -> Cause {
        match error {
            HandshakeError::Protocol(error) => Cause::from(error),
            HandshakeError::Mechanism { peer, ours } => Cause::Mechanism { peer: *peer, ours: *ours },
            // A peer of that age has no other mechanism.
            HandshakeError::TooOldForSecurity { ours } => {
                Cause::Mechanism { peer: MechanismName::new("NULL"), ours: *ours }
            }
            HandshakeError::SocketType { peer, ours } => Cause::SocketType { peer: *peer, ours: *ours },
            HandshakeError::Refused(reason) => Cause::RefusedByPeer(reason.escape_ascii().to_string()),
            HandshakeError::ClosedInGreeting => Cause::ClosedInGreeting,
            _ => Cause::ClosedInHandshake,
        }
    }
}

impl From<&ProtocolError> for Cause {
    fn from(error: &ProtocolError) -> Cause {
        match error {
            ProtocolError::NotZmtp(seen) => Cause::NotZeroMq(*seen),
            ProtocolError::Version1 => Cause::TooOld,
            ProtocolError::MessageTooLong { .. }
            | ProtocolError::CommandTooLong { .. }
            | ProtocolError::CommandsInsideTooLong { .. }
            | ProtocolError::TooManyProperties { .. } => Cause::BoundExceeded,
            error => Cause::Protocol(*error),
        }
    }
}

/// Why a SOCKS5 proxy has made no connection: the codes of RFC 1928 and 1929, and what may go wrong before one comes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// The proxy itself was not reached.
    NotReached(Box<Cause>),
    /// It said nothing within [`connect_timeout`](crate::Options::connect_timeout).
    NoAnswer,
    /// It closed the connection before it had answered.
    Closed,
    /// It does not speak SOCKS5.
    NotSocks5,
    /// It accepts no way to log in that this side has: without one, or with
    /// [`credentials`](crate::SocksProxy::credentials).
    NoCommonLogin,
    /// It refuses the user name or the password.
    LoginRefused,
    /// 1: it has failed.
    General,
    /// 2: its rules do not allow the connection.
    NotAllowed,
    /// 3: it cannot reach the network.
    NetworkUnreachable,
    /// 4: it cannot reach the host, or does not know its name.
    HostUnreachable,
    /// 5: nothing listens there.
    ConnectionRefused,
    /// 6: the time to live has expired; many proxies mean that the host did not answer in time.
    TtlExpired,
    /// 7: it does not make connections.
    CommandNotSupported,
    /// 8: it does not know addresses of this type: IPv4, IPv6 or names.
    AddressNotSupported,
    /// Another code.
    Code(u8),
}

impl ProxyFailure {
    /// What a code of an answer means; `None` for success.
    pub(crate) fn of_code(code: u8) -> Option<ProxyFailure> {
        Some(match code {
            0 => return None,
            1 => ProxyFailure::General,
            2 => ProxyFailure::NotAllowed,
            3 => ProxyFailure::NetworkUnreachable,
            4 => ProxyFailure::HostUnreachable,
            5 => ProxyFailure::ConnectionRefused,
            6 => ProxyFailure::TtlExpired,
            7 => ProxyFailure::CommandNotSupported,
            8 => ProxyFailure::AddressNotSupported,
            code => ProxyFailure::Code(code),
        })
    }

    /// The connection to the proxy has failed.
    pub(crate) fn of_stream(error: &io::Error) -> ProxyFailure {
        match Cause::of_stream(error) {
            Cause::Reset => ProxyFailure::Closed,
            cause => ProxyFailure::NotReached(Box::new(cause)),
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(
            self,
            ProxyFailure::NotSocks5
                | ProxyFailure::NoCommonLogin
                | ProxyFailure::LoginRefused
                | ProxyFailure::NotAllowed
                | ProxyFailure::CommandNotSupported
                | ProxyFailure::AddressNotSupported
        )
    }
}

/// As it follows "the proxy".
impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyFailure::NotReached(cause) => return write!(f, "cannot be reached: {cause}"),
            ProxyFailure::NoAnswer => "does not answer",
            ProxyFailure::Closed => "closed the connection",
            ProxyFailure::NotSocks5 => "does not speak SOCKS5",
            ProxyFailure::NoCommonLogin => "accepts no way to log in that this side has",
            ProxyFailure::LoginRefused => "refuses the user name or the password",
            ProxyFailure::General => "has failed",
            ProxyFailure::NotAllowed => "does not allow it",
            ProxyFailure::NetworkUnreachable => "cannot reach the network",
            ProxyFailure::HostUnreachable => "cannot reach the host",
            ProxyFailure::ConnectionRefused => "says: connection refused",
            ProxyFailure::TtlExpired => "says: time to live expired",
            ProxyFailure::CommandNotSupported => "makes no connections",
            ProxyFailure::AddressNotSupported => "does not support this type of address",
            ProxyFailure::Code(code) => return write!(f, "has failed with the code {code}"),
        })
    }
}

/// A connection that a proxy has not made, inside of an [`io::Error`].
#[derive(Debug)]
pub(crate) struct ViaProxy {
    proxy: String,
    failure: ProxyFailure,
}

impl ViaProxy {
    pub(crate) fn error(proxy: &str, failure: ProxyFailure) -> io::Error {
        io::Error::other(ViaProxy { proxy: proxy.to_owned(), failure })
    }
}

impl fmt::Display for ViaProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} {}", self.proxy, self.failure)
    }
}

impl std::error::Error for ViaProxy {}

/// What a peer has done wrong, or that it refuses this side, as a stream has found: inside of an [`io::Error`].
#[derive(Clone, Debug)]
pub(crate) struct PeerFault {
    pub(crate) cause: Cause,
    pub(crate) text: String,
}

/// The end of a connection of a client that wanted a page, and got it: inside of an [`io::Error`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served;

impl From<Served> for io::Error {
    fn from(served: Served) -> io::Error {
        io::Error::other(served)
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has its page")
    }
}

impl std::error::Error for Served {}

impl From<PeerFault> for io::Error {
    fn from(fault: PeerFault) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for PeerFault {}

/// A name that was not resolved, inside of an [`io::Error`].
#[derive(Debug)]
pub(crate) struct Unresolved {
    name: String,
    /// The name does not exist, or has no address. Otherwise the resolver does not know.
    unknown: bool,
    source: io::Error,
}

impl Unresolved {
    pub(crate) fn error(name: &str, unknown: bool, source: io::Error) -> io::Error {
        io::Error::other(Unresolved { name: name.to_owned(), unknown, source })
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unresolved { name, unknown, source } = self;
        match unknown {
            true => write!(f, "the name {name:?} is unknown, or has no address ({source})"),
            false => write!(f, "the name {name:?} cannot be looked up now ({source})"),
        }
    }
}

impl std::error::Error for Unresolved {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What a peer must be to fit to a socket of this type.
fn fitting(ours: SocketType) -> &'static str {
    if ours.publishes() { "a subscriber" } else { "a publisher" }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Cause::NameUnknown => "name unknown",
            Cause::ResolverUnavailable => "the name cannot be looked up now",
            Cause::ConnectionRefused => "connection refused",
            Cause::NoSuchFile => "no such file",
            Cause::PermissionDenied => "permission denied",
            Cause::Unreachable => "it cannot be reached",
            Cause::Proxy(failure) => return write!(f, "the proxy {failure}"),
            Cause::NoAnswer => "it does not answer",
            Cause::SaysNothing => "it accepted the connection and says nothing",
            Cause::HandshakeTimeout => "it did not finish the handshake",
            Cause::NotZeroMq(seen) => return write!(f, "it is not ZeroMQ: {seen}"),
            Cause::Http(status) => return write!(f, "its HTTP request was answered with {status}"),
            Cause::Tls(why) => return write!(f, "TLS has failed: {why}"),
            Cause::TooOld => "it speaks ZMTP 1.0, which is too old",
            Cause::SocketType { peer: PeerType::Known(name), ours } => {
                // As they are spelled out: "an ex-pub".
                let article = if name.starts_with('X') { "an" } else { "a" };
                return write!(f, "it is {article} {name}, not {}", fitting(*ours));
            }
            Cause::SocketType { peer, ours } => {
                return write!(f, "it is of the unknown socket type {peer}, not {}", fitting(*ours));
            }
            Cause::Mechanism { peer, ours } if peer.is_null() => return write!(f, "it has no {ours}"),
            Cause::Mechanism { peer, .. } => return write!(f, "it wants {peer}"),
            Cause::ClosedInGreeting => "it closed the connection at once",
            Cause::ClosedInHandshake => "it closed the connection in the handshake",
            Cause::RefusedByPeer(text) => {
                // The status codes of ZAP (RFC 27), as libzmq sends them.
                let meaning = match &text[..] {
                    "300" => " (temporary error)",
                    "400" => " (access denied)",
                    "500" => " (internal error)",
                    _ => "",
                };
                return write!(f, "it says \"{text}\"{meaning}");
            }
            Cause::Protocol(ProtocolError::Curve(CurveError::Box("HELLO"))) => {
                "it has another server key than this one"
            }
            Cause::Protocol(ProtocolError::SameRole { servers: true }) => {
                "it is a server as well; one must be the client"
            }
            Cause::Protocol(ProtocolError::SameRole { .. }) => {
                "it is a client as well; one must be the server"
            }
            Cause::Protocol(_) => "it broke the protocol",
            Cause::BoundExceeded => "it exceeded a bound",
            Cause::NotLetIn => "it was not let in",
            Cause::TurnedAway => "too many peers",
            Cause::Closed => "it closed the connection",
            Cause::Reset => "the connection was reset",
            Cause::Silent => "it was silent for too long",
            Cause::ClosedHere => "this side closed the connection",
            Cause::System(kind) => return kind.fmt(f),
        };
        f.write_str(text)
    }
}
