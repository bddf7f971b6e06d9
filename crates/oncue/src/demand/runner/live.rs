//! A feed that was started and has not ended: how its producer is begun and stopped.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use oncue_core::feeds::RouteId;

use super::plan::RouteRun;
use super::schedule::{Key, Schedule};
use super::shared::Shared;
use crate::demand::feed::{Failure, Feed};
use crate::demand::producers::{BatchRun, Change, ChangeFn, Fill, FillFn, Periodic, Producer, thread};
use crate::events;
use crate::socket::XPub;

/// The reason for the end of a feed that nothing else has ended.
pub(crate) const FINISHED: &str = "finished";

pub(crate) struct Live {
    feed: Feed,
    hold: Hold,
    fill: Option<FillFn>,
    /// The call that is queued or under way, which fills in a value.
    filling: Weak<Fill>,
    /// Why it was told to stop.
    stopped: Option<&'static str>,
}

/// What is needed to stop a feed, by the kind of its producer.
enum Hold {
    Periodic(Arc<Periodic>),
    Thread(JoinHandle<()>),
    Task,
    Batch(Arc<BatchRun>, RouteId),
    Manual(ChangeFn),
}

impl Live {
    /// Begins to produce a feed. `None` if it has failed at once.
    pub(crate) fn begin(
        feed: Feed,
        (id, route): (RouteId, &RouteRun),
        schedule: &mut Schedule,
        shared: &Shared,
    ) -> Option<Live> {
        let now = shared.desk.now();
        let hold = match &route.producer {
            Producer::Every { period, produce } => {
                let periodic = Periodic::new(feed.clone(), *period, produce.clone());
                schedule.add(Key::Tick(feed.generation()), now, periodic.clone());
                Hold::Periodic(periodic)
            }
            Producer::Batch(batch) => {
                if let Some(tick) = batch.start(&feed, now, schedule.soon()) {
                    schedule.add(Key::Batch(id), tick, batch.clone());
                }
                Hold::Batch(batch.clone(), id)
            }
            Producer::Thread(produce) => match thread::start_thread(feed.clone(), produce.clone()) {
                Ok(handle) => Hold::Thread(handle),
                Err(error) => {
                    feed.stop();
                    feed.fail_with(&Failure::NoThread(error));
                    return None;
                }
            },
            Producer::Task { spawn, produce } => {
                thread::start_task(&feed, spawn, produce.clone());
                Hold::Task
            }
            Producer::Manual(tell) => {
                if thread::tell_manual(&feed, tell, Change::Started(feed.clone())) {
                    feed.stop();
                    return None;
                }
                Hold::Manual(tell.clone())
            }
        };
        Some(Live { feed, hold, fill: route.fill.clone(), filling: Weak::new(), stopped: None })
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Has the value of the topic filled in if it is missing and the route can do that, by one call at a time. The call has
    /// no effect once the feed has published more than `published` values.
    pub(crate) fn fill_in(&mut self, published: u64, socket: &XPub, shared: &Shared) {
        let Some(fill) = &self.fill else { return };
        if self.filling.strong_count() == 0 && socket.last(self.feed.topic()).is_none() {
            let call = Arc::new(Fill { feed: self.feed.clone(), fill: fill.clone(), published });
            self.filling = Arc::downgrade(&call);
            shared.workers.queue(vec![call]);
        }
    }

    /// From now on nothing of the feed is sent. Its producer reports its end by a note, maybe at once.
    pub(crate) fn stop(&mut self, reason: &'static str, schedule: &mut Schedule) {
        if self.stopped.replace(reason).is_some() {
            return;
        }
        schedule.forget_feed(self.feed.generation());
        match &self.hold {
            Hold::Periodic(periodic) => periodic.stop(),
            Hold::Batch(batch, route) => {
                if batch.stop(&self.feed) {
                    schedule.forget(Key::Batch(*route));
                }
            }
            Hold::Thread(_) | Hold::Task => self.feed.stop(),
            Hold::Manual(tell) => {
                self.feed.stop();
                thread::tell_manual(&self.feed, tell, Change::Stopped(self.feed.clone()));
                self.feed.end();
            }
        }
    }

    /// The feed has ended: nothing more is done for it.
    pub(crate) fn end(self, failed: bool, schedule: &mut Schedule, shared: &Shared) {
        self.tell_end(failed);
        schedule.forget_feed(self.feed.generation());
        if let Some(call) = self.filling.upgrade() {
            // It would have no effect, and would wait for as long as the workers are busy.
            shared.workers.forget(call);
        }
        self.join();
    }

    /// The runner ends, and waits for no end of a feed but that of its thread.
    pub(crate) fn give_up(self) {
        self.tell_end(false);
        if let Hold::Batch(batch, _) = &self.hold {
            batch.clear();
        }
        self.join();
    }

    fn tell_end(&self, failed: bool) {
        let reason = if failed { "failed" } else { self.stopped.unwrap_or(FINISHED) };
        events::feed_ended(self.feed.topic(), self.feed.generation(), reason);
    }

    fn join(self) {
        if let Hold::Thread(thread) = self.hold {
            // A producer's panics are caught and counted: a panic of the thread itself would be a broken invariant.
            thread.join().expect("a producer's thread does not panic");
        }
    }
}
