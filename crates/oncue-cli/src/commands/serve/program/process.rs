//! One running program, from its start to the end of its process group. A single thread waits for all of its pipes and its
//! end. What becomes of its output is decided by a [`Work`].

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::guardian::Entry;
use super::journal::{Log, REMARK_BYTES_MAX};
use super::launch::{Launched, Launcher};
use crate::lines::{Line, Lines};

/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;
/// How many bytes are read after the program has ended. A pipe holds fewer; more can only come from a process that has
/// left the process group and still writes.
const LAST_WORDS_BYTES_MAX: usize = 4 << 20;

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
    /// None if the standard input is empty.
    fn input(&mut self) -> Option<&mut Vec<u8>> {
        None
    }
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to end, because it is not needed any more.
    Stopped,
    /// It ended by itself, with success.
    Done,
    /// It failed, or was told to end, for this reason.
    Failed(String),
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
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    remarks: Lines,
    log: &'a Log,
    name: &'a [u8],
    waited_for: bool,
}

/// A waker for a thread that polls files: waking makes an eventfd readable.
struct Bell(OwnedFd);

/// Done when a program is not needed any more.
type Stopped<'s> = dyn Future<Output = ()> + Unpin + 's;

/// Runs a program until it and its whole process group have ended. It is told to end when `stopped` is done, and at the
/// deadline.
pub(crate) fn run(
    launcher: &Launcher,
    command: &mut Command,
    work: &mut dyn Work,
    stopped: &mut Stopped<'_>,
    deadline: Option<Instant>,
    kill_after: Duration,
    (log, name): (&Log, &[u8]),
) -> End {
    let takes_input = work.input().is_some();
    let mut process = match Process::start(launcher, command, takes_input, log, name) {
        Ok(process) => process,
        Err(why) => return End::Failed(format!("cannot be started: {why}")),
    };
    match process.attend(work, stopped, deadline, kill_after) {
        Ok(end) => end,
        Err(error) => End::Failed(format!("cannot be run: {error}")),
    }
}

impl<'a> Process<'a> {
    fn start(
        launcher: &Launcher,
        command: &mut Command,
        takes_input: bool,
        log: &'a Log,
        name: &'a [u8],
    ) -> Result<Process<'a>, String> {
        let system = |error: Errno| error.to_string();
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system)?;
        let number = bell.as_raw_fd();
        let bell = Arc::new(Bell(bell));
        command.stdin(if takes_input { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Launched { mut child, entry } = launcher.start(command, number)?;
        let group = Pid::from_child(&child);
        let ended = pidfd_open(group, PidfdFlags::empty());
        let ended = ended.map_err(|error| {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            system(error)
        })?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let remarks = Lines::new(REMARK_BYTES_MAX);
        let process = Process {
            child,
            entry: Some(entry),
            group,
            ended,
            bell,
            input,
            output,
            errors,
            remarks,
            log,
            name,
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

    fn attend(
        &mut self,
        work: &mut dyn Work,
        stopped: &mut Stopped<'_>,
        deadline: Option<Instant>,
        kill_after: Duration,
    ) -> io::Result<End> {
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        // Why it was told to end, if it was, and when it is killed.
        let mut told = None;
        let mut due = deadline;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let overdue = due.is_some_and(|due| due <= Instant::now());
            if told.is_none() {
                if Pin::new(&mut *stopped).poll(&mut context).is_ready() {
                    told = Some(End::Stopped);
                } else if overdue {
                    told = Some(End::Failed("took too long; see `timeout`".to_owned()));
                }
                if told.is_some() {
                    due = self.tell(kill_after);
                }
            } else if overdue {
                self.signal(Signal::KILL);
                due = None;
            }
            self.write_input(work);
            let has_ended = self.wait(work, due)?;
            if let Err(why) = self.read_output(work, &mut buffer)
                && told.is_none()
            {
                told = Some(End::Failed(why));
                due = self.tell(kill_after);
            }
            self.read_errors(&mut buffer);
            if has_ended {
                let status = self.finish(work, &mut buffer)?;
                if let Err(why) = work.finish() {
                    told.get_or_insert(End::Failed(why));
                }
                return Ok(told.unwrap_or_else(|| judge(status)));
            }
        }
    }

    /// Tells the whole group to end. Returns when it is killed.
    fn tell(&mut self, kill_after: Duration) -> Option<Instant> {
        self.input = None;
        self.signal(Signal::TERM);
        let now = Instant::now();
        Some(now.checked_add(kill_after).unwrap_or(now))
    }

    fn signal(&self, signal: Signal) {
        // An error means that the group has ended.
        let _ = kill_process_group(self.group, signal);
    }

    /// Waits until there is something to do, at most until `until`. Returns whether the program has ended.
    fn wait(&mut self, work: &mut dyn Work, until: Option<Instant>) -> io::Result<bool> {
        let mut files = vec![
            PollFd::new(&self.ended, PollFlags::IN),
            PollFd::from_borrowed_fd(self.bell.0.as_fd(), PollFlags::IN),
        ];
        files.extend(self.output.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        files.extend(self.errors.iter().map(|errors| PollFd::new(errors, PollFlags::IN)));
        if work.input().is_some_and(|input| !input.is_empty()) {
            files.extend(self.input.iter().map(|input| PollFd::new(input, PollFlags::OUT)));
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 }));
        match poll(&mut files, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = files.first().is_some_and(|ended| !ended.revents().is_empty());
        self.bell.silence();
        Ok(has_ended)
    }

    fn write_input(&mut self, work: &mut dyn Work) {
        while let Some(pending) = work.input()
            && !pending.is_empty()
        {
            let Some(input) = &mut self.input else { return pending.clear() };
            match input.write(pending) {
                Ok(written) => drop(pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It has closed its input. Whether that is a failure, its exit status tells.
                Err(_) => self.input = None,
            }
        }
    }

    fn read_output(&mut self, work: &mut dyn Work, buffer: &mut [u8]) -> Result<bool, String> {
        let Some(read) = read(&mut self.output, buffer) else { return Ok(false) };
        work.take_output(read).map(|()| true)
    }

    fn read_errors(&mut self, buffer: &mut [u8]) -> bool {
        let Some(read) = read(&mut self.errors, buffer) else { return false };
        let (log, name) = (self.log, self.name);
        self.remarks.take(read, |line| remark(log, name, line)).is_ok()
    }

    /// Kills what is left of the group of a program that has ended, reads the rest of its output, and reaps it.
    fn finish(&mut self, work: &mut dyn Work, buffer: &mut [u8]) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let mut left = LAST_WORDS_BYTES_MAX / READ_BYTES;
        while left > 0 && matches!(self.read_output(work, buffer), Ok(true)) {
            left -= 1;
        }
        let mut left = LAST_WORDS_BYTES_MAX / READ_BYTES;
        while left > 0 && self.read_errors(buffer) {
            left -= 1;
        }
        let (log, name) = (self.log, self.name);
        let _ = self.remarks.finish(|line| remark(log, name, line));
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

fn remark(log: &Log, name: &[u8], line: Line<'_>) -> Result<(), Infallible> {
    log.said(name, line);
    Ok(())
}

fn judge(status: ExitStatus) -> End {
    match (status.success(), status.signal()) {
        (true, _) => End::Done,
        (false, Some(signal)) => End::Failed(format!("ended by signal {signal}")),
        (false, None) => End::Failed(format!("ended with status {}", status.code().unwrap_or_default())),
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
