//! Rules of what goes wrong and what changes: failures, room by route and by subscribers, lists, routes.

use super::*;

fn failing(text: &str, min: u64, max: u64) -> Route {
    Route { backoff: Some(Backoff { min: ms(min), max: ms(max) }), ..route(text) }
}

#[test]
fn a_feed_runs_for_its_least_time_although_nobody_wants_it() {
    let mut demand = machine(vec![Route { min_run: ms(100), ..with("clock", 10, &[]) }]);
    demand.wanted(b"clock", ms(1000));
    demand.unwanted(b"clock", ms(1001));
    assert_eq!(demand.next_deadline(), Some(ms(1100)));
    demand.wanted(b"clock", ms(1050));
    demand.unwanted(b"clock", ms(1095));
    assert_eq!(demand.next_deadline(), Some(ms(1105)), "the grace ends later");
    demand.tick(ms(1105));
    assert_eq!(decided(&mut demand), ["+clock#1", "-#1"]);
}

#[test]
fn a_feed_that_fails_starts_again_after_ever_longer_pauses() {
    let mut demand = machine(vec![failing("clock", 10, 50)]);
    demand.wanted(b"clock", ms(0));
    let mut now = 0;
    for pause in [10, 20, 40, 50, 50] {
        let (feed, generation) = started(&mut demand);
        demand.ended(feed, generation, End::Failed, ms(now));
        assert_eq!(demand.next_deadline(), Some(ms(now + pause)));
        now += pause;
        demand.tick(ms(now - 1));
        assert_eq!((demand.stats().now.failing, demand.stats().now.running), (1, 0));
        demand.tick(ms(now));
        assert_eq!(demand.stats().now.running, 1);
        if let Some(Decision::State { state, .. }) = demand.decisions.front().cloned() {
            assert_eq!((pause, state), (10, FeedState::Stale), "said once");
            demand.poll();
        }
    }
    let (feed, generation) = started(&mut demand);
    demand.ended(feed, generation, End::Failed, ms(now + 50));
    assert_eq!(demand.next_deadline(), Some(ms(now + 60)), "it had run well");
    assert_eq!((demand.stats().failed, demand.stats().ended), (6, 6));
}

#[test]
fn who_leaves_and_comes_back_does_not_shorten_the_pause() {
    let mut demand = machine(vec![failing("a/{x}", 100, 100)]);
    demand.wanted(b"a/1", ms(0));
    let (feed, generation) = started(&mut demand);
    demand.ended(feed, generation, End::Failed, ms(0));
    demand.unwanted(b"a/1", ms(1));
    assert_eq!((demand.stats().now.failing, demand.next_deadline()), (0, Some(ms(100))));
    demand.wanted(b"a/1", ms(2));
    assert_eq!(decided(&mut demand), ["a/1=Stale"]);
    demand.tick(ms(100));
    assert_eq!(decided(&mut demand), ["+a/1#2"]);
}

#[test]
fn failures_that_nobody_wants_are_remembered_up_to_a_bound() {
    let limits = Limits { feeds_max: 2, ..Limits::default() };
    let mut demand = Demand::new(vec![failing("{x}", 100, 100)], limits).unwrap();
    for (i, topic) in [b"a", b"b", b"c"].into_iter().enumerate() {
        demand.wanted(topic, ms(i as u64));
        let (feed, generation) = started(&mut demand);
        demand.ended(feed, generation, End::Failed, ms(i as u64));
        demand.unwanted(topic, ms(i as u64));
        decided(&mut demand);
    }
    for topic in [b"a", b"b", b"c"] {
        demand.wanted(topic, ms(3));
    }
    assert_eq!(decided(&mut demand), ["+a#4"], "the oldest is forgotten");
    // All that fails at once and loses its only subscriber at once goes beyond the bound at once.
    let mut demand = Demand::new(vec![failing("{x}", 100, 100), failing("p/{x}", 100, 100)], limits).unwrap();
    for topic in [&b"p/1"[..], b"p/2", b"p/3", b"p/4"] {
        demand.wanted(topic, ms(0));
        let (feed, generation) = started(&mut demand);
        demand.ended(feed, generation, End::Failed, ms(0));
        decided(&mut demand);
    }
    for topic in [&b"p/1"[..], b"p/2", b"p/3", b"p/4"] {
        demand.unwanted(topic, ms(1));
    }
    assert_eq!(demand.cooling.len(), 2);
}

