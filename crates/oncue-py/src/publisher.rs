//! PUB and XPUB.

use oncue::{Batch, Pub, Room, State, XPub};
use pyo3::exceptions::PyValueError;
use pyo3::types::{PyAnyMethods as _, PyDict, PyList, PyListMethods as _, PyTuple};
use pyo3::{Bound, Py, PyAny, PyClassInitializer, PyResult, Python, pyclass, pymethods};

use crate::demand::serving::Serving;
use crate::engine::{Engine, engine};
use crate::errors::OrRaise as _;
use crate::frames::{Body, body, borrowed, is_one, received, with_frames};
use crate::options::{on_full, options};
use crate::records::PeerKey;
use crate::socket::{Any, Socket};
use crate::wait::{Detached, duration, limit, until};
use crate::watches::{DemandWatch, SubscriptionWatch};

/// A socket that sends.
#[derive(Clone)]
pub(crate) enum Sending {
    Plain(Pub),
    Extended(XPub),
}

/// Does the same with either type.
macro_rules! either {
    ($sending:expr, $socket:ident => $do:expr) => {
        match &*$sending.0 {
            Sending::Plain($socket) => $do,
            Sending::Extended($socket) => $do,
        }
    };
}

/// What PUB and XPUB can do: each subscriber gets the messages whose first frame starts with one of its prefixes.
#[pyclass(frozen, subclass, extends = Socket, module = "oncue")]
pub(crate) struct Publisher(pub(crate) Detached<Sending>);

/// A publisher.
#[pyclass(frozen, subclass, extends = Publisher, name = "Pub", module = "oncue._oncue")]
pub(crate) struct PyPub;

/// A publisher that sees what its subscribers want, and what they send.
#[pyclass(frozen, subclass, extends = Publisher, name = "XPub", module = "oncue._oncue")]
pub(crate) struct PyXPub(pub(crate) Detached<XPub>);

#[pymethods]
impl PyPub {
    #[new]
    #[pyo3(signature = (*, engine = None, **options))]
    #[allow(clippy::new_ret_no_self, reason = "with its bases")]
    fn new(
        engine: Option<&Bound<'_, Engine>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<PyPub>> {
        let socket = Pub::new(&the_engine(engine)?, self::options(options)?).or_raise()?;
        let bases = PyClassInitializer::from(Socket::new(Any::Pub(socket.clone())));
        Ok(bases.add_subclass(Publisher(Detached::new(Sending::Plain(socket)))).add_subclass(PyPub))
    }
}

#[pymethods]
impl PyXPub {
    /// With `of`, the socket of routes at work.
    #[new]
    #[pyo3(signature = (*, engine = None, of = None, **options))]
    #[allow(clippy::new_ret_no_self, reason = "with its bases")]
    fn new(
        engine: Option<&Bound<'_, Engine>>,
        of: Option<&Bound<'_, Serving>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<PyXPub>> {
        if let Some(serving) = of {
            return Ok(xpub(serving.get().on_demand()?.xpub().clone()));
        }
        let socket = XPub::new(&the_engine(engine)?, self::options(options)?).or_raise()?;
        Ok(xpub(socket))
    }

    /// The next event: `Wanted` or `Unwanted` with a prefix, or the frames of a message that a subscriber has sent. With the
    /// options `verbose` and `manual` also `Subscribed`, `Unsubscribed`, `Repeated`, `Requested` and `Withdrawn`, with the
    /// peer.
    #[pyo3(signature = (timeout = None))]
    fn event(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let socket = slf.as_super().as_super().get();
        socket.inlet.take(slf.py(), limit(timeout)?)?.event(slf.py())
    }

    /// As `event`, as the frames of a message, as in ZeroMQ: the byte 1 and the prefix, or the byte 0 and the prefix.
    #[pyo3(signature = (timeout = None, copy = true))]
    fn recv(slf: &Bound<'_, Self>, timeout: Option<f64>, copy: bool) -> PyResult<Py<PyTuple>> {
        let socket = slf.as_super().as_super().get();
        socket.inlet.take(slf.py(), limit(timeout)?)?.frames(slf.py(), copy)
    }

    /// As `recv`, if there is something now; otherwise `None`.
    #[pyo3(signature = (copy = true))]
    fn try_recv(slf: &Bound<'_, Self>, copy: bool) -> PyResult<Option<Py<PyTuple>>> {
        let item = slf.as_super().as_super().get().inlet.try_take().or_raise()?;
        item.map(|item| item.frames(slf.py(), copy)).transpose()
    }

    /// As `event`, if there is one now; otherwise `None`.
    fn try_event(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let item = slf.as_super().as_super().get().inlet.try_take().or_raise()?;
        item.map(|item| item.event(slf.py())).transpose()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// As `event`; ends when the socket is closed.
    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let item = slf.as_super().as_super().get().inlet.take_open(slf.py())?;
        item.map(|item| item.event(slf.py())).transpose()
    }

