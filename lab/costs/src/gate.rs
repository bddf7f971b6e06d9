//! Holds an engine's I/O thread still, so that what the test thread sends meanwhile is one batch whatever the
//! scheduler does. Otherwise the size of batches, and so the cost of a message, would differ from run to run.
//!
//! It uses the public API: wakers are called on the I/O thread, with no lock held, and this one does not return until it is
//! released. Programs must not do that; here it is the purpose.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};

use oncue::{Engine, Options, Sub, XPub};

const NAME: &str = "inproc://gate";
const PREFIX: &str = "gate";

/// A pair of sockets whose only purpose is to call a waker on the I/O thread.
pub(crate) struct Gate {
    door: XPub,
    key: Sub,
    wanted: bool,
    held: Option<Arc<Held>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Awaited,
    Held,
    Open,
}

struct Held(Mutex<State>, Condvar);

impl Held {
    fn set(&self, state: State) {
        *self.0.lock().expect("no thread panics while it holds the lock") = state;
        self.1.notify_all();
    }

    fn wait_for(&self, state: State) {
        let guard = self.0.lock().expect("no thread panics while it holds the lock");
        drop(
            self.1.wait_while(guard, |now| *now != state).expect("no thread panics while it holds the lock"),
        );
    }
}

impl Wake for Held {
    fn wake(self: Arc<Self>) {
        self.set(State::Held);
        self.wait_for(State::Open);
    }
}

impl Gate {
    pub(crate) fn new(engine: &Engine) -> Gate {
        let door = XPub::new(engine, Options::new()).expect("a socket");
        door.bind(NAME).expect("a free name");
        let key = Sub::new(engine, Options::new()).expect("a socket");
        key.subscribe("").expect("a subscription");
        key.connect(NAME).expect("the name is bound");
        door.event().wait().expect("the subscription comes");
        Gate { door, key, wanted: false, held: None }
    }

    /// Returns once the I/O thread stands still.
    pub(crate) fn hold(&mut self) {
        while self.door.try_event().expect("the socket is open").is_some() {}
        let held = Arc::new(Held(Mutex::new(State::Awaited), Condvar::new()));
        let waker = Waker::from(held.clone());
        let mut event = self.door.event();
        let polled = Pin::new(&mut event).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending(), "an unexpected edge: {polled:?}");
        self.wanted = !self.wanted;
        match self.wanted {
            true => drop(self.key.subscribe(PREFIX).expect("a subscription")),
            false => assert!(self.key.unsubscribe(PREFIX).expect("the socket is open")),
        }
        held.wait_for(State::Held);
        self.held = Some(held);
    }

    /// Releases the I/O thread.
    pub(crate) fn open(&mut self) {
        if let Some(held) = self.held.take() {
            held.set(State::Open);
        }
    }
}

impl Drop for Gate {
    /// Releases the I/O thread also on a panic, since its engine waits for it.
    fn drop(&mut self) {
        self.open();
    }
}
