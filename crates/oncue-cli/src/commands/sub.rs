//! `oncue sub`: subscribes, and prints messages.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgMatches, Command, arg, value_parser};
use oncue::{Engine, Keep, Msg, Prefix, PublisherStats, State, Sub, TopicState};
use serde_json::Value;

use crate::fail::Fail;
use crate::output::{self, Format, counted};
use crate::security::Security;
use crate::signals::{Stop, Waited};
use crate::stdio::{self, say};
use crate::{args, connections, json, security};

/// The memory for topics in trouble, which are remembered to say when the trouble is over.
const TROUBLES_BYTES_MAX: usize = 1 << 20;
/// What each of them takes beside its own bytes.
const TROUBLE_OVERHEAD_BYTES: usize = 64;

pub(crate) fn command() -> Command {
    Command::new("sub")
        .about("Subscribe, and print each message as one line")
        .after_help(
            "Formats:\n  text  frames joined by a tab; bytes that are not printable UTF-8 as \\xNN, a backslash as \\\\\n  \
             json  {\"topic\":\"a\",\"frames\":[\"a\",\"1\"]}; the frames include the topic. If a frame is not UTF-8,\n        \
             topic_base64 and frames_base64 (null for the other frames) hold its bytes\n  \
             raw   frames joined by a tab, as they are\n\n\
             Some publishers, such as oncue serve, send the states of topics. They are printed on standard error: a topic\n\
             is stale while its producer restarts, closed when no value follows, rejected when you may not have it,\n\
             unserved when the publisher has no such topic.\n\n\
             With --stats: publishers of this library tell how many messages they dropped for this subscriber (missed), and\n\
             how many before they knew who wants them, so that some of these may be missed too (unseen). A gap is a connection\n\
             that was lost and made again.\n\n\
             Exit status: 0 after N messages or when all topics are closed; 3 if --timeout passes first; 1 if standard output\n\
             cannot be written, or a topic of --until-closed is rejected. A signal ends it with 0, or before --count, --timeout\n\
             or --until-closed is met with 128 and the number of the signal, such as 130 for Ctrl-C.\n\n\
             Example: the next five values of a and b, for at most ten seconds\n  \
             oncue sub tcp://127.0.0.1:8888 --topic a --topic b --count 5 --timeout 10s",
        )
        .arg(args::endpoint_argument()
                .action(ArgAction::Append)
                .num_args(1..)
                .help("Where the publishers are, or with --bind where to wait for them"))
        .arg(
            arg!(-t --topic <T> ... "Subscribe to topics that begin with T, where \\xNN is one byte [default: everything]")
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString)),
        )
        .arg(arg!(--bind "Bind each ENDPOINT instead of connecting to it"))
        .arg(arg!(-n --count <N> "End after N messages").value_parser(value_parser!(u64).range(1..)))
        .arg(
            arg!(--"until-closed" "End when all topics of --topic are closed: nothing follows on them")
                .requires("topic"),
        )
        .arg(arg!(--latest "Print only the newest message of each topic while messages come faster than they are read"))
        .arg(arg!(--stats "At the end, say what came from each publisher and what was missed; with --format json as lines of JSON"))
        .arg(
            arg!(--timeout <DUR> "End with status 3 after this time, such as 500ms or 2s")
                .value_parser(args::duration),
        )
        .arg(
            arg!(--format <FORMAT> "How a message is printed")
                .default_value("text")
                .value_parser(PossibleValuesParser::new(["text", "json", "raw"]).map(Format::named)),
        )
        .args(args::heartbeat_options())
        .args(security::options())
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let timeout = args.get_one::<Duration>("timeout").copied();
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let format = args::given(args, "format");
    let engine = Engine::start()?;
    let topics = topics(args);
    let socket = open(args, &topics, &engine, stop)?;
    let received = receive(args, (&socket, topics), format, (timeout, deadline), stop);
    if args.get_flag("stats") {
        for publisher in socket.publishers() {
            match format {
                Format::Json => stdio::line(in_json(&publisher)),
                Format::Text | Format::Raw => say("sub", &in_words(&publisher)),
            }
        }
    }
    if received? {
        stop.wait_to_end(socket.close());
    }
    Ok(())
}

/// Receives and prints until the end. Returns whether that was in order.
fn receive(
    args: &ArgMatches,
    (socket, topics): (&Sub, Vec<Vec<u8>>),
    format: Format,
    (timeout, deadline): (Option<Duration>, Option<Instant>),
    stop: &Stop,
) -> Result<bool, Fail> {
    let count = args.get_one::<u64>("count").copied();
    let mut closing = args.get_flag("until-closed").then(|| Closing::new(topics));
    let endless = count.is_none() && timeout.is_none() && closing.is_none();
    let latest = args.get_flag("latest");
    let mut received = 0;
    let mut troubles = Troubles::default();
    while count.is_none_or(|count| received < count) && !closing.as_ref().is_some_and(Closing::is_done) {
        let waited = match stop.wait(next(socket), deadline) {
            Waited::Ready(Heard::Message(message)) => {
                received += 1;
                match stdio::print(output::message(&message?, format), stop, deadline) {
                    // What waits to be printed becomes old.
                    Waited::Ready(()) if latest => stdio::taken(stop, deadline),
                    waited => waited,
                }
            }
            Waited::Ready(Heard::State(state)) => {
                let state = state?;
                troubles.tell(&state);
                closing.as_mut().map_or(Ok(()), |closing| closing.follow(&state))?;
                continue;
            }
            Waited::Stopped => Waited::Stopped,
            Waited::TimedOut => Waited::TimedOut,
        };
        match waited {
            Waited::Ready(()) => {}
            Waited::Stopped if endless => break,
            Waited::Stopped => return stop.unfinished().map(|()| false),
            Waited::TimedOut => {
                let time = args::shown(timeout.unwrap_or_default());
                let of = count.map_or_else(String::new, |count| format!(" of {count}"));
                return Err(Fail::Timeout(format!("{time} passed with {received}{of} messages")));
            }
        }
    }
    Ok(true)
}

