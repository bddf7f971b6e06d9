//! The kinds of producers, and how each is run for one feed. The runner decides which feeds run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use self::batch::BatchRun;
use crate::demand::feed::Feed;
use crate::demand::feed::failure::Produced;

pub(crate) mod batch;
pub(crate) mod catalogue;
pub(crate) mod fill;
pub(crate) mod periodic;
pub(crate) mod thread;
pub(crate) mod ticks;
pub(crate) mod value;
pub(crate) mod workers;

/// A future that a spawner runs.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a manual route's function is told.
#[derive(Debug, Clone)]
pub enum Change {
    /// Somebody wants the topic: publish through the feed whenever there is something to say.
    Started(Feed),
    /// Nobody wants it any more: the feed, which is not active now, may be let go.
    Stopped(Feed),
}

/// The future of a task, before it is boxed together with its end.
pub(crate) type Producing = Pin<Box<dyn Future<Output = Produced> + Send>>;

#[derive(Clone)]
pub(crate) enum Producer {
    Every { period: Duration, produce: Arc<dyn Fn(&Feed) -> Produced + Send + Sync> },
    Thread(Arc<dyn Fn(Feed) -> Produced + Send + Sync>),
    Task { spawn: Arc<dyn Fn(Task) + Send + Sync>, produce: Arc<dyn Fn(Feed) -> Producing + Send + Sync> },
    Batch(Arc<BatchRun>),
    Manual(Arc<dyn Fn(Change) + Send + Sync>),
}

impl Producer {
    /// The time between two values of a topic, where the route has one.
    pub(crate) fn period(&self) -> Option<Duration> {
        match self {
            Producer::Every { period, .. } => Some(*period),
            Producer::Batch(batch) => Some(batch.period()),
            _ => None,
        }
    }
}
