//! Sockets, endpoints, operations and topics that are made and dropped on an engine that stays.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use oncue::authenticators::{KeyDirectory, Passwords, StaticKeys, hash_password};
use oncue::curve::{self, KeyPair};
use oncue::{Options, Pub, State, Sub, User, XPub, XSub};
use oncue_interop::directory::Directory;

use crate::raw::*;
use crate::{fresh, scenes};

const ROUNDS: u32 = 100;

#[test]
fn sockets_and_endpoints_leave_nothing() {
    let engine = engine();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let subscriber = Sub::new(&engine, options()).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let takes_one = |endpoint: &str| {
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.subscribe("x").unwrap();
        subscriber.connect(endpoint).unwrap();
        assert_eq!(event(&publisher), "+x");
        publisher.send("x").unwrap();
        subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
        drop(subscriber);
        assert_eq!(event(&publisher), "-x");
    };
    let bound = |at: &str| {
        let at = publisher.bind(at).unwrap().to_string();
        publisher.unbind(&at).unwrap();
    };
    let breaking = Door::new(&subscriber, Side::Connecting);
    let inproc = publisher.bind("inproc://stays").unwrap().to_string();
    scenes(
        ROUNDS,
        &[
            ("sockets of each type", &|| {
                // Waited for: the engine forgets closed sockets when it makes the next one.
                Pub::new(&engine, Options::new()).unwrap().close().wait();
                Sub::new(&engine, Options::new()).unwrap().close().wait();
                XPub::new(&engine, Options::new()).unwrap().close().wait();
                XSub::new(&engine, Options::new()).unwrap().close().wait();
            }),
            ("bound, tcp", &|| bound("tcp://127.0.0.1:0")),
            ("bound, ipc", &|| bound("ipc://*")),
            ("bound, inproc", &|| bound(&format!("inproc://{}", fresh()))),
            ("bound and dropped", &|| {
                let publisher = Pub::new(&engine, Options::new()).unwrap();
                publisher.bind("tcp://127.0.0.1:0").unwrap();
                publisher.bind("ipc://*").unwrap();
                publisher.bind("inproc://goes").unwrap();
                publisher.close().wait();
            }),
            ("connected to nobody, tcp", &|| {
                subscriber.connect("tcp://127.0.0.1:1").unwrap();
                subscriber.disconnect("tcp://127.0.0.1:1").unwrap();
            }),
            ("connections that are watched", &|| {
                let events = subscriber.events();
                subscriber.connect("tcp://127.0.0.1:1").unwrap();
                events.next().wait_timeout(SOON).expect("it connects").unwrap();
                events.next().wait_timeout(SOON).expect("it fails").unwrap();
                subscriber.disconnect("tcp://127.0.0.1:1").unwrap();
                drop(breaking.peer(Zmtp::V3_1));
            }),
            ("a publisher that breaks off", &|| drop(breaking.peer(Zmtp::V3_1))),
            ("a subscriber that takes a message, tcp", &|| takes_one(&endpoint)),
            ("a subscriber that takes a message, inproc", &|| takes_one(&inproc)),
            ("a subscriber that leaves messages", &|| {
                let subscriber = Sub::new(&engine, Options::new()).unwrap();
                subscriber.subscribe("x").unwrap();
                subscriber.connect(&endpoint).unwrap();
                assert_eq!(event(&publisher), "+x");
                (0..50).for_each(|_| publisher.send(("x", [0; 1000])).unwrap());
                subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
                drop(subscriber);
                assert_eq!(event(&publisher), "-x");
            }),
        ],
    );
}

#[test]
fn watches_of_connections_leave_nothing() {
    let engine = engine();
    let subscriber = Sub::new(&engine, options()).unwrap();
    // It reads nothing: what waits in it must stay within its bound, which it has reached before the count begins.
    let unread = subscriber.events();
    let round = || {
        let events = subscriber.events();
        let fails = "tcp://127.0.0.1:1";
        subscriber.connect(fails).unwrap();
        events.next().wait_timeout(SOON).expect("it connects").unwrap();
        events.next().wait_timeout(SOON).expect("it fails").unwrap();
        subscriber.disconnect(fails).unwrap();
        drop(events);
    };
    (0..500).for_each(|_| round());
    assert!(unread.missed() > 0, "its bound is reached");
    scenes(1000, &[("connect, fail, disconnect, with watches", &round)]);
}

