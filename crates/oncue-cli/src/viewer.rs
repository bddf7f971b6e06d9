//! A viewer of a server: a subscriber to what the server says about itself (docs/OBSERVE.md).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, arg};
use oncue::{
    ConnectionEvent, ConnectionEventKind, ConnectionEvents, Engine, Msg, Options, State, Sub, TopicState,
};
use oncue_observe::topic;
use serde::de::DeserializeOwned;

use crate::fail::Fail;
use crate::output::escaped;
use crate::security::Security;
use crate::signals::{Stop, Waited};
use crate::stdio::say;
use crate::{args, connections, security};

/// The options of a command that views a server.
pub(crate) fn options() -> Vec<Arg> {
    let mut options = vec![args::endpoint_argument("Where the server is")];
    options.extend(own_options());
    options.extend(security::options());
    options
}

/// Those of them that others than viewers do not have.
pub(crate) fn own_options() -> [Arg; 2] {
    [
        arg!(--observe <PREFIX> "The server's prefix for topics about itself, as its config says [default: $oncue/]"),
        arg!(--timeout <DUR> "How long to wait for the server [default: 5s]").value_parser(args::duration),
    ]
}

/// How long a server is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A subscriber to some of these topics.
pub(crate) struct Viewer<'a> {
    name: &'static str,
    endpoint: String,
    prefix: String,
    timeout: Duration,
    socket: Sub,
    events: ConnectionEvents,
    stop: &'a Stop,
    /// Whether it was said that the connection is not made.
    complained: bool,
}

/// What a viewer hears.
pub(crate) enum Heard {
    /// A value: the name of its topic without the prefix, and the JSON.
    Value(String, Vec<u8>),
    Connected,
    /// There is no connection, for this reason. It is tried again.
    Lost(String),
    /// The time is over.
    Nothing,
    /// A signal ends the command.
    Stopped,
}

/// What comes.
enum News {
    Message(oncue::Result<Msg>),
    State(oncue::Result<TopicState>),
    Connection(oncue::Result<ConnectionEvent>),
}

impl<'a> Viewer<'a> {
    /// Subscribes to these topics of the server that the command line names.
    pub(crate) fn open(
        name: &'static str,
        args: &ArgMatches,
        topics: &[&str],
        stop: &'a Stop,
    ) -> Result<Viewer<'a>, Fail> {
        let endpoint = args::endpoint_of(args, "endpoint", "ENDPOINT")?;
        let prefix =
            args.get_one::<String>("observe").map_or(oncue_observe::PREFIX, String::as_str).to_owned();
        let socket = Sub::new(&Engine::start()?, Security::of(args)?.set(Options::new())?)?;
        connections::remove_files(&socket, stop);
        let events = socket.events();
        for name in topics {
            socket.subscribe(format!("{prefix}{name}"))?;
        }
        socket.connect(&endpoint)?;
        let timeout = args.get_one("timeout").copied().unwrap_or(TIMEOUT);
        Ok(Viewer { name, endpoint, prefix, timeout, socket, events, stop, complained: false })
    }

    /// The next value of any of the topics, by the name of the topic; None if a signal ends the command.
    ///
    /// # Errors
    /// Nothing came in time, or the server refuses it.
    pub(crate) fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, Fail> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.hear(deadline)? {
                Heard::Value(name, value) => return Ok(Some((name, value))),
                Heard::Lost(why) => {
                    if !std::mem::replace(&mut self.complained, true) {
                        say(self.name, &format!("{}: {why}; trying again", self.endpoint));
                    }
                }
                Heard::Connected => {}
                Heard::Stopped => return Ok(None),
                Heard::Nothing => return Err(self.silence()),
            }
        }
    }

    /// What comes next, until the deadline.
    ///
    /// # Errors
    /// The server refuses a topic.
    pub(crate) fn hear(&self, deadline: Instant) -> Result<Heard, Fail> {
        loop {
            return Ok(match self.wait(deadline) {
                Waited::Ready(News::Message(message)) => {
                    let message = message?;
                    let topic = String::from_utf8_lossy(message.topic()).into_owned();
                    let name = topic.strip_prefix(&self.prefix).unwrap_or(&topic).to_owned();
                    Heard::Value(name, message.frame(1).unwrap_or_default().to_vec())
                }
                Waited::Ready(News::State(state)) => {
                    self.check(&state?)?;
                    continue;
                }
                Waited::Ready(News::Connection(event)) => match event?.kind {
                    ConnectionEventKind::Waiting { cause } => Heard::Lost(cause.to_string()),
                    ConnectionEventKind::Failed { cause, error, .. }
                    | ConnectionEventKind::Lost { cause, error, .. } => {
                        Heard::Lost(connections::why(&cause, &error))
                    }
                    ConnectionEventKind::Connected { .. } => Heard::Connected,
                    _ => continue,
                },
                Waited::Stopped => Heard::Stopped,
                Waited::TimedOut => Heard::Nothing,
            });
        }
    }

    fn wait(&self, deadline: Instant) -> Waited<News> {
        let (mut message, mut state) = (self.socket.recv(), self.socket.state());
        let mut event = self.events.next();
        let news = poll_fn(|context| {
            if let Poll::Ready(message) = Pin::new(&mut message).poll(context) {
                return Poll::Ready(News::Message(message));
            }
            if let Poll::Ready(state) = Pin::new(&mut state).poll(context) {
                return Poll::Ready(News::State(state));
            }
            Pin::new(&mut event).poll(context).map(News::Connection)
        });
        self.stop.wait(news, Some(deadline))
    }

    /// Reads a value.
    pub(crate) fn parse<T: DeserializeOwned>(&self, topic: &str, value: &[u8]) -> Result<T, Fail> {
        serde_json::from_slice(value).map_err(|why| self.not_understood(topic, &why))
    }

    /// A value that is not as the schema says.
    pub(crate) fn not_understood(&self, topic: &str, why: &serde_json::Error) -> Fail {
        let Viewer { endpoint, prefix, .. } = self;
        let text = format!(
            "{endpoint} sends on {prefix}{topic} what a server of this version does not say: {}",
            escaped(why.to_string().as_bytes())
        );
        Fail::Runtime(text)
    }

    /// Where the server is.
    #[cfg(feature = "top")]
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Fails if a topic is refused.
    fn check(&self, state: &TopicState) -> Result<(), Fail> {
        let remedy = match state.state {
            State::Rejected => "a [[rule]] of its config has to allow it",
            State::Unserved if state.topic.ends_with(topic::MESH.as_bytes()) => {
                "it is not a site of a mesh, or its config has observe = \"off\", or another prefix (--observe)"
            }
            State::Unserved => "its config has observe = \"off\", or another prefix (--observe)",
            _ => return Ok(()),
        };
        let (topic, text) = (escaped(&state.topic), escaped(state.text.as_bytes()));
        Err(Fail::Runtime(format!("{}: {topic} is {}: {text}; {remedy}", self.endpoint, state.state)))
    }

    fn silence(&self) -> Fail {
        let Viewer { endpoint, prefix, timeout, .. } = self;
        let time = args::shown(*timeout);
        Fail::Timeout(match self.complained {
            true => format!("{endpoint} was not reached in {time}"),
            false => format!(
                "{endpoint} said nothing on {prefix} in {time}: it may be another publisher than oncue serve, or have another prefix \
                 (--observe), or not let you see this"
            ),
        })
    }
}
