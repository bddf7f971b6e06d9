//! The four sockets over real transports: what users of the crate see.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oncue::{Batch, Engine, EngineOptions, ErrorKind, Msg, OnFull, Options, Pub, Sub, XPub, XPubEvent, XSub};

const SOON: Duration = Duration::from_secs(10);

/// How many messages each waiting receiver is sent.
const ROUNDS: usize = 2000;

fn engine() -> Engine {
    Engine::start().unwrap()
}

fn event(x: &XPub) -> XPubEvent {
    x.event().wait_timeout(SOON).expect("an event within the time").unwrap()
}

fn wanted(x: &XPub) -> String {
    match event(x) {
        XPubEvent::Wanted(p) => format!("+{p}"),
        XPubEvent::Unwanted(p) => format!("-{p}"),
        other => format!("{other:?}"),
    }
}

fn recv(s: &Sub) -> Vec<String> {
    texts(&s.recv().wait_timeout(SOON).expect("a message within the time").unwrap())
}

fn texts(m: &Msg) -> Vec<String> {
    m.frames().map(|f| f.escape_ascii().to_string()).collect()
}

/// Runs `check` for each transport, with the publisher bound and with the subscriber bound.
fn everywhere(check: impl Fn(&XPub, &Sub)) {
    // Tests run in parallel: each has names of its own.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("oncue-test-{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&dir).unwrap();
    let ipc = format!("ipc://{}/socket", dir.display());
    let abstract_name = format!("ipc://@{name}");
    for endpoint in [
        "tcp://127.0.0.1:*",
        "tcp://[::1]:0",
        "ws://127.0.0.1:*/x",
        &ipc,
        &abstract_name,
        "ipc://*",
        "inproc://x",
    ] {
        for publisher_binds in [true, false] {
            let engine = engine();
            let x = XPub::new(&engine, Options::new()).unwrap();
            let s = Sub::new(&engine, Options::new()).unwrap();
            if publisher_binds {
                s.connect(&x.bind(endpoint).unwrap().to_string()).unwrap();
            } else {
                x.connect(&s.bind(endpoint).unwrap().to_string()).unwrap();
            }
            check(&x, &s);
            s.close().wait();
            x.close().wait();
        }
    }
}

#[test]
fn a_subscription_is_in_force_when_its_event_comes() {
    everywhere(|x, s| {
        s.subscribe("a").unwrap();
        assert_eq!(wanted(x), "+a");
        assert!(x.wanted("abc") && !x.wanted("b"));
        x.send(("abc", "1")).unwrap();
        x.send(("b", "2")).unwrap();
        x.send(["ab", "", "3"]).unwrap();
        assert_eq!(recv(s), ["abc", "1"]);
        assert_eq!(recv(s), ["ab", "", "3"]);
        s.unsubscribe("a").unwrap();
        assert_eq!(wanted(x), "-a");
        assert!(!x.wanted("abc"));
    });
}

#[test]
fn a_lost_peer_wants_nothing() {
    everywhere(|x, s| {
        s.subscribe("").unwrap();
        assert_eq!(wanted(x), "+");
        s.close().wait();
        assert_eq!(wanted(x), "-");
    });
}

#[test]
fn large_and_odd_messages_arrive_whole() {
    everywhere(|x, s| {
        s.subscribe([0xff, 0]).unwrap();
        s.subscribe("").unwrap();
        assert_eq!((wanted(x), wanted(x)), ("+\\xff\\x00".into(), "+".into()));
        let large = vec![b'x'; 3 << 20];
        let long_topic = "t".repeat(300);
        x.send((&long_topic, &large)).unwrap();
        x.send("").unwrap();
        x.send(Msg::from_frames([&large, &large])).unwrap();
        x.send([0xff_u8, 0, 7]).unwrap();
        let got = s.recv().wait_timeout(SOON).unwrap().unwrap();
        assert_eq!((got.topic(), got.frame(1)), (long_topic.as_bytes(), Some(&large[..])));
        assert_eq!(recv(s), [""]);
        let got = s.recv().wait_timeout(SOON).unwrap().unwrap();
        assert_eq!(got, Msg::from_frames([&large, &large]));
        assert_eq!(recv(s), ["\\xff\\x00\\x07"]);
    });
}

