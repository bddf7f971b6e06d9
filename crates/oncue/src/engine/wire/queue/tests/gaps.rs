//! What a peer is told that it missed, against what it was offered and what it got, from seeds.

use std::collections::BTreeMap;

use oncue_core::command::Command;
use oncue_core::frame::{Scan, Scanner, Version};

use super::*;
use crate::options::OnFull;

/// What the peer gets.
#[derive(Debug)]
enum Got {
    Message(u32),
    Notice { messages: u64, unseen: u64, topics: Vec<(Vec<u8>, u32)> },
}

fn number(message: &[u8]) -> u32 {
    let body = frame::frames(message).nth(1).unwrap();
    u32::from_be_bytes(body[..4].try_into().unwrap())
}

/// Takes the stream apart.
fn parse(mut wire: &[u8]) -> Vec<Got> {
    let (mut got, mut scanner) = (Vec::new(), Scanner::new(Version::V3_1, 1 << 20));
    while !wire.is_empty() {
        let mut bytes = wire.to_vec();
        match scanner.next(&mut bytes).unwrap() {
            Scan::Message { len, wire_len } => {
                got.push(Got::Message(number(&bytes[..len])));
                wire = &wire[wire_len..];
            }
            Scan::Command { len, body } => {
                match Command::parse(&bytes[body]).unwrap() {
                    Command::Missed(news) => got.push(Got::Notice {
                        messages: news.messages,
                        unseen: news.unseen,
                        topics: news.topics.map(|(topic, count)| (topic.to_vec(), count)).collect(),
                    }),
                    Command::Pong { .. } => {}
                    other => panic!("{other:?}"),
                }
                wire = &wire[len..];
            }
            other => panic!("the stream ends amid a message: {other:?}"),
        }
    }
    got
}

/// What was sent, in order: a message with its topic, or messages that were not offered, and some that may not have been
/// for this peer.
enum Sent {
    Message(u32, Vec<u8>),
    Unoffered(u64, u64),
}

#[test]
fn what_a_peer_gets_and_what_it_is_told_it_missed_are_what_was_sent() {
    for_seeds(600, |rng| {
        let seed = rng.seed();
        let mut stream =
            Fickle { rng: Rng::new(!seed), taken: Vec::new(), full: false, patient: seed % 2 == 0 };
        let kind = seed % 4;
        let yields = match kind {
            0 => Yields::Newest,
            1 => Yields::Oldest,
            _ => Yields::SameTopic(Box::new(ByTopic::new())),
        };
        let mut queue = WriteQueue::new(yields);
        queue.backlog.tell_gaps();
        if kind == 3 {
            queue.backlog.mix([OnFull::DropNewest, OnFull::Latest][rng.below(2) as usize]);
        }
        let mark = Mark { messages: 1 + rng.below(30), bytes: 1 + rng.below(1000) };
        let (mut next, mut sent, mut missed, mut written) = (0, Vec::new(), 0, 0);
        for _ in 0..100 {
            if stream.full && rng.below(if seed % 3 == 0 { 20 } else { 3 }) == 0 {
                stream.full = false;
                queue.unblock();
            }
            match rng.below(8) {
                0 => queue.backlog.control(b"\x04\x05\x04PONG".to_vec()),
                1 => written += queue.flush(&mut stream),
                2 if queue.is_empty() && !queue.blocked => {
                    let mut run = run_with_topics(rng, &mut next);
                    run.truncate(1, u64::MAX);
                    run.stand_alone();
                    let message = run.bytes().to_vec();
                    sent.push(Sent::Message(number(&message), frame::topic(&message).to_vec()));
                    written += queue.write_now(&mut stream, &[IoSlice::new(&message)], || run);
                }
                3 if kind == 0 => {
                    let (messages, unseen) = (rng.below(3), rng.below(3));
                    sent.push(Sent::Unoffered(messages, unseen));
                    queue.backlog.miss_unoffered(messages, unseen);
                    missed += messages;
                }
                _ => {
                    let own = |rng: &mut Rng| {
                        let all =
                            [None, Some(OnFull::DropNewest), Some(OnFull::DropOldest), Some(OnFull::Latest)];
                        all[rng.below(4) as usize]
                    };
                    let run = |_| {
                        let run = run_with_topics(rng, &mut next);
                        if kind == 3 { run.with_policy(own(rng)) } else { run }
                    };
                    let runs: Vec<_> = (0..3).map(run).collect();
                    for message in runs.iter().flat_map(messages) {
                        sent.push(Sent::Message(number(&message), frame::topic(&message).to_vec()));
                    }
                    let offered = queue.offer(&mut stream, &runs, mark);
                    (missed, written) = (missed + offered.missed, written + offered.written);
                }
            }
        }
        while !queue.is_empty() {
            stream.full = false;
            queue.unblock();
            written += queue.flush(&mut stream);
        }
        let got = parse(&stream.taken);
        let told: u64 =
            got.iter().map(|got| if let Got::Notice { messages, .. } = got { *messages } else { 0 }).sum();
        assert_eq!(told, missed, "told and missed");
        let numbers =
            got.iter().filter_map(|got| if let Got::Message(number) = got { Some(*number) } else { None });
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers.len() as u64, written);
        assert!(numbers.is_sorted_by(|a, b| a < b));
        check_topics(&sent, &got, &numbers);
        if kind < 2 {
            check_places(&sent, &got);
        }
    });
}

/// No topic is said to have missed more than it has.
fn check_topics(sent: &[Sent], got: &[Got], numbers: &[u32]) {
    let mut missed: BTreeMap<&[u8], u32> = BTreeMap::new();
    for message in sent {
        if let Sent::Message(number, topic) = message
            && numbers.binary_search(number).is_err()
        {
            *missed.entry(topic).or_default() += 1;
        }
    }
    for got in got {
        let Got::Notice { messages, topics, .. } = got else { continue };
        assert!(topics.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() <= *messages);
        for (topic, count) in topics {
            let left = missed.get_mut(&topic[..]).expect("a topic of which messages were missed");
            *left = left.checked_sub(*count).expect("no more than were missed");
        }
    }
}

/// What was sent between two messages that came is what the notices between them tell.
fn check_places(sent: &[Sent], got: &[Got]) {
    let (mut told, mut rest) = ((0, 0), sent.iter());
    let mut expect = |until: Option<u32>, told: (u64, u64)| {
        let mut missed = (0, 0);
        for one in rest.by_ref() {
            match one {
                Sent::Message(number, _) if Some(*number) == until => break,
                Sent::Message(..) => missed.0 += 1,
                Sent::Unoffered(messages, unseen) => missed = (missed.0 + messages, missed.1 + unseen),
            }
        }
        assert_eq!(told, missed, "before {until:?}");
    };
    for got in got {
        match got {
            Got::Message(number) => expect(Some(*number), std::mem::take(&mut told)),
            Got::Notice { messages, unseen, .. } => told = (told.0 + messages, told.1 + unseen),
        }
    }
    expect(None, told);
}
