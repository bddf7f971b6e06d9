//! Rules about failures and changes: backoff, room by route and by subscribers, catalogues, routes.

use super::*;

fn failing(text: &str, min: u64, max: u64) -> Route {
    Route { backoff: Some(Backoff { min: ms(min), max: ms(max) }), ..route(text) }
}

#[test]
fn a_feed_runs_for_its_least_time_although_nobody_wants_it() {
    let mut feeds = machine(vec![Route { min_run: ms(100), ..with("clock", 10, &[]) }]);
    feeds.wanted(b"clock", ms(1000));
    feeds.unwanted(b"clock", ms(1001));
    assert_eq!(feeds.next_deadline(), Some(ms(1100)));
    feeds.wanted(b"clock", ms(1050));
    feeds.unwanted(b"clock", ms(1095));
    assert_eq!(feeds.next_deadline(), Some(ms(1105)), "the grace ends later");
    feeds.tick(ms(1105));
    assert_eq!(decided(&mut feeds), ["+clock#1", "-#1"]);
}

#[test]
fn a_feed_that_fails_starts_again_after_ever_longer_pauses() {
    let mut feeds = machine(vec![failing("clock", 10, 50)]);
    feeds.wanted(b"clock", ms(0));
    let mut now = 0;
    for pause in [10, 20, 40, 50, 50] {
        let (feed, generation) = started(&mut feeds);
        feeds.ended(feed, generation, End::Failed, ms(now));
        assert_eq!(feeds.next_deadline(), Some(ms(now + pause)));
        now += pause;
        feeds.tick(ms(now - 1));
        assert_eq!((feeds.stats().now.failing, feeds.stats().now.running), (1, 0));
        feeds.tick(ms(now));
        assert_eq!(feeds.stats().now.running, 1);
        if let Some(Decision::State { state, .. }) = feeds.decisions.front().cloned() {
            assert_eq!((pause, state), (10, FeedState::Stale), "announced once");
            feeds.poll();
        }
    }
    let (feed, generation) = started(&mut feeds);
    feeds.ended(feed, generation, End::Failed, ms(now + 50));
    assert_eq!(feeds.next_deadline(), Some(ms(now + 60)), "it ran long enough");
    assert_eq!((feeds.stats().failed, feeds.stats().ended), (6, 6));
}

#[test]
fn who_leaves_and_comes_back_does_not_shorten_the_pause() {
    let mut feeds = machine(vec![failing("a/{x}", 100, 100)]);
    feeds.wanted(b"a/1", ms(0));
    let (feed, generation) = started(&mut feeds);
    feeds.ended(feed, generation, End::Failed, ms(0));
    feeds.unwanted(b"a/1", ms(1));
    assert_eq!((feeds.stats().now.failing, feeds.next_deadline()), (0, Some(ms(100))));
    feeds.wanted(b"a/1", ms(2));
    assert_eq!(decided(&mut feeds), ["a/1=Stale"]);
    feeds.tick(ms(100));
    assert_eq!(decided(&mut feeds), ["+a/1#2"]);
}

#[test]
fn failures_that_nobody_wants_are_remembered_up_to_a_bound() {
    let limits = Limits { feeds_max: 2, ..Limits::default() };
    let mut feeds = Feeds::new(1, vec![failing("{x}", 100, 100)], limits).unwrap();
    for (i, topic) in [b"a", b"b", b"c"].into_iter().enumerate() {
        feeds.wanted(topic, ms(i as u64));
        let (feed, generation) = started(&mut feeds);
        feeds.ended(feed, generation, End::Failed, ms(i as u64));
        feeds.unwanted(topic, ms(i as u64));
        decided(&mut feeds);
    }
    for topic in [b"a", b"b", b"c"] {
        feeds.wanted(topic, ms(3));
    }
    assert_eq!(decided(&mut feeds), ["+a#4"], "the oldest is forgotten");
    // Feeds that fail and lose their only subscriber at the same moment exceed the limit at once.
    let mut feeds =
        Feeds::new(1, vec![failing("{x}", 100, 100), failing("p/{x}", 100, 100)], limits).unwrap();
    for topic in [&b"p/1"[..], b"p/2", b"p/3", b"p/4"] {
        feeds.wanted(topic, ms(0));
        let (feed, generation) = started(&mut feeds);
        feeds.ended(feed, generation, End::Failed, ms(0));
        decided(&mut feeds);
    }
    for topic in [&b"p/1"[..], b"p/2", b"p/3", b"p/4"] {
        feeds.unwanted(topic, ms(1));
    }
    assert_eq!(feeds.cooling.len(), 2);
}

