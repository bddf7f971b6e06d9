//! Routes without a socket: they can be checked, get a socket later, or take the place of others.

use super::*;
use crate::Admission;

fn routes() -> Builder {
    OnDemand::routes().route("t/{x}").thread(generations)
}

/// The threads and descriptors of this process.
fn opened() -> (usize, usize) {
    let count = |directory: &str| std::fs::read_dir(directory).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn a_check_starts_and_opens_nothing() {
    let good = || routes().route("clock").catalogue_with(ms(1), || unreachable!()).every(ms(1), |_| "tick");
    // Other tests of this process may open and start something meanwhile: now and then none does.
    eventually("nothing is opened", || {
        let before = opened();
        let good = good();
        good.check().unwrap();
        opened() == before
    });
    let good = good();
    let wrong = routes().route("{y}/1").every(ms(1), |_| "");
    let refused = wrong.check().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
    assert!(refused.to_string().contains("`t/{x}` and `{y}/1`"), "{refused}");
    assert!(OnDemand::routes().check().is_err(), "there are none");
    assert!(good.xpub().is_none() && good.endpoints().is_empty());
}

#[test]
fn routes_get_a_socket_later() {
    let engine = Engine::start().unwrap();
    let bound = routes().bind(ENDPOINT).unwrap().start().unwrap();
    let own = routes().with_engine(&engine, Options::new()).unwrap().bind(ENDPOINT).unwrap().start().unwrap();
    let socket = XPub::new(&engine, Options::new()).unwrap();
    let shared = routes().on(socket.clone()).unwrap().bind(ENDPOINT).unwrap().start().unwrap();
    for od in [&bound, &own, &shared] {
        assert_eq!(text(&subscriber(od, &["t/1"])), "t/1 1");
    }
    let refused = |result: crate::Result<Builder>| result.unwrap_err().to_string();
    assert!(refused(routes().bind(ENDPOINT).unwrap().on(socket.clone())).contains("have a socket"));
    assert!(refused(OnDemand::on(socket).with_engine(&engine, Options::new())).contains("have a socket"));
    assert!(routes().start().unwrap_err().to_string().contains("bind them"));
}

#[test]
fn routes_without_a_socket_take_the_place_of_others() {
    let od = routes().bind(ENDPOINT).unwrap().start().unwrap();
    let sub = subscriber(&od, &["t/1", "new"]);
    assert_eq!(text(&sub), "t/1 1");
    od.reload(OnDemand::routes().route("new").every(ms(2), |_| "here")).unwrap();
    eventually("the new route serves it", || text(&sub) == "new here");
    let two = od.builder().feeds_max(2).route("new").every(ms(2), |_| "here");
    let none = od.builder().feeds_max(0).route("new").every(ms(2), |_| "here");
    assert_eq!(od.reload(none).unwrap_err().to_string(), "feeds_max is 0; set it to at least 1");
    od.reload(two).unwrap();
}

#[test]
fn rules_are_in_force_before_the_first_subscriber() {
    let reject = |_: &crate::SubscribeRequest<'_>| Admission::Reject("closed".into());
    let closed = || OnDemand::routes().route("t/{x}").admit(reject).thread(generations);
    let builder = closed().bind(ENDPOINT).unwrap();
    let endpoint = builder.endpoints()[0].to_string();
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.subscribe("t/1").unwrap();
    let rejected = || builder.xpub().unwrap().stats().subscriptions_rejected;
    eventually("it is refused before the start", || rejected() == 1);
    builder.start().unwrap();
    let socket = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let refused = closed().on(socket.clone()).unwrap().start().unwrap_err();
    assert!(refused.to_string().contains("`OnDemand::new`"), "{refused}");
    // A socket that does not ask would admit every peer, after a reload as well.
    let od = OnDemand::on(socket).route("t/{x}").thread(generations).start().unwrap();
    let refused = od.reload(closed()).unwrap_err();
    assert!(refused.to_string().contains("`OnDemand::new`"), "{refused}");
}
