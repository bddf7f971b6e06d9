//! What is due, and when: ticks, lists, values that are held back. Times are since the runner's origin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use oncue_core::feeds::RouteId;

use crate::demand::producers::{Tick, Workers};

#[derive(Default)]
pub(crate) struct Schedule {
    /// What is due at one time, in the order in which it was added.
    due: BTreeMap<Place, (Key, Arc<dyn Tick>)>,
    /// Where each thing is: what is over leaves at once, for peers can start and stop feeds at will.
    places: HashMap<Key, Place>,
    last: u64,
}

type Place = (Duration, u64);

/// What is due at one time at the most: of a feed by its generation, or of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Tick(u64),
    Value(u64),
    Batch(RouteId),
    List(RouteId),
}

impl Schedule {
    /// Does this then, and at no other time.
    pub(crate) fn add(&mut self, key: Key, at: Duration, due: Arc<dyn Tick>) {
        self.forget(key);
        self.last += 1;
        self.places.insert(key, (at, self.last));
        self.due.insert((at, self.last), (key, due));
    }

    /// Does not do this any more.
    pub(crate) fn forget(&mut self, key: Key) {
        if let Some(place) = self.places.remove(&key) {
            self.due.remove(&place);
        }
    }

    /// Nothing is due for the feed of this generation any more.
    pub(crate) fn forget_feed(&mut self, generation: u64) {
        self.forget(Key::Tick(generation));
        self.forget(Key::Value(generation));
    }

    /// When the next thing is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does what is due by now, or queues it, and adds what is to come after it.
    pub(crate) fn run(&mut self, now: Duration, workers: &Workers) {
        let mut jobs = Vec::new();
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), (key, due)) = first.remove_entry();
            self.places.remove(&key);
            if let Some(next) = due.clone().tick(at, now, &mut jobs) {
                self.add(key, next, due);
            }
        }
        workers.queue(jobs);
    }
}

#[cfg(test)]
mod tests {
    use oncue_core::feeds::{Decision, Feeds, Limits, Route};
    use oncue_pattern::Pattern;

    use super::*;
    use crate::demand::feed::{Activation, Desk, Feed, FeedRoute, Keep, LastLimits, get};
    use crate::demand::producers::{BatchRun, Held, Periodic};
    use crate::sync::{Clock, lock};
    use crate::{Engine, Options, XPub};

    /// A feed of a route that runs nowhere, the route, and workers without threads.
    fn feed() -> (Feed, RouteId, Arc<Workers>) {
        feed_of(FeedRoute::default(), Arc::new(|| Duration::ZERO))
    }

    fn feed_of(feeds: FeedRoute, clock: Clock) -> (Feed, RouteId, Arc<Workers>) {
        let socket = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let routes = vec![Route::new(Pattern::parse("clock").unwrap())];
        let mut machine = Feeds::new(1, routes, Limits::default()).unwrap();
        machine.wanted(b"clock", Duration::ZERO);
        let Some(Decision::Start { feed: id, generation, topic, params, since, route }) = machine.poll()
        else {
            panic!()
        };
        let desk = Arc::new(Desk::new(clock));
        let workers = Workers::new(0, Duration::ZERO, desk.clone());
        let route_of_feeds = Arc::new(feeds);
        let of = Activation {
            id,
            generation,
            topic,
            params,
            since,
            route: route_of_feeds,
            desk,
            on_failure: None,
        };
        (Feed::new(of, socket), route, workers)
    }

