//! When what is due next is: ticks, lists, values held back. Times are since the runner's origin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use oncue_core::feeds::RouteId;

use super::shared::Shared;
use crate::demand::feed::Feed;
use crate::demand::producers::batch::BatchRun;
use crate::demand::producers::catalogue::Listing;
use crate::demand::producers::periodic::Periodic;

#[derive(Default)]
pub(crate) struct Schedule {
    /// Things of one moment in the order in which they came.
    due: BTreeMap<Place, Due>,
    /// Where each thing is: what is over leaves at once, for strangers can start and stop feeds at will.
    places: HashMap<Key, Place>,
    last: u64,
}

type Place = (Duration, u64);

/// What is due at one time at the most.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// Of the feed of this generation.
    Tick(u64),
    Value(u64),
    /// Of the batches that are there in memory, where they stay while they are due.
    Batch(usize),
    List(RouteId),
}

pub(crate) enum Due {
    Tick(Arc<Periodic>),
    Batch(Arc<BatchRun>),
    List(Arc<Listing>),
    /// A value that was held back.
    Value(Feed),
}

impl Schedule {
    /// Does this then, and at no other time.
    pub(crate) fn add(&mut self, at: Duration, due: Due) {
        self.last += 1;
        let (key, place) = (due.key(), (at, self.last));
        self.remove(key);
        self.places.insert(key, place);
        self.due.insert(place, due);
    }

    /// The feed of this generation has stopped.
    pub(crate) fn forget_feed(&mut self, generation: u64) {
        self.remove(Key::Tick(generation));
        self.remove(Key::Value(generation));
    }

    /// Nothing is wanted of these batches.
    pub(crate) fn forget_batch(&mut self, batch: &Arc<BatchRun>) {
        self.remove(Key::Batch(Arc::as_ptr(batch).addr()));
    }

    /// The route has gone.
    pub(crate) fn forget_list(&mut self, route: RouteId) {
        self.remove(Key::List(route));
    }

    fn remove(&mut self, key: Key) {
        if let Some(place) = self.places.remove(&key) {
            self.due.remove(&place);
        }
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does what is due by now, or queues it, and adds what is to come after it.
    pub(crate) fn run(&mut self, now: Duration, shared: &Shared) {
        let mut jobs = Vec::new();
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), due) = first.remove_entry();
            self.places.remove(&due.key());
            let next = match &due {
                Due::Tick(periodic) => periodic.tick(at, now, &mut jobs),
                Due::Batch(batch) => batch.tick(at, now, &mut jobs),
                Due::List(listing) => listing.tick(at, now, &mut jobs),
                Due::Value(feed) => {
                    feed.release();
                    None
                }
            };
            if let Some(next) = next {
                self.add(next, due);
            }
        }
        shared.workers.queue(jobs);
    }
}

impl Due {
    fn key(&self) -> Key {
        match self {
            Due::Tick(periodic) => Key::Tick(periodic.generation()),
            Due::Value(feed) => Key::Value(feed.generation()),
            Due::Batch(batch) => Key::Batch(Arc::as_ptr(batch).addr()),
            Due::List(listing) => Key::List(listing.route()),
        }
    }
}

#[cfg(test)]
mod tests {
    use oncue_core::feeds::{Decision, Limits};

    use super::super::super::feed::Activation;
    use super::super::announce::States;
    use super::super::plan::Plan;
    use super::super::shared::Reports;
    use super::*;
    use crate::sync::lock;
    use crate::{Engine, OnDemand, Options, XPub};

    /// A feed of a route that runs nowhere.
    fn feed() -> (Feed, Arc<Shared>) {
        let socket = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let builder = OnDemand::on(socket.clone()).route("clock").every(Duration::from_secs(1), |_| "");
        let plan = Plan::new(builder.planned_for_test(), Limits::default()).unwrap();
        let states = States::new(socket.clone(), None);
        let shared = Arc::new(Shared::new(plan, 0, Reports::default(), states, Arc::default()));
        let mut plan = lock(&shared.plan);
        plan.machine.wanted(b"clock", Duration::ZERO);
        let Some(Decision::Start { feed: id, generation, topic, params, since, route }) = plan.machine.poll()
        else {
            panic!()
        };
        let route = plan.routes[&route].clone();
        drop(plan);
        let of = Activation { id, generation, topic, params, since };
        (Feed::new(of, socket, route, shared.clone()), shared)
    }

    #[test]
    fn a_busy_feed_is_queued_once_and_what_it_missed_is_counted() {
        let ms = Duration::from_millis;
        let (feed, shared) = feed();
        let skipped = || shared.stats().ticks_skipped;
        let mut schedule = Schedule::default();
        let periodic = Periodic::new(feed.clone(), ms(10), Arc::new(|_| Ok(())));
        schedule.add(ms(1003), Due::Tick(periodic));
        assert_eq!(schedule.next(), Some(ms(1003)), "the first tick is at once");
        schedule.run(ms(1003), &shared);
        schedule.run(ms(1009), &shared);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1010)), 0));
        schedule.run(ms(1011), &shared);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1020)), 1));
        let queued = shared.workers.take();
        assert_eq!(queued.len(), 1);
        queued[0].run();
        schedule.run(ms(1044), &shared);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1050)), 3), "two passed unseen");
        assert_eq!(shared.workers.take().len(), 1);
        feed.stop();
        schedule.run(ms(1050), &shared);
        assert_eq!((schedule.next(), shared.workers.take().len()), (None, 0));
    }

    #[test]
    fn what_is_over_leaves_at_once_and_nothing_is_due_twice() {
        let hour = Duration::from_secs(3600);
        let (feed, shared) = feed();
        let mut schedule = Schedule::default();
        let batch = Arc::new(BatchRun::new(hour, |_| ()));
        for at in [hour, 2 * hour] {
            schedule.add(at, Due::Tick(Periodic::new(feed.clone(), hour, Arc::new(|_| Ok(())))));
            schedule.add(at, Due::Value(feed.clone()));
            schedule.add(at, Due::Batch(batch.clone()));
        }
        assert_eq!((schedule.due.len(), schedule.places.len()), (3, 3));
        assert_eq!(schedule.next(), Some(2 * hour));
        schedule.forget_feed(feed.generation() + 1);
        assert_eq!(schedule.due.len(), 3, "another one");
        schedule.forget_feed(feed.generation());
        assert_eq!(schedule.due.len(), 1);
        schedule.forget_batch(&batch);
        assert_eq!((schedule.next(), schedule.places.len()), (None, 0));
        schedule.add(hour, Due::Value(feed));
        schedule.run(hour, &shared);
        assert_eq!((schedule.due.len(), schedule.places.len()), (0, 0), "done is over");
    }
}
