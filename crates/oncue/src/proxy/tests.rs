use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::*;
use crate::{Engine, ErrorKind, Msg, OnFull, Options, Pub, State, Sub, XPub, XPubEvent, XSub};

const LONG: Duration = Duration::from_secs(20);

/// A publisher - frontend | backend - and where subscribers connect.
struct Scene {
    engine: Engine,
    publisher: XPub,
    frontend: XSub,
    backend: XPub,
    downstream: String,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(Options::new())
    }

    fn with(backend: Options) -> Scene {
        let engine = Engine::start().unwrap();
        let frontend = XSub::new(&engine, Options::new()).unwrap();
        let backend = XPub::new(&engine, backend).unwrap();
        let publisher = XPub::new(&engine, Options::new().on_full(OnFull::Refuse)).unwrap();
        let upstream = frontend.bind("tcp://127.0.0.1:*").unwrap();
        publisher.connect(&upstream.to_string()).unwrap();
        let downstream = backend.bind("tcp://127.0.0.1:*").unwrap().to_string();
        Scene { engine, publisher, frontend, backend, downstream }
    }

    fn subscriber(&self, prefixes: &[&str]) -> Sub {
        let subscriber = Sub::new(&self.engine, Options::new()).unwrap();
        prefixes.iter().for_each(|prefix| drop(subscriber.subscribe(prefix).unwrap()));
        subscriber.connect(&self.downstream).unwrap();
        subscriber
    }

    fn told(&self) -> XPubEvent {
        self.publisher.event().wait_timeout(LONG).expect("the publisher is told").unwrap()
    }
}

fn wanted(prefix: &str) -> XPubEvent {
    XPubEvent::Wanted(prefix.into())
}

fn unwanted(prefix: &str) -> XPubEvent {
    XPubEvent::Unwanted(prefix.into())
}

fn recv(subscriber: &Sub) -> Msg {
    subscriber.recv().wait_timeout(LONG).expect("a message comes").unwrap()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn demand_goes_up_and_messages_come_down() {
    let scene = Scene::new();
    let before = scene.subscriber(&["a"]);
    let proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    assert_eq!(scene.told(), wanted("a"));
    let other = scene.subscriber(&["a", "b"]);
    assert_eq!(scene.told(), wanted("b"));
    for topic in ["a1", "b1", "c1"] {
        scene.publisher.send((topic, "x")).unwrap();
    }
    assert_eq!(recv(&before).topic(), b"a1");
    assert_eq!([recv(&other), recv(&other)].map(|m| m.topic().to_vec()), [b"a1", b"b1"]);
    drop(before);
    drop(other);
    let mut left = [scene.told(), scene.told()];
    left.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(left, [unwanted("a"), unwanted("b")]);
    let stats = proxy.stats();
    assert_eq!((stats.down.messages, stats.subscribed, stats.unsubscribed), (2, 2, 2), "{stats:?}");
}

#[test]
fn every_message_arrives_in_order_by_reference() {
    let scene = Scene::with(Options::new().on_full(OnFull::Refuse));
    let proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    let subscriber = scene.subscriber(&[""]);
    assert_eq!(scene.told(), wanted(""));
    const MESSAGES: u32 = 100_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..MESSAGES {
                let size = if n % 1000 == 0 { 100_000 } else { 20 };
                let frames = (format!("{n}"), vec![7; size]);
                scene.publisher.send_wait(frames).wait_timeout(LONG).expect("there is room").unwrap();
            }
        });
        for n in 0..MESSAGES {
            assert_eq!(recv(&subscriber).topic(), format!("{n}").as_bytes());
        }
    });
    let stats = proxy.stats();
    assert_eq!(stats.down.messages, u64::from(MESSAGES));
    assert!(stats.down.batches < stats.down.messages, "{stats:?}");
}

#[test]
fn messages_wait_while_it_is_paused_and_demand_does_not() {
    let scene = Scene::new();
    let proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    proxy.pause();
    let subscriber = scene.subscriber(&["a"]);
    assert_eq!(scene.told(), wanted("a"));
    scene.publisher.send("a1").unwrap();
    until("it arrives at the frontend", || scene.frontend.stats().received == 1);
    assert_eq!((proxy.stats().down.messages, subscriber.try_recv().unwrap()), (0, None));
    proxy.resume();
    assert_eq!(recv(&subscriber).topic(), b"a1");
}

