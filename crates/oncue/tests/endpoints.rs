//! Binding and connecting: when an endpoint is free, and which socket has it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Endpoint, Engine, EngineOptions, Options, Pub, Sub, XPub, XPubEvent};

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
        // The socket is dropped before the engine that it keeps running.
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
fn no_file_of_an_ipc_endpoint_stays() {
    let at = path("file");
    let endpoint = format!("ipc://{at}");
    let there = || std::fs::exists(&at).unwrap();
    // A socket whose linger never ends: a subscriber is connected that takes nothing of what waits for it.
    let stuck = |engine: &Engine| {
        let publisher = XPub::new(engine, Options::new().linger(Duration::MAX)).unwrap();
        publisher.bind(&endpoint).unwrap();
        assert!(there());
        let subscriber = Sub::new(engine, Options::new().recv_hwm(1)).unwrap();
        subscriber.subscribe("").unwrap();
        subscriber.connect(&endpoint).unwrap();
        let event = publisher.event().wait_timeout(Duration::from_secs(20)).expect("it subscribes");
        assert!(matches!(event.unwrap(), XPubEvent::Wanted(_)));
        for _ in 0..1000 {
            publisher.send_wait(vec![0; 10_000]).wait().unwrap();
        }
        (publisher, subscriber)
    };
    let engine = engine();

    let (publisher, subscriber) = stuck(&engine);
    let closing = publisher.close();
    assert!(!there(), "when the call of close returns");
    assert!(closing.wait_timeout(Duration::from_millis(20)).is_none(), "it lingers");
    publisher.close_within(Duration::ZERO).wait();
    drop((publisher, subscriber));

    let (publisher, _subscriber) = stuck(&engine);
    let other = publisher.clone();
    drop(publisher);
    assert!(there());
    drop(other);
    assert!(!there(), "when the last handle is dropped");

    let publisher = Pub::new(&engine, Options::new()).unwrap();
    publisher.bind(&endpoint).unwrap();
    publisher.unbind(&endpoint).unwrap();
    assert!(!there(), "when it is unbound");

    let alone = Engine::start().unwrap();
    let publisher = Pub::new(&alone, Options::new()).unwrap();
    publisher.bind(&endpoint).unwrap();
    drop(alone);
    assert!(there());
    drop(publisher);
    assert!(!there(), "when the engine ends with its last socket");
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
                    // A spinning barrier releases them within a microsecond.
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
    // Any further connection has been made by now.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(publisher.stats().peers, ROUNDS as u64);
}

/// Connects a subscriber, which must get a message within 20 s.
fn gets_through(publisher: &XPub, to: &str) {
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(to).unwrap();
    let event = publisher.event().wait_timeout(Duration::from_secs(20)).expect("nobody has come in 20 s");
    assert!(matches!(event.unwrap(), XPubEvent::Wanted(_)));
    publisher.send("there").unwrap();
    let message = subscriber.recv().wait_timeout(Duration::from_secs(20)).expect("nothing has come in 20 s");
    assert_eq!(message.unwrap().frame(0), Some(&b"there"[..]));
}

fn bound(at: &str) -> (XPub, Endpoint, u16) {
    let publisher = XPub::new(&engine(), Options::new()).unwrap();
    let endpoint = publisher.bind(at).unwrap_or_else(|error| panic!("{at}: {error}"));
    let Endpoint::Tcp { port, .. } = endpoint else { panic!("{endpoint}") };
    (publisher, endpoint, port)
}

#[test]
fn every_address_of_a_name_is_tried() {
    for host in ["127.0.0.1", "[::1]"] {
        let (publisher, _, port) = bound(&format!("tcp://{host}:0"));
        gets_through(&publisher, &format!("tcp://localhost:{port}"));
    }
}

/// Another program may listen at the first address of a name.
#[test]
fn an_address_whose_connections_break_gives_way_to_the_next() {
    let (publisher, _, port) = bound("tcp://[::1]:0");
    // Another program may have the port; then nothing can be tested.
    let Ok(stranger) = std::net::TcpListener::bind(("127.0.0.1", port)) else { return };
    thread::spawn(move || stranger.incoming().for_each(drop));
    gets_through(&publisher, &format!("tcp://localhost:{port}"));
}

