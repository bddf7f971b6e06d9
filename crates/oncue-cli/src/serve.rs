//! `oncue serve`: a publisher of counters that counts only for those who listen.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use oncue::{Engine, Options, XPub};

use crate::output::{self, say};
use crate::signals::Stop;
use crate::ticks::{Next, Ticks};
use crate::{Fail, args};

pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Publish a counter on every topic that somebody wants")
        .after_help(
            "On each tick, each wanted topic gets a message of two frames: the topic, and the number of the tick.\n\
             Prints `+ PREFIX` and `- PREFIX` as demand changes.\n\n\
             Example:\n  oncue serve --bind tcp://127.0.0.1:8888 --every 500ms",
        )
        .arg(
            Arg::new("bind")
                .long("bind")
                .value_name("ENDPOINT")
                .required(true)
                .value_parser(args::endpoint)
                .help("Where to wait for subscribers"),
        )
        .arg(args::every_option().required(true))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let engine = Engine::start()?;
    let socket = XPub::new(&engine, Options::new())?;
    let bind: String = args::given(args, "bind");
    say("serve", &format!("bound to {}", socket.bind(&bind)?));
    let mut ticks = Ticks::new(&socket, stop, args::given::<Duration>(args, "every"));
    loop {
        match ticks.next()? {
            Next::Wanted(prefix) => output::line(&mut format!("+ {}", output::escaped(&prefix)).into())?,
            Next::Unwanted(prefix) => output::line(&mut format!("- {}", output::escaped(&prefix)).into())?,
            Next::Tick(number) => {
                let number = number.to_string();
                for topic in ticks.wanted() {
                    socket.send([&topic[..], number.as_bytes()])?;
                }
            }
            Next::Stopped => break,
        }
    }
    socket.close().wait();
    Ok(())
}
