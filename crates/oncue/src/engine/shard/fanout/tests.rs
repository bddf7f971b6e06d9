//! The fan-out against a naive filter, from seeds.

use std::collections::{BTreeMap, BTreeSet};

use oncue_core::ledger::{PeerId, Quota};

use super::*;
use crate::engine::wire::chunk::REFERENCE_PART;
use oncue_testing::{Rng, for_seeds};

const SHARDS: u16 = 3;

/// A ledger, and a plain copy of what it holds.
struct Model {
    ledger: Ledger,
    peers: BTreeMap<PeerId, (u16, BTreeSet<Vec<u8>>)>,
}

impl Model {
    fn random(rng: &mut Rng) -> Model {
        let ledger = Ledger::new(rng.next(), Quota { prefixes_max: 1000, prefix_bytes_max: 1 << 20 });
        let mut model = Model { ledger, peers: BTreeMap::new() };
        for token in 0..1 + rng.below(12) {
            let shard = rng.below(SHARDS);
            model.peers.insert(model.ledger.attach(shard, token), (shard, BTreeSet::new()));
        }
        model.change(rng);
        model
    }

    /// Subscribes and cancels at random; not every peer settles.
    fn change(&mut self, rng: &mut Rng) {
        let everything_only = rng.below(6) == 0;
        for (&peer, (_, set)) in &mut self.peers {
            for _ in 0..rng.below(5) {
                let prefix = if everything_only { Vec::new() } else { word(rng, 3) };
                if rng.below(4) > 0 {
                    self.ledger.subscribe(peer, &prefix).unwrap();
                    set.insert(prefix);
                } else {
                    self.ledger.cancel(peer, &prefix);
                    set.remove(&prefix);
                }
            }
            if rng.below(5) > 0 {
                self.ledger.settle(peer);
            }
        }
    }

    fn wants(&self, peer: PeerId, topic: &[u8]) -> bool {
        self.peers[&peer].1.iter().any(|prefix| topic.starts_with(prefix))
    }
}

/// Over two letters, so that words are prefixes of each other.
fn word(rng: &mut Rng, len_max: u64) -> Vec<u8> {
    (0..rng.below(len_max + 1)).map(|_| b'a' + rng.below(2) as u8).collect()
}

/// Messages in wire encoding, all different, some long, with topics that come several times in a row.
fn random_chunks(rng: &mut Rng) -> Vec<Arc<Chunk>> {
    let mut number = 0u32;
    let mut topic = Vec::new();
    let mut chunk = |rng: &mut Rng| {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..1 + rng.below(40) {
            if rng.below(3) > 0 {
                topic = word(rng, 5);
                if rng.below(30) == 0 {
                    topic.resize(300, b'a');
                }
            }
            let payload_len = if rng.below(15) == 0 { rng.below(2000) } else { rng.below(20) };
            let payload = vec![0xee; payload_len as usize];
            frame::put_message(&mut bytes, [&topic[..], &number.to_be_bytes(), &payload]);
            ends.push(bytes.len() as u32);
            number += 1;
        }
        Arc::new(Chunk::new(bytes, ends))
    };
    (0..rng.below(6)).map(|_| chunk(rng)).collect()
}

/// All messages with their places, in order, and the place behind the last one.
fn places(chunks: &[Arc<Chunk>]) -> Vec<(Place, &[u8])> {
    let of = |(chunk, c): (usize, &'_ Arc<Chunk>)| -> Vec<Place> {
        (0..c.len()).map(|message| Place { chunk, message }).collect()
    };
    let places = chunks.iter().enumerate().flat_map(of);
    places.map(|place| (place, chunks[place.chunk].message(place.message))).collect()
}

