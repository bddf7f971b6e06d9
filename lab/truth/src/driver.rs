//! The program that drives one implementation: orders on its standard input, answers and events on its standard output.
//!
//! | order | answer |
//! | --- | --- |
//! | `about` | `ok` and the exact version |
//! | `new xpub` or `new sub`, then perhaps `heartbeat` (every 300 ms, answered within 300 ms) | `ok` |
//! | `bind` (to a free port of 127.0.0.1) | `ok ENDPOINT` |
//! | `connect ENDPOINT` | `ok` |
//! | `send TOPIC` (a message of one frame) | `ok` |
//! | `flood COUNT SIZE` (messages of `SIZE` times `T`, one send after the other) | `ok` |
//! | `missed` | `ok` and how many messages were missed by subscribers |
//! | `list` | `ok` and the wanted prefixes |
//! | `subscribe_many COUNT`, `unsubscribe_many COUNT` (topics `t/000000` and so on) | `ok` |
//! | `proxy`, `proxy FRONTEND BACKEND` (binds an XSUB and an XPUB, and forwards) | `ok FRONTEND BACKEND` |
//!
//! `no REASON` is the answer to what the implementation cannot. Events: `+ PREFIX` and `- PREFIX` are what an XPUB's user is
//! told, `message FRAME…` is another message, `error TEXT` an error of a receive call. Bytes are hexadecimal
//! digits, an empty string is `-`. The end of standard input ends the program.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::{Step, Trouble};

/// How long a program may take to start: a virtual machine takes seconds on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How an implementation's driver is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// What an XPUB's user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A prefix is wanted.
    Wanted(Vec<u8>),
    /// A prefix is no longer wanted.
    Unwanted(Vec<u8>),
    /// Something else: a message, or an error.
    Other(String),
}

/// A running driver. Dropping it kills its process.
pub struct Driver {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    unread: Vec<Told>,
}

/// The answer to an order.
enum Answer {
    Done(String),
    Cannot(String),
}

impl Driver {
    /// Starts it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(launch: &Launch) -> Step<Driver> {
        let (program, arguments) = launch.command.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let started = command.spawn();
        let mut child =
            started.map_err(|error| Trouble::Cannot(format!("{program} cannot be started: {error}")))?;
        let input = child.stdin.take().expect("standard input is piped");
        let output = child.stdout.take().expect("standard output is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines();
            // Ends when the driver was dropped.
            let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        Ok(Driver { child, input, lines, unread: Vec::new() })
    }

    /// The name and version that it says.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn about(&mut self) -> Step<String> {
        self.ask("about", START_PATIENCE)
    }

    /// Sends an order and waits for its answer.
    ///
    /// # Errors
    /// If it refuses, ends, or does not answer in time.
    pub fn ask(&mut self, order: &str, patience: Duration) -> Step<String> {
        self.tell(order)?;
        self.answer(patience)?.ok_or(Trouble::Late("an answer of its driver"))
    }

    /// Sends an order without waiting: [`answer`](Driver::answer) takes its answer.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn tell(&mut self, order: &str) -> Step<()> {
        let written = writeln!(self.input, "{order}").and_then(|()| self.input.flush());
        written.map_err(|_| Trouble::Ended)
    }

    /// The answer to an order, if it comes in time.
    ///
    /// # Errors
    /// If it refuses, or ends.
    pub fn answer(&mut self, patience: Duration) -> Step<Option<String>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.line(deadline.saturating_duration_since(Instant::now()))? {
                None => return Ok(None),
                Some(Line::Answer(Answer::Done(text))) => return Ok(Some(text)),
                Some(Line::Answer(Answer::Cannot(why))) => return Err(Trouble::Cannot(why)),
                Some(Line::Told(told)) => self.unread.push(told),
            }
        }
    }

    /// The next event, if one comes in time.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn event(&mut self, time: Duration) -> Step<Option<Told>> {
        if !self.unread.is_empty() {
            return Ok(Some(self.unread.remove(0)));
        }
        match self.line(time)? {
            None => Ok(None),
            Some(Line::Told(told)) => Ok(Some(told)),
            Some(Line::Answer(_)) => Err(Trouble::Late("a driver that answers only when it is asked")),
        }
    }

    fn line(&mut self, time: Duration) -> Step<Option<Line>> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Ok(Some(read(&line))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Trouble::Ended),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Line {
    Answer(Answer),
    Told(Told),
}

fn read(line: &str) -> Line {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "ok" => Line::Answer(Answer::Done(rest.to_owned())),
        "no" => Line::Answer(Answer::Cannot(rest.to_owned())),
        "+" => Line::Told(Told::Wanted(unhex(rest))),
        "-" => Line::Told(Told::Unwanted(unhex(rest))),
        _ => Line::Told(Told::Other(line.to_owned())),
    }
}

/// Bytes as hexadecimal digits; an empty slice as `-`.
pub fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same, read.
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

/// One of the topics of `subscribe_many`.
pub fn topic(number: usize) -> Vec<u8> {
    format!("t/{number:06}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_lines() {
        for bytes in [&b""[..], b"\0\xff", b"topic"] {
            assert_eq!(unhex(&hex(bytes)), bytes);
        }
    }
}
