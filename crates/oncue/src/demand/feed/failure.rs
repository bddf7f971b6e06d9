//! How a producer ends: well, by an error or by a panic.

use std::any::Any;
use std::{fmt, io};

/// What a thread or a task returns: an error counts as a failure of the feed, unless it is
/// [`Stopped`](crate::demand::Stopped), so that `feed.publish(value)?` does the right thing.
pub type Produced = Result<(), Box<dyn std::error::Error + Send + Sync>>;

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
    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> Failure {
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
