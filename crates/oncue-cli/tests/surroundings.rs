//! Output x command x signal: an output that nobody reads, that is full, closed or fails never stops production, demand, a
//! reload or a signal. With `--nocapture` each test prints its rows of the table.

use std::fs::File;
use std::io::{PipeReader, Write, pipe};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub, XPub};
use oncue_interop::directory::Directory;
use oncue_interop::{PATIENCE, until};

/// How long a command may take to end after one signal: its linger of 1 s, and 1 s for everything else; and as much again
/// for a machine that is busy with other tests.
const END_MAX: Duration = Duration::from_secs(4);
/// The endings of the topics that fill a pipe of 4 KiB.
const TOPICS: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// A pipe that is not read.
    Blocked,
    /// A disk without room.
    Full,
    /// A pipe whose reader has gone.
    Closed,
    /// A file that refuses each write.
    Failing,
}

const OUTPUTS: [Output; 4] = [Output::Blocked, Output::Full, Output::Closed, Output::Failing];

/// What a command does with its output, and its exit status after a signal.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// The status with which it ends by itself when the output is closed, and when it fails; `None`: it goes on.
    closed: Option<i32>,
    failed: Option<i32>,
    /// The statuses after SIGTERM and SIGINT, when the output is blocked or closed, and when lines could not be written.
    term: [i32; 2],
    int: [i32; 2],
}

/// A command whose standard output, and standard error too if `both`, is one of these.
struct Cell {
    output: Output,
    both: bool,
    directory: Directory,
    child: Child,
    reader: Option<PipeReader>,
    engine: Engine,
}

impl Output {
    fn open(self) -> (Stdio, Option<PipeReader>) {
        match self {
            Output::Full => (File::create("/dev/full").expect("a full disk").into(), None),
            Output::Failing => (File::open("/dev/null").expect("a file for reading").into(), None),
            Output::Blocked | Output::Closed => {
                let (reader, writer) = pipe().expect("a pipe");
                rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
                (writer.into(), (self == Output::Blocked).then_some(reader))
            }
        }
    }
}

impl Cell {
    /// Starts a command with these words; `AT` among them is replaced by its endpoint, `DIR` by its directory.
    fn start(output: Output, both: bool, words: &[&str], files: &[(&str, &str)]) -> Cell {
        let directory = Directory::new();
        for (name, text) in files {
            directory.write(name, &text.replace("AT", &at(&directory)));
        }
        let dir = directory.path("").display().to_string();
        let words = words.iter().map(|word| word.replace("AT", &at(&directory)).replace("DIR", &dir));
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
        command.args(words).stdin(Stdio::piped()).stderr(Stdio::null());
        let (stdout, reader) = output.open();
        if both {
            let (stderr, other) = output.open();
            command.stderr(stderr);
            // Neither is read.
            std::mem::forget(other);
        }
        let child = command.stdout(stdout).spawn().expect("the command");
        drop(command);
        let engine = Engine::start().expect("an engine");
        let mut cell = Cell { output, both, directory, child, reader, engine };
        // It may notice at once that it has no reader.
        until("it is bound", || cell.socket_file().exists() || cell.has_ended());
        cell
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own program").is_some()
    }

    fn socket_file(&self) -> PathBuf {
        self.directory.path("socket")
    }