#[test]
fn subscribers_come_before_the_publisher_does() {
    let engine = engine();
    let s = Sub::new(&engine, Options::new().reconnect(Duration::from_millis(5), Duration::from_millis(20)))
        .unwrap();
    s.subscribe("a").unwrap();
    s.connect("inproc://later").unwrap();
    let x = XPub::new(&engine, Options::new()).unwrap();
    x.bind("inproc://later").unwrap();
    assert_eq!(wanted(&x), "+a");
    x.close().wait();
    // The name is free again, and the subscriber reconnects by itself.
    let y = XPub::new(&engine, Options::new()).unwrap();
    y.bind("inproc://later").unwrap();
    assert_eq!(wanted(&y), "+a");
}

#[test]
fn one_socket_binds_and_connects_many() {
    let engine = engine();
    let subs: Vec<_> = (0..3).map(|_| Sub::new(&engine, Options::new()).unwrap()).collect();
    let x = XPub::new(&engine, Options::new()).unwrap();
    for endpoint in ["tcp://127.0.0.1:0", "inproc://many"] {
        let at = x.bind(endpoint).unwrap();
        subs[0].connect(&at.to_string()).unwrap();
    }
    let at = subs[1].bind("ipc://*").unwrap();
    x.connect(&at.to_string()).unwrap();
    for (i, s) in subs.iter().enumerate().take(2) {
        s.subscribe(format!("s{i}")).unwrap();
    }
    let mut events = [wanted(&x), wanted(&x)];
    events.sort();
    assert_eq!(events, ["+s0", "+s1"]);
    // Two connections, two copies; the other subscriber gets only its own.
    while x.subscribers("s0") < 2 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(50));
    x.send("s0").unwrap();
    x.send("s1").unwrap();
    assert_eq!((recv(&subs[0]), recv(&subs[0])), (vec!["s0".to_owned()], vec!["s0".to_owned()]));
    assert_eq!(recv(&subs[1]), ["s1"]);
}

#[test]
fn unbind_and_disconnect_end_what_they_name() {
    let engine = engine();
    let x = XPub::new(&engine, Options::new()).unwrap();
    let s = Sub::new(&engine, Options::new()).unwrap();
    let at = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
    s.subscribe("a").unwrap();
    s.connect(&at).unwrap();
    assert_eq!(wanted(&x), "+a");
    x.unbind(&at).unwrap();
    assert_eq!(x.unbind(&at).unwrap_err().kind(), ErrorKind::Misuse);
    x.send("a1").unwrap();
    assert_eq!(recv(&s), ["a1"], "peers stay when their listener goes");
    s.disconnect(&at).unwrap();
    assert_eq!(wanted(&x), "-a");
    assert!(s.disconnect(&at).unwrap_err().to_string().contains(&at));
    // The port is free again.
    x.bind(&at).unwrap();
    s.connect(&at).unwrap();
    assert_eq!(wanted(&x), "+a");
}

