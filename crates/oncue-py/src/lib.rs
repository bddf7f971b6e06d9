//! The native part of the Python package `oncue`: the sockets and the on-demand layer of the library, for CPython.
//! Everything here is on the library's public interface; what is only Python's (dataclasses, decorators, async methods)
//! stands in `python/oncue`.

mod asked;
mod calls;
mod demand;
mod engine;
mod errors;
mod ffi;
mod frames;
mod inlet;
mod keys;
mod options;
mod proxy;
mod publisher;
mod records;
mod security;
mod socket;
mod subscriber;
mod user;
mod wait;
mod watches;

use oncue::demand::Pattern;
use pyo3::types::{PyModule, PyModuleMethods as _};
use pyo3::{Bound, PyResult, Python, pyfunction, pymodule, wrap_pyfunction};

/// Called at the exit of the interpreter.
#[pyfunction]
fn at_exit(py: Python<'_>) -> PyResult<()> {
    engine::at_exit(py)
}

/// Whether this thread runs a function that the library has called, such as a producer: it cannot wait for the end of that.
#[pyfunction]
fn is_inside() -> bool {
    ffi::is_inside()
}

/// The names of the parameters of a pattern, such as `prices/{symbol}`.
#[pyfunction]
fn pattern_names(pattern: &str) -> PyResult<Vec<String>> {
    let pattern = Pattern::parse(pattern).map_err(|error| errors::misuse(error.to_string()))?;
    Ok(pattern.names().map(str::to_owned).collect())
}

/// The native part of `oncue`.
#[pymodule(gil_used = false)]
fn _oncue(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<socket::Socket>()?;
    module.add_class::<publisher::Publisher>()?;
    module.add_class::<publisher::PyPub>()?;
    module.add_class::<publisher::PyXPub>()?;
    module.add_class::<subscriber::Subscriber>()?;
    module.add_class::<subscriber::PySub>()?;
    module.add_class::<subscriber::PyXSub>()?;
    module.add_class::<watches::ConnectionEvents>()?;
    module.add_class::<watches::DemandWatch>()?;
    module.add_class::<watches::SubscriptionWatch>()?;
    module.add_class::<records::PeerKey>()?;
    module.add_class::<proxy::Proxy>()?;
    module.add_class::<keys::KeyPair>()?;
    module.add_class::<keys::Certificate>()?;
    module.add_class::<security::Security>()?;
    module.add_class::<security::CurveServer>()?;
    module.add_class::<security::CurveClient>()?;
    module.add_class::<security::PlainServer>()?;
    module.add_class::<security::PlainClient>()?;
    module.add_class::<demand::routes::Routes>()?;
    module.add_class::<demand::routes::Changes>()?;
    module.add_class::<demand::serving::Serving>()?;
    module.add_class::<demand::feed::PyFeed>()?;
    module.add("Buffer", ffi::buffer_type(module.py())?)?;
    module.add_function(wrap_pyfunction!(keys::generate, module)?)?;
    module.add_function(wrap_pyfunction!(keys::hash_password, module)?)?;
    module.add_function(wrap_pyfunction!(at_exit, module)?)?;
    module.add_function(wrap_pyfunction!(is_inside, module)?)?;
    module.add_function(wrap_pyfunction!(pattern_names, module)?)?;
    Ok(())
}
