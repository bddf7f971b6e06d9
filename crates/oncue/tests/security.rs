//! CURVE and PLAIN between our own sockets: who is let in, who is refused and by what name, and that nothing else changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oncue::authenticators::KeyDirectory;
use oncue::curve::{self, Certificate, KeyPair, PublicKey};
use oncue::{
    Admission, AllowAny, Case, Cause, ConnectionEventKind as Kind, ConnectionEvents, Credentials, Engine,
    Keep, OnDemand, Options, Sub, User, XPub, XPubEvent, XSub,
};
use oncue_interop::directory::Directory;
use oncue_interop::{PATIENCE, until, within_a_minute};

fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

/// Lets in whoever has this key, as "known".
fn only(key: PublicKey) -> impl Fn(Case) + Send + Sync {
    move |case: Case| match &case.credentials {
        Credentials::Curve(theirs) if *theirs == key => {
            case.accept(User::new("known").with("role", "reader"))
        }
        _ => case.refuse("an unknown key"),
    }
}

fn next_failure(events: &ConnectionEvents) -> Cause {
    loop {
        match events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event").kind {
            Kind::Failed { cause, .. } | Kind::Lost { cause, .. } => return cause,
            _ => {}
        }
    }
}

/// A server and a client that know each other.
fn pair() -> (Options, Options, KeyPair) {
    let (server, client) = (curve::generate(), curve::generate());
    let public = *server.public();
    (
        quick().curve_server(server, only(*client.public())),
        quick().curve_client(client.clone(), public),
        client,
    )
}

#[test]
fn values_go_to_a_client_with_the_right_key_over_every_transport_and_in_both_directions() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let path = std::env::temp_dir().join(format!("oncue-curve-{}", std::process::id()));
        for at in [
            "tcp://127.0.0.1:0".to_owned(),
            format!("ipc://{}", path.display()),
            "ws://127.0.0.1:0/x".to_owned(),
        ] {
            for server_publishes in [true, false] {
                for publisher_binds in [true, false] {
                    let (server, client, _) = pair();
                    let (ours, theirs) = if server_publishes { (server, client) } else { (client, server) };
                    let publisher = XPub::new(&engine, ours).unwrap();
                    let subscriber = Sub::new(&engine, theirs).unwrap();
                    subscriber.subscribe("t").unwrap();
                    if publisher_binds {
                        let at = publisher.bind(&at).unwrap().to_string();
                        subscriber.connect(&at).unwrap();
                    } else {
                        let at = subscriber.bind(&at).unwrap().to_string();
                        publisher.connect(&at).unwrap();
                    }
                    let event = publisher.event().wait_timeout(PATIENCE).expect("demand");
                    assert!(matches!(event.unwrap(), XPubEvent::Wanted(_)));
                    for size in [0, 1, 200, 223, 224, 300, 70_000, 3_000_000] {
                        publisher.send(("t", vec![7_u8; size])).unwrap();
                        let message = subscriber.recv().wait_timeout(PATIENCE).expect("a value").unwrap();
                        assert_eq!(message.frames().nth(1).unwrap().len(), size);
                    }
                    let peer = &publisher.peers().unwrap()[0];
                    let user = peer.profile.user.as_ref();
                    assert_eq!(user.map(|user| &user.id[..]), server_publishes.then_some("known"));
                    assert_eq!(
                        user.and_then(|user| user.attribute("role")),
                        server_publishes.then_some("reader")
                    );
                    // The end of a subscription arrives sealed as well.
                    subscriber.unsubscribe("t").unwrap();
                    let event = publisher.event().wait_timeout(PATIENCE).expect("its end");
                    assert!(matches!(event.unwrap(), XPubEvent::Unwanted(_)));
                }
            }
        }
    });
}

