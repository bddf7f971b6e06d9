//! The threads for what is due, shared by all routes that tick, list or fill: oldest job first. The queue is bounded, since
//! nothing queues itself twice.
//!
//! Without patience all threads are started at once, and as many are woken as there are jobs, except for a sweep of many quick
//! jobs, for which there is patience. With patience one thread does
//! the jobs, and another one, the lookout, looks from time to time: when the queue has not moved meanwhile, it joins in, and
//! the next thread, started if need be, looks out in its place. So jobs that are done quickly stay on one thread, and a job
//! that blocks holds up the others for no longer than the patience.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use crate::demand::feed::Desk;
use crate::sync::lock;

/// What a worker does. It catches the panics of users' functions.
pub(crate) trait Job: Send + Sync {
    fn run(&self);

    /// Whether it is done sooner than another thread is woken for it, as far as is known.
    fn is_quick(&self) -> bool {
        false
    }
}

/// Jobs that are queued together.
pub(crate) type Jobs = Vec<Arc<dyn Job>>;

/// How long a sweep may go on before a thread more joins in.
const SWEEP_PATIENCE: Duration = Duration::from_millis(2);

/// Quick jobs that are done one after the other, by one thread, or by several that join in because one of them blocks.
struct Sweep {
    jobs: Jobs,
    next: AtomicUsize,
}

impl Job for Sweep {
    fn run(&self) {
        while let Some(job) = self.jobs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            job.run();
        }
    }
}

/// A job that is queued.
struct Queued {
    job: Arc<dyn Job>,
    /// Whether it does not wait for a thread that is busy.
    at_once: bool,
}

pub(crate) struct Workers {
    state: Mutex<State>,
    more: Condvar,
    threads_max: usize,
    patience: Duration,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct State {
    due: VecDeque<Queued>,
    /// How many of them do not wait for a thread that is busy.
    at_once: usize,
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

impl State {
    fn add(&mut self, jobs: Jobs, at_once: bool) {
        if !self.closed {
            self.at_once += if at_once { jobs.len() } else { 0 };
            self.due.extend(jobs.into_iter().map(|job| Queued { job, at_once }));
        }
    }
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
        state.at_once = 0;
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
        let at = state.due.iter().position(|queued| Arc::ptr_eq(&queued.job, &job));
        let gone = at.and_then(|at| state.due.remove(at));
        state.at_once -= usize::from(gone.as_ref().is_some_and(|gone| gone.at_once));
        drop(state);
        drop(gone);
    }

    pub(crate) fn queue(&self, jobs: Jobs) {
        if jobs.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        let at_once = self.patience.is_zero();
        // The lookout waits for more as well.
        let waiting = state.idle + usize::from(state.looked_out);
        let wake = if at_once { jobs.len().min(waiting) } else { state.idle.min(1) };
        // The busy one comes to these jobs, if somebody sees to it that it does.
        let needless = !at_once && state.busy > 0 && state.looked_out;
        state.add(jobs, at_once);
        drop(state);
        (0..wake).filter(|_| !needless).for_each(|_| self.more.notify_one());
    }

    /// Queues quick jobs: one thread does them all, and others join in when that takes long.
    pub(crate) fn sweep(&self, jobs: Jobs) {
        if !self.patience.is_zero() || jobs.len() <= 1 {
            return self.queue(jobs);
        }
        let (jobs_max, next) = (jobs.len(), AtomicUsize::new(0));
        let sweep: Arc<dyn Job> = Arc::new(Sweep { jobs, next });
        let mut state = lock(&self.state);
        state.add(vec![sweep.clone()], true);
        state.add(vec![sweep; self.threads_max.min(jobs_max).saturating_sub(1)], false);
        drop(state);
        self.more.notify_one();
    }

    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Arc<dyn Job>> {
        lock(&self.state).due.drain(..).map(|queued| queued.job).collect()
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
            } else if state.at_once == 0 && state.busy > 0 {
                state = self.look_out(state);
            } else {
                state = self.run_next(state);
            }
        }
    }

    fn run_next<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(Queued { job, at_once }) = state.due.pop_front() else { return state };
        state.at_once -= usize::from(at_once);
        state.taken += 1;
        state.busy += 1;
        if state.at_once == 0 && !state.looked_out && state.idle > 0 && !state.due.is_empty() {
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
        let patience = if self.patience.is_zero() { SWEEP_PATIENCE } else { self.patience };
        while !state.due.is_empty() && state.busy > 0 && !state.closed {
            let taken = state.taken;
            let (next, _) = self.more.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if (state.taken == taken || state.at_once > 0) && !state.due.is_empty() {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Tells on which thread it runs, and waits until it is let go if it is to.
    struct Call {
        told: Mutex<Sender<thread::ThreadId>>,
        go_on: Option<Mutex<Receiver<()>>>,
    }

    impl Job for Call {
        fn run(&self) {
            lock(&self.told).send(thread::current().id()).unwrap();
            if let Some(go_on) = &self.go_on {
                lock(go_on).recv().unwrap();
            }
        }
    }

    fn workers(threads: usize) -> Arc<Workers> {
        let desk = Arc::new(Desk::new(Arc::new(|| Duration::ZERO)));
        let workers = Workers::new(threads, Duration::ZERO, desk);
        workers.start().unwrap();
        workers
    }

    #[test]
    fn others_join_in_a_sweep_if_one_of_its_jobs_blocks() {
        let workers = workers(3);
        let (told, threads) = channel();
        let (let_go, go_on) = channel();
        let call = |go_on: Option<Receiver<()>>| -> Arc<dyn Job> {
            Arc::new(Call { told: Mutex::new(told.clone()), go_on: go_on.map(Mutex::new) })
        };
        let mut jobs: Jobs = vec![call(Some(go_on))];
        jobs.extend((0..100).map(|_| call(None)));
        workers.sweep(jobs);
        let blocked = threads.recv().unwrap();
        let others: Vec<_> = (0..100).map(|_| threads.recv().unwrap()).collect();
        assert!(others.iter().all(|thread| *thread != blocked));
        // A job that is not of a sweep waits for nobody.
        workers.queue(vec![call(None)]);
        assert_ne!(threads.recv().unwrap(), blocked);
        let_go.send(()).unwrap();
        workers.close();
        assert!(threads.try_recv().is_err(), "each job is done once");
    }

    #[test]
    fn what_is_queued_during_a_sweep_is_done_at_once_by_another_thread() {
        let workers = workers(2);
        let (told, threads) = channel();
        let call = |go_on: Option<Receiver<()>>| -> Arc<dyn Job> {
            Arc::new(Call { told: Mutex::new(told.clone()), go_on: go_on.map(Mutex::new) })
        };
        for _ in 0..50 {
            let (let_go, go_on) = channel();
            workers.sweep(vec![call(Some(go_on)), call(None)]);
            let sweeper = threads.recv().unwrap();
            workers.queue(vec![call(None)]);
            assert_ne!(threads.recv().unwrap(), sweeper);
            let_go.send(()).unwrap();
            threads.recv().unwrap();
        }
        workers.close();
        assert!(threads.try_recv().is_err());
    }
}
