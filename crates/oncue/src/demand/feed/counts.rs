//! What production on demand has done and saved: plain data for users, and the counters it is made of.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use oncue_core::feeds::FeedsStats;
pub use oncue_core::feeds::{FeedCounts, Phase};

use super::counter::{add, get};
use super::failure::Failure;
use super::timings::Histogram;

/// Counts of an [`OnDemand`](crate::demand::OnDemand): of the present as far as its runner has come, and since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnDemandStats {
    /// Now: the topics of all routes.
    pub now: FeedCounts,
    /// What all feeds have done since the start.
    pub done: Done,
    /// Feeds told to stop, since nobody wanted them any more or their route was removed.
    pub stopped: u64,
    /// Feeds whose producers ended by themselves, for any reason.
    pub ended: u64,
    /// Times a feed was wanted again during its grace.
    pub revived: u64,
    /// Now: topics and prefixes that are wanted and unserved, see [`Builder::on_unserved`](crate::demand::Builder::on_unserved).
    pub unserved: usize,
    /// How often a topic or prefix that is wanted has come to be unserved.
    pub unserved_total: u64,
    /// Calls of catalogue functions that panicked, or listed a topic that is not of their route.
    pub lists_failed: u64,
    /// Subscriptions that were held since a user would have started too many feeds
    /// ([`Builder::starts_per_minute_max`](crate::demand::Builder::starts_per_minute_max)). They count as deferred, too.
    pub starts_deferred: u64,
    /// Subscriptions that were rejected for that reason.
    pub starts_rejected: u64,
}

/// Counts of one route: of the present, and since it was added. How many values found a subscriber's queue full is counted
/// per socket alone ([`SocketStats`](crate::SocketStats)), since a shard delivers runs of messages, not topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStats {
    /// The route's pattern, as text.
    pub pattern: String,
    /// Now: its topics.
    pub now: FeedCounts,
    /// What its feeds have done.
    pub done: Done,
    /// For routes with a [`pace`](crate::demand::RouteBuilder::pace): values that were not produced since nobody wanted
    /// them, compared with a publisher that produces each topic of the catalogue in each period. Ticks left out for other
    /// reasons are not among them. 0 if nothing is listed. It only grows.
    pub avoided: u64,
    /// Feeds that have published a value.
    pub first_values: u64,
    /// The sum, over those feeds, of the time to the first value: from the moment a feed was to start, which is when its
    /// topic came to be wanted or its pause was over. Waiting for room is part of it.
    pub first_value_time: Duration,
    /// The longest of these times.
    pub first_value_time_longest: Duration,
    /// The distribution of these times.
    pub first_value: Histogram,
    /// How long producing took: the time of each call of the function of a periodic route or a batch, and each time that
    /// other producers report by [`Feed::spent`](crate::demand::Feed::spent). Its sum is [`Done::producing`].
    pub production: Histogram,
    /// Why its producers failed.
    pub failures: FailureCounts,
}

/// How many producers failed for each reason; together they are [`Done::failed`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureCounts {
    /// They returned an error ([`Failure::Error`]).
    pub error: u64,
    /// They panicked ([`Failure::Panic`]).
    pub panic: u64,
    /// The system gave no thread for them ([`Failure::NoThread`]).
    pub no_thread: u64,
}

/// What one running feed has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicStats {
    /// Its topic.
    pub topic: Vec<u8>,
    /// Its generation, see [`Feed::generation`](crate::demand::Feed::generation).
    pub generation: u64,
    /// Now: subscribers that want it, see [`XPub::subscribers`](crate::XPub::subscribers).
    pub subscribers: usize,
    /// What it has done.
    pub done: Done,
    /// From the moment it was to start to its first value, if it has published one.
    pub first_value_time: Option<Duration>,
}

/// A topic that is wanted and has a route, or whose feed has not been forgotten ([`Meter::topics`](crate::demand::Meter::topics)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicReport {
    /// The topic.
    pub topic: Vec<u8>,
    /// The pattern of the route that serves it.
    pub route: Arc<str>,
    /// What is done about it.
    pub phase: Phase,
    /// Failures in a row.
    pub failures: u32,
    /// What its feed has done, if one runs or has not ended yet.
    pub feed: Option<TopicStats>,
}

