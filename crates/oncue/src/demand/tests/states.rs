//! States of topics, as other subscribers see them.

use super::*;
use crate::State;

#[test]
fn states_are_published_under_the_status_prefix() {
    let (builder, changes) = manual(
        OnDemand::bind(ENDPOINT).unwrap().status_prefix("status/").route("t/{x}").backoff(ms(20), ms(20)),
    );
    let od = builder.start().unwrap();
    let status = subscriber(&od, &["status/"]);
    let sub = subscriber(&od, &["t/1"]);
    let first = started(&changes);
    assert!(status.recv().wait_timeout(ms(20)).is_none(), "nothing was published yet");
    first.publish("value").unwrap();
    assert_eq!(text(&status), "status/t/1 active");
    first.fail("the line is down");
    assert_eq!(text(&status), "status/t/1 stale");
    stopped(&changes);
    let second = started(&changes);
    second.publish("value").unwrap();
    assert_eq!(text(&status), "status/t/1 active");
    assert_eq!(
        text(&subscriber(&od, &["status/t/1"])),
        "status/t/1 active",
        "later subscribers are told too"
    );
    second.finish();
    assert_eq!(text(&status), "status/t/1 closed");
    drop(sub);
    eventually("it is forgotten with the demand", || od.xpub().last("status/t/1").is_none());
    assert_eq!(od.stats().done.started, 2, "a subscription to a state is no demand for the topic");
}

#[test]
fn a_topic_whose_route_goes_is_closed_and_one_that_changes_it_is_stale() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .status_prefix("$state/")
        .route("t/{x}")
        .thread(generations)
        .start()
        .unwrap();
    let status = subscriber(&od, &["$state/"]);
    let sub = subscriber(&od, &["t/1", "t/2"]);
    let mut told = vec![text(&status), text(&status)];
    told.sort();
    assert_eq!(told, ["$state/t/1 active", "$state/t/2 active"]);
    od.reload(od.builder().route("t/1").thread(generations)).unwrap();
    let mut told: Vec<_> = (0..4).map(|_| text(&status)).collect();
    told.sort();
    let all = ["$state/t/1 active", "$state/t/1 stale", "$state/t/2 closed", "$state/t/2 unserved"];
    assert_eq!(told, all);
    drop(sub);
    let refused = od.reload(od.builder().route("{x}/1").thread(generations)).unwrap_err();
    assert!(refused.to_string().contains("status prefix"), "{refused}");
}

fn state(sub: &Sub) -> (String, State) {
    let told = sub.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
    (told.topic.escape_ascii().to_string(), told.state)
}

#[test]
fn subscribers_that_understand_states_are_told_them() {
    let (builder, changes) =
        manual(OnDemand::bind(ENDPOINT).unwrap().route("t/{x}").backoff(ms(20), ms(20)).keep_last());
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["t/1"]);
    let topic = || "t/1".to_owned();
    let first = started(&changes);
    first.publish("value").unwrap();
    assert_eq!(state(&sub), (topic(), State::Active));
    first.fail("a secret of the operator");
    let told = sub.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
    assert_eq!((told.state, told.text.contains("secret")), (State::Stale, false));
    let late = subscriber(&od, &["t/1"]);
    assert_eq!(text(&late), "t/1 value", "the last value, and");
    assert_eq!(state(&late), (topic(), State::Stale), "that it is stale");
    stopped(&changes);
    started(&changes).publish("value").unwrap();
    assert_eq!(state(&sub), (topic(), State::Active));
    od.stop();
    assert_eq!(state(&sub), (topic(), State::Closed));
    assert!(od.xpub().last("t/1").is_none());
}

#[test]
fn a_state_is_forgotten_with_the_demand() {
    let od = OnDemand::bind(ENDPOINT).unwrap().route("t").thread(generations).start().unwrap();
    let sub = subscriber(&od, &["t"]);
    assert_eq!(state(&sub).1, State::Active);
    drop(sub);
    eventually("it stops", || od.stats().now.running + od.stats().now.stopping == 0);
    assert!(!od.xpub().clear_state("t"), "there is none");
}

fn told(sub: &Sub) -> (String, State, String) {
    let told = sub.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
    (told.topic.escape_ascii().to_string(), told.state, told.text)
}

