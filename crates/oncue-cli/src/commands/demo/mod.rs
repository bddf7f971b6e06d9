//! `oncue demo`: a publisher that produces only what is wanted, and two subscribers that come and go, over real TCP. What
//! it prints is in `story`, and the page of `--page` in `beside`.

mod beside;
mod story;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command, arg};
use oncue::{Engine, Options, Prefix, Sub, XPub};
use oncue_observe::{Observe, PREFIX};

use crate::args::PAGE_PLACE;
use crate::fail::Fail;
use crate::publisher::LINGER;
use crate::signals::{Cause, Stop, Waited};
use crate::stdio::say;
use crate::ticks::{Next, Ticks};
use crate::{args, connections, publisher};
use beside::Beside;
use story::{Actor, S1, S2, Story};

/// The subscribers. They join one after the other: at the first tick there is none, at the third only s1.
const PARTS: [Part; 2] = [
    Part { actor: S1, topics: ["a", "b"], joins_after: 1, messages: 10, rest: 6 },
    Part { actor: S2, topics: ["b", "c"], joins_after: 3, messages: 20, rest: 9 },
];

/// How long the demo waits at its end until the publisher knows that the last subscriber has left.
const FAREWELL: Duration = Duration::from_millis(300);

/// What a subscriber of the demo does.
struct Part {
    actor: Actor,
    topics: [&'static str; 2],
    /// The tick after which it subscribes.
    joins_after: u64,
    /// How many messages it takes before it leaves.
    messages: u64,
    /// After how many ticks it comes again, if there is a page.
    rest: u32,
}

pub(crate) fn command() -> Command {
    Command::new("demo")
        .about("Watch a publisher produce only what somebody subscribes to")
        .after_help(
            "At each tick the publisher sends one frame `TOPIC N` for each wanted topic; N is the number of the tick. \
             Subscriber s1 takes a and b and leaves after 10 messages, s2 takes b and c and leaves after 20. Any \
             other ZeroMQ subscriber may join meanwhile, with any topics.\n\n\
             Examples:\n  oncue demo\n  oncue demo --page\n  oncue demo --bind tcp://127.0.0.1:9999 --every 100ms --forever",
        )
        .arg(
            arg!(--bind <ENDPOINT> "Where the publisher waits for subscribers")
                .default_value("tcp://127.0.0.1:8888")
                .value_parser(args::endpoint),
        )
        .arg(args::every_option().default_value("500ms"))
        .arg(arg!(--forever "Go on when s1 and s2 have left, until Ctrl-C"))
        .arg(
            arg!(--page [PLACE] "Show it in a browser too, at HOST:PORT or else 127.0.0.1:9180; s1 and s2 come again and again, until Ctrl-C")
                .default_missing_value(PAGE_PLACE)
                .value_parser(args::own_place),
        )
        .args(args::heartbeat_options())
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let page = args.get_one::<String>("page");
    let forever = args.get_flag("forever") || page.is_some();
    let engine = Engine::start()?;
    let options = args::socket_options(args)?;
    let observe = page.map(|_| Observe::new(PREFIX).expect("the usual prefix"));
    let publishing = options.clone().linger(LINGER).discard_messages(true);
    let publishing = observe.iter().fold(publishing, |options, observe| observe.hide(options));
    let socket = XPub::new(&engine, publishing)?;
    connections::remove_files(&socket, stop);
    let bind: String = args::given(args, "bind");
    let endpoint = socket
        .bind(&bind)
        .map_err(|error| publisher::refused(error, "--bind tcp://127.0.0.1:0"))?
        .to_string();
    say("demo", &format!("bound to {endpoint}"));
    let every = args::given(args, "every");
    let topics: BTreeSet<_> = PARTS.iter().flat_map(|part| part.topics).collect();
    let open =
        |(observe, place): (_, &String)| Beside::open(&socket, observe, place, &endpoint, &topics, every);
    let beside = observe.zip(page).map(open).transpose()?;
    let endpoint = reachable(&endpoint);
    let story = Story::begin(&endpoint);
    let (left, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let show = Show { engine, options, endpoint, every, stop, story, beside, left, failure };
    let ticks = std::thread::scope(|scope| {
        let join = |part: &'static Part| {
            let show = &show;
            scope.spawn(move || show.subscribe(part));
        };
        let published = show.publish(&socket, forever, join);
        // The subscribers end with the publisher.
        stop.stop(Cause::Done);
        published
    })?;
    if let Some(failure) = show.failure.into_inner().unwrap_or_default() {
        return Err(failure);
    }
    show.beside.iter().for_each(Beside::end);
    publisher::close_and_say(&socket, "demo", stop);
    show.story.end(ticks);
    if forever { Ok(()) } else { stop.unfinished() }
}

/// What the publisher and the subscribers share.
struct Show<'a> {
    engine: Engine,
    /// The options of all sockets.
    options: Options,
    /// Where the subscribers connect.
    endpoint: String,
    /// The time between two ticks.
    every: Duration,
    stop: &'a Stop,
    story: Story,
    beside: Option<Beside>,
    /// How many subscribers have received all their messages.
    left: AtomicUsize,
    /// The first failure of a subscriber.
    failure: Mutex<Option<Fail>>,
}