/// What the last pass has for each audience.
fn drain(fanout: &mut Fanout, chunks: &[Arc<Chunk>]) -> Vec<(AudienceId, Vec<Run>)> {
    let (routed, mut gather) = (fanout.take(), Gather::default());
    let of = |&audience: &AudienceId| {
        let runs = routed.runs(audience, chunks, &mut gather);
        assert_eq!(runs.iter().map(Run::messages).sum::<u64>(), routed.messages(audience));
        (audience, runs)
    };
    let drained = routed.touched().iter().map(of).collect();
    fanout.put_back(routed);
    drained
}

/// Routes from `from` and checks the result. Returns the next place.
fn check_route(
    rng: &mut Rng,
    model: &Model,
    fanout: &mut Fanout,
    chunks: &[Arc<Chunk>],
    from: Place,
    scarce: bool,
) -> Place {
    let shard = fanout.shard;
    let mut rooms: BTreeMap<AudienceId, u64> = BTreeMap::new();
    let stop = match scarce {
        false => fanout.route(&model.ledger, chunks, from),
        true => fanout.route_limited(&model.ledger, chunks, from, u64::MAX, |audience| {
            let room = rng.below(30);
            assert!(rooms.insert(audience, room).is_none(), "asked once");
            room
        }),
    };
    let all = places(chunks);
    let at = |place: Place| all.iter().position(|(p, _)| *p == place);
    let end = Place { chunk: chunks.len(), message: 0 };
    let first = at(from).unwrap_or(all.len());
    let last = if stop == end { all.len() } else { at(stop).expect("a stop is a message's place") };
    let routed = &all[first..last];
    let topics = routed.iter().map(|(_, wire)| frame::topic(wire));

    let mut drained: BTreeMap<AudienceId, Vec<Run>> = BTreeMap::new();
    for (audience, runs) in drain(fanout, chunks) {
        assert_eq!(model.ledger.shard_of(audience), shard);
        assert!(drained.insert(audience, runs).is_none(), "an audience comes once");
    }
    for (&peer, (peer_shard, _)) in model.peers.iter().filter(|(_, (s, _))| *s == shard) {
        let audience = model.ledger.audience_of(peer);
        let runs = audience.and_then(|a| drained.get(&a)).map_or(&[][..], |runs| runs);
        let wanted: Vec<_> =
            routed.iter().filter(|(_, wire)| model.wants(peer, frame::topic(wire))).collect();
        let expected: Vec<u8> = wanted.iter().flat_map(|(_, wire)| wire.iter().copied()).collect();
        let got: Vec<u8> = runs.iter().flat_map(|run| run.bytes().iter().copied()).collect();
        assert!(got == expected, "what {peer:?} of shard {peer_shard} gets");
        assert_eq!(runs.iter().map(Run::messages).sum::<u64>(), wanted.len() as u64);
        if let Some(room) = audience.and_then(|a| rooms.get(&a)) {
            assert!(wanted.len() as u64 <= *room, "no more than there is room for");
        }
        check_runs(chunks, runs);
    }
    if stop != end {
        // A peer of this shard wants the message at the stop, and has no room left.
        let topic = frame::topic(all[last].1);
        let full = rooms.iter().any(|(&audience, &room)| {
            let peer = model.ledger.peers(audience)[0];
            let had = topics.clone().filter(|t| model.wants(peer, t)).count() as u64;
            model.wants(peer, topic) && had == room
        });
        assert!(full, "it stops only where somebody has no room");
    }
    stop
}

/// Long parts of a chunk are referenced, short ones copied.
fn check_runs(chunks: &[Arc<Chunk>], runs: &[Run]) {
    for run in runs {
        assert!(run.bytes_left() > 0);
        let place = run.bytes().as_ptr_range();
        let within = |chunk: &&Arc<Chunk>| {
            let all = chunk.bytes().as_ptr_range();
            all.start <= place.start && place.end <= all.end
        };
        if let Some(chunk) = chunks.iter().find(within) {
            let part = run.bytes().len() * REFERENCE_PART;
            assert!(part >= chunk.bytes().len(), "a short run keeps no chunk alive");
        }
    }
    // Consecutive copies are one run: two runs in a row are not both copies.
    let copied = |run: &Run| !chunks.iter().any(|c| c.bytes().as_ptr_range().contains(&run.bytes().as_ptr()));
    assert!(!runs.windows(2).any(|pair| copied(&pair[0]) && copied(&pair[1])));
}

