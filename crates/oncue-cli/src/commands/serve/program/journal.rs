//! What `oncue serve` prints: on standard output which topics are produced, on standard error what goes wrong. A thread of
//! its own writes, so that no producer waits for a reader. Lines that it cannot keep up with are dropped and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fail::Fail;
use crate::lines::Line;
use crate::output::{self, counted, say};
use crate::signals::Stop;
use crate::wait::spawn;

/// How many lines may wait to be written.
const LINES_WAITING_MAX: usize = 4096;
/// How many bytes they may have together: peers choose the topics in them.
const LINES_WAITING_BYTES_MAX: usize = 4 << 20;
/// How long the end waits for the last lines to be written.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// The longest line of a program's standard error, in bytes.
pub(crate) const REMARK_BYTES_MAX: usize = 2000;
/// Token bucket: how many remarks a route may make at once.
const REMARKS_BURST: u32 = 100;
/// Token bucket: the time in which a route earns another remark.
const REMARK_PERIOD: Duration = Duration::from_millis(50);

/// The queue of lines to be written. All clones share it.
#[derive(Clone)]
pub(crate) struct Journal {
    lines: SyncSender<Entry>,
    /// The bytes of the lines in the queue.
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
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

/// The remarks of one route. Peers choose its topics, so their rate is bounded.
pub(crate) struct Log {
    journal: Journal,
    limiter: Mutex<Limiter>,
}

struct Limiter {
    tokens: u32,
    since: Instant,
    dropped: u64,
}

impl Journal {
    /// Starts the thread that writes. When nobody reads standard output any more, it ends the program.
    pub(crate) fn start(stop: &Stop) -> Result<(Journal, Writer), Fail> {
        let (lines, received) = sync_channel(LINES_WAITING_MAX);
        let journal = Journal { lines, waiting: Arc::default(), dropped: Arc::default() };
        let (stop, dropped) = (stop.clone(), journal.dropped.clone());
        let waiting = journal.waiting.clone();
        let thread = spawn("journal", move || write(&received, &waiting, &dropped, &stop))?;
        Ok((journal.clone(), Writer { journal, thread }))
    }

    /// A topic begins to be produced.
    pub(crate) fn started(&self, topic: &[u8]) {
        self.put(Entry::Output(output::change("+ ", topic)));
    }

    /// A topic is not produced any more.
    pub(crate) fn ended(&self, topic: &[u8]) {
        self.put(Entry::Output(output::change("- ", topic)));
    }

    pub(crate) fn remark(&self, text: impl Into<String>) {
        self.put(Entry::Remark(text.into()));
    }

    fn put(&self, line: Entry) {
        let bytes = line.bytes();
        let fits = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= LINES_WAITING_BYTES_MAX;
        if !fits || self.lines.try_send(line).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until all lines are written, for a bounded time: maybe nobody reads them.
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

fn write(lines: &Receiver<Entry>, waiting: &AtomicUsize, dropped: &AtomicU64, stop: &Stop) {
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
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let lines = counted(dropped, "line");
            say("serve", &format!("{lines} dropped here: lines come faster than they are read"));
        }
    }
}

impl Log {
    pub(crate) fn new(journal: &Journal) -> Log {
        let limiter = Limiter { tokens: REMARKS_BURST, since: Instant::now(), dropped: 0 };
        Log { journal: journal.clone(), limiter: Mutex::new(limiter) }
    }

    /// Logs a remark about a topic, or about a route or catalogue of this name.
    pub(crate) fn about(&self, name: &[u8], text: &str) {
        let dropped = {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.admit(Instant::now())
        };
        let Some(dropped) = dropped else { return };
        let name = output::escaped(name);
        if dropped > 0 {
            let remarks = counted(dropped, "remark");
            self.journal.remark(format!("{name}: {remarks} dropped before this one"));
        }
        self.journal.remark(format!("{name}: {text}"));
    }

    /// Logs a line of a program's standard error.
    pub(crate) fn said(&self, name: &[u8], line: Line<'_>) {
        match line {
            Line::Whole(line) => self.about(name, &output::escaped(line)),
            Line::Beginning(line) => self.about(name, &format!("{}…", output::escaped(line))),
        }
    }
}

impl Limiter {
    /// Takes a token. Returns how many remarks were dropped since the last one; None if there is no token.
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
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_in_rate_and_those_dropped_are_counted() {
        let start = Instant::now();
        let mut limiter = Limiter { tokens: REMARKS_BURST, since: start, dropped: 0 };
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
