//! Messages between Python and the library: what can be sent, and what is received.

use oncue::{Msg, MsgRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::types::{
    PyAnyMethods as _, PyBytes, PyBytesMethods as _, PyList, PyString, PyStringMethods as _, PyTuple,
    PyTupleMethods as _,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python};

use crate::errors::type_name;
use crate::ffi::{Export, view};

/// From this size on, the interpreter is detached while a message is sent: copying takes longer than detaching.
pub(crate) const DETACH_BYTES_MIN: usize = 16 << 10;
/// As many frames are looked at without an allocation.
const FRAMES_FEW: usize = 4;

/// The bytes of one frame of a message to be sent, as Python holds them.
pub(crate) enum Body<'a> {
    /// Of a `bytes` or a `str`, which cannot change.
    Fixed(&'a [u8]),
    /// Of a `str` that holds bytes which are not UTF-8, as parameters of topics may.
    Encoded(Vec<u8>),
    /// An export of any other object, which holds its memory in place.
    Exported(Export),
}

impl Body<'_> {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Body::Fixed(bytes) => bytes,
            Body::Encoded(bytes) => bytes,
            Body::Exported(export) => export.bytes(),
        }
    }
}

/// The bytes of an object that can be a frame: `bytes`, `str` (as UTF-8), any contiguous buffer, or what has an
/// `__array__` that is one, such as a tensor.
pub(crate) fn body<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Body<'a>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Body::Fixed(bytes.as_bytes()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(Body::Fixed(text.as_bytes())),
            Err(_) => encoded(value),
        };
    }
    exported(value).map(Body::Exported)
}

/// Bytes that are not UTF-8 stand in a `str` as surrogates; other surrogates are an error.
#[cold]
fn encoded<'a>(text: &Bound<'_, PyAny>) -> PyResult<Body<'a>> {
    let bytes = text.call_method1("encode", ("utf-8", "surrogateescape"))?;
    Ok(Body::Encoded(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
}

#[cold]
fn exported(value: &Bound<'_, PyAny>) -> PyResult<Export> {
    let export = match Export::of(value) {
        Ok(export) => export,
        Err(error) => match value.getattr("__array__") {
            Ok(array) => Export::of(&array.call0()?)?,
            Err(_) if error.is_instance_of::<PyTypeError>(value.py()) => {
                return Err(PyTypeError::new_err(format!(
                    "a frame must be bytes, str or a contiguous buffer, not {}",
                    type_name(value)
                )));
            }
            Err(_) => return Err(error),
        },
    };
    export.ok_or_else(|| {
        PyValueError::new_err(
            "the buffer is not contiguous; send a contiguous copy, such as numpy.ascontiguousarray(x)",
        )
    })
}

/// Whether the value stands for one frame, rather than for several.
pub(crate) fn is_one(value: &Bound<'_, PyAny>) -> bool {
    !value.is_instance_of::<PyTuple>() && !value.is_instance_of::<PyList>()
}

/// Calls `send` with the frames of a message, detached from the interpreter if they are large.
pub(crate) fn with_frames<R: Send>(
    frames: &Bound<'_, PyTuple>,
    send: impl FnOnce(&[&[u8]]) -> R + Send,
) -> PyResult<R> {
    let py = frames.py();
    borrowed(frames, |frames| {
        if frames.iter().map(|frame| frame.len()).sum::<usize>() < DETACH_BYTES_MIN {
            return Ok(send(frames));
        }
        Ok(py.detach(|| send(frames)))
    })
}

/// Calls `f` with the frames of a message, as Python holds them.
pub(crate) fn borrowed<R>(
    frames: &Bound<'_, PyTuple>,
    f: impl FnOnce(&[&[u8]]) -> PyResult<R>,
) -> PyResult<R> {
    let count = frames.len();
    if count == 1 {
        let frame = frames.get_borrowed_item(0)?;
        return f(&[body(&frame)?.bytes()]);
    }
    if count == 0 {
        return Err(PyTypeError::new_err("a message has at least one frame: send(topic, payload)"));
    }
    let held: Vec<_> = frames.iter().collect();
    let bodies = held.iter().map(body).collect::<PyResult<Vec<_>>>()?;
    if count <= FRAMES_FEW {
        let mut few: [&[u8]; FRAMES_FEW] = [&[]; FRAMES_FEW];
        bodies.iter().zip(&mut few).for_each(|(body, slot)| *slot = body.bytes());
        return f(&few[..count]);
    }
    f(&bodies.iter().map(Body::bytes).collect::<Vec<_>>())
}

/// A received message as a tuple of its frames: `bytes`, or without a copy read-only memoryviews, which keep the buffer
/// alive in which the message arrived.
pub(crate) fn received(py: Python<'_>, message: &Msg, copy: bool) -> PyResult<Py<PyTuple>> {
    if copy {
        return copied(py, message.frames(), message.len());
    }
    let views = (0..message.len()).map(|index| view(py, message, index));
    Ok(PyTuple::new(py, views.collect::<PyResult<Vec<_>>>()?)?.unbind())
}

/// The same of a message that is only looked at.
pub(crate) fn copied_of(py: Python<'_>, message: MsgRef<'_>) -> PyResult<Py<PyTuple>> {
    copied(py, message.frames(), message.len())
}

fn copied<'a>(
    py: Python<'_>,
    mut frames: impl Iterator<Item = &'a [u8]>,
    count: usize,
) -> PyResult<Py<PyTuple>> {
    let mut next = || PyBytes::new(py, frames.next().unwrap_or_default());
    let tuple = match count {
        1 => PyTuple::new(py, [next()]),
        2 => PyTuple::new(py, [next(), next()]),
        3 => PyTuple::new(py, [next(), next(), next()]),
        _ => PyTuple::new(py, (0..count).map(|_| next()).collect::<Vec<_>>()),
    };
    tuple.map(Bound::unbind)
}
