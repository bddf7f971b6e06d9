//! The kinds of producers, and how each is run for one feed. Which feeds run is decided elsewhere.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io, thread};

use super::Feed;
use super::batch::BatchRun;
use super::shared::adopt_thread;

/// What a thread or a task returns: an error counts as a failure of the feed, unless it is
/// [`Stopped`](super::Stopped), so that `feed.publish(value)?` does the right thing.
pub type Produced = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A future that a spawner runs.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a feed ended that should not have, or a catalogue was not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Its producer returned this error, or its catalogue has a topic that is not of the route.
    Error(Box<dyn std::error::Error + Send + Sync>),
    /// Its producer panicked with this message.
    Panic(String),
    /// The system gave no thread for it.
    NoThread(io::Error),
}

/// What a manual route's function is told.
#[derive(Debug, Clone)]
pub enum Change {
    /// Somebody wants the topic: publish through the feed whenever there is something to say.
    Started(Feed),
    /// Nobody wants it any more: the feed, which is not active now, may be let go.
    Stopped(Feed),
}

/// The future of a task, before it is boxed together with its end.
pub(super) type Producing = Pin<Box<dyn Future<Output = Produced> + Send>>;

#[derive(Clone)]
pub(super) enum Producer {
    Every { period: Duration, produce: Arc<dyn Fn(&Feed) -> Produced + Send + Sync> },
    Thread(Arc<dyn Fn(Feed) -> Produced + Send + Sync>),
    Task { spawn: Arc<dyn Fn(Task) + Send + Sync>, produce: Arc<dyn Fn(Feed) -> Producing + Send + Sync> },
    Batch(Arc<BatchRun>),
    Manual(Arc<dyn Fn(Change) + Send + Sync>),
}

/// What lists the topics of a route, and how often.
#[derive(Clone)]
pub(super) struct Lister {
    pub(super) period: Duration,
    pub(super) list: Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>,
    /// Topics that are listed whatever the function says.
    pub(super) always: Vec<Vec<u8>>,
}

impl Producer {
    /// The time between two values of a topic, where the route has one.
    pub(super) fn period(&self) -> Option<Duration> {
        match self {
            Producer::Every { period, .. } => Some(*period),
            Producer::Batch(batch) => Some(batch.period()),
            _ => None,
        }
    }
}

impl Failure {
    pub(super) fn panic(payload: Box<dyn Any + Send>) -> Failure {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Failure::Panic(text.unwrap_or_else(|| "with no message".to_owned()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error(error) => write!(f, "the producer failed: {error}"),
            Failure::Panic(text) => write!(f, "the producer panicked: {text}"),
            Failure::NoThread(error) => write!(f, "no thread for the producer: {error}"),
        }
    }
}

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
pub(super) fn start_thread(
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
pub(super) fn start_task(
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
pub(super) fn tell_manual(feed: &Feed, tell: &(dyn Fn(Change) + Send + Sync), change: Change) -> bool {
    let told = catch_unwind(AssertUnwindSafe(|| tell(change)));
    let panicked = told.is_err();
    feed.shared().judge(feed, told.map(Ok));
    panicked
}
