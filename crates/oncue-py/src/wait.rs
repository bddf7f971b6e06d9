//! Waiting with the interpreter detached: other threads of Python run meanwhile, and signals are handled.

use std::cell::Cell;
use std::ops::Deref;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::{PyResult, Python};

use crate::errors::{misuse, timed_out};

/// How often the main thread looks for signals while it waits. A system call that waits would be interrupted by the signal;
/// an operation of the library is not. Other threads get no signals, and wait without looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

thread_local! {
    static DECIDING: Cell<bool> = const { Cell::new(false) };
}

/// While this lives, this thread decides about a subscription, on an I/O thread: it cannot wait for what that does.
pub(crate) struct Deciding(bool);

impl Deciding {
    pub(crate) fn begin() -> Deciding {
        Deciding(DECIDING.replace(true))
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        DECIDING.set(self.0);
    }
}

/// A time in seconds, as Python gives it.
pub(crate) fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "{name} must be a time in seconds from 0 on, not {seconds}"
        )));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A time limit in seconds: none means no limit.
pub(crate) fn limit(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    seconds.map(|seconds| duration("timeout", seconds)).transpose()
}

/// Waits until `attempt` returns something. It waits itself for at most the time that it is given, and is called again until
/// `limit` has passed.
///
/// # Errors
/// `oncue.TimeoutError`, or what a handler of a signal raises, such as `KeyboardInterrupt`. `oncue.MisuseError` in a function
/// that decides about subscriptions, without a limit.
pub(crate) fn until<T: Send>(
    py: Python<'_>,
    limit: Option<Duration>,
    attempt: impl Fn(Duration) -> Option<T> + Sync,
) -> PyResult<T> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let main = is_main_thread();
    if deadline.is_none() && DECIDING.get() {
        return Err(misuse(
            "a function that decides about subscriptions cannot wait without a limit, since its I/O thread waits with it; do it \
             on another thread, and let the function return",
        ));
    }
    loop {
        let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        let slice = if main { left.min(LOOK_INTERVAL) } else { left };
        if let Some(value) = py.detach(|| attempt(slice)) {
            return Ok(value);
        }
        py.check_signals()?;
        if slice == left {
            return Err(timed_out());
        }
    }
}

/// What is dropped with the interpreter detached: a last handle closes a socket or an engine, which may wait for threads that
/// need the interpreter to go on.
pub(crate) struct Detached<T: Send>(Option<T>);

impl<T: Send> Detached<T> {
    pub(crate) fn new(value: T) -> Detached<T> {
        Detached(Some(value))
    }
}

impl<T: Send> Deref for Detached<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send> Drop for Detached<T> {
    fn drop(&mut self) {
        let mut value = self.0.take();
        let dropped = Python::try_attach(|py| {
            let value = value.take();
            py.detach(|| drop(value));
        });
        if dropped.is_none() {
            // The interpreter ends, and the process with it: nothing is to be waited for any more.
            std::mem::forget(value);
        }
    }
}

/// Whether this thread handles signals in Python.
pub(crate) fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}
