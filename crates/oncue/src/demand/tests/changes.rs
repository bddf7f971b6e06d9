//! Routes and catalogues that change while feeds run.

use super::*;

#[test]
fn a_reload_leaves_the_feeds_of_routes_that_stay() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("kept/{x}")
        .key("1")
        .thread(generations)
        .route("changed/{x}")
        .key("1")
        .thread(|feed| {
            while feed.publish("old").is_ok() {
                feed.sleep(ms(2))?;
            }
            Ok(())
        })
        .route("gone/{x}")
        .thread(generations)
        .start()
        .unwrap();
    let kept = subscriber(&od, &["kept/1"]);
    assert_eq!(text(&kept), "kept/1 1");
    let changed = subscriber(&od, &["changed/1"]);
    assert_eq!(text(&changed), "changed/1 old");
    let gone = subscriber(&od, &["gone/1"]);
    let _ = text(&gone);
    let new = subscriber(&od, &["new"]);
    eventually("it is of no route yet", || od.stats().unserved == 1);
    let routes = od
        .builder()
        .route("kept/{x}")
        .key("1")
        .thread(|_| panic!("the old producer goes on"))
        .route("changed/{x}")
        .key("2")
        .every(ms(2), |_| "new")
        .route("new")
        .every(ms(2), |_| "here");
    let done = od.reload(routes).unwrap();
    assert_eq!((done.kept, done.added, done.removed), (1, 2, 2));
    assert_eq!(text(&new), "new here", "wanted before it had a route");
    eventually("the changed one is new", || text(&changed) == "changed/1 new");
    eventually("the old feeds have ended", || od.stats().now.stopping == 0);
    while kept.try_recv().unwrap().is_some() {}
    assert_eq!(text(&kept), "kept/1 1", "the same generation");
    while gone.try_recv().unwrap().is_some() {}
    assert!(gone.recv().wait_timeout(ms(50)).is_none(), "it has no route any more");
    let patterns: Vec<_> =
        od.route_stats().into_iter().map(|route| (route.pattern, route.now.running)).collect();
    assert_eq!(patterns, [("kept/{x}".into(), 1), ("changed/{x}".into(), 1), ("new".into(), 1)]);
}

#[test]
fn a_reload_that_is_refused_changes_nothing() {
    let builder = || OnDemand::bind(ENDPOINT).unwrap().route("a/{x}").key("1").thread(generations);
    let od = builder().start().unwrap();
    let sub = subscriber(&od, &["a/1"]);
    assert_eq!(text(&sub), "a/1 1");
    let both = od.builder().route("a/{x}").key("1").thread(generations).route("{y}/1").thread(generations);
    let refused = od.reload(both).unwrap_err();
    assert!(refused.to_string().contains("`a/{x}` and `{y}/1`"), "{refused}");
    let twice =
        od.builder().route("a/{x}").key("1").thread(generations).route("a/{x}").key("1").thread(generations);
    let refused = od.reload(twice).unwrap_err();
    assert!(refused.to_string().contains("`a/{x}` and `a/{x}`"), "{refused}");
    assert_eq!(od.reload(builder()).unwrap_err().kind(), ErrorKind::Misuse, "routes of another socket");
    assert_eq!(od.reload(od.builder()).unwrap_err().kind(), ErrorKind::Misuse, "no routes");
    assert_eq!(od.builder().route("b").thread(generations).start().unwrap_err().kind(), ErrorKind::Misuse);
    while sub.try_recv().unwrap().is_some() {}
    assert_eq!(text(&sub), "a/1 1");
    assert_eq!(od.stats().done.started, 1);
}

/// Calls the routes when it is dropped.
struct Nosy(Arc<Mutex<Option<Arc<OnDemand>>>>, Arc<AtomicUsize>);

