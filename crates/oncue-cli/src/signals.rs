//! The end of the program: what causes it, and how every wait notices it at once.

use std::ffi::c_int;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::Thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;

use crate::fail::Fail;
use crate::wait::{spawn, wait, wait_until};

/// The exit status after a signal, less its number: the shell's.
pub(crate) const STATUS_SIGNAL: c_int = 128;
/// How long a subcommand may take to end after a signal, beside its linger and other times that it has asked for. A
/// look-up of a host name, for example, cannot be interrupted.
const END_MAX: Duration = Duration::from_secs(1);

/// Whether the subcommand is to end. All clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<State>>);

/// What is done when the process ends at once.
type Farewell = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    cause: Option<Cause>,
    /// The first signal.
    signal: Option<c_int>,
    /// When the last signal came.
    since: Option<Instant>,
    /// Whether a signal has come since there was a cause: nothing is waited for any more.
    hurried: bool,
    /// How long the end may take beside [`END_MAX`].
    patience: Duration,
    /// The threads that have waited, to be woken at the end.
    waiting: Vec<Thread>,
    farewells: Vec<Farewell>,
}

/// Why the subcommand is to end: the first cause counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This signal has come.
    Signal(c_int),
    /// Nobody reads standard output any more.
    OutputClosed,
    /// Standard output cannot be written.
    OutputFailed,
    /// The work is done.
    Done,
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
    /// Ends on these signals. After a second signal nothing is waited for; a third one ends the process at once.
    pub(crate) fn on(&self, signals: impl IntoIterator<Item = c_int>) -> Result<(), Fail> {
        let ours = self.clone();
        on_signals(signals, move |signal| ours.signalled(signal))
    }

    /// Ends on SIGHUP too, unless it is to be ignored, as `nohup` asks for.
    pub(crate) fn on_hangup(&self) -> Result<(), Fail> {
        if is_ignored(SIGHUP) { Ok(()) } else { self.on([SIGHUP]) }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn stop(&self, cause: Cause) {
        let mut state = self.state();
        state.cause.get_or_insert(cause);
        state.wake();
    }

    /// Why the subcommand is to end, if it is.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.state().cause
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.cause().is_some()
    }

    /// The first signal, if one has come.
    pub(crate) fn signal(&self) -> Option<c_int> {
        self.state().signal
    }

    /// The result of a subcommand that ends before its work is done.
    pub(crate) fn unfinished(&self) -> Result<(), Fail> {
        match self.cause() {
            Some(Cause::Signal(signal)) => Err(Fail::Signal(signal)),
            _ => Ok(()),
        }
    }

    /// The end after a signal may take this long in addition.
    pub(crate) fn allow(&self, time: Duration) {
        let mut state = self.state();
        state.patience = state.patience.saturating_add(time);
    }

    /// However the subcommand ends, without closing its socket or even at once, `farewell` is called before.
    pub(crate) fn at_exit(&self, farewell: impl Fn() + Send + 'static) {
        self.state().farewells.push(Box::new(farewell));
    }

    /// Does what [`at_exit`](Stop::at_exit) asked for.
    pub(crate) fn bid_farewell(&self) {
        let farewells = std::mem::take(&mut self.state().farewells);
        farewells.iter().for_each(|farewell| farewell());
    }

    /// Ends the process at once, with the status of a shell for a program that a signal has ended.
    fn exit(&self, signal: c_int) -> ! {
        self.bid_farewell();
        std::process::exit(STATUS_SIGNAL + signal)
    }

    fn signalled(&self, signal: c_int) {
        let mut state = self.state();
        let first = state.signal.is_none();
        state.signal.get_or_insert(signal);
        if state.cause.is_none() {
            state.cause = Some(Cause::Signal(signal));
        } else if state.hurried {
            drop(state);
            self.exit(signal);
        } else {
            state.hurried = true;
            state.patience = Duration::ZERO;
        }
        state.since = Some(Instant::now());
        state.wake();
        drop(state);
        if first {
            let ours = self.clone();
            // Without this thread the end may take longer.
            let _ = spawn("end", move || ours.end_in_time(signal));
        }
    }

    /// Ends the process when its time is over.
    fn end_in_time(&self, signal: c_int) {
        loop {
            let left = {
                let state = self.state();
                let end =
                    state.since.and_then(|since| since.checked_add(END_MAX.saturating_add(state.patience)));
                // Beyond the end of time: it is looked at again.
                end.map_or(END_MAX, |end| end.saturating_duration_since(Instant::now()))
            };
            if left.is_zero() {
                self.exit(signal);
            }
            std::thread::sleep(left.min(END_MAX));
        }
    }

    /// Waits for an operation that closes the socket, unless a second signal comes first. No farewell is left to do. Calls
    /// `tell` once if that takes until `due`.
    pub(crate) fn wait_to_end_telling<F: Future>(
        &self,
        operation: F,
        due: Instant,
        tell: impl FnOnce(),
    ) -> Option<F::Output> {
        let mut operation = pin!(operation);
        let mut step = poll_fn(|context| {
            let hurried = self.enlist().hurried;
            if hurried { Poll::Ready(None) } else { operation.as_mut().poll(context).map(Some) }
        });
        let output = wait_until(&mut step, Some(due)).unwrap_or_else(|| {
            tell();
            wait(&mut step)
        });
        // They would keep the engine, which waits for peers to take what was written.
        let farewells = std::mem::take(&mut self.state().farewells);
        drop(farewells);
        output
    }

    /// The same without a word.
    pub(crate) fn wait_to_end<F: Future>(&self, operation: F) -> Option<F::Output> {
        self.wait_to_end_telling(operation, Instant::now() + END_MAX, || ())
    }

    /// Waits for `operation` until `deadline`, or until the end. Both are checked before the operation is polled: a
    /// steady stream of results must not put them off for ever.
    pub(crate) fn wait<F: Future>(&self, operation: F, deadline: Option<Instant>) -> Waited<F::Output> {
        let mut operation = pin!(operation);
        let step = poll_fn(|context| {
            if self.enlist().cause.is_some() {
                return Poll::Ready(Waited::Stopped);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Waited::TimedOut);
            }
            operation.as_mut().poll(context).map(Waited::Ready)
        });
        wait_until(step, deadline).unwrap_or(Waited::TimedOut)
    }

    /// Registers this thread to be woken at the end.
    fn enlist(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let this = std::thread::current();
        if !state.waiting.iter().any(|thread| thread.id() == this.id()) {
            state.waiting.push(this);
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(|thread| thread.unpark());
    }
}

/// Whether the system ignores a signal for this process.
fn is_ignored(signal: c_int) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (signal - 1)) != 0
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
        stop.stop(Cause::Done);
        for wait in waits {
            assert_eq!(wait.join().expect("the wait does not panic"), Waited::Stopped);
        }
        assert_eq!(stop.wait(ready(7), None), Waited::Stopped);
    }
}