#[test]
fn every_peer_gets_what_it_wants_in_order() {
    for_seeds(400, |rng| {
        let mut model = Model::random(rng);
        let mut fanouts: Vec<_> = (0..SHARDS).map(Fanout::new).collect();
        for _ in 0..3 {
            let chunks = random_chunks(rng);
            let scarce = rng.below(2) == 0;
            for fanout in &mut fanouts {
                let mut place = Place::default();
                let mut turns = 0;
                while place.chunk < chunks.len() {
                    let next = check_route(rng, &model, fanout, &chunks, place, scarce && turns < 5);
                    assert!((next.chunk, next.message) >= (place.chunk, place.message));
                    (place, turns) = (next, turns + 1);
                    if rng.below(4) == 0 {
                        // The ledger may change between two passes over a batch.
                        model.change(rng);
                    }
                }
            }
            model.change(rng);
        }
    });
}

#[test]
fn a_broadcast_is_one_run_by_reference() {
    let mut ledger = Ledger::new(1, Quota { prefixes_max: 10, prefix_bytes_max: 100 });
    for token in 0..3 {
        let peer = ledger.attach(0, token);
        ledger.subscribe(peer, b"").unwrap();
        ledger.settle(peer);
    }
    let chunks: Vec<_> = (1..3)
        .map(|n| Arc::new(Chunk::new(b"\0\x01a".repeat(n), (1..=n as u32).map(|i| 3 * i).collect())))
        .collect();
    let mut fanout = Fanout::new(0);
    fanout.route(&ledger, &chunks, Place::default());
    let parcels = drain(&mut fanout, &chunks);
    assert_eq!(parcels.len(), 1, "equal peers are one audience");
    let runs = &parcels[0].1;
    assert_eq!(runs.len(), 2, "one for each chunk");
    for (run, chunk) in runs.iter().zip(&chunks) {
        assert_eq!(run.bytes().as_ptr_range(), chunk.bytes().as_ptr_range());
    }
}

#[test]
fn long_stretches_are_referenced_and_short_ones_gathered() {
    let mut ledger = Ledger::new(1, Quota { prefixes_max: 10, prefix_bytes_max: 100 });
    let audiences = [b"a", b"b"].map(|prefix| {
        let peer = ledger.attach(0, 0);
        ledger.subscribe(peer, prefix).unwrap();
        ledger.audience_of(peer).unwrap()
    });
    let topics = b"aababbabaaaaaaaa";
    let wire = topics.iter().flat_map(|&topic| [0, 1, topic]).collect();
    let chunk = Arc::new(Chunk::new(wire, (1..=16).map(|i| 3 * i).collect()));
    let mut fanout = Fanout::new(0);
    fanout.route(&ledger, std::slice::from_ref(&chunk), Place::default());
    let parcels: BTreeMap<_, _> = drain(&mut fanout, std::slice::from_ref(&chunk)).into_iter().collect();
    let shape = |audience| -> Vec<(u64, bool)> {
        let within = |run: &Run| chunk.bytes().as_ptr_range().contains(&run.bytes().as_ptr());
        parcels[&audience].iter().map(|run| (run.messages(), within(run))).collect()
    };
    assert_eq!(shape(audiences[0]), [(2, true), (2, false), (8, true)]);
    assert_eq!(shape(audiences[1]), [(1, false), (2, true), (1, false)]);
}

