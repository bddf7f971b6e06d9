//! Whether routers form a tree. Each dials one parent at most, so whoever goes from parent to parent ends at the root, at a
//! router that is not known, or where they began: in a cycle, in which Zenoh loses tokens and subscriptions.

use super::hello::Hello;
use crate::error::{MeshError, MeshErrorKind};

/// The routers of a cycle, in the order in which each dials the next one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cycle<'a>(Vec<&'a Hello>);

/// The cycle that this router and others form, if any.
pub(super) fn cycle<'a>(own: &'a Hello, others: &'a [Hello]) -> Option<Cycle<'a>> {
    let mut path = vec![own];
    // Others may form a cycle that this router is not in.
    while path.len() <= others.len() + 1 {
        let last = path.last().copied()?;
        if leads_to(last, own) {
            return Some(Cycle(path));
        }
        path.push(others.iter().find(|other| leads_to(last, other))?);
    }
    None
}

/// Whether the parent of a router is `other`. While there is no link, only the texts of the endpoints can tell. A site that the router does
/// not believe is none, whatever it says: an edge cannot end a router by telling of a cycle.
fn leads_to(router: &Hello, other: &Hello) -> bool {
    if router.believes.as_ref().is_some_and(|believes| !believes.contains(&other.site)) {
        return false;
    }
    match (&router.parent, &router.linked) {
        (None, _) => false,
        (Some(_), Some(linked)) => *linked == other.zid,
        (Some(parent), None) => other.listen.contains(parent),
    }
}

impl Cycle<'_> {
    /// Whether this router has joined last, and so has to leave.
    pub(super) fn is_closed_by(&self, own: &Hello) -> bool {
        let last = self.0.iter().min_by(|a, b| a.age.cmp(&b.age).then_with(|| b.site.cmp(&a.site)));
        last.is_some_and(|last| last.site == own.site)
    }

    /// The error of a router that has to leave.
    pub(super) fn error(&self, own: &Hello) -> MeshError {
        let mut names: Vec<&str> = self.0.iter().map(|router| router.site.as_str()).collect();
        names.extend(self.0.first().map(|router| router.site.as_str()));
        let parent = own.parent.as_deref().unwrap_or_default();
        MeshError::new(
            MeshErrorKind::Conflict,
            format!(
                "the routers {} form a cycle, in which Zenoh loses state: routers must form a tree; remove `parent` (`{parent}`) \
                 of `{}`, or of another router of the cycle",
                names.join(" -> "),
                own.site
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Hello, cycle};

    /// A router whose name is its address; `age` in seconds.
    fn router(site: &str, parent: Option<&str>, linked: bool, age: u64) -> Hello {
        Hello {
            site: site.into(),
            zid: format!("z{site}"),
            age: Duration::from_secs(age),
            parent: parent.map(|parent| format!("tcp/{parent}:1")),
            linked: parent.filter(|_| linked).map(|parent| format!("z{parent}")),
            listen: vec![format!("tcp/{site}:1")],
            believes: None,
            sites: None,
        }
    }

    #[test]
    fn a_tree_has_no_cycle() {
        let own = router("c", Some("b"), true, 0);
        let others =
            [router("a", None, false, 9), router("b", Some("a"), true, 5), router("d", Some("b"), true, 1)];
        assert_eq!(cycle(&own, &others), None);
    }

    #[test]
    fn a_parent_that_is_down_is_no_cycle() {
        let own = router("c", Some("b"), true, 0);
        assert_eq!(cycle(&own, &[router("b", Some("a"), false, 5)]), None);
    }

    #[test]
    fn a_triangle_is_found_before_its_last_link_exists() {
        let own = router("c", Some("b"), true, 0);
        let others = [router("a", Some("c"), false, 9), router("b", Some("a"), true, 5)];
        let found = cycle(&own, &others).unwrap();
        assert!(found.is_closed_by(&own));
        let text = found.error(&own).to_string();
        assert!(text.contains("c -> b -> a -> c") && text.contains("`parent` (`tcp/b:1`) of `c`"), "{text}");
    }

    #[test]
    fn a_triangle_is_found_by_its_links_where_names_of_endpoints_differ() {
        let own = router("c", Some("b"), true, 0);
        let mut a = router("a", Some("c"), true, 9);
        a.parent = Some("tcp/alias-of-c:1".into());
        assert!(cycle(&own, &[a, router("b", Some("a"), true, 5)]).is_some());
    }

    #[test]
    fn two_routers_that_dial_each_other_are_a_cycle_and_the_younger_leaves() {
        let (a, b) = (router("a", Some("b"), false, 9), router("b", Some("a"), true, 1));
        assert!(!cycle(&a, std::slice::from_ref(&b)).unwrap().is_closed_by(&a));
        assert!(cycle(&b, std::slice::from_ref(&a)).unwrap().is_closed_by(&b));
    }

    #[test]
    fn a_site_that_no_router_believes_closes_no_cycle() {
        let mut own = router("c", Some("b"), true, 0);
        let others = |believes: Option<&[&str]>| {
            let mut b = router("b", Some("c"), true, 5);
            b.believes = believes.map(|names| names.iter().map(|&name| name.to_owned()).collect());
            b
        };
        own.believes = Some(vec!["a".into()]);
        assert_eq!(cycle(&own, &[others(None)]), None);
        own.believes = Some(vec!["b".into()]);
        assert_eq!(cycle(&own, &[others(Some(&["a"]))]), None);
        assert!(cycle(&own, &[others(Some(&["c"]))]).is_some());
    }

    #[test]
    fn a_cycle_of_others_ends_the_search() {
        let own = router("d", Some("a"), true, 0);
        let others = [router("a", Some("b"), true, 9), router("b", Some("a"), true, 5)];
        assert_eq!(cycle(&own, &others), None);
    }
}