    /// A subscriber that makes the command write more lines than the pipe holds.
    fn subscriber(&self) -> Sub {
        let options = Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100));
        let socket = Sub::new(&self.engine, options).expect("a subscriber");
        for number in 0..TOPICS {
            socket.subscribe(format!("t/{number:0200}")).expect("a subscription");
        }
        socket.connect(&at(&self.directory)).expect("an endpoint");
        socket
    }

    /// Waits until a value of a topic comes that nobody has wanted before.
    fn expect_value(&mut self, socket: &Sub, topic: &str, produce: impl Fn(&mut Child)) {
        socket.subscribe(topic).expect("a subscription");
        let deadline = Instant::now() + PATIENCE;
        loop {
            produce(&mut self.child);
            match socket.recv().wait_timeout(Duration::from_millis(50)) {
                Some(message)
                    if message.as_ref().expect("a message").topic().starts_with(topic.as_bytes()) =>
                {
                    return;
                }
                _ => {}
            }
            assert!(Instant::now() < deadline, "{:?}: no value of {topic}", self.output);
        }
    }

    /// Checks how it ends: by itself with this status, or by a signal.
    fn check(mut self, name: &str, case: Case, (signal, statuses): (&str, [i32; 2])) {
        let alone = match self.output {
            Output::Blocked => None,
            Output::Closed => case.closed,
            Output::Full | Output::Failing => case.failed,
        };
        if let Some(reader) = &self.reader {
            // A pipe of one page may take no second line, whatever its length.
            let (mut held, mut looks) = (0, 0);
            until("the pipe is full", || {
                let now = rustix::io::ioctl_fionread(reader).expect("a pipe");
                looks = if now == held { looks + 1 } else { 0 };
                held = now;
                held > 0 && looks > 50
            });
        }
        let mut started = Instant::now();
        let expected = match alone {
            Some(status) => status,
            None => {
                assert!(
                    self.child.try_wait().expect("our own program").is_none(),
                    "{name} {:?}: it ended",
                    self.output
                );
                let kill =
                    Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
                assert!(kill.expect("a signal").success());
                started = Instant::now();
                statuses[usize::from(matches!(self.output, Output::Full | Output::Failing))]
            }
        };
        until("it ends", || self.has_ended());
        let (took, status) = (started.elapsed(), self.child.wait().expect("our own program"));
        let file = self.socket_file().exists();
        let cause = if alone.is_some() { "itself" } else { signal };
        let streams = if self.both { "stdout, stderr" } else { "stdout" };
        println!(
            "{name:12} {:8} {streams:14} by {cause:6} status {status} after {took:.1?}, file left: {file}",
            format!("{:?}", self.output)
        );
        assert_eq!(status.code(), Some(expected), "{name} {:?} {signal}", self.output);
        assert!(alone.is_some() || took < END_MAX, "{name} {:?} {signal}: {took:?}", self.output);
        assert!(!file, "{name} {:?} {signal}: its socket is left", self.output);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn at(directory: &Directory) -> String {
    format!("ipc://{}", directory.path("socket").display())
}

/// Every cell of a command: `play` makes it write, and checks that it works.
fn table(words: &[&str], files: &[(&str, &str)], case: Case, play: impl Fn(&mut Cell)) {
    let name = words.iter().take_while(|word| !word.starts_with("AT")).copied().collect::<Vec<_>>().join(" ");
    for output in OUTPUTS {
        for signal in [("TERM", case.term), ("INT", case.int)] {
            // Each stream of its own, or both at once.
            let mut cell = Cell::start(output, signal.0 == "INT", words, files);
            play(&mut cell);
            cell.check(&name, case, signal);
        }
    }
}

#[test]
fn sub_ends_when_it_cannot_print_and_waits_for_its_reader() {
    let case = Case { closed: Some(0), failed: Some(1), term: [0, 1], int: [0, 1] };
    table(&["sub", "AT", "--bind"], &[], case, |cell| {
        let socket = XPub::new(&cell.engine, Options::new()).expect("a publisher");
        socket.connect(&at(&cell.directory)).expect("an endpoint");
        until("it subscribes", || socket.wanted(""));
        for number in 0..TOPICS {
            socket.send(format!("{number:0200}")).expect("a publisher sends");
        }
        until("all is taken", || socket.stats().delivered == u64::from(TOPICS) || socket.stats().peers == 0);
    });
}

#[test]
fn demand_ends_when_it_cannot_print_and_waits_for_its_reader() {
    let case = Case { closed: Some(0), failed: Some(1), term: [0, 1], int: [0, 1] };
    table(&["demand", "AT"], &[], case, |cell| {
        let socket = cell.subscriber();
        until("it has subscribed", || socket.stats().peers == 1 || socket.stats().peers_lost > 0);
        // The socket stays until the command has ended, or is told to.
        std::mem::forget(socket);
    });
}

#[test]
fn pub_goes_on_publishing_unless_its_reader_has_gone() {
    let case = Case { closed: Some(0), failed: None, term: [143, 143], int: [130, 130] };
    table(&["pub", "AT"], &[], case, |cell| {
        let socket = cell.subscriber();
        if cell.output != Output::Closed {
            cell.expect_value(&socket, "fresh", |child| {
                child.stdin.as_mut().expect("a pipe").write_all(b"fresh\t1\n").expect("it reads");
            });
        }
        std::mem::forget(socket);
    });
}

#[test]
fn demo_goes_on_unless_its_reader_has_gone() {
    let case = Case { closed: Some(0), failed: None, term: [0, 1], int: [0, 1] };
    table(&["demo", "--forever", "--every", "20ms", "--bind", "AT"], &[], case, |cell| {
        if cell.output != Output::Closed {
            let socket = cell.subscriber();
            cell.expect_value(&socket, "fresh", |_| ());
        }
    });
}

#[test]
fn serve_counts_whatever_becomes_of_its_output() {
    let case = Case { closed: None, failed: None, term: [0, 0], int: [0, 0] };
    table(&["serve", "--every", "20ms", "--bind", "AT"], &[], case, |cell| {
        let socket = cell.subscriber();
        cell.expect_value(&socket, "fresh", |_| ());
    });
}

#[test]
fn serve_produces_and_reloads_whatever_becomes_of_its_output() {
    let config = "bind = 'AT'\n[[route]]\ntopic = 't/{x}'\nmode = 'shared'\n\
                  command = ['sh', '-c', 'echo talks >&2; while read x; do echo talks >&2; done']\n\
                  [[route]]\ntopic = 'fresh/{n}'\ncommand = ['echo', '{n}']\nevery = '20ms'\n";
    let case = Case { closed: None, failed: None, term: [0, 0], int: [0, 0] };
    table(&["serve", "DIR/oncue.toml"], &[("oncue.toml", config)], case, |cell| {
        let socket = cell.subscriber();
        cell.expect_value(&socket, "fresh/1", |_| ());
        let more = format!("{config}[[route]]\ntopic = 'more'\ncommand = ['echo', 'more']\nevery = '20ms'\n");
        cell.directory.write("oncue.toml", &more.replace("AT", &at(&cell.directory)));
        let kill = Command::new("kill").args(["-HUP", &cell.child.id().to_string()]).status();
        assert!(kill.expect("a signal").success());
        cell.expect_value(&socket, "more", |_| ());
    });
}

#[test]
fn serve_says_what_is_missing_in_its_log_as_soon_as_it_can() {
    let directory = Directory::new();
    let text = "x".repeat(100);
    let script = format!("for i in $(seq 80); do echo {text} >&2; done; exec sleep 60");
    let config = format!(
        "bind = '{}'\n[[route]]\ntopic = 'talks/{{n}}'\nmode = 'stream'\ncommand = ['sh', '-c', '{script}']\n\
         [[route]]\ntopic = 'value'\ncommand = ['echo', '1']\nevery = '20ms'\n",
        at(&directory)
    );
    let path = directory.write("oncue.toml", &config);
    let log = directory.write("log", "");
    let errors = File::options().append(true).open(&log).expect("a log");
    // A file that may not grow fails as one on a full disk, and its limit can be raised.
    let mut command = Command::new("env");
    command.args(["--ignore-signal=XFSZ", env!("CARGO_BIN_EXE_oncue"), "serve"]).arg(path);
    let mut child = command.stdout(Stdio::null()).stderr(errors).spawn().expect("the command");
    until("it is bound", || directory.path("socket").exists());
    let limit = |bytes| {
        let pid = rustix::process::Pid::from_child(&child);
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).expect("a limit");
    };
    limit(Some(4096));
    let engine = Engine::start().expect("an engine");
    let socket = Sub::new(&engine, Options::new()).expect("a subscriber");
    socket.connect(&at(&directory)).expect("an endpoint");
    socket.subscribe("talks/1").expect("a subscription");
    let size = || std::fs::metadata(&log).expect("a log").len();
    until("the disk is full", || size() == 4096);
    socket.subscribe("value").expect("a subscription");
    let value = socket.recv().wait_timeout(PATIENCE).expect("it produces").expect("a value");
    assert_eq!(value.topic(), b"value");
    limit(None);
    socket.subscribe("talks/2").expect("a subscription");
    let mut said = String::new();
    until("it says what is missing", || {
        said = std::fs::read_to_string(&log).expect("a log");
        said.lines().any(|line| line.contains(" of standard error left out until now: File too large"))
    });
    let whole = |line: &str| {
        line.starts_with("oncue") && (line.len() < 100 || line.ends_with(&text) || line.contains(": "))
    };
    assert!(said.lines().all(whole), "{said}");
    child.kill().and_then(|()| child.wait()).expect("our own program");
}
