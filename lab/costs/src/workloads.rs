//! The measured workloads: the most used paths of messages, each in identical rounds.

use std::collections::HashSet;
use std::hint::black_box;
use std::os::unix::net::UnixListener;

use oncue::{AllowAny, Batch, Engine, Options, Sub, XPub, XPubEvent};

use crate::count::{Counts, during};
use crate::fanout::{
    FanOut, MARKET_MESSAGES, MESSAGES_TO_ALL, MESSAGES_TO_ONE, MESSAGES_TO_TEN, market,
    to_all_with_prefixes_of_their_own, to_one_of_many, to_ten_of,
};
use crate::gate::Gate;
use crate::raw::{self, Peer};
use crate::sealed;

/// One workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Messages per round.
    pub(crate) messages: usize,
    /// Rounds of the short run; they include all one-time work.
    pub(crate) rounds_few: usize,
    pub(crate) rounds_many: usize,
    kind: Kind,
}

enum Kind {
    /// Runs this number of rounds. A message has one receiver at most.
    Plain(fn(usize) -> Counts),
    FanOut(fn() -> FanOut),
}

impl Workload {
    /// Runs this number of rounds.
    pub(crate) fn run(&self, rounds: usize) -> Counts {
        match self.kind {
            Kind::Plain(run) => run(rounds),
            Kind::FanOut(fan) => fan_out(rounds, &fan()),
        }
    }

    /// Deliveries of one message, on average.
    pub(crate) fn deliveries(&self) -> f64 {
        match self.kind {
            Kind::Plain(_) => 1.0,
            Kind::FanOut(fan) => fan().deliveries,
        }
    }
}

/// In the order of the reference file.
pub(crate) const WORKLOADS: &[Workload] = &[
    workload("send-16", sends(16), ROUNDS_WARM, ROUNDS_WARM + 10, |rounds| send(rounds, 16)),
    workload("send-64", sends(64), ROUNDS_WARM, ROUNDS_WARM + 30, |rounds| send(rounds, 64)),
    workload("send-many-16", sends(16), ROUNDS_WARM, ROUNDS_WARM + 10, |rounds| send_many(rounds, 16)),
    workload("send-many-64", sends(64), ROUNDS_WARM, ROUNDS_WARM + 30, |rounds| send_many(rounds, 64)),
    workload("send-8192", 1, 100, 2100, send_large),
    workload("recv-16", RECEIVED, 10, 60, recv),
    workload("recv-many-16", RECEIVED, 10, 110, recv_many),
    fans("fan-out-10-of-100", MESSAGES_TO_TEN, 2, 18, || to_ten_of(100, |prefix| 10 + prefix / 100)),
    fans("fan-out-10-of-1000", MESSAGES_TO_TEN, 1, 5, || to_ten_of(1000, |_| 97)),
    fans("fan-out-1-of-100", MESSAGES_TO_ONE, 2, 18, to_one_of_many),
    fans("fan-out-own-prefix-100", MESSAGES_TO_ALL, 2, 10, to_all_with_prefixes_of_their_own),
    fans("market-64", MARKET_MESSAGES, 2, 10, market),
    workload("send-sealed-64", sealed_sends(64), ROUNDS_WARM, ROUNDS_WARM + 10, |rounds| {
        send_sealed(rounds, 64)
    }),
    workload("send-sealed-1024", sealed_sends(1024), ROUNDS_WARM, ROUNDS_WARM + 20, |rounds| {
        send_sealed(rounds, 1024)
    }),
    workload("recv-sealed-64", SEALED, 10, 110, |rounds| recv_sealed(rounds, 64)),
    workload("recv-sealed-1024", SEALED, 10, 110, |rounds| recv_sealed(rounds, 1024)),
    workload("send-unsubscribed", UNWANTED, ROUNDS_WARM, ROUNDS_WARM + 10, send_unsubscribed),
    workload("send-with-unwanted", UNWANTED, 1, 11, send_with_unwanted),
];

/// After this number of rounds every reused buffer has its final size.
const ROUNDS_WARM: usize = 20;
const BATCH: usize = 500;
const UNWANTED: usize = 10_000;
/// Messages that one read brings; fewer than the default high-water mark.
const RECEIVED: usize = 900;

/// Sealed messages of a round; the kernel's buffers take them all.
const SEALED: usize = 100;

/// As [`sends`], for sealed messages.
const fn sealed_sends(size: usize) -> usize {
    150_000 / sealed::sealed_bytes(size)
}