#[test]
fn what_is_said_of_a_topic() {
    let mut demand = machine(vec![Route { grace: ms(5), ..failing("clock", 10, 50) }]);
    demand.wanted(b"clock", ms(0));
    let (feed, generation) = started(&mut demand);
    demand.produced(feed, generation, ms(1));
    demand.produced(feed, generation, ms(2));
    assert_eq!(decided(&mut demand), ["clock=Active"], "said once");
    demand.ended(feed, generation, End::Failed, ms(3));
    demand.tick(ms(13));
    assert_eq!(decided(&mut demand), ["clock=Stale", "+clock#2"], "stale until it publishes again");
    demand.produced(feed, generation, ms(14));
    assert_eq!(decided(&mut demand), [""; 0], "no such generation any more");
    demand.produced(feed, 2, ms(14));
    demand.unwanted(b"clock", ms(15));
    demand.wanted(b"cl", ms(16));
    demand.unwanted(b"cl", ms(17));
    assert_eq!(decided(&mut demand), ["clock=Active"]);
    demand.tick(ms(22));
    assert_eq!(decided(&mut demand), ["-#2", "clock=Idle"]);
    demand.produced(feed, 2, ms(22));
    demand.wanted(b"clock", ms(23));
    demand.ended(feed, 2, End::Failed, ms(24));
    assert_eq!(decided(&mut demand), ["+clock#3"], "told to stop, it did not fail");
    demand.ended(feed, 3, End::Finished, ms(25));
    assert_eq!(decided(&mut demand), ["clock=Closed"]);
}

#[test]
fn each_route_has_its_own_room() {
    let limits = Limits { feeds_max: 3, ..Limits::default() };
    let narrow = Route { feeds_max: 1, ..route("a/{x}") };
    let mut demand = Demand::new(vec![narrow, route("b/{x}")], limits).unwrap();
    for topic in ["a/1", "a/2", "b/1", "b/2", "b/3"] {
        demand.wanted(topic.as_bytes(), ms(0));
    }
    let (one, first) = started(&mut demand);
    assert_eq!(decided(&mut demand), ["+b/1#2", "+b/2#3"]);
    let ids: Vec<_> = demand.routes().map(|(id, _)| id).collect();
    let stats = ids.iter().map(|id| demand.route_counts(*id)).map(|s| (s.running, s.waiting, s.wanted));
    assert_eq!(stats.collect::<Vec<_>>(), [(1, 1, 2), (2, 1, 3)]);
    demand.unwanted(b"a/1", ms(1));
    demand.ended(one, first, End::Finished, ms(2));
    assert_eq!(decided(&mut demand), ["-#1", "+a/2#4"], "older than b/3, and its route has room now");
    demand.change_routes(&[], Vec::new(), Limits { feeds_max: 10, ..limits }, ms(3)).unwrap();
    assert_eq!(decided(&mut demand), ["+b/3#5"]);
}

#[test]
fn those_with_the_most_subscribers_are_served_first_and_then_the_oldest() {
    let limits = Limits { feeds_max: 1, ..Limits::default() };
    let mut demand = Demand::new(vec![route("{x}")], limits).unwrap();
    for topic in [b"a", b"b", b"c", b"d", b"e"] {
        demand.wanted(topic, ms(0));
    }
    let mut asked = Vec::new();
    let mut count = |demand: &mut Demand, most| {
        demand.count_waiting(most, |topic| {
            asked.push(topic[0]);
            if topic == b"d" { 3 } else { 1 }
        });
    };
    count(&mut demand, 2);
    count(&mut demand, 100);
    assert_eq!(asked, b"bcdebc", "in rounds, none twice in one");
    for topic in [b"d", b"b", b"c", b"e"] {
        let Some((id, generation)) = last_started(&mut demand) else { panic!() };
        demand.ended(id, generation, End::Finished, ms(1));
        assert_eq!(demand.decisions.iter().filter(|d| starts(d, topic)).count(), 1);
    }
}

