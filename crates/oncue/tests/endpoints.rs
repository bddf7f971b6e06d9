//! Binding and connecting: when an endpoint is free, and whose it is.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Engine, EngineOptions, Options, Pub, Sub, XPub};

fn engine() -> Engine {
    Engine::start().unwrap()
}

fn eventually(is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "it has not come about in 20 s");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A path for a socket of this test process.
fn path(name: &str) -> String {
    std::env::temp_dir().join(format!("oncue-{name}-{}", std::process::id())).display().to_string()
}

#[test]
fn an_endpoint_is_free_as_soon_as_its_socket_is_dropped_or_unbound() {
    let engine = engine();
    let first = Pub::new(&engine, Options::new()).unwrap();
    let tcp = first.bind("tcp://127.0.0.1:0").unwrap().to_string();
    drop(first);
    for endpoint in [&tcp, &format!("ipc://{}", path("again")), "ipc://@oncue-again", "inproc://again"] {
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.connect(endpoint).unwrap();
        for round in 0..50 {
            let publisher = Pub::new(&engine, Options::new()).unwrap();
            publisher.bind(endpoint).unwrap_or_else(|error| panic!("round {round}: {error}"));
            if round % 3 == 0 {
                publisher.unbind(endpoint).unwrap();
                publisher.bind(endpoint).unwrap();
            }
        }
    }
}

#[test]
fn an_endpoint_is_free_for_another_engine_as_soon_as_its_socket_is_dropped() {
    let engines = [engine(), engine()];
    let tcp = Pub::new(&engines[0], Options::new()).unwrap().bind("tcp://127.0.0.1:0").unwrap().to_string();
    for endpoint in [&tcp, &format!("ipc://{}", path("other"))] {
        for round in 0..50 {
            let publisher = Pub::new(&engines[round % 2], Options::new()).unwrap();
            publisher.bind(endpoint).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        // The socket goes before the engine that it keeps running.
        for _ in 0..5 {
            let alone = Engine::start().unwrap();
            let publisher = Pub::new(&alone, Options::new().linger(Duration::ZERO)).unwrap();
            drop(alone);
            publisher.bind(endpoint).unwrap();
        }
    }
}

#[test]
fn a_closed_socket_binds_nothing() {
    let engine = engine();
    let publisher = Pub::new(&engine, Options::new()).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let other = publisher.clone();
    drop(publisher.close());
    assert!(other.bind(&endpoint).is_err());
    Pub::new(&engine, Options::new()).unwrap().bind(&endpoint).unwrap();
}

#[test]
fn a_socket_file_that_another_has_taken_over_stays() {
    let at = path("taken-over");
    let publisher = Pub::new(&engine(), Options::new()).unwrap();
    publisher.bind(&format!("ipc://{at}")).unwrap();
    std::fs::remove_file(&at).unwrap();
    let other = UnixListener::bind(&at).unwrap();
    publisher.close().wait();
    drop(publisher);
    assert!(std::fs::exists(&at).unwrap());
    drop(other);
    std::fs::remove_file(&at).unwrap();
}

#[test]
fn two_threads_that_connect_a_socket_to_one_endpoint_make_one_connection() {
    const ROUNDS: usize = 200;
    let engine = Engine::with(EngineOptions::new().io_threads(2)).unwrap();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    publisher.bind("inproc://once").unwrap();
    let subscribers: Vec<_> = (0..ROUNDS).map(|_| Sub::new(&engine, Options::new()).unwrap()).collect();
    let threads = 2;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for (i, subscriber) in subscribers.iter().enumerate() {
                    // A barrier that is spun at lets them go within a microsecond.
                    next.fetch_add(1, Ordering::SeqCst);
                    while next.load(Ordering::SeqCst) < (i + 1) * threads {
                        std::hint::spin_loop();
                    }
                    subscriber.connect("inproc://once").unwrap();
                }
            });
        }
    });
    eventually(|| publisher.stats().peers >= ROUNDS as u64);
    // What came beside them has come by now.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(publisher.stats().peers, ROUNDS as u64);
}
