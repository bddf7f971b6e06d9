//! Confirmed subscriptions with publishers of libzmq: they answer the PING behind the subscription.

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
            socket.connect(&peer.bind("tcp://127.0.0.1:*")).expect("our SUB connects");
            for round in 0..100 {
                let topic = format!("{round:03}");
                let subscribed = socket.subscribe(&topic).expect("our SUB subscribes").at_least(1);
                let confirmed = subscribed.wait_timeout(PATIENCE).expect("our SUB is open");
                assert_eq!((confirmed.received, confirmed.publishers()), (1, 1), "{confirmed:?}");
                // Its user calls the socket, which puts the subscription into force.
                peer.send(&[topic.as_bytes()]);
                let received = socket.recv().wait_timeout(PATIENCE).expect("a message").expect("a message");
                assert_eq!(received.topic(), topic.as_bytes());
            }
        }
    });
}
