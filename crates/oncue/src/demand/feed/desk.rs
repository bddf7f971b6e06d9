//! The desk between a runner and its feeds: a letterbox for notes, the runner's clock, and the counts of all feeds. It
//! holds ids and values, never a feed, so that nothing in the letterbox keeps a producer alive.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use oncue_core::feeds::{FeedId, RouteId};

use super::counts::Counters;
use super::failure::Failure;
use crate::op::{Op, Waiters};
use crate::sync::{Clock, lock};

/// The bound of [`Desk::ask`]: beyond it, a subscription to a topic does not cause its last value to be filled in.
const ASKED_MAX: usize = 65_536;

/// What the runner is told.
pub(crate) enum Note {
    /// The producer of a feed has ended, or has finished stopping.
    Ended { id: FeedId, generation: u64, failed: bool },
    /// A feed has published its first value.
    Produced { id: FeedId, generation: u64 },
    /// A feed was ended through one of its handles: its producer must be told.
    Quit { generation: u64 },
    /// A feed has a value that must not be sent before this time.
    Hold { generation: u64, until: Duration },
    /// A peer has subscribed to this topic, and its last value may be missing.
    Asked(Box<[u8]>),
    /// What the catalogue function of a route has listed, which was due at this time.
    Listed { route: RouteId, due: Duration, topics: Result<Vec<Vec<u8>>, Failure> },
    /// Routes were added and removed.
    Routes { added: Vec<RouteId>, removed: Vec<RouteId> },
    /// A subscription is held, and is due before anything else that is held.
    Held,
    /// Answer: somebody asks whether the runner makes turns.
    Probe(Sender<()>),
    /// Stop every feed and return.
    Stop,
}

pub(crate) struct Desk {
    /// Tells the threads of one runner from those of another; not 0.
    id: u64,
    clock: Clock,
    letterbox: Mutex<Letterbox>,
    runner: Waiters,
    /// Of all feeds.
    pub(crate) counters: Counters,
}

#[derive(Default)]
struct Letterbox {
    notes: Vec<Note>,
    /// Topics for [`Note::Asked`], each once.
    asked: BTreeSet<Box<[u8]>>,
}

thread_local! {
    /// The runner that this thread belongs to; 0 for none.
    static RUNNER: Cell<u64> = const { Cell::new(0) };
}

impl Desk {
    pub(crate) fn new(clock: Clock) -> Desk {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let (letterbox, runner, counters) = Default::default();
        Desk { id, clock, letterbox, runner, counters }
    }

    /// The time since the runner's origin.
    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Leaves a note for the runner.
    pub(crate) fn tell(&self, note: Note) {
        lock(&self.letterbox).notes.push(note);
        self.runner.wake();
    }

    /// Leaves a [`Note::Asked`], unless there is one of this topic or there are too many.
    pub(crate) fn ask(&self, topic: &[u8]) {
        let mut letterbox = lock(&self.letterbox);
        if letterbox.asked.len() < ASKED_MAX && letterbox.asked.insert(topic.into()) {
            drop(letterbox);
            self.runner.wake();
        }
    }

    /// A feed begins, and its value is filled in anyway: takes a [`Note::Asked`] of its topic back.
    pub(crate) fn forget_asked(&self, topic: &[u8]) {
        lock(&self.letterbox).asked.remove(topic);
    }

    /// The notes left since the runner last asked; waits until there is one.
    pub(crate) fn notes(&self) -> Op<impl Future<Output = Vec<Note>> + '_> {
        self.runner.until(|| {
            let Letterbox { mut notes, asked } = std::mem::take(&mut *lock(&self.letterbox));
            notes.extend(asked.into_iter().map(Note::Asked));
            (!notes.is_empty()).then_some(notes)
        })
    }

    /// Makes this thread one of the runner's own.
    pub(crate) fn adopt_thread(&self) {
        RUNNER.set(self.id);
    }

    /// Whether this thread is one of the runner's own: it cannot wait for the runner's threads to end.
    pub(crate) fn on_own_thread(&self) -> bool {
        RUNNER.get() == self.id
    }
}
