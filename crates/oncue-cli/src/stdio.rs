//! Standard output and standard error. A thread writes each of them, from a bounded queue: a reader that has stopped
//! reading, a full disk or a closed pipe never stops what the program is for. Lines that could not be written are counted,
//! and the count is said where that is possible.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ioctl_fionread, write};

use crate::fail::Fail;
use crate::output::counted;
use crate::record::{Level, Record, Style};
use crate::signals::{Cause, Stop, Waited};
use crate::wait::spawn;

/// How many lines may wait to be written.
const LINES_MAX: usize = 4096;
/// How many bytes they may have together, beside the first of them: peers choose the topics in them.
const BYTES_MAX: usize = 4 << 20;
/// How many bytes are written at once, beside those of the last line.
const WRITE_BYTES: usize = 64 << 10;
/// Why lines are left out while there is no room for them.
const NOT_READ: &str = "they come faster than they are read";
/// How many bytes a pipe takes in one piece, or not at all: Linux's `PIPE_BUF`.
const PIPE_BYTES: usize = 4096;
/// How long the end waits for lines to be written while none is.
const STUCK_AFTER: Duration = Duration::from_millis(250);
/// How long the end waits for lines to be written at most, after a signal.
const FINISH_MAX: Duration = Duration::from_secs(1);

/// How long a pipe is not looked at whose reader is slow, at first and at most.
const PIPE_LOOK_MIN: Duration = Duration::from_micros(50);
const PIPE_LOOK_MAX: Duration = Duration::from_millis(5);

static OUTPUT: Stream = Stream::new(File::Output);
static ERRORS: Stream = Stream::new(File::Errors);
/// How records are written.
static STYLE: Mutex<Style> = Mutex::new(Style::PLAIN);
/// The subcommand, and what standard output is for it.
static COMMAND: OnceLock<(&'static str, Reader)> = OnceLock::new();
static PRINTS: AtomicBool = AtomicBool::new(false);

/// What it prints is all that a subcommand of a subcommand works for.
pub(crate) fn only_prints() {
    PRINTS.store(true, Ordering::Release);
}

fn reader() -> Reader {
    match COMMAND.get() {
        _ if PRINTS.load(Ordering::Acquire) => Reader::Everything,
        Some((_, reader)) => *reader,
        None => Reader::Optional,
    }
}

/// What the reader of standard output is for a subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// All that the subcommand works for: it ends when the reader has gone, and when a line cannot be written.
    Everything,
    /// The subcommand ends when the reader has gone, and goes on when a line cannot be written.
    Wanted,
    /// The subcommand goes on, whatever becomes of the reader.
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Output,
    Errors,
}

/// A standard stream.
struct Stream {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether it has a thread that writes.
    started: AtomicBool,
}

struct State {
    queue: VecDeque<Vec<u8>>,
    /// The bytes in the queue.
    bytes: usize,
    /// How many lines are being written.
    writing: usize,
    /// Lines that were left out and not reported yet, and why the last of them was.
    left_out: u64,
    why: String,
    /// Lines that could not be written, since the start.
    failed: u64,
    trouble: Trouble,
    /// An operation that waits for room.
    waker: Option<Waker>,
    /// What stops when the reader has gone.
    stop: Option<Stop>,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    None,
    /// The last write has failed; the next one may succeed.
    Failing(String),
    /// It has no reader any more.
    Gone,
}

/// Starts the threads. Until then nothing is written.
pub(crate) fn start(name: &'static str, reader: Reader, stop: &Stop) -> Result<(), Fail> {
    let _ = COMMAND.set((name, reader));
    OUTPUT.state().stop = Some(stop.clone());
    for stream in [&OUTPUT, &ERRORS] {
        spawn(stream.file.name(), || stream.write_lines())?;
        stream.started.store(true, Ordering::Release);
    }
    Ok(())
}

/// Adds a line to standard error: `oncue NAME: TEXT`, or as [`set_style`] says. Never waits.
pub(crate) fn say(name: &str, text: &str) {
    record(name, &Record::new(Level::Info, text));
}

