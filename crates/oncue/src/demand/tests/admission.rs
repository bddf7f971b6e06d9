//! Rules about who may subscribe, and what they do to demand.

use super::*;
use crate::{Admission, PeerKey};

fn fresh() -> Builder {
    OnDemand::new(&Engine::start().unwrap(), Options::new()).unwrap()
}

fn accept(_: &crate::SubscribeRequest<'_>) -> Admission {
    Admission::Accept
}

#[test]
fn a_rejected_subscription_is_no_demand() {
    let od = fresh()
        .route("private/{x}")
        .catalogue(["private/1"])
        .admit(|request| match request.prefix.ends_with(b"/mine") {
            true => Admission::Accept,
            false => Admission::Reject("not yours".into()),
        })
        .thread(generations)
        .route("public/{x}")
        .catalogue(["public/1"])
        .thread(generations)
        .bind(ENDPOINT)
        .unwrap()
        .start()
        .unwrap();
    let sub = subscriber(&od, &["private/1", "private/mine", "public/1"]);
    let mut topics = std::collections::BTreeSet::new();
    eventually("both that are allowed come", || {
        topics.insert(receive(&sub).topic().to_vec());
        topics.len() == 2
    });
    assert!(topics.contains(&b"private/mine"[..]) && topics.contains(&b"public/1"[..]), "{topics:?}");
    let all = subscriber(&od, &["", "p"]);
    assert!(all.recv().wait_timeout(ms(50)).is_none(), "a short prefix would get the private ones too");
    assert_eq!(od.stats().done.started, 2);
    assert_eq!(od.xpub().stats().subscriptions_rejected, 3);
}

#[test]
fn a_deferred_subscription_is_decided_later_and_one_in_force_may_be_revoked() {
    let asked: Arc<Mutex<Vec<PeerKey>>> = Arc::default();
    let peers = asked.clone();
    let od = fresh()
        .route("t/{x}")
        .admit(move |request| {
            lock(&peers).push(request.peer);
            Admission::Defer
        })
        .thread(generations)
        .bind(ENDPOINT)
        .unwrap()
        .start()
        .unwrap();
    let sub = subscriber(&od, &["t/1"]);
    eventually("it is asked about", || lock(&asked).len() == 1);
    assert!(sub.recv().wait_timeout(ms(30)).is_none());
    assert_eq!(od.stats().done.started, 0);
    let peer = lock(&asked)[0];
    od.xpub().admit(peer, "t/1");
    assert_eq!(text(&sub), "t/1 1");
    od.revoke("t/1", "that is enough");
    eventually("the feed stops", || od.stats().stopped == 1 && od.stats().now.stopping == 0);
    assert_eq!(od.stats().now.running, 0);
}

#[test]
fn the_sockets_own_rule_comes_first() {
    let options = Options::new().admission(|request| match request.prefix.is_empty() {
        true => Admission::Reject("not everything".into()),
        false => Admission::Accept,
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let od = OnDemand::new(&Engine::start().unwrap(), options)
        .unwrap()
        .route("t/{x}")
        .admit(move |_| {
            count.fetch_add(1, SeqCst);
            Admission::Accept
        })
        .thread(generations)
        .bind(ENDPOINT)
        .unwrap()
        .start()
        .unwrap();
    let sub = subscriber(&od, &["", "t/1", "other"]);
    assert_eq!(text(&sub), "t/1 1");
    assert_eq!(asked.load(SeqCst), 1, "neither about what the socket rejects, nor about topics of no route");
}

#[test]
fn a_reload_brings_its_own_rules() {
    let od = fresh()
        .route("a/{x}")
        .key("1")
        .admit(accept)
        .thread(generations)
        .bind(ENDPOINT)
        .unwrap()
        .start()
        .unwrap();
    let before = subscriber(&od, &["a/1"]);
    assert_eq!(text(&before), "a/1 1");
    let reject = |_: &crate::SubscribeRequest<'_>| Admission::Reject("closed".into());
    let routes = od.builder().route("a/{x}").key("2").admit(reject).thread(generations);
    od.reload(routes).unwrap();
    let after = subscriber(&od, &["a/2"]);
    eventually("it is refused", || od.xpub().stats().subscriptions_rejected == 1);
    eventually("the subscriber that was there stays", || text(&before) == "a/1 2");
    drop(after);
    od.reload(od.builder().route("a/{x}").thread(generations)).unwrap();
    let free = subscriber(&od, &["a/3"]);
    eventually("no rule is left", || text(&free).starts_with("a/3 "));
}

#[test]
fn a_rule_that_comes_too_late_is_refused() {
    let rule = |builder: Builder| builder.route("t/{x}").admit(accept).thread(generations).start();
    let refused = rule(OnDemand::bind(ENDPOINT).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("`t/{x}`") && refused.to_string().contains("bind"), "{refused}");
    let socket = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let refused = rule(OnDemand::on(socket)).unwrap_err();
    assert!(refused.to_string().contains("`OnDemand::new`"), "{refused}");
}