    /// A snapshot of what is wanted now, and a stream of the changes after it.
    fn demand(&self) -> DemandWatch {
        DemandWatch::new(self.0.demand())
    }

    /// A snapshot of what each peer has subscribed to, and a stream of the changes after it.
    fn subscriptions(&self) -> SubscriptionWatch {
        SubscriptionWatch::new(self.0.subscriptions())
    }
}

/// An XPUB for Python.
pub(crate) fn xpub(socket: XPub) -> PyClassInitializer<PyXPub> {
    let bases = PyClassInitializer::from(Socket::new(Any::XPub(socket.clone())));
    bases
        .add_subclass(Publisher(Detached::new(Sending::Extended(socket.clone()))))
        .add_subclass(PyXPub(Detached::new(socket)))
}

pub(crate) fn the_engine(given: Option<&Bound<'_, Engine>>) -> PyResult<oncue::Engine> {
    engine(given.map(Bound::get))
}

/// Adds messages to a batch: each is one frame, or a tuple or list of frames.
pub(crate) fn fill(batch: &mut Batch, messages: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(list) = messages.cast::<PyList>() {
        return list.iter().try_for_each(|message| push(batch, &message));
    }
    messages.try_iter()?.try_for_each(|message| push(batch, &message?))
}

fn push(batch: &mut Batch, message: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_one(message) {
        return batch.push(body(message)?.bytes()).or_raise();
    }
    if let Ok((first, second)) = message.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
        return batch.push((body(&first)?.bytes(), body(&second)?.bytes())).or_raise();
    }
    let held = message.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    if held.is_empty() {
        return Err(PyValueError::new_err("a message has at least one frame"));
    }
    let bodies = held.iter().map(body).collect::<PyResult<Vec<_>>>()?;
    let frames: Vec<&[u8]> = bodies.iter().map(Body::bytes).collect();
    batch.push(&frames[..]).or_raise()
}

#[pymethods]
impl Publisher {
    /// Sends a message of these frames (the first is its topic) to all peers that want it. Never waits. A frame is `bytes`,
    /// `str` (as UTF-8) or a contiguous buffer. A subscriber whose queue is full misses the message, or the option `on_full`
    /// decides.
    #[pyo3(signature = (*frames))]
    fn send(&self, frames: &Bound<'_, PyTuple>) -> PyResult<()> {
        with_frames(frames, |frames| either!(self, socket => socket.send(frames)))?.or_raise()
    }

    /// Sends a message, and waits for room where `send` would drop or refuse it because this socket has no room.
    #[pyo3(signature = (*frames, timeout = None))]
    fn send_wait(&self, frames: &Bound<'_, PyTuple>, timeout: Option<f64>) -> PyResult<()> {
        let (py, time) = (frames.py(), limit(timeout)?);
        borrowed(frames, |frames| {
            let sent =
                until(py, time, |time| either!(self, socket => socket.send_wait(frames).wait_timeout(time)))?;
            sent.or_raise()
        })
    }

    /// Sends many messages at once, each one frame or a tuple of frames: the fastest way to send.
    fn send_many(&self, messages: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut batch = Batch::new();
        fill(&mut batch, messages)?;
        messages.py().detach(|| either!(self, socket => socket.send_many(&mut batch))).or_raise()
    }

    /// Sends a message with a policy of its own in place of the option `on_full`.
    #[pyo3(signature = (*frames, on_full))]
    fn send_on_full(&self, frames: &Bound<'_, PyTuple>, on_full: &Bound<'_, PyAny>) -> PyResult<()> {
        let policy = self::on_full(on_full)?;
        with_frames(frames, |frames| either!(self, socket => socket.send_on_full(frames, policy)))?.or_raise()
    }

    /// Sends a message, and keeps a copy of it as the last value of its topic for later subscribers, for `age` seconds at
    /// most.
    #[pyo3(signature = (*frames, age = None))]
    fn send_last(&self, frames: &Bound<'_, PyTuple>, age: Option<f64>) -> PyResult<()> {
        let age = age.map(|age| duration("age", age)).transpose()?;
        let send = |frames: &[&[u8]]| {
            either!(self, socket => match age {
                Some(age) => socket.send_last_for(frames, age),
                None => socket.send_last(frames),
            })
        };
        with_frames(frames, send)?.or_raise()
    }

