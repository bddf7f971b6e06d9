//! `oncue pub`: publishes lines of standard input, and prints demand to standard output.

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
use crate::wait::spawn;
use crate::{args, publisher};

/// The longest line that is published, in bytes.
const LINE_BYTES_MAX: usize = 64 << 20;
/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;

pub(crate) fn command() -> Command {
    Command::new("pub")
        .about("Publish lines of standard input, and print what is wanted")
        .after_help(
            "Each line `TOPIC<TAB>PAYLOAD` is published as two frames. Lines may hold any bytes. A line without a tab is\n\
             reported and skipped. Prints `+TOPIC` when a topic gets its first subscriber and `-TOPIC` when it loses its\n\
             last one; bytes that are not printable UTF-8 are written as \\xNN. So a program in any language that reads\n\
             these lines can produce on demand.\n\n\
             Example: one value, for everybody who subscribes within two seconds\n  \
             (sleep 2; printf 'a\\t1\\n') | oncue pub tcp://127.0.0.1:8888",
        )
        .args(publisher::options())
        .arg(arg!(--single "Publish each line as it is, as one frame"))
        .arg(
            arg!(--linger <DUR> "How long to go on sending, at the end of the input, what subscribers have not taken yet")
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
    // After a signal the reader may still be blocked on a line: it is not waited for.
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
        DemandEvent::Wanted(prefix) => ("+", prefix),
        DemandEvent::Unwanted(prefix) => ("-", prefix),
    };
    output::line(&mut output::change(sign, prefix))
}

/// Standard input, whose lines are published on a thread of their own, because reading blocks.
struct Input {
    socket: XPub,
    single: bool,
    published: AtomicU64,
    skipped: AtomicU64,
    /// Whether the reader has ended, with or without an error.
    ended: AtomicBool,
}

impl Input {
    fn new(socket: XPub, single: bool) -> Input {
        Input { socket, single, published: 0.into(), skipped: 0.into(), ended: false.into() }
    }

    /// Starts the reader; the end of the input ends the program.
    fn start(input: &Arc<Input>, stop: &Stop) -> Result<JoinHandle<Result<(), Fail>>, Fail> {
        let (input, stop) = (Arc::clone(input), stop.clone());
        spawn("stdin", move || {
            let outcome = input.publish_lines(&stop);
            input.ended.store(true, Ordering::Release);
            stop.stop();
            outcome
        })
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
        self.skipped.fetch_add(1, Ordering::Relaxed);
        say("pub", &format!("line {number} {why}: skipped"));
        Ok(())
    }

    /// Publishes one message. It waits for the socket, so that the input is read no faster, but for no subscriber.
    fn publish(&self, frames: &[&[u8]], stop: &Stop) -> Result<(), Fail> {
        if let Waited::Ready(sent) = stop.wait(self.socket.send_wait(frames), None) {
            sent?;
            self.published.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Says how many lines were published, skipped and missed.
    fn report(&self) {
        let published = self.published.load(Ordering::Relaxed);
        let skipped = self.skipped.load(Ordering::Relaxed);
        let missed = self.socket.stats().missed;
        let mut text = format!("{} published", counted(published, "line"));
        if skipped > 0 {
            text.push_str(&format!(", {skipped} skipped"));
        }
        if missed > 0 {
            text.push_str(&format!("; slow subscribers missed {}", counted(missed, "message")));
        }
        say("pub", &text);
    }
}