fn starts(decision: &Decision, wanted: &[u8]) -> bool {
    matches!(decision, Decision::Start { topic, .. } if **topic == *wanted)
}

fn last_started(demand: &mut Demand) -> Option<(FeedId, u64)> {
    let mut last = None;
    while let Some(decision) = demand.poll() {
        if let Decision::Start { feed, generation, .. } = decision {
            last = Some((feed, generation));
        }
    }
    last
}

#[test]
fn a_new_list_starts_what_has_come_and_leaves_what_runs() {
    let mut demand = machine(vec![with("p/{x}", 0, &["p/a", "p/b"])]);
    let id = demand.routes().next().unwrap().0;
    let list = |topics: &[&str]| topics.iter().map(|topic| topic.as_bytes().to_vec()).collect::<Vec<_>>();
    demand.wanted(b"p/", ms(0));
    let (feed, generation) = started(&mut demand);
    assert_eq!(decided(&mut demand), ["+p/b#2"]);
    demand.relist(id, list(&["p/b", "p/c"]), ms(1)).unwrap();
    assert_eq!(decided(&mut demand), ["+p/c#3"], "p/a is wanted still");
    demand.ended(feed, generation, End::Finished, ms(2));
    assert_eq!(decided(&mut demand), ["p/a=Closed", "p/a=Idle"]);
    assert_eq!(demand.stats().now.running, 2);
    demand.unwanted(b"p/", ms(3));
    demand.wanted(b"p/", ms(3));
    assert_eq!(demand.stats().now.waiting, 0, "p/a is not started any more");
    let refused = demand.relist(id, list(&["p/b", "q/1"]), ms(4)).unwrap_err();
    assert!(refused.to_string().contains("`p/{x}` has `q/1`"), "{refused}");
    assert_eq!(demand.route_counts(id).listed, 2, "the old list stays");
}

#[test]
fn lists_together_are_bounded() {
    let limits = Limits { catalogue_topics_max: 3, ..Limits::default() };
    let routes = vec![with("a/{x}", 0, &["a/1"]), with("{y}/{x}", 0, &["a/1", "b/1"])];
    let mut demand = Demand::new(routes, limits).unwrap();
    let ids: Vec<_> = demand.routes().map(|(id, _)| id).collect();
    let topics = |range: core::ops::Range<u32>| range.map(|i| format!("a/{i}").into_bytes()).collect();
    demand.relist(ids[0], topics(1..3), ms(0)).unwrap();
    assert_eq!(demand.relist(ids[0], topics(1..4), ms(0)), Err(RoutesError::CatalogueTooLong(3)));
    demand.relist(ids[1], Vec::new(), ms(0)).unwrap();
    demand.relist(ids[0], topics(1..4), ms(0)).unwrap();
    demand.wanted(b"", ms(1));
    assert_eq!(decided(&mut demand).len(), 3);
}

#[test]
fn routes_come_and_go_and_the_others_run_on() {
    let mut demand = machine(vec![with("a/{x}", 0, &["a/1"]), route("b/{x}"), route("clock")]);
    let ids: Vec<_> = demand.routes().map(|(id, _)| id).collect();
    for prefix in ["a/", "b/1", "c/1", "clo"] {
        demand.wanted(prefix.as_bytes(), ms(0));
    }
    assert_eq!(decided(&mut demand), ["+a/1#1", "+b/1#2", "+clock#3"]);
    let new = demand.change_routes(&[ids[1]], vec![route("c/{x}")], Limits::default(), ms(1)).unwrap();
    assert_eq!((new.len(), new[0].index()), (1, 3));
    assert_eq!(decided(&mut demand), ["-#2", "b/1=Closed", "+c/1#4"], "it was wanted before it had a route");
    assert_eq!((demand.stats().now.running, demand.stats().now.stopping), (3, 1));
    demand.unwanted(b"b/1", ms(2));
    demand.relist(ids[1], vec![b"b/1".to_vec()], ms(2)).unwrap();
    demand.wanted(b"b/1", ms(2));
    assert_eq!(decided(&mut demand), [""; 0], "a route that is gone serves nothing");
}

