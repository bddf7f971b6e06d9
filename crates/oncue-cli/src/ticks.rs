//! The classic loop of a publisher that produces on demand: it follows the demand, and at each tick sends what is wanted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use oncue::{Prefix, XPub, XPubEvent};

use crate::fail::Fail;
use crate::signals::{Stop, Waited};

/// The ticks of a publisher, and what is wanted.
pub(crate) struct Ticks<'a> {
    socket: &'a XPub,
    stop: &'a Stop,
    every: Duration,
    next: Instant,
    count: u64,
    wanted: BTreeSet<Prefix>,
}

/// What happens next.
pub(crate) enum Next {
    /// The prefix has its first subscriber.
    Wanted(Prefix),
    /// The prefix has lost its last subscriber.
    Unwanted(Prefix),
    /// It is time to send. Ticks are numbered from 1.
    Tick(u64),
    /// The program is to end.
    Stopped,
}

impl<'a> Ticks<'a> {
    /// Starts now: the first tick comes after one period.
    pub(crate) fn new(socket: &'a XPub, stop: &'a Stop, every: Duration) -> Ticks<'a> {
        Ticks { socket, stop, every, next: Instant::now() + every, count: 0, wanted: BTreeSet::new() }
    }

    /// The prefixes that have a subscriber.
    pub(crate) fn wanted(&self) -> &BTreeSet<Prefix> {
        &self.wanted
    }

    /// Waits for what happens next. Before a tick all changes of demand have been returned.
    pub(crate) fn next(&mut self) -> Result<Next, Fail> {
        loop {
            if self.stop.is_stopped() {
                return Ok(Next::Stopped);
            }
            let event = match self.socket.try_event()? {
                Some(event) => event,
                None => match self.stop.wait(self.socket.event(), Some(self.next)) {
                    Waited::Ready(event) => event?,
                    Waited::TimedOut => return Ok(self.tick()),
                    Waited::Stopped => return Ok(Next::Stopped),
                },
            };
            if let Some(change) = self.follow(event) {
                return Ok(change);
            }
        }
    }

    fn follow(&mut self, event: XPubEvent) -> Option<Next> {
        match event {
            XPubEvent::Wanted(prefix) => {
                self.wanted.insert(prefix.clone());
                Some(Next::Wanted(prefix))
            }
            XPubEvent::Unwanted(prefix) => {
                self.wanted.remove(&prefix);
                Some(Next::Unwanted(prefix))
            }
            // Messages from subscribers do not change the demand.
            _ => None,
        }
    }

    fn tick(&mut self) -> Next {
        self.count += 1;
        // A late tick is not made up for: missed ticks are skipped.
        let now = Instant::now();
        self.next += self.every;
        if self.next < now {
            self.next = now + self.every;
        }
        Next::Tick(self.count)
    }
}
