//! Threads: how one is started, and blocked on a future.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::fail::Fail;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    // One waker per thread: sockets recognize it, and store it once.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

/// Starts a thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Fail> {
    let spawned = Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| Fail::Runtime(format!("the thread `{name}` cannot be started: {error}")))
}

/// Blocks this thread until the future is done.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    wait_until(future, None).expect("there is no deadline")
}

/// Blocks this thread until the future is done; None if the deadline passes first.
pub(crate) fn wait_until<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    WAKER.with(|waker| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Some(output);
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
    })
}

/// Which of two futures was done first, and what it yields.
pub(crate) enum First<A, B> {
    This(A),
    That(B),
}

/// Waits for the first of two futures; this one, if both are done.
pub(crate) async fn first<A: Future + Unpin, B: Future + Unpin>(
    mut this: A,
    mut that: B,
) -> First<A::Output, B::Output> {
    poll_fn(|context| match Pin::new(&mut this).poll(context) {
        Poll::Ready(output) => Poll::Ready(First::This(output)),
        Poll::Pending => Pin::new(&mut that).poll(context).map(First::That),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[test]
    fn the_first_of_two_futures_is_enough() {
        let of = |first| match first {
            First::This(n) => n,
            First::That(n) => n,
        };
        assert_eq!(of(wait(first(ready(1), ready(2)))), 1);
        assert_eq!(of(wait(first(pending(), ready(2)))), 2);
        assert_eq!(of(wait(first(ready(1), pending()))), 1);
    }

    #[test]
    fn a_future_is_waited_for_as_often_as_it_takes() {
        assert_eq!(wait(ready(7)), 7);
        let mut polls = 0;
        let third = poll_fn(|context| {
            polls += 1;
            let waker = context.waker().clone();
            std::thread::spawn(move || waker.wake());
            if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
        });
        assert_eq!(wait(third), 3);
    }
}
