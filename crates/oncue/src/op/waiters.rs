//! The operations that wait for one thing. Each has one registration, which ends with the operation: an operation that is
//! dropped, or ends by another path, leaves nothing behind.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::Op;
use crate::sync::lock;

/// The operations that wait for one thing.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Registry>);

#[derive(Default)]
struct Registry {
    wakers: Slab<Waker>,
    /// How often the wakers were taken. A key is valid in its round only.
    round: u64,
}

/// One operation's registration; dropping it ends the registration.
pub(crate) struct Wait<'a> {
    waiters: &'a Waiters,
    ticket: Option<Ticket>,
}

/// Where a waker is. If a later round has begun, it was taken.
#[derive(Clone, Copy)]
struct Ticket {
    key: usize,
    round: u64,
}

impl Waiters {
    /// A registration for one operation. It costs nothing until the operation has to wait.
    #[inline(always)]
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { waiters: self, ticket: None }
    }

    /// An operation that is done when `attempt` yields something; it is tried again whenever the waiters are woken.
    pub(crate) fn until<'a, T>(
        &'a self,
        mut attempt: impl FnMut() -> Option<T> + Send + Unpin + 'a,
    ) -> Op<impl Future<Output = T> + Send + Unpin + 'a> {
        let mut wait = self.wait();
        Op(poll_fn(move |context| wait.poll(context, &mut attempt)))
    }

    /// Moves the wakers of all that wait into `out`, for [`wake_all`] when no lock is held.
    pub(crate) fn take(&self, out: &mut Vec<Waker>) {
        let mut registry = lock(&self.0);
        if !registry.wakers.is_empty() {
            registry.round += 1;
            out.extend(registry.wakers.drain());
        }
    }

    /// Wakes all that wait. Not to be called while holding a lock that a woken task may want.
    pub(crate) fn wake(&self) {
        let mut wakers = Vec::new();
        self.take(&mut wakers);
        wake_all(wakers);
    }

    #[cold]
    fn register(&self, ticket: &mut Option<Ticket>, waker: &Waker) {
        // A waker is the user's code: it is cloned and dropped while nothing is locked.
        let waker = waker.clone();
        let mut registry = lock(&self.0);
        let round = registry.round;
        let known = ticket.filter(|ticket| ticket.round == round);
        let before = match known.and_then(|ticket| registry.wakers.get_mut(ticket.key)) {
            Some(known) => Some(std::mem::replace(known, waker)),
            None => {
                *ticket = Some(Ticket { key: registry.wakers.insert(waker), round });
                None
            }
        };
        drop(registry);
        drop(before);
    }

    #[cold]
    fn leave(&self, ticket: Ticket) {
        let mut registry = lock(&self.0);
        let mine = (registry.round == ticket.round).then(|| registry.wakers.try_remove(ticket.key));
        drop(registry);
        drop(mine);
    }

    /// How many operations wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).wakers.len()
    }
}

impl Wait<'_> {
    /// Tries; if that fails, registers and tries once more, so that a change in between is not missed.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if let Some(value) = attempt() {
            self.leave();
            return Poll::Ready(value);
        }
        self.waiters.register(&mut self.ticket, context.waker());
        match attempt() {
            Some(value) => {
                self.leave();
                Poll::Ready(value)
            }
            None => Poll::Pending,
        }
    }

    /// Registers a waker, unless it is registered still: for an owner that always has the same one.
    pub(crate) fn arm(&mut self, waker: &Waker) {
        let is_armed = |ticket: Ticket| lock(&self.waiters.0).round == ticket.round;
        if !self.ticket.is_some_and(is_armed) {
            self.waiters.register(&mut self.ticket, waker);
        }
    }

    #[inline(always)]
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.waiters.leave(ticket);
        }
    }
}

impl Drop for Wait<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.leave();
    }
}

/// How many wakers have panicked.
static PANICKED: AtomicU64 = AtomicU64::new(0);

/// Wakes them. A waker that panics ends neither this thread nor the loop.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            PANICKED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many wakers have panicked in this process when an operation of this crate woke them. A waker belongs to the
/// executor that polls the operation; one that panics, or runs a task that panics, has a bug. Its panic is caught, so that
/// no I/O thread ends by it, and is reported by the panic hook and by this count. The task may never be polled again.
pub fn wakers_panicked() -> u64 {
    PANICKED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn never() -> Option<()> {
        None
    }

    #[test]
    fn an_operation_has_one_registration_and_leaves_with_it() {
        let waiters = Waiters::default();
        let (one, two) = (Arc::<Count>::default(), Arc::<Count>::default());
        let (wake_one, wake_two) = (Waker::from(one.clone()), Waker::from(two.clone()));
        let mut wait = waiters.wait();
        for _ in 0..3 {
            assert!(wait.poll(&Context::from_waker(&wake_one), never).is_pending());
            assert!(wait.poll(&Context::from_waker(&wake_two), never).is_pending());
        }
        assert_eq!(waiters.len(), 1);
        waiters.wake();
        assert_eq!(
            (one.0.load(Ordering::SeqCst), two.0.load(Ordering::SeqCst)),
            (0, 1),
            "the last one polled"
        );
        assert_eq!(waiters.len(), 0);
        let mut other = waiters.wait();
        assert!(other.poll(&Context::from_waker(&wake_one), never).is_pending());
        drop(wait);
        assert_eq!(waiters.len(), 1, "what was woken has no right to the place of another");
        assert_eq!(other.poll(&Context::from_waker(&wake_one), || Some(7)), Poll::Ready(7));
        assert_eq!(waiters.len(), 0, "what is done waits no more");
        for _ in 0..1000 {
            assert!(waiters.wait().poll(&Context::from_waker(&wake_one), never).is_pending());
        }
        drop(other);
        assert_eq!(waiters.len(), 0);
        drop((wake_one, wake_two));
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 1));
    }

    #[test]
    fn a_waker_that_is_dropped_may_use_what_it_was_registered_with() {
        struct Owner(Arc<Waiters>);

        impl Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }

        impl Drop for Owner {
            fn drop(&mut self) {
                // As the future of a task does that goes with its last waker.
                assert!(self.0.wait().poll(&Context::from_waker(Waker::noop()), never).is_pending());
            }
        }

        let waiters = Arc::<Waiters>::default();
        let mut wait = waiters.wait();
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Owner(waiters.clone())));
            assert!(wait.poll(&Context::from_waker(&waker), never).is_pending());
        }
        drop(wait);
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn a_waker_that_panics_does_not_keep_others_from_being_woken() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a mistake of an executor");
            }
        }

        let count = Arc::<Count>::default();
        let before = wakers_panicked();
        wake_all([Waker::from(Arc::new(Panics)), Waker::from(count.clone())]);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(wakers_panicked() > before);
    }
}
