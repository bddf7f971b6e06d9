//! Proxies that are made and dropped, and what passes through one that stays.

use std::time::Duration;

use oncue::proxy::ProxyOptions;
use oncue::{Options, Proxy, Pub, Sub, XPub, XSub};

use crate::raw::*;
use crate::{fresh, scenes_within};

const ROUNDS: u32 = 100;
/// A read buffer that goes back to its stock later than the round ends.
const BYTES_MORE_MAX: u64 = 1 << 20;

#[test]
fn proxies_leave_nothing() {
    let engine = engine();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let upstream = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let frontend = XSub::new(&engine, options()).unwrap();
    let backend = XPub::new(&engine, Options::new()).unwrap();
    frontend.connect(&upstream).unwrap();
    let downstream = backend.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let capture = Pub::new(&engine, Options::new()).unwrap();
    let how = || ProxyOptions::new().keep_last(true).grace(Duration::from_millis(1)).capture(&capture);
    let passes = |topic: &str| {
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.subscribe(topic).unwrap();
        subscriber.connect(&downstream).unwrap();
        assert_eq!(event(&publisher), format!("+{topic}"));
        publisher.send((topic, "x")).unwrap();
        subscriber.recv().wait_timeout(SOON).expect("a message in time").unwrap();
        let late = Sub::new(&engine, Options::new()).unwrap();
        late.subscribe(topic).unwrap().wait_timeout(SOON).unwrap();
        late.connect(&downstream).unwrap();
        late.recv().wait_timeout(SOON).expect("the last value in time").unwrap();
        drop((subscriber, late));
        assert_eq!(event(&publisher), format!("-{topic}"));
    };
    let stays = Proxy::with(&frontend, &backend, how()).unwrap();
    scenes_within(
        BYTES_MORE_MAX,
        ROUNDS,
        &[
            ("a topic through a relay", &|| passes("always")),
            ("ever new topics through a relay", &|| passes(&fresh().to_string())),
        ],
    );
    drop(stays);
    scenes_within(
        BYTES_MORE_MAX,
        ROUNDS,
        &[
            ("a proxy between sockets that stay", &|| {
                let proxy = Proxy::with(&frontend, &backend, how()).unwrap();
                passes("again");
                proxy.stop();
            }),
            ("a proxy and its sockets", &|| {
                let frontend = XSub::new(&engine, options()).unwrap();
                let backend = XPub::new(&engine, Options::new()).unwrap();
                frontend.connect(&upstream).unwrap();
                let proxy = Proxy::new(&frontend, &backend).unwrap();
                backend.close().wait();
                assert!(proxy.ended().wait_timeout(SOON).is_some());
                frontend.close().wait();
            }),
            ("a proxy whose handle is dropped after its sockets", &|| {
                let frontend = XSub::new(&engine, options()).unwrap();
                let backend = XPub::new(&engine, Options::new()).unwrap();
                let proxy = Proxy::new(&frontend, &backend).unwrap();
                drop((frontend, backend, proxy));
                // Waited for: the engine forgets closed sockets when it makes the next one.
                Pub::new(&engine, Options::new()).unwrap().close().wait();
            }),
        ],
    );
}
