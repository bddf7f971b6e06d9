//! Engines: the I/O threads of sockets. Those that are made without one share the engine of the process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oncue::{EngineOptions, ErrorKind};
use pyo3::{PyResult, Python, pyclass, pymethods};
use rustix::process::{Pid, getpid};

use crate::errors::{OrRaise as _, misuse};
use crate::ffi::attach;
use crate::wait::{duration, until};

/// I/O threads that serve sockets. Sockets that are made without an engine share one, with one I/O thread.
#[pyclass(frozen, module = "oncue")]
pub(crate) struct Engine(Option<oncue::Engine>);

impl Engine {
    fn engine(&self) -> PyResult<&oncue::Engine> {
        // There until the drop.
        self.0.as_ref().ok_or_else(|| misuse("the engine is gone"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let engine = self.0.take();
        // It waits for its threads, and these may need the interpreter to end.
        attach(|py| py.detach(|| drop(engine)));
    }
}

#[pymethods]
impl Engine {
    /// Engine(io_threads=1, descriptors_reserved=32)
    /// --
    ///
    /// Starts 1 to 64 I/O threads. While fewer than `descriptors_reserved` descriptors of the process are left, no
    /// connection is accepted.
    #[new]
    #[pyo3(signature = (io_threads = 1, descriptors_reserved = 32))]
    fn new(io_threads: usize, descriptors_reserved: u32) -> PyResult<Engine> {
        let options = EngineOptions::new().io_threads(io_threads).descriptors_reserved(descriptors_reserved);
        oncue::Engine::with(options).or_raise().map(|engine| Engine(Some(engine)))
    }

    /// Closes all sockets of the engine, and waits until what they have queued is sent or their linger has passed, but for at
    /// most `timeout` seconds. Returns how many messages were not delivered.
    #[pyo3(signature = (timeout = None))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<u64> {
        let limit = crate::wait::limit(timeout)?;
        let engine = self.engine()?;
        until(py, limit, |time| engine.close().wait_timeout(time)).map(|closed| closed.undelivered)
    }
}

/// The engine of the process, and the process: a fork has none of its threads, and gets one of its own.
static OF_PROCESS: Mutex<Option<(Pid, oncue::Engine)>> = Mutex::new(None);

/// This engine, or that of the process.
pub(crate) fn engine(given: Option<&Engine>) -> PyResult<oncue::Engine> {
    if let Some(given) = given {
        return given.engine().cloned();
    }
    let mut of_process = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((pid, engine)) = &*of_process
        && *pid == getpid()
    {
        return Ok(engine.clone());
    }
    let engine = oncue::Engine::start().or_raise()?;
    // The one before belongs to the process of which this one is a fork.
    std::mem::forget(of_process.replace((getpid(), engine.clone())));
    Ok(engine)
}

/// Closes the sockets of the process's engine at its exit: what they have queued is sent, within their linger.
pub(crate) fn at_exit(py: Python<'_>) -> PyResult<()> {
    let taken = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((pid, engine)) = taken else { return Ok(()) };
    if pid != getpid() {
        std::mem::forget(engine);
        return Ok(());
    }
    let closed = until(py, None, |time| match engine.close().wait_timeout(time) {
        Some(_) => Some(()),
        None => None,
    });
    // It waits for its threads, and these may need the interpreter to end.
    py.detach(|| drop(engine));
    closed
}

/// How long closing may take, as an option in seconds: none leaves it to the socket's linger.
pub(crate) fn linger(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    seconds.map(|seconds| duration("linger", seconds)).transpose()
}

/// Whether an operation failed since its socket is closed.
pub(crate) fn is_closed(error: &oncue::Error) -> bool {
    error.kind() == ErrorKind::Closed
}
