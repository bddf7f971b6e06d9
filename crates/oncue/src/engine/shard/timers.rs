//! What a shard has to do later. A timer is not cancelled: when it fires, its owner checks whether it still matters.
//! Timers that do not are swept before they are many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Peer {
        check: Check,
        slot: usize,
        uid: u64,
    },
    /// A dialer tries again, or a listener accepts again after a pause.
    Link {
        slot: usize,
        uid: u64,
    },
    /// The linger time of a closed socket is over.
    Linger {
        hub: u64,
    },
    /// The time that somebody waits for has come.
    Alarm {
        hub: u64,
    },
    /// Messages of a socket have gathered for long enough.
    Rested {
        hub: u64,
    },
}

/// What to check of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// While it is being connected: the connection should be there.
    Connect,
    /// Its handshake should be done.
    Handshake,
    /// A watch of connections is to know that the handshake is not done yet.
    Waiting,
    /// It should have sent its READY, for which ours waits.
    Ready,
    /// A message that it has begun should be complete.
    Message,
    /// It is to be pinged, or may have been silent for too long.
    Look,
    /// It may have been full for too long.
    Evict,
    /// It may change its subscriptions again.
    Changes,
    /// It is drained and should be gone.
    Drain,
    /// While it is being connected: another address is to be tried as well.
    NextAddress,
}

/// Timers are swept only above this number.
const SWEPT_MIN: usize = 1024;

/// The timers of one shard. Times count from an origin that its callers choose.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Timer)>>,
    /// At how many they are swept next.
    sweep_at: usize,
}

impl Timers {
    /// [`Duration::MAX`] never comes: no timer is kept for it.
    pub(crate) fn set(&mut self, at: Duration, timer: Timer) {
        if at < Duration::MAX {
            self.heap.push(Reverse((at, timer)));
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next timer that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }

    /// Sweeps timers that do not matter any more, once they may be more than the others: peers that come and go leave
    /// none behind. Costs a look at each timer since the last sweep.
    pub(crate) fn sweep(&mut self, matters: impl Fn(&Timer) -> bool) {
        if self.heap.len() > self.sweep_at.max(SWEPT_MIN) {
            self.heap.retain(|Reverse((_, timer))| matters(timer));
            self.sweep_at = 2 * self.heap.len();
            self.heap.shrink_to(self.sweep_at.max(SWEPT_MIN));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::engine::Engine;
    use crate::sync::lock;
    use crate::{Options, XPub};

    #[test]
    fn peers_that_come_and_go_before_their_handshake_leave_few_timers_behind() {
        const ROUNDS: u64 = 10;
        const PEERS: u64 = 400;
        let engine = Engine::start().unwrap();
        let x = XPub::new(&engine, Options::new().handshake_timeout(Duration::from_secs(3600))).unwrap();
        let endpoint = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let shard = &engine.0.driver.stations[0].shard;
        for round in 1..=ROUNDS {
            for _ in 0..PEERS {
                drop(TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap());
            }
            // The listener, and each peer.
            while lock(shard).next_uid <= round * PEERS || !lock(shard).peers.is_empty() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let timers = lock(shard).timers.heap.len();
        assert!(timers <= 2 * SWEPT_MIN, "{timers}");
    }

    #[test]
    fn timers_of_what_has_gone_are_never_more_than_those_of_what_is_there() {
        let (mut timers, hour) = (Timers::default(), Duration::from_secs(3600));
        for uid in 0..100_000 {
            let timer = Timer::Peer { check: Check::Handshake, slot: 0, uid };
            timers.set(hour + Duration::from_nanos(uid), timer);
            // Each hundredth peer stays.
            timers.sweep(|timer| matches!(timer, Timer::Peer { uid: of, .. } if of % 100 == 0 || *of == uid));
            assert!(
                timers.heap.len() <= SWEPT_MIN.max(2 * (uid as usize / 100 + 2)) + 1,
                "{}",
                timers.heap.len()
            );
        }
        let mut staying = 0;
        while let Some(Timer::Peer { uid, .. }) = timers.due(2 * hour) {
            staying += u64::from(uid % 100 == 0);
        }
        assert_eq!(staying, 1000, "none of those that matter is lost");
    }
}
