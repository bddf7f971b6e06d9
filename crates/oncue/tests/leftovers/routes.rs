//! Feeds that start and end while their routes stay: for each kind of producer a topic that is wanted, has a value, and is
//! no longer wanted.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use std::thread;
use std::time::Duration;

use oncue::demand::{Builder, Change, Feed, LastLimits, Produced, RouteBuilder};
use oncue::{Admission, OnDemand, Options, Sub, XPub};

use crate::raw::*;
use crate::{fresh, scenes};

const ROUNDS: u32 = 40;
const TICK: Duration = Duration::from_millis(2);

/// Running routes, and the endpoint of their socket.
struct Served {
    routes: OnDemand,
    door: Door,
}

impl Served {
    fn new(route: impl FnOnce(RouteBuilder) -> Builder) -> Served {
        let builder = OnDemand::new(&engine(), options()).unwrap();
        let routes = route(builder.grace(Duration::ZERO).route("x/{n}")).start().unwrap();
        let door = Door::new(routes.xpub(), Side::Binding);
        Served { routes, door }
    }

    /// A subscriber asks for a topic that was never wanted before, and gets a value of it.
    fn wanted(&self) {
        let mut peer = self.peer(&format!("x/{}", fresh()));
        assert_eq!(peer.message()[1], b"value");
    }

    fn peer(&self, topic: &str) -> Raw {
        let mut peer = self.door.peer(Zmtp::V3_1);
        peer.send(subscribe(topic));
        peer
    }

    /// No feed runs.
    fn rest(&self) {
        while self.routes.stats().now.running > 0 || self.routes.stats().now.stopping > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn produce(feed: Feed) -> Produced {
    while feed.publish("value").is_ok() {
        feed.sleep(TICK)?;
    }
    Ok(())
}

/// Runs a task on a thread of its own.
fn spawn(task: oncue::demand::Task) {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    thread::spawn(move || {
        let mut task = pin!(task);
        let waker = Arc::new(Unpark(thread::current())).into();
        while task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            thread::park();
        }
    });
}

fn each(kinds: &[(&str, &dyn Fn(RouteBuilder) -> Builder)]) {
    for (name, route) in kinds {
        let served = Served::new(route);
        scenes(ROUNDS, &[(&format!("route: {name}"), &|| served.wanted())]);
        served.rest();
    }
}

#[test]
fn feeds_of_each_kind_leave_nothing() {
    each(&[
        ("every", &|route| route.every(TICK, |_| "value")),
        ("every, last value kept", &|route| route.keep_last().every(TICK, |_| "value")),
        ("thread", &|route| route.thread(produce)),
        ("task", &|route| {
            route.task(spawn, |feed| async move {
                feed.publish("value")?;
                feed.stopped().await;
                Ok(())
            })
        }),
        ("batch", &|route| {
            route.batch(TICK, |wanted| {
                let topics: Vec<_> = wanted.iter().map(|feed| feed.topic().to_vec()).collect();
                for topic in topics {
                    wanted.publish(topic, "value");
                }
            })
        }),
        ("manual", &|route| {
            let told = Mutex::new(Vec::new());
            route.manual(move |change| match change {
                Change::Started(feed) => {
                    let _ = feed.publish("value");
                    told.lock().unwrap().push(feed);
                }
                Change::Stopped(feed) => told.lock().unwrap().retain(|f: &Feed| f.topic() != feed.topic()),
            })
        }),
        ("values that outlive their feeds, for a moment", &|route| {
            let limits = LastLimits { age_max: Some(TICK), outlive: true, bytes_max: Some(1000) };
            route.keep_last_with(limits).thread(produce)
        }),
        ("filled", &|route| {
            route.keep_last().fill(|_| Some("value")).thread(|feed| {
                feed.wait_stopped();
                Ok(())
            })
        }),
        ("at most a value in a while", &|route| route.max_rate(TICK).thread(produce)),
        ("fails after a value", &|route| {
            route.backoff(TICK, TICK).thread(|feed| {
                feed.publish("value")?;
                Err("it fails".into())
            })
        }),
        ("ends after a value", &|route| route.thread(|feed| Ok(feed.publish("value")?))),
        ("admitted", &|route| route.admit(|_| Admission::Accept).thread(produce)),
    ]);
}

#[test]
fn one_topic_that_comes_and_goes_leaves_nothing() {
    let served = Served::new(|route| route.every(TICK, |_| "value"));
    let toggled = || {
        let mut peer = served.peer("x/1");
        peer.send([cancel("x/1"), subscribe("x/1")].concat().repeat(20));
        while peer.frame().1 != b"value" {}
    };
    scenes(ROUNDS, &[("route: one topic, toggled", &toggled)]);
    served.rest();
}

#[test]
fn catalogues_leave_nothing() {
    let served = Served::new(|route| {
        let list = || vec![format!("x/{}", fresh()).into_bytes(), b"x/stays".to_vec()];
        route.catalogue_with(Duration::from_millis(1), list).thread(produce)
    });
    let listed = || {
        let mut peer = served.peer("");
        (0..5).for_each(|_| drop(peer.message()));
    };
    scenes(ROUNDS, &[("route: catalogue that changes", &listed)]);
    served.rest();
}

#[test]
fn reloads_leave_nothing() {
    let served = Served::new(|route| route.thread(produce));
    let reloaded = || {
        served.wanted();
        let routes = served.routes.builder().route("x/{n}").key(fresh().to_string()).every(TICK, |_| "value");
        served.routes.reload(routes).unwrap();
    };
    scenes(ROUNDS, &[("route: reloaded", &reloaded)]);
    served.rest();
}

/// Routes that begin and end on a socket that stays.
#[test]
fn routes_on_a_socket_leave_nothing() {
    let socket = XPub::new(&engine(), Options::new()).unwrap();
    let endpoint = socket.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let subscriber = Sub::new(&engine(), options()).unwrap();
    subscriber.subscribe("x").unwrap();
    subscriber.connect(&endpoint).unwrap();
    let round = || {
        let routes = OnDemand::on(socket.clone()).route("x").thread(produce).start().unwrap();
        subscriber.recv().wait_timeout(SOON).expect("a value in time").unwrap();
        drop(routes);
        while subscriber.try_recv().unwrap().is_some() {}
    };
    scenes(ROUNDS, &[("routes on a socket that stays", &round)]);
}
