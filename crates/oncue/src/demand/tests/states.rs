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
    let mut told: Vec<_> = (0..3).map(|_| text(&status)).collect();
    told.sort();
    assert_eq!(told, ["$state/t/1 active", "$state/t/1 stale", "$state/t/2 closed"]);
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
