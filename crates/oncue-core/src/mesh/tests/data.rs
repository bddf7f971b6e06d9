use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::super::data::{Batch, Ended, Head, Item, Writer};
use super::super::{Malformed, Stream, Verdict};
use crate::command::{State, StateNews};
use crate::frame::{frames, message_len, put_message};
use oncue_testing::{Rng, for_seeds};

const NONE: Ended = Ended { stream: 0, next: 0, missed: 0 };

fn at(stream: u64, next: u64, missed: u64) -> Ended {
    Ended { stream, next, missed }
}

/// What went into a batch.
#[derive(Debug, PartialEq)]
enum Sent {
    Message(Vec<Vec<u8>>),
    State(State, Vec<u8>, Vec<u8>),
}

fn draw(rng: &mut Rng) -> Sent {
    if rng.one_in(4) {
        return Sent::State(State::Stale, rng.prefix(5), rng.bytes(3));
    }
    Sent::Message(
        (0..1 + rng.below(3))
            .map(|_| {
                let len = rng.body_len();
                rng.bytes(len)
            })
            .collect(),
    )
}

fn write(writer: &mut Writer, sent: &Sent) {
    match sent {
        Sent::Message(frames) if frames.len() == 2 => {
            let mut wire = Vec::new();
            put_message(&mut wire, frames);
            writer.messages(1, &wire);
        }
        Sent::Message(frames) => writer.message(frames),
        Sent::State(state, topic, text) => writer.state(&StateNews { state: *state, topic, text }),
    }
}

fn read(payload: &[u8], batch: &Batch<'_>) -> Vec<Sent> {
    let mut got = Vec::new();
    for item in batch.items() {
        match item {
            Item::Messages { count, wire } => got.extend(messages(&payload[wire], count)),
            Item::State(news) => {
                let StateNews { state, topic, text } = news.expect("a known state");
                got.push(Sent::State(state, topic.to_vec(), text.to_vec()));
            }
        }
    }
    got
}

fn messages(mut wire: &[u8], count: u64) -> Vec<Sent> {
    let mut got = Vec::new();
    while !wire.is_empty() {
        got.push(Sent::Message(frames(wire).map(<[u8]>::to_vec).collect()));
        wire = &wire[message_len(wire)..];
    }
    assert_eq!(got.len() as u64, count);
    got
}

#[test]
fn a_batch_is_read_as_it_was_written_and_its_writer_is_used_again() {
    for_seeds(100, |rng| {
        let mut writer = Writer::new();
        for _ in 0..3 {
            let sent: Vec<Sent> = (0..rng.below(10)).map(|_| draw(rng)).collect();
            sent.iter().for_each(|sent| write(&mut writer, sent));
            assert_eq!((writer.count(), writer.is_empty()), (sent.len() as u64, sent.is_empty()));
            let payload = writer.finish(at(5, 6, 7), at(2, 3, 4)).to_vec();
            assert_eq!(payload.len(), writer.bytes());
            let batch = Batch::decode(&payload).unwrap();
            assert_eq!(
                batch.head,
                Head { stream: 5, first: 6, missed: 7, earlier: at(2, 3, 4), count: sent.len() as u64 }
            );
            assert_eq!(read(&payload, &batch), sent);
            writer.clear();
        }
    });
}

#[test]
fn messages_in_a_row_are_one_item_in_place() {
    let mut writer = Writer::new();
    writer.message(["a"]);
    writer.messages(2, &[0, 1, b'b', 0, 1, b'c']);
    writer.message([""; 0]);
    let payload = writer.finish(at(1, 1, 0), NONE).to_vec();
    let items: Vec<Item<'_>> = Batch::decode(&payload).unwrap().items().collect();
    let wire: Range<usize> = 63..72;
    assert_eq!(items, [Item::Messages { count: 3, wire: wire.clone() }]);
    assert_eq!(payload[wire], [0, 1, b'a', 0, 1, b'b', 0, 1, b'c']);
}

#[test]
fn each_fault_of_a_batch_has_its_error() {
    let run = |count: u32, wire: &[u8]| {
        let mut writer = Writer::new();
        writer.messages(count, wire);
        Batch::decode(writer.finish(at(1, 1, 0), NONE)).map(|batch| batch.head.count)
    };
    assert_eq!(run(1, &[0, 1, b'a']), Ok(1));
    assert_eq!(run(2, &[0, 0, 0, 0]), Ok(2));
    assert_eq!(run(2, &[0, 1, b'a']), Err(Malformed::Count), "no message is shorter than its header");
    assert_eq!(run(0, &[]), Err(Malformed::Count));

    let mut writer = Writer::new();
    writer.message(["a"]);
    let payload = writer.finish(at(1, u64::MAX, 0), NONE).to_vec();
    assert_eq!(Batch::decode(&payload).unwrap_err(), Malformed::Sequence);
    assert_eq!(Batch::decode(writer.finish(at(1, 0, 0), NONE)).unwrap_err(), Malformed::Sequence);
    let unknown = [&payload[..50], &[9]].concat();
    assert_eq!(Batch::decode(&unknown).unwrap_err(), Malformed::Item(9));
    assert_eq!(Batch::decode(&payload[..54]).unwrap_err(), Malformed::Short);
}

