//! Topics: the index of prefixes, and topics that short prefixes do not reach. The patterns of routes are a package of their
//! own, `oncue-pattern`.

use alloc::sync::Arc;

pub mod index;

/// Whether two topics, or beginnings of topics, are equal. Most are short, and the call that `==` makes costs more than the
/// comparison.
#[inline]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(first), Some(last)) = (a.first_chunk::<8>(), a.last_chunk::<8>()) {
        let ends = Some(first) == b.first_chunk() && Some(last) == b.last_chunk();
        return ends && (a.len() <= 16 || a[8..] == b[8..]);
    }
    if let (Some(first), Some(last)) = (a.first_chunk::<4>(), a.last_chunk::<4>()) {
        return Some(first) == b.first_chunk() && Some(last) == b.last_chunk();
    }
    a.iter().eq(b)
}

/// Whether a topic begins with these bytes. As above: most that do not differ in the first one.
#[inline]
pub fn begins(topic: &[u8], beginning: &[u8]) -> bool {
    match beginning.first() {
        Some(first) => topic.first() == Some(first) && topic.starts_with(beginning),
        None => true,
    }
}

/// Topics that are hidden from prefixes which are shorter than their common beginning: whoever subscribes to everything does not
/// get them, and whoever subscribes to that beginning, or to more of a topic, does. By default no topic is hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(Option<Arc<[u8]>>);

impl Hidden {
    /// The topics that begin with this. An empty beginning hides nothing.
    pub fn beginning_with(beginning: &[u8]) -> Hidden {
        Hidden((!beginning.is_empty()).then(|| beginning.into()))
    }

    /// The common beginning, if topics are hidden.
    pub fn beginning(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    /// Whether a subscription to `prefix` does not get `topic` although the topic begins with it.
    #[inline]
    pub fn hides(&self, topic: &[u8], prefix: &[u8]) -> bool {
        prefix.len() < self.reach(topic)
    }

    /// How many bytes a prefix of `topic` must have to reach it.
    #[inline]
    pub(crate) fn reach(&self, topic: &[u8]) -> usize {
        match &self.0 {
            Some(beginning) if begins(topic, beginning) => beginning.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use oncue_testing::for_seeds;

    #[test]
    fn topics_are_the_same_if_all_bytes_are() {
        for_seeds(100, |rng| {
            let a: Vec<u8> = (0..rng.below(40)).map(|_| rng.below(256) as u8).collect();
            assert!(same(&a, &a.clone()));
            for at in 0..a.len() {
                let mut b = a.clone();
                b[at] ^= 1 << rng.below(8);
                assert!(!same(&a, &b), "{a:?} {at}");
            }
            assert!(!same(&a, &[&a[..], &[0]].concat()));
            for at in 0..=a.len() {
                assert!(begins(&a, &a[..at]) && !begins(&a[..at], &[&a[..], &[0]].concat()));
            }
        });
    }

    #[test]
    fn a_hidden_topic_is_reached_by_its_beginning_and_by_longer_prefixes_alone() {
        let hidden = Hidden::beginning_with(b"$x/");
        for (prefix, hides) in [("", true), ("$", true), ("$x", true), ("$x/", false), ("$x/a", false)] {
            assert_eq!(hidden.hides(b"$x/a", prefix.as_bytes()), hides, "{prefix}");
            assert!(!hidden.hides(b"$y/a", prefix.as_bytes()));
        }
        assert!(!Hidden::default().hides(b"$x/a", b"") && !Hidden::beginning_with(b"").hides(b"a", b""));
    }
}