#[test]
fn what_is_said_of_a_topic() {
    let mut feeds = machine(vec![Route { grace: ms(5), ..failing("clock", 10, 50) }]);
    feeds.wanted(b"clock", ms(0));
    let (feed, generation) = started(&mut feeds);
    feeds.produced(feed, generation, ms(1));
    feeds.produced(feed, generation, ms(2));
    assert_eq!(decided(&mut feeds), ["clock=Active"], "announced once");
    feeds.ended(feed, generation, End::Failed, ms(3));
    feeds.tick(ms(13));
    assert_eq!(decided(&mut feeds), ["clock=Stale", "+clock#2"], "stale until it publishes again");
    feeds.produced(feed, generation, ms(14));
    assert_eq!(decided(&mut feeds), [""; 0], "the generation has ended");
    feeds.produced(feed, 2, ms(14));
    feeds.unwanted(b"clock", ms(15));
    feeds.wanted(b"cl", ms(16));
    feeds.unwanted(b"cl", ms(17));
    assert_eq!(decided(&mut feeds), ["clock=Active"]);
    feeds.tick(ms(22));
    assert_eq!(decided(&mut feeds), ["-#2", "clock=Idle"]);
    feeds.produced(feed, 2, ms(22));
    feeds.wanted(b"clock", ms(23));
    feeds.ended(feed, 2, End::Failed, ms(24));
    assert_eq!(decided(&mut feeds), ["+clock#3"], "told to stop, it did not fail");
    feeds.ended(feed, 3, End::Finished, ms(25));
    assert_eq!(decided(&mut feeds), ["clock=Closed"]);
}

#[test]
fn each_route_has_its_own_room() {
    let limits = Limits { feeds_max: 3, ..Limits::default() };
    let narrow = Route { feeds_max: 1, ..route("a/{x}") };
    let mut feeds = Feeds::new(1, vec![narrow, route("b/{x}")], limits).unwrap();
    for topic in ["a/1", "a/2", "b/1", "b/2", "b/3"] {
        feeds.wanted(topic.as_bytes(), ms(0));
    }
    let (one, first) = started(&mut feeds);
    assert_eq!(decided(&mut feeds), ["+b/1#2", "+b/2#3"]);
    let ids: Vec<_> = feeds.routes().map(|(id, _)| id).collect();
    let stats = ids.iter().map(|id| feeds.route_counts(*id)).map(|s| (s.running, s.waiting, s.wanted));
    assert_eq!(stats.collect::<Vec<_>>(), [(1, 1, 2), (2, 1, 3)]);
    feeds.unwanted(b"a/1", ms(1));
    feeds.ended(one, first, End::Finished, ms(2));
    assert_eq!(decided(&mut feeds), ["-#1", "+a/2#4"], "it is older than b/3, and its route has room now");
    feeds.change_routes(&[], Vec::new(), Limits { feeds_max: 10, ..limits }, ms(3)).unwrap();
    assert_eq!(decided(&mut feeds), ["+b/3#5"]);
}

#[test]
fn those_with_the_most_subscribers_are_served_first_and_then_the_oldest() {
    let limits = Limits { feeds_max: 1, ..Limits::default() };
    let mut feeds = Feeds::new(1, vec![route("{x}")], limits).unwrap();
    for topic in [b"a", b"b", b"c", b"d", b"e"] {
        feeds.wanted(topic, ms(0));
    }
    let mut asked = Vec::new();
    let mut count = |feeds: &mut Feeds, most| {
        feeds.count_waiting(most, |topic| {
            asked.push(topic[0]);
            if topic == b"d" { 3 } else { 1 }
        });
    };
    count(&mut feeds, 2);
    count(&mut feeds, 100);
    assert_eq!(asked, b"bcdebc", "in turn, without duplicates");
    for topic in [b"d", b"b", b"c", b"e"] {
        let Some((id, generation)) = last_started(&mut feeds) else { panic!() };
        feeds.ended(id, generation, End::Finished, ms(1));
        assert_eq!(feeds.decisions.iter().filter(|d| starts(d, topic)).count(), 1);
    }
}

