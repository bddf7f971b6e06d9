//! Sockets, engines and processes end at any moment: nothing is lost that linger promises, and nothing hangs.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Engine, EngineOptions, ErrorKind, OnFull, Options, Pub, Sub, XPub, XPubEvent};
use oncue_interop::forked::in_a_fork;

const SOON: Duration = Duration::from_secs(20);

fn engine() -> Engine {
    Engine::start().unwrap()
}

/// Waits for a close, which must end within a time.
#[track_caller]
fn ends_within<T>(time: Duration, close: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let closed = close();
    assert!(start.elapsed() < time, "it takes {:?}", start.elapsed());
    closed
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("oncue-lifecycle-{name}-{}", std::process::id()))
}

/// A publisher in a process of its own, which ends right after `end`.
fn last_words(end: impl Fn(Engine, XPub) + Copy) {
    const MESSAGES: u64 = 5_000;
    let subscriber = Sub::new(&engine(), Options::new().recv_hwm(0)).unwrap();
    subscriber.subscribe("").unwrap();
    let endpoint = subscriber.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let lines = in_a_fork(|| {
        let engine = Engine::with(EngineOptions::new().io_threads(2)).unwrap();
        let publisher = XPub::new(&engine, Options::new().send_hwm(0).linger(SOON)).unwrap();
        publisher.connect(&endpoint).unwrap();
        assert!(matches!(publisher.event().wait(), Ok(XPubEvent::Wanted(_))));
        (0..MESSAGES).for_each(|number| publisher.send((number.to_be_bytes(), [7; 1000])).unwrap());
        end(engine, publisher);
        vec![]
    });
    assert_eq!(lines, Vec::<String>::new());
    for number in 0..MESSAGES {
        let message = subscriber.recv().wait_timeout(SOON).expect("all that was sent").unwrap();
        assert_eq!(message.topic(), number.to_be_bytes());
    }
}

#[test]
fn a_process_that_ends_after_its_last_drop_or_close_loses_nothing() {
    last_words(|engine, publisher| drop((engine, publisher)));
    last_words(|engine, publisher| drop((publisher, engine)));
    // Handles that are never dropped, as those of a `static`.
    last_words(|engine, publisher| {
        let publisher = std::mem::ManuallyDrop::new(publisher);
        assert_eq!(publisher.close().wait().undelivered, 0);
        std::mem::forget(engine);
    });
    last_words(|engine, publisher| {
        std::mem::forget(publisher);
        assert_eq!(std::mem::ManuallyDrop::new(engine).close().wait().undelivered, 0);
    });
    // A socket that is dropped still lingers when its engine is closed.
    last_words(|engine, publisher| {
        drop(publisher);
        assert_eq!(std::mem::ManuallyDrop::new(engine).close().wait().undelivered, 0);
    });
    // The main thread has returned, but another one had the last handle and was joined.
    last_words(|engine, publisher| {
        drop(engine);
        thread::spawn(move || drop(publisher)).join().unwrap();
    });
}

#[test]
fn an_engine_closes_all_sockets_and_makes_no_new_one() {
    let engine = engine();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    let waiting = subscriber.clone();
    let waiting = thread::spawn(move || waiting.recv().wait());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap().to_string();
    assert_eq!(ends_within(SOON, || engine.close().wait()).undelivered, 0);
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(publisher.send("x").unwrap_err().kind(), ErrorKind::Closed);
    let refused = Pub::new(&engine, Options::new()).unwrap_err();
    assert!(refused.kind() == ErrorKind::Closed && refused.to_string().contains("another"), "{refused}");
    assert_eq!(ends_within(SOON, || engine.close().wait()).undelivered, 0, "a second time");
    let other = Pub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    other.bind(&endpoint).expect("its endpoint is free");
}

