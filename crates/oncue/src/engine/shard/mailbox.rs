//! How other threads reach a shard: notes in a box, and a bell that rings only while the shard sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::hub::members::Seat;
use crate::engine::hub::{Hub, Note};
use crate::net::{Notify, Ready};
use crate::sync::lock;

/// The notes of one shard, and the streams that another shard has accepted for it.
pub(crate) struct Mailbox<S> {
    state: Mutex<State<S>>,
    asleep: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

struct State<S> {
    notes: Vec<Note>,
    streams: Vec<Accepted<S>>,
    /// The shard has ended; nothing is taken out any more.
    closed: bool,
}

/// A stream that was accepted for a socket.
pub(crate) struct Accepted<S> {
    pub(crate) hub: Arc<Hub>,
    pub(crate) stream: S,
    /// The uid of the listener that it came by.
    pub(crate) listener: u64,
    pub(crate) seat: Seat,
    /// Why it is turned away, if it is.
    pub(crate) turned_away: Option<String>,
}

impl<S: Send> Mailbox<S> {
    /// `ring` wakes the shard's thread.
    pub(crate) fn new(ring: impl Fn() + Send + Sync + 'static) -> Mailbox<S> {
        let state = State { notes: Vec::new(), streams: Vec::new(), closed: false };
        Mailbox { state: Mutex::new(state), asleep: AtomicBool::new(false), ring: Box::new(ring) }
    }

    /// Leaves a note. A note for a shard that has ended is dropped.
    pub(crate) fn mail(&self, note: Note) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.notes.push(note);
            drop(state);
            self.ring();
        }
    }

    /// Hands over an accepted stream. A stream for a shard that has ended is closed.
    pub(crate) fn adopt(&self, accepted: Accepted<S>) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.streams.push(accepted);
            drop(state);
            self.ring();
        }
    }

    /// The shard has ended: drops everything here, and from now on everything that comes. A note or a stream holds its
    /// socket, and the socket holds this mailbox: what stayed here would stay for ever.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let left = (std::mem::take(&mut state.notes), std::mem::take(&mut state.streams));
        // A dropped value may leave a note here.
        drop(state);
        drop(left);
    }

    /// Takes everything; `notes` and `streams` must be empty.
    pub(crate) fn take(&self, notes: &mut Vec<Note>, streams: &mut Vec<Accepted<S>>) {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.notes, notes);
        std::mem::swap(&mut state.streams, streams);
    }

    /// The shard is about to sleep. Returns false if something has come, so that it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let state = lock(&self.state);
        let empty = state.notes.is_empty() && state.streams.is_empty();
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
        if self.asleep.swap(false, Ordering::SeqCst) {
            (self.ring)();
        }
    }
}

impl<S: Send> Notify for Mailbox<S> {
    fn notify(&self, ready: Ready) {
        self.mail(Note::Ready(ready));
    }
}