/// How many messages of `size` bytes a round has. The kernel's buffers must take them all, since with full buffers chance
/// decides the number of writes; within that as many as possible, since holding the I/O thread costs a little too.
const fn sends(size: usize) -> usize {
    (160_000 / raw::wire_bytes(size)).next_multiple_of(BATCH)
}

const fn workload(
    name: &'static str,
    messages: usize,
    rounds_few: usize,
    rounds_many: usize,
    run: fn(usize) -> Counts,
) -> Workload {
    Workload { name, messages, rounds_few, rounds_many, kind: Kind::Plain(run) }
}

const fn fans(
    name: &'static str,
    messages: usize,
    rounds_few: usize,
    rounds_many: usize,
    fan: fn() -> FanOut,
) -> Workload {
    Workload { name, messages, rounds_few, rounds_many, kind: Kind::FanOut(fan) }
}

/// A publisher, and raw subscribers whose subscriptions are in force.
struct Stage {
    publisher: XPub,
    peers: Vec<Peer>,
    gate: Gate,
    opening: Batch,
}

/// The topic of a message that opens each round.
const OPENING: &str = "~";

impl Stage {
    /// One subscriber for each set of prefixes; the last prefix of each set must be in no other set.
    fn new(sets: &[Vec<String>]) -> Stage {
        Stage::with(options(), sets, || sets.iter().map(|set| Peer::subscriber(set)).collect())
    }

    /// The same, with the peers that `connect` makes.
    fn with(options: Options, sets: &[Vec<String>], connect: impl FnOnce() -> Vec<Peer>) -> Stage {
        let engine = Engine::start().expect("an engine");
        let publisher = XPub::new(&engine, options).expect("a socket");
        publisher.bind(&raw::endpoint()).expect("a path of its own");
        let mut awaited: HashSet<&str> =
            sets.iter().filter_map(|set| set.last()).map(String::as_str).collect();
        assert_eq!(awaited.len(), sets.len(), "the last prefixes are distinct");
        let peers = connect();
        while !awaited.is_empty() {
            if let XPubEvent::Wanted(prefix) = publisher.event().wait().expect("subscriptions come") {
                awaited.retain(|last| last.as_bytes() != &prefix[..]);
            }
        }
        Stage { publisher, peers, gate: Gate::new(&engine), opening: Batch::new() }
    }

    /// Sends while the I/O thread stands still. A batch with one message of the topic [`OPENING`] goes first: every message
    /// after it is queued; otherwise the sending thread would write the first ones directly.
    fn at_once(&mut self, send: impl FnOnce(&XPub)) {
        self.gate.hold();
        self.opening.push(OPENING).expect("a small batch");
        self.publisher.send_many(&mut self.opening).expect("there is room");
        send(&self.publisher);
        self.gate.open();
    }
}

fn options() -> Options {
    Options::new().send_hwm(1 << 20).outbox_bytes_max(64 << 20)
}

fn set(prefix: &str) -> Vec<String> {
    vec![prefix.to_owned()]
}

fn send(rounds: usize, size: usize) -> Counts {
    let mut stage = Stage::new(&[set("")]);
    let payload = vec![b'x'; size];
    during(|| {
        for _ in 0..rounds {
            stage.at_once(|publisher| {
                for _ in 0..sends(size) {
                    publisher.send(&payload[..]).expect("there is room");
                }
            });
            stage.peers[0].read(raw::wire_bytes(OPENING.len()) + sends(size) * raw::wire_bytes(size));
        }
    })
}

fn send_sealed(rounds: usize, size: usize) -> Counts {
    let options = options().curve_server(sealed::server(), AllowAny);
    let mut stage = Stage::with(options, &[set("")], || vec![sealed::subscriber()]);
    let payload = vec![b'x'; size];
    let bytes = sealed::sealed_bytes(OPENING.len()) + sealed_sends(size) * sealed::sealed_bytes(size);
    during(|| {
        for _ in 0..rounds {
            stage.at_once(|publisher| {
                for _ in 0..sealed_sends(size) {
                    publisher.send(&payload[..]).expect("there is room");
                }
            });
            stage.peers[0].read(bytes);
        }
    })
}

fn send_many(rounds: usize, size: usize) -> Counts {
    let mut stage = Stage::new(&[set("")]);
    let payload = vec![b'x'; size];
    let mut batch = Batch::new();
    during(|| {
        for _ in 0..rounds {
            stage.gate.hold();
            for _ in 0..sends(size) / BATCH {
                for _ in 0..BATCH {
                    batch.push(&payload[..]).expect("a small batch");
                }
                stage.publisher.send_many(&mut batch).expect("there is room");
            }
            stage.gate.open();
            stage.peers[0].read(sends(size) * raw::wire_bytes(size));
        }
    })
}

