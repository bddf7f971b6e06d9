//! `oncue pub`: lines of standard input become messages; demand becomes lines of standard output.

use std::io::{ErrorKind, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use clap::{ArgMatches, Command, arg};
use oncue::{DemandEvent, XPub};

use crate::fail::Fail;
use crate::lines::{Line, Lines, split_at_tab};
use crate::output::{self, counted, say};
use crate::signals::{Stop, Waited};
use crate::{args, publisher};

/// The longest line that is taken for a message.
const LINE_BYTES_MAX: usize = 64 << 20;
/// What is read at once.
const READ_BYTES: usize = 64 << 10;

pub(crate) fn command() -> Command {
    Command::new("pub")
        .about("Publish lines of standard input, and print what is wanted")
        .after_help(
            "Each line `TOPIC<TAB>PAYLOAD` is published as two frames. Lines may hold any bytes; one without a tab is\n\
             reported and left out. Standard output tells demand as it changes: `+TOPIC` when the first subscriber\n\
             of a topic comes, `-TOPIC` when the last one goes, with \\xNN for bytes that are not printable UTF-8.\n\
             So a program in any language that reads `+` and `-` and writes lines produces on demand.\n\n\
             Example: one value, to whoever subscribes within two seconds\n  \
             (sleep 2; printf 'a\\t1\\n') | oncue pub tcp://127.0.0.1:8888",
        )
        .args(publisher::options())
        .arg(arg!(--single "Publish each line as it is, as one frame"))
        .arg(
            arg!(--linger <DUR> "At the end of the input, how long to go on sending what subscribers have not taken yet")
                .default_value("5s")
                .value_parser(args::duration),
        )
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let socket = publisher::socket(args, |options| options.linger(args::given(args, "linger")))?;
    let watch = socket.demand();
    publisher::open(&socket, "pub", args, stop)?;
    let input = Arc::new(Input::new(socket.clone(), args.get_flag("single")));
    let reader = Input::start(&input, stop)?;
    while let Waited::Ready(event) = stop.wait(watch.next(), None) {
        print(&event?)?;
    }
    // After a signal the reader may still be waiting for a line, and has nothing to say.
    if input.ended.load(Ordering::Acquire) {
        reader.join().expect("the reader of standard input does not panic")?;
    }
    while let Some(event) = watch.try_next()? {
        print(&event)?;
    }
    socket.close().wait();
    input.report();
    Ok(())
}

fn print(event: &DemandEvent) -> Result<(), Fail> {
    let (sign, prefix) = match event {
        DemandEvent::Wanted(prefix) => (b'+', prefix),
        DemandEvent::Unwanted(prefix) => (b'-', prefix),
    };
    let mut line = vec![sign];
    output::escape(prefix, &mut line);
    output::line(&mut line)
}

/// Standard input: its lines become messages on a thread of its own, for reading it waits.
struct Input {
    socket: XPub,
    single: bool,
    published: AtomicU64,
    left_out: AtomicU64,
    /// Whether the reader is done, well or not.
    ended: AtomicBool,
}

impl Input {
    fn new(socket: XPub, single: bool) -> Input {
        Input { socket, single, published: 0.into(), left_out: 0.into(), ended: false.into() }
    }

    /// Starts to read; at the end of the input the program is to end.
    fn start(input: &Arc<Input>, stop: &Stop) -> Result<JoinHandle<Result<(), Fail>>, Fail> {
        let (input, stop) = (Arc::clone(input), stop.clone());
        let read = move || {
            let outcome = input.publish_lines(&stop);
            input.ended.store(true, Ordering::Release);
            stop.stop();
            outcome
        };
        let spawned = std::thread::Builder::new().name("stdin".to_owned()).spawn(read);
        spawned.map_err(|error| Fail::Runtime(format!("no thread for standard input: {error}")))
    }

    fn publish_lines(&self, stop: &Stop) -> Result<(), Fail> {
        let (mut input, mut buffer) = (stdin().lock(), vec![0; READ_BYTES]);
        let (mut lines, mut number) = (Lines::new(LINE_BYTES_MAX), 0_u64);
        let mut publish = |line: Line<'_>| {
            number += 1;
            self.publish_line(line, number, stop)
        };
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return lines.finish(publish),
                Ok(read) => lines.take(buffer.get(..read).unwrap_or_default(), &mut publish)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fail::Runtime(format!("standard input cannot be read: {error}"))),
            }
        }
    }

    fn publish_line(&self, line: Line<'_>, number: u64, stop: &Stop) -> Result<(), Fail> {
        let why = match line {
            Line::Whole(line) if self.single => return self.publish(&[line], stop),
            Line::Whole(line) => match split_at_tab(line) {
                Some((topic, payload)) => return self.publish(&[topic, payload], stop),
                None => "has no tab between topic and payload".to_owned(),
            },
            Line::Beginning(_) => format!("is longer than {} MiB", LINE_BYTES_MAX >> 20),
        };
        self.left_out.fetch_add(1, Ordering::Relaxed);
        say("pub", &format!("line {number} {why}: left out"));
        Ok(())
    }

    /// Publishes one message. The input is read no faster than the socket takes it, but no subscriber is waited for.
    fn publish(&self, frames: &[&[u8]], stop: &Stop) -> Result<(), Fail> {
        if let Waited::Ready(sent) = stop.wait(self.socket.send_wait(frames), None) {
            sent?;
            self.published.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Says what became of the lines.
    fn report(&self) {
        let published = self.published.load(Ordering::Relaxed);
        let left_out = self.left_out.load(Ordering::Relaxed);
        let missed = self.socket.stats().missed;
        let mut text = format!("{} published", counted(published, "line"));
        if left_out > 0 {
            text.push_str(&format!(", {left_out} left out"));
        }
        if missed > 0 {
            text.push_str(&format!("; subscribers that were too slow missed {}", counted(missed, "message")));
        }
        say("pub", &text);
    }
}
