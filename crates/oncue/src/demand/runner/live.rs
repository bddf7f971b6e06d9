//! A feed that was started and has not ended, and how its producer is begun and stopped.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use oncue_core::feeds::RouteId;

use super::plan::RouteRun;
use super::schedule::{Due, Key, Schedule};
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Failure;
use crate::demand::producers::batch::BatchRun;
use crate::demand::producers::fill::Filler;
use crate::demand::producers::periodic::Periodic;
use crate::demand::producers::workers::Workers;
use crate::demand::producers::{Change, Producer, thread as producer};
use crate::socket::XPub;

pub(crate) struct Live {
    feed: Feed,
    hold: Hold,
    filler: Option<Filler>,
    stopped: bool,
}

/// What is needed to stop a feed, by the kind of its producer.
enum Hold {
    Periodic(Arc<Periodic>),
    Thread(JoinHandle<()>),
    Task,
    Batch(Arc<BatchRun>, RouteId),
    Manual(Arc<dyn Fn(Change) + Send + Sync>),
}

impl Live {
    /// Begins to produce a feed. `None` if it has failed at once.
    pub(crate) fn begin(
        feed: Feed,
        (id, route): (RouteId, &RouteRun),
        schedule: &mut Schedule,
        workers: &Workers,
        now: Duration,
    ) -> Option<Live> {
        let hold = match &route.producer {
            Producer::Every { period, produce } => {
                let periodic = Periodic::new(feed.clone(), *period, produce.clone());
                schedule.add(Key::Tick(feed.generation()), now, Due::Tick(periodic.clone()));
                Hold::Periodic(periodic)
            }
            Producer::Batch(batch) => {
                if let Some(tick) = batch.start(&feed, now, workers) {
                    schedule.add(Key::Batch(id), tick, Due::Tick(batch.clone()));
                }
                Hold::Batch(batch.clone(), id)
            }
            Producer::Thread(produce) => match producer::start_thread(feed.clone(), produce.clone()) {
                Ok(thread) => Hold::Thread(thread),
                Err(error) => {
                    feed.stop();
                    feed.fail_with(&Failure::NoThread(error));
                    return None;
                }
            },
            Producer::Task { spawn, produce } => {
                producer::start_task(&feed, &**spawn, produce.clone());
                Hold::Task
            }
            Producer::Manual(tell) => {
                if producer::tell_manual(&feed, &**tell, Change::Started(feed.clone())) {
                    feed.stop();
                    return None;
                }
                Hold::Manual(tell.clone())
            }
        };
        let filler = route.fill.clone().map(|fill| Filler::new(feed.clone(), fill));
        Some(Live { feed, hold, filler, stopped: false })
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Has the value of the topic filled in if it is missing, unless the feed publishes more than `published` values
    /// before.
    pub(crate) fn fill(&mut self, published: u64, socket: &XPub, workers: &Workers) {
        if let Some(filler) = &mut self.filler {
            filler.fill(published, socket, workers);
        }
    }

    /// From now on nothing of the feed is sent. Its producer reports its end by a note, maybe at once.
    pub(crate) fn stop(&mut self, schedule: &mut Schedule) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        schedule.forget(Key::Tick(self.feed.generation()));
        schedule.forget(Key::Value(self.feed.generation()));
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
                producer::tell_manual(&self.feed, &**tell, Change::Stopped(self.feed.clone()));
                self.feed.end();
            }
        }
    }

    /// The feed has ended: what was still to be done for it is not done.
    pub(crate) fn end(self, schedule: &mut Schedule, workers: &Workers) {
        schedule.forget(Key::Tick(self.feed.generation()));
        schedule.forget(Key::Value(self.feed.generation()));
        if let Some(filler) = &self.filler {
            filler.cancel(workers);
        }
        self.join();
    }

    /// The runner ends: nobody waits for the feed's end any more but for its thread.
    pub(crate) fn give_up(self) {
        if let Hold::Batch(batch, _) = &self.hold {
            batch.clear();
        }
        self.join();
    }

    fn join(self) {
        if let Hold::Thread(thread) = self.hold {
            // A producer's panics are caught and counted: the thread itself would be a broken invariant.
            thread.join().expect("a producer's thread does not panic");
        }
    }
}