impl Show<'_> {
    /// The publisher. `join` starts a subscriber. Returns the number of ticks.
    fn publish(&self, socket: &XPub, forever: bool, join: impl Fn(&'static Part)) -> Result<u64, Fail> {
        let mut ticks = Ticks::new(socket, self.stop, self.every);
        let mut ticked = 0;
        let mut all_left_at = None;
        loop {
            let next = ticks.next()?;
            if !forever && all_left_at.is_none() && self.left.load(Ordering::Acquire) == PARTS.len() {
                all_left_at = Some(Instant::now());
            }
            match next {
                Next::Wanted(prefix) | Next::Unwanted(prefix) if self.is_own(&prefix) => {}
                Next::Wanted(prefix) => self.story.wanted(&prefix),
                Next::Unwanted(prefix) => self.story.unwanted(&prefix),
                Next::Tick(number) if all_left_at.is_none() => {
                    self.tick(socket, ticks.wanted(), number)?;
                    ticked = number;
                    PARTS.iter().filter(|part| part.joins_after == number).for_each(&join);
                }
                Next::Tick(_) => {}
                Next::Stopped => return Ok(ticked),
            }
            let heard = !PARTS.iter().flat_map(|part| part.topics).any(|topic| wants(ticks.wanted(), topic));
            if all_left_at.is_some_and(|since| heard || since.elapsed() > FAREWELL) {
                return Ok(ticked);
            }
        }
    }

    /// One tick. It is printed before the messages are sent: a subscriber may print what it received at once.
    fn tick(&self, socket: &XPub, wanted: &BTreeSet<Prefix>, number: u64) -> Result<(), Fail> {
        let due = self.beside.as_ref().map(|beside| beside.due(wanted));
        let due = due.as_ref().unwrap_or(wanted);
        self.story.tick(number, due);
        due.iter().try_for_each(|topic| self.send(socket, topic, number))
    }

    fn send(&self, socket: &XPub, topic: &[u8], number: u64) -> Result<(), Fail> {
        if !self.beside.as_ref().is_some_and(|beside| beside.publish(topic, number)) {
            // The frame begins with the prefix, so that it matches the subscription, whatever the bytes are.
            socket.send([topic, b" ", number.to_string().as_bytes()].concat())?;
        }
        Ok(())
    }

    /// Whether a prefix is wanted by those who look at the demo.
    fn is_own(&self, prefix: &[u8]) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.is_own(prefix))
    }

    /// A subscriber, on a thread of its own.
    fn subscribe(&self, part: &Part) {
        let mut taken = self.take_messages(part);
        while taken.is_ok() && self.comes_again(part) {
            taken = self.take_messages(part);
        }
        if let Err(failure) = taken {
            self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(failure);
            self.stop.stop(Cause::Done);
        }
    }

    /// Waits while a subscriber rests. Without a page it has left for good.
    fn comes_again(&self, part: &Part) -> bool {
        let rested = Instant::now() + self.every * part.rest;
        self.beside.is_some() && matches!(self.stop.wait(pending::<()>(), Some(rested)), Waited::TimedOut)
    }

    fn take_messages(&self, part: &Part) -> Result<(), Fail> {
        let socket = Sub::new(&self.engine, self.options.clone())?;
        for topic in part.topics {
            socket.subscribe(topic)?;
        }
        self.story.joins(part.actor, &part.topics);
        socket.connect(&self.endpoint)?;
        for count in 1..=part.messages {
            match self.stop.wait(socket.recv(), None) {
                Waited::Ready(message) => {
                    self.story.receives(part.actor, message?.topic(), count, part.messages);
                }
                Waited::Stopped | Waited::TimedOut => return Ok(()),
            }
        }
        self.story.leaves(part.actor, part.messages);
        // Before the socket is closed: the publisher must know it when the topics become unwanted.
        self.left.fetch_add(1, Ordering::Release);
        socket.close().wait();
        Ok(())
    }
}

fn wants(wanted: &BTreeSet<Prefix>, topic: &str) -> bool {
    wanted.iter().any(|prefix| prefix[..] == *topic.as_bytes())
}

/// The endpoint at which a socket bound to every address of this machine is reached from here.
fn reachable(endpoint: &str) -> String {
    endpoint.replacen("tcp://0.0.0.0:", "tcp://127.0.0.1:", 1).replacen("tcp://[::]:", "tcp://[::1]:", 1)
}
