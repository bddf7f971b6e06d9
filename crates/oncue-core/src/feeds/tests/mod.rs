//! The rules of the state machine, one test each. Random histories against a naive model are in `model`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Backoff, Decision, End, FeedId, FeedState, Feeds, FeedsStats, Limits, Route, RoutesError, Unserved,
};
use crate::topic::Hidden;
use oncue_pattern::Pattern;

mod changes;
mod model;
mod naive;
mod unserved;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn route(text: &str) -> Route {
    Route::new(Pattern::parse(text).unwrap())
}

fn with(text: &str, grace: u64, catalogue: &[&str]) -> Route {
    let catalogue = catalogue.iter().map(|topic| topic.as_bytes().to_vec()).collect();
    Route { grace: ms(grace), catalogue, ..route(text) }
}

fn machine(routes: Vec<Route>) -> Feeds {
    Feeds::new(1, routes, Limits::default()).unwrap()
}

/// The decisions as text: `+topic#generation`, `-#generation`, `topic=state`.
fn decided(feeds: &mut Feeds) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(decision) = feeds.poll() {
        words.push(match decision {
            Decision::Start { topic, generation, .. } => format!("+{}#{generation}", topic.escape_ascii()),
            Decision::Stop { generation, .. } => format!("-#{generation}"),
            Decision::State { topic, state, .. } => format!("{}={state:?}", topic.escape_ascii()),
            Decision::Unserved { prefix, why: None } => format!("{} is served", prefix.escape_ascii()),
            Decision::Unserved { prefix, why: Some(Unserved::NoRoute) } => {
                format!("{}: no route", prefix.escape_ascii())
            }
            Decision::Unserved { prefix, why: Some(Unserved::NoCatalogue(route)) } => {
                format!("{}: no catalogue of {}", prefix.escape_ascii(), route.index())
            }
        });
    }
    words
}

fn started(feeds: &mut Feeds) -> (FeedId, u64) {
    match feeds.poll() {
        Some(Decision::Start { feed, generation, .. }) => (feed, generation),
        other => panic!("not a start: {other:?}"),
    }
}

#[test]
fn an_exact_prefix_starts_one_feed_and_its_end_stops_it() {
    let mut feeds = machine(vec![route("prices/{symbol}")]);
    feeds.wanted(b"prices/AAPL", ms(0));
    let Some(Decision::Start { feed, route, topic, params, generation: 1, since }) = feeds.poll() else {
        panic!()
    };
    assert_eq!((route.index(), &*topic, params.get("symbol")), (0, &b"prices/AAPL"[..], Some(7..11)));
    assert_eq!(since, ms(0));
    feeds.wanted(b"prices/AAPL", ms(1));
    assert_eq!(feeds.poll(), None, "wanted already");
    feeds.unwanted(b"prices/AAPL", ms(2));
    assert_eq!(feeds.poll(), Some(Decision::Stop { feed, generation: 1, wanted: false }));
    feeds.ended(feed, 1, End::Finished, ms(3));
    assert_eq!(feeds.poll(), None);
    let expected = FeedsStats { started: 1, stopped: 1, ..FeedsStats::default() };
    assert_eq!(feeds.stats(), expected);
}

#[test]
fn the_empty_prefix_starts_what_is_listed_and_attaches_to_the_rest() {
    let mut feeds =
        machine(vec![with("prices/{symbol}", 0, &["prices/MSFT"]), route("clock"), route("news/{id}")]);
    feeds.wanted(b"", ms(0));
    assert_eq!(decided(&mut feeds), ["+clock#1", "+prices/MSFT#2"]);
    feeds.wanted(b"news/1", ms(1));
    assert_eq!(decided(&mut feeds), ["+news/1#3"]);
    feeds.unwanted(b"news/1", ms(2));
    assert_eq!(decided(&mut feeds), [""; 0], "the empty prefix still wants it");
    feeds.unwanted(b"", ms(3));
    assert_eq!(decided(&mut feeds), ["-#1", "-#2", "-#3"]);
}

#[test]
fn a_prefix_may_be_a_topic_and_the_beginning_of_others() {
    let mut feeds = machine(vec![with("prices/{symbol}", 0, &["prices/AAPL"])]);
    feeds.wanted(b"prices/A", ms(0));
    assert_eq!(decided(&mut feeds), ["+prices/A#1"], "a whole topic starts nothing of the catalogue");
    feeds.wanted(b"prices/AA", ms(0));
    feeds.wanted(b"prices/AAPL", ms(0));
    assert_eq!(decided(&mut feeds), ["+prices/AA#2", "+prices/AAPL#3"]);
    feeds.unwanted(b"prices/AAPL", ms(1));
    feeds.unwanted(b"prices/A", ms(1));
    assert_eq!(decided(&mut feeds), ["-#1"], "`prices/AA` wants the others");
    feeds.unwanted(b"prices/AA", ms(2));
    assert_eq!(feeds.stats().now.stopping, 3);
}

