//! The threads for what is due, shared by all routes that tick, list or fill: oldest job first. The queue is bounded, since
//! nothing queues itself twice.
//!
//! Without patience all threads are started at once, and as many are woken as there are jobs. With patience one thread does
//! the jobs, and another one, the lookout, looks from time to time: when the queue has not moved meanwhile, it joins in, and
//! the next thread, started if need be, looks out in its place. So jobs that are done quickly stay on one thread, and a job
//! that blocks holds up the others for no longer than the patience.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
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
    patience: Duration,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct State {
    due: VecDeque<Arc<dyn Job>>,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
    /// Threads that wait for a job, without the lookout.
    idle: usize,
    /// Threads that do a job.
    busy: usize,
    /// How many jobs were taken.
    taken: u64,
    /// Whether a thread looks out.
    looked_out: bool,
}

impl Workers {
    /// No threads yet. `patience`: how long jobs may wait before a thread more is woken for them.
    pub(crate) fn new(threads_max: usize, patience: Duration, desk: Arc<Desk>) -> Arc<Workers> {
        Arc::new(Workers { state: Mutex::default(), more: Condvar::new(), threads_max, patience, desk })
    }

    /// Starts the threads, unless they run; with patience the first two of them.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let mut state = lock(&self.state);
        let first = if self.patience.is_zero() { self.threads_max } else { self.threads_max.min(2) };
        while state.threads.len() < first && !state.closed {
            self.start_one(&mut state)?;
        }
        Ok(())
    }

    fn start_one(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let workers = self.clone();
        let thread = thread::Builder::new().name("oncue-every".to_owned()).spawn(move || workers.work())?;
        state.threads.push(thread);
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
        let wake = if self.patience.is_zero() { jobs.len().min(state.idle) } else { state.idle.min(1) };
        // The busy one comes to these jobs, if somebody sees to it that it does.
        let needless = !self.patience.is_zero() && state.busy > 0 && state.looked_out;
        if !state.closed {
            state.due.extend(jobs);
        }
        drop(state);
        (0..wake).filter(|_| !needless).for_each(|_| self.more.notify_one());
    }

    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Arc<dyn Job>> {
        lock(&self.state).due.drain(..).collect()
    }

    /// Runs jobs on this thread until the workers are closed.
    fn work(self: &Arc<Self>) {
        self.desk.adopt_thread();
        let mut state = lock(&self.state);
        while !state.closed {
            if state.due.is_empty() {
                state.idle += 1;
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            } else if !self.patience.is_zero() && state.busy > 0 {
                state = self.look_out(state);
            } else {
                state = self.run_next(state);
            }
        }
    }

    fn run_next<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(job) = state.due.pop_front() else { return state };
        state.taken += 1;
        state.busy += 1;
        if !self.patience.is_zero() && !state.looked_out && state.idle > 0 && !state.due.is_empty() {
            self.more.notify_one();
        }
        drop(state);
        job.run();
        // It may own what calls back.
        drop(job);
        let mut state = lock(&self.state);
        state.busy -= 1;
        state
    }

    /// Joins in when the queue has not moved for the time of the patience, and returns when there is no more to look out for.
    fn look_out<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.looked_out {
            // Another one does. It is woken when that one joins in.
            state.idle += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            return state;
        }
        state.looked_out = true;
        while !state.due.is_empty() && state.busy > 0 && !state.closed {
            let taken = state.taken;
            let (next, _) =
                self.more.wait_timeout(state, self.patience).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if state.taken == taken && !state.due.is_empty() {
                if state.idle == 0 && state.threads.len() < self.threads_max && !state.closed {
                    // If the system has no thread left, this one comes back to look out.
                    let _ = self.start_one(&mut state);
                }
                state.looked_out = false;
                return self.run_next(state);
            }
        }
        state.looked_out = false;
        state
    }
}
