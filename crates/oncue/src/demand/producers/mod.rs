//! The kinds of producers, and how each is run for one feed. The runner decides which feeds run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::batch::BatchRun;
pub use self::batch::FeedSet;
pub(crate) use self::catalogue::{Lister, Listing};
pub(crate) use self::fill::{Fill, FillFn};
pub(crate) use self::periodic::Periodic;
pub use self::ticks::Ticks;
pub(crate) use self::ticks::{Held, Tick, next_tick};
pub use self::value::{Fallible, IntoValue, Plain};
pub(crate) use self::workers::{Job, Jobs, Workers};
use crate::demand::feed::{Feed, Produced};

mod batch;
mod catalogue;
mod fill;
mod periodic;
pub(crate) mod thread;
mod ticks;
mod value;
mod workers;

/// A future that a spawner runs.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a manual route's function is told.
#[derive(Debug, Clone)]
pub enum Change {
    /// Somebody wants the topic: publish through the feed whenever there is something to say.
    Started(Feed),
    /// Nobody wants it any more: the feed is not active now, and may be dropped.
    Stopped(Feed),
}

/// The future of a task, before it is boxed together with its end.
pub(crate) type Producing = Pin<Box<dyn Future<Output = Produced> + Send>>;

pub(crate) type TickFn = Arc<dyn Fn(&Feed) -> Produced + Send + Sync>;
pub(crate) type ThreadFn = Arc<dyn Fn(Feed) -> Produced + Send + Sync>;
pub(crate) type SpawnFn = Arc<dyn Fn(Task) + Send + Sync>;
pub(crate) type TaskFn = Arc<dyn Fn(Feed) -> Producing + Send + Sync>;
pub(crate) type ChangeFn = Arc<dyn Fn(Change) + Send + Sync>;

pub(crate) enum Producer {
    Every { period: Duration, produce: TickFn },
    Thread(ThreadFn),
    Task { spawn: SpawnFn, produce: TaskFn },
    Batch(Arc<BatchRun>),
    Manual(ChangeFn),
}

impl Producer {
    /// Whether its feeds can rest after one value until that is too old.
    pub(crate) fn may_rest(&self) -> bool {
        matches!(self, Producer::Every { .. } | Producer::Batch(_) | Producer::Thread(_))
    }

    /// The time between two values of a topic, where the route has one.
    pub(crate) fn period(&self) -> Option<Duration> {
        match self {
            Producer::Every { period, .. } => Some(*period),
            Producer::Batch(batch) => Some(batch.period),
            _ => None,
        }
    }
}
