//! The exceptions of the package: defined in Python (`oncue._errors`), raised here.

use std::error::Error as _;
use std::io;

use oncue::ErrorKind;
use pyo3::PyErr;
use pyo3::types::PyAnyMethods as _;
use pyo3::{Bound, PyAny, PyResult, Python};

/// The classes.
#[allow(missing_docs, unreachable_pub, reason = "made by the macro")]
mod classes {
    use pyo3::import_exception;

    import_exception!(oncue._errors, MisuseError);
    import_exception!(oncue._errors, PeerError);
    import_exception!(oncue._errors, IoError);
    import_exception!(oncue._errors, FullError);
    import_exception!(oncue._errors, ClosedError);
    import_exception!(oncue._errors, TimeoutError);
    import_exception!(oncue._errors, Stopped);
}

/// The exception for an error of the library.
pub(crate) fn raised(error: oncue::Error) -> PyErr {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Peer => classes::PeerError::new_err(text),
        ErrorKind::Io => {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            classes::IoError::new_err((text, source.and_then(io::Error::raw_os_error)))
        }
        ErrorKind::Full => classes::FullError::new_err(text),
        ErrorKind::Closed => classes::ClosedError::new_err(text),
        // And what is not known here yet.
        _ => classes::MisuseError::new_err(text),
    }
}

/// The caller's mistake.
pub(crate) fn misuse(text: impl Into<String>) -> PyErr {
    classes::MisuseError::new_err(text.into())
}

/// Something of the system failed.
pub(crate) fn system(what: &str, error: impl Into<io::Error>) -> PyErr {
    let error = error.into();
    classes::IoError::new_err((format!("{what}: {error}"), error.raw_os_error()))
}

/// Time has passed.
pub(crate) fn timed_out() -> PyErr {
    classes::TimeoutError::new_err("nothing came in time")
}

/// Nobody wants the topic any more.
pub(crate) fn stopped() -> PyErr {
    classes::Stopped::new_err(oncue::demand::Stopped.to_string())
}

/// Whether this is the exception for a feed that has stopped.
pub(crate) fn is_stopped(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<classes::Stopped>(py)
}

/// The name of the type of a value, for texts of errors.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().getattr("__name__").map_or_else(|_| "?".to_owned(), |name| name.to_string())
}

/// Results of the library as those of Python.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception for the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for oncue::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(raised)
    }
}
