//! What the feeds of one route have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counter::{get, nanos};
use super::counts::{Counters, Failures, RouteStats};
use super::keep::{self, Keep};
use super::quickness::Quickness;
use super::timings::Timings;
use super::value::Layout;
use crate::batch::Batch;
use crate::error::Result;
use crate::msg::Frames;
use crate::options::OnFull;
use crate::socket::XPub;

/// The half of a route that its feeds use. The other half, which decides when they run, is the runner's.
#[derive(Default)]
pub(crate) struct FeedRoute {
    /// The least time between two values of a topic.
    pub(crate) spacing: Option<Duration>,
    pub(crate) keep: Option<Keep>,
    /// What gives way where a value has no room; `None`: as the socket says.
    pub(crate) on_full: Option<OnFull>,
    /// The frames of its messages; topic and value by default.
    pub(crate) layout: Option<Layout>,
    /// Whether a feed rests after a value until that is too old.
    pub(crate) once: bool,
    /// Whether its producers have a clock of their own, of which the route knows the period.
    pub(crate) paced: bool,
    pub(crate) counters: Counters,
    /// The times to the first value, and the longest of them.
    pub(crate) first_value: Timings,
    pub(crate) first_value_nanos_most: AtomicU64,
    pub(crate) production: Timings,
    pub(crate) failures: Failures,
    /// How long a call of its function takes for one feed, on average over the last calls.
    pub(crate) quickness: Quickness,
}

impl FeedRoute {
    /// A feed has published its first value, this long after it was to start.
    pub(super) fn has_first_value(&self, after: Duration) {
        self.first_value.took(after);
        self.first_value_nanos_most.fetch_max(nanos(after), Ordering::Relaxed);
    }

    /// What its feeds have done. The rest is the runner's to say.
    pub(crate) fn stats(&self) -> RouteStats {
        let first_value = self.first_value.histogram();
        let mut done = self.counters.done();
        done.producing = self.production.sum();
        RouteStats {
            done,
            first_values: first_value.count(),
            first_value_time: first_value.sum(),
            first_value_time_longest: Duration::from_nanos(get(&self.first_value_nanos_most)),
            first_value,
            production: self.production.histogram(),
            failures: self.failures.counts(),
            ..RouteStats::default()
        }
    }

    /// Sends a message of a topic, and keeps it if the route does that.
    pub(super) fn send(
        &self,
        socket: &XPub,
        topic: &Arc<[u8]>,
        message: &(impl Frames + ?Sized),
        now: impl Fn() -> Duration,
    ) -> Result<()> {
        match &self.keep {
            Some(keep) => keep.send(socket, topic, message, self.on_full, now),
            None => keep::send(socket, message, self.on_full),
        }
    }

    /// Sends values of routes of this policy as [`send`](Self::send) does, if they are only sent.
    pub(super) fn send_many(&self, socket: &XPub, batch: &mut Batch) -> Result<()> {
        match self.on_full {
            Some(on_full) => socket.send_many_on_full(batch, on_full),
            None => socket.send_many(batch),
        }
    }

    /// Whether a value is only sent, and at once.
    pub(super) fn only_sends(&self) -> bool {
        self.spacing.is_none() && self.keep.is_none()
    }

    /// Nobody wants the topic any more: its last value is forgotten, unless it outlives its feed.
    pub(crate) fn leave_last(&self, socket: &XPub, topic: &[u8], now: Duration) {
        self.keep.iter().for_each(|keep| keep.leave(socket, topic, now));
    }
}
