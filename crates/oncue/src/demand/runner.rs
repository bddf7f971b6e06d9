//! The thread that carries demand to the state machine and its decisions to the producers. It waits for three things
//! at once: changes of demand, notes of producers, and the next deadline. No value passes through it.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use oncue_core::demand::{Decision, Demand, End};

use super::Feed;
use super::periodic::{Periodic, Schedule, Workers};
use super::producer::{self, Change, Failure, Producer};
use super::shared::{Note, Shared};
use crate::error::Error;
use crate::op::Op;
use crate::socket::{DemandEvent, DemandWatch, XPub};
use crate::sync::lock;

/// Changes of demand taken in one turn, so that deadlines and notes get theirs.
const EVENTS_PER_TURN_MAX: usize = 256;

pub(super) fn start(
    machine: Demand,
    producers: Vec<Producer>,
    socket: XPub,
    workers: Workers,
    shared: Arc<Shared>,
) -> io::Result<JoinHandle<()>> {
    let runner = Runner {
        machine,
        producers,
        watch: socket.demand(),
        socket,
        workers,
        shared,
        origin: Instant::now(),
        schedule: Schedule::default(),
        live: HashMap::new(),
    };
    thread::Builder::new().name("oncue-demand".to_owned()).spawn(move || runner.run())
}

struct Runner {
    machine: Demand,
    producers: Vec<Producer>,
    watch: DemandWatch,
    socket: XPub,
    workers: Workers,
    shared: Arc<Shared>,
    origin: Instant,
    schedule: Schedule,
    /// The feeds started whose end has not been reported, by generation.
    live: HashMap<u64, Live>,
}

struct Live {
    feed: Feed,
    hold: Hold,
}

/// What is needed to stop a feed, by the kind of its producer.
enum Hold {
    Periodic(Arc<Periodic>),
    Thread(JoinHandle<()>),
    Task,
    Manual(Arc<dyn Fn(Change) + Send + Sync>),
}

enum Turn {
    Demand(Result<DemandEvent, Error>),
    Notes(Vec<Note>),
    Time,
}

impl Runner {
    fn run(mut self) {
        self.shared.adopt_thread();
        let snapshot = self.watch.snapshot().to_vec();
        for prefix in snapshot {
            let now = self.now();
            self.machine.wanted(&prefix, now);
            self.obey();
        }
        loop {
            let goes_on = match self.wait() {
                Turn::Demand(event) => self.hear(event) && self.hear_more(),
                Turn::Notes(notes) => notes.into_iter().all(|note| self.heed(note)),
                Turn::Time => true,
            };
            if !goes_on {
                return;
            }
            let now = self.now();
            self.machine.tick(now);
            self.obey();
            self.schedule.run(now, &self.workers, &self.shared);
        }
    }

    fn wait(&self) -> Turn {
        let turn = poll_fn(|context| {
            if let Poll::Ready(notes) = self.shared.poll_notes(context) {
                return Poll::Ready(Turn::Notes(notes));
            }
            pin!(self.watch.next()).poll(context).map(Turn::Demand)
        });
        match self.machine.next_deadline().into_iter().chain(self.schedule.next()).min() {
            None => Op(turn).wait(),
            Some(deadline) => {
                Op(turn).wait_timeout(deadline.saturating_sub(self.now())).unwrap_or(Turn::Time)
            }
        }
    }

    /// Whether there is more to come.
    fn hear(&mut self, event: Result<DemandEvent, Error>) -> bool {
        let now = self.now();
        match event {
            Ok(DemandEvent::Wanted(prefix)) => self.machine.wanted(&prefix, now),
            Ok(DemandEvent::Unwanted(prefix)) => self.machine.unwanted(&prefix, now),
            // The socket was closed, or its engine has died: there is nobody to produce for.
            Err(_) => return false,
        }
        self.obey();
        true
    }

    fn hear_more(&mut self) -> bool {
        for _ in 0..EVENTS_PER_TURN_MAX {
            let goes_on = match self.watch.try_next() {
                Ok(None) => break,
                Ok(Some(event)) => self.hear(Ok(event)),
                Err(error) => self.hear(Err(error)),
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn heed(&mut self, note: Note) -> bool {
        let Note::Ended { id, generation } = note else { return false };
        // A periodic feed may report its end twice.
        if let Some(live) = self.live.remove(&generation) {
            live.join();
            let now = self.now();
            self.machine.ended(id, generation, End::Finished, now);
            self.obey();
        }
        true
    }

    /// Does what the machine has decided.
    fn obey(&mut self) {
        loop {
            // Counted before it is done: who sees a feed's first value sees the feed counted.
            *lock(&self.shared.machine) = self.machine.stats();
            let Some(decision) = self.machine.poll() else { break };
            match decision {
                Decision::Start { feed: id, route, topic, params, generation, .. } => {
                    let feed =
                        Feed::new((id, generation), topic, params, self.socket.clone(), self.shared.clone());
                    let producer = self.producers[route.index()].clone();
                    if let Some(hold) = self.produce(&feed, producer) {
                        self.live.insert(generation, Live { feed, hold });
                    } else {
                        let now = self.now();
                        self.machine.ended(id, generation, End::Finished, now);
                    }
                }
                Decision::Stop { generation, .. } => {
                    if let Some(live) = self.live.get(&generation) {
                        live.stop();
                    }
                }
                // Nobody can be told of a topic's state yet.
                Decision::State { .. } => {}
            }
        }
    }

    fn produce(&mut self, feed: &Feed, producer: Producer) -> Option<Hold> {
        match producer {
            Producer::Every { period, produce } => {
                let periodic = Periodic::new(feed.clone(), period, produce);
                self.schedule.start(periodic.clone(), self.now());
                Some(Hold::Periodic(periodic))
            }
            Producer::Thread(produce) => match producer::start_thread(feed.clone(), produce) {
                Ok(thread) => Some(Hold::Thread(thread)),
                Err(error) => {
                    feed.stop();
                    self.shared.fail(feed, &Failure::NoThread(error));
                    None
                }
            },
            Producer::Task { spawn, produce } => {
                producer::start_task(feed, &*spawn, produce);
                Some(Hold::Task)
            }
            Producer::Manual(tell) => {
                let panicked = producer::tell_manual(feed, &*tell, Change::Started(feed.clone()));
                if panicked {
                    feed.stop();
                }
                (!panicked).then_some(Hold::Manual(tell))
            }
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Ends all feeds and waits for the threads that produce, also when the runner has panicked: no feed is left without
/// somebody to stop it.
impl Drop for Runner {
    fn drop(&mut self) {
        for live in self.live.values() {
            live.stop();
        }
        self.workers.close();
        for (_, live) in self.live.drain() {
            live.join();
        }
    }
}

impl Live {
    /// From now on nothing of the feed is sent. Its producer reports its end by a note, maybe at once.
    fn stop(&self) {
        match &self.hold {
            Hold::Periodic(periodic) => periodic.stop(),
            Hold::Thread(_) | Hold::Task => self.feed.stop(),
            Hold::Manual(tell) => {
                self.feed.stop();
                producer::tell_manual(&self.feed, &**tell, Change::Stopped(self.feed.clone()));
                self.feed.end();
            }
        }
    }

    fn join(self) {
        if let Hold::Thread(thread) = self.hold {
            // A producer's panics are caught and counted: the thread itself would be a broken invariant.
            thread.join().expect("a producer's thread does not panic");
        }
    }
}