fn starts(decision: &Decision, wanted: &[u8]) -> bool {
    matches!(decision, Decision::Start { topic, .. } if **topic == *wanted)
}

fn last_started(feeds: &mut Feeds) -> Option<(FeedId, u64)> {
    let mut last = None;
    while let Some(decision) = feeds.poll() {
        if let Decision::Start { feed, generation, .. } = decision {
            last = Some((feed, generation));
        }
    }
    last
}

#[test]
fn a_new_list_starts_what_has_come_and_leaves_what_runs() {
    let mut feeds = machine(vec![with("p/{x}", 0, &["p/a", "p/b"])]);
    let id = feeds.routes().next().unwrap().0;
    let list = |topics: &[&str]| topics.iter().map(|topic| topic.as_bytes().to_vec()).collect::<Vec<_>>();
    feeds.wanted(b"p/", ms(0));
    let (feed, generation) = started(&mut feeds);
    assert_eq!(decided(&mut feeds), ["+p/b#2"]);
    feeds.relist(id, list(&["p/b", "p/c"]), ms(1)).unwrap();
    assert_eq!(decided(&mut feeds), ["+p/c#3"], "p/a is wanted still");
    feeds.ended(feed, generation, End::Finished, ms(2));
    assert_eq!(decided(&mut feeds), ["p/a=Closed", "p/a=Idle"]);
    assert_eq!(feeds.stats().now.running, 2);
    feeds.unwanted(b"p/", ms(3));
    feeds.wanted(b"p/", ms(3));
    assert_eq!(feeds.stats().now.waiting, 0, "p/a is not started any more");
    let refused = feeds.relist(id, list(&["p/b", "q/1"]), ms(4)).unwrap_err();
    assert!(refused.to_string().contains("`q/1` in the catalogue of the route `p/{x}`"), "{refused}");
    assert_eq!(feeds.route_counts(id).listed, 2, "the old list stays");
}

#[test]
fn lists_together_are_bounded() {
    let limits = Limits { catalogue_topics_max: 3, ..Limits::default() };
    let routes = vec![with("a/{x}", 0, &["a/1"]), with("{y}/{x}", 0, &["a/1", "b/1"])];
    let mut feeds = Feeds::new(1, routes, limits).unwrap();
    let ids: Vec<_> = feeds.routes().map(|(id, _)| id).collect();
    let topics = |range: core::ops::Range<u32>| range.map(|i| format!("a/{i}").into_bytes()).collect();
    feeds.relist(ids[0], topics(1..3), ms(0)).unwrap();
    assert_eq!(feeds.relist(ids[0], topics(1..4), ms(0)), Err(RoutesError::CatalogueTooLong(3)));
    feeds.relist(ids[1], Vec::new(), ms(0)).unwrap();
    feeds.relist(ids[0], topics(1..4), ms(0)).unwrap();
    feeds.wanted(b"", ms(1));
    assert_eq!(decided(&mut feeds).len(), 3);
}

#[test]
fn routes_come_and_go_and_the_others_run_on() {
    let mut feeds = machine(vec![with("a/{x}", 0, &["a/1"]), route("b/{x}"), route("clock")]);
    let ids: Vec<_> = feeds.routes().map(|(id, _)| id).collect();
    for prefix in ["a/", "b/1", "c/1", "clo"] {
        feeds.wanted(prefix.as_bytes(), ms(0));
    }
    assert_eq!(decided(&mut feeds), ["+a/1#1", "+b/1#2", "c/1: no route", "+clock#3"]);
    let new = feeds.change_routes(&[ids[1]], vec![route("c/{x}")], Limits::default(), ms(1)).unwrap();
    assert_eq!((new.len(), new[0].index()), (1, 3));
    let begun = ["-#2", "b/1=Closed", "c/1 is served", "+c/1#4"];
    assert_eq!(decided(&mut feeds), begun, "it was wanted before it had a route");
    assert_eq!((feeds.stats().now.running, feeds.stats().now.stopping), (3, 1));
    feeds.unwanted(b"b/1", ms(2));
    feeds.relist(ids[1], vec![b"b/1".to_vec()], ms(2)).unwrap();
    feeds.wanted(b"b/1", ms(2));
    assert_eq!(decided(&mut feeds), [""; 0], "a removed route serves nothing");
}

