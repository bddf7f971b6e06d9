//! What a shard has to do later. A timer is never taken back: whoever set it checks, when it fires, whether it still
//! matters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A peer's handshake should be done.
    Handshake { slot: usize, uid: u64 },
    /// A message that a peer has begun should be whole.
    Message { slot: usize, uid: u64 },
    /// A peer may have been silent for too long.
    Heartbeat { slot: usize, uid: u64 },
    /// A peer may have been full for too long.
    Evict { slot: usize, uid: u64 },
    /// A peer that is drained should be gone.
    Drain { slot: usize, uid: u64 },
    /// A connection that is being made tries another address too.
    NextAddress { slot: usize, uid: u64 },
    /// A dialer tries again.
    Redial { slot: usize, uid: u64 },
    /// A listener accepts again, after the system ran out of something.
    Accept { slot: usize, uid: u64 },
    /// A closed socket's time is up.
    Linger { hub: u64 },
    /// Messages of a socket have gathered for long enough.
    Rested { hub: u64 },
}

/// The timers of one shard. Times count from an origin of the shard's choice.
#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Duration, Timer)>>);

impl Timers {
    /// A time that could not be told any more, [`Duration::MAX`], never comes: nothing is kept for it.
    pub(crate) fn set(&mut self, at: Duration, timer: Timer) {
        if at < Duration::MAX {
            self.0.push(Reverse((at, timer)));
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The next one that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop().map(|Reverse((_, timer))| timer)
    }
}
