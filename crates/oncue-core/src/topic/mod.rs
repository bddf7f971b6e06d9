//! Topics: the index of prefixes, and topics that short prefixes do not reach. The patterns of routes are a package of their
//! own, `oncue-pattern`.

use alloc::sync::Arc;

pub mod index;

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
            Some(beginning) if topic.starts_with(beginning) => beginning.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
