//! What a user takes from a socket or a watch, item by item: at once, after a wait, or when a descriptor says so.

use std::future::Future;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use pyo3::{PyResult, Python};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::engine::is_closed;
use crate::errors::{OrRaise as _, raised, system, timed_out};
use crate::wait::until;

/// The future of the next item. It owns what it waits for.
pub(crate) type Next<T> = Pin<Box<dyn Future<Output = oncue::Result<T>> + Send>>;

/// Where items come from. Clones are the same source.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    /// What comes.
    type Item: Send + 'static;

    /// The next item, if there is one now.
    fn try_next(&self) -> oncue::Result<Option<Self::Item>>;

    /// Blocks this thread until there is an item, for at most this time.
    fn wait_next(&self, time: Duration) -> Option<oncue::Result<Self::Item>>;

    /// Waits for the next item.
    fn next(&self) -> Next<Self::Item>;
}

/// A source, and its descriptor, once somebody has asked for one.
pub(crate) struct Inlet<S: Source> {
    pub(crate) source: S,
    /// Whether there is a descriptor, to be read without the lock.
    armed: AtomicBool,
    descriptor: Mutex<Option<Armed<S::Item>>>,
}

/// A descriptor that is readable while there is something to take.
struct Armed<T> {
    signal: Arc<Signal>,
    /// What was found and not taken yet.
    found: Option<oncue::Result<T>>,
    /// Was polled, and writes to the descriptor when it can be polled again.
    next: Next<T>,
}

/// An eventfd.
pub(crate) struct Signal(OwnedFd);

impl Signal {
    /// `what` has none, where the system has no descriptor left.
    pub(crate) fn new(what: &str) -> PyResult<Signal> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        fd.map(Signal).map_err(|error| system(&format!("no descriptor for {what}"), error))
    }

    pub(crate) fn fileno(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn set(&self) {
        // Fails only if it is set already, as often as a counter can count.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        // Fails only if it is not set.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.set();
    }
}

impl<S: Source> Inlet<S> {
    pub(crate) fn new(source: S) -> Inlet<S> {
        Inlet { source, armed: AtomicBool::new(false), descriptor: Mutex::new(None) }
    }

    /// The next item, if there is one now.
    #[inline]
    pub(crate) fn try_take(&self) -> oncue::Result<Option<S::Item>> {
        if self.armed.load(Ordering::SeqCst) { self.try_take_armed() } else { self.source.try_next() }
    }

    #[cold]
    fn try_take_armed(&self) -> oncue::Result<Option<S::Item>> {
        let mut guard = self.lock();
        let Some(armed) = &mut *guard else { return self.source.try_next() };
        armed.find(&self.source);
        let found = armed.found.take().transpose();
        if matches!(found, Ok(Some(_))) {
            armed.find(&self.source);
        }
        found
    }

    /// The next item. The interpreter is detached while there is none.
    ///
    /// # Errors
    /// `oncue.TimeoutError`, `oncue.ClosedError`, or what a handler of a signal raises.
    #[inline]
    pub(crate) fn take(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<S::Item> {
        match self.try_take().or_raise()? {
            Some(item) => Ok(item),
            None => self.wait(py, limit),
        }
    }

    #[cold]
    fn wait(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<S::Item> {
        if limit == Some(Duration::ZERO) {
            return Err(timed_out());
        }
        if !self.armed.load(Ordering::SeqCst) {
            return until(py, limit, |time| self.source.wait_next(time))?.or_raise();
        }
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if !self.wait_readable(py, deadline)? {
                return Err(timed_out());
            }
            if let Some(item) = self.try_take().or_raise()? {
                return Ok(item);
            }
        }
    }

    /// A descriptor that is readable while something can be taken, or the source has closed.
    pub(crate) fn fileno(&self) -> PyResult<RawFd> {
        let mut guard = self.lock();
        if let Some(armed) = &*guard {
            return Ok(armed.signal.fileno());
        }
        let signal = Signal::new("the socket")?;
        let number = signal.fileno();
        let mut armed = Armed { signal: Arc::new(signal), found: None, next: self.source.next() };
        armed.find(&self.source);
        *guard = Some(armed);
        self.armed.store(true, Ordering::SeqCst);
        Ok(number)
    }

    /// Waits until something can be taken, or the source has closed. Returns whether it is so.
    ///
    /// # Errors
    /// What a handler of a signal raises.
    pub(crate) fn poll(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<bool> {
        self.fileno()?;
        self.wait_readable(py, limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    fn wait_readable(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<bool> {
        let Some(signal) = self.lock().as_ref().map(|armed| armed.signal.clone()) else { return Ok(true) };
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let time = left
                .map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
            let polled = py.detach(|| poll(&mut [PollFd::new(&signal.0, PollFlags::IN)], time.as_ref()));
            match polled {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => py.check_signals()?,
                Err(error) => return Err(system("cannot wait for the socket", error)),
            }
        }
    }

    /// As `take` without a limit; none when the source has closed.
    pub(crate) fn take_open(&self, py: Python<'_>) -> PyResult<Option<S::Item>> {
        loop {
            match self.try_take() {
                Ok(Some(item)) => return Ok(Some(item)),
                Err(error) if is_closed(&error) => return Ok(None),
                Err(error) => return Err(raised(error)),
                Ok(None) => {}
            }
            if self.is_armed() {
                self.wait_readable(py, None)?;
                continue;
            }
            return match until(py, None, |time| self.source.wait_next(time))? {
                Err(error) if is_closed(&error) => Ok(None),
                item => item.or_raise().map(Some),
            };
        }
    }

    /// Whether there is a descriptor.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    /// The source was closed: whoever polls the descriptor must look again.
    pub(crate) fn closed(&self) {
        if let Some(armed) = &*self.lock() {
            armed.signal.set();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Armed<S::Item>>> {
        self.descriptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Armed<T> {
    /// Looks for the next item, and makes the descriptor say whether there is one.
    fn find<S: Source<Item = T>>(&mut self, source: &S) {
        if self.found.is_some() {
            return;
        }
        self.found = source.try_next().transpose();
        if self.found.is_none() {
            // Cleared before the last look, so that what comes after it is told.
            self.signal.clear();
            let waker = Waker::from(self.signal.clone());
            if let Poll::Ready(item) = self.next.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.next = source.next();
                self.found = Some(item);
            }
        }
        if self.found.is_some() {
            self.signal.set();
        }
    }
}