/// The same about a failure.
pub(crate) fn complain(name: &str, text: &str) {
    record(name, &Record::new(Level::Error, text));
}

/// Adds a record to standard error.
pub(crate) fn record(name: &str, record: &Record<'_>) {
    ERRORS.put(in_style(name, record));
}

/// From now on records are written like this.
pub(crate) fn set_style(style: Style) {
    *STYLE.lock().unwrap_or_else(PoisonError::into_inner) = style;
}

fn in_style(name: &str, record: &Record<'_>) -> Vec<u8> {
    let style = *STYLE.lock().unwrap_or_else(PoisonError::into_inner);
    record.line(name, style, SystemTime::now())
}

/// Adds a line to standard output. Never waits: a line without room is left out and counted.
pub(crate) fn line(mut line: Vec<u8>) {
    line.push(b'\n');
    OUTPUT.put(line);
}

/// Adds a line to standard output, and waits for room, until the deadline or the end.
pub(crate) fn print(mut line: Vec<u8>, stop: &Stop, deadline: Option<Instant>) -> Waited<()> {
    line.push(b'\n');
    stop.wait(poll_fn(|context| OUTPUT.poll_put(&mut line, context)), deadline)
}

/// Waits until everything is written: for as long as that takes, if the subcommand works for the reader, its time is not
/// over and no signal has come; otherwise for a bounded time.
///
/// # Errors
/// How many lines could not be written, if the subcommand works for the reader.
pub(crate) fn finish(stop: &Stop, time_over: bool) -> Result<(), Fail> {
    let reader = reader();
    let patient = || reader != Reader::Optional && !time_over && stop.signal().is_none();
    let waiting = OUTPUT.finish(patient);
    let state = OUTPUT.state();
    let (failed, missing, why) = (state.failed, waiting + state.left_out, state.why.clone());
    drop(state);
    if failed > 0 && reader != Reader::Optional {
        let lines = counted(failed, "line");
        return Err(Fail::Runtime(format!("{lines} of standard output could not be written: {why}")));
    }
    if missing > 0 {
        let why = if waiting > 0 { NOT_READ } else { &why };
        tell(&format!("{} of standard output not written: {why}", counted(missing, "line")));
    }
    Ok(())
}

/// Waits until standard error is written, for a bounded time.
pub(crate) fn finish_errors() {
    if !ERRORS.started.load(Ordering::Acquire) {
        // There was no thread for it.
        let lines = ERRORS.state().take();
        let _ = ERRORS.write_some(&lines, &mut false);
    }
    ERRORS.finish(|| false);
}

/// Waits until everything is written that was added to standard output, and read if it is a pipe, until the deadline or
/// the end.
pub(crate) fn taken(stop: &Stop, deadline: Option<Instant>) -> Waited<()> {
    match stop.wait(poll_fn(|context| OUTPUT.poll_written(context)), deadline) {
        Waited::Ready(()) => {}
        waited => return waited,
    }
    let mut pause = PIPE_LOOK_MIN;
    // Nothing tells that a pipe was read to its end. Other files say that nothing is in them, or have no answer.
    while is_pipe(io::stdout().as_fd()) && ioctl_fionread(io::stdout()).is_ok_and(|bytes| bytes > 0) {
        let next = Instant::now() + pause;
        match stop.wait(pending::<()>(), Some(deadline.map_or(next, |deadline| deadline.min(next)))) {
            Waited::TimedOut if deadline.is_none_or(|deadline| deadline > Instant::now()) => {}
            waited => return waited,
        }
        pause = PIPE_LOOK_MAX.min(pause * 2);
    }
    Waited::Ready(())
}

/// Says something about standard output.
fn tell(text: &str) {
    say(COMMAND.get().map_or("", |(name, _)| name), text);
}

impl File {
    fn name(self) -> &'static str {
        match self {
            File::Output => "standard output",
            File::Errors => "standard error",
        }
    }
}

