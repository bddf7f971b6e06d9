//! SUB and XSUB.

use std::sync::{Mutex, MutexGuard, PoisonError};

use oncue::{Sub, XSub};
use pyo3::exceptions::PyTimeoutError;
use pyo3::types::{PyDict, PyList, PyListMethods as _, PyTuple};
use pyo3::{Bound, Py, PyAny, PyClassInitializer, PyResult, Python, pyclass, pymethods};

use crate::engine::Engine;
use crate::errors::OrRaise as _;
use crate::frames::{body, copied_of, received, with_frames};
use crate::options::options;
use crate::publisher::the_engine;
use crate::records::{confirmed, missed, publisher, topic_state};
use crate::socket::{Any, Item, Socket};
use crate::wait::{Detached, limit, until};

/// How many messages are taken at most at a time from a socket that is polled: a publisher may be as fast as we are.
const MANY_MAX: usize = 1024;

/// A socket that subscribes.
#[derive(Clone)]
pub(crate) enum Receiving {
    Plain(Sub),
    Extended(XSub),
}

/// Does the same with either type.
macro_rules! either {
    ($receiving:expr, $socket:ident => $do:expr) => {
        match &*$receiving.0 {
            Receiving::Plain($socket) => $do,
            Receiving::Extended($socket) => $do,
        }
    };
}

/// What SUB and XSUB can do: they get the messages whose first frame starts with one of their prefixes.
#[pyclass(frozen, subclass, extends = Socket, module = "oncue")]
pub(crate) struct Subscriber(pub(crate) Detached<Receiving>);

/// A subscriber.
#[pyclass(frozen, subclass, extends = Subscriber, name = "Sub", module = "oncue._oncue")]
pub(crate) struct PySub;

/// A subscriber that can also send messages to its publishers, and that does not filter again what they send.
#[pyclass(frozen, subclass, extends = Subscriber, name = "XSub", module = "oncue._oncue")]
pub(crate) struct PyXSub(Detached<XSub>);

#[pymethods]
impl PySub {
    #[new]
    #[pyo3(signature = (*, engine = None, **options))]
    #[allow(clippy::new_ret_no_self, reason = "with its bases")]
    fn new(
        engine: Option<&Bound<'_, Engine>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<PySub>> {
        let socket = Sub::new(&the_engine(engine)?, self::options(options)?).or_raise()?;
        let bases = PyClassInitializer::from(Socket::new(Any::Sub(socket.clone())));
        Ok(bases.add_subclass(Subscriber(Detached::new(Receiving::Plain(socket)))).add_subclass(PySub))
    }
}

#[pymethods]
impl PyXSub {
    #[new]
    #[pyo3(signature = (*, engine = None, **options))]
    #[allow(clippy::new_ret_no_self, reason = "with its bases")]
    fn new(
        engine: Option<&Bound<'_, Engine>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<PyXSub>> {
        let socket = XSub::new(&the_engine(engine)?, self::options(options)?).or_raise()?;
        let bases = PyClassInitializer::from(Socket::new(Any::XSub(socket.clone())));
        let bases = bases.add_subclass(Subscriber(Detached::new(Receiving::Extended(socket.clone()))));
        Ok(bases.add_subclass(PyXSub(Detached::new(socket))))
    }