#[test]
fn two_routes_under_one_prefix() {
    let mut feeds = machine(vec![route("clock"), with("clock/{zone}", 0, &["clock/utc", "clock/cet"])]);
    feeds.wanted(b"clo", ms(0));
    assert_eq!(decided(&mut feeds), ["+clock#1", "+clock/cet#2", "+clock/utc#3"]);
    feeds.unwanted(b"clo", ms(1));
    assert_eq!(feeds.stats().stopped, 3);
    let mut feeds = machine(vec![route("clock"), with("clock/{zone}", 0, &["clock/utc"])]);
    feeds.wanted(b"clock", ms(0));
    assert_eq!(
        decided(&mut feeds),
        ["+clock#1", "+clock/utc#2"],
        "the prefix counts for each route separately"
    );
}

#[test]
fn grace_revives_the_generation_until_its_very_end() {
    let mut feeds = machine(vec![with("clock", 100, &[])]);
    feeds.wanted(b"clock", ms(0));
    feeds.unwanted(b"clock", ms(10));
    assert_eq!(feeds.next_deadline(), Some(ms(110)));
    feeds.tick(ms(109));
    feeds.wanted(b"cl", ms(109));
    assert_eq!((feeds.next_deadline(), feeds.stats().revived), (None, 1));
    feeds.unwanted(b"cl", ms(200));
    assert_eq!(decided(&mut feeds), ["+clock#1"]);
    feeds.wanted(b"clock", ms(300));
    assert_eq!(decided(&mut feeds), ["-#1"], "its grace ended at that moment");
    assert_eq!(feeds.stats().now.stopping, 1);
}

#[test]
fn a_topic_starts_anew_only_when_its_last_generation_has_ended() {
    let mut feeds = machine(vec![route("clock")]);
    feeds.wanted(b"clock", ms(0));
    let (feed, generation) = started(&mut feeds);
    feeds.unwanted(b"clock", ms(1));
    feeds.wanted(b"clock", ms(2));
    assert_eq!(decided(&mut feeds), ["-#1"]);
    feeds.ended(feed, generation + 1, End::Finished, ms(3));
    assert_eq!(decided(&mut feeds), [""; 0], "no such generation");
    feeds.ended(feed, generation, End::Finished, ms(4));
    assert_eq!(decided(&mut feeds), ["+clock#2"]);
}

#[test]
fn a_feed_that_ended_waits_for_new_demand() {
    let mut feeds = machine(vec![route("prices/{symbol}")]);
    feeds.wanted(b"", ms(0));
    feeds.wanted(b"prices/A", ms(0));
    let (feed, generation) = started(&mut feeds);
    feeds.ended(feed, generation, End::Finished, ms(1));
    feeds.ended(feed, generation, End::Finished, ms(1));
    feeds.wanted(b"prices/", ms(2));
    assert_eq!(decided(&mut feeds), ["prices/A=Closed", "prices/: no catalogue of 0"]);
    assert_eq!((feeds.stats().ended, feeds.stats().now.running), (1, 0));
    feeds.unwanted(b"prices/A", ms(3));
    feeds.wanted(b"prices/A", ms(4));
    assert_eq!(
        decided(&mut feeds),
        ["prices/A=Idle", "+prices/A#2"],
        "the prefixes that only attach do not hold it back"
    );
}

#[test]
fn beyond_feeds_max_topics_wait_their_turn() {
    let limits = Limits { feeds_max: 2, ..Limits::default() };
    let mut feeds = Feeds::new(1, vec![route("{x}")], limits).unwrap();
    for topic in [b"a", b"b", b"c", b"d", b"e"] {
        feeds.wanted(topic, ms(0));
    }
    let (a, first) = started(&mut feeds);
    assert_eq!(decided(&mut feeds), ["+b#2"]);
    assert_eq!((feeds.stats().now.running, feeds.stats().now.waiting), (2, 3));
    feeds.unwanted(b"c", ms(1));
    feeds.unwanted(b"a", ms(1));
    assert_eq!(decided(&mut feeds), ["-#1"], "a stopping feed takes room until it has ended");
    feeds.ended(a, first, End::Finished, ms(2));
    assert_eq!(decided(&mut feeds), ["+d#3"]);
}

#[test]
fn the_narrowest_route_serves_a_topic() {
    let mut feeds = machine(vec![
        with("{x}/{y}", 0, &["a/b", "c/d"]),
        route("a/{y}"),
        with("a/b", 50, &[]),
        route("q/{y}.json"),
    ]);
    let mut served = |topic: &str| {
        feeds.wanted(topic.as_bytes(), ms(0));
        match feeds.poll() {
            Some(Decision::Start { route, .. }) => route.index(),
            other => panic!("{topic}: {other:?}"),
        }
    };
    assert_eq!([served("a/b"), served("a/c"), served("c/d"), served("q/x.json")], [2, 1, 0, 3]);
}