#[test]
fn a_stream_of_messages_arrives_whole_and_in_order_while_its_reader_is_slow() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let (server, client, _) = pair();
        let publisher = XPub::new(&engine, server.send_hwm(100_000).on_full(oncue::OnFull::Refuse)).unwrap();
        let subscriber = XSub::new(&engine, client.recv_hwm(10)).unwrap();
        subscriber.subscribe("").unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap();
        let all = 40_000_u32;
        let sender = thread::spawn(move || {
            for number in 0..all {
                let body = vec![number as u8; (number % 700) as usize];
                publisher.send_wait((number.to_be_bytes(), body)).wait().unwrap();
            }
            publisher
        });
        for number in 0..all {
            if number % 10_000 == 0 {
                thread::sleep(Duration::from_millis(100));
            }
            let message = subscriber.recv().wait_timeout(PATIENCE).expect("a message").unwrap();
            let frames: Vec<_> = message.frames().collect();
            assert_eq!(frames[0], number.to_be_bytes());
            assert!(
                frames[1].len() == (number % 700) as usize && frames[1].iter().all(|&b| b == number as u8)
            );
        }
        drop(sender.join().unwrap());
    });
}

#[test]
fn a_client_that_is_not_let_in_is_told_and_named_and_is_no_demand() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let (server, _, _) = pair();
        let server_key = {
            // The same server for a stranger, who knows its public key.
            let keys = curve::generate();
            let public = *keys.public();
            let server = server.curve_server(keys, only(*curve::generate().public()));
            (XPub::new(&engine, server).unwrap(), public)
        };
        let (publisher, public) = server_key;
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let stranger = Sub::new(&engine, quick().curve_client(curve::generate(), public)).unwrap();
        let events = stranger.events();
        stranger.subscribe("").unwrap();
        stranger.connect(&at).unwrap();
        let cause = next_failure(&events);
        assert_eq!(cause, Cause::RefusedByPeer("400".to_owned()));
        assert_eq!(cause.to_string(), "it says \"400\" (access denied)");
        until("it is counted", || publisher.stats().peers_refused > 0);
        let refused = &publisher.refused()[0];
        assert_eq!(refused.cause, Cause::NotLetIn);
        assert!(refused.error.to_string().contains("an unknown key"), "{}", refused.error);
        assert_eq!(publisher.peers().unwrap().len(), 0);
        assert!(publisher.try_event().unwrap().is_none());
    });
}

#[test]
fn a_client_with_another_servers_key_gets_a_hint_and_the_server_names_the_fault() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let publisher = XPub::new(&engine, quick().curve_server(curve::generate(), AllowAny)).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let wrong = *curve::generate().public();
        let subscriber = Sub::new(&engine, quick().curve_client(curve::generate(), wrong)).unwrap();
        let events = subscriber.events();
        subscriber.connect(&at).unwrap();
        loop {
            let event = events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
            if let Kind::Failed { cause, error, .. } = event.kind {
                assert_eq!(cause, Cause::ClosedInHandshake);
                assert!(error.to_string().contains("another server key"), "{error}");
                break;
            }
        }
        until("it is counted", || publisher.stats().peers_refused > 0);
        assert_eq!(publisher.refused()[0].cause.to_string(), "it has another server key than this one");
    });
}

#[test]
fn mechanisms_that_differ_and_roles_that_do_not_are_named_on_both_sides() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let key = *curve::generate().public();
        let curve_server = || quick().curve_server(curve::generate(), AllowAny);
        let curve_client = || quick().curve_client(curve::generate(), key);
        let cases = [
            (quick(), curve_client(), "it has no CURVE", "it wants CURVE"),
            (curve_server(), quick(), "it wants CURVE", "it has no CURVE"),
            (curve_server(), quick().plain_client("a", "b"), "it wants CURVE", "it wants PLAIN"),
            (quick().plain_server(AllowAny), curve_client(), "it wants PLAIN", "it wants CURVE"),
            (
                curve_server(),
                curve_server(),
                "it is a server as well; one must be the client",
                "it is a server as well; one must be the client",
            ),
            (
                curve_client(),
                curve_client(),
                "it is a client as well; one must be the server",
                "it is a client as well; one must be the server",
            ),
        ];
        for (ours, theirs, seen_by_connector, seen_by_binder) in cases {
            let publisher = XPub::new(&engine, ours).unwrap();
            let subscriber = Sub::new(&engine, theirs).unwrap();
            let events = subscriber.events();
            subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
            assert_eq!(next_failure(&events).to_string(), seen_by_connector);
            until("the other side has noticed", || !publisher.refused().is_empty());
            assert_eq!(publisher.refused()[0].cause.to_string(), seen_by_binder);
        }
    });
}

