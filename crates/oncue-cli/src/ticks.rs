//! The classic loop of a publisher that produces on demand: follow who wants what, and at each tick send that alone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use oncue::{Prefix, XPub, XPubEvent};

use crate::fail::Fail;
use crate::signals::{Stop, Waited};

/// A publisher's ticks and what is wanted.
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
    /// It is time to send: the number of this tick, from 1.
    Tick(u64),
    /// The program is to end.
    Stopped,
}

impl<'a> Ticks<'a> {
    /// Starts now; the first tick is one period away.
    pub(crate) fn new(socket: &'a XPub, stop: &'a Stop, every: Duration) -> Ticks<'a> {
        Ticks { socket, stop, every, next: Instant::now() + every, count: 0, wanted: BTreeSet::new() }
    }

    /// The prefixes that somebody wants now.
    pub(crate) fn wanted(&self) -> &BTreeSet<Prefix> {
        &self.wanted
    }

    /// Waits for what happens next. A change of demand is told as it happens, and at a tick all of them have been.
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
            // What subscribers send upstream is no matter of demand.
            _ => None,
        }
    }

    fn tick(&mut self) -> Next {
        self.count += 1;
        // A tick that comes late is not made up for: ticks that were missed are gone.
        let now = Instant::now();
        self.next += self.every;
        if self.next < now {
            self.next = now + self.every;
        }
        Next::Tick(self.count)
    }
}
