//! Our proxy between sockets of libzmq, with their publisher and their subscribers on either side of a bind.

use std::collections::BTreeSet;

use oncue::{Engine, Options, Proxy, XPub, XSub};
use oncue_interop::foreign::{Foreign, burst_topic};
use oncue_interop::within_a_minute;

const TCP: &str = "tcp://127.0.0.1:0";
const THEIR_TCP: &str = "tcp://127.0.0.1:*";
/// More than libzmq sends at its default high-water mark.
const BURST: usize = 20_000;

/// Their XPUB, our proxy, and where subscribers meet it.
struct Scene {
    publisher: Foreign,
    frontend: XSub,
    backend: XPub,
    _proxy: Proxy,
}

impl Scene {
    fn new(publisher_binds: bool) -> Scene {
        let engine = Engine::start().expect("an engine");
        let frontend = XSub::new(&engine, Options::new()).expect("our XSUB");
        let backend = XPub::new(&engine, Options::new()).expect("our XPUB");
        let proxy = Proxy::new(&frontend, &backend).expect("our proxy");
        let mut publisher = Foreign::new("XPUB").set("RCVHWM", 0).set("SNDHWM", 0);
        match publisher_binds {
            true => _ = frontend.connect(&publisher.bind(THEIR_TCP)).expect("our XSUB connects"),
            false => publisher.connect(&frontend.bind(TCP).expect("our XSUB binds").to_string()),
        }
        Scene { publisher, frontend, backend, _proxy: proxy }
    }

    fn subscriber(&self, binds: bool, prefixes: &[&[u8]]) -> Foreign {
        let mut subscriber = Foreign::new("SUB");
        prefixes.iter().for_each(|prefix| subscriber.subscribe(prefix));
        match binds {
            true => _ = self.backend.connect(&subscriber.bind(THEIR_TCP)).expect("our XPUB connects"),
            false => subscriber.connect(&self.backend.bind(TCP).expect("our XPUB binds").to_string()),
        }
        subscriber
    }

    /// What their publisher is told next: this number of changes, in any order.
    fn told(&mut self, count: usize) -> BTreeSet<Vec<u8>> {
        (0..count).map(|_| self.publisher.recv().concat()).collect()
    }
}

fn set(events: &[&[u8]]) -> BTreeSet<Vec<u8>> {
    events.iter().map(|event| event.to_vec()).collect()
}

#[test]
fn behind_our_proxy_their_publisher_is_told_the_truth() {
    within_a_minute(|| {
        for (publisher_binds, subscribers_bind) in [(true, false), (false, true)] {
            let mut scene = Scene::new(publisher_binds);
            let mut one = scene.subscriber(subscribers_bind, &[b"a", b"b"]);
            assert_eq!(scene.told(2), set(&[b"\x01a", b"\x01b"]));
            let other = scene.subscriber(subscribers_bind, &[b"b", b"c"]);
            assert_eq!(scene.told(1), set(&[b"\x01c"]));
            for topic in ["a", "b", "c", "d"] {
                scene.publisher.send(&[topic, "1"]);
            }
            assert_eq!([one.recv(), one.recv()], [[b"a", b"1"], [b"b", b"1"]]);
            // A crash: "b" is still wanted by the other one.
            one.kill();
            assert_eq!(scene.told(1), set(&[b"\0a"]));
            let mut other = other;
            assert_eq!([other.recv(), other.recv()], [[b"b", b"1"], [b"c", b"1"]]);
            other.unsubscribe(b"b");
            assert_eq!(scene.told(1), set(&[b"\0b"]));
            other.close();
            assert_eq!(scene.told(1), set(&[b"\0c"]));
            assert_eq!(scene.frontend.prefix_count(), 0);
        }
    });
}

#[test]
fn a_burst_of_subscriptions_passes_our_proxy_and_so_does_its_end() {
    within_a_minute(|| {
        let mut scene = Scene::new(true);
        let mut subscriber = Foreign::new("SUB").set("SNDHWM", 0);
        subscriber.connect(&scene.backend.bind(TCP).expect("our XPUB binds").to_string());
        subscriber.subscribe_burst(BURST);
        scene.publisher.expect_burst(BURST);
        scene.publisher.send(&[burst_topic(7)]);
        assert_eq!(subscriber.recv(), [burst_topic(7).as_bytes()]);
        subscriber.kill();
        let gone = scene.told(BURST);
        assert_eq!(gone.len(), BURST);
        assert!(gone.iter().all(|event| event[0] == 0));
    });
}

#[test]
fn messages_pass_our_proxy_whole() {
    within_a_minute(|| {
        let mut scene = Scene::new(false);
        let mut subscriber = scene.subscriber(false, &[b""]);
        assert_eq!(scene.told(1), set(&[b"\x01"]));
        let large = vec![7; 3 << 20];
        for n in 0..50_u8 {
            let body = if n % 10 == 0 { &large[..] } else { b"small" };
            scene.publisher.send(&[&[n][..], b"", body]);
        }
        for n in 0..50_u8 {
            let frames = subscriber.recv();
            assert_eq!((&frames[0][..], frames[1].len()), (&[n][..], 0));
            assert_eq!(frames[2].len(), if n % 10 == 0 { large.len() } else { 5 });
        }
    });
}
