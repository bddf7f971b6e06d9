//! How a producer ends: it returns, it returns an error, or it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fmt, io};

/// What a thread or a task returns. An error counts as a failure of the feed, unless it is [`Stopped`]: so
/// `feed.publish(value)?` does the right thing.
pub type Produced = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The feed is not active any more: nobody wants its topic, or its producer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

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

impl Failure {
    /// Calls a user's function; its panic is a failure.
    pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            Failure::Panic(text.unwrap_or_else(|| "with no message".to_owned()))
        })
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

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the feed has stopped: nobody wants its topic any more")
    }
}

impl std::error::Error for Stopped {}
