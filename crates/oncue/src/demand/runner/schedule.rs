//! What is due, and when: ticks, lists, values that are held back. Times are since the runner's origin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use oncue_core::feeds::RouteId;

use crate::demand::producers::{Jobs, Tick, Workers};
use crate::hashing::BuildCountedHasher;

/// How many quick jobs the runner does itself: others wait for it meanwhile.
const CALLS_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Schedule {
    /// What is due at one time, in no particular order: the ticks of a thousand feeds are mostly due together.
    due: BTreeMap<Duration, Vec<Due>>,
    /// What is to be done with what is due next.
    soon: Jobs,
    /// Where each thing is: what is over leaves at once, for peers can start and stop feeds at will.
    places: HashMap<Key, Place, BuildCountedHasher>,
}

/// What is due, and under which key.
type Due = (Key, Arc<dyn Tick>);

/// When something is due, and its place among what is due then.
#[derive(Clone, Copy)]
struct Place {
    at: Duration,
    index: usize,
}

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
        self.put(key, at, due);
    }

    /// Adds what is not there.
    fn put(&mut self, key: Key, at: Duration, due: Arc<dyn Tick>) {
        let together = self.due.entry(at).or_default();
        self.places.insert(key, Place { at, index: together.len() });
        together.push((key, due));
    }

    /// Does not do this any more.
    pub(crate) fn forget(&mut self, key: Key) {
        let Some(Place { at, index }) = self.places.remove(&key) else { return };
        let Some(together) = self.due.get_mut(&at) else { return };
        together.swap_remove(index);
        match together.get(index) {
            Some((moved, _)) => _ = self.places.insert(*moved, Place { at, index }),
            None if together.is_empty() => drop(self.due.remove(&at)),
            None => {}
        }
    }

    /// Nothing is due for the feed of this generation any more.
    pub(crate) fn forget_feed(&mut self, generation: u64) {
        self.forget(Key::Tick(generation));
        self.forget(Key::Value(generation));
    }

    /// When the next thing is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.due.first_key_value().map(|(at, _)| *at)
    }

    /// What is done at the next [`run`](Self::run), whatever the time is then.
    pub(crate) fn soon(&mut self) -> &mut Jobs {
        &mut self.soon
    }

    /// Does what is due by now, or queues it, and adds what is to come after it. Returns a few quick jobs that are not worth
    /// another thread.
    pub(crate) fn run(&mut self, now: Duration, workers: &Workers) -> Jobs {
        let mut jobs = std::mem::take(&mut self.soon);
        while let Some(first) = self.due.first_entry()
            && *first.key() <= now
        {
            let (at, together) = first.remove_entry();
            for (key, due) in together {
                match due.clone().tick(at, now, &mut jobs) {
                    // Its place changes at once, not after a search for the old one.
                    Some(next) => self.put(key, next, due),
                    None => _ = self.places.remove(&key),
                }
            }
        }
        let (quick, others): (Jobs, Jobs) = jobs.into_iter().partition(|job| job.is_quick());
        workers.queue(others);
        if quick.len() > CALLS_MAX {
            workers.sweep(quick);
            return Jobs::new();
        }
        quick
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// What is due by then, whoever is to do it.
    fn due(schedule: &mut Schedule, now: Duration, workers: &Workers) -> Jobs {
        let quick = schedule.run(now, workers);
        quick.into_iter().chain(workers.take()).collect()
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
        let queued = due(&mut schedule, ms(1003), &workers);
        assert_eq!(due(&mut schedule, ms(1009), &workers).len(), 0);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1010)), 0));
        assert_eq!(due(&mut schedule, ms(1011), &workers).len(), 0);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1020)), 1));
        assert_eq!(queued.len(), 1);
        queued[0].run();
        let again = due(&mut schedule, ms(1044), &workers);
        assert_eq!((schedule.next(), skipped()), (Some(ms(1050)), 3), "two passed unseen");
        assert_eq!(again.len(), 1);
        feed.stop();
        let none = due(&mut schedule, ms(1050), &workers);
        assert_eq!((schedule.next(), none.len()), (None, 0));
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
            for job in due(&mut schedule, at, &workers) {
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
        let none = due(&mut schedule, ms(95_000), &workers);
        assert_eq!((schedule.next(), none.len()), (Some(ms(3_600_000 + 91_400)), 0));
    }

    #[test]
    fn a_few_quick_jobs_are_returned_and_many_are_one_sweep_for_the_workers() {
        let (ms, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        let (feed, _, workers) = feed();
        let mut schedule = Schedule::default();
        let runs = Arc::new(AtomicUsize::new(0));
        let add = |schedule: &mut Schedule, n: u64| {
            let count = runs.clone();
            let produce = Arc::new(move |_: &Feed| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
            schedule.add(Key::Tick(n), ms, Periodic::new(feed.clone(), hour, produce));
        };
        add(&mut schedule, 0);
        assert_eq!(schedule.run(ms, &workers).len(), 0, "it is not known to be quick");
        workers.take().iter().for_each(|job| job.run());
        feed.took(Duration::ZERO, 1);
        (1..=CALLS_MAX as u64).for_each(|n| add(&mut schedule, n));
        let quick = schedule.run(ms, &workers);
        assert_eq!((quick.len(), workers.take().len()), (CALLS_MAX, 0));
        quick.iter().for_each(|job| job.run());
        (20..=20 + CALLS_MAX as u64).for_each(|n| add(&mut schedule, n));
        assert_eq!(schedule.run(ms, &workers).len(), 0);
        let sweep = workers.take();
        assert_eq!(sweep.len(), 1, "the workers have no second thread that could join");
        sweep[0].run();
        assert_eq!(runs.load(Ordering::SeqCst), 1 + CALLS_MAX + CALLS_MAX + 1);
        let batch: Arc<BatchRun> = Arc::new(BatchRun::new(hour, |_| ()));
        schedule.soon().push(batch);
        assert_eq!(schedule.run(ms, &workers).len(), 1, "of the next run, whatever is due");
        assert_eq!(schedule.run(ms, &workers).len(), 0, "once");
    }

    #[test]
    fn what_is_over_leaves_at_once_and_nothing_is_due_twice() {
        let hour = Duration::from_secs(3600);
        let (feed, route, workers) = feed();
        let (tick, value, batch) =
            (Key::Tick(feed.generation()), Key::Value(feed.generation()), Key::Batch(route));
        let mut schedule = Schedule::default();
        let entries = |schedule: &Schedule| schedule.due.values().map(Vec::len).sum::<usize>();
        let batches = Arc::new(BatchRun::new(hour, |_| ()));
        for at in [hour, 2 * hour] {
            let periodic = Periodic::new(feed.clone(), hour, Arc::new(|_| Ok(())));
            schedule.add(tick, at, periodic);
            schedule.add(value, at, Arc::new(Held(feed.clone())));
            schedule.add(batch, at, batches.clone());
        }
        assert_eq!((entries(&schedule), schedule.places.len()), (3, 3));
        assert_eq!(schedule.next(), Some(2 * hour));
        schedule.forget(Key::Tick(feed.generation() + 1));
        schedule.forget(Key::List(route));
        assert_eq!(entries(&schedule), 3, "another one");
        schedule.forget(tick);
        schedule.forget(value);
        assert_eq!(entries(&schedule), 1);
        schedule.forget(batch);
        assert_eq!((schedule.next(), schedule.places.len()), (None, 0));
        schedule.add(value, hour, Arc::new(Held(feed)));
        schedule.run(hour, &workers);
        assert_eq!((schedule.due.len(), schedule.places.len()), (0, 0), "done is over");
    }
}