    #[test]
    fn a_busy_feed_is_queued_once_and_what_it_missed_is_counted() {
        let ms = Duration::from_millis;
        let (feed, _, workers) = feed();
        let (tick, skipped) = (Key::Tick(feed.generation()), || get(&feed.desk().counters.ticks_skipped));
        let mut schedule = Schedule::default();
        let periodic = Periodic::new(feed.clone(), ms(10), Arc::new(|_| Ok(())));
        schedule.add(tick, ms(1003), periodic);
        assert_eq!(schedule.next(), Some(ms(1003)), "the first tick is at once");
        schedule.run(ms(1003), &workers);
        schedule.run(ms(1009), &workers);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1010)), 0));
        schedule.run(ms(1011), &workers);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1020)), 1));
        let queued = workers.take();
        assert_eq!(queued.len(), 1);
        queued[0].run();
        schedule.run(ms(1044), &workers);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1050)), 3), "two passed unseen");
        assert_eq!(workers.take().len(), 1);
        feed.stop();
        schedule.run(ms(1050), &workers);
        assert_eq!((schedule.next(), workers.take().len()), (None, 0));
    }

    #[test]
    fn ticks_are_left_out_while_a_value_is_fresh_whichever_feed_sent_it() {
        let ms = Duration::from_millis;
        let time = Arc::new(std::sync::Mutex::new(Duration::ZERO));
        let now = time.clone();
        let keep = Some(Keep::new(LastLimits::default(), Some(ms(30_000))));
        let (feed, _, workers) =
            feed_of(FeedRoute { keep, ..FeedRoute::default() }, Arc::new(move || *lock(&now)));
        let left_out = || get(&feed.desk().counters.ticks_fresh);
        let mut schedule = Schedule::default();
        let produce = Arc::new(|feed: &Feed| Ok(feed.publish("value")?));
        let periodic = Periodic::new(feed.clone(), ms(5000), produce.clone());
        schedule.add(Key::Tick(feed.generation()), ms(1000), periodic);
        let mut runs = Vec::new();
        while runs.len() < 4 {
            let at = schedule.next().unwrap();
            *lock(&time) = at;
            schedule.run(at, &workers);
            for job in workers.take() {
                runs.push(at);
                // A run takes 100 ms.
                *lock(&time) = at + ms(100);
                job.run();
            }
        }
        assert_eq!(runs, [1000, 31_100, 61_200, 91_300].map(ms));
        // At 5 s (the first), 10, ..., 25 s: the one at 30 s comes a little later.
        assert_eq!(left_out(), 15);
        // Another feed of the topic begins.
        let again = Periodic::new(feed.clone(), ms(3_600_000), produce);
        schedule.add(Key::Tick(feed.generation()), ms(95_000), again);
        *lock(&time) = ms(95_000);
        schedule.run(ms(95_000), &workers);
        assert_eq!((schedule.next(), workers.take().len()), (Some(ms(3_600_000 + 91_400)), 0));
    }

    #[test]
    fn what_is_over_leaves_at_once_and_nothing_is_due_twice() {
        let hour = Duration::from_secs(3600);
        let (feed, route, workers) = feed();
        let (tick, value, batch) =
            (Key::Tick(feed.generation()), Key::Value(feed.generation()), Key::Batch(route));
        let mut schedule = Schedule::default();
        let batches = Arc::new(BatchRun::new(hour, |_| ()));
        for at in [hour, 2 * hour] {
            let periodic = Periodic::new(feed.clone(), hour, Arc::new(|_| Ok(())));
            schedule.add(tick, at, periodic);
            schedule.add(value, at, Arc::new(Held(feed.clone())));
            schedule.add(batch, at, batches.clone());
        }
        assert_eq!((schedule.due.len(), schedule.places.len()), (3, 3));
        assert_eq!(schedule.next(), Some(2 * hour));
        schedule.forget(Key::Tick(feed.generation() + 1));
        schedule.forget(Key::List(route));
        assert_eq!(schedule.due.len(), 3, "another one");
        schedule.forget(tick);
        schedule.forget(value);
        assert_eq!(schedule.due.len(), 1);
        schedule.forget(batch);
        assert_eq!((schedule.next(), schedule.places.len()), (None, 0));
        schedule.add(value, hour, Arc::new(Held(feed)));
        schedule.run(hour, &workers);
        assert_eq!((schedule.due.len(), schedule.places.len()), (0, 0), "done is over");
    }
}