    /// Sends a message to all publishers it is connected with. Never waits. No frame may begin with the byte 0 or 1, which
    /// publishers take for a subscription.
    #[pyo3(signature = (*frames))]
    fn send(&self, frames: &Bound<'_, PyTuple>) -> PyResult<()> {
        with_frames(frames, |frames| self.0.send(frames))?.or_raise()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Subscriber {
    /// Subscribes to all topics that start with this prefix; `""` means all topics. Subscriptions are counted: as many
    /// `unsubscribe` calls end it.
    fn subscribe(&self, prefix: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.subscribe(bytes.bytes()).map(drop)).or_raise()
    }

    /// Subscribes, and waits until all publishers that are connected now, and at least `publishers`, have the subscription in
    /// force: what they send from then on arrives. After `timeout` seconds it tells what was said until then. Returns a
    /// `Confirmed`.
    #[pyo3(signature = (prefix, publishers = 1, timeout = None))]
    fn subscribe_wait(
        &self,
        prefix: &Bound<'_, PyAny>,
        publishers: usize,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let (py, time, held) = (prefix.py(), limit(timeout)?, body(prefix)?);
        let bytes = held.bytes();
        let said = either!(self, socket => {
            let asked = Mutex::new(socket.subscribe(bytes).or_raise()?.at_least(publishers).confirming());
            let wait = |time| lock(&asked).wait_for(time);
            match until(py, time, wait) {
                Err(error) if error.is_instance_of::<PyTimeoutError>(py) => lock(&asked).so_far(),
                said => said?.or_raise()?,
            }
        });
        confirmed(py, said)
    }

    /// Takes one `subscribe` back. Returns whether there was one.
    fn unsubscribe(&self, prefix: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = body(prefix)?;
        either!(self, socket => socket.unsubscribe(bytes.bytes())).or_raise()
    }

    /// How many distinct prefixes this socket has subscribed to.
    fn prefix_count(&self) -> usize {
        either!(self, socket => socket.prefix_count())
    }

    /// The next message, as a tuple of its frames: `bytes`, or with `copy=False` read-only memoryviews. Waits for at most
    /// `timeout` seconds; 0 does not wait.
    #[pyo3(signature = (timeout = None, copy = true))]
    fn recv(slf: &Bound<'_, Self>, timeout: Option<f64>, copy: bool) -> PyResult<Py<PyTuple>> {
        let (py, socket) = (slf.py(), slf.as_super().get());
        match socket.inlet.try_take().or_raise()? {
            Some(Item::Message(message)) => received(py, &message, copy),
            _ => socket.inlet.take(py, limit(timeout)?)?.frames(py, copy),
        }
    }

    /// The next message if there is one now; otherwise `None`.
    #[pyo3(signature = (copy = true))]
    fn try_recv(slf: &Bound<'_, Self>, copy: bool) -> PyResult<Option<Py<PyTuple>>> {
        let item = slf.as_super().get().inlet.try_take().or_raise()?;
        item.map(|item| item.frames(slf.py(), copy)).transpose()
    }

    /// Waits for a message, and returns it in a list with those that came in the same read: the fastest way to receive.
    #[pyo3(signature = (timeout = None, copy = true))]
    fn recv_many<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<f64>,
        copy: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let (py, socket, time) = (slf.py(), slf.as_super().get(), limit(timeout)?);
        if socket.inlet.is_armed() {
            let list = PyList::new(py, [socket.inlet.take(py, time)?.frames(py, copy)?])?;
            while list.len() < MANY_MAX
                && let Some(item) = socket.inlet.try_take().or_raise()?
            {
                list.append(item.frames(py, copy)?)?;
            }
            return Ok(list);
        }
        let Some(many) = socket.take_many(py, time)? else { return Err(crate::errors::timed_out()) };
        let messages = if copy {
            many.iter().map(|message| copied_of(py, message)).collect::<PyResult<Vec<_>>>()?
        } else {
            many.map(|message| received(py, &message, false)).collect::<PyResult<Vec<_>>>()?
        };
        PyList::new(py, messages)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// As `recv`; ends when the socket is closed.
    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyTuple>>> {
        let item = slf.as_super().get().inlet.take_open(slf.py())?;
        item.map(|item| item.frames(slf.py(), true)).transpose()
    }

    /// The next state of a topic that a publisher has sent, or its rejection of a subscription, as a `TopicState`. Only
    /// publishers of this library send any.
    #[pyo3(signature = (timeout = None))]
    fn state(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let state = either!(self, socket => match socket.try_state().or_raise()? {
            Some(state) => state,
            None => until(py, limit(timeout)?, |time| socket.state().wait_timeout(time))?.or_raise()?,
        });
        topic_state(py, &state)
    }

    /// What was missed, as soon as there is something: publishers of this library tell what they dropped for this socket. A
    /// `Missed`.
    #[pyo3(signature = (timeout = None))]
    fn missed(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let gap = either!(self, socket => match socket.try_missed().or_raise()? {
            Some(gap) => gap,
            None => until(py, limit(timeout)?, |time| socket.missed().wait_timeout(time))?.or_raise()?,
        });
        missed(py, &gap)
    }

    /// What came from each publisher, each as a `PublisherStats`.
    fn publishers(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let publishers = either!(self, socket => socket.publishers());
        publishers.iter().map(|stats| publisher(py, stats)).collect()
    }
}