#[test]
fn errors_name_the_thing() {
    let engine = engine();
    let x = XPub::new(&engine, Options::new()).unwrap();
    let at = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let again = Pub::new(&engine, Options::new()).unwrap().bind(&at).unwrap_err();
    assert_eq!((again.kind(), again.io_kind()), (ErrorKind::Io, Some(std::io::ErrorKind::AddrInUse)));
    assert!(again.to_string().contains(&at), "{again}");
    assert!(x.bind("tcp://example.org:1").unwrap_err().to_string().contains("example.org"));
    assert_eq!(x.connect("tcp://*:1").unwrap_err().kind(), ErrorKind::Misuse);
    let file = std::env::temp_dir().join(format!("oncue-plain-{}", std::process::id()));
    std::fs::write(&file, "not a socket").unwrap();
    assert!(x.bind(&format!("ipc://{}", file.display())).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a socket");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_closed_socket_ends_every_wait() {
    let engine = engine();
    let s = Sub::new(&engine, Options::new()).unwrap();
    let waiter = std::thread::spawn({
        let s = s.clone();
        move || s.recv().wait().map(|_| ()).unwrap_err().kind()
    });
    std::thread::sleep(Duration::from_millis(20));
    s.close().wait();
    assert_eq!(waiter.join().unwrap(), ErrorKind::Closed);
    assert_eq!(s.subscribe("x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(s.bind("inproc://x").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn an_xsub_talks_back() {
    let engine = engine();
    let x = XPub::new(&engine, Options::new()).unwrap();
    let s = XSub::new(&engine, Options::new()).unwrap();
    s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    s.subscribe("a").unwrap();
    assert_eq!(wanted(&x), "+a");
    s.send(("hello", "you")).unwrap();
    assert_eq!(event(&x), XPubEvent::Message(Msg::from_frames(["hello", "you"])));
    s.send("").unwrap();
    assert_eq!(event(&x), XPubEvent::Message(Msg::single("")));
    assert_eq!(s.send(b"\x01a").unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn what_is_queued_goes_out_after_close() {
    let engine = engine();
    let x = Pub::new(&engine, Options::new().send_hwm(1_000_000).linger(SOON)).unwrap();
    let s = Sub::new(&engine, Options::new()).unwrap();
    s.subscribe("").unwrap();
    s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    while !x.wanted("") {
        std::thread::yield_now();
    }
    // More than the system's buffers hold.
    let payload = [b'p'; 64 << 10];
    for i in 0..500 {
        x.send_wait((format!("{i}"), payload)).wait().unwrap();
    }
    drop(x);
    for i in 0..500 {
        assert_eq!(recv(&s)[0], i.to_string());
    }
}

#[test]
fn what_comes_thick_and_fast_goes_out_after_close() {
    let engine = engine();
    for round in 0..300 {
        let options = Options::new().send_hwm(1_000_000).on_full(OnFull::Refuse).linger(SOON);
        let x = Pub::new(&engine, options).unwrap();
        let s = Sub::new(&engine, Options::new().recv_hwm(1_000_000)).unwrap();
        s.subscribe("").unwrap();
        s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        while !x.wanted("") {
            std::thread::yield_now();
        }
        let count = 500 + 37 * round;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                (0..count).for_each(|i| x.send_wait(i.to_string()).wait().unwrap());
            });
            for i in 0..count {
                assert_eq!(recv(&s), [i.to_string()]);
            }
        });
        s.close().wait();
    }
}

#[test]
fn refusing_loses_nothing_and_dropping_counts() {
    let engine = engine();
    let send_all = |on_full| {
        let x = Pub::new(&engine, Options::new().send_hwm(10).on_full(on_full)).unwrap();
        let s = Sub::new(&engine, Options::new().recv_hwm(10)).unwrap();
        s.subscribe("").unwrap();
        s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        while !x.wanted("") {
            std::thread::yield_now();
        }
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            let mut got = Vec::new();
            while let Some(Ok(m)) = s.recv().wait_timeout(Duration::from_millis(500)) {
                got.push(String::from_utf8(m.topic().to_vec()).unwrap().parse::<u32>().unwrap());
            }
            got
        });
        let payload = [0; 20_000];
        for i in 0..2000 {
            let message = (i.to_string(), &payload);
            if x.send(&message).is_err() {
                assert_eq!(on_full, OnFull::Refuse);
                x.send_wait(&message).wait().unwrap();
            }
        }
        (reader.join().unwrap(), x.stats())
    };
    let (got, stats) = send_all(OnFull::Refuse);
    assert_eq!(got, (0..2000).collect::<Vec<_>>());
    assert_eq!((stats.missed, stats.outbox_full), (0, 0));
    let (got, stats) = send_all(OnFull::DropNewest);
    assert!(got.len() < 2000 && got.is_sorted(), "{} of 2000", got.len());
    assert_eq!(got.len() as u64 + stats.missed + stats.outbox_full, 2000, "every message is accounted for");
}

#[test]
fn a_subscriber_too_slow_can_be_disconnected() {
    let engine = engine();
    let x = XPub::new(&engine, Options::new().send_hwm(10).on_full(OnFull::Disconnect)).unwrap();
    let s = Sub::new(&engine, Options::new().recv_hwm(1).reconnect(SOON, SOON)).unwrap();
    s.subscribe("").unwrap();
    s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    assert_eq!(wanted(&x), "+");
    let payload = [0; 100_000];
    for _ in 0..1000 {
        x.send_wait(&payload).wait().unwrap();
    }
    assert_eq!(wanted(&x), "-");
    assert_eq!(x.stats().peers_refused, 1);
}