#[test]
fn topics_leave_nothing() {
    let engine = engine();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let subscriber = Sub::new(&engine, options()).unwrap();
    subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    let wanted = |round: &dyn Fn(&str)| {
        let topic = format!("topic/{}", fresh());
        subscriber.subscribe(&topic).unwrap();
        assert_eq!(event(&publisher), format!("+{topic}"));
        round(&topic);
        subscriber.unsubscribe(&topic).unwrap();
        assert_eq!(event(&publisher), format!("-{topic}"));
        while subscriber.try_recv().unwrap().is_some() {}
        while subscriber.try_state().unwrap().is_some() {}
    };
    scenes(
        ROUNDS,
        &[
            ("a topic that is wanted", &|| wanted(&|_| ())),
            ("a topic of messages", &|| {
                wanted(&|topic| (0..10).for_each(|_| publisher.send((topic, [0; 1000])).unwrap()));
            }),
            ("a topic with a last value", &|| {
                wanted(&|topic| {
                    publisher.send_last((topic, "value")).unwrap();
                    assert!(publisher.forget_last(topic));
                });
            }),
            ("a topic with a state", &|| {
                wanted(&|topic| {
                    publisher.set_state(topic, State::Stale, "a reason").unwrap();
                    subscriber.state().wait_timeout(SOON).expect("a state in time").unwrap();
                    assert!(publisher.clear_state(topic));
                });
            }),
            ("a topic that nobody wants", &|| {
                let topic = format!("topic/{}", fresh());
                assert!(!publisher.wanted(&topic));
                publisher.send_with(&topic, || "value").unwrap();
                publisher.send((&topic, "value")).unwrap();
                publisher.room(&topic);
            }),
        ],
    );
}

struct Unheard;

impl Wake for Unheard {
    fn wake(self: Arc<Self>) {}
}

/// Polls an operation once, with a waker of its own, and drops it.
fn given_up<T>(op: impl Future<Output = T> + Unpin) {
    let mut op = op;
    let waker = Waker::from(Arc::new(Unheard));
    assert!(Pin::new(&mut op).poll(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn operations_that_are_given_up_leave_nothing() {
    let engine = engine();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let subscriber = Sub::new(&engine, options()).unwrap();
    let watch = publisher.demand();
    scenes(
        ROUNDS,
        &[
            ("recv, given up", &|| given_up(subscriber.recv())),
            ("recv_many, given up", &|| given_up(subscriber.recv_many())),
            ("state, given up", &|| given_up(subscriber.state())),
            ("event, given up", &|| given_up(publisher.event())),
            ("next change of demand, given up", &|| given_up(watch.next())),
            ("room_changed, given up", &|| given_up(publisher.room_changed())),
            ("recv in time, on another thread", &|| {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        assert!(subscriber.recv().wait_timeout(Duration::from_millis(1)).is_none())
                    });
                });
            }),
            ("watches of demand", &|| drop(publisher.demand())),
        ],
    );
}

#[test]
fn secured_connections_and_authenticators_leave_nothing() {
    let engine = engine();
    let (server, known) = (curve::generate(), curve::generate());
    let key = *server.public();
    let clients = StaticKeys::new().with(*known.public(), User::new("known"));
    let publisher = XPub::new(&engine, Options::new().curve_server(server, clients)).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let place = Directory::new();
    let hash = hash_password(b"secret").unwrap();
    let users = place.write("users", &format!("ann:{hash}\n"));
    let client = |keys: &KeyPair| Sub::new(&engine, options().curve_client(keys.clone(), key)).unwrap();
    scenes(
        ROUNDS,
        &[
            ("an encrypted subscriber that takes a message", &|| {
                let subscriber = client(&known);
                subscriber.subscribe("x").unwrap();
                subscriber.connect(&endpoint).unwrap();
                assert_eq!(event(&publisher), "+x");
                publisher.send(("x", [0; 1000])).unwrap();
                subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
                subscriber.close().wait();
                assert_eq!(event(&publisher), "-x");
            }),
            ("a client that is not let in", &|| {
                let stranger = client(&curve::generate());
                let events = stranger.events();
                stranger.connect(&endpoint).unwrap();
                events.next().wait_timeout(SOON).expect("it connects").unwrap();
                events.next().wait_timeout(SOON).expect("it is refused").unwrap();
                stranger.close().wait();
            }),
            ("authenticators that look at files", &|| {
                drop(KeyDirectory::open(place.path("")).unwrap());
                drop(Passwords::open(&users).unwrap());
            }),
            ("permissions that are reconsidered", &|| publisher.reconsider()),
        ],
    );
}
