//! The watches of one socket's connections, each with a queue of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::connection::{Cause, ConnectionEvent, ConnectionEventKind};
use crate::op::Waiters;
use crate::sync::lock;

/// How many events wait in one watch at most. What a stranger adds to one of them is an ERROR's text of 255 bytes, so this
/// bounds the bytes too.
pub(crate) const EVENTS_MAX: usize = 1024;

/// What an event is about: a listener or dialer, or a peer that came by a listener; each by its shard and its uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Link(u16, u64),
    Peer(u16, u64),
}

/// The watches of one socket's connections.
#[derive(Default)]
pub(crate) struct Connections {
    /// How many there are: while it is 0, no event is made.
    count: AtomicUsize,
    watches: Mutex<Vec<Arc<ConnectionWatch>>>,
}

/// A queue of events for one reader.
pub(crate) struct ConnectionWatch {
    state: Mutex<State>,
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct State {
    events: VecDeque<(Subject, ConnectionEvent)>,
    /// The cause of each dialer's last failure, until it is connected: the same one is told once.
    failing: HashMap<Subject, Cause>,
    missed: u64,
}

impl Connections {
    /// Whether anybody watches: only then an event is made.
    #[inline]
    pub(crate) fn are_watched(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(crate) fn watch(&self) -> Arc<ConnectionWatch> {
        let watch = Arc::new(ConnectionWatch { state: Mutex::default(), waiters: Waiters::default() });
        let mut watches = lock(&self.watches);
        watches.push(watch.clone());
        self.count.store(watches.len(), Ordering::Release);
        watch
    }

    pub(crate) fn unwatch(&self, watch: &ConnectionWatch) {
        let mut watches = lock(&self.watches);
        watches.retain(|other| !std::ptr::eq(&**other, watch));
        self.count.store(watches.len(), Ordering::Release);
    }

    /// Queues an event in all watches.
    pub(crate) fn tell(&self, subject: Subject, event: &ConnectionEvent, wakes: &mut Vec<Waker>) {
        for watch in &*lock(&self.watches) {
            lock(&watch.state).push(subject, event);
            watch.waiters.take(wakes);
        }
    }

    /// The socket is closed: readers get its end.
    pub(crate) fn wake(&self, wakes: &mut Vec<Waker>) {
        lock(&self.watches).iter().for_each(|watch| watch.waiters.take(wakes));
    }
}

impl ConnectionWatch {
    pub(crate) fn pop(&self) -> Option<ConnectionEvent> {
        lock(&self.state).events.pop_front().map(|(_, event)| event)
    }

    /// How many events were left out to keep the bound.
    pub(crate) fn missed(&self) -> u64 {
        lock(&self.state).missed
    }
}

impl State {
    fn push(&mut self, subject: Subject, event: &ConnectionEvent) {
        match &event.kind {
            ConnectionEventKind::Failed { cause, .. } => match self.failing.get(&subject) {
                Some(before) if cause.repeats(before) => return,
                _ => _ = self.failing.insert(subject, cause.clone()),
            },
            ConnectionEventKind::Connected { .. } | ConnectionEventKind::Stopped => {
                self.failing.remove(&subject);
            }
            _ => {}
        }
        if self.events.len() >= EVENTS_MAX && !self.make_room(subject) {
            return;
        }
        self.events.push_back((subject, event.clone()));
    }

    /// Leaves out an event that waits, so that there is room for one about `subject`. Returns false if that one is to be
    /// left out as well: both cancel out.
    fn make_room(&mut self, subject: Subject) -> bool {
        let place = |about: &dyn Fn(&Subject) -> bool| self.events.iter().position(|(of, _)| about(of));
        let own = place(&|of| *of == subject);
        let (at, cancels) = match own {
            // A peer's first event is that it came, its last one that it is gone.
            Some(at) => (at, matches!(subject, Subject::Peer(..))),
            None => (place(&|of| matches!(of, Subject::Peer(..))).unwrap_or(0), false),
        };
        self.events.remove(at);
        self.missed += 1 + u64::from(cancels);
        !cancels
    }
}