#[test]
fn batches_go_and_come_whole_and_in_order() {
    let engine = engine();
    let x = XPub::new(&engine, Options::new().on_full(OnFull::Refuse)).unwrap();
    let s = Sub::new(&engine, Options::new()).unwrap();
    s.subscribe("t").unwrap();
    s.connect(&x.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    assert_eq!(wanted(&x), "+t");
    let reader = std::thread::spawn(move || {
        let mut next = 0;
        while next < 300_000 {
            // In turn: one by one, together, and borrowed.
            assert_eq!(recv(&s), [format!("t{next}")]);
            next += 1;
            if next == 300_000 {
                break;
            }
            for message in s.recv_many().wait().unwrap().iter() {
                assert_eq!(message.topic(), format!("t{next}").as_bytes());
                next += 1;
            }
        }
    });
    let mut batch = Batch::new();
    for i in 0..300_000 {
        x.send_wait("other").wait().unwrap();
        batch.push(format!("t{i}")).unwrap();
        if batch.len() == 1000 && x.send_many(&mut batch).is_err() {
            x.send_many_wait(&mut batch).wait().unwrap();
        }
    }
    assert!(batch.is_empty());
    reader.join().unwrap();
    x.close().wait();
    batch.push("late").unwrap();
    assert_eq!(x.send_many(&mut batch).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn waits_time_out_and_futures_work() {
    let engine = engine();
    let s = Sub::new(&engine, Options::new()).unwrap();
    assert!(s.recv().wait_timeout(Duration::from_millis(10)).is_none());
    fn portable<T: Send + Sync>() {}
    portable::<(Pub, Sub, XPub, XSub, Msg, Engine)>();
    fn sendable<T: Send>(_: T) {}
    sendable(s.recv());
}

#[test]
fn no_waiting_receiver_is_forgotten() {
    // Receivers wait at their engine's poller themselves, one at a time, beside the I/O thread: a thread that handles a
    // message must wake the receiver that it is for.
    for threads in [1, 2] {
        let engine = Engine::with(EngineOptions::new().io_threads(threads)).unwrap();
        let x = XPub::new(&engine, Options::new()).unwrap();
        let at = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let (answer, answers) = std::sync::mpsc::channel();
        let waiting: Vec<_> = (0..4)
            .map(|i| {
                let sub = Sub::new(&engine, Options::new()).unwrap();
                sub.subscribe(format!("t{i}")).unwrap();
                sub.connect(if i == 3 { "inproc://other" } else { &at }).unwrap();
                let answer = answer.clone();
                std::thread::spawn(move || {
                    for round in 0..ROUNDS {
                        // Some stop waiting again and again.
                        let patience = if i == 1 { Duration::from_millis(2) } else { SOON };
                        let message = loop {
                            if let Some(message) = sub.recv().wait_timeout(patience) {
                                break message.unwrap();
                            }
                            assert_eq!(i, 1, "a message within the time");
                        };
                        assert_eq!(texts(&message), [format!("t{i}"), round.to_string()]);
                        answer.send(i).unwrap();
                    }
                })
            })
            .collect();
        x.bind("inproc://other").unwrap();
        while (0..4).any(|i| x.subscribers(format!("t{i}")) < 1) {
            std::thread::yield_now();
        }
        for round in 0..ROUNDS {
            for i in 0..4 {
                x.send((format!("t{i}"), round.to_string())).unwrap();
            }
            for _ in 0..4 {
                answers.recv_timeout(SOON).expect("an answer within the time");
            }
        }
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_policy_that_makes_the_sender_wait_holds_for_a_whole_socket() {
    let engine = Engine::start().unwrap();
    let one = Pub::new(&engine, Options::new()).unwrap();
    let refused = one.send_on_full("x", OnFull::Refuse).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
    for policy in [OnFull::DropNewest, OnFull::DropOldest, OnFull::Latest, OnFull::Disconnect] {
        one.send_on_full("x", policy).unwrap();
        one.send_last_on_full("x", "x", None, policy).unwrap();
    }
    let waits = Pub::new(&engine, Options::new().on_full(OnFull::Refuse)).unwrap();
    waits.send_on_full("x", OnFull::Refuse).unwrap();
    assert_eq!(waits.send_on_full("x", OnFull::Latest).unwrap_err().kind(), ErrorKind::Misuse);
}
