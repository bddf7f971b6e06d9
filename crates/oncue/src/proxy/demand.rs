//! The demand of the backend, as the frontend is told it: at once, or after a grace if it ends.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use oncue_core::edges::Prefix;

/// How many prefixes, and how many bytes of them, may be in their grace; beyond it the oldest grace ends at once. Subscribers
/// that come and go with ever new prefixes could fill the memory otherwise.
const PREFIXES_MAX: usize = 65_536;
const BYTES_MAX: usize = 16 << 20;

/// Prefixes whose demand has ended at the backend, and that stay subscribed to for a grace.
pub(super) struct Grace {
    time: Duration,
    /// Which prefixes, and when each ends. `None`: it is wanted again, and its entry below is still there.
    leaving: HashMap<Prefix, Option<Duration>>,
    /// One entry for each of these prefixes, in the order of the ends that they had when they were put here.
    ends: VecDeque<(Duration, Prefix)>,
    bytes: usize,
    /// How many are not wanted again.
    left: usize,
}

impl Grace {
    pub(super) fn new(time: Duration) -> Grace {
        Grace { time, leaving: HashMap::new(), ends: VecDeque::new(), bytes: 0, left: 0 }
    }

    /// A prefix is wanted. Returns whether it is subscribed to already.
    pub(super) fn is_back(&mut self, prefix: &Prefix) -> bool {
        let was_left = self.leaving.get_mut(prefix).and_then(Option::take).is_some();
        self.left -= usize::from(was_left);
        was_left
    }

    /// A prefix is not wanted any more. Returns whether it is to be unsubscribed from at once.
    pub(super) fn leaves(&mut self, prefix: &Prefix, now: Duration) -> bool {
        if self.time.is_zero() {
            return true;
        }
        let end = now.saturating_add(self.time);
        if self.leaving.insert(prefix.clone(), Some(end)).is_none() {
            self.bytes += prefix.len();
            self.ends.push_back((end, prefix.clone()));
        }
        self.left += 1;
        false
    }

    /// When the next grace ends, if it does, at the latest.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.front().map(|(end, _)| *end).filter(|end| *end < Duration::MAX)
    }

    /// A prefix whose grace is over.
    pub(super) fn over(&mut self, now: Duration) -> Option<Prefix> {
        loop {
            let too_many = self.ends.len() > PREFIXES_MAX || self.bytes > BYTES_MAX;
            if !too_many && self.next_end().is_none_or(|end| end > now) {
                return None;
            }
            let (_, prefix) = self.ends.pop_front()?;
            match self.leaving.get(&prefix).copied().flatten() {
                // It was wanted meanwhile, and left again.
                Some(end) if end > now && !too_many => self.ends.push_back((end, prefix)),
                left => {
                    self.leaving.remove(&prefix);
                    self.bytes -= prefix.len();
                    if left.is_some() {
                        self.left -= 1;
                        return Some(prefix);
                    }
                }
            }
        }
    }

    /// Ends all graces.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Prefix> {
        self.ends.clear();
        (self.bytes, self.left) = (0, 0);
        self.leaving.drain().filter(|(_, end)| end.is_some()).map(|(prefix, _)| prefix)
    }

    /// How many prefixes are in their grace.
    pub(super) fn len(&self) -> usize {
        self.left
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
    fn however_often_prefixes_come_and_go_few_are_kept() {
        let mut grace = Grace::new(10 * SECOND);
        let a = Prefix::from("a");
        for _ in 0..1000 {
            assert!(!grace.leaves(&a, SECOND));
            assert!(grace.is_back(&a));
        }
        assert_eq!((grace.ends.len(), grace.leaving.len(), grace.len()), (1, 1, 0));
        assert_eq!(grace.over(11 * SECOND), None);
        assert_eq!((grace.ends.len(), grace.leaving.len(), grace.bytes), (0, 0, 0));
        for n in 0..PREFIXES_MAX + 2 {
            assert!(!grace.leaves(&Prefix::from(&*n.to_string()), SECOND));
        }
        assert_eq!(grace.over(SECOND), Some(Prefix::from("0")));
        assert_eq!(grace.over(SECOND), Some(Prefix::from("1")));
        assert_eq!(grace.over(SECOND), None);
        let long = Prefix::from(vec![0; BYTES_MAX]);
        assert!(!grace.leaves(&long, SECOND));
        assert_eq!(grace.over(SECOND), Some(Prefix::from("2")));
    }

    #[test]
    fn a_grace_for_ever_ends_with_the_proxy() {
        let mut grace = Grace::new(Duration::MAX);
        assert!(!grace.leaves(&Prefix::from("a"), SECOND));
        assert_eq!(grace.over(Duration::MAX), None);
        assert_eq!(grace.clear().collect::<Vec<_>>(), [Prefix::from("a")]);
    }
}
