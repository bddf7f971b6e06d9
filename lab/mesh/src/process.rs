//! The processes of a scene, as the laboratory holds them: started, asked, stopped and killed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::protocol::{Answer, Ask, Role};

/// How long an answer may take, unless told otherwise.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How a process is started, again after each death.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    name: String,
    line: Vec<OsString>,
}

impl Launch {
    /// This program, in a role.
    pub(crate) fn role(name: impl Into<String>, role: &Role) -> Outcome<Launch> {
        let role = serde_json::to_string(role).map_err(|why| why.to_string())?;
        let program = std::env::current_exe().map_err(|why| format!("where this program is: {why}"))?;
        Ok(Launch { name: name.into(), line: vec![program.into(), "role".into(), role.into()] })
    }

    /// Another program that speaks as [`crate::protocol`] says.
    pub(crate) fn foreign(name: impl Into<String>, line: Vec<OsString>) -> Launch {
        Launch { name: name.into(), line }
    }

    /// The same within a network namespace.
    pub(crate) fn within(mut self, namespace: &str) -> Launch {
        let prefix = ["ip", "netns", "exec", namespace].map(OsString::from);
        self.line.splice(0..0, prefix);
        self
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn start(&self) -> Outcome<Process> {
        let mut command = Command::new(&self.line[0]);
        command.args(&self.line[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|why| format!("{} does not start: {why}", self.name))?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, answers) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut process = Process { name: self.name.clone(), child, input, answers };
        match process.answer(ANSWER_MAX)? {
            Answer::Ready => Ok(process),
            other => Err(format!("{} says {other:?} in place of being ready", self.name)),
        }
    }
}

/// A process that runs, or is stopped. Its drop kills it, and waits for its end.
pub(crate) struct Process {
    name: String,
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Process {
    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Outcome<Answer> {
        self.tell(ask)?;
        self.answer(ANSWER_MAX)
    }

    /// Asks; [`answer`](Self::answer) has the answer.
    pub(crate) fn tell(&mut self, ask: &Ask) -> Outcome<()> {
        let line = serde_json::to_string(ask).map_err(|why| why.to_string())?;
        writeln!(self.input, "{line}").map_err(|why| format!("{} is gone: {why}", self.name))
    }

    /// The next answer.
    pub(crate) fn answer(&mut self, within: Duration) -> Outcome<Answer> {
        let late = |why| format!("{} gives no answer: {why}", self.name);
        let line = self.answers.recv_timeout(within).map_err(late)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Failed(why)) => Err(format!("{}: {why}", self.name)),
            Ok(answer) => Ok(answer),
            Err(why) => Err(format!("{} says `{line}`: {why}", self.name)),
        }
    }

    /// The time of an answer that is a time.
    pub(crate) fn done(&mut self, within: Duration) -> Outcome<u64> {
        match self.answer(within)? {
            Answer::Done(at) => Ok(at),
            other => Err(format!("{} says {other:?} in place of a time", self.name)),
        }
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGSTOP: it holds its connections, and does nothing.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // It fails if the process has ended, and then there is nothing to be done.
        let _ = kill_process(pid, signal);
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let stat = self.read("stat")?;
        // After the name, which may have blanks and ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / per_second as f64))
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        let statm = self.read("statm")?;
        let pages: u64 = statm.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
        Ok(pages * rustix::param::page_size() as u64)
    }

    fn read(&self, file: &str) -> Outcome<String> {
        let path = format!("/proc/{}/{file}", self.id());
        std::fs::read_to_string(&path).map_err(|why| format!("{path}: {why}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