#[test]
fn a_topic_that_no_route_serves_is_said_to_its_subscribers() {
    let (sender, edges) = channel();
    let sender = Mutex::new(sender);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_unserved(move |prefix, why| {
            let edge = format!("{}: {why}", prefix.escape_ascii());
            lock(&sender).send(edge).unwrap();
        })
        .status_prefix("status/")
        .route("proc/{pid}")
        .key("stays")
        .thread(generations)
        .start()
        .unwrap();
    let status = subscriber(&od, &["status/"]);
    let all = subscriber(&od, &["", "pro"]);
    let begin =
        "topics of `proc/{pid}` begin with it; subscribe to whole topics, or give the route a catalogue";
    let unserved = |topic: &str, why: &str| (topic.to_owned(), State::Unserved, why.to_owned());
    assert_eq!(told(&all), unserved("pro", begin), "that of the peer itself");
    assert_eq!(text(&status), "status/pro unserved");
    let sub = subscriber(&od, &["clokc"]);
    assert_eq!(told(&sub), unserved("clokc", "no route serves this topic"));
    assert_eq!(text(&status), "status/clokc unserved");
    let late = subscriber(&od, &["clokc", ""]);
    assert_eq!(told(&late), unserved("clokc", "no route serves this topic"), "kept for later subscribers");
    sub.subscribe("proc/").unwrap();
    assert_eq!(told(&sub), unserved("proc/", begin));
    let edge = || edges.recv_timeout(PATIENCE).expect("an edge");
    assert_eq!(edge(), format!("pro: {begin}"));
    assert_eq!(edge(), "clokc: no route serves this topic");
    assert_eq!(edge(), format!("proc/: {begin}"));
    assert_eq!((od.stats().unserved, od.stats().unserved_total), (3, 3));
    // A route comes: the state goes.
    od.reload(
        od.builder().route("proc/{pid}").key("stays").thread(generations).route("clokc").thread(generations),
    )
    .unwrap();
    assert_eq!(told(&sub), ("clokc".to_owned(), State::Active, String::new()));
    assert_eq!(od.stats().unserved, 2);
    // The route goes: the topic is closed, then unserved.
    od.reload(od.builder().route("proc/{pid}").catalogue(["proc/1"]).thread(generations)).unwrap();
    let mut heard = Vec::new();
    while heard.last() != Some(&unserved("clokc", "no route serves this topic")) {
        heard.push(told(&sub));
    }
    assert!(heard.contains(&("clokc".to_owned(), State::Closed, "its producer has ended".to_owned())));
    assert_eq!(od.stats().unserved, 1);
    eventually("the operator is told", || edge() == "clokc: no route serves this topic");
    // The demand goes: so does the state. The empty prefix hears nothing of what others are refused.
    drop((sub, late));
    eventually("nothing is unserved", || od.stats().unserved == 0);
    eventually("it is forgotten", || od.xpub().last("status/clokc").is_none());
    assert!(!od.xpub().clear_state("clokc") && !od.xpub().clear_state("pro"));
    while let Ok(Some(state)) = all.try_state() {
        assert!(state.state != State::Unserved, "{state:?}");
    }
}

#[test]
fn a_peer_with_many_prefixes_is_told_of_a_bounded_number() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_unserved(move |_, _| _ = count.fetch_add(1, SeqCst))
        .route("clock")
        .thread(generations)
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    for i in 0..5000 {
        sub.subscribe(format!("x{i}")).unwrap();
    }
    eventually("all are counted", || od.stats().unserved == 5000);
    assert_eq!(calls.load(SeqCst), 1024);
    drop(sub);
    eventually("none is left", || od.stats().unserved == 0);
    assert!((0..5000).all(|i| !od.xpub().clear_state(format!("x{i}"))));
}

#[test]
fn on_a_socket_of_others_a_topic_may_be_theirs() {
    let unserved = |tell: Option<bool>| {
        let xpub = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let mut builder = OnDemand::on(xpub.clone()).bind(ENDPOINT).unwrap();
        if let Some(tell) = tell {
            builder = builder.tell_unserved(tell);
        }
        let od = builder.route("clock").thread(generations).start().unwrap();
        let sub = subscriber(&od, &["theirs"]);
        eventually("it is counted", || od.stats().unserved == 1);
        xpub.send("theirs").unwrap();
        assert_eq!(text(&sub), "theirs");
        sub.try_state().unwrap().map(|state| state.state)
    };
    assert_eq!(unserved(None), None);
    assert_eq!(unserved(Some(true)), Some(State::Unserved));
}