#[test]
fn a_socket_closes_at_once_whatever_its_connections_are_doing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = format!("tcp://{}", silent.local_addr().unwrap());
    let half = TcpListener::bind("127.0.0.1:0").unwrap();
    let half_at = format!("tcp://{}", half.local_addr().unwrap());
    let cases: &[(&str, &str)] = &[
        ("refused, and dialled again", "tcp://127.0.0.1:1"),
        // Not routed: the attempt gets no answer.
        ("connecting", "tcp://10.255.255.1:1"),
        ("in its handshake", &silent_at),
        ("in the middle of its handshake", &half_at),
        ("name being looked up", "tcp://oncue-lifecycle.invalid:1"),
        ("name that nobody binds", "inproc://nobody"),
        ("path that nobody binds", "ipc:///tmp/oncue-nobody"),
    ];
    let (met, peer) = channel();
    thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = half.accept().unwrap();
        stream.write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL").unwrap();
        met.send(stream).unwrap();
    });
    for pause in [0, 30] {
        for (name, endpoint) in cases {
            let engine = Engine::with(EngineOptions::new().io_threads(2)).unwrap();
            let socket = XPub::new(&engine, Options::new().linger(Duration::MAX)).unwrap();
            socket.connect(endpoint).unwrap();
            thread::sleep(Duration::from_millis(pause));
            println!("{name}");
            assert_eq!(ends_within(Duration::from_secs(5), || socket.close().wait()).undelivered, 0);
            ends_within(Duration::from_secs(5), || drop((socket, engine)));
        }
    }
    drop(peer);
}

/// A publisher with messages for a subscriber that does not read, by a raw connection.
fn stalled(linger: Duration) -> (XPub, std::net::TcpStream) {
    use std::io::Write;
    let options = Options::new().linger(linger).send_hwm(0);
    let publisher = XPub::new(&engine(), options).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let mut peer = std::net::TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    peer.write_all(&[&b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL"[..], &[0; 48]].concat()).unwrap();
    peer.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB\x04\x0a\x09SUBSCRIBE").unwrap();
    assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    (0..500).for_each(|_| publisher.send([7; 100_000]).unwrap());
    (publisher, peer)
}

#[test]
fn a_stalled_peer_holds_a_close_as_long_as_linger_says_and_no_longer() {
    let (publisher, _peer) = stalled(Duration::from_millis(200));
    let start = Instant::now();
    let closed = ends_within(Duration::from_secs(5), || publisher.close().wait());
    assert!(closed.undelivered > 0 && start.elapsed() >= Duration::from_millis(200));
    assert_eq!(publisher.close().wait().undelivered, closed.undelivered, "asked twice");

    // The drop of the last handle waits as long.
    let (publisher, _peer) = stalled(Duration::from_millis(200));
    let start = Instant::now();
    drop(publisher);
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&start.elapsed()));

    // A linger without an end ends with its peer, or by a later call.
    let (publisher, peer) = stalled(Duration::MAX);
    assert!(publisher.close().wait_timeout(Duration::from_millis(50)).is_none());
    drop(peer);
    assert!(ends_within(Duration::from_secs(5), || publisher.close().wait()).undelivered > 0);
    let (publisher, _peer) = stalled(Duration::MAX);
    assert!(publisher.close().wait_timeout(Duration::from_millis(50)).is_none());
    let other = publisher.clone();
    let waiting = thread::spawn(move || other.close().wait());
    ends_within(Duration::from_secs(5), || publisher.close_within(Duration::ZERO).wait());
    assert!(waiting.join().unwrap().undelivered > 0);

    // It reads again: everything arrives.
    let (publisher, mut peer) = stalled(SOON);
    let closing = thread::spawn(move || (publisher.close().wait(), publisher));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    let (closed, publisher) = closing.join().unwrap();
    assert_eq!(closed.undelivered, 0);
    // The system may still need the connection, so that the threads of the engine wait for the peer to close it too.
    drop(peer);
    ends_within(Duration::from_secs(5), || drop(publisher));
    assert!(all.len() > 500 * 100_000, "{} bytes", all.len());
}

/// Closes a socket when it is woken.
struct Closer(Mutex<Option<Sub>>, AtomicU64);