    /// The last value that is kept of a topic, as frames.
    fn last(&self, topic: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyTuple>>> {
        let bytes = body(topic)?;
        let last = either!(self, socket => socket.last(bytes.bytes()));
        last.map(|last| received(topic.py(), &last, true)).transpose()
    }

    /// Stops keeping the last value of a topic. Returns whether there was one.
    fn forget_last(&self, topic: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = body(topic)?;
        Ok(either!(self, socket => socket.forget_last(bytes.bytes())))
    }

    /// Sends a message to one peer, if it has subscribed to its topic.
    #[pyo3(signature = (peer, *frames))]
    fn send_to(&self, peer: &PeerKey, frames: &Bound<'_, PyTuple>) -> PyResult<()> {
        with_frames(frames, |frames| either!(self, socket => socket.send_to(peer.0, frames)))?.or_raise()
    }

    /// Whether a message of this topic would reach a peer now.
    fn wanted(&self, topic: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = body(topic)?;
        Ok(either!(self, socket => socket.wanted(bytes.bytes())))
    }

    /// How many peers want this topic now.
    fn subscribers(&self, topic: &Bound<'_, PyAny>) -> PyResult<usize> {
        let bytes = body(topic)?;
        Ok(either!(self, socket => socket.subscribers(bytes.bytes())))
    }

    /// How many distinct prefixes are wanted now.
    fn prefix_count(&self) -> usize {
        either!(self, socket => socket.prefix_count())
    }

    /// Waits until at least `peers` peers want this topic. Returns how many there are.
    #[pyo3(signature = (topic, peers = 1, timeout = None))]
    fn wait_for_subscribers(
        &self,
        topic: &Bound<'_, PyAny>,
        peers: usize,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let held = body(topic)?;
        let bytes = held.bytes();
        let wait =
            |time| either!(self, socket => socket.wait_for_subscribers(bytes, peers).wait_timeout(time));
        until(topic.py(), limit(timeout)?, wait)?.or_raise()
    }

    /// Whether a message of this topic would find room now: "nobody", "open" or "congested".
    fn room(&self, topic: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let bytes = body(topic)?;
        Ok(room_name(either!(self, socket => socket.room(bytes.bytes()))))
    }

    /// Puts a deferred subscription in force.
    fn admit(&self, peer: &PeerKey, prefix: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.admit(peer.0, bytes.bytes()));
        Ok(())
    }

    /// Refuses a deferred subscription.
    #[pyo3(signature = (peer, prefix, reason = ""))]
    fn reject(&self, peer: &PeerKey, prefix: &Bound<'_, PyAny>, reason: &str) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.reject(peer.0, bytes.bytes(), reason.to_owned()));
        Ok(())
    }

    /// Ends a subscription of one peer.
    #[pyo3(signature = (peer, prefix, reason = ""))]
    fn revoke(&self, peer: &PeerKey, prefix: &Bound<'_, PyAny>, reason: &str) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.revoke(peer.0, bytes.bytes(), reason.to_owned()));
        Ok(())
    }

    /// Ends the subscriptions of all peers to exactly this prefix.
    #[pyo3(signature = (prefix, reason = ""))]
    fn revoke_all(&self, prefix: &Bound<'_, PyAny>, reason: &str) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.revoke_all(bytes.bytes(), reason.to_owned()));
        Ok(())
    }

    /// Puts a prefix in force for one peer, whether it has asked for it or not.
    fn subscribe_for(&self, peer: &PeerKey, prefix: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.subscribe_for(peer.0, bytes.bytes())).or_raise()
    }

    /// Ends a subscription of one peer, as if the peer had cancelled it.
    fn unsubscribe_for(&self, peer: &PeerKey, prefix: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.unsubscribe_for(peer.0, bytes.bytes()));
        Ok(())
    }

    /// Tells all peers that want a topic, and understand it, the state of the topic: "active", "stale" or "closed"; or of a
    /// prefix: "rejected" or "unserved". Later subscribers are told too.
    #[pyo3(signature = (topic, state, text = ""))]
    fn set_state(&self, topic: &Bound<'_, PyAny>, state: &str, text: &str) -> PyResult<()> {
        let states = [State::Active, State::Stale, State::Rejected, State::Closed, State::Unserved];
        let known = states.into_iter().find(|known| known.to_string() == state);
        let known = known.ok_or_else(|| {
            let names: Vec<_> = states.iter().map(|state| format!("{:?}", state.to_string())).collect();
            PyValueError::new_err(format!("state must be {}, not {state:?}", names.join(" or ")))
        })?;
        let bytes = body(topic)?;
        either!(self, socket => socket.set_state(bytes.bytes(), known, text.to_owned())).or_raise()
    }

    /// Stops keeping the state of a topic for later subscribers. Returns whether there was one.
    fn clear_state(&self, topic: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = body(topic)?;
        Ok(either!(self, socket => socket.clear_state(bytes.bytes())))
    }

    /// Asks again about all that is in force: peers whose user is not let in any more are disconnected, and subscriptions that
    /// `admit` would refuse now end.
    fn reconsider(&self, py: Python<'_>) {
        py.detach(|| either!(self, socket => socket.reconsider()));
    }

    /// Changes the option `send_hwm` while the socket runs.
    fn set_send_hwm(&self, messages: u32) {
        either!(self, socket => socket.set_send_hwm(messages));
    }
}

/// The name of a room.
pub(crate) fn room_name(room: Room) -> &'static str {
    match room {
        Room::Nobody => "nobody",
        Room::Open => "open",
        Room::Congested => "congested",
    }
}
