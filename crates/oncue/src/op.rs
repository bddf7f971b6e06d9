//! Operations that can wait: awaited on any executor or waited for on any thread, by one mechanism (wakers).

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// An operation that may have to wait. `.await` it on any executor, or block this thread with
/// [`wait`](Op::wait) or [`wait_timeout`](Op::wait_timeout). Dropping it loses nothing.
#[must_use = "an Op does nothing until it is awaited or waited for"]
pub struct Op<F>(pub(crate) F);

impl<F: Future> Op<F> {
    /// Blocks this thread until the operation is done.
    #[inline]
    pub fn wait(self) -> F::Output {
        block_on(self.0, None).expect("without a deadline the wait ends with a result")
    }

    /// Blocks this thread until the operation is done or `timeout` has passed (`None`).
    pub fn wait_timeout(self, timeout: Duration) -> Option<F::Output> {
        block_on(self.0, Instant::now().checked_add(timeout))
    }
}

impl<F: Future> Future for Op<F>
where
    F: Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static UNPARK: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

#[inline]
fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    // Most often there is nothing to wait for, and so no need to know whom to wake.
    if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return Some(value);
    }
    UNPARK.with(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(Duration::ZERO) => return None,
                Some(left) => std::thread::park_timeout(left),
            }
        }
    })
}

/// Those who wait for one thing.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Vec<Waker>>);

impl Waiters {
    /// Tries, and where that fails registers and tries once more, so that a change in between is not missed.
    #[inline]
    pub(crate) fn poll<T>(&self, context: &Context<'_>, mut attempt: impl FnMut() -> Option<T>) -> Poll<T> {
        if let Some(value) = attempt() {
            return Poll::Ready(value);
        }
        self.register(context.waker());
        match attempt() {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        }
    }

    #[cold]
    fn register(&self, waker: &Waker) {
        let mut waiters = lock(&self.0);
        if !waiters.iter().any(|w| w.will_wake(waker)) {
            waiters.push(waker.clone());
        }
    }

    /// Moves all who wait into `out`, to be woken when no lock is held.
    pub(crate) fn take(&self, out: &mut Vec<Waker>) {
        out.append(&mut lock(&self.0));
    }

    /// Wakes all who wait. Not while holding a lock that a woken one may want.
    pub(crate) fn wake(&self) {
        let mut waiters = Vec::new();
        self.take(&mut waiters);
        waiters.into_iter().for_each(Waker::wake);
    }
}
