//! The remarks about topics that no route serves. Peers choose these topics, so the remarks are few: one, and then at most
//! one a minute, which counts the others.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::program::journal::remark;
use crate::output::{counted, escaped};

/// The time between two remarks.
const PERIOD: Duration = Duration::from_secs(60);

pub(super) struct Unserved {
    pace: Mutex<Pace>,
}

#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    /// How many were not remarked on since.
    others: u64,
}

impl Unserved {
    pub(super) fn new() -> Unserved {
        Unserved { pace: Mutex::default() }
    }

    /// Remarks that a topic is wanted and not served, for this reason.
    pub(super) fn remark(&self, topic: &[u8], why: &str) {
        let others = self.pace.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        let Some(others) = others else { return };
        let mut text = format!("`{}` is wanted: {why}", escaped(topic));
        if others > 0 {
            text.push_str(&format!("; so it was of {} since the last such remark", counted(others, "other")));
        }
        remark(text);
    }
}

impl Pace {
    /// How many were held back before this one; None if this one is held back.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            self.others += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_remark_a_minute_which_counts_the_others() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.admit(start), Some(0));
        assert_eq!([pace.admit(start), pace.admit(start + PERIOD / 2)], [None, None]);
        assert_eq!(pace.admit(start + PERIOD), Some(2));
        assert_eq!(pace.admit(start + PERIOD), None);
        assert_eq!(pace.admit(start + 3 * PERIOD), Some(1));
    }
}
