//! Peers that connect, misbehave and leave, while the socket stays.

use oncue::{Admission, OnFull, Options, Pub, Sub, XPub};

use crate::raw::*;
use crate::{BYTES_MORE_MAX, fresh, scenes_within};

const ROUNDS: u32 = 150;

/// More than a connection's buffers and a queue hold together.
const FLOOD: usize = 40;
/// How much a socket may keep of the buffers of such a flood: less than one flood.
const STOCK_BYTES: u64 = 6 << 20;

/// A name, and what a peer does.
type Scene<'a> = (&'a str, &'a dyn Fn(&Door));

/// What a peer may do; the events of the socket are taken meanwhile.
fn misbehave<S: Socket>(bytes_more_max: u64, socket: &S, rounds: &[Scene], take: impl Fn()) {
    let door = Door::new(socket, Side::Binding);
    // As many at once as there may be later, so that the tables have their final size: a peer with a handshake is there,
    // where a connection may not be accepted before the first ones have left.
    drop((0..ROUNDS).map(|_| door.peer(Zmtp::V3_1)).collect::<Vec<_>>());
    let rounds: Vec<_> = rounds
        .iter()
        .map(|(name, round)| {
            let (door, take) = (&door, &take);
            let name = format!("{}: {name}", S::TYPE);
            let round = move || {
                round(door);
                take();
            };
            (name, round)
        })
        .collect();
    let rounds: Vec<(&str, &dyn Fn())> =
        rounds.iter().map(|(name, round)| (name.as_str(), round as &dyn Fn())).collect();
    let rounds_few = if bytes_more_max == STOCK_BYTES { ROUNDS / 10 } else { ROUNDS };
    scenes_within(bytes_more_max, rounds_few, &rounds);
}

/// A peer that sends this once it is connected, and leaves when our side has ended the connection, or at once.
fn says(door: &Door, bytes: &[u8], ended: bool) {
    let mut peer = door.stranger();
    peer.send_anyway(bytes);
    if ended {
        peer.ended();
    }
}

const STRANGERS: &[Scene] = &[
    ("says nothing", &|door| drop(door.stranger())),
    ("says nothing, and half closes", &|door| {
        let mut peer = door.stranger();
        peer.finish();
        peer.ended();
    }),
    ("half a greeting", &|door| says(door, &GREETING_3_1[..30], false)),
    ("half a handshake, and resets", &|door| {
        let mut peer = door.stranger();
        peer.send([GREETING_3_1, &b"\x04\x19\x05REA"[..]].concat());
        peer.reset();
    }),
    ("speaks HTTP", &|door| says(door, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true)),
    ("another mechanism", &|door| {
        let mut greeting = *GREETING_3_1;
        greeting[12..17].copy_from_slice(b"PLAIN");
        says(door, &greeting, true);
    }),
    ("another kind of socket", &|door| says(door, &Zmtp::V3_1.hello("REQ"), true)),
    ("a handshake and garbage", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send_anyway([0xff; 5000]);
        peer.ended();
    }),
    ("a message that is too large", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send_anyway(b"\x02\0\0\x01\0\0\0\0\0");
        peer.ended();
    }),
    ("a message that is begun", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([&frame(1, b"begun")[..], b"\x02\0\0\0\0\0\x0f\0\0", &[7; 300_000]].concat());
        peer.reset();
    }),
    ("a thousand PINGs, and never reads", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send_anyway(ping([7; 16]).repeat(1000));
        peer.reset();
    }),
    ("unknown commands", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(command("WHATEVER", [0; 1000]).repeat(20));
        peer.barrier();
    }),
];

const SUBSCRIBERS: &[Scene] = &[
    ("a hundred prefixes, then FIN", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send((0..100).flat_map(|_| subscribe(format!("prefix/{}", fresh()))).collect::<Vec<_>>());
        peer.barrier();
        peer.finish();
        peer.ended();
    }),
    ("a hundred prefixes, then a reset", &|door| {
        let mut peer = door.peer(Zmtp::V3_0);
        peer.send(
            (0..100).flat_map(|_| Zmtp::V3_0.subscribe(format!("prefix/{}", fresh()))).collect::<Vec<_>>(),
        );
        peer.reset();
    }),
    ("a large prefix", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(subscribe(vec![b'p'; 60_000]));
        peer.barrier();
    }),
    ("a hundred toggles", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        let topic = format!("toggled/{}", fresh());
        peer.send([subscribe(&topic), cancel(&topic)].concat().repeat(100));
        peer.barrier();
    }),
    ("cancels what it has not", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send((0..100).flat_map(|_| cancel(format!("prefix/{}", fresh()))).collect::<Vec<_>>());
        peer.barrier();
    }),
    ("version 2.0 comes and goes", &|door| {
        let mut peer = door.peer(Zmtp::V2_0);
        peer.send(Zmtp::V2_0.subscribe("old"));
        peer.finish();
        peer.ended();
    }),
    ("messages that are no subscriptions", &|door| {
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(message(&[&[7; 100][..], b"second"]).repeat(50));
        peer.barrier();
        peer.reset();
    }),
];

