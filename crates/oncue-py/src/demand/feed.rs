//! A feed, for a producer in Python.

use std::fmt;

use oncue::demand::{Feed, Stopped};
use pyo3::exceptions::{PyBaseException, PyTimeoutError};
use pyo3::types::{
    PyAnyMethods as _, PyBytes, PyDict, PyDictMethods as _, PyList, PyListMethods as _, PyTuple,
    PyTupleMethods as _,
};
use pyo3::{Bound, IntoPyObjectExt as _, Py, PyAny, PyErr, PyResult, Python, pyclass, pymethods};

use crate::errors::{misuse, stopped};
use crate::frames::{Body, DETACH_BYTES_MIN, body, is_one};
use crate::publisher::room_name;
use crate::wait::{duration, limit, until};

/// An exception as an error of a producer.
#[derive(Debug)]
pub(crate) struct Raised {
    text: String,
    pub(crate) exception: Py<PyBaseException>,
}

impl Raised {
    pub(crate) fn new(py: Python<'_>, error: PyErr) -> Raised {
        // With its traceback.
        let exception = error.into_value(py);
        // As in the last line of that.
        let text =
            exception.bind(py).repr().map_or_else(|_| "an exception".to_owned(), |text| text.to_string());
        Raised { text, exception }
    }

    pub(crate) fn again(&self, py: Python<'_>) -> Raised {
        Raised { text: self.text.clone(), exception: self.exception.clone_ref(py) }
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Raised {}

/// Publishes a value: bytes, str, any buffer, a tuple or list of frames behind the topic; None is no value.
pub(crate) fn publish(feed: &Feed, value: &Bound<'_, PyAny>) -> PyResult<Result<(), Stopped>> {
    let py = value.py();
    if value.is_none() {
        return Ok(Ok(()));
    }
    if is_one(value) {
        let held = body(value)?;
        let bytes = held.bytes();
        return Ok(match bytes.len() {
            0..DETACH_BYTES_MIN => feed.publish(bytes),
            _ => py.detach(|| feed.publish(bytes)),
        });
    }
    let held = value.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let bodies = held.iter().map(body).collect::<PyResult<Vec<_>>>()?;
    let frames: Vec<&[u8]> = bodies.iter().map(Body::bytes).collect();
    Ok(py.detach(|| feed.publish_frames(&frames)))
}

/// The value of a parameter: text, or a number if the route says `int`. Bytes that are not UTF-8 are kept as surrogates.
pub(crate) fn parameter(py: Python<'_>, bytes: &[u8], is_int: bool) -> PyResult<Py<PyAny>> {
    let text = std::str::from_utf8(bytes);
    match text {
        // Not larger than 64 bits, as the pattern says.
        Ok(text) if is_int => text.parse::<u64>()?.into_py_any(py),
        Ok(text) => text.into_py_any(py),
        Err(_) => {
            PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogateescape")).map(Bound::unbind)
        }
    }
}

/// One running production: one topic, from the first subscriber to the last one.
#[pyclass(frozen, name = "Feed", module = "oncue")]
pub(crate) struct PyFeed {
    pub(crate) feed: Feed,
    /// The names of the parameters that are numbers.
    ints: std::sync::Arc<[String]>,
}

impl PyFeed {
    pub(crate) fn new(feed: Feed, ints: std::sync::Arc<[String]>) -> PyFeed {
        PyFeed { feed, ints }
    }
}

#[pymethods]
impl PyFeed {
    /// The topic to produce.
    #[getter]
    fn topic<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.feed.topic())
    }

