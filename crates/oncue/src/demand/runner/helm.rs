//! The helm: a thread that runs something calls quick functions itself, and leaves what it runs here meanwhile. To hand each
//! call to another thread would cost several times what the call takes.
//!
//! A second thread, the lookout, looks from time to time while there are calls. If one lasts, the lookout goes on with what
//! was left, and the thread that comes back from the call is the lookout from then on. So a quick function that suddenly blocks
//! delays others by [`CALL_TIME_MAX`] and [`LOOK_TIME`] at most. Without a lookout, [`leave`](Helm::leave) fails.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How often the lookout looks.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// From this time on, a call lasts.
const CALL_TIME_MAX: Duration = Duration::from_millis(5);
/// After this number of looks without a call between them, the lookout sleeps until there is one.
const IDLE_LOOKS_MAX: u32 = 2;

/// Where a `T` is while its thread is in a call.
pub(crate) struct Helm<T> {
    state: Mutex<State<T>>,
    look: Condvar,
    /// Of the second thread.
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State<T> {
    left: Option<Left<T>>,
    /// How many calls there were.
    calls: u64,
    lookout: Lookout,
    over: bool,
}

struct Left<T> {
    what: T,
    call: Call,
    since: Instant,
}

/// A call, for which something was left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookout {
    Nobody,
    Sleeps,
    Looks,
}

impl<T> Helm<T> {
    pub(crate) fn new() -> Helm<T> {
        let state = State { left: None, calls: 0, lookout: Lookout::Nobody, over: false };
        Helm { state: Mutex::new(state), look: Condvar::new(), thread: Mutex::default() }
    }

    /// Leaves this for the time of a call.
    ///
    /// # Errors
    /// Returns `what` if there is no lookout.
    pub(crate) fn leave(&self, what: T) -> Result<Call, T> {
        let mut state = lock(&self.state);
        let lookout = std::mem::replace(&mut state.lookout, Lookout::Looks);
        if lookout == Lookout::Nobody {
            state.lookout = lookout;
            return Err(what);
        }
        state.calls += 1;
        let call = Call(state.calls);
        state.left = Some(Left { what, call, since: Instant::now() });
        drop(state);
        if lookout == Lookout::Sleeps {
            self.look.notify_one();
        }
        Ok(call)
    }

    /// The call is over. `None`: it has lasted, and another thread goes on with what was left.
    pub(crate) fn come_back(&self, from: Call) -> Option<T> {
        let mut state = lock(&self.state);
        let left = state.left.take_if(|left| left.call == from);
        left.map(|left| left.what)
    }

    /// Looks out until a call lasts, and returns what was left for it. `None` once it is over.
    pub(crate) fn look_out(&self) -> Option<T> {
        let mut state = lock(&self.state);
        state.lookout = Lookout::Sleeps;
        let (mut calls, mut idle) = (state.calls, 0);
        while !state.over {
            if state.lookout == Lookout::Sleeps {
                state = self.look.wait(state).unwrap_or_else(PoisonError::into_inner);
                idle = 0;
                continue;
            }
            let waited = self.look.wait_timeout(state, LOOK_TIME).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if let Some(left) = state.left.take_if(|left| left.since.elapsed() >= CALL_TIME_MAX) {
                state.lookout = Lookout::Nobody;
                return Some(left.what);
            }
            idle = if state.calls == calls { idle + 1 } else { 0 };
            calls = state.calls;
            if idle >= IDLE_LOOKS_MAX && state.left.is_none() {
                state.lookout = Lookout::Sleeps;
            }
        }
        state.lookout = Lookout::Nobody;
        None
    }

    /// It is over: the lookout returns.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.state);
        state.over = true;
        // Something only if a call has panicked.
        let left = state.left.take();
        drop(state);
        drop(left);
        self.look.notify_all();
    }

    /// Starts the second thread, unless it runs. If the system has none left, nothing can be left here.
    pub(crate) fn start(&self, spawn: impl FnOnce() -> io::Result<JoinHandle<()>>) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            *thread = spawn().ok();
        }
    }

    /// The second thread, to be joined.
    pub(crate) fn take_thread(&self) -> Option<JoinHandle<()>> {
        lock(&self.thread).take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Leaves this as soon as there is a lookout.
    fn leave(helm: &Helm<u32>, mut what: u32) -> Call {
        loop {
            match helm.leave(what) {
                Ok(call) => return call,
                Err(back) => what = back,
            }
            thread::yield_now();
        }
    }

    #[test]
    fn without_a_lookout_nothing_is_left() {
        let helm = Helm::new();
        assert!(helm.leave(7).is_err_and(|back| back == 7));
        helm.finish();
        assert_eq!(helm.look_out(), None);
        assert!(helm.leave(7).is_err());
    }

    #[test]
    fn a_quick_call_comes_back_and_one_that_lasts_has_lost_the_helm() {
        let helm = Arc::new(Helm::new());
        let (taken, took) = channel();
        let other = helm.clone();
        let lookout = thread::spawn(move || {
            while let Some(what) = other.look_out() {
                taken.send(what).unwrap();
            }
        });
        let call = leave(&helm, 1);
        // At once, or on a very busy machine too late.
        let came_back = helm.come_back(call);
        assert!(came_back == Some(1) || took.recv() == Ok(1));
        assert_eq!(helm.come_back(call), None, "once");
        let lasts = leave(&helm, 2);
        assert_eq!(took.recv(), Ok(2), "the lookout goes on with it, whether it slept or not");
        let next = leave(&helm, 3);
        assert_eq!(helm.come_back(lasts), None, "what was left since is of another call");
        let came_back = helm.come_back(next);
        assert!(came_back == Some(3) || took.recv() == Ok(3));
        helm.finish();
        lookout.join().unwrap();
    }

    #[test]
    fn a_lookout_that_sleeps_is_woken_by_a_call() {
        let helm = Arc::new(Helm::new());
        let other = helm.clone();
        let lookout = thread::spawn(move || other.look_out());
        let call = leave(&helm, 1);
        if helm.come_back(call).is_some() {
            let sleeps = || lock(&helm.state).lookout == Lookout::Sleeps;
            while !sleeps() {
                thread::sleep(LOOK_TIME);
            }
            leave(&helm, 1);
        }
        assert_eq!(lookout.join().unwrap(), Some(1));
    }
}
