//! `oncue proxy` and `oncue relay` as processes: what passes, and what the first publisher of a chain of five is told
//! while any one of them is killed, stopped and started again.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use oncue::{DemandEvent, DemandWatch, Engine, Options, Sub, XPub};
use oncue_interop::PATIENCE;
use oncue_interop::program::Program;

const CHAIN: usize = 5;
const TOPICS: usize = 10_000;
const ANY_PORT: &str = "tcp://127.0.0.1:0";
const HEARTBEAT: Duration = Duration::from_millis(100);
const SILENCE: Duration = Duration::from_millis(1000);

fn oncue(args: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_oncue")).args(args))
}

/// As the proxies, so that what is lost is found again within a second.
fn options() -> Options {
    Options::new()
        .heartbeat(HEARTBEAT, SILENCE)
        .reconnect(Duration::from_millis(50), Duration::from_millis(400))
}

/// An endpoint that will be free.
fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("tcp://{}", listener.local_addr().expect("its address"))
}

/// The set of prefixes that the publisher has been told.
struct Told {
    watch: DemandWatch,
    wanted: BTreeSet<Vec<u8>>,
}

impl Told {
    fn of(publisher: &XPub) -> Told {
        let watch = publisher.demand();
        let wanted = watch.snapshot().iter().map(|prefix| prefix.to_vec()).collect();
        Told { watch, wanted }
    }

    /// Waits until exactly `wanted` is told. Returns how long that took.
    fn becomes(&mut self, wanted: &BTreeSet<Vec<u8>>, when: &str) -> Duration {
        let start = Instant::now();
        while self.wanted != *wanted {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let event = self.watch.next().wait_timeout(left).unwrap_or_else(|| {
                let missing: Vec<_> = wanted.difference(&self.wanted).take(3).collect();
                let wrong: Vec<_> = self.wanted.difference(wanted).take(3).collect();
                let (told, due) = (self.wanted.len(), wanted.len());
                panic!("{when}: {told} are told and {due} are wanted; missing {missing:?}, wrong {wrong:?}")
            });
            match event.expect("the publisher is open") {
                DemandEvent::Wanted(prefix) => assert!(self.wanted.insert(prefix.to_vec()), "told twice"),
                DemandEvent::Unwanted(prefix) => assert!(self.wanted.remove(&prefix[..]), "never told"),
            }
        }
        start.elapsed()
    }
}

/// Publisher - proxy - ... - proxy - subscribers.
struct Chain {
    proxies: Vec<Program>,
    /// The links, from the publisher to the subscribers, and whether the upper side of each binds.
    links: Vec<(String, bool)>,
    publisher: XPub,
    told: Told,
    engine: Engine,
}

impl Chain {
    fn new(upper_binds: impl Fn(usize) -> bool) -> Chain {
        let links: Vec<_> = (0..=CHAIN).map(|n| (free_endpoint(), upper_binds(n))).collect();
        let engine = Engine::start().expect("an engine");
        let publisher = XPub::new(&engine, options()).expect("a publisher");
        let (endpoint, binds) = &links[0];
        match binds {
            true => publisher.bind(endpoint).expect("a free port"),
            false => publisher.connect(endpoint).expect("an endpoint"),
        };
        let told = Told::of(&publisher);
        let mut chain = Chain { proxies: Vec::new(), links, publisher, told, engine };
        for n in 0..CHAIN {
            let proxy = chain.start(n);
            chain.proxies.push(proxy);
        }
        chain
    }

    fn start(&self, n: usize) -> Program {
        let (upper, upper_binds) = &self.links[n];
        let (lower, binds) = &self.links[n + 1];
        let frontend = if *upper_binds { "--frontend-connect" } else { "--frontend-bind" };
        let backend = if *binds { "--backend-bind" } else { "--backend-connect" };
        oncue(&[
            "proxy",
            frontend,
            upper,
            backend,
            lower,
            "--heartbeat",
            "100ms",
            "--heartbeat-timeout",
            "1s",
        ])
    }

