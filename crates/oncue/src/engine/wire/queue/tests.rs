//! The queue of one peer against a naive model, from seeds, with a stream that takes random amounts.

mod gaps;
mod mixed;

use std::sync::Arc;

use oncue_core::frame;

use super::*;
use crate::engine::wire::chunk::Chunk;
use crate::engine::wire::topics::ByTopic;
use crate::peer_address::PeerAddress;
use oncue_testing::{Rng, for_seeds};

/// Takes a random part of what it is given, or nothing.
struct Fickle {
    rng: Rng,
    taken: Vec<u8>,
    /// It has returned `WouldBlock`; it must not be called again before it has reported room.
    full: bool,
    patient: bool,
}

impl Stream for Fickle {
    fn address(&self) -> PeerAddress {
        PeerAddress::Inproc
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, _: &mut Vec<u8>) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.full, "a full stream is left alone until it reports");
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(all > 0 && slices.len() <= SLICES_MAX);
        let n = match self.rng.below(if self.patient { 4 } else { 8 }) {
            0 => {
                self.full = true;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            1 => return Err(io::ErrorKind::Interrupted.into()),
            2 => all,
            _ => 1 + self.rng.below(all as u64) as usize,
        };
        self.taken.extend(slices.iter().flat_map(|slice| slice.iter()).take(n));
        Ok(n)
    }

    fn shutdown_write(&mut self) {}
}

/// What the queue was given, item by item.
#[derive(Default)]
struct Model {
    /// Bytes that the stream must get, in order.
    admitted: Vec<u8>,
    /// Where each admitted message lies in them.
    messages: Vec<std::ops::Range<usize>>,
}

impl Model {
    /// Messages that the stream has completely.
    fn whole(&self, taken: usize) -> u64 {
        self.messages.iter().filter(|m| m.end <= taken).count() as u64
    }

    /// Messages, and their bytes, that the stream does not have yet.
    fn queued(&self, taken: usize) -> (u64, u64) {
        let left = self.messages.iter().filter(|m| m.end > taken);
        left.fold((0, 0), |(n, bytes), m| (n + 1, bytes + (m.end - m.start.max(taken)) as u64))
    }
}

/// Runs of random messages, each message of its own bytes.
fn random_runs(rng: &mut Rng, next: &mut u8) -> Vec<Run> {
    let count = if rng.below(20) == 0 { 70 + rng.below(100) } else { rng.below(5) };
    let run = |_| {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let count_max = if rng.below(10) == 0 { 200 } else { 10 };
        for _ in 0..1 + rng.below(count_max) {
            *next = next.wrapping_add(1);
            let len = if rng.below(30) == 0 { 2 + rng.below(500) } else { 2 + rng.below(8) };
            bytes.extend(std::iter::repeat_n(*next, len as usize));
            ends.push(bytes.len() as u32);
        }
        let all = ends.len() as u64;
        let first = rng.below(all) as u32;
        let last = first + 1 + rng.below(all - u64::from(first)) as u32;
        Run::new(Arc::new(Chunk::new(bytes, ends)), first, last)
    };
    (0..count).map(run).collect()
}

/// The messages of a run of which nothing is written.
fn messages(run: &Run) -> Vec<Vec<u8>> {
    let mut run = run.clone();
    let mut messages = Vec::new();
    while run.messages() > 0 {
        let len = run.first_message_bytes();
        messages.push(run.bytes()[..len as usize].to_vec());
        assert_eq!(run.advance(len), 1);
    }
    messages
}

/// The model of the mark. Of what is offered after the `taken` bytes, the first `direct` bytes were taken at once; of
/// the rest, each message is admitted, run by run, until one of its run finds no room. Returns how many are missed.
fn admit(model: &mut Model, runs: &[Run], mark: Mark, taken: usize, direct: usize) -> u64 {
    let (mut missed, mut offered) = (0, 0);
    let (mut count, mut bytes) = model.queued(taken);
    for run in runs {
        let mut room = true;
        for message in messages(run) {
            let (begin, len) = (offered, message.len());
            offered += len;
            let (at_once, left) = (direct > begin, (begin + len).saturating_sub(direct.max(begin)) as u64);
            // A message that is partly written must be finished; one larger than the mark passes if nothing waits.
            let fits = count < mark.messages && (bytes + left <= mark.bytes || count == 0);
            room = at_once || room && fits;
            if !room {
                missed += 1;
                continue;
            }
            let from = model.admitted.len();
            model.admitted.extend(message);
            model.messages.push(from..from + len);
            if left > 0 {
                (count, bytes) = (count + 1, bytes + left);
            }
        }
    }
    missed
}

