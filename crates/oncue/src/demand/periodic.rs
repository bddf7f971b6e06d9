//! Periodic production: when the next tick of each feed is, and the workers that produce. Ticks of one feed are a whole
//! number of periods after its start, whatever producing takes: a tick that finds the last one still being produced, or
//! that passed unseen, is skipped and counted. A feed is never in the queue twice, so the queue is as long as there are
//! feeds at most.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use super::Feed;
use super::shared::Shared;
use crate::sync::lock;

/// A feed that is produced periodically.
pub(super) struct Periodic {
    feed: Feed,
    period: Duration,
    produce: Arc<dyn Fn(&Feed) + Send + Sync>,
    /// From the tick that queues it until a worker is done with it.
    busy: AtomicBool,
}

impl Periodic {
    pub(super) fn new(
        feed: Feed,
        period: Duration,
        produce: Arc<dyn Fn(&Feed) + Send + Sync>,
    ) -> Arc<Periodic> {
        Arc::new(Periodic { feed, period, produce, busy: AtomicBool::new(false) })
    }

    /// Stops the feed. Whoever comes last, this or a worker, reports its end.
    pub(super) fn stop(&self) {
        self.feed.stop();
        if !self.busy.load(Ordering::SeqCst) {
            self.feed.end();
        }
    }

    fn run(&self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if self.feed.is_active() {
                (self.produce)(&self.feed);
            }
        }));
        let panicked = outcome.is_err();
        self.feed.shared().judge(&self.feed, outcome.map(Ok));
        self.busy.store(false, Ordering::SeqCst);
        if panicked || !self.feed.is_active() {
            self.feed.end();
        }
    }
}

/// When the next ticks are. Times are since the runner's origin.
#[derive(Default)]
pub(super) struct Schedule {
    ticks: BTreeSet<Tick>,
}

/// Ordered by time; the generation tells feeds of one moment apart.
struct Tick {
    at: Duration,
    periodic: Arc<Periodic>,
}

impl Tick {
    fn key(&self) -> (Duration, u64) {
        (self.at, self.periodic.feed.generation())
    }
}

impl Ord for Tick {
    fn cmp(&self, other: &Tick) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Tick {
    fn partial_cmp(&self, other: &Tick) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Tick {
    fn eq(&self, other: &Tick) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Tick {}

impl Schedule {
    /// The first tick of a feed is now.
    pub(super) fn start(&mut self, periodic: Arc<Periodic>, now: Duration) {
        self.ticks.insert(Tick { at: now, periodic });
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.ticks.first().map(|tick| tick.at)
    }

    /// Queues the feeds whose ticks are due, and drops those that have stopped.
    pub(super) fn run(&mut self, now: Duration, workers: &Workers, shared: &Shared) {
        let mut due = Vec::new();
        while let Some(tick) = self.ticks.first()
            && tick.at <= now
        {
            let Some(Tick { at, periodic }) = self.ticks.pop_first() else { break };
            if !periodic.feed.is_active() {
                continue;
            }
            let (next, passed) = next_tick(at, periodic.period, now);
            let busy = periodic.busy.swap(true, Ordering::SeqCst);
            shared.counters.ticks_skipped.fetch_add(passed + u64::from(busy), Ordering::Relaxed);
            if !busy {
                due.push(periodic.clone());
            }
            self.ticks.insert(Tick { at: next, periodic });
        }
        workers.queue(due);
    }
}

/// The first tick after `now`, and how many passed unseen between the one that is due and that.
fn next_tick(due: Duration, period: Duration, now: Duration) -> (Duration, u64) {
    let passed = now.saturating_sub(due).as_nanos() / period.as_nanos().max(1);
    let since = u32::try_from(passed).ok().and_then(|passed| period.checked_mul(passed));
    // More than four thousand million periods behind, counting on from now is as good.
    let last = since.map_or(now, |since| due.saturating_add(since));
    (last.saturating_add(period), u64::try_from(passed).unwrap_or(u64::MAX))
}

/// A fixed number of threads that produce what is queued, oldest first.
pub(super) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Default)]
struct Jobs {
    due: VecDeque<Arc<Periodic>>,
    closed: bool,
}

impl Workers {
    pub(super) fn start(threads: usize, shared: &Arc<Shared>) -> io::Result<Workers> {
        let mut workers = Workers { queue: Arc::default(), threads: Vec::new() };
        for _ in 0..threads {
            let (queue, shared) = (workers.queue.clone(), shared.clone());
            let thread = thread::Builder::new().name("oncue-every".to_owned()).spawn(move || {
                shared.adopt_thread();
                while let Some(periodic) = queue.next() {
                    periodic.run();
                }
            });
            match thread {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    workers.close();
                    return Err(error);
                }
            }
        }
        Ok(workers)
    }

