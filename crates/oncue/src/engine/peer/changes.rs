//! How fast a peer changes its subscriptions. One that changes them faster than it may is not read for a while: its system
//! makes it wait, it loses nothing, and no other peer is touched.

use std::time::Duration;

use super::{Context, Peer};
use crate::bucket::Rate;
use crate::engine::hub::limits::Limit;
use crate::events;
use crate::net::Stream;

/// How many rests a second a peer makes that changes its subscriptions too fast all the time: few timers, and short pauses.
const RESTS_PER_SECOND: u32 = 20;

/// What of the received bytes is left for later although it is complete.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// The peer's share of work was used up.
    Items,
    /// It is not read for a while, since it has changed its subscriptions too fast.
    Resting,
}

impl<S: Stream> Peer<S> {
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
}
