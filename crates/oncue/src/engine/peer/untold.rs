//! Changes of our subscriptions that a publisher is told later, because it does not read: behind a proxy, strangers make
//! them.

use std::collections::BTreeSet;

/// While this number of bytes of control frames waits for a publisher, the changes that follow are told later.
pub(crate) const TOLD_BYTES_MAX: u64 = 4 << 20;

/// What differs between the subscriptions that a publisher knows and ours: at most as much as both together, however often
/// they have changed.
#[derive(Default)]
pub(crate) struct Untold {
    subscribed: BTreeSet<Box<[u8]>>,
    cancelled: BTreeSet<Box<[u8]>>,
}

impl Untold {
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribed.is_empty() && self.cancelled.is_empty()
    }

    /// A change of the set, which undoes the last one of this prefix if that was not told.
    pub(crate) fn change(&mut self, subscribe: bool, prefix: &[u8]) {
        let (these, others) = match subscribe {
            true => (&mut self.subscribed, &mut self.cancelled),
            false => (&mut self.cancelled, &mut self.subscribed),
        };
        if !others.remove(prefix) {
            these.insert(prefix.into());
        }
    }

    /// A change that is told now: subscriptions first, so that no message falls between a prefix and a shorter one.
    pub(crate) fn pop(&mut self) -> Option<(bool, Box<[u8]>)> {
        let subscribe = self.subscribed.pop_first().map(|prefix| (true, prefix));
        subscribe.or_else(|| self.cancelled.pop_first().map(|prefix| (false, prefix)))
    }

    /// The change of this prefix, if it is not told: it is told now.
    pub(crate) fn take(&mut self, prefix: &[u8]) -> Option<bool> {
        match self.subscribed.remove(prefix) {
            true => Some(true),
            false => self.cancelled.remove(prefix).then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_difference_to_what_was_told() {
        let mut untold = Untold::default();
        for _ in 0..1000 {
            untold.change(true, b"new");
            untold.change(false, b"old");
            untold.change(false, b"new");
            untold.change(true, b"old");
        }
        assert!(untold.is_empty());
        for (subscribe, prefix) in [(false, b"b"), (true, b"c"), (true, b"a"), (false, b"d")] {
            untold.change(subscribe, prefix);
        }
        assert_eq!(
            (untold.take(b"c"), untold.take(b"c"), untold.take(b"d")),
            (Some(true), None, Some(false))
        );
        assert_eq!(untold.pop(), Some((true, b"a"[..].into())));
        assert_eq!(untold.pop(), Some((false, b"b"[..].into())));
        assert_eq!(untold.pop(), None);
    }
}
