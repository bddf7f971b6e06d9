//! `oncue serve` without a config: a publisher of counters, which counts only for topics that are wanted.

use std::time::Duration;

use clap::ArgMatches;
use oncue::{Engine, XPub};

use crate::fail::Fail;
use crate::output::{self, say};
use crate::signals::Stop;
use crate::ticks::{Next, Ticks};
use crate::{args, publisher};

pub(super) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let engine = Engine::start()?;
    let socket = XPub::new(&engine, args::socket_options(args)?.discard_messages(true))?;
    oncue::raise_descriptor_limit();
    publisher::say_turned_away(&socket, stop, |text| say("serve", &text))?;
    let bind: String = args::given(args, "bind");
    say("serve", &format!("bound to {}", socket.bind(&bind)?));
    let mut ticks = Ticks::new(&socket, stop, args::given::<Duration>(args, "every"));
    loop {
        match ticks.next()? {
            Next::Wanted(prefix) => output::line(&mut output::change("+ ", &prefix))?,
            Next::Unwanted(prefix) => output::line(&mut output::change("- ", &prefix))?,
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
