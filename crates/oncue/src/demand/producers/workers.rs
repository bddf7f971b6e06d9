//! The threads for what is due, shared by all routes that tick, list or fill: a fixed number, oldest job first. The queue
//! is bounded, since nothing queues itself twice.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use crate::demand::feed::Desk;
use crate::sync::lock;

/// What a worker does. It catches the panics of users' functions.
pub(crate) trait Job: Send + Sync {
    fn run(&self);
}

/// Jobs that are queued together.
pub(crate) type Jobs = Vec<Arc<dyn Job>>;

pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    threads_max: usize,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    due: VecDeque<Arc<dyn Job>>,
    closed: bool,
    /// Threads that wait for a job.
    idle: usize,
}

impl Workers {
    /// No threads yet.
    pub(crate) fn new(threads_max: usize, desk: Arc<Desk>) -> Workers {
        Workers { queue: Arc::default(), threads: Mutex::default(), threads_max, desk }
    }

    /// Starts the threads, unless they run.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        while threads.len() < self.threads_max {
            let (queue, desk) = (self.queue.clone(), self.desk.clone());
            threads.push(thread::Builder::new().name("oncue-every".to_owned()).spawn(move || {
                desk.adopt_thread();
                while let Some(job) = queue.next() {
                    job.run();
                }
            })?);
        }
        Ok(())
    }

    /// Ends the threads once they have finished their jobs. What is queued is dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.queue.state);
        state.closed = true;
        state.due.clear();
        drop(state);
        self.queue.more.notify_all();
        // Not while the list is locked: a job may start workers.
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A worker catches the panics of producers: its own would be a broken invariant.
            thread.join().expect("a worker does not panic");
        }
    }

    /// Takes a job out of the queue, if it is still there.
    pub(crate) fn forget(&self, job: Arc<dyn Job>) {
        let mut state = lock(&self.queue.state);
        let at = state.due.iter().position(|queued| Arc::ptr_eq(queued, &job));
        let gone = at.and_then(|at| state.due.remove(at));
        drop(state);
        // Outside of the lock: a job may own what calls back.
        drop(gone);
    }

    pub(crate) fn queue(&self, jobs: Jobs) {
        if jobs.is_empty() {
            return;
        }
        let mut state = lock(&self.queue.state);
        let wake = jobs.len().min(state.idle);
        if !state.closed {
            state.due.extend(jobs);
        }
        drop(state);
        (0..wake).for_each(|_| self.queue.more.notify_one());
    }

    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Arc<dyn Job>> {
        lock(&self.queue.state).due.drain(..).collect()
    }
}

impl Queue {
    fn next(&self) -> Option<Arc<dyn Job>> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.due.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}