#[test]
fn a_topic_that_comes_to_another_route_changes_its_producer() {
    let mut demand = machine(vec![with("{x}", 1000, &[])]);
    demand.wanted(b"clock", ms(0));
    demand.wanted(b"other", ms(0));
    let (feed, _) = started(&mut demand);
    let new = demand.change_routes(&[], vec![route("clock")], Limits::default(), ms(1)).unwrap();
    assert_eq!(decided(&mut demand), ["+other#2", "-#1", "clock=Stale"]);
    demand.ended(feed, 1, End::Finished, ms(2));
    assert!(matches!(demand.poll(), Some(Decision::Start { route, .. }) if route == new[0]));
    demand.change_routes(&new, Vec::new(), Limits::default(), ms(3)).unwrap();
    demand.ended(feed, 3, End::Finished, ms(4));
    let Some(Decision::Stop { generation: 3, .. }) = demand.poll() else { panic!() };
    assert!(matches!(demand.poll(), Some(Decision::Start { route, .. }) if route.index() == 0));
}

#[test]
fn a_change_of_routes_is_refused_whole() {
    let mut demand = machine(vec![route("a/{x}"), route("b")]);
    let ids: Vec<_> = demand.routes().map(|(id, _)| id).collect();
    demand.wanted(b"a/1", ms(0));
    decided(&mut demand);
    let refused =
        demand.change_routes(&[ids[1]], vec![route("{y}/1")], Limits::default(), ms(1)).unwrap_err();
    assert!(refused.to_string().contains("`a/{x}` and `{y}/1`"), "{refused}");
    assert_eq!(demand.change_routes(&ids, Vec::new(), Limits::default(), ms(1)), Err(RoutesError::NoRoutes));
    let none = Route { feeds_max: 0, ..route("c") };
    let refused = demand.change_routes(&[], vec![none], Limits::default(), ms(1)).unwrap_err();
    assert!(refused.to_string().contains("route `c` is 0"), "{refused}");
    let no_feeds = Limits { feeds_max: 0, ..Limits::default() };
    assert_eq!(demand.change_routes(&ids, vec![route("c")], no_feeds, ms(1)), Err(RoutesError::NoFeeds));
    assert_eq!((decided(&mut demand).len(), demand.routes().count()), (0, 2));
}

#[test]
fn a_prefix_that_ends_inside_a_parameter() {
    let mut demand = machine(vec![with("a/{x}/b/{y}", 0, &["a/one/b/1", "a/one/b/2", "a/other/b/1"])]);
    demand.wanted(b"a/on", ms(0));
    assert_eq!(decided(&mut demand), ["+a/one/b/1#1", "+a/one/b/2#2"], "inside the first");
    demand.wanted(b"a/other/b/", ms(0));
    assert_eq!(decided(&mut demand), ["+a/other/b/1#3"], "at the beginning of the second");
    demand.wanted(b"a/o", ms(0));
    demand.unwanted(b"a/on", ms(1));
    demand.unwanted(b"a/other/b/", ms(1));
    assert_eq!(decided(&mut demand), [""; 0], "the shorter one wants them all");
    demand.unwanted(b"a/o", ms(2));
    assert_eq!(demand.stats().now.stopping, 3);
}

/// A hundred thousand wait for the room of a few: that costs no walk over all of them for each that starts.
#[test]
fn many_that_wait_are_served_one_by_one() {
    const TOPICS: u32 = 100_000;
    let limits = Limits { feeds_max: 10, ..Limits::default() };
    let mut demand = Demand::new(vec![route("t/{i}")], limits).unwrap();
    for i in 0..TOPICS {
        demand.wanted(format!("t/{i}").as_bytes(), ms(0));
    }
    let mut served = 0;
    while let Some(decision) = demand.poll() {
        let Decision::Start { feed, generation, .. } = decision else { continue };
        served += 1;
        demand.count_waiting(16, |topic| usize::from(topic[topic.len() - 1]));
        demand.ended(feed, generation, End::Finished, ms(1));
    }
    assert_eq!((served, demand.stats().now.waiting), (TOPICS, 0));
}
