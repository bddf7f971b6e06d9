//! A fork without exec: in the child a socket of the parent neither hangs nor speaks for the parent, and says why it does
//! nothing. A test program of its own: a fork has only the thread that called it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncue::demand::Feed;
use oncue::{Batch, Engine, ErrorKind, OnDemand, Options, Proxy, Pub, Result, Sub, XPub, XPubEvent, XSub};
use oncue_interop::forked::in_a_fork;

const SOON: Duration = Duration::from_secs(20);

/// A publisher and its subscriber to everything, on two engines of one process, connected.
fn pair() -> (XPub, Sub, String) {
    let publisher = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let subscriber = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap().to_string();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    (publisher, subscriber, endpoint)
}

/// One line about an operation in the child: its error, unless it is the right one, and its time, if it is long.
fn said<T>(what: &str, operation: impl FnOnce() -> Result<T>) -> Option<String> {
    let start = Instant::now();
    let wrong = match operation() {
        Ok(_) => Some("succeeds".to_owned()),
        Err(e) if e.kind() != ErrorKind::Misuse => Some(format!("{e:?}")),
        Err(e) if !e.to_string().contains("fork") || !e.to_string().contains("make an Engine") => {
            Some(e.to_string())
        }
        Err(_) => None,
    };
    let late = (start.elapsed() > Duration::from_secs(2)).then(|| format!("takes {:?}", start.elapsed()));
    wrong.or(late).map(|wrong| format!("{what}: {wrong}"))
}

fn nth(publisher: &XPub, subscriber: &Sub, number: u64) {
    publisher.send(("topic", number.to_string())).unwrap();
    let message = subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
    assert_eq!(message.frame(1).unwrap(), number.to_string().as_bytes());
}

#[test]
fn every_operation_of_a_child_says_that_it_is_a_fork() {
    let (publisher, subscriber, endpoint) = pair();
    let upstream = XSub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    upstream.connect(&endpoint).unwrap();
    let (watch, events) = (publisher.demand(), publisher.events());
    let engine = Engine::start().unwrap();
    let unused = Pub::new(&engine, Options::new()).unwrap();
    (0..10).for_each(|number| nth(&publisher, &subscriber, number));
    while publisher.stats().peers < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    // Each in a child of its own: the first one that notices tells the others.
    let operations: &[(&str, &dyn Fn() -> Option<String>)] = &[
        ("send", &|| said("send", || publisher.send("stolen"))),
        ("send, large", &|| said("send, large", || publisher.send([7; 100_000]))),
        ("send_last", &|| said("send_last", || publisher.send_last("stolen"))),
        ("send_wait", &|| said("send_wait", || publisher.send_wait("stolen").wait())),
        ("set_state", &|| said("set_state", || publisher.set_state("x", oncue::State::Stale, "x"))),
        ("send of an XSUB", &|| said("send of an XSUB", || upstream.send("stolen"))),
        ("recv", &|| said("recv", || subscriber.recv().wait())),
        ("try_recv", &|| said("try_recv", || subscriber.try_recv())),
        ("recv_many", &|| said("recv_many", || subscriber.recv_many().wait())),
        ("state", &|| said("state", || subscriber.state().wait())),
        ("event", &|| said("event", || publisher.event().wait())),
        ("demand", &|| {
            said("demand", || std::iter::repeat_with(|| watch.next().wait()).find(Result::is_err).unwrap())
        }),
        ("events", &|| {
            said("events", || std::iter::repeat_with(|| events.next().wait()).find(Result::is_err).unwrap())
        }),
        ("room_changed", &|| said("room_changed", || publisher.room_changed().wait())),
        ("turned_away", &|| said("turned_away", || publisher.turned_away().wait())),
        ("subscribe", &|| said("subscribe", || subscriber.subscribe("x"))),
        ("unsubscribe", &|| said("unsubscribe", || subscriber.unsubscribe(""))),
        ("bind", &|| said("bind", || publisher.bind("tcp://127.0.0.1:*"))),
        ("connect", &|| said("connect", || subscriber.connect(&endpoint))),
        ("unbind", &|| said("unbind", || publisher.unbind(&endpoint))),
        ("disconnect", &|| said("disconnect", || subscriber.disconnect(&endpoint))),
        ("a new socket", &|| said("a new socket", || Pub::new(&engine, Options::new()))),
        ("a socket without a peer", &|| said("a socket without a peer", || unused.send("x"))),
        ("close, then send", &|| {
            publisher.close().wait();
            publisher.close_within(Duration::ZERO).wait();
            said("close, then send", || publisher.send("stolen"))
        }),
        ("a watchdog", &|| {
            publisher.responds_within(Duration::from_secs(1)).then(|| "it responds".to_owned())
        }),
    ];
    for (number, (name, operation)) in (10..).zip(operations) {
        let wrong = in_a_fork(|| operation().into_iter().collect());
        assert_eq!(wrong, Vec::<String>::new(), "{name}");
        // The parent goes on, and its peers have heard nothing.
        nth(&publisher, &subscriber, number);
    }
    assert_eq!(publisher.stats().peers, 2);
    assert_eq!(publisher.stats().peers_lost, 0);
    assert!(publisher.wanted("x") && publisher.try_event().unwrap().is_none());
    assert!(publisher.responds_within(SOON));
    let another = publisher.bind("tcp://127.0.0.1:*").unwrap().to_string();
    publisher.unbind(&another).unwrap();
}