#[test]
fn contradictions_are_refused_with_the_patterns_named() {
    let refused = |routes: Vec<Route>, limits: Limits| match Feeds::new(1, routes, limits) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    };
    let plain = Limits::default();
    assert_eq!(refused(vec![], plain), RoutesError::NoRoutes);
    assert_eq!(refused(vec![route("a")], Limits { feeds_max: 0, ..plain }), RoutesError::NoFeeds);
    let error = refused(vec![route("a/{x}"), route("b"), route("a/{y}")], plain);
    assert!(matches!(error, RoutesError::Duplicate(..)));
    assert!(error.to_string().contains("`a/{x}` and `a/{y}`"), "{error}");
    let error = refused(vec![route("a/{x}"), route("{x}/b")], plain);
    assert!(matches!(error, RoutesError::Ambiguous(..)));
    assert!(error.to_string().contains("`a/{x}` and `{x}/b`"), "{error}");
    let error = refused(vec![with("a/{x}", 0, &["a/b", "b/\n"])], plain);
    assert!(error.to_string().contains("`b/\\n` in the catalogue of the route `a/{x}`"), "{error}");
    let short = Limits { catalogue_topics_max: 2, ..plain };
    assert_eq!(
        refused(vec![with("{x}", 0, &["a", "b"]), route("c")], short),
        RoutesError::CatalogueTooLong(2)
    );
}

#[test]
fn a_clock_that_goes_back_is_not_followed() {
    let mut feeds = machine(vec![with("clock", 100, &[])]);
    feeds.wanted(b"clock", ms(1000));
    feeds.unwanted(b"clock", ms(500));
    assert_eq!(feeds.next_deadline(), Some(ms(1100)));
}

/// 100,000 feeds under churn: a quadratic step would take far too long for a test.
#[test]
fn many_feeds_under_churn() {
    const FEEDS: u32 = 100_000;
    let catalogue = (0..FEEDS).map(|i| format!("t/{i:06}").into_bytes()).collect();
    let mut feeds = Feeds::new(
        1,
        vec![Route { catalogue, grace: ms(5), ..route("t/{i}") }],
        Limits { feeds_max: 200_000, ..Limits::default() },
    )
    .unwrap();
    for i in 0..FEEDS {
        feeds.wanted(format!("t/{i:06}").as_bytes(), ms(u64::from(i)));
    }
    assert_eq!(decided(&mut feeds).len(), 100_000);
    feeds.wanted(b"", ms(100_000));
    for i in 0..FEEDS {
        let topic = format!("t/{:06}", i.wrapping_mul(7919) % FEEDS);
        feeds.unwanted(topic.as_bytes(), ms(100_000));
        if i % 2 == 0 {
            feeds.wanted(topic.as_bytes(), ms(100_000));
        }
    }
    assert_eq!((decided(&mut feeds).len(), feeds.stats().now.running), (0, 100_000));
    feeds.unwanted(b"", ms(200_000));
    feeds.tick(ms(200_005));
    assert_eq!((decided(&mut feeds).len(), feeds.stats().now.stopping), (50_000, 50_000));
}

#[test]
fn a_hidden_topic_is_started_and_wanted_by_its_beginning_and_not_by_everything() {
    let mut feeds = Feeds::empty(1).hiding(Hidden::beginning_with(b"$o/"));
    feeds.change_routes(&[], vec![route("$o/a"), route("b")], Limits::default(), ms(0)).unwrap();
    for prefix in [&b""[..], b"$", b"$o"] {
        feeds.wanted(prefix, ms(1));
    }
    let (b, _) = started(&mut feeds);
    assert!(decided(&mut feeds).iter().all(|word| !word.starts_with('+')), "only b is reached by them");
    feeds.wanted(b"$o/", ms(2));
    assert!(decided(&mut feeds).contains(&"+$o/a#2".to_string()));
    feeds.unwanted(b"$o/", ms(3));
    assert!(decided(&mut feeds).contains(&"-#2".to_string()), "the others have not held it");
    feeds.ended(b, 1, End::Finished, ms(4));
    // Also when the route comes later than the prefixes.
    let mut late = Feeds::empty(1).hiding(Hidden::beginning_with(b"$o/"));
    late.wanted(b"", ms(1));
    late.change_routes(&[], vec![route("$o/a"), route("b")], Limits::default(), ms(2)).unwrap();
    assert_eq!(decided(&mut late).iter().filter(|word| word.starts_with('+')).count(), 1);
}
