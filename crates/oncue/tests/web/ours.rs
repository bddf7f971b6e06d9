//! Between two of our sockets everything is as over TCP. More of the same: `sockets.rs` and `security.rs`, which run over all
//! transports.

use oncue::{OnFull, Options, State, Sub, XPub};

use crate::peer::{SOON, engine};

fn pair(publisher: Options, subscriber: Options) -> (XPub, Sub) {
    let engine = engine();
    let publisher = XPub::new(&engine, publisher).unwrap();
    let subscriber = Sub::new(&engine, subscriber).unwrap();
    let endpoint = publisher.bind("ws://127.0.0.1:*").unwrap();
    subscriber.connect(&endpoint.to_string()).unwrap();
    (publisher, subscriber)
}

#[test]
fn subscriptions_are_confirmed_and_states_are_told() {
    let (publisher, subscriber) = pair(Options::new(), Options::new());
    let confirmed = subscriber.subscribe("x").unwrap().at_least(1).wait_timeout(SOON).unwrap();
    assert_eq!(confirmed.in_force, 1, "{confirmed:?}");
    publisher.set_state("xyz", State::Stale, "no source").unwrap();
    let state = subscriber.state().wait_timeout(SOON).expect("a state within the time").unwrap();
    assert_eq!((&state.topic[..], state.state, &state.text[..]), (&b"xyz"[..], State::Stale, "no source"));
}

#[test]
fn what_is_missed_is_told_and_nothing_is_lost_otherwise() {
    let (publisher, subscriber) =
        pair(Options::new().send_hwm(2).on_full(OnFull::DropNewest), Options::new().recv_hwm(1));
    subscriber.subscribe("").unwrap().at_least(1).wait_timeout(SOON).unwrap();
    // More than the systems of both sides hold.
    let sent = 40;
    for _ in 0..sent {
        publisher.send(("topic", vec![0; 4 << 20])).unwrap();
    }
    let (mut received, mut told) = (0, 0);
    while received + told < sent {
        if subscriber.recv().wait_timeout(std::time::Duration::from_millis(20)).transpose().unwrap().is_some()
        {
            received += 1;
        }
        while let Some(missed) = subscriber.try_missed().unwrap() {
            told += missed.messages + missed.unseen;
        }
    }
    assert_eq!(received + told, sent);
    assert!(told > 0 && received > 0, "{received} received, {told} missed");
    let stats = publisher.stats();
    assert_eq!((stats.delivered, stats.missed + stats.outbox_full), (received, told), "{stats:?}");
}
