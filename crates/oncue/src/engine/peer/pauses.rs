//! When a peer is not read: its user has not taken what it has sent, or it has changed its subscriptions faster than it may.
//! Its system makes it wait, it loses nothing, and no other peer is touched. Meanwhile it counts as alive, and what it has
//! begun to send may take longer.

use std::time::Duration;

use super::end::End;
use super::partial::Left;
use super::{Context, Peer, Phase};
use crate::bucket::Rate;
use crate::engine::hub::limits::Limit;
use crate::events;
use crate::net::Stream;

/// How many rests a second a peer makes that changes its subscriptions too fast all the time: few timers, and short pauses.
const RESTS_PER_SECOND: u32 = 20;

impl<S: Stream> Peer<S> {
    /// Whether the peer must not be read now. One that was silent for too long is read once although what others sent fills
    /// the socket: else nobody would ever find that it has gone, since a peer that is not read counts as alive.
    pub(crate) fn pauses(&mut self, now: Duration) -> bool {
        if self.is_resting() {
            return true;
        }
        let Phase::Traffic(traffic) = &mut self.phase else {
            return matches!(self.phase, Phase::Connecting) || self.is_asked_about();
        };
        if let Some(flow) = &traffic.flow
            && !traffic.paused
            && self.hub.inbound.is_full()
            && !self.hub.socket_type.publishes()
            && !self.pulse.is_dead(now)
        {
            traffic.paused = self.hub.inbound.pause(flow);
        }
        traffic.paused
    }

    /// How fast it may change its subscriptions. What it has sent before it closed the connection is taken at once: only then
    /// is the end seen.
    pub(super) fn change_rate(&self) -> Rate {
        if self.ended { Rate::UNBOUNDED } else { self.hub.options.change_rate() }
    }

    /// It has changed its subscriptions too fast, and is not read until it may change them again.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
        self.left = Left::Resting;
        self.hub.counters.met.count(Limit::Changes);
        let max = self.hub.options.changes_per_second_max;
        events::peer_rests(self.hub.id, self.uid, &self.out.stream.address(), max);
        let changes = max / RESTS_PER_SECOND;
        cx.rests_until = Some(self.changes.has(changes.max(1).into(), self.hub.options.change_rate()));
    }

    /// Whether it is not read for that reason.
    pub(crate) fn is_resting(&self) -> bool {
        self.left == Left::Resting && !self.ended
    }

    /// Its rest is over.
    pub(crate) fn rested(&mut self, now: Duration) {
        if self.left == Left::Resting {
            self.left = Left::Items;
            self.resume(now);
        }
    }

    /// Reading goes on.
    pub(crate) fn resume(&mut self, now: Duration) {
        if let Phase::Traffic(traffic) = &mut self.phase {
            traffic.paused = false;
            self.partial.resume(now);
            self.pulse.hear(now);
        }
    }

    /// Whether reading is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_resting() || matches!(&self.phase, Phase::Traffic(traffic) if traffic.paused)
    }

    /// When to check that a begun message is complete, unless a timer is set for it.
    pub(crate) fn watch_partial(&mut self) -> Option<Duration> {
        match self.phase {
            Phase::Traffic(_) => self.partial.watch(self.hub.options.message_timeout),
            _ => None,
        }
    }

    /// That timer has fired. A message that takes too long ends the connection.
    pub(crate) fn check_partial(&mut self, now: Duration) -> Result<(), End> {
        self.partial.unwatch();
        let (Phase::Traffic(_), paused) = (&self.phase, self.is_paused()) else { return Ok(()) };
        let timeout = self.hub.options.message_timeout;
        if paused {
            // The peer cannot help it that nothing is read.
            self.partial.resume(now);
        }
        match self.partial.due(timeout).is_some_and(|due| due <= now) && !paused {
            true => Err(End::refused(format!(
                "a message was begun and not finished in {timeout:?} (message_timeout)"
            ))),
            false => Ok(()),
        }
    }
}
