//! `oncue pub`: publishes lines of standard input, or one message, and prints demand to standard output.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, stdin};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::{ArgAction, ArgMatches, Command, arg, value_parser};
use oncue::{DemandEvent, DemandWatch, OnFull, SubscriptionEvent, XPub};
use rustix::event::{PollFd, PollFlags, poll};

use crate::fail::Fail;
use crate::lines::{Line, Lines, split_at_tab};
use crate::output::{self, counted};
use crate::progress::Progress;
use crate::signals::{Cause, Stop, Waited};
use crate::stdio::{self, say};
use crate::wait::{First, first, spawn};
use crate::{args, json, publisher};

/// The longest line that is published, in bytes.
const LINE_BYTES_MAX: usize = 64 << 20;
/// The same for a line of JSON, which holds bytes that are not text twice, and in more characters.
const JSON_BYTES_MAX: usize = 5 * LINE_BYTES_MAX;
/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;

pub(crate) fn command() -> Command {
    Command::new("pub")
        .about("Publish lines of standard input, and print what is wanted")
        .after_help(
            "Each line `TOPIC<TAB>PAYLOAD` is published as two frames. Lines may hold any bytes. A line without a tab, or \
             of more than 64 MiB (JSON: 320), is reported and skipped. With --format json a line is {\"frames\":[\"a\",\"1\"]}, with any number of frames, or \
             {\"topic\":\"a\",\"value\":1}; bytes that are not text are in frames_base64 or value_base64, as oncue sub --format json \
             prints them.\n\n\
             Prints `+TOPIC` when a topic gets its first subscriber and `-TOPIC` when it loses its last one; bytes that are \
             not printable UTF-8 are written as \\xNN, and a backslash as \\\\. So a program in any language that reads these \
             lines can produce on demand.\n\n\
             A message that nobody subscribes to is dropped, and counted at the end; see --wait-subscriber. A subscriber that \
             is too slow misses messages; see --no-drop.\n\n\
             Exit status: 0 at the end of the input, 1 if messages were not delivered within --linger, 3 if no subscriber came \
             within --wait-subscriber, 130 or 143 when SIGINT or SIGTERM came before the end of the input.\n\n\
             Examples: one value, for everybody who subscribes within two seconds; one message, for the first subscriber\n  \
             (sleep 2; printf 'a\\t1\\n') | oncue pub tcp://127.0.0.1:8888\n  \
             oncue pub tcp://127.0.0.1:8888 --wait-subscriber 1m -t a -m hello",
        )
        .args(publisher::options())
        .arg(arg!(--single "Publish each line as it is, as one frame").conflicts_with("format"))
        .arg(
            arg!(--format <FORMAT> "What a line is: TOPIC<TAB>PAYLOAD, or JSON as oncue sub --format json prints it")
                .default_value("text")
                .value_parser(["text", "json"]),
        )
        .arg(
            arg!(-t --topic <T> "Publish one message with this topic, where \\xNN is one byte, instead of standard input")
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .conflicts_with("single"),
        )
        .arg(
            arg!(-m --message <M> ... "The frame after the topic, where \\xNN is one byte; several for several frames")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .requires("topic"),
        )
        .arg(
            arg!(--"wait-subscriber" <DUR> "Wait for the first subscriber before anything is published; end with status 3 if none comes")
                .value_parser(args::duration),
        )
        .arg(
            arg!(--"wait-subscribers" <N> "Wait for N subscribers before anything is published: with --topic for N that get the message, for at most --wait-subscriber if that is given")
                .value_parser(value_parser!(u32).range(1..)),
        )
        .arg(arg!(--"no-drop" "Read no further while the queue of a subscriber is full, instead of dropping what it misses; some 100 kB are read ahead"))
        .arg(
            arg!(--hwm <N> "The most messages queued for one subscriber, beside 64 MiB; 0: these alone [default: 1000]")
                .value_parser(value_parser!(u32)),
        )
        .arg(
            arg!(--linger <DUR> "How long to go on sending, at the end of the input, what subscribers have not taken yet")
                .default_value("5s")
                .value_parser(args::duration),
        )
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let linger = args::given(args, "linger");
    let socket = publisher::socket("pub", args, |mut options| {
        if args.get_flag("no-drop") {
            options = options.on_full(OnFull::Refuse);
        }
        if let Some(messages) = args.get_one("hwm") {
            options = options.send_hwm(*messages);
        }
        if args.get_flag("no-drop") || args.contains_id("hwm") {
            // What waits before it is queued for subscribers is not bounded by the mark.
            options = options.outbox_bytes_max(READ_BYTES as u64);
        }
        options.linger(linger)
    })?;
    let watch = socket.demand();
    publisher::open(&socket, "pub", args, stop)?;
    let input = Arc::new(Input::new(socket.clone(), args));
    let (time, subscribers) = (args.get_one("wait-subscriber"), args.get_one("wait-subscribers"));
    if time.is_some() || subscribers.is_some() {
        input.wait_for_subscribers(&watch, subscribers.copied().unwrap_or(1), time.copied(), stop)?;
    }
    let reader = Input::start(&input, stop)?;
    while let Waited::Ready(event) = stop.wait(watch.next(), None) {
        print(&event?, stop);
    }
    // After a signal the reader may still be blocked on a line: it is not waited for.
    let read = match stop.cause() {
        Some(Cause::Done) => reader.join().expect("the reader of standard input does not panic"),
        _ => stop.unfinished(),
    };
    while let Some(event) = watch.try_next()? {
        print(&event, stop);
    }
    let undelivered = publisher::close(&socket, "pub", linger, stop);
    if stop.cause() == Some(Cause::OutputClosed) {
        return Ok(());
    }
    input.report();
    match undelivered {
        0 => read,
        _ => Err(Fail::Runtime(publisher::not_delivered(undelivered))),
    }
}

