//! `oncue serve` without a config: a publisher of counters, which counts only for topics that are wanted.

use std::time::Duration;

use clap::ArgMatches;
use oncue::{Engine, XPub};

use crate::fail::Fail;
use crate::output;
use crate::publisher::LINGER;
use crate::security::Security;
use crate::signals::Stop;
use crate::stdio::{self, say};
use crate::ticks::{Next, Ticks};
use crate::{args, connections, publisher};

pub(super) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    stop.on_hangup()?;
    let bind = args::endpoint_of(args, "bind", "--bind ENDPOINT")?;
    let engine = Engine::start()?;
    let security = Security::of(args)?;
    let options = args::socket_options(args)?.linger(LINGER).discard_messages(true);
    let socket = XPub::new(&engine, security.set(options)?)?;
    security.follow(&socket, "serve");
    oncue::raise_descriptor_limit();
    connections::follow(&socket, "serve", stop)?;
    say("serve", &format!("bound to {}", socket.bind(&bind)?));
    let mut ticks = Ticks::new(&socket, stop, args::given::<Duration>(args, "every"));
    loop {
        match ticks.next()? {
            Next::Wanted(prefix) => stdio::line(output::change("+ ", &prefix)),
            Next::Unwanted(prefix) => stdio::line(output::change("- ", &prefix)),
            Next::Tick(number) => {
                let number = number.to_string();
                for topic in ticks.wanted() {
                    socket.send([&topic[..], number.as_bytes()])?;
                }
            }
            Next::Stopped => break,
        }
    }
    publisher::close_and_say(&socket, "serve", stop);
    Ok(())
}
