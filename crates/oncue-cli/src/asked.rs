//! The signals for a running server or node: SIGHUP to read the config again, SIGUSR1 to print its counts.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use signal_hook::consts::{SIGHUP, SIGUSR1};

use crate::fail::Fail;
use crate::signals;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Reload,
    Report,
}

/// Signals that have not been handled yet. All clones share them.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// At most one of each kind.
    pending: Vec<Ask>,
    waker: Option<Waker>,
}

impl Asked {
    /// Handles the signals from now on.
    pub(crate) fn on_signals() -> Result<Asked, Fail> {
        let asked = Asked::default();
        let ours = asked.clone();
        signals::on_signals([SIGHUP, SIGUSR1], move |signal| {
            ours.ring(if signal == SIGHUP { Ask::Reload } else { Ask::Report });
        })?;
        Ok(asked)
    }

    /// Waits for a signal.
    pub(crate) fn next(&self) -> impl Future<Output = Ask> {
        poll_fn(|context| {
            let mut state = self.state();
            if let Some(ask) = state.pending.pop() {
                return Poll::Ready(ask);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn ring(&self, ask: Ask) {
        let mut state = self.state();
        if !state.pending.contains(&ask) {
            state.pending.push(ask);
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait;

    #[test]
    fn several_signals_of_a_kind_are_one() {
        let asked = Asked::default();
        for ask in [Ask::Reload, Ask::Report, Ask::Reload] {
            asked.ring(ask);
        }
        assert_eq!([wait(asked.next()), wait(asked.next())], [Ask::Report, Ask::Reload]);
        let other = asked.clone();
        let ring = std::thread::spawn(move || other.ring(Ask::Reload));
        assert_eq!(wait(asked.next()), Ask::Reload);
        ring.join().expect("it does not panic");
    }
}