    /// Ends the threads once they are done with what they are producing.
    pub(super) fn close(&mut self) {
        let mut jobs = lock(&self.queue.jobs);
        jobs.closed = true;
        jobs.due.clear();
        drop(jobs);
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of producers: its own would be a broken invariant.
            thread.join().expect("a worker does not panic");
        }
    }

    fn queue(&self, due: Vec<Arc<Periodic>>) {
        let jobs = due.len();
        lock(&self.queue.jobs).due.extend(due);
        match jobs {
            0 => {}
            1 => self.queue.more.notify_one(),
            _ => self.queue.more.notify_all(),
        }
    }
}

impl Queue {
    fn next(&self) -> Option<Arc<Periodic>> {
        let mut jobs = lock(&self.jobs);
        loop {
            if jobs.closed {
                return None;
            }
            if let Some(periodic) = jobs.due.pop_front() {
                return Some(periodic);
            }
            jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use oncue_core::demand::{Decision, Demand, Limits, Route};

    use super::super::Pattern;
    use super::*;
    use crate::{Engine, Options, XPub};

    fn feed(shared: &Arc<Shared>) -> Feed {
        let route = Route::new(Pattern::literal("clock"));
        let mut machine = Demand::new(vec![route], Limits::default()).unwrap();
        machine.wanted(b"clock", Duration::ZERO);
        let Some(Decision::Start { feed, generation, topic, params, .. }) = machine.poll() else { panic!() };
        let socket = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        Feed::new((feed, generation), topic, params, socket, shared.clone())
    }

    #[test]
    fn a_busy_feed_is_queued_once_and_what_it_missed_is_counted() {
        let ms = Duration::from_millis;
        let shared = Arc::new(Shared::new(None));
        let workers = Workers::start(0, &shared).unwrap();
        let queued = || lock(&workers.queue.jobs).due.len();
        let skipped = || shared.counters.ticks_skipped.load(Ordering::SeqCst);
        let feed = feed(&shared);
        let mut schedule = Schedule::default();
        schedule.start(Periodic::new(feed.clone(), ms(10), Arc::new(|_| ())), ms(1003));
        assert_eq!(schedule.next(), Some(ms(1003)), "the first tick is at once");
        schedule.run(ms(1003), &workers, &shared);
        assert_eq!((schedule.next(), queued(), skipped()), (Some(ms(1013)), 1, 0));
        schedule.run(ms(1012), &workers, &shared);
        schedule.run(ms(1014), &workers, &shared);
        assert_eq!((schedule.next(), queued(), skipped()), (Some(ms(1023)), 1, 1));
        lock(&workers.queue.jobs).due.pop_front().unwrap().run();
        schedule.run(ms(1047), &workers, &shared);
        assert_eq!((schedule.next(), queued(), skipped()), (Some(ms(1053)), 1, 3), "two passed unseen");
        feed.stop();
        schedule.run(ms(1053), &workers, &shared);
        assert_eq!((schedule.next(), queued()), (None, 1));
    }

    #[test]
    fn ticks_are_whole_periods_after_the_first() {
        let ms = Duration::from_millis;
        assert_eq!(next_tick(ms(100), ms(10), ms(100)), (ms(110), 0));
        assert_eq!(next_tick(ms(100), ms(10), ms(109)), (ms(110), 0));
        assert_eq!(next_tick(ms(100), ms(10), ms(110)), (ms(120), 1));
        assert_eq!(next_tick(ms(100), ms(10), ms(137)), (ms(140), 3));
        let (next, passed) = next_tick(ms(0), Duration::from_nanos(1), Duration::from_secs(100));
        assert!(next > Duration::from_secs(100) && passed == 100_000_000_000);
    }
}
