//! The store against a naive one, and the work of its answers.

use oncue_core::ledger::Quota;

use super::*;
use crate::buffer::Pool;
use crate::engine::wire::chunk::{Chunk, Run};
use crate::engine::wire::gather::Gather;
use oncue_testing::for_seeds;

fn value(topic: &str, len: usize) -> Msg {
    stand_alone(&(topic, vec![b'v'; len])).unwrap()
}

/// The values in the order in which they came.
#[derive(Default)]
struct Naive(Vec<(Msg, Option<Duration>)>);

impl Naive {
    fn remove(&mut self, topic: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(value, _)| value.topic() != topic);
        self.0.len() < before
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(value, _)| cost(value)).sum()
    }

    /// Several values at once. Returns how many had no room.
    fn together(&mut self, sent: &[Msg], bytes_max: u64) -> u64 {
        let mut dropped = 0;
        for (at, value) in sent.iter().enumerate() {
            if sent[at + 1..].iter().any(|later| later.topic() == value.topic()) {
                continue;
            }
            self.remove(value.topic());
            match cost(value) > bytes_max {
                true => dropped += 1,
                false => self.0.push((value.clone(), None)),
            }
        }
        while self.bytes() > bytes_max {
            self.0.remove(0);
            dropped += 1;
        }
        dropped
    }
}

/// Messages in one chunk, and those from one on as sent.
fn noted(sent: &[Msg], from: usize, origin: u64) -> Sent {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for message in sent {
        bytes.extend_from_slice(message.wire());
        ends.push(bytes.len() as u32);
    }
    let messages = from as u32..sent.len() as u32;
    Sent { chunk: Arc::new(Chunk::new(bytes, ends)), messages, number: Some((7, 100)), origin }
}

#[test]
fn as_a_naive_store_that_gives_up_the_oldest() {
    for_seeds(200, |rng| {
        let bounded = rng.below(2) == 0;
        let bytes_max = if bounded { 1 + rng.below(3000) } else { u64::MAX };
        let last = LastValues::new(bytes_max);
        let (mut naive, mut dropped) = (Naive::default(), 0);
        for step in 0..300 {
            let now = Duration::from_secs(step);
            let topic = format!("t{}", rng.below(12));
            match rng.below(9) {
                0 => assert_eq!(last.forget(topic.as_bytes()), naive.remove(topic.as_bytes())),
                // Several together, of which somebody may ask at once, or after others.
                1 => {
                    let sent: Vec<Msg> = (0..1 + rng.below(20))
                        .map(|_| {
                            let most = if rng.below(9) == 0 { 4000 } else { 90 };
                            value(&format!("t{}", rng.below(12)), rng.below(most) as usize)
                        })
                        .collect();
                    let from = rng.below(sent.len() as u64) as usize;
                    last.open_to_note().note(noted(&sent, from, 0));
                    dropped += naive.together(&sent[from..], bytes_max);
                    // What makes room does so when they are looked through.
                    if !bounded && rng.below(2) == 0 {
                        continue;
                    }
                }
                _ => {
                    let len = if rng.below(8) == 0 { rng.below(4000) } else { rng.below(200) };
                    let value = value(&topic, len as usize);
                    let expires = (rng.below(2) == 0).then(|| now + Duration::from_secs(rng.below(20)));
                    last.open().keep(Keeping { expires, ..Keeping::of(value.clone()) }, None);
                    naive.remove(topic.as_bytes());
                    naive.0.push((value, expires));
                    if naive.bytes() > bytes_max && cost(&naive.0.last().unwrap().0) > bytes_max {
                        naive.0.pop();
                        dropped += 1;
                    }
                    while naive.bytes() > bytes_max {
                        naive.0.remove(0);
                        dropped += 1;
                    }
                }
            }
            let store = last.look();
            let expected = (naive.0.len() as u64, naive.bytes(), dropped);
            assert_eq!((store.values(), store.bytes, store.dropped), expected);
            assert!(store.bytes <= bytes_max);
            assert!(store.order.len() <= 2 * naive.0.len() + 65);
            drop(store);
            let live = naive.0.iter().find(|(value, _)| value.topic() == topic.as_bytes());
            let live = live.filter(|(_, expires)| expires.is_none_or(|at| at > now));
            assert_eq!(last.get(topic.as_bytes(), now), live.map(|(value, _)| value.clone()));
        }
    });
}

