//! How other threads reach a shard: notes in a box, and a bell that rings only where the shard sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::hub::Hub;
use crate::engine::hub::kept::Keeping;
use crate::engine::hub::members::Seat;
use crate::engine::peer::permission::Verdict;
use crate::engine::shard::short_way::Direct;
use crate::msg::Msg;
use crate::net::{Notify, Ready};
use crate::op::Place;
use crate::permission::{PeerKey, Reason};
use crate::sync::lock;

/// What a shard can be told.
pub(crate) enum Note {
    /// The socket has messages to send.
    Outbox(Arc<Hub>),
    /// The socket's own subscriptions have changed.
    Subscriptions(Arc<Hub>),
    /// The user has made room for a peer that was not read.
    Resume { slot: usize, uid: u64 },
    /// A stream that the system does not watch is ready.
    Ready(Ready),
    /// The user has decided about a prefix that a peer asked for, or has.
    Verdict { hub: Arc<Hub>, peer: PeerKey, prefix: Vec<u8>, verdict: Verdict },
    /// No peer may have this prefix any more.
    RevokeAll { hub: Arc<Hub>, prefix: Vec<u8>, status: Reason },
    /// Peers that have left the socket had more prefixes than are released at once.
    Release(Arc<Hub>),
    /// The user has set the state of a topic.
    State { hub: Arc<Hub>, value: Msg },
    /// The user has closed the socket.
    Close(Arc<Hub>),
    /// The engine ends once its sockets have.
    Stop,
}

/// A shard, as other threads see it.
pub(crate) trait Port: Send + Sync {
    /// Leaves a note.
    fn mail(&self, note: Note);

    /// Sends one message in this thread, and keeps it if it is to be the `last` of its topic, if nobody else is at the
    /// shard and nothing waits to be sent before it. `false`: nothing was done.
    fn send_now(&self, hub: &Arc<Hub>, message: &Direct<'_>, last: Option<&Keeping>) -> bool;

    /// Where a thread can sleep that waits for what this shard receives.
    fn place(self: Arc<Self>) -> Option<Arc<dyn Place>>;
}

/// The notes of one shard, and the streams that another shard has accepted for it.
pub(crate) struct Mailbox<S> {
    state: Mutex<State<S>>,
    asleep: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

struct State<S> {
    notes: Vec<Note>,
    streams: Vec<Accepted<S>>,
    /// The shard has ended, and nobody looks any more.
    closed: bool,
}

/// A stream that was accepted for a socket.
pub(crate) struct Accepted<S> {
    pub(crate) hub: Arc<Hub>,
    pub(crate) stream: S,
    /// The uid of the listener that it came by.
    pub(crate) listener: u64,
    pub(crate) seat: Seat,
    /// Why it cannot stay, if so.
    pub(crate) turned_away: Option<String>,
}

impl<S: Send> Mailbox<S> {
    /// `ring` wakes the shard's thread.
    pub(crate) fn new(ring: impl Fn() + Send + Sync + 'static) -> Mailbox<S> {
        let state = State { notes: Vec::new(), streams: Vec::new(), closed: false };
        Mailbox { state: Mutex::new(state), asleep: AtomicBool::new(false), ring: Box::new(ring) }
    }

    /// Leaves a note. One for a shard that has ended is dropped.
    pub(crate) fn mail(&self, note: Note) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.notes.push(note);
            drop(state);
            self.ring();
        }
    }

    /// Hands over an accepted stream. One for a shard that has ended is closed.
    pub(crate) fn adopt(&self, accepted: Accepted<S>) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.streams.push(accepted);
            drop(state);
            self.ring();
        }
    }

    /// The shard has ended: drops all that waits here, and from now on all that comes. A note or a stream holds its
    /// socket, and the socket holds the way to this mailbox: what stayed here would stay for ever.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let left = (std::mem::take(&mut state.notes), std::mem::take(&mut state.streams));
        // What goes may tell others that it goes, by a note here among others.
        drop(state);
        drop(left);
    }

    /// Takes all that came; `notes` and `streams` must be empty.
    pub(crate) fn take(&self, notes: &mut Vec<Note>, streams: &mut Vec<Accepted<S>>) {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.notes, notes);
        std::mem::swap(&mut state.streams, streams);
    }

    /// The shard is about to sleep; `false` if something has come, so that it must not.
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
