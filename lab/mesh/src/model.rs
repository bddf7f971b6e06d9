//! The truth: which demand each producer must be told of, given what lives and which links work.

use std::collections::{BTreeMap, BTreeSet};

/// A link, by who dials and who listens.
pub(crate) type Link = (String, String);

/// How values get from one site to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Over a link between the two.
    Direct,
    /// Over routers: a site is linked with one of those that it can reach, and they with each other.
    Routed,
}

/// What lives, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    /// How values travel.
    pub(crate) ways: Ways,
    /// Sites and routers that live. A stopped one does not.
    pub(crate) living: BTreeSet<String>,
    /// Links that carry something.
    pub(crate) links: BTreeSet<Link>,
    /// Of these, those between routers whether they carry something or not.
    pub(crate) trunks: BTreeSet<Link>,
    /// By site: what its living subscribers want, as far as they reach it.
    pub(crate) wanted: BTreeMap<String, BTreeSet<String>>,
}

impl Truth {
    /// What the producer of a site must be told. None: it depends on which router each site is linked with.
    pub(crate) fn at(&self, site: &str) -> Option<BTreeSet<String>> {
        if !self.living.contains(site) {
            return Some(BTreeSet::new());
        }
        if self.is_open() {
            return None;
        }
        let sources = self.wanted.iter().filter(|(other, _)| self.reaches(site, other));
        Some(sources.flat_map(|(_, wanted)| wanted.clone()).collect())
    }

    /// Whether routers live that do not reach each other.
    fn is_open(&self) -> bool {
        let lives = |(a, b): &&Link| self.living.contains(a) && self.living.contains(b);
        self.trunks.iter().filter(lives).any(|trunk| !self.links.contains(trunk))
    }

    fn reaches(&self, site: &str, other: &str) -> bool {
        if site == other || !self.living.contains(other) {
            return site == other;
        }
        match self.ways {
            Ways::Direct => self.linked(site, other),
            Ways::Routed => self.is_routed(site) && self.is_routed(other),
        }
    }

    /// Where there is a link for each direction, both fail together.
    fn linked(&self, a: &str, b: &str) -> bool {
        let has = |from: &str, to: &str| self.links.contains(&(from.to_owned(), to.to_owned()));
        has(a, b) || has(b, a)
    }

    fn is_routed(&self, site: &str) -> bool {
        self.links.iter().any(|(from, to)| from == site && self.living.contains(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|&each| each.to_owned()).collect()
    }

    fn links(of: &[(&str, &str)]) -> BTreeSet<Link> {
        of.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    fn wanted() -> BTreeMap<String, BTreeSet<String>> {
        [("a", set(&["x", "y"])), ("b", set(&["y", "z"])), ("c", set(&[]))]
            .map(|(s, w)| (s.to_owned(), w))
            .into()
    }

    #[test]
    fn without_routers_only_direct_links_count() {
        let links = links(&[("a", "b"), ("b", "c")]);
        let living = set(&["a", "b", "c"]);
        let mut truth =
            Truth { ways: Ways::Direct, living, links, trunks: BTreeSet::new(), wanted: wanted() };
        assert_eq!(truth.at("a"), Some(set(&["x", "y", "z"])));
        assert_eq!(truth.at("b"), Some(set(&["x", "y", "z"])));
        assert_eq!(truth.at("c"), Some(set(&["y", "z"])));
        truth.living.remove("b");
        assert_eq!(truth.at("a"), Some(set(&["x", "y"])));
        assert_eq!(truth.at("b"), Some(set(&[])));
        assert_eq!(truth.at("c"), Some(set(&[])));
    }

    #[test]
    fn a_site_needs_one_router_that_lives() {
        let trunks = links(&[("r2", "r1")]);
        let links = links(&[("a", "r1"), ("a", "r2"), ("b", "r2"), ("r2", "r1")]);
        let living = set(&["a", "b", "c", "r1", "r2"]);
        let mut truth = Truth { ways: Ways::Routed, living, links, trunks, wanted: wanted() };
        assert_eq!(truth.at("a"), Some(set(&["x", "y", "z"])));
        assert_eq!(truth.at("c"), Some(set(&[])));
        truth.links.remove(&("r2".into(), "r1".into()));
        assert_eq!(truth.at("a"), None, "a may be at r1 or at r2");
        truth.living.remove("r1");
        assert_eq!(truth.at("a"), Some(set(&["x", "y", "z"])));
        truth.living.remove("r2");
        assert_eq!(truth.at("a"), Some(set(&["x", "y"])));
    }
}