#[test]
fn an_audience_gets_no_more_of_a_batch_than_the_limit_and_the_message_that_reaches_it() {
    let quota = Quota { prefixes_max: 10, prefix_bytes_max: 100 };
    let mut ledger = Ledger::new(1, quota);
    let peers = [ledger.attach(0, 0), ledger.attach(0, 1)];
    ledger.subscribe(peers[0], b"a").unwrap();
    ledger.subscribe(peers[1], b"b").unwrap();
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for topic in ["a1", "b1", "a2", "b2", "b3", "a3"] {
        frame::put_frame(&mut bytes, topic.as_bytes(), false);
        ends.push(bytes.len() as u32);
    }
    let chunks = [Arc::new(Chunk::new(bytes, ends))];
    let mut fanout = Fanout::new(0);
    // Each message is 4 bytes on the wire: two of them reach the limit, so the third one for b stops the batch.
    let mut place = Place::default();
    let mut passes = Vec::new();
    while place.chunk < 1 {
        place = fanout.route_limited(&ledger, &chunks, place, 5, |_| u64::MAX);
        passes.push(
            drain(&mut fanout, &chunks).iter().flat_map(|(_, runs)| runs).map(Run::messages).sum::<u64>(),
        );
    }
    assert_eq!(passes, [4, 2]);
}

#[test]
fn a_pass_ends_when_its_memory_is_used_up_and_the_next_goes_on() {
    // Every other message goes to all, so that no two are one piece.
    let mut ledger = Ledger::new(1, Quota { prefixes_max: 10, prefix_bytes_max: 100 });
    for token in 0..50 {
        let peer = ledger.attach(0, token);
        ledger.subscribe(peer, b"a").unwrap();
        ledger.subscribe(peer, &[b'c', token as u8]).unwrap();
    }
    let wire = b"\0\x01a\0\x01b".repeat(500);
    let chunks = [Arc::new(Chunk::new(wire, (1..=1000).map(|i| 3 * i).collect()))];
    for (blocks_max, most) in [(10, 1), (49, 1), (50, 15), (120, 30), (100_000, 500)] {
        let mut fanout = Fanout::new(0);
        fanout.blocks_max = blocks_max;
        let (mut place, mut all) = (Place::default(), 0);
        while place.chunk < 1 {
            place = fanout.route(&ledger, &chunks, place);
            let drained = drain(&mut fanout, &chunks);
            if drained.is_empty() {
                assert_eq!(place.chunk, 1, "only what nobody wants was left");
                break;
            }
            assert_eq!(drained.len(), 50);
            let messages = drained[0].1.iter().map(Run::messages).sum::<u64>();
            assert!((1..=most).contains(&messages), "{messages} of {most} with {blocks_max} blocks");
            assert!(drained.iter().all(|(_, runs)| runs.iter().map(Run::messages).sum::<u64>() == messages));
            all += messages;
        }
        assert_eq!(all, 500);
    }
}

#[test]
fn gathered_copies_use_buffers_again_that_no_peer_keeps() {
    let chunk = Arc::new(Chunk::new(b"\0\x01a".repeat(1000), (1..=1000).map(|i| 3 * i).collect()));
    let offer = |gather: &mut Gather, messages: u32| {
        let piece = Piece::new(1..messages + 1, 0..3 * messages);
        gather.expect(3 * u64::from(messages), messages.into());
        gather.add(std::slice::from_ref(&chunk), &[1], std::iter::once(&[piece][..]));
        gather.finish()
    };
    let at = |runs: &[Run]| runs[0].bytes().as_ptr();
    let mut gather = Gather::default();
    let kept = offer(&mut gather, 100);
    gather.recycle(kept.clone());
    assert_ne!(at(&kept), at(&offer(&mut gather, 100)), "the first one is still queued");
    assert_eq!(kept[0].bytes(), b"\0\x01a".repeat(100));
    let mut gather = Gather::default();
    let mut place = |messages: u32| {
        let runs = offer(&mut gather, messages);
        let at = at(&runs);
        gather.recycle(runs);
        at
    };
    let first = place(120);
    assert_eq!(place(110), first, "the buffer is used again");
    // A peer that is slow would keep all of it for a few bytes.
    assert_ne!(place(2), first);
}