    /// The parameters of the route and their values: text, or a number for `{name:int}`. The subscriber chooses them.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let params = PyDict::new(py);
        for (name, value) in self.feed.params() {
            let is_int = self.ints.iter().any(|int| int == name);
            params.set_item(name, parameter(py, value, is_int)?)?;
        }
        Ok(params)
    }

    /// The number of this activation of the topic.
    #[getter]
    fn generation(&self) -> u64 {
        self.feed.generation()
    }

    /// Whether a value published now would be sent.
    #[getter]
    fn is_active(&self) -> bool {
        self.feed.is_active()
    }

    /// Publishes a value: `bytes`, `str`, any buffer, or a tuple of frames. Never waits.
    ///
    /// Raises `Stopped` when nobody wants the topic any more: the producer should end.
    fn publish(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        publish(&self.feed, value)?.map_err(|Stopped| stopped())
    }

    /// Ends the feed: there is nothing more to publish.
    fn finish(&self, py: Python<'_>) {
        py.detach(|| self.feed.finish());
    }

    /// Ends the feed as one that failed, with an exception or a text: it starts again after its backoff.
    fn fail(&self, reason: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = reason.py();
        if reason.is_instance_of::<PyBaseException>() {
            let raised = Raised::new(py, PyErr::from_value(reason.clone()));
            py.detach(|| self.feed.fail(raised));
        } else {
            let text: String = reason.extract()?;
            py.detach(|| self.feed.fail(text));
        }
        Ok(())
    }

    /// Whether the subscribers have room for a value: "open", "congested" or "nobody".
    fn room(&self) -> &'static str {
        room_name(self.feed.room())
    }

    /// Waits while all subscribers of the topic are full, for at most `timeout` seconds. Raises `Stopped` when the feed stops.
    #[pyo3(signature = (timeout = None))]
    fn wait_for_room(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        until(py, limit(timeout)?, |time| self.feed.wait_for_room().wait_timeout(time))?
            .map_err(|Stopped| stopped())
    }

    /// Waits this many seconds. Raises `Stopped` as soon as the feed stops.
    fn sleep(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        match self.wait_stopped(py, Some(seconds))? {
            true => Err(stopped()),
            false => Ok(()),
        }
    }

    /// Waits until the feed has stopped, for at most `timeout` seconds. Returns whether it has.
    #[pyo3(signature = (timeout = None))]
    fn wait_stopped(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        match until(py, limit(timeout)?, |time| self.feed.stopped().wait_timeout(time)) {
            Ok(()) => Ok(true),
            Err(error) if error.is_instance_of::<PyTimeoutError>(py) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Counts ticks that a producer with a clock of its own has left out.
    fn skip_ticks(&self, ticks: u64) {
        self.feed.skip_ticks(ticks);
    }

    /// Counts seconds that went into producing.
    fn spent(&self, seconds: f64) -> PyResult<()> {
        self.feed.spent(duration("seconds", seconds)?);
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.feed)
    }
}

/// The names of the parameters that are numbers.
pub(crate) fn ints_of(pattern: &oncue::demand::Pattern) -> std::sync::Arc<[String]> {
    let is_int = |name: &&str| pattern.kind(name).is_some_and(|kind| kind.to_string() == "int");
    pattern.names().filter(is_int).map(str::to_owned).collect()
}

/// The topics that a catalogue of Python lists: whole topics, or values of the parameters, from which the topics are made.
pub(crate) fn topics(pattern: &oncue::demand::Pattern, listed: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    listed.try_iter()?.map(|item| topic_of(pattern, &item?)).collect()
}

fn topic_of(pattern: &oncue::demand::Pattern, item: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let text = |value: &Bound<'_, PyAny>| -> PyResult<Vec<u8>> {
        match body(value) {
            Ok(held) => Ok(held.bytes().to_vec()),
            // A number.
            Err(_) => Ok(value.str()?.to_string().into_bytes()),
        }
    };
    let names: Vec<&str> = pattern.names().collect();
    let values: Vec<Vec<u8>> = if let Ok(dict) = item.cast::<PyDict>() {
        let value = |name: &&str| match dict.get_item(*name)? {
            Some(value) => text(&value),
            None => Err(misuse(format!("the catalogue of `{pattern}` lists {item}, which has no `{name}`"))),
        };
        names.iter().map(value).collect::<PyResult<_>>()?
    } else if let Ok(tuple) = item.cast::<PyTuple>() {
        tuple.iter().map(|value| text(&value)).collect::<PyResult<_>>()?
    } else if let Ok(list) = item.cast::<PyList>() {
        list.iter().map(|value| text(&value)).collect::<PyResult<_>>()?
    } else {
        let one = text(item)?;
        if pattern.matches(&one) || names.len() != 1 {
            return Ok(one);
        }
        vec![one]
    };
    if values.len() != names.len() {
        return Err(misuse(format!(
            "the catalogue of `{pattern}` lists {item}: {} values for {} parameters",
            values.len(),
            names.len()
        )));
    }
    let pairs: Vec<(&str, &[u8])> = names.iter().copied().zip(values.iter().map(Vec::as_slice)).collect();
    pattern
        .topic(&pairs)
        .map_err(|error| misuse(format!("the catalogue of `{pattern}` lists {item}: {error}")))
}