fn print(event: &DemandEvent, stop: &Stop) {
    let (sign, prefix) = match event {
        DemandEvent::Wanted(prefix) => ("+", prefix),
        DemandEvent::Unwanted(prefix) => ("-", prefix),
    };
    stdio::print(output::change(sign, prefix), stop, None);
}

/// Done when `count` peers have a subscription each, whatever it is.
async fn any_subscribers(socket: &XPub, count: usize) -> oncue::Result<()> {
    let watch = socket.subscriptions();
    let mut held = HashMap::<_, u32>::new();
    watch.snapshot().iter().for_each(|(peer, _)| *held.entry(peer.key).or_default() += 1);
    while held.len() < count {
        let event = watch.next().await?;
        let key = event.peer().key;
        match event {
            SubscriptionEvent::Subscribed { .. } => *held.entry(key).or_default() += 1,
            SubscriptionEvent::Unsubscribed { .. } => {
                if let Some(prefixes) = held.get_mut(&key) {
                    *prefixes -= 1;
                }
                held.retain(|_, prefixes| *prefixes > 0);
            }
            // It has no rules of admission.
            _ => {}
        }
    }
    Ok(())
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A topic, a tab, and a payload.
    Tab,
    /// A message of one frame.
    Single,
    /// A message in JSON.
    Json,
}

impl Form {
    fn bytes_max(self) -> usize {
        if self == Form::Json { JSON_BYTES_MAX } else { LINE_BYTES_MAX }
    }
}

/// What is published: standard input, whose lines are read on a thread of their own, because reading blocks; or one message.
struct Input {
    socket: XPub,
    form: Form,
    /// The frames of the one message.
    message: Option<Vec<Vec<u8>>>,
    published: AtomicU64,
    /// Of them, those that nobody subscribed to.
    untaken: AtomicU64,
    skipped: AtomicU64,
}

impl Input {
    fn new(socket: XPub, args: &ArgMatches) -> Input {
        let words =
            |name| args.get_many::<OsString>(name).into_iter().flatten().map(|word| args::topic(word));
        let message = args.contains_id("topic").then(|| words("topic").chain(words("message")).collect());
        let (published, untaken, skipped) = (0.into(), 0.into(), 0.into());
        let form = match (args.get_flag("single"), args::given::<String>(args, "format").as_str()) {
            (true, _) => Form::Single,
            (false, "json") => Form::Json,
            _ => Form::Tab,
        };
        Input { socket, form, message, published, untaken, skipped }
    }

