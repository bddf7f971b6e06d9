//! How other threads reach a shard: notes in a box, and a bell that rings only while the shard sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::endpoint::Endpoint;
use crate::engine::hub::members::Seat;
use crate::engine::hub::{Hub, Note};
use crate::home::Home;
use crate::net::{Notify, Ready};
use crate::sync::lock;

/// The letters to one shard: notes, and the streams that another shard has accepted for it.
pub(crate) struct Mailbox<S> {
    state: Mutex<State<S>>,
    asleep: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
    home: Home,
}

struct State<S> {
    letters: Vec<Letter<S>>,
    /// The shard has ended; nothing is taken out any more.
    closed: bool,
}

/// What a shard finds in its mailbox.
pub(crate) enum Letter<S> {
    Note(Note),
    Accepted(Accepted<S>),
}

/// A stream that was accepted for a socket.
pub(crate) struct Accepted<S> {
    pub(crate) hub: Arc<Hub>,
    pub(crate) stream: S,
    /// The uid of the listener that it came by.
    pub(crate) listener: u64,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) seat: Seat,
    /// Why it is turned away, if it is.
    pub(crate) turned_away: Option<String>,
}

impl<S: Send> Mailbox<S> {
    /// `ring` wakes the shard's thread.
    pub(crate) fn new(ring: impl Fn() + Send + Sync + 'static) -> Mailbox<S> {
        let state = State { letters: Vec::new(), closed: false };
        let asleep = AtomicBool::new(false);
        Mailbox { state: Mutex::new(state), asleep, ring: Box::new(ring), home: Home::default() }
    }

    /// Leaves a note. A note for a shard that has ended is dropped.
    pub(crate) fn mail(&self, note: Note) {
        self.put(Letter::Note(note));
    }

    /// Leaves a letter. A letter for a shard that has ended is dropped, and a stream in it is closed; so is a letter of a
    /// fork, where the shard has no thread.
    pub(crate) fn put(&self, letter: Letter<S>) {
        if self.is_forked() {
            return;
        }
        let mut state = lock(&self.state);
        if !state.closed {
            state.letters.push(letter);
            drop(state);
            self.ring();
        }
    }

    /// The shard has ended: drops everything here, and from now on everything that comes. A note or a stream holds its
    /// socket, and the socket holds this mailbox: what stayed here would stay for ever.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let left = std::mem::take(&mut state.letters);
        // A dropped value may leave a note here.
        drop(state);
        drop(left);
    }

    /// Takes everything; `letters` must be empty.
    pub(crate) fn take(&self, letters: &mut Vec<Letter<S>>) {
        std::mem::swap(&mut lock(&self.state).letters, letters);
    }

    /// The shard is about to sleep. Returns false if something has come, so that it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let empty = lock(&self.state).letters.is_empty();
        if !empty {
            self.asleep.store(false, Ordering::SeqCst);
        }
        empty
    }

    /// The shard is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Wakes the shard if it sleeps.
    pub(crate) fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) && !self.is_forked() {
            (self.ring)();
        }
    }

    /// Whether this process is a fork of the one that has the shard's thread.
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_left()
    }
}

impl<S: Send> Notify for Mailbox<S> {
    fn notify(&self, ready: Ready) {
        self.mail(Note::Ready(ready));
    }
}