    fn subscriber(&self, topics: impl Iterator<Item = String>) -> Sub {
        let socket = Sub::new(&self.engine, options()).expect("a subscriber");
        topics.for_each(|topic| drop(socket.subscribe(topic).expect("a subscription")));
        socket
    }

    fn join(&self, socket: &Sub) {
        let (endpoint, upper_binds) = &self.links[CHAIN];
        match upper_binds {
            true => socket.connect(endpoint).expect("an endpoint"),
            false => socket.bind(endpoint).expect("a free port"),
        };
    }

    /// A message of the topic goes through.
    fn passes(&self, subscriber: &Sub, topic: &str) {
        let start = Instant::now();
        self.publisher.send(topic).expect("it is sent");
        let message = subscriber.recv().wait_timeout(PATIENCE).expect("it arrives").expect("a message");
        assert_eq!(message.topic(), topic.as_bytes(), "after {:?}", start.elapsed());
    }
}

/// Whichever is killed or stopped: what the publisher is told is what the subscribers want, as soon as it is back.
fn whichever_is_lost(upper_binds: impl Fn(usize) -> bool, victims: &[usize]) {
    let mut chain = Chain::new(upper_binds);
    let many = chain.subscriber((0..TOPICS).map(|n| format!("topic/{n}")));
    chain.join(&many);
    let mut wanted: BTreeSet<Vec<u8>> = (0..TOPICS).map(|n| format!("topic/{n}").into_bytes()).collect();
    chain.told.becomes(&wanted, "at the start");
    chain.passes(&many, "topic/7");
    let nothing = BTreeSet::new();
    let mut times = Vec::new();
    for &victim in victims {
        chain.proxies[victim].signal("KILL");
        chain.told.becomes(&nothing, "one is killed");
        // What has changed meanwhile is told too, and what has ended is not.
        let (gone, new) = (format!("topic/{victim}"), format!("new/{victim}"));
        many.unsubscribe(&gone).expect("it was subscribed to");
        many.subscribe(&new).expect("a subscription");
        wanted.remove(gone.as_bytes());
        wanted.insert(new.clone().into_bytes());
        let start = Instant::now();
        chain.proxies[victim] = chain.start(victim);
        chain.told.becomes(&wanted, "it is back");
        times.push(start.elapsed());
        chain.passes(&many, &new);

        chain.proxies[victim].signal("STOP");
        chain.told.becomes(&nothing, "one is stopped");
        chain.proxies[victim].signal("CONT");
        chain.told.becomes(&wanted, "it goes on");
        chain.passes(&many, &new);
    }
    println!("{TOPICS} topics were back {times:?} after a start of proxies {victims:?}");
    assert!(times.iter().any(|time| *time < Duration::from_secs(1)), "{times:?}");
    drop(many);
    chain.told.becomes(&nothing, "the subscriber leaves");
}

#[test]
fn demand_is_true_behind_five_proxies_that_connect_upwards() {
    whichever_is_lost(|_| true, &[0, 2, 4]);
}

#[test]
fn demand_is_true_behind_five_proxies_that_connect_downwards() {
    whichever_is_lost(|n| n == CHAIN, &[0, 2, 4]);
}

#[test]
fn demand_is_true_behind_five_proxies_of_which_every_other_one_binds() {
    whichever_is_lost(|n| n % 2 == 1, &[1, 3]);
}

