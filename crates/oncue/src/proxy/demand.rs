//! The demand of the backend, as the frontend is told it: at once, or after a grace if it ends.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use oncue_core::edges::Prefix;

/// Prefixes whose demand has ended at the backend, and that stay subscribed to for a grace.
pub(super) struct Grace {
    time: Duration,
    /// Which prefixes, and the number of the entry below that ends each.
    leaving: HashMap<Prefix, u64>,
    /// In the order of their ends, with numbers that ascend. Entries of prefixes that are wanted again stay to their end.
    ends: VecDeque<(Duration, u64, Prefix)>,
    next: u64,
}

impl Grace {
    pub(super) fn new(time: Duration) -> Grace {
        Grace { time, leaving: HashMap::new(), ends: VecDeque::new(), next: 0 }
    }

    /// A prefix is wanted. Returns whether it is subscribed to already.
    pub(super) fn is_back(&mut self, prefix: &Prefix) -> bool {
        self.leaving.remove(prefix).is_some()
    }

    /// A prefix is not wanted any more. Returns whether it is to be unsubscribed from at once.
    pub(super) fn leaves(&mut self, prefix: &Prefix, now: Duration) -> bool {
        if self.time.is_zero() {
            return true;
        }
        if let Some(end) = now.checked_add(self.time) {
            self.ends.push_back((end, self.next, prefix.clone()));
        }
        self.leaving.insert(prefix.clone(), self.next);
        self.next += 1;
        false
    }

    /// When the next grace ends, at the latest.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.front().map(|(end, ..)| *end)
    }

    /// A prefix whose grace is over.
    pub(super) fn over(&mut self, now: Duration) -> Option<Prefix> {
        while self.next_end().is_some_and(|end| end <= now) {
            let (_, number, prefix) = self.ends.pop_front()?;
            if self.leaving.get(&prefix) == Some(&number) {
                self.leaving.remove(&prefix);
                return Some(prefix);
            }
        }
        None
    }

    /// Ends all graces.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Prefix> {
        self.ends.clear();
        self.leaving.drain().map(|(prefix, _)| prefix)
    }

    /// How many prefixes are in their grace.
    pub(super) fn len(&self) -> usize {
        self.leaving.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn without_a_grace_demand_ends_at_once() {
        let mut grace = Grace::new(Duration::ZERO);
        assert!(grace.leaves(&Prefix::from("a"), SECOND));
        assert!(!grace.is_back(&Prefix::from("a")));
        assert_eq!(grace.next_end(), None);
    }

    #[test]
    fn a_prefix_that_comes_back_in_its_grace_stays_and_has_a_new_grace_later() {
        let mut grace = Grace::new(10 * SECOND);
        let (a, b) = (Prefix::from("a"), Prefix::from("b"));
        assert!(!grace.leaves(&a, SECOND) && !grace.leaves(&b, 2 * SECOND));
        assert!(grace.is_back(&a));
        assert!(!grace.leaves(&a, 5 * SECOND));
        assert_eq!((grace.next_end(), grace.len()), (Some(11 * SECOND), 2));
        assert_eq!(grace.over(11 * SECOND), None);
        assert_eq!(grace.over(12 * SECOND), Some(b));
        assert_eq!(grace.over(14 * SECOND), None);
        assert_eq!(grace.over(15 * SECOND), Some(a));
        assert_eq!((grace.next_end(), grace.len()), (None, 0));
    }

    #[test]
    fn a_grace_for_ever_ends_with_the_proxy() {
        let mut grace = Grace::new(Duration::MAX);
        assert!(!grace.leaves(&Prefix::from("a"), SECOND));
        assert_eq!(grace.over(Duration::MAX), None);
        assert_eq!(grace.clear().collect::<Vec<_>>(), [Prefix::from("a")]);
    }
}
