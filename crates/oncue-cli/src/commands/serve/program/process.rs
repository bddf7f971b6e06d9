//! One running program, from its start to the end of its process group. A single thread waits for all of its pipes and its
//! end. What becomes of its output is decided by a [`Work`].

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::guardian::Entry;
use super::journal::{Log, REMARK_BYTES_MAX};
use super::launch::{Launched, Launcher, Prepared};
use super::verdict::{End, Failed, Reason, Verdict};
use crate::lines::{Line, Lines};
use crate::record::{Level, Record, Subject};

/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;
/// How many bytes are read after the program has ended. A pipe holds fewer; more can only come from a process that has
/// left the process group and still writes.
const LAST_WORDS_BYTES_MAX: usize = 4 << 20;

/// Output that comes in small pieces, one soon after the other, gathers in the pipe for this long: it is read, and its values
/// are sent, together.
const GATHER: Duration = Duration::from_micros(200);
/// A larger piece is not small, in bytes.
const GATHER_BYTES_MAX: usize = READ_BYTES / 4;

/// What becomes of the output of a program, and what it reads.
pub(crate) trait Work {
    /// Takes output of the program.
    ///
    /// # Errors
    /// Why the program has to end.
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// The output has ended.
    ///
    /// # Errors
    /// Why the program has failed.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The bytes that are ready for the standard input of the program; those that were written are removed from the front.
    /// None if the standard input is empty. After the `last` ones it ends, which tells the program to end.
    fn input(&mut self, last: bool) -> Option<&mut Vec<u8>> {
        let _ = last;
        None
    }

    /// Whether the program should write something now.
    fn is_awaited(&self) -> bool {
        false
    }

    /// When the program is not needed any more, unless that changes; None if that does not depend on the time.
    fn ends_at(&self) -> Option<Instant> {
        None
    }
}

/// When a program is told to end, and what it may take for it.
pub(crate) struct Limits {
    /// When it has run too long.
    pub(crate) deadline: Option<Instant>,
    /// The time between the end of its input and TERM, if it has an input.
    pub(crate) stop_after: Duration,
    /// The time between TERM and KILL.
    pub(crate) kill_after: Duration,
    /// After this time without any output there is a remark.
    pub(crate) silence_max: Duration,
}

/// How remarks about a program are made.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) log: &'a Log,
    /// What remarks are about.
    pub(crate) subject: Subject<'a>,
    /// The program and its arguments.
    pub(crate) command: &'a str,
}

/// A program that runs.
struct Process<'a> {
    child: Child,
    /// Kept until its group has been killed.
    entry: Option<Entry>,
    group: Pid,
    /// A pidfd: readable once the program has ended. The number of its group is not reused before it is waited for.
    ended: OwnedFd,
    bell: Arc<Bell>,
    input: Option<ChildStdin>,
    /// Whether the input does not take more bytes now.
    input_full: bool,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    remarks: Lines,
    verdict: Verdict,
    about: About<'a>,
    phase: Phase,
    waited_for: bool,
}

/// How far the end of a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Needed,
    /// Its input ends, or has ended.
    Closing,
    /// It got TERM.
    Terminated,
    /// It got KILL.
    Killed,
}

/// What a wait has found.
struct Found {
    has_ended: bool,
    output: bool,
    errors: bool,
}

/// Decides when output is read.
#[derive(Default)]
struct Pace {
    /// When the last output was read.
    last: Option<Instant>,
    /// Whether output that comes now is left in the pipe for a moment.
    gathers: bool,
}

/// Decides when there is a remark on a program that writes nothing.
struct Silence {
    max: Duration,
    /// Whether it has written something, or there was a remark.
    over: bool,
    since: Option<Instant>,
}

/// A waker for a thread that polls files: waking makes an eventfd readable.
struct Bell(OwnedFd);

/// Done when a program is not needed any more.
type Stopped<'s> = dyn Future<Output = ()> + Unpin + 's;

/// Runs a program until it and its whole process group have ended. It is told to end when `stopped` is done: by the end of its
/// input if it has one, then by TERM, then by KILL. At the deadline it gets TERM.
pub(crate) fn run(
    launcher: &Launcher,
    prepared: &mut Prepared,
    work: &mut dyn Work,
    stopped: &mut Stopped<'_>,
    limits: &Limits,
    about: About<'_>,
) -> End {
    let takes_input = work.input(false).is_some();
    let mut process = match Process::start(launcher, prepared, takes_input, about) {
        Ok(process) => process,
        Err(why) => return End::Failed(Failed::new(Reason::Start, format!("cannot be started: {why}"))),
    };
    match process.attend(work, stopped, limits) {
        Ok(end) => end,
        Err(error) => End::Failed(Failed::new(Reason::Start, format!("cannot be run: {error}"))),
    }
}