#[test]
fn a_state_that_is_not_known_counts_and_says_nothing() {
    let mut writer = Writer::new();
    writer.state(&StateNews { state: State::Closed, topic: b"t", text: b"why" });
    let mut payload = writer.finish(at(1, 1, 0), NONE).to_vec();
    payload[51] = 200;
    let batch = Batch::decode(&payload).unwrap();
    assert_eq!((batch.head.count, batch.items().collect()), (1, vec![Item::State(None)]));
}

#[test]
fn damaged_batches_are_an_error_or_a_batch() {
    for_seeds(300, |rng| {
        let mut writer = Writer::new();
        (0..rng.below(4)).for_each(|_| write(&mut writer, &draw(rng)));
        let mut payload = writer.finish(at(1, 1, 0), NONE).to_vec();
        rng.damage(&mut payload);
        if let Ok(batch) = Batch::decode(&payload) {
            let mut count = 0;
            for item in batch.items() {
                count += match item {
                    Item::Messages { count, wire } => {
                        assert!(2 * count <= payload[wire].len() as u64);
                        count
                    }
                    Item::State(_) => 1,
                };
            }
            assert_eq!(count, batch.head.count);
        }
    });
}

fn accept(stream: &mut Stream, (number, first, count, missed): (u64, u64, u64, u64)) -> Verdict {
    stream.accept(&Head { stream: number, first, count, missed, earlier: NONE })
}

#[test]
fn what_comes_again_is_skipped_and_what_is_missing_is_counted() {
    let mut stream = Stream::new();
    let verdict = |skip, lost, missed| Verdict { skip, lost, missed };
    assert_eq!(accept(&mut stream, (1, 1, 10, 0)), verdict(0, 0, 0));
    assert_eq!(accept(&mut stream, (1, 1, 10, 0)), verdict(10, 0, 0));
    assert_eq!(accept(&mut stream, (1, 6, 10, 0)), verdict(5, 0, 0));
    assert_eq!(accept(&mut stream, (1, 21, 5, 0)), verdict(0, 5, 0));
    assert_eq!(accept(&mut stream, (1, 16, 5, 0)), verdict(5, 0, 0), "too late");
    assert_eq!(accept(&mut stream, (1, 26, 1, 40)), verdict(0, 0, 40));
    assert_eq!(accept(&mut stream, (1, 27, 0, 41)), verdict(0, 0, 1), "an empty batch reports");
    assert_eq!(accept(&mut stream, (1, 27, 1, 30)), verdict(0, 0, 0));
    assert_eq!(accept(&mut stream, (2, 3, 1, 4)), verdict(0, 2, 4), "a new stream begins with 1");
    assert_eq!(accept(&mut stream, (1, 28, 7, 90)), verdict(7, 0, 0), "an earlier stream");
}

#[test]
fn what_was_lost_at_the_end_of_a_stream_is_counted_with_the_next_one() {
    let mut stream = Stream::new();
    let head = |number, first, count, missed, earlier| Head { stream: number, first, count, missed, earlier };
    stream.accept(&head(3, 1, 10, 2, NONE));
    let next = head(5, 1, 1, 0, at(3, 31, 6));
    assert_eq!(stream.accept(&next), Verdict { skip: 0, lost: 20, missed: 4 });
    assert_eq!(stream.accept(&head(5, 2, 1, 0, at(3, 31, 6))), Verdict::default(), "once");
    assert_eq!(
        stream.accept(&head(9, 1, 1, 0, at(7, 31, 6))),
        Verdict::default(),
        "a stream that was not seen"
    );
}

#[test]
fn a_process_that_starts_in_the_middle_of_a_stream_has_lost_nothing() {
    let mut stream = Stream::new();
    assert_eq!(accept(&mut stream, (1, 500, 1, 9)), Verdict::default());
    assert_eq!(accept(&mut stream, (1, 502, 1, 10)), Verdict { skip: 0, lost: 1, missed: 1 });
    let mut stream = Stream::new();
    assert_eq!(accept(&mut stream, (1, 1, 1, 9)), Verdict { skip: 0, lost: 0, missed: 9 });
}

#[test]
fn over_any_channel_each_message_comes_once_at_most_in_order_and_all_are_counted() {
    for_seeds(100, |rng| {
        let (mut stream, mut next, mut batches) = (Stream::new(), 1, Vec::new());
        for _ in 0..100 {
            let count = 1 + rng.below(5_u64);
            batches.push(Head { stream: 1, first: next, missed: 0, earlier: NONE, count });
            next += count;
        }
        stream.accept(&batches[0]);
        let (mut last, mut taken, mut lost) = (batches[0].count, batches[0].count, 0);
        for at in 1..batches.len() {
            for _ in 0..rng.below(3) {
                let head = batches[at.saturating_sub(rng.below(4_usize))];
                let verdict = stream.accept(&head);
                lost += verdict.lost;
                taken += head.count - verdict.skip;
                if verdict.skip < head.count {
                    assert_eq!(head.first + verdict.skip, last + 1 + verdict.lost);
                    last = head.first + head.count - 1;
                }
            }
        }
        assert_eq!(taken + lost, last);
    });
}
