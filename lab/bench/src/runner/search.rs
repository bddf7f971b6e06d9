//! The search for the highest rate that holds: by growing steps until it is enclosed, then by bisection.

/// The ratio of the two ends at which the search is over.
const CLOSE: f64 = 1.06;
/// A rate counts as too high after this many failures: a failure may be due to other work on the machine.
const FAILURES: u32 = 2;
/// The largest step, and the first one from the result of an earlier search: its root is close.
const STEP_MAX: f64 = 2.0;
const STEP_NEAR: f64 = 1.12;

/// The state of one search.
pub struct Search {
    /// The rate to be tried next.
    next: f64,
    /// The ratio of the next rate to this one while the highest is not enclosed.
    step: f64,
    failures: u32,
    /// The highest rate that has held, and the lowest that has not.
    holds: Option<f64>,
    fails: Option<f64>,
    /// Below this rate nothing is tried.
    min: f64,
}

impl Search {
    /// Begins at a guess, which may be any rate.
    pub fn from(guess: f64, min: f64) -> Search {
        Search { next: guess.max(min), step: STEP_MAX, failures: 0, holds: None, fails: None, min }
    }

    /// Begins at the result of an earlier search.
    pub fn near(result: f64, min: f64) -> Search {
        Search { step: STEP_NEAR, ..Search::from(result, min) }
    }

    /// The rate to be tried; `None` at the end of the search.
    pub fn next(&self) -> Option<f64> {
        match (self.holds, self.fails) {
            (Some(holds), Some(fails)) if fails / holds < CLOSE => None,
            (None, Some(fails)) if fails <= self.min => None,
            _ => Some(self.next),
        }
    }

    /// Whether the rate to be tried has held.
    pub fn tell(&mut self, held: bool) {
        if held {
            self.holds = Some(self.next);
        } else {
            self.failures += 1;
            if self.failures < FAILURES {
                return;
            }
            self.fails = Some(self.next);
        }
        self.failures = 0;
        self.next = match (self.holds, self.fails) {
            (Some(holds), Some(fails)) => (holds * fails).sqrt(),
            (Some(holds), None) => holds * self.step,
            (None, _) => (self.next / self.step).max(self.min),
        };
        self.step = (self.step * self.step).min(STEP_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of a search where the rates up to `limit` hold, and the number of tries.
    fn search(mut search: Search, limit: f64, mut disturbed: impl FnMut(u32) -> bool) -> (Option<f64>, u32) {
        let mut tries = 0;
        while let Some(rate) = search.next() {
            tries += 1;
            search.tell(rate <= limit && !disturbed(tries));
            assert!(tries < 100);
        }
        (search.holds, tries)
    }

    #[test]
    fn the_highest_rate_is_found_from_any_guess() {
        for guess in [10.0, 900.0, 4000.0, 1e6] {
            for limit in [10.0, 11.0, 999.0, 123_456.0] {
                for begun in [Search::from(guess, 10.0), Search::near(guess, 10.0)] {
                    let (found, _) = search(begun, limit, |_| false);
                    let found = found.expect("a rate holds");
                    assert!(found <= limit && limit / found < CLOSE, "{guess} {limit}: {found}");
                }
            }
        }
    }

    #[test]
    fn an_earlier_result_needs_few_tries() {
        for limit in [950.0, 1001.0, 1050.0, 1100.0] {
            let (_, tries) = search(Search::near(1000.0, 10.0), limit, |_| false);
            assert!(tries <= 5, "{limit}: {tries}");
        }
    }

    #[test]
    fn one_disturbed_try_changes_nothing() {
        let search = |disturbed| search(Search::from(1000.0, 10.0), 3000.0, |tries| tries == disturbed).0;
        assert!((1..6).all(|disturbed| search(disturbed) == search(0)));
    }

    #[test]
    fn nothing_is_found_if_the_lowest_rate_does_not_hold() {
        let (found, tries) = search(Search::from(1000.0, 10.0), 9.0, |_| false);
        assert_eq!(found, None);
        assert!(tries <= 20, "{tries}");
    }
}