fn in_json(publisher: &PublisherStats) -> Vec<u8> {
    let PublisherStats { connected, connections, received, bytes, missed, unseen, gaps, .. } = *publisher;
    let address = publisher.address.map_or(Value::Null, |address| address.to_string().into());
    let fields = [
        ("endpoint", publisher.endpoint.to_string().into()),
        ("address", address),
        ("connected", connected.into()),
        ("connections", connections.into()),
        ("received", received.into()),
        ("bytes", bytes.into()),
        ("missed", missed.into()),
        ("unseen", unseen.into()),
        ("gaps", gaps.into()),
    ];
    json::object(&fields).to_string().into_bytes()
}

fn in_words(publisher: &PublisherStats) -> String {
    let PublisherStats { endpoint, received, bytes, missed, unseen, gaps, .. } = publisher;
    let mut text = format!(
        "{endpoint}: {}, {}, {missed} missed",
        counted(*received, "message"),
        counted(*bytes, "byte")
    );
    if *unseen > 0 {
        text.push_str(&format!(", perhaps up to {unseen} more"));
    }
    if *gaps > 0 {
        text.push_str(&format!(", {}", counted(*gaps, "gap")));
    }
    text
}

/// The topics that the command line subscribes to.
fn topics(args: &ArgMatches) -> Vec<Vec<u8>> {
    let topics = args.get_many::<OsString>("topic");
    topics.map_or(vec![Vec::new()], |topics| topics.map(|topic| args::topic(topic)).collect())
}

/// Which of some topics are closed.
struct Closing {
    topics: BTreeSet<Vec<u8>>,
    closed: BTreeSet<Vec<u8>>,
}

impl Closing {
    fn new(topics: Vec<Vec<u8>>) -> Closing {
        Closing { topics: topics.into_iter().collect(), closed: BTreeSet::new() }
    }

    /// Takes the state of any topic.
    ///
    /// # Errors
    /// When one of the topics is rejected: it will not be closed.
    fn follow(&mut self, state: &TopicState) -> Result<(), Fail> {
        let Some(topic) = self.topics.get(&state.topic[..]) else { return Ok(()) };
        match state.state {
            State::Closed => drop(self.closed.insert(topic.clone())),
            State::Rejected => {
                return Err(Fail::Runtime(format!(
                    "{} will not be closed: it is rejected",
                    output::escaped(topic)
                )));
            }
            _ => drop(self.closed.remove(topic)),
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.closed.len() == self.topics.len()
    }
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

/// The topics that were said to be stale, closed or rejected.
#[derive(Default)]
struct Troubles {
    topics: BTreeSet<Prefix>,
    bytes: usize,
}

impl Troubles {
    /// Says that a topic is in trouble, or active again.
    fn tell(&mut self, state: &TopicState) {
        let was = match state.state {
            State::Active => self.forget(&state.topic),
            _ => {
                self.remember(&state.topic);
                true
            }
        };
        if was {
            let mut text = format!("{} is {}", output::escaped(&state.topic), state.state);
            if !state.text.is_empty() {
                text.push_str(&format!(": {}", output::escaped(state.text.as_bytes())));
            }
            say("sub", &text);
        }
    }

    /// Remembers a topic, if there is room.
    fn remember(&mut self, topic: &Prefix) {
        let bytes = self.bytes + topic.len() + TROUBLE_OVERHEAD_BYTES;
        if bytes <= TROUBLES_BYTES_MAX && self.topics.insert(topic.clone()) {
            self.bytes = bytes;
        }
    }

    /// Returns whether the topic was remembered.
    fn forget(&mut self, topic: &Prefix) -> bool {
        let was = self.topics.remove(topic);
        if was {
            self.bytes -= topic.len() + TROUBLE_OVERHEAD_BYTES;
        }
        was
    }
}

fn open(args: &ArgMatches, topics: &[Vec<u8>], engine: &Engine, stop: &Stop) -> Result<Sub, Fail> {
    let keep = if args.get_flag("latest") { Keep::Latest } else { Keep::All };
    let socket = Sub::new(engine, Security::of(args)?.set(args::socket_options(args)?.keep(keep))?)?;
    for topic in topics {
        socket.subscribe(topic)?;
    }
    connections::follow(&socket, "sub", stop)?;
    for endpoint in args.get_many::<String>("endpoint").unwrap_or_default() {
        if args.get_flag("bind") {
            say("sub", &format!("bound to {}", socket.bind(endpoint)?));
        } else {
            connections::connect(&socket, "sub", endpoint)?;
        }
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_in_trouble_are_remembered_within_a_bound_in_bytes() {
        let mut troubles = Troubles::default();
        let long = |number: u32| Prefix::from([&number.to_be_bytes()[..], &[b'x'; 50_000]].concat());
        (0..1000).for_each(|number| troubles.remember(&long(number)));
        (0..1000).for_each(|number| troubles.remember(&long(number)));
        let held: usize = troubles.topics.iter().map(|topic| topic.len()).sum();
        assert!((TROUBLES_BYTES_MAX / 2..TROUBLES_BYTES_MAX).contains(&held), "{held} bytes");
        let known = (0..1000).filter(|number| troubles.forget(&long(*number))).count();
        assert!(known >= 10 && troubles.bytes == 0 && !troubles.forget(&long(0)));
    }
}
