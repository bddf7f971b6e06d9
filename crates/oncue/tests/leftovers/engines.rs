//! Engines that start and end.

use std::net::TcpStream;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use std::time::Duration;

use oncue::demand::{Builder, Feed, Produced};
use oncue::{Engine, OnDemand, Options, Pub, Sub, XPub};

use crate::raw::{Door, SOON, Side, Zmtp, engine_of, event, subscribe};
use crate::scenes;

/// Rounds of each scene.
const ROUNDS: u32 = 60;

fn nobody(io_threads: usize) {
    let _engine = engine_of(io_threads);
}

/// A connected publisher and subscriber of one engine.
fn pair(io_threads: usize, at: &str) -> (XPub, Sub) {
    let engine = engine_of(io_threads);
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    let endpoint = publisher.bind(at).unwrap().to_string();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    assert_eq!(event(&publisher), "+");
    (publisher, subscriber)
}

const TCP: &str = "tcp://127.0.0.1:*";
const INPROC: &str = "inproc://leftovers";

fn unread(io_threads: usize, at: &str) {
    let (publisher, subscriber) = pair(io_threads, at);
    (0..100).for_each(|_| publisher.send([0; 10_000]).unwrap());
    drop(subscriber);
    drop(publisher);
}

fn publisher_first(io_threads: usize, at: &str) {
    let (publisher, subscriber) = pair(io_threads, at);
    drop(publisher);
    drop(subscriber);
}

fn closed(io_threads: usize, at: &str) {
    let (publisher, subscriber) = pair(io_threads, at);
    subscriber.close().wait();
    publisher.close().wait();
}

/// Peers that connect while their engine ends: streams are accepted for shards whose threads are about to end.
fn strangers(io_threads: usize) {
    let publisher = Pub::new(&engine_of(io_threads), Options::new()).unwrap();
    let endpoint = publisher.bind(TCP).unwrap().to_string();
    let address = endpoint.strip_prefix("tcp://").unwrap();
    let _streams: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    drop(publisher);
}

#[test]
fn an_engine_that_ends_leaves_nothing() {
    scenes(
        ROUNDS,
        &[
            ("engine, no socket", &|| nobody(1)),
            ("engine of 3 threads, no socket", &|| nobody(3)),
            ("tcp pair, nothing sent", &|| drop(pair(1, TCP))),
            ("tcp pair on 3 threads, nothing sent", &|| drop(pair(3, TCP))),
            ("tcp pair on 3 threads, publisher first", &|| publisher_first(3, TCP)),
            ("tcp pair on 3 threads, closed", &|| closed(3, TCP)),
            ("tcp pair on 3 threads, unread", &|| unread(3, TCP)),
            ("inproc pair, nothing sent", &|| drop(pair(1, INPROC))),
            ("inproc pair, unread", &|| unread(1, INPROC)),
            ("inproc pair on 3 threads, unread", &|| unread(3, INPROC)),
            ("inproc pair on 3 threads, publisher first", &|| publisher_first(3, INPROC)),
            ("strangers connect to 3 threads", &|| strangers(3)),
        ],
    );
}

/// More rounds of the scenes that once left most behind.
#[test]
fn hundreds_of_engines_leave_nothing() {
    scenes(
        200,
        &[
            ("tcp pair on 3 threads, unread (many)", &|| unread(3, TCP)),
            ("inproc pair, unread (many)", &|| unread(1, INPROC)),
        ],
    );
}

/// A task that waits with the last handle of an engine, and is dropped when it is woken.
struct Task(Mutex<Option<Waiting>>);

type Waiting = (Pin<Box<dyn Future<Output = ()> + Send>>, Sender<()>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let (task, gone) = self.0.lock().unwrap().take().expect("it is woken once");
        drop(task);
        gone.send(()).unwrap();
    }
}

/// The last handle of an engine is dropped on its I/O thread, in a waker.
fn dropped_on_its_own_thread(io_threads: usize) {
    let publisher = XPub::new(&engine_of(io_threads), Options::new()).unwrap();
    let mut peer = Door::new(&publisher, Side::Binding).peer(Zmtp::V3_1);
    let mut waiting = Box::pin(async move { drop(publisher.event().await) });
    let task = Arc::new(Task(Mutex::new(None)));
    let mut slot = task.0.lock().unwrap();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&task.clone().into())).is_pending());
    let (gone, heard) = channel();
    *slot = Some((waiting, gone));
    drop(slot);
    peer.send(subscribe("x"));
    heard.recv_timeout(SOON).unwrap();
    peer.ended();
}

#[test]
fn the_last_handle_may_go_on_an_io_thread() {
    scenes(
        ROUNDS,
        &[
            ("last handle on its own thread", &|| dropped_on_its_own_thread(1)),
            ("last handle on one of 3 threads", &|| dropped_on_its_own_thread(3)),
        ],
    );
}

fn on_demand(topic: &str, routes: impl FnOnce(Builder) -> Builder) {
    let served = routes(OnDemand::bind(TCP).unwrap()).start().unwrap();
    let subscriber = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    subscriber.subscribe(topic).unwrap();
    subscriber.connect(&served.endpoint().unwrap().to_string()).unwrap();
    subscriber.recv().wait_timeout(SOON).expect("a value in time").unwrap();
    drop(subscriber);
    drop(served);
}

fn produce(feed: Feed) -> Produced {
    while feed.publish("value").is_ok() {
        feed.sleep(Duration::from_millis(1))?;
    }
    Ok(())
}

#[test]
fn routes_that_end_leave_nothing() {
    scenes(
        ROUNDS / 2,
        &[
            ("routes nobody asked for", &|| {
                drop(OnDemand::bind(TCP).unwrap().route("x").thread(produce).start().unwrap())
            }),
            ("route of threads", &|| on_demand("x/1", |b| b.route("x/{n}").thread(produce))),
            ("route of values in time", &|| {
                on_demand("x", |b| b.route("x").every(Duration::from_millis(1), |_| "value"));
            }),
        ],
    );
}