#[test]
fn a_topic_that_comes_to_another_route_changes_its_producer() {
    let mut feeds = machine(vec![with("{x}", 1000, &[])]);
    feeds.wanted(b"clock", ms(0));
    feeds.wanted(b"other", ms(0));
    let (feed, _) = started(&mut feeds);
    let new = feeds.change_routes(&[], vec![route("clock")], Limits::default(), ms(1)).unwrap();
    assert_eq!(decided(&mut feeds), ["+other#2", "-#1", "clock=Stale"]);
    feeds.ended(feed, 1, End::Finished, ms(2));
    assert!(matches!(feeds.poll(), Some(Decision::Start { route, .. }) if route == new[0]));
    feeds.change_routes(&new, Vec::new(), Limits::default(), ms(3)).unwrap();
    feeds.ended(feed, 3, End::Finished, ms(4));
    let Some(Decision::Stop { generation: 3, .. }) = feeds.poll() else { panic!() };
    assert!(matches!(feeds.poll(), Some(Decision::Start { route, .. }) if route.index() == 0));
}

#[test]
fn a_change_of_routes_is_refused_whole() {
    let mut feeds = machine(vec![route("a/{x}"), route("b")]);
    let ids: Vec<_> = feeds.routes().map(|(id, _)| id).collect();
    feeds.wanted(b"a/1", ms(0));
    decided(&mut feeds);
    let refused = feeds.change_routes(&[ids[1]], vec![route("{y}/1")], Limits::default(), ms(1)).unwrap_err();
    assert!(refused.to_string().contains("`a/{x}` and `{y}/1`"), "{refused}");
    assert_eq!(feeds.change_routes(&ids, Vec::new(), Limits::default(), ms(1)), Err(RoutesError::NoRoutes));
    let none = Route { feeds_max: 0, ..route("c") };
    let refused = feeds.change_routes(&[], vec![none], Limits::default(), ms(1)).unwrap_err();
    assert!(refused.to_string().contains("route `c` is 0"), "{refused}");
    let no_feeds = Limits { feeds_max: 0, ..Limits::default() };
    assert_eq!(feeds.change_routes(&ids, vec![route("c")], no_feeds, ms(1)), Err(RoutesError::NoFeeds));
    assert_eq!((decided(&mut feeds).len(), feeds.routes().count()), (0, 2));
}

#[test]
fn a_prefix_that_ends_inside_a_parameter() {
    let mut feeds = machine(vec![with("a/{x}/b/{y}", 0, &["a/one/b/1", "a/one/b/2", "a/other/b/1"])]);
    feeds.wanted(b"a/on", ms(0));
    assert_eq!(decided(&mut feeds), ["+a/one/b/1#1", "+a/one/b/2#2"], "inside the first");
    feeds.wanted(b"a/other/b/", ms(0));
    assert_eq!(decided(&mut feeds), ["+a/other/b/1#3"], "at the beginning of the second");
    feeds.wanted(b"a/o", ms(0));
    feeds.unwanted(b"a/on", ms(1));
    feeds.unwanted(b"a/other/b/", ms(1));
    assert_eq!(decided(&mut feeds), [""; 0], "the shorter prefix wants them all");
    feeds.unwanted(b"a/o", ms(2));
    assert_eq!(feeds.stats().now.stopping, 3);
}

/// 100,000 topics wait for the room of a few: a start must not scan all of them.
#[test]
fn many_that_wait_are_served_one_by_one() {
    const TOPICS: u32 = 100_000;
    let limits = Limits { feeds_max: 10, ..Limits::default() };
    let mut feeds = Feeds::new(1, vec![route("t/{i}")], limits).unwrap();
    for i in 0..TOPICS {
        feeds.wanted(format!("t/{i}").as_bytes(), ms(0));
    }
    let mut served = 0;
    while let Some(decision) = feeds.poll() {
        let Decision::Start { feed, generation, .. } = decision else { continue };
        served += 1;
        feeds.count_waiting(16, |topic| usize::from(topic[topic.len() - 1]));
        feeds.ended(feed, generation, End::Finished, ms(1));
    }
    assert_eq!((served, feeds.stats().now.waiting), (TOPICS, 0));
}
