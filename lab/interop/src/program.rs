//! A program that is driven by lines and signals, and killed when the test is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Option<Lines>,
    errors: Lines,
}

impl Program {
    /// Starts it with pipes for all three of its streams.
    pub fn start(command: &mut Command) -> Program {
        let name = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Program {
            input: child.stdin.take(),
            output: child.stdout.take().map(Lines::read),
            errors: Lines::read(child.stderr.take().expect("standard error is piped")),
            name,
            child,
        }
    }

    /// Writes to its standard input.
    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input has not ended");
        let written = input.write_all(bytes).and_then(|()| input.flush());
        written.unwrap_or_else(|error| panic!("{}: cannot write to it: {error}", self.name));
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// The next line of its standard output, without its end.
    pub fn bytes(&mut self) -> Vec<u8> {
        let output = self.output.as_mut().expect("the output has not been closed");
        match output.next(PATIENCE) {
            Next::Line(line) => line,
            other => panic!(
                "{}: {} of standard output after {:?}; its standard error: {:?}",
                self.name,
                other.name(),
                output.heard(),
                self.errors.heard()
            ),
        }
    }

    /// The next line of its standard output, as text.
    pub fn line(&mut self) -> String {
        text(&self.bytes())
    }

    /// The next line of its standard output, if one comes in time. Also `None` at the end of the output.
    pub fn line_within(&mut self, time: Duration) -> Option<String> {
        match self.output.as_mut().expect("the output has not been closed").next(time) {
            Next::Line(line) => Some(text(&line)),
            Next::End | Next::Silence => None,
        }
    }

    /// The next line of its standard error.
    pub fn error_line(&mut self) -> String {
        match self.errors.next(PATIENCE) {
            Next::Line(line) => text(&line),
            other => {
                panic!("{}: {} of standard error after {:?}", self.name, other.name(), self.errors.heard())
            }
        }
    }

    /// The next line of its standard error, if one comes in time. Also `None` at its end.
    pub fn error_line_within(&mut self, time: Duration) -> Option<String> {
        match self.errors.next(time) {
            Next::Line(line) => Some(text(&line)),
            Next::End | Next::Silence => None,
        }
    }

    /// Waits for the line of standard error that names the endpoint where it is bound or connected.
    pub fn endpoint(&mut self) -> String {
        let line = self.error_line();
        let said = line.split_once(" to ").map(|(_, endpoint)| endpoint.to_owned());
        said.unwrap_or_else(|| panic!("{}: no endpoint in {line:?}", self.name))
    }

    /// Closes its standard output, so that its next writes fail.
    pub fn close_output(&mut self) {
        self.output = None;
    }

    /// Sends it a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "{}: SIG{name} could not be sent", self.name);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own program can be waited for").is_some()
    }

    /// Waits for its end; returns the exit status and the unread rest of standard output and standard error.
    pub fn end(mut self) -> End {
        let status = self.wait();
        End {
            code: status.code(),
            output: self.output.as_mut().map(Lines::rest).unwrap_or_default(),
            errors: self.errors.rest(),
        }
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("our own program can be killed");
        self.wait();
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own program can be waited for") {
                return status;
            }
            let late = Instant::now() > deadline;
            assert!(!late, "{}: still runs; its standard error: {:?}", self.name, self.errors.heard());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The unread lines of standard output.
    pub output: Vec<String>,
    /// The unread lines of standard error.
    pub errors: Vec<String>,
}

/// The lines of one stream, read by a separate thread so that the program never waits for the test.
struct Lines {
    lines: Receiver<Vec<u8>>,
    heard: Vec<String>,
}

enum Next {
    Line(Vec<u8>),
    End,
    Silence,
}

impl Next {
    fn name(&self) -> &'static str {
        match self {
            Next::Line(_) => "a line",
            Next::End => "the end",
            Next::Silence => "silence",
        }
    }
}

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stream).split(b'\n');
            // Ends, and closes the stream, when the test has dropped the receiver.
            let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        Lines { lines, heard: Vec::new() }
    }

    fn next(&mut self, time: Duration) -> Next {
        match self.lines.recv_timeout(time) {
            Ok(line) => {
                self.heard.push(text(&line).chars().take(200).collect());
                Next::Line(line)
            }
            Err(RecvTimeoutError::Timeout) => Next::Silence,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// The latest lines, including unread ones, for failure messages.
    fn heard(&mut self) -> Vec<String> {
        while let Next::Line(_) = self.next(Duration::ZERO) {}
        let start = self.heard.len().saturating_sub(10);
        self.heard.get(start..).unwrap_or_default().to_vec()
    }

    fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Next::Line(line) = self.next(PATIENCE) {
            rest.push(text(&line));
        }
        rest
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
