//! `oncue pub`: lines of standard input become messages; demand becomes lines of standard output.

use std::io::{BufRead, BufReader, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use oncue::{DemandEvent, Engine, XPub};

use crate::args;
use crate::fail::Fail;
use crate::output::{self, say};
use crate::publisher;
use crate::publisher::open;
use crate::signals::{Stop, Waited};

/// The longest line that is taken for a message.
const LINE_BYTES_MAX: u64 = 64 << 20;

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
        .arg(args::endpoint_argument().help("Where to wait for subscribers"))
        .arg(args::connect_option())
        .args(publisher::bounds())
        .arg(
            Arg::new("single")
                .long("single")
                .action(ArgAction::SetTrue)
                .help("Publish each line as it is, as one frame"),
        )
        .arg(
            Arg::new("linger")
                .long("linger")
                .value_name("DUR")
                .default_value("5s")
                .value_parser(args::duration)
                .help("At the end of the input, how long to go on sending what subscribers have not taken yet"),
        )
        .args(args::heartbeat_options())
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let engine = Engine::start()?;
    let linger = args::given::<Duration>(args, "linger");
    let options = args::socket_options(args)?.linger(linger).discard_messages(true);
    let socket = XPub::new(&engine, publisher::bounded(options, args))?;
    // Watched from before the first peer can come: what follows is all there is.
    let watch = socket.demand();
    open(&socket, "pub", args, stop)?;
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
        let mut lines = Lines { input: BufReader::new(stdin()), bytes_max: LINE_BYTES_MAX, number: 0 };
        let mut line = Vec::new();
        while let Some(taken) = lines.next(&mut line).map_err(unreadable)? {
            let why = match taken {
                Line::TooLong => format!("is longer than {} MiB", LINE_BYTES_MAX >> 20),
                Line::Whole if self.single => {
                    self.publish(&[&line], stop)?;
                    continue;
                }
                Line::Whole => match split_at_tab(&line) {
                    Some((topic, payload)) => {
                        self.publish(&[topic, payload], stop)?;
                        continue;
                    }
                    None => "has no tab between topic and payload".to_owned(),
                },
            };
            self.left_out.fetch_add(1, Ordering::Relaxed);
            say("pub", &format!("line {} {why}: left out", lines.number));
        }
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
        let mut text = format!("{published} lines published");
        if left_out > 0 {
            text.push_str(&format!(", {left_out} left out"));
        }
        if missed > 0 {
            text.push_str(&format!("; subscribers that were too slow missed {missed} messages"));
        }
        say("pub", &text);
    }
}

fn unreadable(error: std::io::Error) -> Fail {
    Fail::Runtime(format!("standard input cannot be read: {error}"))
}

fn split_at_tab(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (topic, rest) = line.split_at_checked(tab)?;
    Some((topic, rest.strip_prefix(b"\t")?))
}

/// Lines of bytes, of bounded length.
struct Lines<R> {
    input: R,
    /// The longest line that is taken, in bytes.
    bytes_max: u64,
    /// The number of the line taken last, from 1.
    number: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Takes the next line, without its end, into `line`; None at the end of the input.
    fn next(&mut self, line: &mut Vec<u8>) -> std::io::Result<Option<Line>> {
        line.clear();
        if self.input.by_ref().take(self.bytes_max + 1).read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 > self.bytes_max {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tab_ends_the_topic() {
        assert_eq!(split_at_tab(b"a\t1\t2"), Some((&b"a"[..], &b"1\t2"[..])));
        assert_eq!(split_at_tab(b"\t"), Some((&b""[..], &b""[..])));
        assert_eq!(split_at_tab(b"no tab"), None);
    }

    #[test]
    fn lines_are_bytes_and_the_last_needs_no_end() {
        let mut lines = Lines { input: &b"a\xff\t1\r\n\nlast"[..], bytes_max: 5, number: 0 };
        let mut line = Vec::new();
        for expected in [&b"a\xff\t1\r"[..], b"", b"last"] {
            assert_eq!(lines.next(&mut line).expect("bytes in memory are readable"), Some(Line::Whole));
            assert_eq!(line, expected);
        }
        assert_eq!(lines.next(&mut line).expect("bytes in memory are readable"), None);
        assert_eq!(lines.number, 3);
    }

    #[test]
    fn a_line_without_bounds_is_skipped_up_to_its_end() {
        let mut lines = Lines { input: &b"five!and more\nnext"[..], bytes_max: 4, number: 0 };
        let mut line = Vec::new();
        assert_eq!(lines.next(&mut line).expect("bytes in memory are readable"), Some(Line::TooLong));
        assert_eq!(lines.next(&mut line).expect("bytes in memory are readable"), Some(Line::Whole));
        assert_eq!((&line[..], lines.number), (&b"next"[..], 2));
    }
}
