//! How a function of Python produces: what it is called with, and what becomes of what it returns.

use std::sync::Arc;
use std::time::Instant;

use oncue::Room;
use oncue::demand::{Feed, FeedSet, Pattern, Produced, Stopped};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::types::{
    PyAnyMethods as _, PyBytes, PyDict, PyDictMethods as _, PyList, PyTuple, PyTupleMethods as _,
};
use pyo3::{Bound, IntoPyObjectExt as _, Py, PyAny, PyErr, PyResult, Python};

use super::feed::{PyFeed, Raised, ints_of, parameter, publish};
use crate::errors::{is_stopped, type_name};
use crate::ffi::attach;
use crate::frames::{body, is_one};

/// A function of Python that produces, and how it wants to be called.
pub(crate) struct Function {
    call: Py<PyAny>,
    /// What it is called with, in order: parameters of the route, or the feed.
    arguments: Vec<Argument>,
    ints: Arc<[String]>,
}

enum Argument {
    Feed,
    Parameter { name: String, is_int: bool },
}

impl Function {
    /// `arguments` are names of parameters of the pattern, and `feed`.
    pub(crate) fn new(call: Py<PyAny>, pattern: &Pattern, arguments: Vec<String>) -> Arc<Function> {
        let ints = ints_of(pattern);
        let argument = |name: String| match name.as_str() {
            "feed" if pattern.kind("feed").is_none() => Argument::Feed,
            _ => Argument::Parameter { is_int: ints.contains(&name), name },
        };
        Arc::new(Function {
            call,
            arguments: arguments.into_iter().map(argument).collect(),
            ints: ints.clone(),
        })
    }

    /// The feed, as Python sees it.
    pub(crate) fn feed(&self, feed: &Feed) -> PyFeed {
        PyFeed::new(feed.clone(), self.ints.clone())
    }

    fn call<'py>(&self, py: Python<'py>, feed: &Feed) -> PyResult<Bound<'py, PyAny>> {
        let value = |argument: &Argument| match argument {
            Argument::Feed => self.feed(feed).into_py_any(py),
            Argument::Parameter { name, is_int } => parameter(py, feed.param_bytes(name), *is_int),
        };
        let call = self.call.bind(py);
        match &self.arguments[..] {
            [] => call.call0(),
            [one] => call.call1((value(one)?,)),
            many => call.call1(PyTuple::new(py, many.iter().map(value).collect::<PyResult<Vec<_>>>()?)?),
        }
    }

    /// One value of a periodic route.
    pub(crate) fn value(
        &self,
        feed: &Feed,
    ) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        attach(|py| {
            let published = self.call(py, feed).and_then(|value| publish(feed, &value));
            match published {
                // If the feed has stopped meanwhile, the value is counted as late.
                Ok(_) => Ok(None),
                Err(error) => failed(py, error).map(|()| None),
            }
        })
    }

    /// A value for a new subscriber of a topic whose feed runs.
    pub(crate) fn fill(&self, feed: &Feed) -> Option<Vec<u8>> {
        attach(|py| {
            let filled = self.call(py, feed).and_then(|value| match value.is_none() {
                true => Ok(None),
                false => body(&value).map(|held| Some(held.bytes().to_vec())),
            });
            filled.unwrap_or_else(|error| {
                error.write_unraisable(py, Some(self.call.bind(py)));
                None
            })
        })
    }

    /// All values of a feed: a generator's, or what the function publishes itself.
    pub(crate) fn stream(&self, feed: &Feed) -> Produced {
        attach(|py| {
            let streamed = self.call(py, feed).and_then(|made| stream(feed, &made));
            match streamed {
                Ok(()) => Ok(()),
                Err(error) => failed(py, error),
            }
        })
    }

    /// The values of all feeds of a batch: dicts by topic, or pairs of topic and value.
    pub(crate) fn batch(&self, set: &FeedSet<'_>) {
        attach(|py| {
            let feeds: Vec<PyFeed> = set.iter().map(|feed| self.feed(feed)).collect();
            let made = PyList::new(
                py,
                feeds
                    .into_iter()
                    .map(|feed| Bound::new(py, feed))
                    .collect::<PyResult<Vec<_>>>()
                    .unwrap_or_default(),
            );
            let outcome = made
                .and_then(|feeds| self.call.bind(py).call1((feeds,)))
                .and_then(|values| batch(set, &values));
            if let Err(error) = outcome
                && let Err(error) = failed(py, error)
            {
                fail_all(py, set, &*error);
            }
        });
    }
}