#[test]
fn a_stopped_proxy_wants_nothing_and_leaves_the_sockets_open() {
    let scene = Scene::new();
    scene.frontend.subscribe("mine").unwrap();
    assert_eq!(scene.told(), wanted("mine"));
    let options = ProxyOptions::new().grace(Duration::MAX);
    let proxy = Proxy::with(&scene.frontend, &scene.backend, options).unwrap();
    let subscriber = scene.subscriber(&["a", "mine"]);
    assert_eq!(scene.told(), wanted("a"));
    subscriber.unsubscribe("a").unwrap();
    until("it is in its grace", || proxy.stats().prefixes_in_grace == 1);
    proxy.stop();
    assert_eq!(scene.told(), unwanted("a"));
    assert!(scene.publisher.wanted("mine"), "the user's own subscription");
    let again = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    scene.publisher.send("mine").unwrap();
    assert_eq!(recv(&subscriber).topic(), b"mine");
    let closing = scene.backend.clone();
    std::thread::spawn(move || closing.close().wait());
    again.ended().wait_timeout(LONG).expect("it ends with its socket");
    let closed = Proxy::new(&scene.frontend, &scene.backend).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[test]
fn the_capture_gets_what_passes_in_both_directions_and_wants_nothing() {
    let scene = Scene::new();
    let capture = Pub::new(&scene.engine, Options::new()).unwrap();
    let at = capture.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let options = ProxyOptions::new().capture(&capture);
    assert!(Proxy::with(&scene.frontend, &capture, options.clone()).is_err());
    let proxy = Proxy::with(&scene.frontend, &scene.backend, options).unwrap();
    let watcher = Sub::new(&scene.engine, Options::new()).unwrap();
    watcher.subscribe("").unwrap();
    watcher.connect(&at).unwrap();
    until("the capture has its subscriber", || capture.wanted("a"));
    let subscriber = XSub::new(&scene.engine, Options::new()).unwrap();
    subscriber.subscribe("a").unwrap();
    subscriber.connect(&scene.downstream).unwrap();
    assert_eq!(scene.told(), wanted("a"));
    scene.publisher.send("a1").unwrap();
    assert_eq!(recv(&watcher).topic(), b"a1");
    subscriber.send("question").unwrap();
    assert_eq!(scene.told(), XPubEvent::Message(Msg::from_frames(["question"])));
    assert_eq!(recv(&watcher).topic(), b"question");
    assert_eq!((proxy.stats().up.messages, proxy.stats().down.messages), (1, 1));
    assert!(!scene.publisher.wanted("b"), "what only the capture would get is not wanted");
}

#[test]
fn in_its_grace_a_topic_is_kept_and_a_late_joiner_gets_its_last_value_from_the_relay() {
    let scene = Scene::new();
    let options = ProxyOptions::new().grace(Duration::from_millis(300)).keep_last(true);
    let proxy = Proxy::with(&scene.frontend, &scene.backend, options).unwrap();
    let first = scene.subscriber(&["a"]);
    assert_eq!(scene.told(), wanted("a"));
    scene.publisher.send(("a1", "old")).unwrap();
    scene.publisher.send(("a1", "new")).unwrap();
    scene.publisher.send(("a2", "x")).unwrap();
    for _ in 0..3 {
        recv(&first);
    }
    let late = scene.subscriber(&["a1"]);
    assert_eq!(recv(&late), Msg::from_frames(["a1", "new"]));
    // "a1" is new to the publisher, which keeps nothing; the relay asks it nevertheless, since later values may differ.
    assert_eq!(scene.told(), wanted("a1"));
    drop((first, late));
    until("both are in their grace", || proxy.stats().prefixes_in_grace == 2);
    let back = scene.subscriber(&["a"]);
    let mut values = [recv(&back), recv(&back)];
    values.sort_by_key(|value| value.topic().to_vec());
    assert_eq!(values, [Msg::from_frames(["a1", "new"]), Msg::from_frames(["a2", "x"])]);
    assert_eq!(scene.told(), unwanted("a1"));
    drop(back);
    assert_eq!(scene.told(), unwanted("a"));
    assert_eq!(scene.backend.stats().last_values, 0, "nobody keeps them up to date");
}

#[test]
fn states_pass_and_are_stale_once_no_publisher_is_left() {
    let scene = Scene::new();
    let _proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    let subscriber = scene.subscriber(&["a"]);
    assert_eq!(scene.told(), wanted("a"));
    let state = |subscriber: &Sub| {
        let state = subscriber.state().wait_timeout(LONG).expect("a state comes").unwrap();
        (state.topic.to_vec(), state.state, state.text)
    };
    let is = |state, text: &str| (b"a1".to_vec(), state, text.to_owned());
    scene.publisher.set_state("a1", State::Stale, "no source").unwrap();
    assert_eq!(state(&subscriber), is(State::Stale, "no source"));
    scene.publisher.set_state("a1", State::Active, "").unwrap();
    assert_eq!(state(&subscriber), is(State::Active, ""));
    let late = scene.subscriber(&["a1"]);
    assert_eq!(state(&late), is(State::Active, ""));
    scene.publisher.close_within(Duration::ZERO).wait();
    assert_eq!(state(&subscriber), is(State::Stale, "no publisher is connected"));
    drop((subscriber, late));
    until("its state is forgotten", || scene.backend.0.hub.states.published.look().values() == 0);
}

#[test]
fn a_sub_and_a_pub_make_a_proxy_too() {
    let engine = Engine::start().unwrap();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let upstream = publisher.bind("inproc://up").unwrap().to_string();
    let (frontend, backend) =
        (Sub::new(&engine, Options::new()).unwrap(), Pub::new(&engine, Options::new()).unwrap());
    frontend.connect(&upstream).unwrap();
    backend.bind("inproc://down").unwrap();
    let _proxy = Proxy::new(&frontend, &backend).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.subscribe("a").unwrap();
    subscriber.connect("inproc://down").unwrap();
    let told = || publisher.event().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(told(), wanted("a"));
    publisher.send("a1").unwrap();
    assert_eq!(recv(&subscriber).topic(), b"a1");
    subscriber.unsubscribe("a").unwrap();
    assert_eq!(told(), unwanted("a"));
}

#[test]
fn what_the_frontend_cannot_subscribe_to_is_rejected() {
    let engine = Engine::start().unwrap();
    let frontend = XSub::new(&engine, Options::new().prefix_length_max(3)).unwrap();
    let backend = XPub::new(&engine, Options::new()).unwrap();
    let downstream = backend.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let proxy = Proxy::new(&frontend, &backend).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.subscribe("long").unwrap();
    subscriber.connect(&downstream).unwrap();
    let state = subscriber.state().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!((&state.topic[..], state.state), (&b"long"[..], State::Rejected));
    assert!(state.text.contains("prefix_length_max"), "{state:?}");
    assert_eq!(proxy.stats().prefixes_refused, 1);
}

#[test]
fn many_prefixes_pass_in_shares_and_go_with_their_peer() {
    let scene = Scene::new();
    let _proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    let watch = scene.publisher.demand();
    let subscriber = scene.subscriber(&[]);
    const PREFIXES: usize = 50_000;
    (0..PREFIXES).for_each(|n| drop(subscriber.subscribe(format!("topic/{n}")).unwrap()));
    for _ in 0..PREFIXES {
        watch.next().wait_timeout(LONG).expect("all are told").unwrap();
    }
    assert!(scene.publisher.wanted("topic/49999/x"));
    drop(subscriber);
    for _ in 0..PREFIXES {
        watch.next().wait_timeout(LONG).expect("and taken back").unwrap();
    }
    assert!(!scene.publisher.wanted("topic/49999/x"));
}

#[test]
fn a_subscription_is_confirmed_when_the_publishers_behind_two_proxies_have_it() {
    let engine = Engine::start().unwrap();
    let publisher = XPub::new(
        &engine,
        Options::new().admission(|request| match request.prefix {
            b"no" => crate::Admission::Reject("not here".into()),
            _ => crate::Admission::Accept,
        }),
    )
    .unwrap();
    publisher.bind("inproc://0").unwrap();
    let proxies: Vec<_> = (0..2)
        .map(|n| {
            let (frontend, backend) =
                (XSub::new(&engine, Options::new()).unwrap(), XPub::new(&engine, Options::new()).unwrap());
            frontend.connect(&format!("inproc://{n}")).unwrap();
            backend.bind(&format!("inproc://{}", n + 1)).unwrap();
            (Proxy::new(&frontend, &backend).unwrap(), backend)
        })
        .collect();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.connect("inproc://2").unwrap();
    until("it is connected", || proxies[1].1.stats().peers == 1);
    for n in 0..100 {
        let prefix = format!("a{n}");
        let confirmed = subscriber.subscribe(&prefix).unwrap().wait_timeout(LONG).unwrap();
        assert_eq!((confirmed.in_force, confirmed.publishers()), (1, 1), "{confirmed:?}");
        assert!(publisher.wanted(&prefix), "{prefix} is in force at the publisher");
    }
    let refused = subscriber.subscribe("no").unwrap().wait_timeout(LONG).unwrap();
    assert_eq!((refused.refused, refused.publishers()), (1, 1), "{refused:?}");
    drop(proxies);
}

#[test]
fn what_a_publisher_has_dropped_is_told_behind_the_proxy() {
    let engine = Engine::start().unwrap();
    let few = || Options::new().send_hwm(10).recv_hwm(10).send_buffer(4096).recv_buffer(4096);
    let publisher = XPub::new(&engine, few()).unwrap();
    let frontend = XSub::new(&engine, few()).unwrap();
    let backend = XPub::new(&engine, Options::new()).unwrap();
    frontend.connect(&publisher.bind("tcp://127.0.0.1:*").unwrap().to_string()).unwrap();
    let downstream = backend.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let proxy = Proxy::new(&frontend, &backend).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&downstream).unwrap();
    assert_eq!(publisher.event().wait_timeout(LONG).unwrap().unwrap(), wanted(""));
    proxy.pause();
    let mut sent = 0;
    while publisher.stats().missed < 100 {
        publisher.send(vec![7; 10_000]).unwrap();
        sent += 1;
    }
    proxy.resume();
    let (mut received, mut told) = (0, 0);
    let start = Instant::now();
    while received + told < sent {
        assert!(start.elapsed() < LONG, "{received} received and {told} told of {sent}; {:?}", proxy.stats());
        // What is told comes with what follows.
        publisher.send("more").unwrap();
        sent += 1;
        while let Some(received_many) = subscriber.recv_many().wait_timeout(Duration::from_millis(20)) {
            let many = received_many.unwrap();
            told += many.missed().map_or(0, |missed| missed.unseen);
            received += many.len() as u64;
        }
    }
    assert_eq!(received + told, sent);
    assert_eq!(proxy.stats().missed, told);
}

