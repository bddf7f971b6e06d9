//! The sockets: handles to a hub. What they have in common stands here; nothing here touches a shard or a stream but
//! through the engine's `Control`.

mod last;
mod permission;
mod publisher;
mod room;
mod states;
mod subscriber;
mod watch;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use oncue_core::connection::SocketType;

pub use publisher::{Pub, XPub, XPubEvent};
pub use subscriber::{Sub, XSub};
pub use watch::{DemandEvent, DemandWatch};

use crate::endpoint::Endpoint;
use crate::engine::hub::Hub;
use crate::engine::{Control, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::op::{Op, Wait, Waiters, sleep_at};
use crate::options::Options;
use crate::stats::TurnedAway;

/// A socket of any type. It is closed when the last handle goes.
pub(crate) struct Socket {
    pub(crate) hub: Arc<Hub>,
    control: Arc<dyn Control>,
    /// Keeps the I/O threads running.
    _engine: Option<Engine>,
}

impl Socket {
    fn new(engine: &Engine, socket_type: SocketType, options: Options) -> Result<Arc<Socket>> {
        Socket::on(engine.control(), Some(engine.clone()), socket_type, options)
    }

    /// A socket on any engine, be it real or simulated.
    pub(crate) fn on(
        control: Arc<dyn Control>,
        engine: Option<Engine>,
        socket_type: SocketType,
        options: Options,
    ) -> Result<Arc<Socket>> {
        let hub = control.hub(socket_type, options)?;
        Ok(Arc::new(Socket { hub, control, _engine: engine }))
    }

    pub(crate) fn bind(&self, endpoint: &str) -> Result<Endpoint> {
        self.control.bind(&self.hub, &endpoint.parse()?)
    }

    pub(crate) fn connect(&self, endpoint: &str) -> Result<Endpoint> {
        let endpoint = endpoint.parse()?;
        self.control.connect(&self.hub, &endpoint)?;
        Ok(endpoint)
    }

    fn unbind(&self, endpoint: &str) -> Result<()> {
        self.control.unbind(&self.hub, &endpoint.parse()?)
    }

    fn disconnect(&self, endpoint: &str) -> Result<()> {
        self.control.disconnect(&self.hub, &endpoint.parse()?)
    }

    fn close(&self) -> Op<impl Future<Output = ()> + Send + Unpin + '_> {
        self.hub.close();
        let hub = &self.hub;
        let mut wait = hub.done.wait();
        Op(poll_fn(move |context| wait.poll(context, || hub.is_done().then_some(()))))
    }

    fn turned_away(&self) -> Op<impl Future<Output = Result<TurnedAway>> + Send + Unpin + '_> {
        let hub = &self.hub;
        let news = || match hub.members.take_news() {
            Some(news) => Some(Ok(news)),
            None => hub.check_open().err().map(Err),
        };
        let mut wait = hub.members.waiters.wait();
        Op(poll_fn(move |context| wait.poll(context, news)))
    }

    fn send_when_room<'a>(
        &'a self,
        mut send: impl FnMut(&Arc<Hub>) -> Result<()> + Send + Unpin + 'a,
    ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
        let hub = &self.hub;
        let mut wait = hub.room.wait();
        Op(poll_fn(move |context| {
            wait.poll(context, || match hub.check_open() {
                Err(closed) => Some(Err(closed)),
                Ok(()) => match send(hub) {
                    Err(full) if full.kind() == ErrorKind::Full => None,
                    sent => Some(sent),
                },
            })
        }))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hub.close();
    }
}

