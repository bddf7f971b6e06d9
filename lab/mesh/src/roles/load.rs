//! Messages that are sent at a rate, and what is received of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oncue::kind::{Publisher, Subscriber};
use oncue::{Batch, Received as Batched, Socket};

use crate::clock::now;
use crate::protocol::{Flow, Received};

/// The beginning of all topics; a number follows.
const TOPIC: &[u8] = b"load/";
/// Where the time is in the second frame, which begins with the sequence number.
const STAMP: usize = 8;
/// The smallest second frame.
const BODY_MIN: usize = STAMP + 8;
/// A batch is sent when it has reached this size.
const BATCH_BYTES: usize = 64 << 10;
/// Ages that are kept at most.
const AGES_MAX: usize = 100_000;
/// A pause of the sender, in nanoseconds: what has become due meanwhile is sent together.
const PAUSE: u64 = 500_000;

/// Sends messages, and waits for room: nothing is dropped here. Returns how many. `next` is the first sequence number.
pub(super) fn publish<F>(socket: &Socket<Publisher, F>, flow: &Flow, next: &mut u64) -> oncue::Result<u64> {
    let digits = flow.topics.saturating_sub(1).to_string().len();
    let topics: Vec<String> = (0..flow.topics).map(|number| format!("load/{number:0digits$}")).collect();
    let mut body = vec![0; flow.size.saturating_sub(topics[0].len()).max(BODY_MIN)];
    let (begin, first) = (now(), *next);
    let end = begin + flow.millis * 1_000_000;
    let mut batch = Batch::new();
    loop {
        let time = now();
        if time >= end {
            return Ok(*next - first);
        }
        let due = match flow.per_second {
            0 => u64::MAX,
            rate => (u128::from(time - begin) * u128::from(rate) / 1_000_000_000) as u64 + first + 1,
        };
        while *next < due && batch.wire_bytes() < BATCH_BYTES {
            body[..STAMP].copy_from_slice(&next.to_be_bytes());
            body[STAMP..BODY_MIN].copy_from_slice(&time.to_be_bytes());
            batch.push((&topics[(*next % flow.topics) as usize][..], &body[..]))?;
            *next += 1;
        }
        if !batch.is_empty() && socket.send_many(&mut batch).is_err() {
            socket.send_many_wait(&mut batch).wait()?;
        }
        if *next >= due {
            thread::sleep(Duration::from_nanos(PAUSE));
        }
    }
}

/// Receives on a thread of its own, until its socket closes.
pub(super) struct Reader(Arc<Mutex<Count>>);

#[derive(Default)]
struct Count {
    told: Received,
    last_sequence: Option<u64>,
}

impl Reader {
    /// Begins to receive.
    pub(super) fn of<F: Send + Sync + 'static>(socket: Socket<Subscriber, F>) -> Reader
    where
        Socket<Subscriber, F>: Clone + Send,
    {
        let count = Arc::<Mutex<Count>>::default();
        let shared = count.clone();
        thread::spawn(move || {
            while let Ok(received) = socket.recv_many().wait() {
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(&received);
            }
        });
        Reader(count)
    }

    /// What came since the last call.
    pub(super) fn take(&self) -> Received {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *count).told
    }
}

impl Count {
    fn add(&mut self, received: &Batched) {
        let time = now();
        self.told.missed += received.missed().map_or(0, |missed| missed.messages + missed.unseen);
        for message in received.iter().filter(|message| message.topic().starts_with(TOPIC)) {
            self.message(message.frame(1).unwrap_or_default(), time);
        }
    }

    fn message(&mut self, body: &[u8], time: u64) {
        let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("8 bytes"));
        if body.len() < BODY_MIN {
            return;
        }
        let (sequence, stamp) = (number(0), number(STAMP));
        match self.last_sequence {
            Some(last) if sequence <= last => self.told.backwards += 1,
            Some(last) => self.told.gaps += sequence - last - 1,
            None => self.told.first = time,
        }
        self.last_sequence = self.last_sequence.max(Some(sequence));
        self.told.last = time;
        self.told.messages += 1;
        if self.told.ages.len() < AGES_MAX {
            self.told.ages.push(time.saturating_sub(stamp));
        }
    }
}
