//! Operations that can wait: awaited on any executor or waited for on any thread, by one mechanism (wakers).

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::permission::is_deciding;
use crate::sync::lock;

mod waiters;

pub use waiters::wakers_panicked;
pub(crate) use waiters::{Wait, Waiters, wake_all};

/// An operation that may have to wait. `.await` it on any executor, or block this thread with
/// [`wait`](Op::wait) or [`wait_timeout`](Op::wait_timeout). Dropping it loses nothing and leaves nothing behind: a task is
/// woken only for an operation that it has polled and still holds.
#[must_use = "an Op does nothing until it is awaited or waited for"]
pub struct Op<F>(pub(crate) F);

impl<F: Future> Op<F> {
    /// Blocks this thread until the operation is done.
    ///
    /// # Panics
    /// In a function that decides about subscriptions ([`Options::admission`](crate::Options::admission)), if the operation
    /// has to wait: its I/O thread would wait for itself.
    #[inline(always)]
    pub fn wait(self) -> F::Output {
        block_on(self.0, None).expect("without a deadline the wait ends with a result")
    }

    /// Blocks this thread until the operation is done, or `timeout` has passed; then the result is `None`.
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

/// Where a thread that blocks can sleep and serve the network meanwhile, instead of parking.
pub(crate) trait Place: Send + Sync {
    /// Sleeps until something happens here or the sleeper is woken, and handles what has happened. `false`: this is not
    /// possible now, and nothing was done. May return early, and up to a millisecond late.
    fn sleep(&self, sleeper: &Sleeper, timeout: Option<Duration>) -> bool;

    /// Wakes the thread that sleeps here.
    fn wake(&self);
}

/// A thread that blocks, as seen by the threads that wake it.
pub(crate) struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
    place: Mutex<Option<Arc<dyn Place>>>,
}

impl Sleeper {
    /// Whether it was woken since it last polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// It is awake: its place need not be woken any more.
    pub(crate) fn rise(&self) {
        *lock(&self.place) = None;
    }

    fn sleep(&self, place: Option<Arc<dyn Place>>, timeout: Option<Duration>) {
        // Less than a millisecond is slept more precisely by the scheduler.
        let whole = timeout.is_none_or(|time| time >= Duration::from_millis(1));
        if let Some(place) = place.filter(|_| whole) {
            *lock(&self.place) = Some(place.clone());
            let timeout = timeout.map(whole_millis);
            let slept = place.sleep(self, timeout);
            self.rise();
            if slept || self.is_woken() {
                return;
            }
        }
        match timeout {
            None => thread::park(),
            Some(left) => thread::park_timeout(left),
        }
    }
}

fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let place = lock(&self.place).clone();
        match place {
            Some(place) => place.wake(),
            None => self.thread.unpark(),
        }
    }
}

thread_local! {
    static SLEEPER: (Arc<Sleeper>, Waker) = {
        let (thread, woken, place) = (thread::current(), AtomicBool::new(false), Mutex::new(None));
        let sleeper = Arc::new(Sleeper { thread, woken, place });
        (sleeper.clone(), Waker::from(sleeper))
    };
    /// Set while this thread polls an operation that it blocks on: where it should sleep.
    static BED: RefCell<Option<Bed>> = const { RefCell::new(None) };
}

/// Where to sleep, once the operation has set it.
type Bed = Option<Arc<dyn Place>>;

/// For an operation that is about to return `Pending`: a thread that blocks on it should sleep there.
pub(crate) fn sleep_at(place: impl FnOnce() -> Option<Arc<dyn Place>>) {
    BED.with_borrow_mut(|bed| {
        if let Some(bed) = bed {
            *bed = place();
        }
    });
}

#[inline(always)]
fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    // Mostly there is nothing to wait for, and so no waker is needed.
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => block_on_pending(future, deadline),
    }
}

#[cold]
fn block_on_pending<F: Future>(mut future: Pin<&mut F>, deadline: Option<Instant>) -> Option<F::Output> {
    let deciding = is_deciding();
    assert!(
        !deciding || deadline.is_some(),
        "a function that decides about subscriptions waits, and its I/O thread with it; let it return, or defer"
    );
    SLEEPER.with(|(sleeper, waker)| {
        let mut context = Context::from_waker(waker);
        loop {
            sleeper.woken.store(false, Ordering::SeqCst);
            BED.set(Some(None));
            let polled = future.as_mut().poll(&mut context);
            let bed = BED.take().flatten();
            if let Poll::Ready(value) = polled {
                return Some(value);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            sleeper.sleep(bed.filter(|_| !deciding), left);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_very_long_timeout_is_not_cut_short() {
        for secs in [1, 1 << 50, 1 << 61, 1 << 62, u64::MAX] {
            assert!(whole_millis(Duration::from_secs(secs)) >= Duration::from_secs(secs.min(1 << 50)));
        }
    }
}
