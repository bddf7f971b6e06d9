//! What all sockets can do.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncue::{Msg, Pub, Received, Sub, XPub, XPubEvent, XSub};
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{Bound, IntoPyObjectExt as _, Py, PyAny, PyResult, Python, pyclass, pymethods};

use crate::errors::{OrRaise as _, misuse, raised, system};
use crate::ffi::duplicate;
use crate::frames::received;
use crate::inlet::{Inlet, Next, Source};
use crate::records::{demand, refused, socket_stats, subscription};
use crate::wait::{Detached, limit, until};
use crate::watches::ConnectionEvents;

/// A socket of any type. Clones are the same socket.
#[derive(Clone)]
pub(crate) enum Any {
    Pub(Pub),
    Sub(Sub),
    XPub(XPub),
    XSub(XSub),
}

/// Does the same with a socket of any type.
macro_rules! each {
    ($any:expr, $socket:ident => $do:expr) => {
        match $any {
            Any::Pub($socket) => $do,
            Any::Sub($socket) => $do,
            Any::XPub($socket) => $do,
            Any::XSub($socket) => $do,
        }
    };
}

/// What a socket receives.
pub(crate) enum Item {
    Message(Msg),
    /// An XPUB's.
    Event(XPubEvent),
}

impl Item {
    /// As frames: what is told of subscriptions is one frame, as on the wire of ZMTP 3.0.
    pub(crate) fn frames(&self, py: Python<'_>, copy: bool) -> PyResult<Py<PyTuple>> {
        let (wanted, prefix) = match self {
            Item::Message(message) | Item::Event(XPubEvent::Message(message)) => {
                return received(py, message, copy);
            }
            Item::Event(XPubEvent::Wanted(prefix)) => (true, prefix),
            Item::Event(XPubEvent::Unwanted(prefix)) => (false, prefix),
            Item::Event(XPubEvent::Subscription(event)) => (subscribes(event), event.prefix()),
            Item::Event(event) => return Err(misuse(format!("unknown event {event:?}"))),
        };
        let notification = [&[u8::from(wanted)], &prefix[..]].concat();
        Ok(PyTuple::new(py, [PyBytes::new(py, &notification)])?.unbind())
    }

    /// As an event; a message as its frames.
    pub(crate) fn event(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Item::Event(XPubEvent::Wanted(prefix)) => demand(py, true, prefix),
            Item::Event(XPubEvent::Unwanted(prefix)) => demand(py, false, prefix),
            Item::Event(XPubEvent::Subscription(event)) => subscription(py, event),
            _ => self.frames(py, true)?.into_py_any(py),
        }
    }
}

fn subscribes(event: &oncue::SubscriptionEvent) -> bool {
    use oncue::SubscriptionEvent as Event;
    matches!(event, Event::Subscribed { .. } | Event::Repeated { .. } | Event::Requested { .. })
}

impl Source for Any {
    type Item = Item;

    #[inline]
    fn try_next(&self) -> oncue::Result<Option<Item>> {
        match self {
            Any::Sub(socket) => socket.try_recv().map(|message| message.map(Item::Message)),
            Any::XSub(socket) => socket.try_recv().map(|message| message.map(Item::Message)),
            Any::XPub(socket) => socket.try_event().map(|event| event.map(Item::Event)),
            Any::Pub(_) => Ok(None),
        }
    }

    fn wait_next(&self, time: Duration) -> Option<oncue::Result<Item>> {
        match self {
            Any::Sub(socket) => Some(socket.recv().wait_timeout(time)?.map(Item::Message)),
            Any::XSub(socket) => Some(socket.recv().wait_timeout(time)?.map(Item::Message)),
            Any::XPub(socket) => Some(socket.event().wait_timeout(time)?.map(Item::Event)),
            Any::Pub(_) => None,
        }
    }

    fn next(&self) -> Next<Item> {
        match self.clone() {
            Any::Sub(socket) => Box::pin(async move { socket.recv().await.map(Item::Message) }),
            Any::XSub(socket) => Box::pin(async move { socket.recv().await.map(Item::Message) }),
            Any::XPub(socket) => Box::pin(async move { socket.event().await.map(Item::Event) }),
            Any::Pub(_) => Box::pin(std::future::pending()),
        }
    }
}

/// What all sockets can do: bind, connect, close, and tell about their connections.
#[pyclass(frozen, subclass, module = "oncue")]
pub(crate) struct Socket {
    pub(crate) inlet: Detached<Inlet<Any>>,
    closed: AtomicBool,
}

impl Socket {
    pub(crate) fn new(any: Any) -> Socket {
        Socket { inlet: Detached::new(Inlet::new(any)), closed: AtomicBool::new(false) }
    }

    pub(crate) fn any(&self) -> &Any {
        &self.inlet.source
    }

    /// Waits for the messages of one read.
    pub(crate) fn take_many(&self, py: Python<'_>, time: Option<Duration>) -> PyResult<Option<Received>> {
        let many = |time| match self.any() {
            Any::Sub(socket) => socket.recv_many().wait_timeout(time),
            Any::XSub(socket) => socket.recv_many().wait_timeout(time),
            Any::Pub(_) | Any::XPub(_) => None,
        };
        match many(Duration::ZERO) {
            Some(received) => received.or_raise().map(Some),
            None if time == Some(Duration::ZERO) => Ok(None),
            None => until(py, time, many)?.or_raise().map(Some),
        }
    }
}