/// One failure of a call is one of each of its feeds; the first one has the traceback.
fn fail_all(py: Python<'_>, set: &FeedSet<'_>, error: &(dyn std::error::Error + Send + Sync + 'static)) {
    let text = error.to_string();
    let mut whole = error.downcast_ref::<Raised>().map(|raised| raised.again(py));
    for feed in set {
        match whole.take() {
            Some(raised) => feed.fail(raised),
            None => feed.fail(text.clone()),
        }
    }
}

/// What a producer in the library returns for an exception. A feed that has stopped is no failure.
fn failed(py: Python<'_>, error: PyErr) -> Produced {
    if is_stopped(py, &error) {
        return Err(Box::new(Stopped));
    }
    Err(Box::new(Raised::new(py, error)))
}

fn stream(feed: &Feed, made: &Bound<'_, PyAny>) -> PyResult<()> {
    if made.is_none() {
        return Ok(());
    }
    let Ok(values) = made.try_iter() else {
        return Err(PyTypeError::new_err(format!(
            "a stream is a generator, or a function that publishes by its argument `feed`; this one returned {}",
            type_name(made)
        )));
    };
    let passed = pass_on(feed, values);
    // The generator's `finally` runs here, in the thread that ran the rest of it.
    let closed = match made.getattr("close") {
        Ok(close) => close.call0().map(drop),
        Err(error) if error.is_instance_of::<PyAttributeError>(made.py()) => Ok(()),
        Err(error) => Err(error),
    };
    passed.and(closed)
}

fn pass_on<'py>(feed: &Feed, mut values: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>) -> PyResult<()> {
    while feed.is_active() {
        let start = Instant::now();
        let Some(value) = values.next() else { return Ok(()) };
        let value = value?;
        feed.spent(start.elapsed());
        if publish(feed, &value)?.is_err() {
            return Ok(());
        }
        // The next value is produced once there is room for it.
        if feed.room() == Room::Congested && value.py().detach(|| feed.wait_for_room().wait()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn batch(set: &FeedSet<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
    if values.is_none() {
        return Ok(());
    }
    if let Ok(dict) = values.cast::<PyDict>() {
        // A copy: other threads may change it meanwhile.
        return dict.copy()?.iter().try_for_each(|(topic, value)| one_of_batch(set, &topic, &value));
    }
    if is_one(values) && values.try_iter().is_err() {
        return Err(PyTypeError::new_err(format!(
            "a batch returns or yields {{topic: value}}, not {}",
            type_name(values)
        )));
    }
    for item in values.try_iter()? {
        let item = item?;
        if let Ok(dict) = item.cast::<PyDict>() {
            dict.copy()?.iter().try_for_each(|(topic, value)| one_of_batch(set, &topic, &value))?;
        } else if let Ok(pair) = item.cast::<PyTuple>()
            && pair.len() == 2
        {
            one_of_batch(set, &pair.get_item(0)?, &pair.get_item(1)?)?;
        } else {
            return Err(PyTypeError::new_err(format!(
                "a batch yields {{topic: value}} or (topic, value), not {}",
                type_name(&item)
            )));
        }
    }
    Ok(())
}

fn one_of_batch(set: &FeedSet<'_>, topic: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(feed) = topic.cast::<PyFeed>() {
        return publish(&feed.get().feed, value).map(drop);
    }
    let held = body(topic)?;
    match set.get(held.bytes()) {
        Some(feed) => publish(feed, value).map(drop),
        None => {
            let topic = PyBytes::new(topic.py(), held.bytes()).repr()?;
            Err(PyTypeError::new_err(format!(
                "the batch was not asked for {topic}; its keys are topics of its argument, or these themselves"
            )))
        }
    }
}