#[test]
fn what_is_admitted_is_written_and_what_is_missed_is_missed_whole() {
    for_seeds(400, |rng| {
        let seed = rng.seed();
        let patient = seed % 2 == 0;
        let mut stream = Fickle { rng: Rng::new(!seed), taken: Vec::new(), full: false, patient };
        let mut queue = WriteQueue::default();
        let mut model = Model::default();
        let (mut next, mut done) = (0u8, 0);
        let mark = match seed % 5 {
            0 => Mark::NONE,
            _ => Mark { messages: 1 + rng.below(100), bytes: 1 + rng.below(1000) },
        };
        for _ in 0..60 {
            if stream.full && rng.below(3) == 0 {
                stream.full = false;
                queue.unblock();
            }
            match rng.below(4) {
                0 => {
                    next = next.wrapping_add(1);
                    let bytes = vec![next; rng.below(40) as usize];
                    model.admitted.extend(&bytes);
                    queue.backlog.control(bytes);
                }
                1 => done += queue.flush(&mut stream),
                _ => {
                    let runs = random_runs(rng, &mut next);
                    let before = model.admitted.len();
                    let offered = queue.offer(&mut stream, &runs, mark);
                    done += offered.written;
                    let direct = stream.taken.len().saturating_sub(before);
                    assert_eq!(
                        offered.missed,
                        admit(&mut model, &runs, mark, stream.taken.len().min(before), direct)
                    );
                }
            }
            check(&queue, &model, &stream, mark, done);
        }
        while !queue.is_empty() {
            stream.full = false;
            queue.unblock();
            done += queue.flush(&mut stream);
        }
        assert_eq!(stream.taken, model.admitted);
        assert_eq!(done, model.messages.len() as u64);
        check(&queue, &model, &stream, mark, done);
    });
}

fn check(queue: &WriteQueue, model: &Model, stream: &Fickle, mark: Mark, done: u64) {
    let taken = stream.taken.len();
    assert!(model.admitted.starts_with(&stream.taken), "in order, and nothing else");
    assert_eq!(done, model.whole(taken), "messages written whole");
    let queued = model.queued(taken);
    assert_eq!((queue.backlog.messages, queue.backlog.bytes), queued);
    assert_eq!(queue.backlog.control_bytes + queued.1, (model.admitted.len() - taken) as u64);
    assert_eq!(queue.is_empty(), taken == model.admitted.len());
    let room = if queued.1 >= mark.bytes { 0 } else { mark.messages.saturating_sub(queued.0) };
    assert_eq!(queue.backlog.room(mark), room);
}

/// What a queue holds in which older messages give way: each item is one message, or control bytes.
struct Newest {
    by_topic: bool,
    items: Vec<(Vec<u8>, bool)>,
    /// How much of the first item the stream has taken.
    begun: usize,
    missed: u64,
    written: u64,
}

