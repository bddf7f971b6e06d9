//! Calls of the user's functions for what they cannot answer to: reports, and what is written to the logger.

use pyo3::exceptions::PyBaseException;
use pyo3::types::{PyAnyMethods as _, PyModule};
use pyo3::{Py, PyAny, PyResult, Python};

use crate::ffi::attach;

/// Calls a function of the user's; what it raises is written where exceptions go that nobody can catch.
pub(crate) fn tell<A: for<'py> pyo3::call::PyCallArgs<'py>>(
    call: &Py<PyAny>,
    arguments: impl FnOnce(Python<'_>) -> PyResult<A>,
) {
    attach(|py| {
        let called = arguments(py).and_then(|arguments| call.bind(py).call1(arguments));
        if let Err(error) = called {
            error.write_unraisable(py, Some(call.bind(py)));
        }
    });
}

/// Has `oncue._log` write an exception with its traceback.
pub(crate) fn log(py: Python<'_>, what: &str, of: &str, exception: &Py<PyBaseException>) {
    let module = PyModule::import(py, "oncue._log");
    let logged = module.and_then(|module| module.getattr(what)?.call1((of, exception)));
    if let Err(error) = logged {
        error.write_unraisable(py, None);
    }
}
