//! Rules about prefixes that no route serves.

use super::*;

#[test]
fn a_prefix_of_which_no_feed_comes_is_unserved_and_the_reason_is_told() {
    let mut feeds = machine(vec![route("a/{x}/b"), with("c/{x}", 0, &["c/1"]), route("clock")]);
    for prefix in [&b"b"[..], b"a//", b"a/x/b/", b"\xff", b"c/1/", b"clocks"] {
        feeds.wanted(prefix, ms(0));
        let shown = prefix.escape_ascii();
        assert_eq!(decided(&mut feeds), [format!("{shown}: no route")]);
        assert_eq!(feeds.stats().unserved, 1);
        feeds.unwanted(prefix, ms(0));
        assert_eq!(decided(&mut feeds), [format!("{shown} is served")], "withdrawn with the demand");
        assert_eq!(feeds.stats().unserved, 0);
    }
    for prefix in [&b"a"[..], b"a/", b"a/x", b"a/x/"] {
        feeds.wanted(prefix, ms(0));
        assert_eq!(decided(&mut feeds), [format!("{}: no catalogue of 0", prefix.escape_ascii())]);
    }
    for (prefix, starts) in [(&b""[..], "+c/1#1 +clock#2"), (b"c/", ""), (b"clo", ""), (b"c/2", "+c/2#3")] {
        feeds.wanted(prefix, ms(0));
        assert_eq!(decided(&mut feeds).join(" "), starts);
    }
    assert_eq!((feeds.stats().unserved, feeds.stats().unserved_total), (4, 10));
}

#[test]
fn the_empty_prefix_is_never_unserved() {
    let mut feeds = machine(vec![route("a/{x}")]);
    feeds.wanted(b"", ms(0));
    assert_eq!((decided(&mut feeds).len(), feeds.stats().unserved), (0, 0));
}

#[test]
fn other_routes_and_lists_make_a_prefix_served_and_unserved() {
    let mut feeds = machine(vec![route("a/{x}")]);
    let [a] = feeds.routes().map(|(id, _)| id).collect::<Vec<_>>()[..] else { panic!() };
    feeds.wanted(b"a/", ms(0));
    feeds.wanted(b"b", ms(0));
    assert_eq!(decided(&mut feeds), ["a/: no catalogue of 0", "b: no route"]);
    feeds.relist(a, vec![b"a/1".to_vec()], ms(1)).unwrap();
    assert_eq!(decided(&mut feeds), ["a/ is served", "+a/1#1"]);
    feeds.relist(a, Vec::new(), ms(2)).unwrap();
    assert_eq!(decided(&mut feeds), ["a/: no catalogue of 0"], "what runs goes on, and no more will come");
    let added = feeds.change_routes(&[], vec![route("b")], Limits::default(), ms(3)).unwrap();
    assert_eq!(decided(&mut feeds), ["b is served", "+b#2"]);
    feeds.change_routes(&[a], Vec::new(), Limits::default(), ms(4)).unwrap();
    assert_eq!(decided(&mut feeds), ["-#1", "a/1=Closed", "a/: no route"], "told again for another reason");
    assert_eq!(feeds.stats().unserved, 1);
    feeds.change_routes(&added, vec![route("c")], Limits::default(), ms(5)).unwrap();
    assert_eq!(decided(&mut feeds), ["-#2", "b=Closed"]);
    assert_eq!(feeds.stats().unserved, 1, "its feed has not ended");
    let id = *feeds.by_topic.get(&b"b"[..]).unwrap();
    feeds.ended(id, 2, End::Finished, ms(6));
    assert_eq!(decided(&mut feeds), ["b=Idle", "b: no route"], "after the states of the topic");
}

/// A peer with a million prefixes costs no more than its subscriptions.
#[test]
fn the_number_of_those_told_is_bounded() {
    let mut feeds = machine(vec![route("a")]);
    for i in 0..3000 {
        feeds.wanted(format!("x{i:04}").as_bytes(), ms(0));
    }
    assert_eq!((decided(&mut feeds).len(), feeds.stats().unserved), (1024, 3000));
    feeds.unwanted(b"x2999", ms(1));
    feeds.unwanted(b"x0000", ms(1));
    assert_eq!(decided(&mut feeds), ["x0000 is served"], "the other was never told");
    feeds.wanted(b"y", ms(2));
    assert_eq!(decided(&mut feeds), ["y: no route"], "there is room for one");
    let mut feeds = machine(vec![route("a")]);
    for i in 0..1000 {
        feeds.wanted(&[vec![b'x'; 1000], vec![(i / 256) as u8, i as u8]].concat(), ms(0));
    }
    assert_eq!((decided(&mut feeds).len(), feeds.stats().unserved), (261, 1000));
}
