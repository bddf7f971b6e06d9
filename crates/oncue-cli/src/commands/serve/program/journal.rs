//! What `oncue serve` says: on standard output which topics are produced, on standard error what went wrong. A thread of
//! its own writes, so that no producer ever waits for a reader; what it cannot keep up with is left out and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fail::Fail;
use crate::lines::Line;
use crate::output::{self, say};
use crate::signals::Stop;

/// Lines that wait to be written, and their bytes: strangers choose the topics in them.
const LINES_WAITING_MAX: usize = 4096;
const LINES_WAITING_BYTES_MAX: usize = 4 << 20;
/// The time that the last lines have to be written.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// The most that one line of a program says, in bytes.
pub(crate) const REMARK_BYTES_MAX: usize = 2000;
/// Remarks that a route may make at once.
const REMARKS_BURST: u32 = 100;
/// The time in which it earns another one.
const REMARK_PERIOD: Duration = Duration::from_millis(50);

/// Where lines go. Clones are handles to one and the same.
#[derive(Clone)]
pub(crate) struct Journal {
    lines: SyncSender<Entry>,
    /// The bytes of the lines that wait.
    waiting: Arc<AtomicUsize>,
    left_out: Arc<AtomicU64>,
}

/// The thread that writes.
pub(crate) struct Writer {
    journal: Journal,
    thread: JoinHandle<()>,
}

enum Entry {
    Output(Vec<u8>),
    Remark(String),
    /// Nothing follows.
    End,
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Entry::Output(line) => line.len(),
            Entry::Remark(text) => text.len(),
            Entry::End => 0,
        }
    }
}

/// The remarks of one route: strangers choose its topics, so there is a bound to what it may say.
pub(crate) struct Log {
    journal: Journal,
    limiter: Mutex<Limiter>,
}

struct Limiter {
    tokens: u32,
    since: Instant,
    left_out: u64,
}

impl Journal {
    /// Starts the thread that writes. When nobody reads standard output any more it brings about the end.
    pub(crate) fn start(stop: &Stop) -> Result<(Journal, Writer), Fail> {
        let (lines, received) = sync_channel(LINES_WAITING_MAX);
        let journal = Journal { lines, waiting: Arc::default(), left_out: Arc::default() };
        let (stop, left_out) = (stop.clone(), journal.left_out.clone());
        let waiting = journal.waiting.clone();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(&received, &waiting, &left_out, &stop))
            .map_err(|error| Fail::Runtime(format!("no thread for the log: {error}")))?;
        Ok((journal.clone(), Writer { journal, thread }))
    }

    /// A topic is produced from now on.
    pub(crate) fn started(&self, topic: &[u8]) {
        self.output(b"+ ", topic);
    }

    /// A topic is not produced any more.
    pub(crate) fn ended(&self, topic: &[u8]) {
        self.output(b"- ", topic);
    }

    pub(crate) fn remark(&self, text: impl Into<String>) {
        self.put(Entry::Remark(text.into()));
    }

    fn output(&self, sign: &[u8], topic: &[u8]) {
        let mut line = sign.to_vec();
        output::escape(topic, &mut line);
        self.put(Entry::Output(line));
    }

    fn put(&self, line: Entry) {
        let bytes = line.bytes();
        let fits = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= LINES_WAITING_BYTES_MAX;
        if !fits || self.lines.try_send(line).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until all that was said before is written, but not for ever: there may be nobody who reads it.
    pub(crate) fn finish(self) {
        let deadline = Instant::now() + FINISH_MAX;
        let soon = || {
            std::thread::sleep(Duration::from_millis(2));
            Instant::now() < deadline
        };
        while self.journal.lines.try_send(Entry::End).is_err() && soon() {}
        while !self.thread.is_finished() && soon() {}
    }
}

fn write(lines: &Receiver<Entry>, waiting: &AtomicUsize, left_out: &AtomicU64, stop: &Stop) {
    let mut closed = false;
    for line in lines {
        waiting.fetch_sub(line.bytes(), Ordering::Relaxed);
        match line {
            Entry::Remark(text) => say("serve", &text),
            Entry::Output(mut line) if !closed => {
                if output::line(&mut line).is_err() {
                    closed = true;
                    stop.stop();
                }
            }
            Entry::Output(_) => {}
            Entry::End => return,
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            say("serve", &format!("{missing} lines left out here: they come faster than they are read"));
        }
    }
}

impl Log {
    pub(crate) fn new(journal: &Journal) -> Log {
        let limiter = Limiter { tokens: REMARKS_BURST, since: Instant::now(), left_out: 0 };
        Log { journal: journal.clone(), limiter: Mutex::new(limiter) }
    }

    /// Says something about a topic, or whatever else has this name.
    pub(crate) fn about(&self, name: &[u8], text: &str) {
        let left_out = {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.admit(Instant::now())
        };
        let Some(left_out) = left_out else { return };
        let name = output::escaped(name);
        if left_out > 0 {
            self.journal.remark(format!("{name}: {left_out} remarks left out before this one"));
        }
        self.journal.remark(format!("{name}: {text}"));
    }

    /// Says what a program has written to its standard error.
    pub(crate) fn said(&self, name: &[u8], line: Line<'_>) {
        match line {
            Line::Whole(line) => self.about(name, &output::escaped(line)),
            Line::Beginning(line) => self.about(name, &format!("{}…", output::escaped(line))),
        }
    }
}

impl Limiter {
    /// Whether one more may be said now, and how many were not said before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.since).as_nanos() / REMARK_PERIOD.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.since += REMARK_PERIOD.saturating_mul(earned);
            self.tokens = self.tokens.saturating_add(earned).min(REMARKS_BURST);
        }
        match self.tokens.checked_sub(1) {
            Some(tokens) => {
                self.tokens = tokens;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_in_rate_and_what_was_left_out_is_counted() {
        let start = Instant::now();
        let mut limiter = Limiter { tokens: REMARKS_BURST, since: start, left_out: 0 };
        for _ in 0..REMARKS_BURST {
            assert_eq!(limiter.admit(start), Some(0));
        }
        assert_eq!((limiter.admit(start), limiter.admit(start + REMARK_PERIOD / 2)), (None, None));
        assert_eq!(limiter.admit(start + REMARK_PERIOD), Some(2));
        assert_eq!(limiter.admit(start + REMARK_PERIOD), None);
        let later = start + Duration::from_secs(3600);
        let admitted = (0..2 * REMARKS_BURST).filter(|_| limiter.admit(later).is_some()).count();
        assert_eq!(admitted, REMARKS_BURST as usize);
    }
}
