//! The end of the program: what causes it, and how every wait notices it at once.

use std::ffi::c_int;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::Thread;
use std::time::Instant;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fail::Fail;
use crate::wait::{spawn, wait_until};

/// Whether the subcommand is to end. All clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    stopped: bool,
    /// The threads that have waited, to be woken at the end.
    waiting: Vec<Thread>,
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited<T> {
    /// The operation is done.
    Ready(T),
    /// The deadline has passed.
    TimedOut,
    /// The program is to end.
    Stopped,
}

impl Stop {
    /// A stop on SIGINT and SIGTERM. A second signal ends the process at once, even while the last messages are being
    /// sent.
    pub(crate) fn on_signals() -> Result<Stop, Fail> {
        let stop = Stop::default();
        let ours = stop.clone();
        on_signals([SIGINT, SIGTERM], move |_| {
            if ours.is_stopped() {
                std::process::exit(0);
            }
            ours.stop();
        })?;
        Ok(stop)
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.waiting.drain(..).for_each(|thread| thread.unpark());
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Waits for `operation` until `deadline`, or until the end. Both are checked before the operation is polled: a
    /// steady stream of results must not put them off for ever.
    pub(crate) fn wait<F: Future>(&self, operation: F, deadline: Option<Instant>) -> Waited<F::Output> {
        let mut operation = pin!(operation);
        let step = poll_fn(|context| {
            if !self.enlist() {
                return Poll::Ready(Waited::Stopped);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Waited::TimedOut);
            }
            operation.as_mut().poll(context).map(Waited::Ready)
        });
        wait_until(step, deadline).unwrap_or(Waited::TimedOut)
    }

    /// Registers this thread to be woken at the end; false if it has come.
    fn enlist(&self) -> bool {
        let mut state = self.state();
        let this = std::thread::current();
        if !state.waiting.iter().any(|thread| thread.id() == this.id()) {
            state.waiting.push(this);
        }
        !state.stopped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `handle` for each of these signals, on a thread of its own.
pub(crate) fn on_signals(
    signals: impl IntoIterator<Item = c_int>,
    mut handle: impl FnMut(c_int) + Send + 'static,
) -> Result<(), Fail> {
    let mut signals = Signals::new(signals)
        .map_err(|error| Fail::Runtime(format!("signals cannot be handled: {error}")))?;
    spawn("signals", move || signals.forever().for_each(&mut handle)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::time::Duration;

    #[test]
    fn what_is_ready_is_returned() {
        assert_eq!(Stop::default().wait(ready(7), None), Waited::Ready(7));
    }

    #[test]
    fn a_deadline_ends_a_wait_and_goes_before_what_is_ready() {
        let stop = Stop::default();
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(stop.wait(pending::<()>(), Some(soon)), Waited::TimedOut);
        assert_eq!(stop.wait(ready(7), Some(soon)), Waited::TimedOut);
    }

    #[test]
    fn the_end_wakes_every_wait_and_goes_before_what_is_ready() {
        let stop = Stop::default();
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                std::thread::spawn(move || stop.wait(pending::<()>(), None))
            })
            .collect();
        stop.stop();
        for wait in waits {
            assert_eq!(wait.join().expect("the wait does not panic"), Waited::Stopped);
        }
        assert_eq!(stop.wait(ready(7), None), Waited::Stopped);
    }
}