impl Wake for Closer {
    fn wake(self: Arc<Self>) {
        if let Some(socket) = self.0.lock().unwrap().take() {
            drop(socket.close());
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_waker_may_close_its_own_socket() {
    let publisher = XPub::new(&engine(), Options::new()).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    let closer = Arc::new(Closer(Mutex::new(Some(subscriber.clone())), AtomicU64::new(0)));
    let waker = Waker::from(closer.clone());
    let mut receiving = std::pin::pin!(subscriber.recv());
    assert!(receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    publisher.send("x").unwrap();
    assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Unwanted(_)))));
    ends_within(SOON, || subscriber.close().wait());
    assert_eq!(closer.1.load(Ordering::SeqCst), 1);
    // What had arrived is still received.
    assert!(matches!(receiving.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(_))));
    assert_eq!(subscriber.recv().wait().unwrap_err().kind(), ErrorKind::Closed);
}

/// Each message is sent and arrives, or is refused: none is accepted and then lost.
#[test]
fn a_close_amid_sends_of_other_threads_loses_nothing_that_was_accepted() {
    for _ in 0..20 {
        let subscriber = Sub::new(&engine(), Options::new().recv_hwm(0)).unwrap();
        subscriber.subscribe("").unwrap();
        let endpoint = subscriber.bind("tcp://127.0.0.1:*").unwrap().to_string();
        let options = Options::new().on_full(OnFull::Refuse).linger(SOON);
        let publisher =
            XPub::new(&Engine::with(EngineOptions::new().io_threads(2)).unwrap(), options).unwrap();
        publisher.connect(&endpoint).unwrap();
        assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
        let accepted = AtomicU64::new(0);
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while publisher.send_wait([7; 100]).wait().is_ok() {
                        accepted.fetch_add(1, Ordering::SeqCst);
                        begun.store(true, Ordering::SeqCst);
                    }
                });
            }
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let closers: Vec<_> = (0..2).map(|_| scope.spawn(|| publisher.close().wait())).collect();
            closers.into_iter().for_each(|closer| assert_eq!(closer.join().unwrap().undelivered, 0));
        });
        let accepted = accepted.into_inner();
        for number in 0..accepted {
            let message = subscriber.recv().wait_timeout(SOON);
            assert!(message.is_some(), "{number} of {accepted} arrived");
        }
    }
}

#[test]
fn what_a_killed_process_left_of_an_ipc_endpoint_is_replaced() {
    let file = path("killed");
    let endpoint = format!("ipc://{}", file.display());
    let subscriber = Sub::new(&engine(), Options::new().reconnect(Duration::from_millis(1), SOON)).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    for round in 0..3 {
        // The child ends as by SIGKILL: nothing is dropped.
        let lines = in_a_fork(|| {
            let publisher = XPub::new(&engine(), Options::new()).unwrap();
            publisher.bind(&endpoint).unwrap();
            assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
            std::mem::forget(publisher);
            vec![]
        });
        assert_eq!(lines, Vec::<String>::new(), "round {round}");
        assert!(file.exists());
    }
    let publisher = XPub::new(&engine(), Options::new()).unwrap();
    publisher.bind(&endpoint).unwrap();
    assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    drop(publisher);
    assert!(!file.exists());
}

#[test]
fn a_thread_that_panics_closes_its_sockets_like_any_other() {
    let file = path("panics");
    let endpoint = format!("ipc://{}", file.display());
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    let panics = thread::spawn(move || {
        let publisher = XPub::new(&engine(), Options::new()).unwrap();
        publisher.bind(&endpoint).unwrap();
        assert!(matches!(publisher.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
        publisher.send("last words").unwrap();
        panic!("a mistake of the user");
    });
    assert!(panics.join().is_err());
    assert!(!file.exists());
    let message = subscriber.recv().wait_timeout(SOON).expect("what it had sent").unwrap();
    assert_eq!(message.topic(), b"last words");
}