#[test]
fn strangers_of_a_pub_leave_nothing() {
    let publisher = Pub::new(&engine(), options()).unwrap();
    misbehave(BYTES_MORE_MAX, &publisher, STRANGERS, || ());
    misbehave(BYTES_MORE_MAX, &publisher, SUBSCRIBERS, || ());
}

#[test]
fn strangers_of_an_xpub_leave_nothing() {
    let publisher = XPub::new(&engine(), options()).unwrap();
    let take = || while publisher.try_event().unwrap().is_some() {};
    misbehave(BYTES_MORE_MAX, &publisher, STRANGERS, take);
    misbehave(BYTES_MORE_MAX, &publisher, SUBSCRIBERS, take);
}

#[test]
fn strangers_of_a_sub_leave_nothing() {
    let subscriber = Sub::new(&engine(), options()).unwrap();
    misbehave(BYTES_MORE_MAX, &subscriber, STRANGERS, || ());
    let publishers: &[Scene] = &[
        ("messages that nobody wants", &|door| {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(message(&[&[7; 1000][..], b"second"]).repeat(50));
            peer.barrier();
        }),
        ("states that nobody wants", &|door| {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send(
                (0..50).flat_map(|_| command("STATE", format!("\x01\0\0{}", fresh()))).collect::<Vec<_>>(),
            );
            peer.send_anyway(ping("x"));
        }),
        ("subscribes", &|door| {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send_anyway(subscribe("x"));
            peer.reset();
        }),
    ];
    misbehave(BYTES_MORE_MAX, &subscriber, publishers, || ());
}

#[test]
fn peers_that_do_not_read_leave_nothing() {
    for policy in [OnFull::DropNewest, OnFull::Refuse, OnFull::Disconnect] {
        let options = options().on_full(policy).send_hwm(5);
        let publisher = XPub::new(&engine(), options).unwrap();
        let flood = |door: &Door, kept: bool| {
            let mut peer = door.peer(Zmtp::V3_1);
            let topic = format!("flood/{}", fresh());
            peer.send(subscribe(&topic));
            assert_eq!(event(&publisher), format!("+{topic}"));
            for _ in 0..FLOOD {
                // With OnFull::Refuse it is refused.
                let _ = match kept {
                    true => publisher.send_last((&topic, [0; 200_000])),
                    false => publisher.send((&topic, [0; 200_000])),
                };
            }
            publisher.forget_last(&topic);
            peer.reset();
            assert_eq!(event(&publisher), format!("-{topic}"));
        };
        misbehave(
            STOCK_BYTES,
            &publisher,
            &[
                (&format!("{policy:?}, never reads"), &|door| flood(door, false)),
                (&format!("{policy:?}, never reads last values"), &|door| flood(door, true)),
            ],
            || (),
        );
    }
}

#[test]
fn requests_that_are_not_granted_leave_nothing() {
    let options = Options::new().admission(|request| match request.prefix.first() {
        Some(b'd') => Admission::Defer,
        Some(b'r') => Admission::Reject("no".into()),
        _ => Admission::Accept,
    });
    let publisher = XPub::new(&engine(), options).unwrap();
    let asks = |first: char| {
        move |door: &Door| {
            let mut peer = door.peer(Zmtp::V3_1);
            peer.send((0..50).flat_map(|_| subscribe(format!("{first}{}", fresh()))).collect::<Vec<_>>());
            peer.send_anyway(ping("x"));
            peer.take(1);
        }
    };
    let take = || while publisher.try_event().unwrap().is_some() {};
    misbehave(
        BYTES_MORE_MAX,
        &publisher,
        &[
            ("asks for what is deferred", &asks('d')),
            ("asks for what is rejected", &asks('r')),
            ("asks for what is granted and revoked", &|door| {
                let mut peer = door.peer(Zmtp::V3_1);
                let topic = format!("granted/{}", fresh());
                peer.send(subscribe(&topic));
                peer.barrier();
                publisher.revoke_all(&topic, "over");
            }),
        ],
        take,
    );
}