/// Messages that are large enough for a separate write by the sending thread. The I/O thread stands still, since it would
/// interfere at times: it wakes up whenever the subscriber has read.
fn send_large(rounds: usize) -> Counts {
    let mut stage = Stage::new(&[set("")]);
    let payload = vec![b'x'; 8192];
    stage.gate.hold();
    let counts = during(|| {
        for _ in 0..rounds {
            stage.publisher.send(&payload[..]).expect("there is room");
            stage.peers[0].read(raw::wire_bytes(payload.len()));
        }
    });
    stage.gate.open();
    counts
}

/// A subscriber to everything, and its raw publisher.
fn subscriber() -> (Sub, Peer) {
    let (subscriber, listener) = connecting(Options::new());
    let peer = Peer::publisher(&listener);
    std::fs::remove_file(raw::path()).expect("it was made above");
    (subscriber, peer)
}

fn connecting(options: Options) -> (Sub, UnixListener) {
    let engine = Engine::start().expect("an engine");
    let listener = UnixListener::bind(raw::path()).expect("a path of its own");
    let subscriber = Sub::new(&engine, options).expect("a socket");
    subscriber.subscribe("").expect("a subscription");
    subscriber.connect(&raw::endpoint()).expect("an endpoint");
    (subscriber, listener)
}

/// What the raw publisher needs to seal the messages is in it.
fn recv_sealed(rounds: usize, size: usize) -> Counts {
    let options = Options::new().curve_client(sealed::client(), *sealed::server().public());
    let (subscriber, listener) = connecting(options);
    let (mut peer, mut sealer) = sealed::publisher(Peer::accept(&listener));
    std::fs::remove_file(raw::path()).expect("it was made above");
    let payload = vec![b'x'; size];
    let mut block = Vec::new();
    during(|| {
        for _ in 0..rounds {
            block.clear();
            for _ in 0..SEALED {
                sealed::put_sealed(&mut sealer, &payload, false, &mut block);
            }
            peer.write(&block);
            for _ in 0..SEALED {
                let message = subscriber.recv().wait().expect("a message comes");
                black_box(message.topic().len());
            }
        }
    })
}

fn recv(rounds: usize) -> Counts {
    let (subscriber, mut peer) = subscriber();
    let block = raw::message(&[b'x'; 16]).repeat(RECEIVED);
    during(|| {
        for _ in 0..rounds {
            peer.write(&block);
            for _ in 0..RECEIVED {
                let message = subscriber.recv().wait().expect("a message comes");
                black_box(message.topic().len());
            }
        }
    })
}

fn recv_many(rounds: usize) -> Counts {
    let (subscriber, mut peer) = subscriber();
    let block = raw::message(&[b'x'; 16]).repeat(RECEIVED);
    during(|| {
        for _ in 0..rounds {
            peer.write(&block);
            let mut received = 0;
            while received < RECEIVED {
                let messages = subscriber.recv_many().wait().expect("messages come");
                for message in messages.iter() {
                    black_box(message.topic().len());
                    received += 1;
                }
            }
        }
    })
}

fn fan_out(rounds: usize, fan: &FanOut) -> Counts {
    let mut stage = Stage::new(&fan.sets);
    during(|| {
        for _ in 0..rounds {
            stage.at_once(|publisher| {
                for message in &fan.messages {
                    publisher.send(message).expect("there is room");
                }
            });
            for (peer, bytes) in stage.peers.iter_mut().zip(&fan.bytes) {
                peer.read(*bytes);
            }
        }
    })
}

/// The connected subscriber wants another topic; a last message that it wants shows that all were processed.
fn send_unsubscribed(rounds: usize) -> Counts {
    let mut stage = Stage::new(&[set("wanted")]);
    during(|| {
        for _ in 0..rounds {
            stage.at_once(|publisher| {
                for _ in 0..UNWANTED - 1 {
                    publisher.send("unwanted").expect("there is room");
                }
                publisher.send("wanted").expect("there is room");
            });
            stage.peers[0].read(raw::wire_bytes("wanted".len()));
        }
    })
}

fn send_with_unwanted(rounds: usize) -> Counts {
    let stage = Stage::new(&[set("wanted")]);
    during(|| {
        for _ in 0..rounds * UNWANTED {
            let sent =
                stage.publisher.send_with("unwanted", || -> &str { unreachable!("no subscriber wants it") });
            assert!(!sent.expect("the socket is open"));
        }
    })
}
