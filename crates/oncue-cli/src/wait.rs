//! Threads: how one is started, and blocked on a future.

use std::pin::pin;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{poll_fn, ready};

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