#[test]
fn what_comes_unwanted_is_not_kept_by_a_relay() {
    let engine = Engine::start().unwrap();
    let (frontend, backend) =
        (XSub::new(&engine, Options::new()).unwrap(), XPub::new(&engine, Options::new()).unwrap());
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    frontend.connect(&publisher.bind("tcp://127.0.0.1:*").unwrap().to_string()).unwrap();
    let downstream = backend.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let proxy = Proxy::with(&frontend, &backend, ProxyOptions::new().keep_last(true)).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.subscribe("a").unwrap();
    subscriber.subscribe("end").unwrap();
    subscriber.connect(&downstream).unwrap();
    until("the publisher is told", || publisher.wanted("a") && publisher.wanted("end"));
    // They are on their way, alone or in a batch, when the last subscriber cancels.
    proxy.pause();
    for topics in [&["a1"][..], &["a2", "a3", "end"]] {
        topics.iter().for_each(|topic| publisher.send(*topic).unwrap());
        until("they arrive", || frontend.stats().received == publisher.stats().sent);
    }
    subscriber.unsubscribe("a").unwrap();
    until("the publisher is told", || !publisher.wanted("a"));
    proxy.resume();
    assert_eq!(recv(&subscriber).topic(), b"end");
    assert_eq!(backend.stats().last_values, 1, "only what is wanted is kept");
}

