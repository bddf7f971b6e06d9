//! What a meter reads: each topic with its route and what is done about it, and the catalogues.

use super::*;

#[test]
fn each_topic_is_told_with_its_route_its_phase_and_what_its_feed_has_done() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .feeds_max(2)
        .route("n/{n}")
        .catalogue(["n/1", "n/2", "n/3"])
        .thread(generations)
        .route("bad")
        .backoff(PATIENCE, PATIENCE)
        .thread(|_| Err("no".into()))
        .start()
        .unwrap();
    let meter = od.meter();
    let catalogues = meter.catalogues(2);
    assert_eq!(
        (catalogues[0].pattern.as_str(), catalogues[0].total, catalogues[0].topics.len()),
        ("n/{n}", 3, 2)
    );
    assert_eq!((catalogues[1].total, &catalogues[1].topics[0][..]), (1, &b"bad"[..]));
    assert!(meter.topics().is_empty());
    let failing = subscriber(&od, &["bad"]);
    let phases = || {
        let topics = meter.topics().into_iter();
        topics
            .map(|t| (String::from_utf8(t.topic).unwrap(), t.route.to_string(), t.phase))
            .collect::<Vec<_>>()
    };
    let of = |topic: &str, route: &str, phase| (topic.to_owned(), route.to_owned(), phase);
    eventually("the bad one fails", || phases() == [of("bad", "bad", Phase::Failed)]);
    assert_eq!(meter.topics()[0].failures, 1);
    let all = subscriber(&od, &["n/"]);
    eventually("two run and one waits", || {
        let phases: Vec<_> = phases().into_iter().map(|(.., phase)| phase).collect();
        let count = |phase| phases.iter().filter(|known| **known == phase).count();
        count(Phase::Running) == 2 && count(Phase::Waiting) == 1
    });
    eventually("their values are counted", || {
        let running = meter.topics().into_iter().filter_map(|topic| topic.feed);
        running.filter(|feed| feed.done.produced > 0 && feed.subscribers == 1).count() == 2
    });
    drop((failing, all));
    eventually("nothing is wanted", || phases().iter().all(|(.., phase)| *phase == Phase::Failed));
    drop(od);
    assert!(meter.topics().is_empty() && meter.route_stats().is_empty());
}
