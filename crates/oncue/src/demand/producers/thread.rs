//! Producers that run by themselves: on a thread, as a future on an executor, or wherever the function of a manual route
//! takes them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::thread::JoinHandle;
use std::{io, thread};

use super::{Change, ChangeFn, Producing, SpawnFn, TaskFn, ThreadFn};
use crate::demand::feed::{Failure, Feed};

/// Reports the end of a feed when its producer is gone, in whatever way: an executor may drop a task.
struct EndOnDrop(Feed);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if thread::panicking() {
            // The panic is reported where it is caught.
            self.0.end_as(true);
        }
        self.0.end();
    }
}

/// Runs a producer on a thread of its own.
pub(crate) fn start_thread(feed: Feed, produce: ThreadFn) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("oncue-feed".to_owned()).spawn(move || {
        feed.desk().adopt_thread();
        let end = EndOnDrop(feed.clone());
        // The topic may have a value that is fresh. A producer with a clock of its own looks at each of its ticks.
        let rests = !feed.has_pace() && feed.skip_for_freshness();
        if !rests || feed.wait_while_fresh().is_ok() {
            while produce_once(&feed, &produce) && feed.wait_while_fresh().is_ok() {}
        }
        drop(end);
    })
}

/// Runs a producer until it returns. Returns whether its feed rests from then on until the value is too old.
fn produce_once(feed: &Feed, produce: &ThreadFn) -> bool {
    let before = feed.published();
    let outcome = Failure::catch(|| produce(feed.clone()));
    let returned = matches!(outcome, Ok(Ok(())));
    feed.judge(outcome);
    // The value may be too old by now.
    returned && feed.is_once() && feed.published() > before
}

/// Hands a producer to an executor. Once the feed has stopped, the future is polled one last time, so that it may see
/// that, and then dropped: it may be waiting for something that never comes.
pub(crate) fn start_task(feed: &Feed, spawn: &SpawnFn, produce: TaskFn) {
    let end = EndOnDrop(feed.clone());
    let task = async move {
        let feed = end.0.clone();
        let mut producing: Option<Producing> = None;
        let mut stopped = feed.stopped();
        let outcome = poll_fn(|context| {
            let stopped = Pin::new(&mut stopped).poll(context).is_ready();
            let polled = Failure::catch(|| {
                producing.get_or_insert_with(|| produce(feed.clone())).as_mut().poll(context)
            });
            match polled {
                Ok(Poll::Pending) if stopped => Poll::Ready(Ok(Ok(()))),
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
                Err(failure) => Poll::Ready(Err(failure)),
            }
        })
        .await;
        drop(producing);
        feed.judge(outcome);
        drop(end);
    };
    if let Err(failure) = Failure::catch(|| spawn(Box::pin(task))) {
        // The task was dropped by the panic, and has reported its end.
        feed.fail_with(&failure);
    }
}

/// Tells the function of a manual route about a change. Returns whether it panicked.
pub(crate) fn tell_manual(feed: &Feed, tell: &ChangeFn, change: Change) -> bool {
    let told = Failure::catch(|| tell(change));
    let panicked = told.is_err();
    feed.judge(told.map(Ok));
    panicked
}
