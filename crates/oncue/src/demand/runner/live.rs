//! A feed that was started and has not ended, and how its producer is begun and stopped.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::schedule::{Due, Schedule};
use super::shared::Shared;
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Failure;
use crate::demand::producers::batch::BatchRun;
use crate::demand::producers::periodic::Periodic;
use crate::demand::producers::{Change, Producer, thread as producer};

pub(crate) struct Live {
    feed: Feed,
    hold: Hold,
    stopped: bool,
}

/// What is needed to stop a feed, by the kind of its producer.
enum Hold {
    Periodic(Arc<Periodic>),
    Thread(JoinHandle<()>),
    Task,
    Batch(Arc<BatchRun>),
    Manual(Arc<dyn Fn(Change) + Send + Sync>),
}

impl Live {
    /// Begins to produce a feed. `None` if it has failed at once.
    pub(crate) fn begin(
        feed: Feed,
        producer: &Producer,
        schedule: &mut Schedule,
        shared: &Shared,
    ) -> Option<Live> {
        let now = shared.now();
        let hold = match producer {
            Producer::Every { period, produce } => {
                let periodic = Periodic::new(feed.clone(), *period, produce.clone());
                schedule.add(now, Due::Tick(periodic.clone()));
                Hold::Periodic(periodic)
            }
            Producer::Batch(batch) => {
                if let Some(tick) = batch.start(&feed, now, &shared.workers) {
                    schedule.add(tick, Due::Batch(batch.clone()));
                }
                Hold::Batch(batch.clone())
            }
            Producer::Thread(produce) => match producer::start_thread(feed.clone(), produce.clone()) {
                Ok(thread) => Hold::Thread(thread),
                Err(error) => {
                    feed.stop();
                    shared.fail(&feed, &Failure::NoThread(error));
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
        Some(Live { feed, hold, stopped: false })
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// From now on nothing of the feed is sent. Its producer reports its end by a note, maybe at once.
    pub(crate) fn stop(&mut self, schedule: &mut Schedule) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        schedule.forget_feed(self.feed.generation());
        match &self.hold {
            Hold::Periodic(periodic) => periodic.stop(),
            Hold::Batch(batch) => {
                if batch.stop(&self.feed) {
                    schedule.forget_batch(batch);
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

    /// The runner ends: nobody waits for the feed's end any more but for its thread.
    pub(crate) fn give_up(self) {
        if let Hold::Batch(batch) = &self.hold {
            batch.clear();
        }
        self.join();
    }

    pub(crate) fn join(self) {
        if let Hold::Thread(thread) = self.hold {
            // A producer's panics are caught and counted: the thread itself would be a broken invariant.
            thread.join().expect("a producer's thread does not panic");
        }
    }
}
