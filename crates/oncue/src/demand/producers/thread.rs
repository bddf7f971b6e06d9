//! Producers on threads of their own, futures on an executor, and functions of manual routes.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::{io, thread};

use super::{Change, Producing, Task};
use crate::demand::feed::Feed;
use crate::demand::feed::failure::{Failure, Produced};
use crate::demand::runner::shared::adopt_thread;

/// Reports the end of a feed when its producer is gone, in whatever way: a task may be dropped by its executor.
struct EndOnDrop(Feed);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if thread::panicking() {
            // Whoever catches the panic reports it.
            self.0.end_failed();
        }
        self.0.end();
    }
}

/// Runs a producer on a thread of its own.
pub(crate) fn start_thread(
    feed: Feed,
    produce: Arc<dyn Fn(Feed) -> Produced + Send + Sync>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("oncue-feed".to_owned()).spawn(move || {
        adopt_thread(feed.shared().id());
        let end = EndOnDrop(feed.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| produce(feed.clone())));
        feed.shared().judge(&feed, outcome);
        drop(end);
    })
}

/// Hands a producer to an executor. Once the feed has stopped the future is polled one last time, so that it may see
/// that, and then dropped: it may be waiting for something that never comes.
pub(crate) fn start_task(
    feed: &Feed,
    spawn: &(dyn Fn(Task) + Send + Sync),
    produce: Arc<dyn Fn(Feed) -> Producing + Send + Sync>,
) {
    let end = EndOnDrop(feed.clone());
    let task = async move {
        let feed = end.0.clone();
        let mut producing: Option<Producing> = None;
        let mut stopped = feed.stopped();
        let outcome = poll_fn(|context| {
            let stopped = Pin::new(&mut stopped).poll(context).is_ready();
            let polled = catch_unwind(AssertUnwindSafe(|| {
                producing.get_or_insert_with(|| produce(feed.clone())).as_mut().poll(context)
            }));
            match polled {
                Ok(Poll::Pending) if stopped => Poll::Ready(Ok(Ok(()))),
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await;
        drop(producing);
        feed.shared().judge(&feed, outcome);
        drop(end);
    };
    let spawned = catch_unwind(AssertUnwindSafe(|| spawn(Box::pin(task))));
    if let Err(panic) = spawned {
        // The task is gone with the panic, and has reported its end.
        feed.shared().fail(feed, &Failure::panic(panic));
    }
}

/// Tells a manual route's function about a change; whether it panicked.
pub(crate) fn tell_manual(feed: &Feed, tell: &(dyn Fn(Change) + Send + Sync), change: Change) -> bool {
    let told = catch_unwind(AssertUnwindSafe(|| tell(change)));
    let panicked = told.is_err();
    feed.shared().judge(feed, told.map(Ok));
    panicked
}