impl Drop for Nosy {
    fn drop(&mut self) {
        let od = lock(&self.0).clone();
        if let Some(od) = od {
            let _ = (od.stats(), od.route_stats(), od.topic_stats());
            self.1.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn what_a_producer_owns_may_call_back_when_it_is_dropped() {
    let (od, dropped): (Arc<Mutex<Option<Arc<OnDemand>>>>, _) =
        (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let nosy = || Nosy(od.clone(), dropped.clone());
    let route = |builder: Builder, pattern: &str, nosy: Nosy| {
        builder.route(pattern).key("1").thread(move |feed| {
            let _owned = &nosy;
            generations(feed)
        })
    };
    let routes = route(OnDemand::bind(ENDPOINT).unwrap(), "a", nosy());
    let started = Arc::new(route(routes, "b", nosy()).start().unwrap());
    *lock(&od) = Some(started.clone());
    let sub = subscriber(&started, &["a", "b"]);
    eventually("both run", || started.stats().now.running == 2);
    // `a` stays, and what was to replace it is dropped; `b` goes.
    started.reload(route(started.builder(), "a", nosy())).unwrap();
    eventually("two are dropped", || dropped.load(SeqCst) == 2);
    // The routes are refused, so all of them are dropped.
    let twice = route(route(started.builder(), "x", nosy()), "x", nosy());
    assert!(started.reload(twice).is_err());
    assert_eq!(dropped.load(SeqCst), 4);
    started.stop();
    assert_eq!(
        started.reload(started.builder().route("c").manual(|_| ())).unwrap_err().kind(),
        ErrorKind::Misuse
    );
    *lock(&od) = None;
    drop(sub);
}

#[test]
fn a_manual_route_may_reload_from_its_own_function() {
    let od: Arc<Mutex<Option<OnDemand>>> = Arc::default();
    let own = od.clone();
    let started = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("manual")
        .manual(move |change| {
            if let (Change::Started(_), Some(od)) = (change, &*lock(&own)) {
                let routes = od.builder().route("other").every(ms(2), |_| "tick");
                od.reload(routes).unwrap();
            }
        })
        .start()
        .unwrap();
    let sub = subscriber(&started, &["other"]);
    *lock(&od) = Some(started);
    sub.subscribe("manual").unwrap();
    assert_eq!(text(&sub), "other tick");
    let last = lock(&od).take();
    drop(last);
}

#[test]
fn a_catalogue_is_listed_again_and_again() {
    let list = Arc::new(Mutex::new(Some(vec!["f/1"])));
    let reports = Arc::new(Mutex::new(Vec::new()));
    let (listed, reported) = (list.clone(), reports.clone());
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_list_failure(move |pattern, failure| lock(&reported).push(format!("{pattern}: {failure}")))
        .route("f/{name}")
        .catalogue(["f/always"])
        .catalogue_with(ms(5), move || {
            let list = lock(&listed).clone().expect("the disk is gone");
            list.into_iter().map(|topic| topic.as_bytes().to_vec()).collect()
        })
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &["f/"]);
    let topics = || od.topic_stats().into_iter().map(|topic| topic.topic).collect::<Vec<_>>();
    eventually("both run", || topics() == [&b"f/1"[..], b"f/always"]);
    *lock(&list) = Some(vec!["f/2"]);
    eventually("the new one runs too", || topics() == [&b"f/1"[..], b"f/2", b"f/always"]);
    *lock(&list) = None;
    eventually("a panic is reported", || od.stats().lists_failed > 0);
    assert_eq!(lock(&reports)[0], "f/{name}: the producer panicked: the disk is gone");
    *lock(&list) = Some(vec!["g/1"]);
    eventually("so is a topic of another route", || lock(&reports).last().unwrap().contains("`g/1`"));
    drop(sub);
    eventually("all stop", || od.stats().now.running + od.stats().now.stopping == 0);
    let _sub = subscriber(&od, &["f/"]);
    eventually("the last good list stays", || topics() == [&b"f/2"[..], b"f/always"]);
    assert_eq!(od.route_stats()[0].now.listed, 2);
}

#[test]
fn a_route_may_have_less_room_than_all() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("a/{x}")
        .feeds_max(1)
        .thread(generations)
        .route("b/{x}")
        .thread(generations)
        .start()
        .unwrap();
    let one = subscriber(&od, &["a/1"]);
    assert_eq!(text(&one), "a/1 1");
    let _two = subscriber(&od, &["a/2", "b/1", "b/2"]);
    eventually("only a/2 waits", || od.stats().now.running == 3 && od.stats().now.waiting == 1);
    let stats = od.route_stats();
    assert_eq!(
        (stats[0].now.wanted, stats[0].now.running, stats[0].now.waiting, stats[1].now.running),
        (2, 1, 1, 2)
    );
    drop(one);
    eventually("it has its turn", || od.topic_stats().iter().any(|topic| topic.topic == b"a/2"));
}