#[test]
fn an_interface_is_bound_by_its_name_and_this_machine_by_its_own() {
    let (publisher, endpoint, port) = bound("tcp://lo:0");
    assert_eq!(endpoint.to_string(), format!("tcp://127.0.0.1:{port}"));
    gets_through(&publisher, &endpoint.to_string());
    publisher.unbind("tcp://lo:0").unwrap();
    assert_eq!(publisher.bind("tcp://localhost:0").unwrap().to_string()[..16], *"tcp://127.0.0.1:");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    // If the name of this machine has no address, nothing can be tested.
    if (name.trim(), 0).to_socket_addrs().is_ok() {
        let (publisher, endpoint, _) = bound(&format!("tcp://{}:0", name.trim()));
        gets_through(&publisher, &endpoint.to_string());
    }
    let refused = publisher.bind("tcp://no-such-interface.invalid:5").unwrap_err().to_string();
    assert!(
        refused.contains("no-such-interface") && refused.contains("interface of this machine"),
        "{refused}"
    );
}

#[test]
fn a_link_local_address_names_its_interface() {
    let Some((ip, interface)) = link_local() else { return };
    let (publisher, endpoint, port) = bound(&format!("tcp://[{ip}%{interface}]:0"));
    assert_eq!(endpoint.to_string(), format!("tcp://[{ip}%{interface}]:{port}"));
    gets_through(&publisher, &endpoint.to_string());
    let refused = publisher.bind(&format!("tcp://[{ip}]:0")).unwrap_err().to_string();
    assert!(refused.contains("%eth0]"), "{refused}");
}

/// A link-local address of this machine and its interface, if there is one.
fn link_local() -> Option<(Ipv6Addr, String)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let ip = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
        let local = ip.is_unicast_link_local();
        // An address whose uniqueness is not verified yet cannot be bound (duplicate address detection).
        let (flags, name) = (fields.nth(3)?, fields.next()?);
        (local && flags == "80").then(|| (ip, name.to_owned()))
    })
}

#[test]
fn a_connection_comes_from_the_source_that_was_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let source = |text: &str| {
        let subscriber = Sub::new(&engine(), Options::new()).unwrap();
        subscriber.connect(&format!("tcp://{text};{to}")).unwrap();
        let from = listener.accept().unwrap().1;
        subscriber.disconnect(&format!("tcp://{text};{to}")).unwrap();
        from
    };
    assert_eq!(source("127.0.0.7:0").ip(), Ipv4Addr::new(127, 0, 0, 7));
    assert_eq!(source("lo:*").ip(), Ipv4Addr::LOCALHOST);
    let port = TcpListener::bind("127.0.0.9:0").unwrap().local_addr().unwrap().port();
    assert_eq!(source(&format!("127.0.0.9:{port}")), (Ipv4Addr::new(127, 0, 0, 9), port).into());
    let refused = Sub::new(&engine(), Options::new()).unwrap().bind(&format!("tcp://lo:0;{to}")).unwrap_err();
    assert!(refused.to_string().contains("only for connecting"), "{refused}");
}

#[test]
fn only_a_connection_that_lasted_resets_the_pause() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (min, max) = (Duration::from_millis(20), Duration::from_millis(640));
    let subscriber = Sub::new(&engine(), Options::new().reconnect(min, max)).unwrap();
    subscriber.connect(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let accept = || {
        let mut stream = listener.accept().unwrap().0;
        stream
            .write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
            .unwrap();
        stream.write_all(&[0; 31]).unwrap();
        stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB").unwrap();
        // Up to the end of its own READY.
        let mut taken = vec![0; 64 + 39];
        stream.read_exact(&mut taken).unwrap();
        stream
    };
    // A publisher that breaks after the handshake each time: 20, 40, 80, 160, 320 ms, less up to half of each.
    let begun = Instant::now();
    for _ in 0..6 {
        let lost = subscriber.stats().peers_lost;
        let stream = accept();
        eventually(|| subscriber.stats().peers == 1);
        drop(stream);
        eventually(|| subscriber.stats().peers_lost > lost);
    }
    assert!(begun.elapsed() >= Duration::from_millis(310), "{:?}", begun.elapsed());
    // A connection that lasts: the next attempt comes after 20 ms, not after 640.
    let stream = accept();
    eventually(|| subscriber.stats().peers == 1);
    thread::sleep(Duration::from_millis(1100));
    drop(stream);
    let begun = Instant::now();
    drop(accept());
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
}