impl Newest {
    /// The stream has taken these bytes: they must be what comes next.
    fn taken(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (item, message) = &self.items[0];
            let n = bytes.len().min(item.len() - self.begun);
            assert_eq!(bytes[..n], item[self.begun..self.begun + n]);
            bytes = &bytes[n..];
            self.begun += n;
            if self.begun == item.len() {
                self.written += u64::from(*message);
                self.items.remove(0);
                self.begun = 0;
            }
        }
    }

    /// Where the messages are that are not partly written.
    fn waiting(&self) -> Vec<usize> {
        (usize::from(self.begun > 0)..self.items.len()).filter(|&i| self.items[i].1).collect()
    }

    fn bytes(&self, waiting: &[usize]) -> u64 {
        waiting.iter().map(|&i| self.items[i].0.len() as u64).sum()
    }

    fn drop(&mut self, at: usize) {
        self.items.remove(at);
        self.missed += 1;
    }

    fn make_room(&mut self, mark: Mark) {
        while self.by_topic {
            let waiting = self.waiting();
            let topic = |i: usize| frame::topic(&self.items[i].0);
            let older = waiting.iter().find(|&&i| waiting.iter().any(|&j| i < j && topic(i) == topic(j)));
            let Some(&older) = older else { break };
            self.drop(older);
        }
        loop {
            let waiting = self.waiting();
            let over = waiting.len() as u64 > mark.messages || self.bytes(&waiting) > mark.bytes;
            if !over || waiting.len() <= 1 {
                break;
            }
            self.drop(waiting[0]);
        }
    }

    fn check(&self, queue: &mut WriteQueue) {
        let messages = self.items.iter().filter(|(_, message)| *message);
        let all: u64 = messages.clone().map(|(item, _)| item.len() as u64).sum();
        let begun =
            if self.items.first().is_some_and(|(_, message)| *message) { self.begun as u64 } else { 0 };
        assert_eq!(
            (queue.backlog.messages, queue.backlog.bytes),
            (messages.clone().count() as u64, all - begun)
        );
        assert_eq!(queue.is_empty(), self.items.is_empty());
        // Apart from the first ones, which are being written, little is kept alive besides what is queued.
        let runs = queue.backlog.runs.iter().filter(|run| run.messages() > 0);
        assert!(runs.skip(2).all(Run::is_fair_part));
        if let Yields::SameTopic(by_topic) = &queue.backlog.yields {
            let topics: std::collections::HashSet<_> = messages.map(|(item, _)| frame::topic(item)).collect();
            assert_eq!(by_topic.topics.len(), topics.len());
            assert!(topics.iter().all(|topic| by_topic.topics.contain(topic)));
            assert_eq!(by_topic.topics.is_empty(), topics.is_empty());
            let holes = queue.backlog.runs.iter().filter(|run| run.bytes_left() == 0).count();
            assert!(
                holes <= queue.backlog.runs.len() - holes + 64,
                "{holes} of {}",
                queue.backlog.runs.len()
            );
        }
    }
}

/// A run of messages with topics, in a chunk that may be larger.
fn run_with_topics(rng: &mut Rng, next: &mut u32) -> Run {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let count_max = if rng.below(8) == 0 { 100 } else { 4 };
    for _ in 0..1 + rng.below(count_max) {
        *next += 1;
        let len = if rng.below(20) == 0 { rng.below(600) } else { rng.below(12) };
        frame::put_frame(&mut bytes, format!("t{}", rng.below(9)).as_bytes(), true);
        frame::put_frame(&mut bytes, &[&next.to_be_bytes()[..], &vec![b'x'; len as usize]].concat(), false);
        ends.push(bytes.len() as u32);
    }
    let all = ends.len() as u64;
    let first = rng.below(all) as u32;
    let last = first + 1 + rng.below(all - u64::from(first)) as u32;
    Run::new(Arc::new(Chunk::new(bytes, ends)), first, last)
}

#[test]
fn a_full_queue_keeps_the_newest_messages_whole_and_in_order() {
    for_seeds(300, |rng| {
        let seed = rng.seed();
        let by_topic = seed % 2 == 0;
        let patient = seed % 4 < 2;
        let mut stream = Fickle { rng: Rng::new(!seed), taken: Vec::new(), full: false, patient };
        let yields = if by_topic { Yields::SameTopic(Box::new(ByTopic::new())) } else { Yields::Oldest };
        let mut queue = WriteQueue::new(yields);
        let mut model = Newest { by_topic, items: Vec::new(), begun: 0, missed: 0, written: 0 };
        let (mut next, mut missed, mut written, mut seen) = (0, 0, 0, 0);
        let mark = match seed % 5 {
            0 => Mark { messages: u64::MAX, bytes: 1 << 20 },
            1 => Mark { messages: 1, bytes: 1 << 20 },
            _ => Mark { messages: 1 + rng.below(50), bytes: 1 + rng.below(1000) },
        };
        for _ in 0..120 {
            // Now and then nothing is taken for a long time.
            if stream.full && rng.below(if seed % 3 == 0 { 20 } else { 3 }) == 0 {
                stream.full = false;
                queue.unblock();
            }
            let mut offered = false;
            match rng.below(5) {
                0 => {
                    let bytes = vec![0xff; rng.below(20) as usize];
                    if !bytes.is_empty() {
                        model.items.push((bytes.clone(), false));
                    }
                    queue.backlog.control(bytes);
                }
                1 => written += queue.flush(&mut stream),
                2 if queue.is_empty() && !queue.blocked => {
                    // As the sender's own thread writes.
                    let mut run = run_with_topics(rng, &mut next);
                    run.truncate(1, u64::MAX);
                    run.stand_alone();
                    let message = run.bytes().to_vec();
                    model.items.push((message.clone(), true));
                    written += queue.write_now(&mut stream, &[IoSlice::new(&message)], || run);
                }
                _ => {
                    let runs: Vec<_> = (0..rng.below(6)).map(|_| run_with_topics(rng, &mut next)).collect();
                    model.items.extend(runs.iter().flat_map(messages).map(|message| (message, true)));
                    let result = queue.offer(&mut stream, &runs, mark);
                    (written, missed, offered) = (written + result.written, missed + result.missed, true);
                }
            }
            model.taken(&stream.taken[seen..]);
            seen = stream.taken.len();
            if offered {
                model.make_room(mark);
            }
            model.check(&mut queue);
            assert_eq!((missed, written), (model.missed, model.written), "missed and written");
        }
        while !queue.is_empty() {
            stream.full = false;
            queue.unblock();
            queue.flush(&mut stream);
            model.taken(&stream.taken[seen..]);
            seen = stream.taken.len();
            model.check(&mut queue);
        }
    });
}