/// While threads of the parent use the sockets: messages are under way, and one of them may hold any lock.
#[test]
fn a_child_of_a_busy_parent_says_that_it_is_a_fork() {
    let (publisher, subscriber, _) = pair();
    publisher.send("first").unwrap();
    subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
    let (watch, peers) = (publisher.demand(), publisher.subscriptions());
    let dropped = Mutex::new(Some((publisher.demand(), publisher.subscriptions(), publisher.events())));
    let over = AtomicBool::new(false);
    let batch = || {
        let mut batch = Batch::new();
        batch.push("stolen").unwrap();
        batch
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                (0..100).for_each(|_| publisher.send("of the parent").unwrap());
                publisher.send_last("of the parent").unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = subscriber.recv().wait_timeout(Duration::from_millis(1));
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                subscriber.subscribe("x").unwrap();
                while publisher.try_event().unwrap().is_some() {}
                subscriber.unsubscribe("x").unwrap();
            }
        });
        let operations: &[(&str, &dyn Fn() -> Option<String>)] = &[
            ("send", &|| said("send", || publisher.send("stolen"))),
            ("send, large", &|| said("send, large", || publisher.send([7; 100_000]))),
            ("send_last", &|| said("send_last", || publisher.send_last("stolen"))),
            ("send_many", &|| said("send_many", || publisher.send_many(&mut batch()))),
            ("send_wait", &|| said("send_wait", || publisher.send_wait("stolen").wait())),
            ("recv", &|| said("recv", || subscriber.recv().wait())),
            ("try_recv", &|| said("try_recv", || subscriber.try_recv())),
            ("recv_many", &|| said("recv_many", || subscriber.recv_many().wait())),
            ("try_event", &|| said("try_event", || publisher.try_event())),
            ("subscribe", &|| said("subscribe", || subscriber.subscribe("y"))),
            ("unsubscribe", &|| said("unsubscribe", || subscriber.unsubscribe(""))),
            ("set_state", &|| said("set_state", || publisher.set_state("x", oncue::State::Stale, "x"))),
            ("keep_last", &|| said("keep_last", || publisher.keep_last("x"))),
            ("try_next", &|| said("try_next", || watch.try_next())),
            ("try_next of a peer", &|| said("try_next of a peer", || peers.try_next())),
            ("try_state", &|| said("try_state", || subscriber.try_state())),
            ("drop", &|| {
                drop(dropped.lock().unwrap().take());
                None
            }),
        ];
        // Each in a child of its own: the first one that notices tells the others.
        let wrong = operations.iter().flat_map(|(name, operation)| {
            let wrong = || {
                (0..20)
                    .flat_map(|_| in_a_fork(|| operation().into_iter().collect()))
                    .take(1)
                    .collect::<Vec<_>>()
            };
            catch_unwind(AssertUnwindSafe(wrong)).unwrap_or_else(|_| vec![format!("{name} hangs")])
        });
        let wrong: Vec<String> = wrong.collect();
        over.store(true, Ordering::Relaxed);
        assert_eq!(wrong, Vec::<String>::new());
    });
    assert_eq!(publisher.stats().peers, 1);
}

#[test]
fn a_child_drops_what_it_has_of_its_parent_and_makes_its_own() {
    let (publisher, subscriber, _) = pair();
    let od = OnDemand::bind("tcp://127.0.0.1:0")
        .unwrap()
        .route("x/{n}")
        .thread(|feed: Feed| {
            while feed.publish("value").is_ok() {
                feed.sleep(Duration::from_millis(1))?;
            }
            Ok(())
        })
        .start()
        .unwrap();
    let viewer = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    viewer.subscribe("x/1").unwrap();
    viewer.connect(&od.endpoint().unwrap().to_string()).unwrap();
    viewer.recv().wait_timeout(SOON).expect("a value in time").unwrap();
    let file = std::env::temp_dir().join(format!("oncue-fork-{}", std::process::id()));
    publisher.bind(&format!("ipc://{}", file.display())).unwrap();
    // Another socket of the parent, which a thread uses all the time.
    let beating = Pub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let beats_at = beating.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let over = AtomicBool::new(false);
    let watches = (publisher.demand(), publisher.events());
    let (frontend, backend) =
        (XSub::new(&Engine::start().unwrap(), Options::new()).unwrap(), publisher.clone());
    let proxy = Proxy::new(&frontend, &backend).unwrap();
    let mut held = Some((publisher, subscriber, od, viewer, watches, (proxy, frontend, backend)));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                beating.send("beat").unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        for number in 0..5 {
            let lines = in_a_fork(|| {
                let start = Instant::now();
                drop(held.take());
                let dropped = start.elapsed();
                assert!(dropped < Duration::from_secs(2), "dropping takes {dropped:?}");
                assert!(file.exists(), "the file of the parent's endpoint stays");
                // Its own engine works, and reaches the parent like any other process.
                let own = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
                own.subscribe("").unwrap();
                own.connect(&beats_at).unwrap();
                let message = own.recv().wait_timeout(SOON).expect("a message of the parent").unwrap();
                vec![String::from_utf8_lossy(message.topic()).into_owned()]
            });
            assert_eq!(lines, ["beat"], "child {number}");
        }
        over.store(true, Ordering::Relaxed);
    });
    let (publisher, subscriber, od, viewer, _watches, proxy) = held.take().unwrap();
    assert_eq!(publisher.stats().peers, 1);
    while subscriber.try_recv().unwrap().is_some() {}
    nth(&publisher, &subscriber, 7);
    viewer.recv().wait_timeout(SOON).expect("a value in time").unwrap();
    drop((od, proxy));
    publisher.close().wait_timeout(SOON).expect("it closes");
    assert!(!file.exists());
}