    /// Waits until there are `count` subscribers, of the topic of the one message if there is one, as long as `time`.
    fn wait_for_subscribers(
        &self,
        watch: &DemandWatch,
        count: u32,
        time: Option<Duration>,
        stop: &Stop,
    ) -> Result<(), Fail> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        let topic = self.message.as_ref().and_then(|message| message.first());
        let mut enough = pin!(async {
            match topic {
                Some(topic) => self.socket.wait_for_subscribers(topic, count as usize).await.map(drop),
                None => any_subscribers(&self.socket, count as usize).await,
            }
        });
        let mut progress = Progress::new();
        loop {
            let next = first(watch.next(), enough.as_mut());
            match stop
                .wait(next, Some(deadline.map_or(progress.due(), |deadline| deadline.min(progress.due()))))
            {
                Waited::Ready(First::This(event)) => print(&event?, stop),
                Waited::Ready(First::That(done)) => return Ok(done?),
                Waited::Stopped => return Ok(()),
                Waited::TimedOut if deadline.is_none_or(|deadline| deadline > Instant::now()) => {
                    self.tell_wait(&mut progress, count, time);
                }
                Waited::TimedOut => {
                    let who = match count {
                        1 => "no subscriber came".to_owned(),
                        _ => format!("fewer than {count} subscribers came"),
                    };
                    let time = args::shown(time.unwrap_or_default());
                    return Err(Fail::Timeout(format!("{time} passed, and {who}")));
                }
            }
        }
    }

    /// Says what is waited for, and for how long.
    fn tell_wait(&self, progress: &mut Progress, count: u32, time: Option<Duration>) {
        let topic = self.message.as_ref().and_then(|message| message.first());
        let of = topic.map_or_else(String::new, |topic| format!(" of \"{}\"", output::escaped(topic)));
        let most = time.map_or_else(String::new, |time| format!(" of at most {}", args::shown(time)));
        let connected = counted(self.socket.stats().peers, "peer");
        say(
            "pub",
            &format!(
                "waiting for {}{of}, {}{most}; {connected} connected",
                counted(count.into(), "subscriber"),
                progress.waited()
            ),
        );
    }

    /// Starts the reader; the end of the input ends the program.
    fn start(input: &Arc<Input>, stop: &Stop) -> Result<JoinHandle<Result<(), Fail>>, Fail> {
        let (input, stop) = (Arc::clone(input), stop.clone());
        spawn("stdin", move || {
            let outcome = match &input.message {
                Some(message) => input.publish(&message.iter().map(Vec::as_slice).collect::<Vec<_>>(), &stop),
                None => input.publish_lines(&stop),
            };
            stop.stop(Cause::Done);
            outcome
        })
    }

    fn publish_lines(&self, stop: &Stop) -> Result<(), Fail> {
        let (mut input, mut buffer) = (stdin().lock(), vec![0; READ_BYTES]);
        let (mut lines, mut number) = (Lines::new(self.form.bytes_max()), 0_u64);
        let mut publish = |line: Line<'_>| {
            number += 1;
            self.publish_line(line, number, stop)
        };
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return lines.finish(publish),
                Ok(read) => lines.take(buffer.get(..read).unwrap_or_default(), &mut publish)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another program has made it so, such as the parent that shares it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(&input, PollFlags::IN)], None);
                }
                Err(error) => return Err(Fail::Runtime(format!("standard input cannot be read: {error}"))),
            }
        }
    }

    fn publish_line(&self, line: Line<'_>, number: u64, stop: &Stop) -> Result<(), Fail> {
        let why = match line {
            Line::Whole(line) if self.form == Form::Single => return self.publish(&[line], stop),
            Line::Whole(line) if self.form == Form::Json => match json::read_message(line) {
                Ok(frames) => {
                    return self.publish(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>(), stop);
                }
                Err(why) => why,
            },
            Line::Whole(line) => match split_at_tab(line) {
                Some((topic, payload)) => return self.publish(&[topic, payload], stop),
                None => "has no tab between topic and payload".to_owned(),
            },
            Line::Beginning(_) => format!("is longer than {} MiB", self.form.bytes_max() >> 20),
        };
        self.skipped.fetch_add(1, Ordering::Relaxed);
        say("pub", &format!("line {number} {why}: skipped"));
        Ok(())
    }

    /// Publishes one message. It waits for the socket, so that the input is read no faster, but for no subscriber.
    fn publish(&self, frames: &[&[u8]], stop: &Stop) -> Result<(), Fail> {
        let wanted = self.socket.wanted(frames.first().copied().unwrap_or_default());
        if let Waited::Ready(sent) = stop.wait(self.socket.send_wait(frames), None) {
            sent?;
            self.published.fetch_add(1, Ordering::Relaxed);
            self.untaken.fetch_add(u64::from(!wanted), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Says what became of the input.
    fn report(&self) {
        let [published, untaken, skipped] =
            [&self.published, &self.untaken, &self.skipped].map(|count| count.load(Ordering::Relaxed));
        let missed = self.socket.stats().missed;
        let mut text = format!(
            "{} published",
            counted(published, if self.message.is_some() { "message" } else { "line" })
        );
        if skipped > 0 {
            text.push_str(&format!(", {skipped} skipped"));
        }
        if untaken > 0 {
            text.push_str(&format!("; nobody subscribed to {untaken} of them (see --wait-subscriber)"));
        }
        if missed > 0 {
            text.push_str(&format!(
                "; slow subscribers missed {} (see --no-drop)",
                counted(missed, "message")
            ));
        }
        say("pub", &text);
    }
}