#[test]
fn what_has_passed_is_said_at_the_end_and_on_a_signal() {
    let engine = Engine::start().expect("an engine");
    let publisher = XPub::new(&engine, options()).expect("a publisher");
    let upstream = publisher.bind(ANY_PORT).expect("a free port").to_string();
    let mut proxy = oncue(&[
        "proxy",
        "--frontend-connect",
        &upstream,
        "--backend-bind",
        ANY_PORT,
        "--capture-bind",
        ANY_PORT,
        "--json",
    ]);
    let (mut at, mut line) = (Vec::new(), String::new());
    while at.len() < 2 {
        line = proxy.error_line();
        at.extend(
            line.split_once(" bound to ").map(|(side, endpoint)| (side.to_owned(), endpoint.to_owned())),
        );
    }
    assert!(line.starts_with("oncue proxy: backend bound to"), "{line}");
    assert_eq!(at[0].0, "oncue proxy: capture");
    let (capture, subscriber) = (Sub::new(&engine, options()), Sub::new(&engine, options()));
    let [capture, subscriber] = [capture, subscriber].map(|socket| socket.expect("a subscriber"));
    let mut told = Told::of(&publisher);
    for ((socket, topic), (_, endpoint)) in [(&capture, "a"), (&subscriber, "a")].into_iter().zip(&at) {
        socket.subscribe(topic).expect("a subscription");
        socket.connect(endpoint).expect("an endpoint");
        // The capture is there before the first message.
        std::thread::sleep(Duration::from_millis(200));
    }
    told.becomes(&[b"a".to_vec()].into(), "a subscriber has come");
    publisher.send(("a1", "x")).expect("it is sent");
    for socket in [&capture, &subscriber] {
        let message = socket.recv().wait_timeout(PATIENCE).expect("in time").expect("a message");
        assert_eq!(message.topic(), b"a1");
    }
    proxy.signal("USR1");
    let summary = "oncue proxy: passed 1 message (7 bytes) to subscribers, 1 subscription and 0 cancellations to publishers";
    while proxy.error_line() != summary {}
    proxy.signal("TERM");
    let end = proxy.end();
    assert_eq!(end.code, Some(0));
    let [json] = &end.output[..] else { panic!("one line: {:?}", end.output) };
    assert!(
        json.contains(r#""down":{"batches":1,"bytes":7,"messages":1}"#) && json.contains(r#""subscribed":1"#),
        "{json}"
    );
}

#[test]
fn a_relay_gives_a_late_joiner_the_last_value_and_keeps_a_topic_for_its_grace() {
    let engine = Engine::start().expect("an engine");
    let publisher = XPub::new(&engine, options()).expect("a publisher");
    let upstream = publisher.bind(ANY_PORT).expect("a free port").to_string();
    let mut relay = oncue(&[
        "relay",
        "--frontend-connect",
        &upstream,
        "--backend-bind",
        ANY_PORT,
        "--keep-last",
        "--grace",
        "300ms",
    ]);
    let downstream = loop {
        let line = relay.error_line();
        if let Some((_, endpoint)) = line.split_once("backend bound to ") {
            break endpoint.to_owned();
        }
    };
    let subscriber = || {
        let socket = Sub::new(&engine, options()).expect("a subscriber");
        socket.subscribe("a").expect("a subscription");
        socket.connect(&downstream).expect("an endpoint");
        socket
    };
    let mut told = Told::of(&publisher);
    let first = subscriber();
    told.becomes(&[b"a".to_vec()].into(), "the first subscriber");
    publisher.send(("a1", "v")).expect("it is sent");
    let value = |socket: &Sub| {
        let message = socket.recv().wait_timeout(PATIENCE).expect("in time").expect("a message");
        message.frames().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(value(&first), [&b"a1"[..], b"v"]);
    let late = subscriber();
    assert_eq!(value(&late), [&b"a1"[..], b"v"]);
    let left = Instant::now();
    drop((first, late));
    told.becomes(&BTreeSet::new(), "after the grace");
    assert!(left.elapsed() >= Duration::from_millis(300), "{:?}", left.elapsed());
    assert_eq!(publisher.stats().sent, 1, "the publisher was asked once");
}

#[test]
fn both_sides_are_needed() {
    for (words, lacks) in [
        (&["proxy"][..], "--frontend-connect"),
        (&["proxy", "--frontend-bind", ANY_PORT], "--backend-bind"),
        (&["relay", "--backend-bind", ANY_PORT], "--frontend-connect"),
        (&["proxy", "--keep-last"], "--keep-last"),
        (&["relay", "--frontend-bind", "tcp://x", "--backend-bind", ANY_PORT], "port"),
    ] {
        let end = oncue(words).end();
        assert_eq!(end.code, Some(2), "{words:?}");
        assert!(end.errors.iter().any(|line| line.contains(lacks)), "{words:?}: {:?}", end.errors);
    }
}