#[pymethods]
impl Socket {
    /// Listens at an endpoint, in addition to any others: `tcp://HOST:PORT`, `ipc://PATH`, `ipc://@NAME` or `inproc://NAME`.
    /// `*` or 0 as port lets the system choose. Returns the endpoint with its wildcards resolved.
    fn bind(&self, py: Python<'_>, endpoint: &str) -> PyResult<String> {
        // It may look up a name, which can take seconds.
        py.detach(|| each!(self.any(), socket => socket.bind(endpoint)))
            .or_raise()
            .map(|endpoint| endpoint.to_string())
    }

    /// Listens with a socket that listens already, such as one of systemd's socket activation. The descriptor is duplicated;
    /// the caller still owns its own. Returns its endpoint.
    fn bind_fd(&self, fd: RawFd) -> PyResult<String> {
        let own = duplicate(fd).map_err(|error| system(&format!("the descriptor {fd}"), error))?;
        each!(self.any(), socket => socket.bind_fd(own)).or_raise().map(|endpoint| endpoint.to_string())
    }

    /// Connects to an endpoint, in addition to any others: now or as soon as a peer listens there, and again whenever the
    /// connection is lost. Returns the endpoint.
    fn connect(&self, py: Python<'_>, endpoint: &str) -> PyResult<String> {
        py.detach(|| each!(self.any(), socket => socket.connect(endpoint)))
            .or_raise()
            .map(|endpoint| endpoint.to_string())
    }

    /// Stops listening at an endpoint. Peers that connected to it stay.
    fn unbind(&self, py: Python<'_>, endpoint: &str) -> PyResult<()> {
        py.detach(|| each!(self.any(), socket => socket.unbind(endpoint))).or_raise()
    }

    /// Ends the connection to an endpoint at once, and does not try again.
    fn disconnect(&self, py: Python<'_>, endpoint: &str) -> PyResult<()> {
        py.detach(|| each!(self.any(), socket => socket.disconnect(endpoint))).or_raise()
    }

    /// Closes the socket: its endpoints are free when this returns. With `wait`, returns when everything queued is sent, or
    /// when `linger` seconds have passed (by default the option `linger`), and tells how many messages were not delivered;
    /// without, at once.
    #[pyo3(signature = (linger = None, *, wait = true))]
    #[allow(clippy::shadow_unrelated, reason = "the argument's name is part of the interface")]
    fn close(&self, py: Python<'_>, linger: Option<f64>, wait: bool) -> PyResult<u64> {
        let within = crate::engine::linger(linger)?;
        self.closed.store(true, Ordering::SeqCst);
        // By the call alone, whatever is waited for.
        each!(self.any(), socket => match within {
            Some(time) => drop(socket.close_within(time)),
            None => drop(socket.close()),
        });
        self.inlet.closed();
        if !wait {
            return Ok(0);
        }
        let closed = until(py, None, |time| each!(self.any(), socket => socket.close().wait_timeout(time)))?;
        Ok(closed.undelivered)
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// A descriptor that is readable while there is something to receive, or after `close`: for `select`, `asyncio` and the
    /// pollers of others. Only to be polled. It belongs to the socket.
    fn fileno(&self) -> PyResult<RawFd> {
        self.inlet.fileno()
    }

    /// Waits until there is something to receive, for at most `timeout` seconds. Takes nothing. Returns whether it is so.
    #[pyo3(signature = (timeout = None))]
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.inlet.poll(py, limit(timeout)?)
    }

    /// Counts of what the socket has done: a `SocketStats`.
    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        socket_stats(py, &each!(self.any(), socket => socket.stats()))
    }

    /// What happens to the connections of this socket from now on: a stream of `ConnectionEvent`s.
    fn events(&self) -> ConnectionEvents {
        ConnectionEvents::new(each!(self.any(), socket => socket.events()))
    }

    /// The peers, each as a `PeerStatus`.
    fn peers(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let peers = py.detach(|| each!(self.any(), socket => socket.peers())).map_err(raised)?;
        peers.iter().map(|peer| crate::records::status(py, peer)).collect()
    }

    /// Disconnects one peer, with a reason for it if given.
    #[pyo3(signature = (peer, reason = None))]
    fn disconnect_peer(&self, peer: &crate::records::PeerKey, reason: Option<String>) {
        each!(self.any(), socket => socket.disconnect_peer(peer.0, reason.map(Into::into)));
    }

    /// The peers that were refused last, at most 16, each as a `RefusedPeer`.
    fn refused(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let peers = each!(self.any(), socket => socket.refused());
        peers.iter().map(|peer| refused(py, peer)).collect()
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// Closes, as `close()` does.
    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py, None, true).map(drop)
    }

    /// Changes the option `recv_hwm` while the socket runs.
    fn set_recv_hwm(&self, messages: u32) {
        each!(self.any(), socket => socket.set_recv_hwm(messages));
    }
}
