//! How long to wait before the next attempt.

use core::time::Duration;

/// Exponential backoff: the pauses before what failed starts again. `min` after the first failure, twice as long after
/// each further one, `max` at most. The failure of a run that lasted for `max` or longer counts as the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause; zero starts at once.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause after a run that has failed, where `failures` is the number of failures in a row before it: it counts
    /// this one too from now on.
    ///
    /// ```
    /// use core::time::Duration;
    /// use oncue_core::backoff::Backoff;
    ///
    /// let ms = Duration::from_millis;
    /// let backoff = Backoff { min: ms(100), max: ms(350) };
    /// let mut failures = 0;
    /// assert_eq!(backoff.pause(&mut failures, ms(0)), ms(100));
    /// assert_eq!(backoff.pause(&mut failures, ms(0)), ms(200));
    /// ```
    pub fn pause(self, failures: &mut u32, ran: Duration) -> Duration {
        if ran >= self.max {
            *failures = 0;
        }
        let times = 1_u32.checked_shl(*failures).unwrap_or(u32::MAX);
        *failures = failures.saturating_add(1);
        self.min.saturating_mul(times).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound_and_begins_anew_after_a_long_run() {
        let ms = Duration::from_millis;
        let backoff = Backoff { min: ms(100), max: ms(350) };
        let mut failures = 0;
        let pauses = [0, 0, 0, 349, 350, 0].map(|ran| backoff.pause(&mut failures, ms(ran)));
        assert_eq!(pauses, [100, 200, 350, 350, 100, 200].map(ms));
        failures = u32::MAX;
        assert_eq!(backoff.pause(&mut failures, ms(0)), ms(350));
    }
}