/// Takes everything.
#[derive(Default)]
struct Greedy {
    taken: usize,
}

impl Stream for Greedy {
    fn address(&self) -> PeerAddress {
        PeerAddress::Inproc
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, _: &mut Vec<u8>) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        self.taken += all;
        Ok(all)
    }

    fn shutdown_write(&mut self) {}
}

#[test]
fn a_large_message_is_written_a_share_at_a_time() {
    const LEN: usize = 40 << 20;
    // Zeros that are never written take no memory.
    let chunk = Arc::new(Chunk::new(vec![0; LEN], vec![LEN as u32]));
    let small = Run::new(Arc::new(Chunk::new(vec![1; 100], vec![100])), 0, 1);
    let whole = || Run::new(chunk.clone(), 0, 1);
    let share_max = FLUSH_BYTES_MAX as usize + PIECE_BYTES_MAX;
    for offered in [false, true] {
        let (mut queue, mut stream) = (WriteQueue::default(), Greedy::default());
        let mut written = match offered {
            true => queue.offer(&mut stream, &[small.clone(), whole()], Mark::NONE).written,
            false => 1 + queue.write_now(&mut stream, &[IoSlice::new(chunk.bytes())], whole),
        };
        assert!(0 < stream.taken && stream.taken <= share_max, "{} at first", stream.taken);
        assert_eq!(queue.offer(&mut stream, std::slice::from_ref(&small), Mark::NONE).missed, 0);
        let mut turns = 0;
        while queue.has_more() {
            let before = stream.taken;
            written += queue.flush(&mut stream);
            assert!(stream.taken - before <= share_max, "{} in a turn", stream.taken - before);
            turns += 1;
        }
        assert!(turns >= LEN / share_max);
        assert_eq!((written, queue.is_empty()), (3, true));
        assert_eq!(stream.taken, LEN + if offered { 200 } else { 100 });
    }
}

#[test]
fn what_is_left_below_the_mark_does_not_keep_what_was_missed() {
    // A slow peer gets ten thousand messages at a time, of which ten fit.
    let mut stream = Fickle { rng: Rng::new(1), taken: Vec::new(), full: false, patient: true };
    let mut queue = WriteQueue::new(Yields::Newest);
    let mark = Mark { messages: 10, bytes: u64::MAX };
    while !queue.blocked {
        let wire = frame_of(b"filler");
        let len = wire.len() as u32;
        queue.offer(&mut stream, &[Run::new(Arc::new(Chunk::new(wire, vec![len])), 0, 1)], mark);
    }
    let one = frame_of(b"0123456789");
    let ends = (1..=10_000).map(|n| n * one.len() as u32).collect();
    let chunk = Arc::new(Chunk::new(one.repeat(10_000), ends));
    let offered = queue.offer(&mut stream, &[Run::new(chunk.clone(), 0, 10_000)], mark);
    assert!((9_990..10_000).contains(&offered.missed), "{} are missed", offered.missed);
    assert_eq!(Arc::strong_count(&chunk), 1, "the queue has copied what it keeps");
}

fn frame_of(topic: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    frame::put_frame(&mut wire, topic, false);
    wire
}
