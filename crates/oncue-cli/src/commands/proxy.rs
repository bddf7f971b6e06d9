//! `oncue proxy` and `oncue relay`: forward between publishers and subscribers.

use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValuesRef;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, arg, value_parser};
use oncue::proxy::{Passed, ProxyOptions, ProxyStats};
use oncue::{Engine, Options, Proxy, Pub, Socket, XPub, XSub};
use signal_hook::consts::SIGUSR1;

use crate::fail::Fail;
use crate::output::counted;
use crate::security::Security;
use crate::signals::{self, Stop};
use crate::stdio::say;
use crate::{args, connections, json, publisher, security, stdio};

/// The pauses before a lost neighbour is tried again: a proxy that restarts is found within this time, whatever it was
/// away for.
const RECONNECT: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];

pub(crate) fn command() -> Command {
    forwarder("proxy").about("Forward between publishers and subscribers; publishers see the true demand").after_help(
        "The frontend is an XSUB, towards publishers; the backend is an XPUB, towards subscribers. The frontend subscribes to \
         exactly what the subscribers of the backend want at each moment, so the publishers are told the truth even behind a \
         chain of proxies of which some are killed or stopped. Messages, states of topics, and messages of subscribers pass. \
         A capture socket gets all messages that pass; what it alone would get is not asked for. \
         With --curve-server the frontend is the client of encrypted publishers, with --curve-clients the backend (and the capture) \
         is the server of subscribers, both with --curve-key. \
         At the end, and on SIGUSR1, prints what has passed, with --json as one line on standard output.\n\n\
         Example: publishers and subscribers connect to it\n  \
         oncue proxy --frontend-bind tcp://*:5559 --backend-bind tcp://*:5560",
    )
}

pub(crate) fn relay() -> Command {
    let own = [
        arg!(--"keep-last" "Keep the last value of each topic that is wanted: a late joiner gets it at once, from the relay"),
        arg!(--grace <DUR> "Keep a topic for this long after its last subscriber has left [default: 0s]")
            .value_parser(args::duration),
    ];
    forwarder("relay").args(own).about("As proxy, and keep last values and topics for those that come late or back").after_help(
        "A topic that one subscriber wants is kept up to date by the publishers, so with --keep-last the relay gives its last value \
         to a later subscriber without asking them. With --grace a topic of which the last subscriber has left stays wanted for a \
         while: a subscriber that comes back finds it going on. When no publisher is connected, values are forgotten.\n\n\
         Example:\n  \
         oncue relay --frontend-connect tcp://127.0.0.1:8888 --backend-bind tcp://*:9999 --keep-last --grace 10s",
    )
}

/// The command with the options that both have.
fn forwarder(name: &'static str) -> Command {
    let endpoints = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("ENDPOINT")
            .num_args(1..)
            .action(ArgAction::Append)
            .value_parser(args::endpoint)
            .help(help)
    };
    let group =
        |name, members: [&'static str; 2]| ArgGroup::new(name).args(members).multiple(true).required(true);
    Command::new(name)
        .args([
            endpoints("frontend-connect", "Where publishers are"),
            endpoints("frontend-bind", "Where to wait for publishers"),
            endpoints("backend-bind", "Where to wait for subscribers"),
            endpoints("backend-connect", "Where subscribers are"),
            endpoints("capture-bind", "Where to give every message that passes, in both directions, to subscribers"),
        ])
        .group(group("frontend", ["frontend-connect", "frontend-bind"]))
        .group(group("backend", ["backend-bind", "backend-connect"]))
        .arg(arg!(--json "At the end, print what has passed as one line of JSON"))
        .args(publisher::bounds())
        .arg(
            arg!(--"send-hwm" <N> "The most messages that wait for a slow subscriber; it misses others, 0 for no bound [default: 1000]")
                .value_parser(value_parser!(u32)),
        )
        .args(args::heartbeat_options())
        .args(security::options())
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    forward("proxy", ProxyOptions::new(), args, stop)
}

pub(crate) fn run_relay(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let grace = args.get_one("grace").copied().unwrap_or_default();
    let how = ProxyOptions::new().grace(grace).keep_last(args.get_flag("keep-last"));
    forward("relay", how, args, stop)
}

