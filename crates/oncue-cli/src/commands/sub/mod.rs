//! `oncue sub`: subscribes, and prints messages.

mod command;
mod dump;
mod frame;
mod latency;
mod line;
mod moment;
mod sink;
mod states;
mod tally;
mod template;

use std::ffi::OsString;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use oncue::{Engine, Keep, Msg, Sub, TopicState};

pub(crate) use self::command::command;
use self::line::Format;
use self::sink::Sink;
use self::states::{Closing, Troubles};
use crate::fail::Fail;
use crate::output::{counted, escaped};
use crate::progress::Progress;
use crate::security::Security;
use crate::signals::{Stop, Waited};
use crate::stdio::{self, say};
use crate::{args, connections};

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let ends = Ends::of(args);
    let mut sink = Sink::open(args)?;
    let engine = Engine::start()?;
    let topics = topics(args);
    let socket = open(args, &topics, &engine, stop)?;
    let received = receive(&socket, &topics, &ends, &mut sink, stop);
    if let Some(tally) = sink.tally() {
        let publishers = socket.publishers();
        match args::given(args, "format") {
            Format::Json => tally.json(&publishers).into_iter().for_each(stdio::line),
            Format::Text | Format::Raw => tally.words(&publishers).iter().for_each(|line| say("sub", line)),
        }
    }
    if received? {
        stop.wait_to_end(socket.close());
    }
    Ok(())
}

/// What the command line says about the end.
struct Ends {
    count: Option<u64>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    until_closed: bool,
}

impl Ends {
    /// The time begins now.
    fn of(args: &ArgMatches) -> Ends {
        let timeout = args.get_one::<Duration>("timeout").copied();
        Ends {
            count: args.get_one("count").copied(),
            timeout,
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            until_closed: args.get_flag("until-closed"),
        }
    }

    /// Whether only a signal ends it.
    fn is_endless(&self) -> bool {
        self.count.is_none() && self.timeout.is_none() && !self.until_closed
    }

    /// The time has passed with this number of messages.
    fn timed_out(&self, received: u64) -> Fail {
        let time = args::shown(self.timeout.unwrap_or_default());
        let of = self.count.map_or_else(String::new, |count| format!(" of {count}"));
        Fail::Timeout(format!("{time} passed with {received}{of} messages"))
    }
}

/// Receives and prints until the end. Returns whether that was in order.
fn receive(
    socket: &Sub,
    topics: &[Vec<u8>],
    ends: &Ends,
    sink: &mut Sink,
    stop: &Stop,
) -> Result<bool, Fail> {
    let mut closing = ends.until_closed.then(|| Closing::new(topics.to_vec()));
    let (mut troubles, mut silence) = (Troubles::default(), Progress::on_terminal());
    while ends.count.is_none_or(|count| sink.count() < count)
        && !closing.as_ref().is_some_and(Closing::is_done)
    {
        let hint = silence.as_ref().map(Progress::due);
        let waited = match stop.wait(next(socket), ends.deadline.into_iter().chain(hint).min()) {
            Waited::Ready(Heard::Message(message)) => {
                silence = None;
                sink.take(&message?, stop, ends.deadline)?
            }
            Waited::Ready(Heard::State(state)) => {
                let state = state?;
                troubles.tell(&state);
                closing.as_mut().map_or(Ok(()), |closing| closing.follow(&state))?;
                continue;
            }
            Waited::Stopped => Waited::Stopped,
            Waited::TimedOut if ends.deadline.is_none_or(|deadline| deadline > Instant::now()) => {
                silence.iter_mut().for_each(|silence| tell_silence(silence, socket, topics));
                continue;
            }
            Waited::TimedOut => Waited::TimedOut,
        };
        match waited {
            Waited::Ready(()) => {}
            Waited::Stopped if ends.is_endless() => break,
            Waited::Stopped => return stop.unfinished().map(|()| false),
            Waited::TimedOut => return Err(ends.timed_out(sink.count())),
        }
    }
    Ok(true)
}

/// Says that no message has come yet, if there are publishers: why there is none is said elsewhere.
fn tell_silence(silence: &mut Progress, socket: &Sub, topics: &[Vec<u8>]) {
    let waited = silence.waited();
    let publishers = socket.stats().peers;
    if publishers > 0 {
        let topics: Vec<_> = topics.iter().take(3).map(|topic| format!("\"{}\"", escaped(topic))).collect();
        let from = counted(publishers, "publisher");
        let topics = topics.join(" or ");
        say("sub", &format!("connected to {from}; for {waited} no message whose topic begins with {topics}"));
    }
}

/// The topics that the command line subscribes to.
fn topics(args: &ArgMatches) -> Vec<Vec<u8>> {
    let topics = args.get_many::<OsString>("topic");
    topics.map_or(vec![Vec::new()], |topics| topics.map(|topic| args::topic(topic)).collect())
}

/// What a subscriber receives.
enum Heard {
    Message(oncue::Result<Msg>),
    State(oncue::Result<TopicState>),
}

/// The next message or state; messages first.
fn next(socket: &Sub) -> impl Future<Output = Heard> {
    let (mut message, mut state) = (socket.recv(), socket.state());
    poll_fn(move |context| {
        if let Poll::Ready(message) = Pin::new(&mut message).poll(context) {
            return Poll::Ready(Heard::Message(message));
        }
        Pin::new(&mut state).poll(context).map(Heard::State)
    })
}

fn open(args: &ArgMatches, topics: &[Vec<u8>], engine: &Engine, stop: &Stop) -> Result<Sub, Fail> {
    let endpoints = args::endpoints_of(args, "endpoint", "ENDPOINT")?;
    let keep = if args.get_flag("latest") { Keep::Latest } else { Keep::All };
    let socket = Sub::new(engine, Security::of(args)?.set(args::socket_options(args)?.keep(keep))?)?;
    for topic in topics {
        socket.subscribe(topic)?;
    }
    connections::follow(&socket, "sub", stop)?;
    for endpoint in &endpoints {
        if args.get_flag("bind") {
            say("sub", &format!("bound to {}", socket.bind(endpoint)?));
        } else {
            connections::connect(&socket, "sub", endpoint)?;
        }
    }
    Ok(socket)
}