impl<'a> Process<'a> {
    fn start(
        launcher: &Launcher,
        prepared: &mut Prepared,
        takes_input: bool,
        about: About<'a>,
    ) -> Result<Process<'a>, String> {
        let system = |error: Errno| error.to_string();
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system)?;
        let number = bell.as_raw_fd();
        let bell = Arc::new(Bell(bell));
        let command = &mut prepared.command;
        command.stdin(if takes_input { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Launched { mut child, entry } = launcher.start(prepared, number)?;
        let group = Pid::from_child(&child);
        let ended = pidfd_open(group, PidfdFlags::empty());
        let ended = ended.map_err(|error| {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            system(error)
        })?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (remarks, verdict) = (Lines::new(REMARK_BYTES_MAX), Verdict::of(&prepared.confinement));
        let process = Process {
            child,
            entry: Some(entry),
            group,
            ended,
            bell,
            input,
            input_full: false,
            output,
            errors,
            remarks,
            verdict,
            about,
            phase: Phase::Needed,
            waited_for: false,
        };
        let [input, output, errors] = [
            process.input.as_ref().map(AsFd::as_fd),
            process.output.as_ref().map(AsFd::as_fd),
            process.errors.as_ref().map(AsFd::as_fd),
        ];
        for pipe in [input, output, errors].into_iter().flatten() {
            ioctl_fionbio(pipe, true).map_err(system)?;
        }
        Ok(process)
    }

    fn attend(&mut self, work: &mut dyn Work, stopped: &mut Stopped<'_>, limits: &Limits) -> io::Result<End> {
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        // Why it was told to end, if it was, and when the next phase of its end is due.
        let mut told = None;
        let mut due = limits.deadline;
        let mut pace = Pace::default();
        let mut silence = Silence { max: limits.silence_max, over: false, since: None };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            if self.phase == Phase::Needed && Pin::new(&mut *stopped).poll(&mut context).is_ready() {
                told = Some(End::Stopped);
                due = self.close(limits, now);
            }
            if due.is_some_and(|due| due <= now) {
                if told.is_none() {
                    told = Some(End::Failed(Failed::new(Reason::Timeout, "took too long; see `timeout`")));
                }
                due = self.advance(limits, now);
            }
            let awaited = !silence.over && self.phase == Phase::Needed && work.is_awaited();
            let quiet = silence.ends_at(awaited, now).filter(|quiet| {
                let over = *quiet <= now;
                if over {
                    silence.over = true;
                    self.remark_on_silence();
                }
                !over
            });
            self.write_input(work);
            let again = if self.phase == Phase::Needed { work.ends_at() } else { None };
            let gather = pace.gathers.then(|| now + GATHER);
            let until = [due, again, quiet, gather].into_iter().flatten().min();
            let found = self.wait(until, pace.gathers)?;
            if found.output || pace.gathers {
                let read = self.read_output(work, &mut buffer);
                silence.over |= matches!(read, Ok(Some(_)));
                match read {
                    Ok(read) => pace.note(read, Instant::now()),
                    Err(why) if told.is_none() => {
                        told = Some(End::Failed(Failed::new(Reason::Output, why)));
                        due = self.terminate(limits, now);
                    }
                    Err(_) => {}
                }
            }
            if found.errors {
                self.read_errors(&mut buffer);
            }
            if found.has_ended {
                let status = self.finish(work, &mut buffer)?;
                if let Err(why) = work.finish() {
                    told.get_or_insert(End::Failed(Failed::new(Reason::Output, why)));
                }
                return Ok(told.unwrap_or_else(|| self.verdict.judge(status)));
            }
        }
    }

    /// Begins the end of the program, with the end of its input if it has one. Returns when the next phase is due.
    fn close(&mut self, limits: &Limits, now: Instant) -> Option<Instant> {
        if self.input.is_none() {
            return self.terminate(limits, now);
        }
        self.phase = Phase::Closing;
        Some(now.checked_add(limits.stop_after).unwrap_or(now))
    }

    /// The phase has taken its time. Returns when the next one is due.
    fn advance(&mut self, limits: &Limits, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Needed | Phase::Closing => self.terminate(limits, now),
            Phase::Terminated | Phase::Killed => {
                self.phase = Phase::Killed;
                self.signal(Signal::KILL);
                None
            }
        }
    }

    /// Sends TERM to the whole group. Returns when it is killed.
    fn terminate(&mut self, limits: &Limits, now: Instant) -> Option<Instant> {
        self.phase = Phase::Terminated;
        self.input = None;
        self.signal(Signal::TERM);
        Some(now.checked_add(limits.kill_after).unwrap_or(now))
    }

    fn signal(&self, signal: Signal) {
        // An error means that the group has ended.
        let _ = kill_process_group(self.group, signal);
    }

    /// Waits until there is something to do, at most until `until`; for output only if it is not left in the pipe.
    fn wait(&self, until: Option<Instant>, leaves_output: bool) -> io::Result<Found> {
        let absent = || PollFd::from_borrowed_fd(self.bell.0.as_fd(), PollFlags::empty());
        let output = self.output.as_ref().filter(|_| !leaves_output);
        let input = self.input.as_ref().filter(|_| self.input_full);
        let mut files = [
            PollFd::new(&self.ended, PollFlags::IN),
            PollFd::from_borrowed_fd(self.bell.0.as_fd(), PollFlags::IN),
            output.map_or_else(absent, |output| PollFd::new(output, PollFlags::IN)),
            self.errors.as_ref().map_or_else(absent, |errors| PollFd::new(errors, PollFlags::IN)),
            input.map_or_else(absent, |input| PollFd::new(input, PollFlags::OUT)),
        ];
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 }));
        match poll(&mut files, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [has_ended, rang, output, errors, _] = files.map(|file| !file.revents().is_empty());
        if rang {
            self.bell.silence();
        }
        Ok(Found { has_ended, output, errors })
    }

    /// Writes what the program is to read, as far as it reads; the last of it ends its input.
    fn write_input(&mut self, work: &mut dyn Work) {
        let last = self.phase != Phase::Needed;
        self.input_full = false;
        while let Some(pending) = work.input(last) {
            let Some(input) = &mut self.input else { return pending.clear() };
            if pending.is_empty() {
                self.input = self.input.take().filter(|_| !last);
                return;
            }
            match input.write(pending) {
                Ok(written) => drop(pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.input_full = true;
                    return;
                }
                // It has closed its input. Whether that is a failure, its exit status tells.
                Err(_) => self.input = None,
            }
        }
    }

    /// Reads output once. Returns the number of bytes; None if there are none.
    fn read_output(&mut self, work: &mut dyn Work, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        let Some(read) = read(&mut self.output, buffer) else { return Ok(None) };
        work.take_output(read).map(|()| Some(read.len()))
    }

    fn read_errors(&mut self, buffer: &mut [u8]) -> bool {
        let Some(read) = read(&mut self.errors, buffer) else { return false };
        let (about, verdict) = (self.about, &mut self.verdict);
        self.remarks.take(read, |line| remark(about, verdict, line)).is_ok()
    }

    fn remark_on_silence(&self) {
        let About { log, subject, command } = self.about;
        let text = format!("`{command}` runs and has written nothing yet: does it flush its output?");
        log.add(Record {
            event: Some("program_silent"),
            subject: Some(subject),
            program: Some(command),
            ..Record::new(Level::Warning, &text)
        });
    }

    /// Kills what is left of the group of a program that has ended, reads the rest of its output, and reaps it.
    fn finish(&mut self, work: &mut dyn Work, buffer: &mut [u8]) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let mut left = LAST_WORDS_BYTES_MAX / READ_BYTES;
        while left > 0 && matches!(self.read_output(work, buffer), Ok(Some(_))) {
            left -= 1;
        }
        let mut left = LAST_WORDS_BYTES_MAX / READ_BYTES;
        while left > 0 && self.read_errors(buffer) {
            left -= 1;
        }
        let (about, verdict) = (self.about, &mut self.verdict);
        let _ = self.remarks.finish(|line| remark(about, verdict, line));
        self.verdict.look_at(self.group);
        self.waited_for = true;
        self.entry = None;
        self.child.wait()
    }
}

