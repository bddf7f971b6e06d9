//! One process of a run: started from this binary, read with a deadline, ended at the latest when dropped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::Outcome;
use crate::control::Event;
use crate::measure::Report;

/// A process that plays a role.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
}

impl Process {
    /// Starts a role with these options.
    pub fn start(role: &str, options: &[String]) -> Outcome<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped");
        let (heard, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Skip lines that a library prints.
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = heard.send(event);
                }
            }
        });
        Ok(Process { name: format!("the process `{role}`"), child, stdin, events })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the port that it listens on.
    pub fn bound(&mut self) -> Outcome<u16> {
        match self.next("a port", Duration::from_secs(10))? {
            Event::Bound { port } => Ok(port),
            other => self.unexpected(&other),
        }
    }

    /// Waits until it has made its connections.
    pub fn connected(&mut self, limit: Duration) -> Outcome {
        match self.next("connection", limit)? {
            Event::Connected => Ok(()),
            other => self.unexpected(&other),
        }
    }

    /// Waits until its subscriptions are in force; returns how long that took, in seconds.
    pub fn ready(&mut self, limit: Duration) -> Outcome<f64> {
        match self.next("sign of a subscription in force", limit)? {
            Event::Ready { seconds } => Ok(seconds),
            other => self.unexpected(&other),
        }
    }

    /// Waits for its report.
    pub fn done(&mut self, limit: Duration) -> Outcome<Report> {
        match self.next("report", limit)? {
            Event::Done(report) => Ok(report),
            other => self.unexpected(&other),
        }
    }

    /// Sends it a word.
    pub fn say(&mut self, word: &str) -> Outcome {
        let stdin = self.stdin.as_mut().ok_or("nothing can be sent after the end")?;
        Ok(writeln!(stdin, "{word}").and_then(|()| stdin.flush())?)
    }

    /// Ends its standard input, which ends its run.
    pub fn end(&mut self) {
        self.stdin = None;
    }

    fn unexpected<T>(&self, event: &Event) -> Outcome<T> {
        Err(format!("{} sent an unexpected {event:?}", self.name).into())
    }

    fn next(&mut self, awaited: &str, limit: Duration) -> Outcome<Event> {
        match self.events.recv_timeout(limit) {
            Ok(event) => Ok(event),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("no {awaited} from {} within {limit:?}", self.name).into())
            }
            Err(RecvTimeoutError::Disconnected) => {
                let mut last = String::new();
                if let Some(stderr) = self.child.stderr.take() {
                    last = BufReader::new(stderr)
                        .lines()
                        .map_while(Result::ok)
                        .take(3)
                        .collect::<Vec<_>>()
                        .join(" | ");
                }
                Err(format!("{} ended: {last}", self.name).into())
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(id: u32) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}
