//! The pace of lines that peers can cause at any rate: one, and then at most one a minute, which counts those in between.

use std::time::{Duration, Instant};

/// The time between two lines.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    /// How many were held back since.
    held_back: u64,
}

impl Pace {
    /// How many were held back before this one; None if this one is held back.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until(now).is_some() {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }

    /// Until when lines are held back, if they are.
    pub(crate) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.last.map(|last| last + PERIOD).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_a_minute_which_counts_the_others() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.admit(start), Some(0));
        assert_eq!([pace.admit(start), pace.admit(start + PERIOD / 2)], [None, None]);
        assert_eq!(pace.admit(start + PERIOD), Some(2));
        assert_eq!(pace.admit(start + PERIOD), None);
        assert_eq!(pace.admit(start + 3 * PERIOD), Some(1));
    }
}
