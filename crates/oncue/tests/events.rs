//! What an operator can read about an engine: events of the `tracing` crate. One test, since a program has one subscriber.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncue::{Engine, ErrorKind, OnDemand, Options, PeerAddress, Sub, XPub, XPubEvent};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Target, level and message of an event, and its other fields as text.
type Seen = (String, Level, BTreeMap<&'static str, String>);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Seen>>>);

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("oncue::")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        self.0.lock().unwrap().push((metadata.target().to_owned(), *metadata.level(), fields.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("there are no spans")
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Collector {
    /// Waits for an event with this target, level and message, and with these `fields`.
    fn expect(&self, target: &str, level: Level, message: &str, fields: &[(&str, &str)]) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let seen = self.0.lock().unwrap().clone();
            let found = seen.iter().any(|(of, at, all)| {
                let has = |name: &str, text: &str| all.get(name).is_some_and(|value| value.contains(text));
                of == target
                    && *at == level
                    && has("message", message)
                    && fields.iter().all(|(n, t)| has(n, t))
            });
            if found {
                return;
            }
            assert!(Instant::now() < until, "no `{message}` with {fields:?} among {seen:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn an_operator_reads_what_happens_to_sockets_peers_and_feeds() {
    let log = Collector::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let engine = Engine::start().unwrap();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
    log.expect("oncue::socket", Level::INFO, "bound", &[("endpoint", &endpoint)]);

    // A peer that does not speak ZMTP.
    let mut stranger = TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
    let address = stranger.local_addr().unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let _ = stranger.read_to_end(&mut Vec::new());
    let fields = [("address", &*address.to_string()), ("reason", "it looks like HTTP")];
    log.expect("oncue::peer", Level::WARN, "refused", &fields);
    let refused = publisher.refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].address, PeerAddress::Tcp(address));
    assert_eq!(refused[0].error.kind(), ErrorKind::Peer);
    let cause = refused[0].error.source().expect("the error keeps its cause");
    assert!(cause.to_string().contains("it looks like HTTP"), "{cause}");

    // A peer that leaves in the middle of the handshake.
    let mut stranger = TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
    stranger.shutdown(Shutdown::Write).unwrap();
    let _ = stranger.read_to_end(&mut Vec::new());
    log.expect("oncue::peer", Level::DEBUG, "lost", &[("reason", "before its greeting was complete")]);

    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.subscribe("a").unwrap();
    subscriber.connect(&endpoint).unwrap();
    assert!(matches!(publisher.event().wait().unwrap(), XPubEvent::Wanted(_)));
    log.expect("oncue::peer", Level::DEBUG, "joined", &[("address", "tcp://127.0.0.1:")]);
    publisher.close().wait();
    log.expect("oncue::peer", Level::DEBUG, "lost", &[("reason", "the peer closed the connection")]);
    let fields = [("endpoint", &*endpoint), ("reason", "refused")];
    log.expect("oncue::socket", Level::DEBUG, "retry", &fields);
    feeds(&log, &engine);
}

/// What happens to feeds.
fn feeds(log: &Collector, engine: &Engine) {
    let wait = Duration::from_secs(3600);
    let routes = OnDemand::bind("tcp://127.0.0.1:0")
        .unwrap()
        .route("good/{x}")
        .thread(|feed| {
            feed.publish("value")?;
            feed.wait_stopped();
            Ok(())
        })
        .route("bad")
        .backoff(wait, wait)
        .thread(|_| Err("the disk is full".into()))
        .route("done")
        .thread(|_| Ok(()))
        .route("listed/{x}")
        .catalogue_with(wait, || panic!("no list"))
        .thread(|_| Ok(()))
        .start()
        .unwrap();
    let ended = |topic: &str, reason: &str| {
        log.expect("oncue::feed", Level::DEBUG, "ended", &[("topic", topic), ("reason", reason)]);
    };
    let fields = [("route", "listed/{x}"), ("error", "no list")];
    log.expect("oncue::feed", Level::WARN, "list failed", &fields);
    let subscriber = Sub::new(engine, Options::new()).unwrap();
    subscriber.connect(&routes.endpoint().unwrap().to_string()).unwrap();
    subscriber.subscribe("good/1").unwrap();
    log.expect("oncue::feed", Level::DEBUG, "started", &[("topic", "good/1"), ("generation", "1")]);
    subscriber.unsubscribe("good/1").unwrap();
    ended("good/1", "nobody wants it");
    subscriber.subscribe("bad").unwrap();
    let fields = [("topic", "bad"), ("error", "the disk is full")];
    log.expect("oncue::feed", Level::WARN, "failed", &fields);
    ended("bad", "failed");
    subscriber.subscribe("done").unwrap();
    ended("done", "finished");
    subscriber.subscribe("good/2").unwrap();
    log.expect("oncue::feed", Level::DEBUG, "started", &[("topic", "good/2")]);
    let other = routes.builder().route("other").thread(|feed| {
        feed.wait_stopped();
        Ok(())
    });
    routes.reload(other).unwrap();
    ended("good/2", "its route has changed");
    subscriber.subscribe("other").unwrap();
    log.expect("oncue::feed", Level::DEBUG, "started", &[("topic", "other")]);
    routes.stop();
    ended("other", "the routes have stopped");
}