/// No process is left behind, whatever goes wrong.
impl Drop for Process<'_> {
    fn drop(&mut self) {
        if !self.waited_for {
            self.signal(Signal::KILL);
            self.entry = None;
            let _ = self.child.wait();
        }
    }
}

/// What can be read now. None if there is nothing; at the end of the stream it is closed.
fn read<'b>(stream: &mut Option<impl Read>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    match stream.as_mut()?.read(buffer) {
        Ok(0) => {
            *stream = None;
            None
        }
        Ok(read) => buffer.get(..read),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        Err(_) => {
            *stream = None;
            None
        }
    }
}

fn remark(about: About<'_>, verdict: &mut Verdict, line: Line<'_>) -> Result<(), Infallible> {
    if !verdict.takes(&line) {
        about.log.said(about.subject, about.command, line);
    }
    Ok(())
}

impl Pace {
    /// Output was read: this number of bytes, or none.
    fn note(&mut self, bytes: Option<usize>, now: Instant) {
        let soon = |last: Instant| now.saturating_duration_since(last) < 2 * GATHER;
        self.gathers = bytes.is_some_and(|bytes| bytes <= GATHER_BYTES_MAX) && self.last.is_some_and(soon);
        self.last = bytes.map(|_| now);
    }
}

impl Silence {
    /// When there is to be a remark: a program that is awaited has then been silent for long enough.
    fn ends_at(&mut self, awaited: bool, now: Instant) -> Option<Instant> {
        if !awaited {
            self.since = None;
            return None;
        }
        self.since.get_or_insert(now).checked_add(self.max)
    }
}

impl Bell {
    fn silence(&self) {
        // An error means that it was not readable.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // An error means that the counter is full, and so readable.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
