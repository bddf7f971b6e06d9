//! SIGHUP: the config is to be read again.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;

/// Signals that have not been heeded.
#[derive(Clone, Default)]
pub(crate) struct Hangups(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Several signals before one is heeded are one.
    pending: bool,
    waker: Option<Waker>,
}

impl Hangups {
    /// Hears the signals from now on.
    pub(crate) fn hear() -> io::Result<Hangups> {
        let mut signals = Signals::new([SIGHUP])?;
        let hangups = Hangups::default();
        let ours = hangups.clone();
        let hear = move || signals.forever().for_each(|_| ours.ring());
        std::thread::Builder::new().name("hangups".to_owned()).spawn(hear)?;
        Ok(hangups)
    }

    /// Waits for a signal.
    pub(crate) fn next(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            let mut state = self.state();
            if std::mem::take(&mut state.pending) {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn ring(&self) {
        let mut state = self.state();
        state.pending = true;
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
    fn signals_before_one_is_heeded_are_one() {
        let hangups = Hangups::default();
        hangups.ring();
        hangups.ring();
        wait(hangups.next());
        assert!(!hangups.state().pending);
        let other = hangups.clone();
        let ring = std::thread::spawn(move || other.ring());
        wait(hangups.next());
        ring.join().expect("it does not panic");
    }
}
