//! Whether the value that a topic has is fresh, so that no other is to be produced.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::keep::{Fresh, Keep};
use super::route::FeedRoute;
use super::{Activation, Feed, Note, Stopped};
use crate::sync::lock;

/// The longest time that a wait takes at once.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

impl Feed {
    /// How long the value that the topic has is still fresh: younger than
    /// [`fresh_for`](crate::demand::RouteBuilder::fresh_for) and kept, whichever feed published it, or with
    /// [`once`](crate::demand::RouteBuilder::once) published by this feed ([`Duration::MAX`] where values of the route are
    /// fresh for ever). `None` if it has none, or a value that is too old: then it is time to produce one.
    ///
    /// A thread is not started before that, unless its route has a [`pace`](crate::demand::RouteBuilder::pace). Tasks and manual routes ask by themselves:
    ///
    /// ```
    /// # use oncue::OnDemand;
    /// # use std::time::Duration;
    /// # fn query(_: &str) -> String { String::new() }
    /// # let (spawn, _inbox) = std::sync::mpsc::channel();
    /// # let spawn = std::sync::Mutex::new(spawn);
    /// let od = OnDemand::bind("tcp://127.0.0.1:0")?
    ///     .route("sql/{table}")
    ///     .fresh_for(Duration::from_secs(30))
    ///     .task(
    ///         move |task| drop(spawn.lock().unwrap().send(task)), // tokio: drop(tokio::spawn(task))
    ///         |feed| async move {
    ///             if feed.fresh_for().is_none() {
    ///                 feed.publish(query(feed.param("table")))?;
    ///             }
    ///             Ok(())
    ///         },
    ///     )
    ///     .start()?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn fresh_for(&self) -> Option<Duration> {
        self.fresh().map(|fresh| match fresh.until {
            Duration::MAX => Duration::MAX,
            until => until.saturating_sub(self.0.of.desk.now()),
        })
    }

    /// Whether no value should be produced now, since the topic has a fresh one. It is then counted as a tick left out
    /// ([`Done::ticks_fresh`](crate::demand::Done::ticks_fresh)): for producers that have a clock of their own.
    pub fn skip_for_freshness(&self) -> bool {
        let fresh = self.fresh().is_some();
        if fresh {
            self.skip_fresh(1);
        }
        fresh
    }

    /// Blocks this thread while the topic has a fresh value.
    ///
    /// # Errors
    /// [`Stopped`] as soon as the feed is not active.
    pub fn wait_while_fresh(&self) -> Result<(), Stopped> {
        loop {
            if !self.is_active() {
                return Err(Stopped);
            }
            let Some(left) = self.fresh_for() else { return Ok(()) };
            self.sleep(left.min(WAIT_MAX))?;
        }
    }

    /// Counts ticks that are left out because the value of the topic is fresh.
    pub(crate) fn skip_fresh(&self, ticks: u64) {
        self.count(|counters| &counters.ticks_fresh, ticks);
        if !self.has_published() && !self.0.said_fresh.swap(true, Ordering::SeqCst) {
            let Activation { id, generation, desk, .. } = &self.0.of;
            // The topic is active: its subscribers have a value that is good enough.
            desk.tell(Note::Produced { id: *id, generation: *generation });
        }
    }

    /// The value of the topic, if it is fresh.
    pub(crate) fn fresh(&self) -> Option<Fresh> {
        let route = &self.0.of.route;
        let keep = route.keep.as_ref()?;
        if keep.fresh_for().is_none() && !route.once {
            return None;
        }
        let now = self.0.of.desk.now();
        let outlet = lock(&self.0.outlet);
        let own = outlet.last().and_then(|at| {
            let time = keep.fresh_for().unwrap_or(Duration::MAX);
            Fresh::new(at, time, now)
        });
        own.or_else(|| keep.fresh(outlet.socket()?, self.topic(), now))
    }

    /// How long the feed rests after a value, if its route says both that and that it rests.
    pub(crate) fn rests_for(&self) -> Option<Duration> {
        let FeedRoute { once, keep, .. } = &*self.0.of.route;
        keep.as_ref().filter(|_| *once).and_then(Keep::fresh_for)
    }

    /// Whether its producer has a clock of its own, of which the route knows the period.
    pub(crate) fn has_pace(&self) -> bool {
        self.0.of.route.paced
    }

    /// Whether its route produces once and then rests.
    pub(crate) fn is_once(&self) -> bool {
        self.0.of.route.once
    }
}
