//! Operations that wait: that they leave nothing behind when they are dropped, and what happens to the wakers of users.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use oncue::demand::Change;
use oncue::{Batch, Engine, OnDemand, OnFull, Op, Options, Sub, XPub, XPubEvent, wakers_panicked};

const SOON: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a mistake of an executor");
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A publisher and its subscriber to all topics, on one engine.
fn pair(options: Options) -> (XPub, Sub) {
    let engine = Engine::start().unwrap();
    let x = XPub::new(&engine, options.clone()).unwrap();
    let sub = Sub::new(&engine, options).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&x.bind("tcp://127.0.0.1:*").unwrap().to_string()).unwrap();
    assert!(matches!(x.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    (x, sub)
}

/// Polls many operations of a kind once and drops them: their wakers must be dropped with them.
fn leaves_nothing<F: Future + Unpin>(what: &str, operation: impl Fn() -> Op<F>) {
    let count = Arc::<Count>::default();
    let mut held = Vec::new();
    for _ in 0..50 {
        let waker = Waker::from(count.clone());
        let mut operation = operation();
        // Again with the same waker, and with another one.
        for waker in [&waker, &waker, Waker::noop(), &waker] {
            assert!(Pin::new(&mut operation).poll(&mut Context::from_waker(waker)).is_pending(), "{what}");
        }
        held.push(operation);
    }
    assert_eq!(Arc::strong_count(&count), 51, "{what}: one registration each");
    drop(held);
    assert_eq!(Arc::strong_count(&count), 1, "{what}");
    assert!(operation().wait_timeout(Duration::from_micros(1)).is_none(), "{what}");
}

#[test]
fn an_operation_that_is_given_up_leaves_nothing_behind() {
    let (x, sub) = pair(Options::new());
    let watch = x.demand();
    leaves_nothing("recv", || sub.recv());
    leaves_nothing("recv_many", || sub.recv_many());
    leaves_nothing("state", || sub.state());
    leaves_nothing("event", || x.event());
    leaves_nothing("next", || watch.next());
    leaves_nothing("room_changed", || x.room_changed());
    x.send("goes on").unwrap();
    assert_eq!(sub.recv().wait_timeout(SOON).expect("a message").unwrap().topic(), b"goes on");
}

#[test]
fn a_send_or_a_close_that_is_given_up_leaves_nothing_behind() {
    let options = Options::new().on_full(OnFull::Refuse).send_hwm(1).recv_hwm(1).queue_bytes_max(1 << 16);
    let (x, _sub) = pair(options.linger(Duration::from_secs(60)));
    let large = vec![7; 100_000];
    let full = |x: &XPub| (0..50).all(|_| x.send(&large).is_err());
    eventually("it is full, and stays so", || {
        full(&x) && {
            thread::sleep(Duration::from_millis(20));
            full(&x)
        }
    });
    leaves_nothing("send_wait", || x.send_wait(&large));
    let count = Arc::<Count>::default();
    for _ in 0..50 {
        let mut batch = Batch::new();
        batch.push(&large).unwrap();
        let waker = Waker::from(count.clone());
        let polled = Pin::new(&mut x.send_many_wait(&mut batch)).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    assert_eq!(Arc::strong_count(&count), 1, "send_many_wait");
    leaves_nothing("close", || x.close());
}

#[test]
fn a_wait_of_a_feed_that_is_given_up_leaves_nothing_behind() {
    let (sender, changes) = channel();
    let od = OnDemand::bind("tcp://127.0.0.1:0")
        .unwrap()
        .route("m")
        .manual(move |change| drop(sender.send(change)))
        .start()
        .unwrap();
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(&od.endpoint().unwrap().to_string()).unwrap();
    sub.subscribe("m").unwrap();
    let Ok(Change::Started(feed)) = changes.recv_timeout(SOON) else { panic!("it starts") };
    leaves_nothing("stopped", || feed.stopped());
    let waiter = feed.clone();
    let waiting = thread::spawn(move || waiter.stopped().wait_timeout(SOON));
    sub.unsubscribe("m").unwrap();
    assert_eq!(waiting.join().unwrap(), Some(()), "it is told all the same");
}

#[test]
fn two_operations_of_one_task_wait_side_by_side() {
    let (x, sub) = pair(Options::new());
    let (mut first, mut second) = (sub.recv(), sub.recv());
    let count = Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll(&mut context).is_pending());
    assert!(Pin::new(&mut second).poll(&mut context).is_pending());
    drop(first);
    x.send("a").unwrap();
    eventually("the other is woken", || count.0.load(Ordering::SeqCst) > 0);
    let Poll::Ready(message) = Pin::new(&mut second).poll(&mut context) else { panic!("it is there") };
    assert_eq!(message.unwrap().topic(), b"a");
}

#[test]
fn a_waker_that_panics_ends_nothing_but_its_own_task() {
    let (x, sub) = pair(Options::new());
    let watch = x.demand();
    let waker = Waker::from(Arc::new(Panics));
    let mut context = Context::from_waker(&waker);
    let (mut message, mut change) = (sub.recv(), watch.next());
    assert!(Pin::new(&mut message).poll(&mut context).is_pending());
    assert!(Pin::new(&mut change).poll(&mut context).is_pending());
    let before = wakers_panicked();
    sub.subscribe("more").unwrap();
    eventually("the one for demand panics", || wakers_panicked() > before);
    x.send("a").unwrap();
    eventually("so does the one for messages", || wakers_panicked() > before + 1);
    // A thread that turns the shard, and all sockets, go on.
    assert_eq!(sub.recv().wait_timeout(SOON).expect("a message").unwrap().topic(), b"a");
    assert!(matches!(x.event().wait_timeout(SOON), Some(Ok(XPubEvent::Wanted(_)))));
    x.send("b").unwrap();
    assert_eq!(sub.recv().wait_timeout(SOON).expect("a message").unwrap().topic(), b"b");
    let mut done = x.close();
    let _ = Pin::new(&mut done).poll(&mut context);
    x.close().wait_timeout(SOON).expect("it closes");
}