/// What every socket can do.
macro_rules! common {
    ($name:ident, $type:ident) => {
        impl $name {
            /// A socket that is not bound or connected yet.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed) when the engine has died.
            pub fn new(engine: &$crate::Engine, options: $crate::Options) -> $crate::Result<$name> {
                let socket_type = oncue_core::connection::SocketType::$type;
                Ok($name($crate::socket::Socket::new(engine, socket_type, options)?))
            }

            /// Listens at an endpoint, beside any others: `tcp://HOST:PORT`, `ipc://PATH`, `ipc://@NAME` or
            /// `inproc://NAME`. `*` as host means every IPv4 address, `*` or 0 as port lets the system choose. A host
            /// may also be an interface (`eth0`; its first IPv4 address, or else IPv6) or a name of this machine, whose
            /// look-up may take seconds. Yields the endpoint as it came out.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) for a bad endpoint, naming the part;
            /// [`Io`](crate::ErrorKind::Io) when the system refuses.
            pub fn bind(&self, endpoint: &str) -> $crate::Result<$crate::Endpoint> {
                self.0.bind(endpoint)
            }

            /// Connects to an endpoint, beside any others, now or as soon as somebody listens there, and again
            /// whenever the connection is lost ([`Options::reconnect`](crate::Options::reconnect)). All addresses of a
            /// host are tried, and a name is looked up anew each time. `tcp://SOURCE:PORT;HOST:PORT` connects from an
            /// address or interface of this machine; port 0 lets the system choose.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) for a bad endpoint, naming the part.
            pub fn connect(&self, endpoint: &str) -> $crate::Result<$crate::Endpoint> {
                self.0.connect(endpoint)
            }

            /// Stops listening at an endpoint, named as it was bound or as it came out. Peers that came by it stay.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) when the socket is not bound to it.
            pub fn unbind(&self, endpoint: &str) -> $crate::Result<()> {
                self.0.unbind(endpoint)
            }

            /// Ends the connection to an endpoint, at once, and tries no more. Of what came by it and waits for the
            /// user, nothing is received any more.
            ///
            /// # Errors
            /// [`Misuse`](crate::ErrorKind::Misuse) when the socket is not connected to it.
            pub fn disconnect(&self, endpoint: &str) -> $crate::Result<()> {
                self.0.disconnect(endpoint)
            }

            /// Closes the socket for all handles. The operation is done when all that was queued is sent, or
            /// [`Options::linger`](crate::Options::linger) has passed. Dropping the last handle closes too, without
            /// waiting.
            pub fn close(&self) -> $crate::Op<impl Future<Output = ()> + Send + Unpin + '_> {
                self.0.close()
            }

            /// The peers that were turned away since this was asked last, as soon as there are any
            /// ([`Options::peers_max`](crate::Options::peers_max) and its like): for a program that wants to say so. Each
            /// is told to one that asks.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed).
            pub fn turned_away(
                &self,
            ) -> $crate::Op<impl Future<Output = $crate::Result<$crate::TurnedAway>> + Send + Unpin + '_>
            {
                self.0.turned_away()
            }

            /// The peers that were refused last, at most 16, the oldest first: those that broke the protocol or a bound,
            /// or that refused this side.
            pub fn refused(&self) -> Vec<$crate::RefusedPeer> {
                self.0.hub.members.last_refused()
            }

            /// What the socket has done so far.
            pub fn stats(&self) -> $crate::SocketStats {
                self.0.hub.stats()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("id", &self.0.hub.id).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use common;

/// Waits for what `attempt` yields; the socket's end ends the wait.
fn wait_for<'a, T, A: Fn() -> Option<T> + Send + Unpin + 'a>(
    hub: &'a Hub,
    waiters: &'a Waiters,
    attempt: A,
) -> Op<WaitFor<'a, A>> {
    Op(WaitFor { hub, wait: waiters.wait(), attempt })
}

/// What [`wait_for`] makes. Mostly there is something already, and then all that is done is the attempt: a message that is
/// handed from function to function costs more than to fetch it.
pub(crate) struct WaitFor<'a, A> {
    hub: &'a Hub,
    wait: Wait<'a>,
    attempt: A,
}

impl<T, A: Fn() -> Option<T> + Unpin> Future for WaitFor<'_, A> {
    type Output = Result<T>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match (self.attempt)() {
            Some(value) => Poll::Ready(Ok(value)),
            None => self.poll_waiting(context),
        }
    }
}

impl<T, A: Fn() -> Option<T>> WaitFor<'_, A> {
    #[cold]
    fn poll_waiting(&mut self, context: &Context<'_>) -> Poll<Result<T>> {
        let WaitFor { hub, wait, attempt } = self;
        let polled = wait.poll(context, || match attempt() {
            Some(value) => Some(Ok(value)),
            None if hub.is_closed() => Some(Err(Error::closed())),
            None => None,
        });
        if polled.is_pending() {
            sleep_at(|| hub.place());
        }
        polled
    }
}

/// What there is now; an error once the socket is closed and empty.
fn try_now<T>(hub: &Hub, attempt: impl Fn() -> Option<T>) -> Result<Option<T>> {
    match attempt() {
        Some(value) => Ok(Some(value)),
        None => hub.check_open().map(|()| None),
    }
}
