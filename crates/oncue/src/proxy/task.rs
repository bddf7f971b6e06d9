//! A future that runs where it is woken: on the I/O thread whose turn has brought something, or on the thread of a user
//! who has changed something. It needs no thread of its own, and no hop between threads.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Wake, Waker};
use std::thread;

use crate::sync::lock;

/// It does not run; it runs; it runs and is to run again.
const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const AGAIN: u8 = 2;

/// How often the future is polled in a row. Other threads may wake it again and again while it runs on an I/O thread, which
/// has connections to serve.
const ROUNDS_MAX: u32 = 16;

thread_local! {
    /// How many runs of tasks this thread is in: a waker that one of them calls may run another.
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

/// A run that goes on on this thread.
struct Run;

impl Run {
    fn begin() -> Run {
        RUNS.set(RUNS.get() + 1);
        Run
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        RUNS.set(RUNS.get() - 1);
    }
}

/// A future, until it is done.
pub(super) struct Task {
    future: Mutex<Kept>,
    state: AtomicU8,
    /// Its owner has ended it: nothing wakes it any more.
    ended: AtomicBool,
    /// Has the task woken after the next turn of an I/O thread; false if that cannot be relied on.
    later: Box<dyn Fn() -> bool + Send + Sync>,
}

type Kept = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Task {
    pub(super) fn new(
        future: impl Future<Output = ()> + Send + 'static,
        later: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Arc<Task> {
        let (future, later) = (Mutex::new(Some(Box::pin(future) as _)), Box::new(later));
        Arc::new(Task { future, state: AtomicU8::new(IDLE), ended: AtomicBool::new(false), later })
    }

    /// Runs the future until it waits, or has been woken too often for this thread. If it runs already, on this thread or on
    /// another, it will run once more there.
    pub(super) fn run(self: &Arc<Self>) {
        // In its last run it may wake itself, whatever thread has run it before.
        if self.ended.load(Ordering::SeqCst) || self.state.swap(AGAIN, Ordering::SeqCst) != IDLE {
            return;
        }
        let waker = Waker::from(self.clone());
        for round in 1.. {
            self.state.store(RUNNING, Ordering::SeqCst);
            if let Err(panic) = poll(lock(&self.future), &waker) {
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

    /// Runs the future for the last time; its owner has told it to end. On return it is gone, and no run goes on.
    ///
    /// Only where this thread is in the run of a task itself, of this one or of another, and a waker has led here, it does not
    /// wait for a run that goes on: that may be its own, or wait for this thread. The future ends at the end of that run.
    pub(super) fn end(self: &Arc<Self>) {
        let future = match self.future.try_lock() {
            Ok(future) => future,
            Err(TryLockError::Poisoned(future)) => future.into_inner(),
            Err(TryLockError::WouldBlock) if RUNS.get() > 0 => return self.run(),
            Err(TryLockError::WouldBlock) => lock(&self.future),
        };
        self.ended.store(true, Ordering::SeqCst);
        if let Err(panic) = poll(future, &Waker::from(self.clone())) {
            resume_unwind(panic);
        }
    }
}

/// Polls a future, and drops it if it is done or has panicked.
fn poll(mut future: MutexGuard<'_, Kept>, waker: &Waker) -> thread::Result<()> {
    let _run = Run::begin();
    let mut context = Context::from_waker(waker);
    let poll = || future.as_mut().is_some_and(|future| future.as_mut().poll(&mut context).is_ready());
    let polled = catch_unwind(AssertUnwindSafe(poll));
    if !matches!(polled, Ok(false)) {
        *future = None;
    }
    polled.map(drop)
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
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;
    use std::time::Duration;

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
    fn its_end_waits_for_a_run_on_another_thread_and_none_follows() {
        let (begun, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (polls, ending) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (count, is_ending, in_run) = (polls.clone(), ending.clone(), [begun.clone(), go_on.clone()]);
        let task = Task::new(
            poll_fn(move |_| {
                if is_ending.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                in_run.iter().for_each(|barrier| _ = barrier.wait());
                // The end is waited for by now, or soon.
                thread::sleep(Duration::from_millis(20));
                count.fetch_add(1, Ordering::SeqCst);
                Poll::Pending
            }),
            || true,
        );
        thread::scope(|scope| {
            scope.spawn(|| task.run());
            begun.wait();
            ending.store(true, Ordering::SeqCst);
            go_on.wait();
            task.end();
            assert_eq!(polls.load(Ordering::SeqCst), 1, "the run is over");
            assert_eq!(Arc::strong_count(&polls), 1, "and the future is gone");
        });
        task.run();
        assert_eq!(polls.load(Ordering::SeqCst), 1, "nothing runs any more");
    }

    #[test]
    fn it_can_be_ended_in_its_own_run_and_in_one_of_another() {
        let ended = Arc::<AtomicUsize>::default();
        let tasks = [(); 2].map(|()| {
            let (count, mut polls) = (ended.clone(), 0);
            Task::new(
                poll_fn(move |context| {
                    polls += 1;
                    match polls {
                        1 => Poll::Pending,
                        _ => {
                            count.fetch_add(1, Ordering::SeqCst);
                            context.waker().wake_by_ref();
                            Poll::Ready(())
                        }
                    }
                }),
                || true,
            )
        });
        tasks.iter().for_each(Task::run);
        let others = tasks.clone();
        let own = Arc::<Mutex<Option<Arc<Task>>>>::default();
        let itself = own.clone();
        let outer = Task::new(
            poll_fn(move |_| {
                others.iter().for_each(Task::end);
                let Some(task) = lock(&itself).take() else { return Poll::Ready(()) };
                task.end();
                Poll::Pending
            }),
            || true,
        );
        *lock(&own) = Some(outer.clone());
        outer.run();
        assert_eq!(ended.load(Ordering::SeqCst), 2);
        assert!(lock(&outer.future).is_none(), "it has run once more, to its end");
    }

    #[test]
    fn a_panic_ends_it() {
        let task = Task::new(poll_fn(|_| panic!("a mistake")), || true);
        assert!(catch_unwind(AssertUnwindSafe(|| task.run())).is_err());
        task.run();
        assert!(lock(&task.future).is_none());
    }
}