#[test]
fn an_answer_comes_in_parts_each_topic_once() {
    let last = LastValues::new(u64::MAX);
    for i in 0..10_000 {
        let len = if i % 100 == 0 { 5000 } else { 50 };
        last.open().keep(Keeping::of(value(&format!("t{i:05}"), len)), None);
    }
    let mut ledger = Ledger::new(1, Quota { prefixes_max: 10, prefix_bytes_max: 100 });
    let peer = ledger.attach(0, 0);
    // Some have come under one prefix before.
    for prefix in ["t001", "", "t", "t0012", "t1", "nothing"] {
        ledger.subscribe(peer, prefix.as_bytes()).unwrap();
    }
    let fresh = |prefixes: [&str; 2]| prefixes.map(|prefix| (prefix.as_bytes().to_vec(), (0, 0))).into();
    let (prefixes, later, passed, now) =
        (fresh(["", "t"]), fresh(["t0012", "t1"]), Default::default(), Duration::ZERO);
    let asking = Asking { peer, prefixes: &prefixes, later: &later, passed: &passed, now };
    let (mut at, mut parts, mut messages, mut topics) = (Cursor::default(), 0, 0, Vec::new());
    loop {
        let (mut gather, mut found) = (Gather::default(), 0);
        let done = last.pass(&ledger, &asking, &mut at, PORTION, |value| {
            gather.add_message(value);
            found += 1;
        });
        let runs = gather.finish();
        let bytes: u64 = runs.iter().map(Run::bytes_left).sum();
        assert!(bytes <= PORTION.bytes && found <= PORTION.values);
        assert_eq!(runs.iter().map(Run::messages).sum::<u64>(), found);
        (parts, messages) = (parts + 1, messages + found);
        for run in &runs {
            let mut rest = run.bytes();
            while let [_, len, more @ ..] = rest {
                let (topic, more) = more.split_at(usize::from(*len));
                topics.push(topic.to_vec());
                rest = match more {
                    [0, len, more @ ..] => &more[usize::from(*len)..],
                    [2, _, _, _, _, _, _, high, low, more @ ..] => {
                        &more[usize::from(*high) << 8 | usize::from(*low)..]
                    }
                    _ => panic!("two frames"),
                };
            }
        }
        if done {
            break;
        }
    }
    assert!(parts > 2, "{parts}");
    assert_eq!(messages, 10_000 - 100);
    let want = (0..10_000).map(|i| format!("t{i:05}").into_bytes());
    assert!(topics.into_iter().eq(want.filter(|topic| !topic.starts_with(b"t001"))));
}

#[test]
fn messages_are_held_until_they_are_many_and_then_the_newest_are_copied() {
    let last = LastValues::new(u64::MAX);
    let note = |count: usize, len: usize| {
        let sent: Vec<Msg> = (0..count).map(|i| value(&format!("t{}", i % 10), len)).collect();
        let sent = noted(&sent, 0, 0);
        let held = Arc::downgrade(&sent.chunk);
        last.open_to_note().note(sent);
        held
    };
    let copied = || lock(&last.store).topics.len();
    let few: Vec<_> = (0..4).map(|_| note(1000, 5)).collect();
    assert!(few.iter().all(|chunk| chunk.strong_count() == 1) && copied() == 0);
    let more = note(1000, 5);
    assert!(few.iter().chain([&more]).all(|chunk| chunk.strong_count() == 0) && copied() == 10);
    assert_eq!(note(1, 5).strong_count(), 1);
    assert_eq!(note(2, 600 << 10).strong_count(), 0, "much memory");
    assert_eq!(note(1, 5).strong_count(), 1);
    assert!(last.get(b"t0", Duration::ZERO).is_some_and(|value| value.wire().len() < 20));
}

#[test]
fn a_noted_value_has_its_number_and_its_origin() {
    let last = LastValues::new(u64::MAX);
    let sent: Vec<Msg> = ["a", "b", "a", "c"].map(|topic| value(topic, 3)).into();
    last.open_to_note().note(noted(&sent, 1, 5));
    let mut found = Vec::new();
    {
        let store = last.look();
        for topic in ["a", "b", "c"] {
            let kept = store.topics.find(topic.as_bytes()).and_then(|id| store.kept(id)).unwrap();
            found.push((kept.number, kept.of.origin, kept.stamp));
        }
    }
    assert_eq!(found, [(Some((7, 102)), 5, 2), (Some((7, 101)), 5, 1), (Some((7, 103)), 5, 3)]);
    last.retain_under(b"", |_, of| of.origin != 5);
    let store = last.look();
    assert_eq!((store.values(), store.bytes), (0, 0));
}

#[test]
fn a_value_does_not_hold_the_buffer_that_it_came_in() {
    let pool = Pool::default();
    let mut bytes = pool.get();
    let wire = value("t", 3);
    bytes.extend_from_slice(wire.wire());
    let address = bytes.as_ptr();
    let received = Msg::within(pool.share(bytes), 0, wire.wire().len() as u32);
    let kept = stand_alone(&received).unwrap();
    assert_eq!(kept, received);
    drop(received);
    let again = pool.get();
    assert_eq!(again.as_ptr(), address, "the buffer came back");
}
