//! Forwarding between a subscriber's and a publisher's socket.

use std::sync::{Mutex, MutexGuard, PoisonError};

use oncue::proxy::{Passed, ProxyOptions};
use pyo3::{Bound, Py, PyAny, PyResult, Python, pyclass, pymethods};

use crate::errors::OrRaise as _;
use crate::publisher::{Publisher, Sending};
use crate::records::{copied, record};
use crate::subscriber::{Receiving, Subscriber};
use crate::wait::{Detached, duration, limit};

/// Forwards messages from the publishers of `frontend` (a SUB or XSUB) to the subscribers of `backend` (a PUB or XPUB), and
/// what these want to those. It runs on the I/O threads until `stop`, or until one of the sockets is closed. `capture`, a PUB
/// or XPUB, gets a copy of all messages. With `grace`, a prefix stays subscribed to for that time after its last subscriber has
/// gone; with `keep_last`, a later subscriber of a topic that another one wants gets its last value.
#[pyclass(frozen, module = "oncue")]
pub(crate) struct Proxy(Detached<Mutex<Option<oncue::Proxy>>>);

impl Proxy {
    fn lock(&self) -> MutexGuard<'_, Option<oncue::Proxy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Proxy {
    #[new]
    #[pyo3(signature = (frontend, backend, *, capture = None, grace = 0.0, keep_last = false))]
    fn new(
        frontend: &Bound<'_, Subscriber>,
        backend: &Bound<'_, Publisher>,
        capture: Option<&Bound<'_, Publisher>>,
        grace: f64,
        keep_last: bool,
    ) -> PyResult<Proxy> {
        let mut options = ProxyOptions::new().grace(duration("grace", grace)?).keep_last(keep_last);
        options = match capture.map(|capture| &*capture.get().0) {
            None => options,
            Some(Sending::Plain(socket)) => options.capture(socket),
            Some(Sending::Extended(socket)) => options.capture(socket),
        };
        use {Receiving as In, Sending as Out};
        let proxy = match (&*frontend.get().0, &*backend.get().0) {
            (In::Plain(front), Out::Plain(back)) => oncue::Proxy::with(front, back, options),
            (In::Plain(front), Out::Extended(back)) => oncue::Proxy::with(front, back, options),
            (In::Extended(front), Out::Plain(back)) => oncue::Proxy::with(front, back, options),
            (In::Extended(front), Out::Extended(back)) => oncue::Proxy::with(front, back, options),
        };
        Ok(Proxy(Detached::new(Mutex::new(Some(proxy.or_raise()?)))))
    }

    /// Forwards no messages until `resume`; demand is still passed on.
    fn pause(&self) {
        self.lock().iter().for_each(oncue::Proxy::pause);
    }

    /// Forwards messages again.
    fn resume(&self) {
        self.lock().iter().for_each(oncue::Proxy::resume);
    }

    /// Ends the forwarding. The sockets stay open.
    fn stop(&self, py: Python<'_>) {
        let proxy = self.lock().take();
        py.detach(|| drop(proxy));
    }

    /// Waits until the proxy has ended, for at most `timeout` seconds. Returns whether it has.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let attempt = |time: std::time::Duration| {
            // Not held while waiting: `stop` needs it.
            let slice = time.min(std::time::Duration::from_millis(25));
            match &*self.lock() {
                Some(proxy) => proxy.ended().wait_timeout(slice),
                None => Some(()),
            }
        };
        let deadline = limit(timeout)?.and_then(|time| std::time::Instant::now().checked_add(time));
        loop {
            if py.detach(|| attempt(std::time::Duration::MAX)).is_some() {
                return Ok(true);
            }
            py.check_signals()?;
            if deadline.is_some_and(|at| std::time::Instant::now() >= at) {
                return Ok(false);
            }
        }
    }

    /// What has passed: a `ProxyStats`. `None` after `stop`.
    fn stats(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(stats) = self.lock().as_ref().map(oncue::Proxy::stats) else { return Ok(None) };
        let passed = |passed: Passed| copied!(py, "Passed", passed, { messages, bytes, batches });
        let all = record!(py, "ProxyStats", {
            down: passed(stats.down)?,
            up: passed(stats.up)?,
            up_dropped: stats.up_dropped,
            capture_missed: stats.capture_missed,
            missed: stats.missed,
            waits: stats.waits,
            subscribed: stats.subscribed,
            unsubscribed: stats.unsubscribed,
            prefixes_refused: stats.prefixes_refused,
            prefixes_in_grace: stats.prefixes_in_grace,
            states: stats.states,
        });
        all.map(Some)
    }
}
