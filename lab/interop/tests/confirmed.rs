//! Confirmed subscriptions with publishers of libzmq: they answer the PING behind the subscription.

use std::time::Duration;

use oncue::{Engine, Options, Sub};
use oncue_interop::foreign::Foreign;
use oncue_interop::{PATIENCE, within_a_minute};

#[test]
fn libzmq_confirms_that_it_has_read_a_subscription() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        for kind in ["PUB", "XPUB"] {
            let socket = Sub::new(&engine, Options::new()).expect("our SUB");
            let mut peer = Foreign::new(kind);
            let mut late = 0;
            socket.connect(&peer.bind("tcp://127.0.0.1:*")).expect("our SUB connects");
            for round in 0..100 {
                let topic = format!("{round:03}");
                let subscribed = socket.subscribe(&topic).expect("our SUB subscribes").at_least(1);
                let confirmed = subscribed.wait_timeout(PATIENCE).expect("our SUB is open");
                assert_eq!((confirmed.received, confirmed.publishers()), (1, 1), "{confirmed:?}");
                // Its socket takes the subscription at one of its user's next calls, not always at the first.
                let arrived = (0..1000).find(|_| {
                    peer.send(&[topic.as_bytes()]);
                    socket.recv().wait_timeout(Duration::from_millis(5)).is_some()
                });
                late += u32::from(arrived.expect("a message of many") > 0);
                while socket.recv().wait_timeout(Duration::from_millis(1)).is_some() {}
            }
            println!("{kind}: the first message did not arrive in {late} of 100 rounds");
        }
    });
}
