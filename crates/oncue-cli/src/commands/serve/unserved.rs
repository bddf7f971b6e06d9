//! The remarks about topics that no route serves. Peers choose these topics, so the remarks are few: one, and then at most
//! one a minute, which counts the others.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::program::journal::record;
use crate::output::counted;
use crate::pace::Pace;
use crate::record::{Level, Record, Subject};

pub(super) struct Unserved {
    pace: Mutex<Pace>,
}

impl Unserved {
    pub(super) fn new() -> Unserved {
        Unserved { pace: Mutex::default() }
    }

    /// Remarks that a topic is wanted and not served, for this reason.
    pub(super) fn remark(&self, topic: &[u8], why: &str) {
        let others = self.pace.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        let Some(others) = others else { return };
        let mut text = format!("wanted and not served: {why}");
        if others > 0 {
            text.push_str(&format!("; so it was of {} since the last such remark", counted(others, "other")));
        }
        let (event, subject) = (Some("topic_unserved"), Some(Subject::Topic(topic)));
        record(&Record { event, subject, ..Record::new(Level::Warning, &text) });
    }
}
