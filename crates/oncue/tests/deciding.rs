//! Functions that decide about subscriptions: where they run, what they may do there, and what is refused.

use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use oncue::{Admission, Engine, ErrorKind, OnDemand, Options, PeerAddress, Sub, XPub, XPubEvent};

const SOON: Duration = Duration::from_secs(20);
const ENDPOINT: &str = "tcp://127.0.0.1:0";

/// Runs it on a thread of its own, so that a hang is a failure.
fn in_time<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = channel();
    let thread = thread::spawn(move || drop(sender.send(body())));
    match done.recv_timeout(SOON) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", thread.join()),
    }
}

fn subscriber(endpoint: &str) -> Sub {
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(endpoint).unwrap();
    sub
}

fn wanted(x: &XPub) -> String {
    match x.event().wait_timeout(SOON).expect("an event") {
        Ok(XPubEvent::Wanted(prefix)) => prefix.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_learns_where_a_peer_is_on_every_transport_and_from_either_side() {
    let (uid, pid) = (std::fs::metadata("/proc/self").unwrap().uid(), Some(std::process::id()));
    for endpoint in ["tcp://127.0.0.1:0", "tcp://[::1]:0", "ipc://*", "ipc://@oncue-deciding", "inproc://x"] {
        for publisher_binds in [true, false] {
            let engine = Engine::start().unwrap();
            let (sender, asked) = channel();
            let options = Options::new().admission(move |request| {
                sender.send(request.address).unwrap();
                Admission::Accept
            });
            let (x, sub) = (XPub::new(&engine, options).unwrap(), Sub::new(&engine, Options::new()).unwrap());
            sub.subscribe("p").unwrap();
            let bound = match publisher_binds {
                true => x.bind(endpoint).inspect(|at| drop(sub.connect(&at.to_string()).unwrap())).unwrap(),
                false => sub.bind(endpoint).inspect(|at| drop(x.connect(&at.to_string()).unwrap())).unwrap(),
            };
            let bound = bound.to_string();
            let address = asked.recv_timeout(SOON).expect("it is asked");
            match address {
                PeerAddress::Tcp(at) if !publisher_binds => assert_eq!(format!("tcp://{at}"), bound),
                PeerAddress::Tcp(at) => assert!(at.ip().is_loopback()),
                PeerAddress::Ipc { .. } => assert_eq!(address, PeerAddress::Ipc { uid, pid }),
                _ => assert_eq!(address, PeerAddress::Inproc),
            }
            assert!(address.to_string().starts_with(bound.split_once(':').unwrap().0), "{address} {bound}");
        }
    }
}

#[test]
fn it_runs_on_the_io_threads_alone_whoever_waits() {
    in_time(|| {
        let engine = Engine::start().unwrap();
        // A thread that has slept at the I/O thread's poller since before there was anything to decide.
        let early = XPub::new(&engine, Options::new()).unwrap();
        let noise = subscriber(&early.bind(ENDPOINT).unwrap().to_string());
        noise.subscribe("n0").unwrap();
        assert_eq!(wanted(&early), "n0");
        let (sender, names) = channel();
        let waiting = early.clone();
        let guest = thread::spawn(move || while waiting.event().wait().is_ok() {});
        let sender = Mutex::new(sender);
        let options = Options::new().admission(move |_| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            sender.lock().unwrap().send(name).unwrap();
            Admission::Accept
        });
        let x = XPub::new(&engine, options).unwrap();
        let sub = subscriber(&x.bind(ENDPOINT).unwrap().to_string());
        for i in 0..50 {
            noise.subscribe(format!("n{i}")).unwrap();
            sub.subscribe(i.to_string()).unwrap();
            assert_eq!(wanted(&x), i.to_string());
        }
        assert!(names.try_iter().all(|name| name == "oncue-io-0"));
        early.close().wait();
        guest.join().unwrap();
    });
}

#[test]
fn a_lock_that_it_takes_may_be_held_by_a_thread_that_waits_with_a_time_limit() {
    in_time(|| {
        let engine = Engine::start().unwrap();
        // A thread that would sleep at the I/O thread's poller.
        let theirs = XPub::new(&engine, Options::new()).unwrap();
        let other = Sub::new(&engine, Options::new()).unwrap();
        other.connect(&theirs.bind(ENDPOINT).unwrap().to_string()).unwrap();
        other.subscribe("other").unwrap();
        assert_eq!(wanted(&theirs), "other");
        let data = Arc::new(Mutex::new(0));
        let (sender, asked) = channel();
        let (shared, sender) = (data.clone(), Mutex::new(sender));
        let options = Options::new().admission(move |_| {
            sender.lock().unwrap().send(()).unwrap();
            *shared.lock().unwrap() += 1;
            Admission::Accept
        });
        let x = XPub::new(&engine, options).unwrap();
        let sub = subscriber(&x.bind(ENDPOINT).unwrap().to_string());
        let held = data.lock().unwrap();
        sub.subscribe("a").unwrap();
        assert!(other.recv().wait_timeout(Duration::from_millis(50)).is_none());
        asked.recv().unwrap();
        assert!(x.event().wait_timeout(Duration::from_millis(50)).is_none());
        drop(held);
        assert_eq!(wanted(&x), "a");
    });
}

type Outcomes = (Sender<(&'static str, Option<ErrorKind>)>, Receiver<(&'static str, Option<ErrorKind>)>);

#[test]
fn what_would_have_its_io_thread_wait_for_itself_is_refused_and_all_else_works() {
    in_time(|| {
        let engine = Engine::start().unwrap();
        let sockets = Arc::<OnceLock<(XPub, Sub, String)>>::default();
        let ours = sockets.clone();
        let (sender, outcomes): Outcomes = channel();
        let (sender, theirs) = (Mutex::new(sender), engine.clone());
        let options = Options::new().admission(move |request| {
            let (x, sub, endpoint) = ours.get().unwrap();
            let kind = |result: oncue::Result<()>| result.err().map(|error| error.kind());
            let caught =
                |body: &dyn Fn()| catch_unwind(AssertUnwindSafe(body)).err().map(|_| ErrorKind::Misuse);
            if request.prefix == b"again" {
                return Admission::Accept;
            }
            let elsewhere = Engine::start().unwrap();
            let mut text = String::new();
            let done = [
                ("bind", kind(x.bind(ENDPOINT).map(drop))),
                ("connect", kind(sub.connect(endpoint).map(drop))),
                (
                    "unbind",
                    x.unbind(endpoint).err().map(|error| {
                        text = error.to_string();
                        error.kind()
                    }),
                ),
                ("disconnect", kind(sub.disconnect(endpoint))),
                (
                    "a socket of another engine",
                    kind(XPub::new(&elsewhere, Options::new()).unwrap().bind(ENDPOINT).map(drop)),
                ),
                ("wait", caught(&|| drop(sub.recv().wait()))),
                (
                    "wait for the end",
                    caught(&|| _ = XPub::new(&theirs, Options::new()).unwrap().close().wait()),
                ),
                (
                    "a limited wait",
                    sub.recv().wait_timeout(Duration::from_millis(2)).map(|_| ErrorKind::Misuse),
                ),
                ("a socket", kind(Sub::new(&theirs, Options::new()).map(drop))),
                ("subscribe", kind(sub.subscribe("x").map(drop))),
                ("send", kind(x.send("x"))),
                ("demand", (!x.demand().snapshot().is_empty()).then_some(ErrorKind::Misuse)),
                ("stats", (x.stats().peers != 1).then_some(ErrorKind::Misuse)),
                ("wanted", x.wanted("x").then_some(ErrorKind::Misuse)),
            ];
            assert!(text.contains("unbind") && text.contains("another thread"), "{text}");
            done.into_iter().for_each(|outcome| sender.lock().unwrap().send(outcome).unwrap());
            Admission::Accept
        });
        let x = XPub::new(&engine, options).unwrap();
        let endpoint = x.bind(ENDPOINT).unwrap().to_string();
        let sub = Sub::new(&engine, Options::new()).unwrap();
        sockets.set((x.clone(), sub.clone(), endpoint.clone())).ok().unwrap();
        let peer = subscriber(&endpoint);
        peer.subscribe("first").unwrap();
        let refused = [
            "bind",
            "connect",
            "unbind",
            "disconnect",
            "a socket of another engine",
            "wait",
            "wait for the end",
        ];
        for _ in 0..14 {
            let (what, kind) = outcomes.recv_timeout(SOON).expect("it returns");
            let right = refused.contains(&what).then_some(ErrorKind::Misuse);
            assert!(kind == right || (what == "wait for the end" && kind.is_none()), "{what}: {kind:?}");
        }
        assert_eq!(wanted(&x), "first");
        // The engine goes on, and outside of the function nothing is refused.
        peer.subscribe("again").unwrap();
        assert_eq!(wanted(&x), "again");
        x.unbind(&endpoint).unwrap();
        x.close().wait();
    });
}

#[test]
fn routes_are_not_reloaded_by_their_own_rules() {
    in_time(|| {
        let od = Arc::<OnceLock<Arc<OnDemand>>>::default();
        let ours = od.clone();
        let (sender, outcomes) = channel();
        let sender = Mutex::new(sender);
        let new = OnDemand::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let built = new
            .route("clock")
            .admit(move |request| {
                let od = ours.get().unwrap();
                if request.prefix == b"clock" {
                    let routes = od.builder().route("other").every(Duration::from_secs(1), |_| "");
                    sender
                        .lock()
                        .unwrap()
                        .send(od.reload(routes).map_err(|e| (e.kind(), e.to_string())))
                        .unwrap();
                    assert_eq!((od.stats().now.running, od.route_stats().len()), (0, 1));
                    assert!(od.topic_stats().is_empty());
                } else {
                    od.stop();
                }
                Admission::Accept
            })
            .every(Duration::from_secs(1), |_| "tick")
            .bind(ENDPOINT)
            .unwrap()
            .start()
            .unwrap();
        let built = Arc::new(built);
        od.set(built.clone()).ok().unwrap();
        let sub = subscriber(&built.endpoint().unwrap().to_string());
        sub.subscribe("clock").unwrap();
        let (kind, text) = outcomes.recv_timeout(SOON).expect("it returns").expect_err("it is refused");
        assert_eq!(kind, ErrorKind::Misuse);
        assert!(text.starts_with("cannot reload routes in a function"), "{text}");
        assert_eq!(sub.recv().wait_timeout(SOON).expect("a value").unwrap().topic(), b"clock");
        // `stop` takes effect, and does not wait.
        sub.subscribe("").unwrap();
        built.stop();
    });
}

#[test]
fn routes_are_reloaded_by_what_is_called_elsewhere() {
    in_time(|| {
        let od = Arc::<OnceLock<Arc<OnDemand>>>::default();
        let reload = |od: &OnceLock<Arc<OnDemand>>, name: &str| {
            let Some(od) = od.get() else { return };
            let routes = od.builder().route(name).key("k").every(Duration::from_secs(1), |_| "later");
            od.reload(routes).unwrap();
        };
        let (ours, failing) = (od.clone(), od.clone());
        let built = OnDemand::bind(ENDPOINT)
            .unwrap()
            .on_failure(move |_, _| reload(&failing, "third"))
            .route("first")
            .every(Duration::from_millis(5), move |_| {
                reload(&ours, "second");
                if ours.get().is_some() {
                    panic!("a failure to be reported");
                }
                ""
            })
            .start()
            .unwrap();
        let built = Arc::new(built);
        od.set(built.clone()).ok().unwrap();
        let sub = subscriber(&built.endpoint().unwrap().to_string());
        sub.subscribe("third").unwrap();
        sub.subscribe("first").unwrap();
        assert_eq!(sub.recv().wait_timeout(SOON).expect("a value").unwrap().frame(1), Some(&b"later"[..]));
        built.stop();
    });
}