fn forward(name: &'static str, mut how: ProxyOptions, args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    oncue::raise_descriptor_limit();
    let engine = Engine::start()?;
    let options = options(args)?;
    let security = Security::of(args)?;
    let frontend = XSub::new(&engine, security.set_client(options.clone()))?;
    // What servers behind it say about themselves reaches those that ask for it alone, as at the servers.
    let options = security.set_server(options).hidden_topics(oncue_observe::PREFIX);
    let backend = XPub::new(&engine, options.clone())?;
    let capture = match args.contains_id("capture-bind") {
        true => Some(Pub::new(&engine, options)?),
        false => None,
    };
    let followed = (backend.clone(), capture.clone());
    security.on_change(name, move || {
        followed.0.reconsider();
        followed.1.iter().for_each(Pub::reconsider);
    });
    if let Some(capture) = &capture {
        how = how.capture(capture);
    }
    // Before the first peer comes: it would be told nothing for a moment.
    let proxy = Arc::new(Proxy::with(&frontend, &backend, how)?);
    // Before it says where it is: a script may send the signal as soon as it knows.
    let counting = proxy.clone();
    signals::on_signals([SIGUSR1], move |_| say(name, &summary(&counting.stats())))?;
    let endpoints = |id| args.get_many::<String>(id).unwrap_or_default();
    if let Some(capture) = &capture {
        open(capture, name, "capture", [endpoints("capture-bind"), Default::default()], stop)?;
    }
    let at = [endpoints("frontend-bind"), endpoints("frontend-connect")];
    open(&frontend, name, "frontend", at, stop)?;
    open(&backend, name, "backend", [endpoints("backend-bind"), endpoints("backend-connect")], stop)?;
    stop.wait(proxy.ended(), None);
    stop.wait_to_end(frontend.close());
    publisher::close_and_say(&backend, name, stop);
    let stats = proxy.stats();
    match args.get_flag("json") {
        true => stdio::line(in_json(&stats)),
        false => say(name, &summary(&stats)),
    }
    Ok(())
}

fn options(args: &ArgMatches) -> Result<Options, Fail> {
    let [min, max] = RECONNECT;
    let mut options = publisher::set_bounds(args::socket_options(args)?, args)
        .linger(publisher::LINGER)
        .reconnect(min, max);
    if let Some(messages) = args.get_one("send-hwm") {
        options = options.send_hwm(*messages);
    }
    Ok(options)
}

/// Binds and connects one socket, and says where.
fn open<S: 'static, F: 'static>(
    socket: &Socket<S, F>,
    name: &'static str,
    side: &str,
    [binds, connects]: [ValuesRef<'_, String>; 2],
    stop: &Stop,
) -> Result<(), Fail> {
    connections::follow(socket, name, stop)?;
    for endpoint in binds {
        say(name, &format!("{side} bound to {}", socket.bind(endpoint)?));
    }
    for endpoint in connects {
        connections::connect(socket, name, endpoint)?;
    }
    Ok(())
}

/// What has passed, for people.
fn summary(stats: &ProxyStats) -> String {
    let ProxyStats { down, up, subscribed, unsubscribed, .. } = stats;
    let mut parts = vec![format!(
        "{} ({}) to subscribers",
        counted(down.messages, "message"),
        counted(down.bytes, "byte")
    )];
    if up.messages > 0 {
        parts.push(format!("{} to publishers", counted(up.messages, "message")));
    }
    parts.push(format!(
        "{} and {} to publishers",
        counted(*subscribed, "subscription"),
        counted(*unsubscribed, "cancellation")
    ));
    let rest = [
        (stats.missed, "message dropped by publishers", "messages dropped by publishers"),
        (stats.states, "state of a topic", "states of topics"),
        (stats.prefixes_refused, "prefix refused", "prefixes refused"),
        (stats.up_dropped, "message of subscribers dropped", "messages of subscribers dropped"),
        (stats.capture_missed, "message missed by the capture", "messages missed by the capture"),
    ];
    for (number, one, many) in rest {
        if number > 0 {
            parts.push(format!("{number} {}", if number == 1 { one } else { many }));
        }
    }
    format!("passed {}", parts.join(", "))
}

/// The same for programs: every count under its name in [`ProxyStats`].
fn in_json(stats: &ProxyStats) -> Vec<u8> {
    let passed = |Passed { messages, bytes, batches, .. }: Passed| {
        json::object(
            &[("messages", messages), ("bytes", bytes), ("batches", batches)]
                .map(|(name, count)| (name, count.into())),
        )
    };
    let line = json::object(&[
        ("down", passed(stats.down)),
        ("up", passed(stats.up)),
        ("up_dropped", stats.up_dropped.into()),
        ("capture_missed", stats.capture_missed.into()),
        ("missed", stats.missed.into()),
        ("waits", stats.waits.into()),
        ("subscribed", stats.subscribed.into()),
        ("unsubscribed", stats.unsubscribed.into()),
        ("prefixes_refused", stats.prefixes_refused.into()),
        ("prefixes_in_grace", stats.prefixes_in_grace.into()),
        ("states", stats.states.into()),
    ]);
    line.to_string().into_bytes()
}
