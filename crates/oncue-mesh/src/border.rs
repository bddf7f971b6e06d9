//! Which topics may cross to another site, or from it.

use oncue::Prefix;
use oncue_core::topic::begins;

use crate::options::Permission;

/// The permission for one site in one direction.
#[derive(Debug)]
pub(crate) struct Border {
    allow: Vec<Prefix>,
    deny: Vec<Prefix>,
    /// Topics about a process: they never cross.
    own_topics: Prefix,
}

impl Border {
    pub(crate) fn new(permission: &Permission, own_topics: &Prefix) -> Border {
        let Permission { allow, deny } = permission.clone();
        Border { allow, deny, own_topics: own_topics.clone() }
    }

    /// Whether a topic is about a process.
    #[inline]
    pub(crate) fn is_own(&self, topic: &[u8]) -> bool {
        begins(topic, &self.own_topics)
    }

    /// Whether every topic may cross, but for those about a process.
    pub(crate) fn is_open(&self) -> bool {
        self.deny.is_empty() && self.allow.iter().any(|prefix| prefix.is_empty())
    }

    /// Whether a topic may cross: the longest prefix of it decides.
    pub(crate) fn permits(&self, topic: &[u8]) -> bool {
        let longest = |list: &[Prefix]| {
            list.iter().filter(|prefix| topic.starts_with(prefix)).map(|prefix| prefix.len()).max()
        };
        longest(&self.allow) > longest(&self.deny) && !self.is_own(topic)
    }

    /// What is left of a subscription: the prefixes that cover those of its topics that may cross, and perhaps others, which
    /// [`permits`](Self::permits) finds.
    pub(crate) fn narrow<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let whole = self.permits(prefix);
        let is_own = self.is_own(prefix);
        let parts = self.allow.iter().filter(move |part| !whole && !is_own && part.len() > prefix.len());
        whole
            .then_some(prefix)
            .into_iter()
            .chain(parts.map(|part| &part[..]).filter(move |part| part.starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn border(allow: &[&str], deny: &[&str]) -> Border {
        let prefixes = |list: &[&str]| list.iter().map(|&prefix| prefix.into()).collect();
        Border::new(&Permission { allow: prefixes(allow), deny: prefixes(deny) }, &"$oncue/".into())
    }

    fn narrowed(border: &Border, prefix: &str) -> Vec<String> {
        border.narrow(prefix.as_bytes()).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect()
    }

    #[test]
    fn without_rules_everything_crosses() {
        let open = border(&[""], &[]);
        assert!(open.is_open() && open.permits(b"") && open.permits(b"a"));
        assert_eq!(narrowed(&open, "a"), ["a"]);
        assert_eq!(narrowed(&open, ""), [""]);
        // But topics about a process.
        assert!(!open.permits(b"$oncue/mesh") && narrowed(&open, "$oncue/").is_empty());
        let allowed = border(&["$oncue/mesh"], &[]);
        assert!(!allowed.permits(b"$oncue/mesh") && narrowed(&allowed, "$oncue/mesh").is_empty());
    }

    #[test]
    fn the_longest_prefix_decides_and_denial_wins_a_tie() {
        let border = border(&["", "a/b/"], &["a/", "c", "d/"]);
        assert!(!border.is_open());
        let permitted = |topic: &str| border.permits(topic.as_bytes());
        assert!(permitted("x") && permitted("a") && permitted("a/b/c"));
        assert!(!permitted("a/x") && !permitted("c") && !permitted("cc"));
        let tie = self::border(&["a"], &["a"]);
        assert!(!tie.permits(b"a") && !tie.permits(b"b"));
    }

    #[test]
    fn a_subscription_is_narrowed_to_what_may_cross() {
        let border = border(&["prices/", "news/eu/"], &["prices/secret/"]);
        assert_eq!(narrowed(&border, ""), ["prices/", "news/eu/"]);
        assert_eq!(narrowed(&border, "pri"), ["prices/"]);
        assert_eq!(narrowed(&border, "prices/"), ["prices/"]);
        assert_eq!(narrowed(&border, "prices/AAPL"), ["prices/AAPL"]);
        assert!(narrowed(&border, "prices/secret/x").is_empty() && narrowed(&border, "news/us").is_empty());
    }
}
