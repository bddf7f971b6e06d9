//! Demand, values and states between sites.

use std::time::Duration;

use oncue::State;

use super::{Mesh, Told, eventually, received, site, status};

#[test]
fn a_producer_is_told_the_union_of_what_living_sites_want() {
    let mesh = Mesh::of(&["lima", "paris", "tokyo"]);
    let mut nodes = mesh.start_all();
    let publisher = mesh.publisher(&nodes[1]);
    let mut told = Told::of(&publisher);
    let at_tokyo = mesh.subscriber(&nodes[2].subscribers, &["a/1", "b"]);
    let at_lima = mesh.subscriber(&nodes[0].subscribers, &["b", "c"]);
    let at_paris = mesh.subscriber(&nodes[1].subscribers, &["d"]);
    told.becomes(&["a/1", "b", "c", "d"], "three sites want something");
    publisher.send(("b", "1")).expect("it is sent");
    assert_eq!(
        (received(&at_tokyo), received(&at_lima)),
        (vec!["b".into(), "1".into()], vec!["b".into(), "1".into()])
    );
    drop(at_tokyo);
    told.becomes(&["b", "c", "d"], "the subscriber of tokyo has left");
    // Its process is killed: its subscribers' demand ends with it.
    nodes[0].program.signal("KILL");
    told.becomes(&["d"], "lima is gone");
    drop((at_lima, at_paris));
    told.becomes(&[], "nobody is left");
    super::line_with(&mut nodes[1].program, "site lima left");
}

#[test]
fn a_site_that_is_stopped_is_silent_and_counts_again_when_it_goes_on() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let mut nodes = mesh.start_all();
    let publisher = mesh.publisher(&nodes[0]);
    let mut told = Told::of(&publisher);
    let _subscriber = mesh.subscriber(&nodes[1].subscribers, &["a"]);
    told.becomes(&["a"], "tokyo wants it");
    nodes[1].program.signal("STOP");
    told.becomes(&[], "tokyo is silent for the timeout");
    nodes[1].program.signal("CONT");
    told.becomes(&["a"], "tokyo goes on");
    super::line_with(&mut nodes[0].program, "site tokyo");
}

#[test]
fn a_late_joiner_of_another_site_gets_the_last_value_and_nothing_is_produced_again() {
    let mesh = Mesh::of(&["lima", "paris", "tokyo"]);
    let nodes = mesh.start_all();
    let publisher = mesh.publisher(&nodes[1]);
    let mut told = Told::of(&publisher);
    let first = mesh.subscriber(&nodes[2].subscribers, &["a"]);
    told.becomes(&["a"], "tokyo wants it");
    publisher.set_state("a", State::Active, "").expect("a state");
    publisher.send(("a", "produced once")).expect("it is sent");
    let value = ["a".to_owned(), "produced once".to_owned()];
    assert_eq!(received(&first), value);
    let of_first = first.state().wait_timeout(oncue_interop::PATIENCE).expect("in time").expect("a state");
    assert_eq!((&of_first.topic[..], of_first.state), (&b"a"[..], State::Active));
    // At the same site, at another one, and at that of the publisher.
    for node in [&nodes[2], &nodes[0], &nodes[1]] {
        let late = mesh.subscriber(&node.subscribers, &["a"]);
        assert_eq!(received(&late), value);
        let state = late.state().wait_timeout(oncue_interop::PATIENCE).expect("in time").expect("a state");
        assert_eq!(state.state, State::Active);
    }
    assert_eq!(publisher.stats().sent, 1);
}

#[test]
fn sites_at_two_routers_are_one_mesh() {
    let mesh = Mesh::of(&[]);
    let [root, child] = [(); 2].map(|()| format!("tcp/127.0.0.1:{}", super::free_port()));
    let _root = mesh.start_linked("root", &format!("role = \"router\"\nlisten = \"{root}\""));
    let child_link = format!("role = \"router\"\nlisten = \"{child}\"\nparent = \"{root}\"");
    let _child = mesh.start_linked("child", &child_link);
    let both = format!("role = \"edge\"\nrouters = [\"{root}\", \"{child}\"]");
    let paris = mesh.start_linked("paris", &both);
    let tokyo = mesh.start_linked("tokyo", &format!("role = \"edge\"\nrouters = \"{child}\""));
    paris.knows(3);
    tokyo.knows(3);
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let subscriber = mesh.subscriber(&tokyo.subscribers, &["a"]);
    told.becomes(&["a"], "tokyo wants it");
    publisher.send(("a", "1")).expect("it is sent");
    assert_eq!(received(&subscriber), ["a", "1"]);
}

#[test]
fn what_is_said_about_the_mesh_is_counted_right() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let nodes = mesh.start_all();
    let publisher = mesh.publisher(&nodes[0]);
    let mut told = Told::of(&publisher);
    let subscriber = mesh.subscriber(&nodes[1].subscribers, &["a", "b"]);
    told.becomes(&["a", "b"], "tokyo wants both");
    for n in 0..10 {
        publisher.send(("a", n.to_string().as_str())).expect("it is sent");
        assert_eq!(received(&subscriber), ["a".to_owned(), n.to_string()]);
    }
    let at = |endpoint: &str, other: &str, way: &str| {
        let status = status(endpoint);
        let site = site(&status, other);
        (site[way]["messages"] == 10 && site[way]["bytes"].as_u64() > Some(40)).then_some(site).ok_or(status)
    };
    let tokyo = eventually(|| at(&nodes[0].subscribers, "tokyo", "sent"));
    assert_eq!(
        (&tokyo["prefixes"], &tokyo["missed"], &tokyo["phase"]),
        (&2.into(), &0.into(), &"live".into())
    );
    let paris = eventually(|| at(&nodes[1].subscribers, "paris", "received"));
    assert_eq!((&paris["lost"], &paris["duplicates"], &paris["prefixes"]), (&0.into(), &0.into(), &0.into()));
    eventually(|| {
        let own = nodes[1].status();
        let is_right = own["prefixes"] == 2 && own["role"] == "peer" && own["links"] == 1;
        is_right.then_some(()).ok_or(own)
    });
    // A subscriber of everything gets nothing of it.
    let everything = mesh.subscriber(&nodes[1].subscribers, &[""]);
    told.becomes(&["a", "b", ""], "everything is wanted");
    publisher.send(("z", "")).expect("it is sent");
    while received(&everything)[0] != "z" {}
    assert!(everything.recv().wait_timeout(Duration::from_millis(1200)).is_none());
}