#[test]
fn plain_asks_for_user_and_password() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let users = |case: Case| match &case.credentials {
            Credentials::Plain { user, password } if user == b"ann" && &***password == b"secret" => {
                case.accept(User::new("ann"));
            }
            _ => case.refuse("wrong password"),
        };
        let publisher = XPub::new(&engine, quick().plain_server(users)).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let good = Sub::new(&engine, quick().plain_client("ann", "secret")).unwrap();
        good.subscribe("a").unwrap();
        good.connect(&at).unwrap();
        publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap();
        publisher.send("a1").unwrap();
        assert_eq!(good.recv().wait_timeout(PATIENCE).expect("a value").unwrap().topic(), b"a1");
        let bad = Sub::new(&engine, quick().plain_client("ann", "guess")).unwrap();
        let events = bad.events();
        bad.connect(&at).unwrap();
        assert_eq!(next_failure(&events), Cause::RefusedByPeer("400".to_owned()));
        assert!(Sub::new(&engine, Options::new().plain_client("x".repeat(256), "")).is_err());
    });
}

#[test]
fn an_authenticator_may_take_its_time_and_nobody_else_waits() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let waiting: Arc<Mutex<Vec<Case>>> = Arc::default();
        let cases = waiting.clone();
        let server = curve::generate();
        let key = *server.public();
        let (first, quickly) = (curve::generate(), curve::generate());
        let slow = *first.public();
        let decide = move |case: Case| match &case.credentials {
            Credentials::Curve(theirs) if *theirs == slow => cases.lock().unwrap().push(case),
            _ => case.accept(User::new("quick")),
        };
        let publisher = XPub::new(&engine, quick().curve_server(server, decide)).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let patient = Sub::new(&engine, quick().curve_client(first, key)).unwrap();
        patient.subscribe("slow").unwrap();
        patient.connect(&at).unwrap();
        until("it waits", || waiting.lock().unwrap().len() == 1);
        let other = Sub::new(&engine, quick().curve_client(quickly, key)).unwrap();
        other.subscribe("quick").unwrap();
        other.connect(&at).unwrap();
        let prefix = |event| match event {
            XPubEvent::Wanted(prefix) => prefix.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(prefix(publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap()), b"quick");
        let case = waiting.lock().unwrap().pop().unwrap();
        thread::spawn(move || case.accept(User::new("slow"))).join().unwrap();
        assert_eq!(prefix(publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap()), b"slow");
    });
}

#[test]
fn a_case_that_is_dropped_or_panics_is_refused() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let server = curve::generate();
        let key = *server.public();
        let decide = move |case: Case| {
            if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                drop(case);
            } else {
                panic!("a mistake of the user's");
            }
        };
        let publisher = XPub::new(&engine, quick().curve_server(server, decide)).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let subscriber = Sub::new(&engine, quick().curve_client(curve::generate(), key)).unwrap();
        subscriber.connect(&at).unwrap();
        until("both are refused", || publisher.stats().peers_refused >= 2);
        assert!(publisher.refused().iter().all(|refused| refused.cause == Cause::NotLetIn));
    });
}

#[test]
fn a_rule_knows_the_user() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let (server, client, _) = pair();
        let server = server.admission(|request| match request.user.map(|user| &user.id[..]) {
            Some("known") if request.prefix.starts_with(b"mine/") => Admission::Accept,
            _ => Admission::Reject("not yours".into()),
        });
        let publisher = XPub::new(&engine, server).unwrap();
        let subscriber = Sub::new(&engine, client.keep(Keep::All)).unwrap();
        subscriber.subscribe("other").unwrap();
        subscriber.subscribe("mine/1").unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        match publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap() {
            XPubEvent::Wanted(prefix) => assert_eq!(&prefix[..], b"mine/1"),
            other => panic!("{other:?}"),
        }
        until("the other is refused", || publisher.stats().subscriptions_rejected == 1);
    });
}

#[test]
fn inproc_stays_in_the_process_and_needs_no_keys() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let publisher = XPub::new(&engine, quick().curve_server(curve::generate(), AllowAny)).unwrap();
        publisher.bind("inproc://here").unwrap();
        let subscriber = Sub::new(&engine, quick()).unwrap();
        subscriber.subscribe("").unwrap();
        subscriber.connect("inproc://here").unwrap();
        publisher.event().wait_timeout(PATIENCE).expect("demand").unwrap();
        assert!(publisher.peers().unwrap()[0].profile.user.is_none());
    });
}

