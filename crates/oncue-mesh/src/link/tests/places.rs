//! Cycles of routers, and peers with different lists of sites.

use super::{Arrival, Site, edge, endpoint, options, router};
use crate::error::MeshErrorKind;
use crate::topology::Topology;

#[test]
fn the_router_that_would_close_a_triangle_does_not_start() {
    let [a, b, c] = [endpoint(), endpoint(), endpoint()];
    let _a = Site::open(&router("a", &a, Some(&c)));
    let second = Site::open(&router("b", &b, Some(&a)));
    second.wait_token("a", true);
    let error = Site::try_open(&router("c", &c, Some(&b)), 0).err().unwrap();
    assert_eq!(error.kind(), MeshErrorKind::Conflict);
    let text = error.to_string();
    assert!(
        text.contains("c -> b -> a -> c") && text.contains(&format!("`parent` (`{b}`) of `c`")),
        "{text}"
    );
    // As the root it may start.
    let root = Site::open(&router("c", &c, None));
    root.wait_token("b", true);
}

#[test]
fn the_second_of_two_routers_that_dial_each_other_does_not_start() {
    let [a, b] = [endpoint(), endpoint()];
    let _a = Site::open(&router("a", &a, Some(&b)));
    let error = Site::try_open(&router("b", &b, Some(&a)), 0).err().unwrap();
    assert!(error.to_string().contains("b -> a -> b"), "{error}");
}

#[test]
fn a_cycle_that_the_endpoints_do_not_show_ends_the_router_that_closed_it() {
    let [a, b, c] = [endpoint(), endpoint(), endpoint()];
    let alias = c.replace("127.0.0.1", "localhost");
    let first = Site::open(&router("a", &a, Some(&alias)));
    let _b = Site::open(&router("b", &b, Some(&a)));
    let last = Site::open(&router("c", &c, Some(&b)));
    let error = last.wait("the end", |arrival| match arrival {
        Arrival::Ended(error) => Some(error),
        _ => None,
    });
    assert_eq!(error.kind(), MeshErrorKind::Conflict);
    assert!(error.to_string().contains("c -> b -> a -> c"), "{error}");
    assert!(!first.arrivals.try_iter().any(|arrival| matches!(arrival, Arrival::Ended(_))));
}

#[test]
fn a_tree_of_routers_starts_from_its_leaves() {
    let [root, left, right] = [endpoint(), endpoint(), endpoint()];
    let left_site = Site::open(&router("left", &left, Some(&root)));
    let right_site = Site::open(&router("right", &right, Some(&root)));
    let _root = Site::open(&router("root", &root, None));
    left_site.wait_token("right", true);
    right_site.wait_token("left", true);
    let leaf = Site::open(&edge("leaf", &[&right]));
    leaf.wait_token("left", true);
}

#[test]
fn peers_with_different_lists_are_warned_about_by_name() {
    let [a, b, c] =
        [("a", endpoint()), ("b", endpoint()), ("c", endpoint())].map(|(name, at)| (name.to_owned(), at));
    let short = [a.clone(), b.clone()].into();
    let long = [a, b, c].into();
    let a = Site::open(&options("a", Topology::Peer { sites: short, listen: None }));
    let _b = Site::open(&options("b", Topology::Peer { sites: long, listen: None }));
    let warning = a.wait("a warning", |arrival| match arrival {
        Arrival::Warning(text) => Some(text),
        _ => None,
    });
    assert!(warning.starts_with("`b` has another list of `sites` than `a`"), "{warning}");
}

#[test]
fn what_an_edge_or_a_router_dials_must_be_a_router() {
    let [a, b] = super::peers(["a", "b"]);
    let Topology::Peer { sites, .. } = &a.topology else { unreachable!() };
    let at = sites["a"].clone();
    let _a = Site::open(&a);
    drop(b);
    for options in [edge("c", &[&at]), router("c", &endpoint(), Some(&at))] {
        let error = Site::try_open(&options, 0).err().unwrap();
        assert_eq!(error.kind(), MeshErrorKind::Conflict);
        assert!(error.to_string().contains(&format!("{at} is not a router")), "{error}");
    }
}

#[test]
fn a_peer_that_is_linked_with_a_router_warns_of_it_and_goes_on() {
    let [a, _] = super::peers(["a", "b"]);
    let Topology::Peer { sites, .. } = &a.topology else { unreachable!() };
    let _b = Site::open(&router("b", &sites["b"], None));
    let a = Site::open(&a);
    let text = a.wait("a warning", |arrival| match arrival {
        Arrival::Warning(text) => Some(text),
        Arrival::Ended(error) => panic!("{error}"),
        _ => None,
    });
    assert!(text.starts_with("`b`, which is linked with the peer `a`, is a router"), "{text}");
}

#[test]
fn an_edge_whose_two_routers_are_not_linked_warns_of_it() {
    let [r, s, t] = [endpoint(), endpoint(), endpoint()];
    let _r = Site::open(&router("r", &r, None));
    let _s = Site::open(&router("s", &s, None));
    let _t = Site::open(&router("t", &t, Some(&s)));
    let warning = |arrival| match arrival {
        Arrival::Warning(text) => Some(text),
        _ => None,
    };
    let a = Site::open(&edge("a", &[&r, &s]));
    let text = a.wait("a warning", warning);
    assert!(text.contains(&format!("{r} and {s} of the edge `a` are not linked with each other")), "{text}");
    // Those that are linked, and one that is down, are no mistake; by now the last look is over.
    let right = Site::open(&edge("b", &[&s, &t]));
    let down = Site::open(&edge("c", &[&t, &endpoint()]));
    std::thread::sleep(std::time::Duration::from_secs(5));
    for site in [right, down] {
        assert_eq!(site.arrivals.try_iter().find_map(warning), None);
    }
}
