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
    state: Mutex<State>,
    more: Condvar,
    threads_max: usize,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct State {
    due: VecDeque<Arc<dyn Job>>,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
    /// Threads that wait for a job.
    idle: usize,
}

impl Workers {
    /// No threads yet.
    pub(crate) fn new(threads_max: usize, desk: Arc<Desk>) -> Arc<Workers> {
        Arc::new(Workers { state: Mutex::default(), more: Condvar::new(), threads_max, desk })
    }

    /// Starts the threads, unless they run.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let mut state = lock(&self.state);
        while state.threads.len() < self.threads_max && !state.closed {
            let workers = self.clone();
            let thread =
                thread::Builder::new().name("oncue-every".to_owned()).spawn(move || workers.work())?;
            state.threads.push(thread);
        }
        Ok(())
    }

    /// Ends the threads once they have finished their jobs. What is queued is dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (due, threads) = (std::mem::take(&mut state.due), std::mem::take(&mut state.threads));
        drop(state);
        // Outside of the lock: a job may own what calls back.
        drop(due);
        self.more.notify_all();
        for thread in threads {
            // A worker catches the panics of producers: its own would be a broken invariant.
            thread.join().expect("a worker does not panic");
        }
    }

    /// Takes a job out of the queue, if it is still there.
    pub(crate) fn forget(&self, job: Arc<dyn Job>) {
        let mut state = lock(&self.state);
        let at = state.due.iter().position(|queued| Arc::ptr_eq(queued, &job));
        let gone = at.and_then(|at| state.due.remove(at));
        drop(state);
        drop(gone);
    }

    pub(crate) fn queue(&self, jobs: Jobs) {
        if jobs.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        let wake = jobs.len().min(state.idle);
        if !state.closed {
            state.due.extend(jobs);
        }
        drop(state);
        (0..wake).for_each(|_| self.more.notify_one());
    }

    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Arc<dyn Job>> {
        lock(&self.state).due.drain(..).collect()
    }

    /// Runs jobs on this thread until the workers are closed.
    fn work(&self) {
        self.desk.adopt_thread();
        let mut state = lock(&self.state);
        while !state.closed {
            if let Some(job) = state.due.pop_front() {
                drop(state);
                job.run();
                // It may own what calls back.
                drop(job);
                state = lock(&self.state);
            } else {
                state.idle += 1;
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}