#[test]
fn a_quiet_subscriber_is_served_beside_a_flood() {
    let scene = Scene::new();
    let _proxy = Proxy::new(&scene.frontend, &scene.backend).unwrap();
    let flooded = scene.subscriber(&["a"]);
    assert_eq!(scene.told(), wanted("a"));
    let quiet = scene.subscriber(&["z"]);
    assert_eq!(scene.told(), wanted("z"));
    let sending = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while sending.load(Ordering::SeqCst) {
                let _ = scene.publisher.send_wait("a1").wait_timeout(LONG);
            }
        });
        scope.spawn(|| {
            while sending.load(Ordering::SeqCst) {
                let _ = flooded.recv_many().wait_timeout(Duration::from_millis(10));
            }
        });
        let confirmed: Vec<_> =
            (0..20).map(|n| quiet.subscribe(format!("n{n}")).unwrap().wait_timeout(LONG).unwrap()).collect();
        sending.store(false, Ordering::SeqCst);
        assert!(confirmed.iter().all(|confirmed| confirmed.in_force == 1), "{confirmed:?}");
    });
}

#[test]
fn a_question_that_cannot_be_answered_later_is_answered_at_once() {
    const QUESTIONS: usize = 1100;
    const LATER_MAX: usize = 1024;
    let engine = Engine::start().unwrap();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    publisher.bind("inproc://0").unwrap();
    // In place of a proxy whose publishers do not answer.
    publisher.0.hub.questions.relay();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.connect("inproc://0").unwrap();
    until("it is connected", || publisher.stats().peers == 1);
    let subscribe = |n: usize| subscriber.subscribe(format!("{n}")).unwrap().into_future();
    let mut waits: Vec<_> = (0..QUESTIONS).map(subscribe).collect();
    let start = Instant::now();
    loop {
        let mut context = Context::from_waker(Waker::noop());
        let polled = waits.iter_mut().map(|wait| Pin::new(wait).poll(&mut context).is_ready());
        let answered = polled.filter(|is_ready| *is_ready).count();
        if answered == QUESTIONS - LATER_MAX {
            return;
        }
        assert!(start.elapsed() < LONG, "{answered} are answered");
        std::thread::sleep(Duration::from_millis(1));
    }
}
