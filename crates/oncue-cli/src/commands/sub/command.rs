//! The words of `oncue sub`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser, ValueHint};
use clap::{Arg, ArgAction, Command, arg, value_parser};

use super::latency::Stamp;
use super::line::{Format, Time};
use super::template::Template;
use crate::output::Colour;
use crate::{args, security};

const HELP: &str = "\
Formats:
  text  frames joined by a tab; bytes that are not printable UTF-8 as \\xNN, a backslash as \\\\
  json  {\"topic\":\"a\",\"frames\":[\"a\",\"1\"]}; the frames include the topic. If a frame is not UTF-8, \
topic_base64 and frames_base64 (null for the other frames) hold its bytes. With --value or --frame \
{\"topic\":\"a\",\"value\":1}: the frame as JSON if it is JSON, else as text; without value if the frame is \
missing. --time adds \"time\", or \"delta\" in seconds. oncue pub --format json reads lines with frames or a value.
  raw   frames joined by a tab, as they are

Directives of --print:
  %t  the topic                       %T  the time of arrival (RFC 3339, UTC)
  %v  the value, which is frame 1     %d  seconds since the message before
  %0 %1 ...  a frame by its number    %n  the number of the message, from 1
  %s  the bytes of all frames         %%  a percent sign
  \\t  a tab    \\n  a line break    \\\\  a backslash

Files of --dump are named by number and topic, such as 000001-prices%2Fa; each holds the value, or the frame of \
--frame. Their paths are printed instead of the messages. Files that are there are kept, and their numbers \
continued. Only --count bounds how many there will be.

Times are taken when the command takes a message. --stamp computes latencies from a time that the publisher has put \
into its messages: RFC 3339 in UTC, or Unix time in seconds, or in ms, \u{b5}s or ns if it is that large. The clocks \
of both machines must agree.

Some publishers, such as oncue serve, send the states of topics. They are printed on standard error: a topic \
is stale while its producer restarts, closed when no value follows, rejected when you may not have it, \
unserved when the publisher has no such topic.

With --stats: messages and bytes of frames a second between the first message and the last. Publishers of this library \
tell how many messages they dropped for this subscriber (missed), and how many before they knew who wants them, so \
that some of these may be missed too (unseen). A gap is a connection that was lost and made again.

Exit status: 0 after N messages or when all topics are closed; 3 if --timeout passes first; 1 if standard output \
or a file of --dump cannot be written, or a topic of --until-closed is rejected. A signal ends it with 0, or before \
--count, --timeout or --until-closed is met with 128 and the number of the signal, such as 130 for Ctrl-C.

Examples: the next five values of a and b, for at most ten seconds; one value, for a script; how fast they come
  oncue sub tcp://127.0.0.1:8888 -t a -t b --count 5 --timeout 10s
  oncue sub tcp://127.0.0.1:8888 -t host/load --value --count 1
  oncue sub tcp://127.0.0.1:8888 --quiet --stats --count 100000";

pub(crate) fn command() -> Command {
    let topics = "Subscribe to topics that begin with T, where \\xNN is one byte [default: everything]";
    Command::new("sub")
        .about("Subscribe, and print each message as one line")
        .after_help(HELP)
        .arg(
            args::endpoint_argument("Where the publishers are, or with --bind where to wait for them")
                .action(ArgAction::Append)
                .num_args(1..),
        )
        .arg(
            arg!(-t --topic <T> ...)
                .help(topics)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString)),
        )
        .arg(arg!(--latest "Print only the newest message of each topic while messages come faster than they are read"))
        .args(output().map(|option| option.help_heading("Output")))
        .args(end().map(|option| option.help_heading("End")))
        .arg(arg!(--bind "Bind each ENDPOINT instead of connecting to it").help_heading(args::CONNECTIONS))
        .args(args::heartbeat_options())
        .args(security::options())
}

/// What is printed.
fn output() -> [Arg; 10] {
    let formats = PossibleValuesParser::new(["text", "json", "raw"]).map(Format::named);
    let times = PossibleValuesParser::new(["utc", "delta"]).map(Time::named);
    let colours = PossibleValuesParser::new(["auto", "always", "never"]).map(Colour::named);
    [
        arg!(--format <FORMAT> "How a message is printed").default_value("text").value_parser(formats),
        arg!(--value "Print only the value, without the topic: the same as --frame 1").conflicts_with("frame"),
        arg!(--frame <N> "Print only one frame, which is empty if it is missing; frame 0 is the topic")
            .value_parser(value_parser!(u16)),
        arg!(--time [TIME] "Print when a message came before it, or with --time=delta the seconds since the message before")
            .require_equals(true)
            .num_args(0..=1)
            .default_missing_value("utc")
            .value_parser(times),
        arg!(-F --print <TEMPLATE> "Print each message by a template, such as '%T %t: %v'; see below")
            .allow_hyphen_values(true)
            .conflicts_with_all(["value", "frame", "time"])
            .value_parser(|text: &str| text.parse::<Template>()),
        arg!(--dump <DIR> "Write the value of each message into a new file in DIR, and print the file's path instead")
            .conflicts_with_all(["print", "time"])
            .value_hint(ValueHint::DirPath)
            .value_parser(value_parser!(PathBuf)),
        arg!(--quiet "Print no messages: for --stats, --count and --dump"),
        arg!(--stats "At the end, say how fast messages came, and what came from each publisher and was missed; with --format json as lines of JSON"),
        arg!(--stamp <STAMP> "With --stats, also how late messages came: the frame that holds the publisher's time, by its number, or the key that holds it in values that are JSON objects")
            .value_name("FRAME|KEY")
            .requires("stats")
            .value_parser(NonEmptyStringValueParser::new().map(Stamp::named)),
        arg!(--color <WHEN> "Whether topics are bold in text: on a terminal, if NO_COLOR is not set [default: auto]")
            .hide_default_value(true)
            .default_value("auto")
            .value_parser(colours),
    ]
}

/// When it ends by itself.
fn end() -> [Arg; 3] {
    [
        arg!(-n --count <N> "End after N messages").value_parser(value_parser!(u64).range(1..)),
        arg!(--timeout <DUR> "End with status 3 after this time, such as 500ms or 2s")
            .value_parser(args::duration),
        arg!(--"until-closed" "End when all topics of --topic are closed: nothing follows on them")
            .requires("topic"),
    ]
}
