//! A future that runs where it is woken: on the I/O thread whose turn has brought something, or on the thread of a user
//! who has changed something. It needs no thread of its own, and no hop between threads.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use crate::sync::lock;

/// It does not run; it runs; it runs and is to run again.
const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const AGAIN: u8 = 2;

/// How often the future is polled in a row. Other threads may wake it again and again while it runs on an I/O thread, which
/// has connections to serve.
const ROUNDS_MAX: u32 = 16;

/// A future, until it is done.
pub(super) struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    state: AtomicU8,
    /// Has the task woken after the next turn of an I/O thread; false if that cannot be relied on.
    later: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Task {
    pub(super) fn new(
        future: impl Future<Output = ()> + Send + 'static,
        later: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Arc<Task> {
        let (future, later) = (Mutex::new(Some(Box::pin(future) as _)), Box::new(later));
        Arc::new(Task { future, state: AtomicU8::new(IDLE), later })
    }

    /// Runs the future until it waits, or has been woken too often for this thread. If it runs already, on this thread or on
    /// another, it will run once more there.
    pub(super) fn run(self: &Arc<Self>) {
        if self.state.swap(AGAIN, Ordering::SeqCst) != IDLE {
            return;
        }
        let waker = Waker::from(self.clone());
        for round in 1.. {
            self.state.store(RUNNING, Ordering::SeqCst);
            let polled = catch_unwind(AssertUnwindSafe(|| self.poll(&mut Context::from_waker(&waker))));
            if let Err(panic) = polled {
                drop(lock(&self.future).take());
                self.state.store(IDLE, Ordering::SeqCst);
                resume_unwind(panic);
            }
            if self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
            if round >= ROUNDS_MAX {
                // In this order: a wake-up that comes in between runs it where it comes from.
                self.state.store(IDLE, Ordering::SeqCst);
                if (self.later)() || self.state.swap(AGAIN, Ordering::SeqCst) != IDLE {
                    return;
                }
            }
        }
    }

    fn poll(&self, context: &mut Context<'_>) {
        let mut future = lock(&self.future);
        if future.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready()) {
            *future = None;
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.run();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.run();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;

    use super::*;

    #[test]
    fn it_runs_where_it_is_woken_and_once_more_if_it_is_woken_meanwhile() {
        let polls = Arc::<AtomicUsize>::default();
        let count = polls.clone();
        let task = Task::new(
            poll_fn(move |context| {
                // Woken while it runs, twice: one more round.
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    context.waker().wake_by_ref();
                    context.waker().wake_by_ref();
                }
                if count.load(Ordering::SeqCst) < 4 { Poll::Pending } else { Poll::Ready(()) }
            }),
            || true,
        );
        task.run();
        assert_eq!(polls.load(Ordering::SeqCst), 2);
        std::thread::scope(|scope| _ = scope.spawn(|| Waker::from(task.clone()).wake()));
        assert_eq!(polls.load(Ordering::SeqCst), 3);
        task.run();
        task.run();
        assert_eq!(polls.load(Ordering::SeqCst), 4, "what is done does not run");
        assert_eq!(Arc::strong_count(&polls), 1, "and is dropped");
    }

    #[test]
    fn a_thread_that_is_needed_elsewhere_leaves_it() {
        for relied_on in [true, false] {
            let (polls, put_off) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
            let (count, later) = (polls.clone(), put_off.clone());
            let task = Task::new(
                poll_fn(move |context| {
                    context.waker().wake_by_ref();
                    if count.fetch_add(1, Ordering::SeqCst) < 100 { Poll::Pending } else { Poll::Ready(()) }
                }),
                move || {
                    later.fetch_add(1, Ordering::SeqCst);
                    relied_on
                },
            );
            task.run();
            let expected = if relied_on { (16, 1) } else { (101, 86) };
            assert_eq!((polls.load(Ordering::SeqCst), put_off.load(Ordering::SeqCst)), expected);
            // Later.
            (0..10).for_each(|_| task.run());
            assert_eq!(polls.load(Ordering::SeqCst), 101);
        }
    }

    #[test]
    fn a_panic_ends_it() {
        let task = Task::new(poll_fn(|_| panic!("a mistake")), || true);
        assert!(catch_unwind(AssertUnwindSafe(|| task.run())).is_err());
        task.run();
        assert!(lock(&task.future).is_none());
    }
}