impl Stream {
    const fn new(file: File) -> Stream {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            writing: 0,
            left_out: 0,
            why: String::new(),
            failed: 0,
            trouble: Trouble::None,
            waker: None,
            stop: None,
        };
        Stream { file, state: Mutex::new(state), changed: Condvar::new(), started: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or leaves it out.
    fn put(&self, line: Vec<u8>) {
        let mut state = self.state();
        if state.has_room(&line) {
            state.push(line);
            return self.changed.notify_all();
        }
        let first = state.left_out == 0 && state.trouble != Trouble::Gone;
        state.leave_out(1, NOT_READ);
        drop(state);
        if first && self.file == File::Output {
            tell(&format!("lines of standard output are left out: {NOT_READ}"));
        }
    }

    /// Adds a line as soon as there is room. Without a reader it is never written.
    fn poll_put(&self, line: &mut Vec<u8>, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.has_room(line) && state.trouble != Trouble::Gone {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.push(std::mem::take(line));
        self.changed.notify_all();
        Poll::Ready(())
    }

    fn poll_written(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.queue.is_empty() && state.writing == 0 {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Writes lines, for ever.
    fn write_lines(&self) {
        let mut begun = false;
        loop {
            let (mut lines, report) = self.next();
            match (report, self.file) {
                (Some(report), File::Output) => tell(&report),
                // It takes the place of the lines that are missing.
                (Some(report), File::Errors) => {
                    lines.insert(0, in_style("", &Record::new(Level::Warning, &report)))
                }
                (None, _) => {}
            }
            if !lines.is_empty() {
                let outcome = self.write_some(&lines, &mut begun);
                self.written(outcome);
            }
        }
    }

    /// Waits for lines to be written, or for something to be reported about those that were left out.
    fn next(&self) -> (Vec<Vec<u8>>, Option<String>) {
        let mut state = self.state();
        loop {
            let report = state.report(self.file);
            if !state.queue.is_empty() || report.is_some() {
                return (state.take(), report);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes lines. Returns how many were not written, and why. `begun`: whether the last line that was written is
    /// incomplete.
    fn write_some(&self, lines: &[Vec<u8>], begun: &mut bool) -> Result<(), (usize, io::Error)> {
        let (output, errors) = (io::stdout(), io::stderr());
        let file = match self.file {
            File::Output => output.as_fd(),
            File::Errors => errors.as_fd(),
        };
        let mut bytes = Vec::with_capacity(lines.iter().map(Vec::len).sum::<usize>() + 1);
        if *begun {
            bytes.push(b'\n');
        }
        let mut ends = Vec::with_capacity(lines.len());
        for line in lines {
            bytes.extend_from_slice(line);
            ends.push(bytes.len());
        }
        // A pipe takes this much in one piece or not at all: how many lines it has is known when it takes no more.
        let at_once = if is_pipe(file) { PIPE_BYTES } else { usize::MAX };
        let mut written = 0;
        let failed = loop {
            match bytes.get(written..) {
                None | Some([]) => break None,
                Some(rest) => match write_now(file, rest.get(..at_once).unwrap_or(rest)) {
                    Ok(count) => {
                        written += count;
                        // The next write may be stuck for as long as nobody reads.
                        self.state().writing = ends.len() - ends.partition_point(|end| *end <= written);
                    }
                    Err(error) => break Some(error),
                },
            }
        };
        let whole = ends.partition_point(|end| *end <= written);
        *begun = match written {
            0 => *begun,
            _ => bytes.get(written - 1) != Some(&b'\n'),
        };
        failed.map_or(Ok(()), |error| Err((lines.len() - whole, error)))
    }

    /// Lines were written, or not.
    fn written(&self, outcome: Result<(), (usize, io::Error)>) {
        let mut state = self.state();
        state.writing = 0;
        let after = match &outcome {
            Ok(()) => Trouble::None,
            Err((_, error)) if error.kind() == ErrorKind::BrokenPipe => Trouble::Gone,
            Err((_, error)) => Trouble::Failing(error.to_string()),
        };
        match (&after, &outcome) {
            (Trouble::Failing(why), Err((lines, _))) => {
                state.leave_out(*lines as u64, why);
                state.failed += *lines as u64;
            }
            (Trouble::Gone, _) => {
                state.queue.clear();
                (state.bytes, state.left_out) = (0, 0);
            }
            _ => {}
        }
        let changed = std::mem::replace(&mut state.trouble, after.clone()) != after;
        let (waker, stop) = (state.waker.take(), state.stop.clone());
        drop(state);
        self.changed.notify_all();
        waker.into_iter().for_each(Waker::wake);
        if changed && let Some(stop) = stop {
            act_on(&after, &stop);
        }
    }

    /// Waits until everything is written: as long as `patient` says so, and then while lines are being written, up to
    /// a bound. Returns how many lines are left.
    fn finish(&self, patient: impl Fn() -> bool) -> u64 {
        if !self.started.load(Ordering::Acquire) {
            return 0;
        }
        let (mut state, mut last, mut since) = (self.state(), 0, Instant::now());
        let mut end = None;
        loop {
            let left = state.queue.len() + state.writing;
            let now = Instant::now();
            if left != last {
                (last, since) = (left, now);
            }
            let ends = (!patient()).then(|| *end.get_or_insert(now + FINISH_MAX));
            let stuck = matches!(state.trouble, Trouble::Failing(_)) || since + STUCK_AFTER <= now;
            if left == 0 || ends.is_some_and(|end| stuck || end <= now) {
                return left as u64;
            }
            let waited = self.changed.wait_timeout(state, STUCK_AFTER / 10);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Standard output has got into this trouble, or out of it: does what the subcommand is to do.
fn act_on(trouble: &Trouble, stop: &Stop) {
    let reader = reader();
    match (trouble, reader) {
        (Trouble::None, _) => {}
        (Trouble::Gone, Reader::Everything | Reader::Wanted) => stop.stop(Cause::OutputClosed),
        (Trouble::Gone, Reader::Optional) => {
            tell("standard output has no reader any more; its lines are left out from now on");
        }
        (Trouble::Failing(_), Reader::Everything) => stop.stop(Cause::OutputFailed),
        (Trouble::Failing(why), _) => {
            tell(&format!("lines of standard output are left out: {why}"));
        }
    }
}

impl State {
    fn has_room(&self, line: &[u8]) -> bool {
        let fits = self.queue.is_empty() || self.bytes + line.len() <= BYTES_MAX;
        self.queue.len() < LINES_MAX && fits && self.trouble != Trouble::Gone
    }

    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.queue.push_back(line);
    }

    /// Counts lines that are left out. Without a reader there is nothing to count.
    fn leave_out(&mut self, lines: u64, why: &str) {
        if self.trouble != Trouble::Gone {
            self.left_out += lines;
            why.clone_into(&mut self.why);
        }
    }

    /// Takes lines to be written at once.
    fn take(&mut self) -> Vec<Vec<u8>> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < WRITE_BYTES
            && let Some(line) = self.queue.pop_front()
        {
            bytes += line.len();
            lines.push(line);
        }
        self.bytes -= bytes;
        self.writing = lines.len();
        lines
    }

    /// The report about lines that were left out, once lines are written again.
    fn report(&mut self, file: File) -> Option<String> {
        if self.left_out == 0 || self.trouble != Trouble::None || self.queue.len() > LINES_MAX / 2 {
            return None;
        }
        let lines = counted(std::mem::take(&mut self.left_out), "line");
        Some(format!("{lines} of {} left out until now: {}", file.name(), self.why))
    }
}

fn is_pipe(file: BorrowedFd<'_>) -> bool {
    fstat(file).is_ok_and(|file| FileType::from_raw_mode(file.st_mode) == FileType::Fifo)
}

/// Writes some bytes; waits if a file that does not block has no room.
fn write_now(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match write(file, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