#[test]
fn what_is_no_longer_allowed_ends_within_a_second_a_running_feed_included() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let place = Directory::new();
        let (server, ann, bob) = (curve::generate(), curve::generate(), curve::generate());
        let key = *server.public();
        for (name, keys) in [("ann", &ann), ("bob", &bob)] {
            let certificate = Certificate { public: *keys.public(), secret: None, metadata: Vec::new() };
            std::fs::write(place.path(format!("{name}.key")), certificate.write("a test", false).as_bytes())
                .unwrap();
        }
        let clients = KeyDirectory::open(place.path("")).unwrap();
        // Who may have what, by user.
        let allowed: Arc<Mutex<Vec<(&str, &str)>>> =
            Arc::new(Mutex::new(vec![("ann", "a/"), ("ann", "b/"), ("bob", "b/")]));
        let now = allowed.clone();
        let options = quick().curve_server(server, clients.clone()).admission(move |request| {
            let user = request.user.map_or("", |user| &user.id);
            let may =
                |(id, prefix): &(&str, &str)| *id == user && request.prefix.starts_with(prefix.as_bytes());
            match now.lock().unwrap().iter().any(may) {
                true => Admission::Accept,
                false => Admission::Reject("not yours".into()),
            }
        });
        let publisher = XPub::new(&engine, options).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let on_demand = OnDemand::on(publisher.clone())
            .route("{kind}/{name}")
            .every(Duration::from_millis(5), |_| "value")
            .start()
            .unwrap();
        let subscribe = |keys: KeyPair, topics: &[&str]| {
            let subscriber = Sub::new(&engine, quick().curve_client(keys, key)).unwrap();
            for topic in topics {
                subscriber.subscribe(topic).unwrap();
            }
            subscriber.connect(&at).unwrap();
            subscriber
        };
        let of_ann = subscribe(ann, &["a/1", "b/1"]);
        let _of_bob = subscribe(bob, &["a/2", "b/2"]);
        let running = || on_demand.stats().now.running;
        until("three feeds run, bob's a/2 does not", || running() == 3);
        of_ann.recv().wait_timeout(PATIENCE).expect("a value").unwrap();

        // A permission is withdrawn.
        allowed.lock().unwrap().retain(|pair| *pair != ("ann", "a/"));
        let begun = std::time::Instant::now();
        publisher.reconsider();
        until("its feed ends", || running() == 2);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(!publisher.wanted("a/1") && publisher.wanted("b/1"));

        // A certificate is removed.
        let again = publisher.clone();
        clients.on_change(move |_| again.reconsider());
        let begun = std::time::Instant::now();
        std::fs::remove_file(place.path("bob.key")).unwrap();
        until("bob's feed ends", || running() == 1);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        until("bob is gone", || publisher.peers().unwrap().len() == 1);
        until("bob is refused", || {
            publisher.refused().iter().any(|refused| refused.cause == Cause::NotLetIn)
        });
        assert!(publisher.wanted("b/1"), "ann stays");
    });
}

#[test]
fn an_authenticator_that_never_decides_is_named_when_the_handshake_has_no_more_time() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let kept: Arc<Mutex<Vec<Case>>> = Arc::default();
        let cases = kept.clone();
        let server = curve::generate();
        let key = *server.public();
        let options = quick().handshake_timeout(Duration::from_millis(200));
        let decide = move |case: Case| cases.lock().unwrap().push(case);
        let publisher = XPub::new(&engine, options.curve_server(server, decide)).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let subscriber = Sub::new(&engine, quick().curve_client(curve::generate(), key)).unwrap();
        subscriber.connect(&at).unwrap();
        until("it ends", || !publisher.refused().is_empty());
        let refused = &publisher.refused()[0];
        assert_eq!(refused.cause, Cause::NotLetIn);
        assert!(refused.error.to_string().contains("did not decide"), "{}", refused.error);
        // An answer that comes too late changes nothing.
        kept.lock().unwrap().drain(..).for_each(|case| case.accept(User::new("late")));
        assert!(publisher.peers().unwrap().is_empty());
    });
}
