//! Producers on threads of their own, futures on an executor, and functions of manual routes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::{io, thread};

use super::{Change, Producing, Task};
use crate::demand::feed::Feed;
use crate::demand::feed::failure::{Failure, Produced};

/// Reports the end of a feed when its producer is gone, in whatever way: a task may be dropped by its executor.
struct EndOnDrop(Feed);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if thread::panicking() {
            // Whoever catches the panic reports it.
            self.0.end_as(true);
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
        feed.desk().adopt_thread();
        let end = EndOnDrop(feed.clone());
        feed.judge(Failure::catch(|| produce(feed.clone())));
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
        // The task is gone with the panic, and has reported its end.
        feed.fail_with(&failure);
    }
}

/// Tells a manual route's function about a change; whether it panicked.
pub(crate) fn tell_manual(feed: &Feed, tell: &(dyn Fn(Change) + Send + Sync), change: Change) -> bool {
    let told = Failure::catch(|| tell(change));
    let panicked = told.is_err();
    feed.judge(told.map(Ok));
    panicked
}