/// The catalogue of a route ([`Meter::catalogues`](crate::demand::Meter::catalogues)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Catalogued {
    /// The route's pattern, as text.
    pub pattern: String,
    /// The first topics, in their order.
    pub topics: Vec<Arc<[u8]>>,
    /// How many there are.
    pub total: usize,
}

/// What feeds have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Feeds started.
    pub started: u64,
    /// Values sent.
    pub produced: u64,
    /// Values sent, each counted once for every subscriber that its topic had then: the number of deliveries, and of those
    /// that found a queue full.
    pub offered: u64,
    /// Values published by feeds that had stopped, and not sent.
    pub late: u64,
    /// Values that the socket refused, see [`OnFull::Refuse`](crate::OnFull::Refuse).
    pub refused: u64,
    /// Values not sent since a newer one came before their time, see
    /// [`RouteBuilder::max_rate`](crate::demand::RouteBuilder::max_rate).
    pub superseded: u64,
    /// Producers that failed or panicked.
    pub failed: u64,
    /// Ticks left out: the value before was still being produced.
    pub ticks_skipped: u64,
    /// Ticks left out: all subscribers of the topic are full, see [`Room`](crate::Room).
    pub ticks_congested: u64,
    /// Ticks left out: the topic had a fresh value, see [`RouteBuilder::fresh_for`](crate::demand::RouteBuilder::fresh_for). A
    /// thread that is not started yet for that reason counts once.
    pub ticks_fresh: u64,
    /// The time spent in the functions of periodic routes and batches, and what other producers report by
    /// [`Feed::spent`](crate::demand::Feed::spent). The time of a batch counts for its route, not for a topic.
    pub producing: Duration,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) started: AtomicU64,
    pub(crate) produced: AtomicU64,
    pub(crate) offered: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) superseded: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) lists_failed: AtomicU64,
    pub(crate) ticks_skipped: AtomicU64,
    pub(crate) ticks_congested: AtomicU64,
    pub(crate) ticks_fresh: AtomicU64,
    pub(crate) producing_nanos: AtomicU64,
    pub(crate) starts_deferred: AtomicU64,
    pub(crate) starts_rejected: AtomicU64,
}

/// The failures of one route, by their reasons.
#[derive(Default)]
pub(crate) struct Failures {
    error: AtomicU64,
    panic: AtomicU64,
    no_thread: AtomicU64,
}

impl Failures {
    pub(crate) fn count(&self, failure: &Failure) {
        add(
            match failure {
                Failure::Error(_) => &self.error,
                Failure::Panic(_) => &self.panic,
                Failure::NoThread(_) => &self.no_thread,
            },
            1,
        );
    }

    pub(crate) fn counts(&self) -> FailureCounts {
        FailureCounts { error: get(&self.error), panic: get(&self.panic), no_thread: get(&self.no_thread) }
    }
}

impl Counters {
    pub(crate) fn done(&self) -> Done {
        Done {
            started: get(&self.started),
            produced: get(&self.produced),
            offered: get(&self.offered),
            late: get(&self.late),
            refused: get(&self.refused),
            superseded: get(&self.superseded),
            failed: get(&self.failed),
            ticks_skipped: get(&self.ticks_skipped),
            ticks_congested: get(&self.ticks_congested),
            ticks_fresh: get(&self.ticks_fresh),
            producing: Duration::from_nanos(get(&self.producing_nanos)),
        }
    }

    pub(crate) fn stats(&self, machine: &FeedsStats) -> OnDemandStats {
        OnDemandStats {
            now: machine.now,
            done: self.done(),
            stopped: machine.stopped,
            ended: machine.ended,
            revived: machine.revived,
            unserved: machine.unserved,
            unserved_total: machine.unserved_total,
            lists_failed: get(&self.lists_failed),
            starts_deferred: get(&self.starts_deferred),
            starts_rejected: get(&self.starts_rejected),
        }
    }
}
